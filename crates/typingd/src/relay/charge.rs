//! What this node answers for where several share the work, and how that changes hands.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use typingd_core::fleet::{Groups, Tenure};
use typingd_core::pacing::{News, UpstreamId};
use typingd_core::store::{Commit, StoreError};
use typingd_core::{LeaseView, Name, Scope, Side, Time};

use super::{Relay, leases_of};
use crate::gateway::Gateway;
use crate::store::Sides;

/// What this node answers for.
#[derive(Debug)]
pub(super) struct Charge {
    groups: Groups,
    until: Time,
    /// Whether the store could not be asked any more. Then it goes on with what it had: dots that are told of twice are
    /// better than dots that go out.
    is_blind: bool,
    /// Groups of which it is still to be found out what lives there and what was told.
    adopting: Groups,
    /// Sides of those on which something has happened meanwhile.
    touched: BTreeSet<Side>,
    /// Shards of which something may have been missed.
    unknown: BTreeSet<usize>,
    /// Groups whose shards are followed.
    followed: Groups,
}

impl Charge {
    /// All of it, for ever.
    pub(super) fn of_all() -> Self {
        Self::new(Tenure::ALONE)
    }

    /// Nothing yet.
    pub(super) fn of_none() -> Self {
        Self::new(Tenure { groups: Groups::default(), until: Time::ZERO, nodes: 0 })
    }

    fn new(Tenure { groups, until, .. }: Tenure) -> Self {
        let (adopting, followed) = (Groups::default(), Groups::default());
        let (touched, unknown) = (BTreeSet::new(), BTreeSet::new());
        Self { groups, until, is_blind: false, adopting, touched, unknown, followed }
    }

    /// Whether a commit is this node's to pass on, now. What was decided without the store nobody else knows of.
    pub(super) fn takes(&mut self, commit: &Commit) -> bool {
        let group = Groups::of_shard(commit.position.shard);
        if self.adopting.has(group) {
            self.touched.insert(commit.side.clone());
            return false;
        }
        self.groups.has(group) || self.is_blind && commit.position.sequence == u64::MAX
    }

    /// Whether a side of this shard is its own.
    pub(super) fn has(&self, shard: usize) -> bool {
        self.groups.has(Groups::of_shard(shard))
    }

    /// Whether calls may be made: nobody else answers for the same.
    pub(super) fn is_sure(&self, now: Time) -> bool {
        self.is_blind || now < self.until
    }
}

