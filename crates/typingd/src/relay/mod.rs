//! Carries typing on to the providers: what the store commits becomes what [`pacing`] knows, and what that says is due
//! becomes calls.
//!
//! There is no queue between the store and a provider. Under one lock lies a `state`: the leases that live on the
//! sides that routes lead from, and the pacer. A commit changes it, in commit order, and rings; one task asks what is
//! due and begins the calls, each a task of its own that ends with a verdict. Whoever holds the lock waits for nothing.
//!
//! [`pacing`]: typingd_core::pacing

mod account;
mod call;
mod charge;
mod expectations;
mod messages;
mod passage;
mod refusals;
mod routes;
mod sides;
mod standing;
mod state;
mod tokens;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use typingd_core::pacing::{Due, UpstreamId};
use typingd_core::store::{Commit, StoreError};
use typingd_core::{Engine, LeaseView, Scope, Side, Time};
use typingd_providers::KeyHasher;

pub(crate) use account::Account;
pub(crate) use expectations::Expectation;
pub use messages::Departure;
pub(crate) use passage::Parcel;
pub use standing::{Activity, Standing};

use crate::client::Client;
use crate::clock::Clock;
use crate::config::{Route, UpstreamAccount};
use crate::gateway::Gateway;
use crate::history::History;
use crate::store::Sides;
use call::{Flight, Unsaid};
use routes::Routes;
use state::State;

/// How often it is looked whether the last calls have landed, when the gateway goes away.
const SETTLING: Duration = Duration::from_millis(10);

/// How long a stop may have to wait: the longest time that a provider wants between two calls about one side.
const FLOOR: Duration = Duration::from_secs(1);

/// How many leases of one conversation are looked at: more than two sides can have.
const LEASES: usize = 128;

/// Carries typing on to the providers.
#[derive(Debug)]
pub struct Relay {
    clock: Clock,
    /// Names credentials to other nodes.
    hasher: KeyHasher,
    history: Arc<History>,
    /// There is none before there is anybody to call.
    client: OnceLock<Client>,
    routes: ArcSwap<Routes>,
    state: Mutex<State>,
    /// Rings when something may be due that was not.
    rings: Notify,
}

impl Relay {
    /// Carries nothing to anybody yet; where it `is_shared` with other nodes, until it is told what it answers for.
    #[must_use]
    pub fn new(history: Arc<History>, clock: Clock, hasher: KeyHasher, is_shared: bool) -> Self {
        Self {
            clock,
            hasher,
            history,
            client: OnceLock::new(),
            routes: ArcSwap::default(),
            state: Mutex::new(State::new(is_shared)),
            rings: Notify::new(),
        }
    }

    /// Puts accounts and routes in force. An account whose settings stay goes on with what it is in the middle of, and
    /// is forgiven what it was refused. What lives already it is told by [`Self::look_over`].
    pub fn reload(&self, upstreams: &[UpstreamAccount], routes: &[Route]) {
        let mut state = self.lock();
        state.keep(upstreams, self.clock.now());
        let client = || self.client.get_or_init(Client::new).clone();
        let ids = state.add_new(upstreams, client, &self.hasher, self.clock, self.clock.now());
        self.routes.store(Arc::new(Routes::new(routes, &ids)));
        drop(state);
        self.rings.notify_one();
    }

    /// Takes note of all that lives where routes lead from, and of what does not live any more or is not led from.
    ///
    /// # Errors
    /// Where the store could not be asked.
    pub async fn look_over(&self, engine: &Engine<Sides>) -> Result<(), StoreError> {
        self.look_over_where(engine, |side| self.answers_for(engine.store().shard_of(side))).await
    }

