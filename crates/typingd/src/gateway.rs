//! What all faces of the gateway share: the engine, those who watch, and who may use it.

use std::future::ready;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use tokio::time::timeout;
use tracing::error;
use typingd_core::store::near::Tally;
use typingd_core::store::{Listing, StoreError};
use typingd_core::{
    Engine, IgnoreReason, LeaseView, Marks, Name, Outcome, Scope, Side, Signal, Time, Utterance, Verdict,
};
use typingd_providers::{Rejection, head};

use crate::census::{Census, Count};
use crate::clock::Clock;
use crate::config::{Keys, Limits, Tenancy};
use crate::console::Console;
use crate::directory::{Contradiction, Directory, Login, TenantInfo};
use crate::fleet::Fleet;
use crate::history::{Decision, Heard, History};
use crate::holds::Holds;
use crate::hub::{Hub, Subscription};
use crate::metrics::Metrics;
use crate::opened::Opened;
use crate::origins::{Origins, Scheme};
use crate::relay::Relay;
use crate::store::Sides;
use crate::throttle::Failures;
use crate::tickets::Tickets;

/// How many sides are brought to the store at the same time, when the gateway goes away.
const AT_ONCE: usize = 128;

/// The gateway's state.
pub struct Gateway {
    /// Who is composing to whom, until when.
    pub engine: Engine<Sides>,
    /// Who is watching.
    pub hub: Arc<Hub>,
    /// The time.
    pub clock: Clock,
    /// Who may use it.
    pub directory: ArcSwap<Directory>,
    /// What credentials are hashed and tokens signed with.
    pub keys: Keys,
    /// Who has how many leases.
    pub census: Arc<Census>,
    /// What happened of late.
    pub history: Arc<History>,
    /// Who keeps showing wrong credentials.
    pub failures: Failures,
    /// Which conversations a provider counts as open.
    pub opened: Opened,
    /// Who is at work on an answer.
    pub holds: Holds,
    /// Who carries typing on to the providers.
    pub relay: Arc<Relay>,
    /// This node's place among others, where there are any.
    pub fleet: Option<Fleet>,
    /// What browsers are let in by.
    pub tickets: Tickets,
    /// Which web pages may come in.
    pub origins: Origins,
    /// The page for people, and what is kept for it.
    pub console: Console,
    /// Whether connections are over TLS.
    pub has_tls: bool,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether it is going away: operators are told so from the drain's beginning on.
    pub is_leaving: AtomicBool,
    /// Whether nothing can start any more.
    pub is_draining: AtomicBool,
    /// What keeps strangers within bounds.
    pub limits: Limits,
}

impl Gateway {
    /// Hears what a composer says, within the tenant's quota.
    ///
    /// # Errors
    /// [`Rejection::TooMany`] where there is no room for what it starts, [`Rejection::Unavailable`] where the gateway
    /// is going away.
    pub async fn hear(
        &self,
        door: &'static str,
        side: &Side,
        utterance: Utterance,
        now: Time,
    ) -> Result<Outcome, Rejection> {
        let (participant, signal) = (utterance.participant.clone(), utterance.signal);
        let is_end = !matches!(signal, Signal::Composing { .. });
        let answer = self.judge(door, side, utterance, now).await;
        if is_end && answer.as_ref().is_ok_and(|outcome| !is_straggler(outcome.verdict)) {
            self.holds.side_ended(side, signal == Signal::Sent, participant.as_ref());
            self.end_beginnings(side, participant.as_ref()).await;
        }
        // What is said for a tenant that a reload has just taken away is not remembered.
        if self.directory.load().tenant(side.conversation.tenant()).is_some() {
            let decision = Decision::of(&answer);
            self.history.note_signal(side, Heard { door, participant, signal, decision }, now);
        }
        answer
    }