impl Relay {
    /// The store could not be asked whether this node answers for anything still.
    pub(crate) fn go_blind(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.charge.is_blind, true) && state.charge.groups.count() == 0 {
            // What is decided here is told all the same, as gently as by the smallest share.
            state.set_share(1, self.clock.now());
        }
        drop(state);
        self.rings.notify_one();
    }

    /// This node answers for these groups until then. What it does not answer for any more it has left when this
    /// returns; what it answers for from now on it does not act upon before [`Self::catch_up`].
    pub(crate) fn take_charge(&self, groups: Groups, until: Time, sides: &Sides, now: Time) {
        let mut state = self.lock();
        let lost = state.charge.groups.without(groups);
        let was_blind = std::mem::take(&mut state.charge.is_blind);
        let gained = groups.without(state.charge.groups);
        state.charge.until = until;
        if lost.count() > 0 || gained.count() > 0 || was_blind {
            state.charge.groups = groups;
            let adopting = state.charge.adopting.without(lost);
            state.charge.adopting = gained.iter().fold(adopting, Groups::with);
            state.leave(|side| !groups.has(Groups::of_shard(sides.shard_of(side))));
            state.set_share(groups.count(), now);
        }
        drop(state);
        self.follow(sides);
        self.rings.notify_one();
    }

    /// Hears what happens where this node answers for anything that is told to anybody, and nowhere else.
    pub(crate) fn follow(&self, sides: &Sides) {
        let is_needed = self.routes.load().tenants().next().is_some();
        let mut state = self.lock();
        let wanted = if is_needed { state.charge.groups } else { Groups::default() };
        let before = std::mem::replace(&mut state.charge.followed, wanted);
        drop(state);
        for shard in sides.shards() {
            let group = Groups::of_shard(shard);
            match (before.has(group), wanted.has(group)) {
                (false, true) => sides.follow(shard..shard + 1),
                (true, false) => sides.unfollow(shard..shard + 1),
                _ => {}
            }
        }
    }

    /// Commits of a shard were not heard of.
    pub(crate) fn lost(&self, shard: usize) {
        self.lock().charge.unknown.insert(shard);
    }

    /// Finds out what lives and what was told where this node has begun to answer for it, and what it may have missed.
    ///
    /// # Errors
    /// Where the store could not be asked: then it is to be tried again.
    pub(crate) async fn catch_up(&self, gateway: &Gateway) -> Result<(), StoreError> {
        let (adopting, unknown) = {
            let state = self.lock();
            (state.charge.adopting, state.charge.unknown.clone())
        };
        if self.routes.load().tenants().next().is_none() {
            let mut state = self.lock();
            (state.charge.adopting, state.charge.touched) = (Groups::default(), BTreeSet::new());
            state.charge.unknown.clear();
            return Ok(());
        }
        if adopting.count() > 0 {
            self.adopt(adopting, gateway).await?;
        }
        if !unknown.is_empty() {
            self.lock().charge.unknown.retain(|shard| !unknown.contains(shard));
            let looked = self.look_over_where(&gateway.engine, |side| {
                unknown.contains(&gateway.engine.store().shard_of(side))
            });
            if let Err(error) = looked.await {
                self.lock().charge.unknown.extend(unknown);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn adopt(&self, groups: Groups, gateway: &Gateway) -> Result<(), StoreError> {
        let (engine, sides) = (&gateway.engine, gateway.engine.store());
        let shards = sides.shards().filter(|shard| groups.has(Groups::of_shard(*shard)));
        sides.heard(shards).await;
        let told = match sides.as_shared() {
            Some(shared) => shared.remote().told(groups).await?,
            None => Vec::new(),
        };
        let told: HashMap<(Name, Side), Time> =
            told.into_iter().map(|(upstream, side, until)| ((upstream, side), until)).collect();
        let told_of = |upstream: &Name, side: &Side| told.get(&(upstream.clone(), side.clone())).copied();
        let mut found: BTreeMap<Side, Vec<LeaseView>> =
            told.keys().map(|(_, side)| (side.clone(), Vec::new())).collect();
        let mut asked = self.clock.now();
        for tenant in self.routes.load_full().tenants() {
            let listing = engine.leases(&Scope::tenant(tenant.clone()), self.clock.now(), usize::MAX).await;
            listing.failed.map_or(Ok(()), Err)?;
            for (side, lease) in listing.leases {
                if groups.has(Groups::of_shard(sides.shard_of(&side))) {
                    found.entry(side).or_default().push(lease);
                }
            }
        }
        loop {
            for (side, leases) in std::mem::take(&mut found) {
                let (mut state, now) = (self.lock(), self.clock.now());
                // It may have been given back meanwhile, and it may be known better by now.
                if state.charge.has(sides.shard_of(&side)) && !state.charge.touched.contains(&side) {
                    state.adopt(&self.routes.load(), &side, &leases, told_of, asked, now);
                }
            }
            let touched = {
                let mut state = self.lock();
                let touched = std::mem::take(&mut state.charge.touched);
                if touched.is_empty() {
                    state.charge.adopting = state.charge.adopting.without(groups);
                    break;
                }
                touched
            };
            asked = self.clock.now();
            for side in touched {
                let leases = leases_of(engine, &side, self.clock.now()).await?;
                found.insert(side, leases);
            }
        }
        self.rings.notify_one();
        Ok(())
    }

    /// This node answers for nothing any more, and leaves what shows to others.
    pub(crate) fn leave_all(&self, sides: &Sides) {
        let mut state = self.lock();
        state.charge.groups = Groups::default();
        state.charge.adopting = Groups::default();
        state.leave(|_| true);
        drop(state);
        self.follow(sides);
    }

    /// Whether a side's typing is this node's to tell.
    pub(crate) fn answers_for(&self, shard: usize) -> bool {
        self.lock().charge.has(shard)
    }

    /// This node may try an account's credential until then.
    pub(crate) fn permit(&self, upstream: UpstreamId, until: Time) {
        self.lock().pacer.permit(upstream, until);
        self.rings.notify_one();
    }

    /// Another node learned this of a credential.
    pub(crate) fn hear_credential(&self, name: &str, news: News) {
        let mut state = self.lock();
        let now = self.clock.now();
        let of_it: Vec<_> =
            state.accounts().filter(|(_, account)| account.mark() == name).map(|(id, _)| id).collect();
        of_it.into_iter().for_each(|id| state.pacer.hear(id, news, now));
        drop(state);
        self.rings.notify_one();
    }
}