    async fn look_over_where(
        &self,
        engine: &Engine<Sides>,
        is_meant: impl Fn(&Side) -> bool,
    ) -> Result<(), StoreError> {
        let mut sides: HashSet<Side> = self.lock().sides().cloned().collect();
        for tenant in self.routes.load_full().tenants() {
            let scope = Scope::tenant(tenant.clone());
            let listing = engine.leases(&scope, self.clock.now(), usize::MAX).await;
            listing.failed.map_or(Ok(()), Err)?;
            sides.extend(listing.leases.into_iter().map(|(side, _)| side));
        }
        for side in sides.into_iter().filter(|side| is_meant(side)) {
            let mut asked = self.clock.now();
            let mut leases = leases_of(engine, &side, asked).await?;
            loop {
                self.lock().take_over(&self.routes.load(), &side, &leases, asked, self.clock.now());
                // A commit that came between the listing and the lock has been overwritten: then this shows another.
                asked = self.clock.now();
                let again = leases_of(engine, &side, asked).await?;
                if again == leases {
                    break;
                }
                leases = again;
            }
        }
        self.rings.notify_one();
        Ok(())
    }

    /// Takes note of a commit.
    pub fn note(&self, commit: &Commit, now: Time) {
        if self.routes.load().of(&commit.side).next().is_none() {
            return;
        }
        let mut state = self.lock();
        if !state.charge.takes(commit) {
            return;
        }
        state.apply(&self.routes.load(), &commit.side, &commit.changes, now);
        drop(state);
        self.rings.notify_one();
    }

    /// Makes the calls that are due, for ever.
    pub async fn run(&self, gateway: &Arc<Gateway>) {
        loop {
            let (looks, deadline) = self.round(gateway, self.clock.now());
            for (upstream, side) in &looks {
                // Where nobody knows, it lasts as long as it was said to.
                if let Ok(leases) = leases_of(&gateway.engine, side, self.clock.now()).await {
                    self.lock().look(*upstream, side, &leases, self.clock.now());
                }
            }
            if !looks.is_empty() {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep_until(self.clock.instant(deadline.unwrap_or(Time::MAX))) => {}
                () = self.rings.notified() => {}
            }
        }
    }

    /// Begins what is due. Gives the sides to look at, and when something is due next.
    fn round(&self, gateway: &Arc<Gateway>, now: Time) -> (Vec<(UpstreamId, Side)>, Option<Time>) {
        let mut state = self.lock();
        if !state.charge.is_sure(now) {
            // It rings when that is known.
            return (Vec::new(), None);
        }
        let Due { calls, looks, dropped, permits, news } = state.due(now);
        let flights: Vec<Flight> = calls.into_iter().filter_map(|call| state.begin(call)).collect();
        let unsaid: Vec<Unsaid> = dropped.into_iter().filter_map(|dropped| state.unsaid(dropped)).collect();
        let deadline = state.deadline();
        let marks = |id: &UpstreamId| state.account(*id).map(|account| account.mark().to_owned());
        let asked: Vec<_> = permits.iter().filter_map(|id| Some((*id, marks(id)?))).collect();
        let learned: Vec<_> = news.iter().filter_map(|(id, news)| Some((marks(id)?, *news))).collect();
        let over = std::mem::take(&mut state.over);
        drop(state);
        flights.into_iter().for_each(|flight| flight.start(gateway.clone()));
        if let Some(fleet) = &gateway.fleet {
            asked.into_iter().for_each(|(id, mark)| fleet.ask_to_try(gateway, id, mark));
            learned.into_iter().for_each(|(mark, news)| fleet.tell_of_credential(mark, news));
            fleet.forget_told(gateway, over);
        }
        unsaid.iter().for_each(|unsaid| unsaid.note(&self.history, now));
        (looks, deadline)
    }

    /// Waits until nothing is being said to anybody, nor due within a floor: when the gateway goes away.
    pub async fn settle(&self) {
        let until = self.clock.now() + FLOOR;
        while !self.lock().is_settled(until) {
            tokio::time::sleep(SETTLING).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The leases that live on a side.
async fn leases_of(engine: &Engine<Sides>, side: &Side, now: Time) -> Result<Vec<LeaseView>, StoreError> {
    let listing = engine.leases(&Scope::one(&side.conversation), now, LEASES).await;
    listing.failed.map_or(Ok(()), Err)?;
    Ok(listing.leases.into_iter().filter(|(of, _)| of == side).map(|(_, lease)| lease).collect())
}