    async fn judge(
        &self,
        door: &'static str,
        side: &Side,
        mut utterance: Utterance,
        now: Time,
    ) -> Result<Outcome, Rejection> {
        const FULL: Rejection = Rejection::TooMany { retry_after_s: 1 };
        let is_start = matches!(utterance.signal, Signal::Composing { .. });
        let (leases_fit, sides_fit) = self.room(side.conversation.tenant());
        if is_start && !(leases_fit && sides_fit) {
            let is_the_same = |lease: &LeaseView| lease.participant == utterance.participant;
            if !self.is_live(side, now, is_the_same).await {
                return Err(FULL);
            }
        } else if !sides_fit && !self.is_live(side, now, |_| true).await {
            // What ends something is always taken. Where nothing is live, what is lost is the fence it would leave.
            utterance.marks = Marks::default();
        }
        let outcome = self.engine.say(side, utterance, now).await.map_err(|error| match error {
            StoreError::Full => FULL,
            StoreError::Unavailable => Rejection::Unavailable,
        })?;
        self.metrics.heard(door, outcome.verdict);
        if outcome.is_local {
            self.metrics.local_decisions.inc();
        }
        if is_start && self.is_draining.load(Ordering::SeqCst) {
            // Either the drain finds the lease, or this finds the drain.
            self.has_more(self.engine.revoke_side(side, now).await.map(|_| false));
            return Err(Rejection::Unavailable);
        }
        match outcome.verdict {
            Verdict::Ignored(IgnoreReason::Full) => Err(FULL),
            _ => Ok(outcome),
        }
    }

    /// Whether the tenant may have one more lease, and one more side that is remembered.
    fn room(&self, tenant: &Name) -> (bool, bool) {
        let directory = self.directory.load();
        let Some(TenantInfo { quota, .. }) = directory.tenant(tenant) else { return (false, false) };
        let (leases, sides) = match self.engine.store().tally(tenant) {
            Some(Tally { leases, sides }) => (leases, sides),
            None => {
                let Count { leases, sides } = self.census.of(tenant);
                (leases, sides)
            }
        };
        (leases < quota.leases, sides < quota.sides)
    }

    /// Whether such a lease lives on this side.
    async fn is_live(&self, side: &Side, now: Time, is_such: impl Fn(&LeaseView) -> bool) -> bool {
        let listing = self.engine.leases(&Scope::one(&side.conversation), now, self.limits.listing).await;
        listing.leases.iter().any(|(live, lease)| live == side && is_such(lease))
    }

    /// A place among those who watch.
    ///
    /// # Errors
    /// [`Rejection::TooMany`] where there are as many as may be, [`Rejection::Unauthenticated`] where the login is not
    /// good any more.
    pub fn subscribe(&self, login: &Arc<Login>) -> Result<Subscription, Rejection> {
        let directory = self.directory.load_full();
        let info = directory.tenant(&login.tenant).ok_or(Rejection::Unauthenticated)?;
        let subscription = self.hub.subscribe(login.clone(), info.quota.streams);
        let subscription = subscription.ok_or(Rejection::TooMany { retry_after_s: 5 })?;
        // Whoever was let in just before a reload or a log-out was not there to be closed by it.
        if self.is_good(login) { Ok(subscription) } else { Err(Rejection::Unauthenticated) }
    }

    /// Whether a login is still worth something: its credential and, where it is the console's, its session.
    #[must_use]
    pub fn is_good(&self, login: &Login) -> bool {
        self.directory.load().is_good(login) && self.console.is_on(login, self.clock)
    }

    /// Closes what was opened by logins that are not good any more.
    pub(crate) fn close_revoked(&self) {
        self.hub.close_revoked(|login| self.is_good(login));
        self.console.recheck();
    }

    /// The leases of a scope.
    ///
    /// # Errors
    /// Where there are more than a listing may hold, or nobody knows.
    pub async fn list(&self, scope: &Scope, now: Time) -> Result<Listing, Unlisted> {
        let listing = self.engine.leases(scope, now, self.limits.listing).await;
        let is_known = listing.failed.is_none() || self.engine.store().serves_when_away();
        match () {
            () if !is_known => Err(Unlisted::Unavailable),
            () if listing.cut => Err(Unlisted::TooWide),
            () => Ok(listing),
        }
    }

    /// Puts another tenancy in force. Nobody's stream ends but those of credentials that are not good any more; the leases
    /// of tenants that are not there any more end, and their history is forgotten.
    ///
    /// # Errors
    /// Where it contradicts itself: then the old one stays.
    pub async fn reload(&self, tenancy: Tenancy) -> Result<(), Contradiction> {
        let before = self.directory.load_full();
        let (upstreams, routes) = (tenancy.upstreams.clone(), tenancy.routes.clone());
        let directory = Arc::new(Directory::new(tenancy, &self.keys, self.clock, Some(&before))?);
        self.directory.store(directory.clone());
        self.console.end_sessions(|login| !directory.is_good(login));
        self.close_revoked();
        for gone in before.names().filter(|tenant| directory.tenant(tenant).is_none()) {
            self.revoke(&Scope::tenant(gone.clone())).await;
            self.history.forget(gone);
        }
        self.relay.reload(&upstreams, &routes);
        self.relay.follow(self.engine.store());
        if let Err(error) = self.relay.look_over(&self.engine).await {
            error!(%error, "what lives is told to new accounts when it changes");
        }
        Ok(())
    }

    /// Lets go of every lease: where others serve them too, the store learns what it must know to go on; otherwise they
    /// end, and none starts any more.
    pub async fn let_go(&self) {
        if let Some(shared) = self.engine.store().as_shared() {
            let unsettled = shared.unsettled();
            let bringing: Vec<_> =
                unsettled.iter().map(async |side| shared.bring(side, self.clock.now()).await).collect();
            let brought = stream::iter(bringing)
                .buffer_unordered(AT_ONCE)
                .filter(|brought| ready(brought.is_err()))
                .count();
            // Others are to have their time, too.
            if timeout(self.limits.drain_timeout / 3, brought).await != Ok(0) {
                error!("some leases end sooner than was told");
            }
            self.relay.leave_all(self.engine.store());
            return;
        }
        self.is_draining.store(true, Ordering::SeqCst);
        for tenant in self.directory.load_full().names() {
            self.revoke(&Scope::tenant(tenant.clone())).await;
        }
    }

    /// Whether it goes away and others go on with what it did.
    #[must_use]
    pub fn hands_over(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed) && self.engine.store().as_shared().is_some()
    }

    async fn revoke(&self, scope: &Scope) {
        while self.has_more(self.engine.revoke(scope, self.clock.now()).await) {
            tokio::task::yield_now().await;
        }
    }

    /// Whether there are more to end.
    fn has_more(&self, revoked: Result<bool, StoreError>) -> bool {
        revoked.unwrap_or_else(|error| {
            error!(%error, "not every lease could be ended");
            false
        })
    }

    /// An address has shown wrong credentials at a door.
    pub fn note_failure(&self, door: &'static str, address: IpAddr, now: Time) {
        self.failures.note(address, now);
        self.metrics.failed(door);
    }

    /// Whether this is a load balancer of our own.
    #[must_use]
    pub fn trusts(&self, address: &IpAddr) -> bool {
        self.limits.trusted_proxies.contains(&address.to_canonical())
    }

    /// How browsers reach the gateway: what a load balancer of our own `forwarded`, or what the connection itself says.
    /// `None` where a load balancer that we do not know of may have ended TLS.
    #[must_use]
    pub fn scheme(&self, peer: IpAddr, headers: &HeaderMap) -> Option<Scheme> {
        let forwarded = || head::single(headers, "x-forwarded-proto").and_then(Scheme::named);
        let forwarded = if self.trusts(&peer) { forwarded() } else { None };
        forwarded.or(self.has_tls.then_some(Scheme::Https))
    }

    /// The caller behind a connection: its peer or, where that is a load balancer of our own, whom it names last.
    #[must_use]
    pub fn caller(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(&peer) {
            return peer;
        }
        // Some load balancers add a line of their own behind the caller's.
        let forwarded_for = headers.get_all("x-forwarded-for").iter();
        let forwarded_for: Vec<&str> = forwarded_for.map(|line| line.to_str().unwrap_or_default()).collect();
        let forwarded_for = forwarded_for.join(",");
        let mut hops = forwarded_for.rsplit(',').map(|hop| {
            let hop = hop.trim();
            hop.parse().or_else(|_| hop.parse().map(|address: SocketAddr| address.ip()))
        });
        let mut caller = peer;
        while self.trusts(&caller) {
            match hops.next() {
                Some(Ok(hop)) => caller = hop,
                _ => break,
            }
        }
        caller
    }
}

/// Whether what was said belongs to what is over already.
fn is_straggler(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Ignored(IgnoreReason::Fenced | IgnoreReason::Duplicate))
}

/// Why there is no listing.
#[derive(Clone, Copy, Debug)]
pub enum Unlisted {
    /// More leases live in the scope than it may hold.
    TooWide,
    /// The store is out of reach, and what this node knows does not count.
    Unavailable,
}
