//! A store that several nodes share, with what this node remembers of it.
//!
//! The store learns of edges, not of keystrokes: where this node knows a live lease, a repeat that only makes it last
//! longer is answered from memory, and the later end is brought to the store once, shortly before the announced one. If
//! the node dies before, the lease lapses when everybody was told it would.
//!
//! While the store is out of reach, the node decides alone on what it remembers, and says so; what came of that is
//! brought to the store when it is back.
//!
//! What is remembered is relied on only while the shard is heard, so that whatever others commit is known here, too.
//! Anything else is decided on what the store has.

mod aside;
mod ended;
mod entry;
mod extension;
mod hearing;
mod listing;
mod memory;
mod table;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use memory::{Answer, Followed, Made};
pub use memory::{NodeMemory, Tally};

use super::remote::{Audience, Remote};
use super::{Due, Listing, Store, StoreError};
use crate::conversation::{Conversation, Name, Scope, Side};
use crate::lease::SideState;
use crate::policy::Policy;
use crate::time::Time;
use crate::transition::{Decision, Outcome};

/// How many sides are brought to the store in one go: what is decided of the last of them is decided for the time at which
/// the first one was looked at.
const AT_ONCE: usize = 1;

/// What a node does while the store is out of reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenAway {
    /// It decides alone, on what it remembers.
    #[default]
    Serve,
    /// It refuses.
    Refuse,
}

/// A store elsewhere, seen from a node that remembers.
pub struct NearStore<R, A> {
    remote: R,
    memory: Arc<NodeMemory<A>>,
    policy: Policy,
    when_away: WhenAway,
}

impl<R: Remote, A: Audience> NearStore<R, A> {
    /// Looks at `remote`, whose audience must be this `memory`.
    pub fn new(remote: R, memory: Arc<NodeMemory<A>>, policy: Policy, when_away: WhenAway) -> Self {
        Self { remote, memory, policy, when_away }
    }

    /// The store itself.
    pub fn remote(&self) -> &R {
        &self.remote
    }

    /// What is done while it is out of reach.
    #[must_use]
    pub fn when_away(&self) -> WhenAway {
        self.when_away
    }

    /// How many leases this node vouches for.
    #[must_use]
    pub fn leases_here(&self) -> usize {
        self.memory.leases()
    }

    /// How many sides are remembered here.
    #[must_use]
    pub fn sides(&self) -> usize {
        self.memory.sides()
    }

    /// What this node vouches for of a tenant's.
    #[must_use]
    pub fn tally(&self, tenant: &Name) -> Tally {
        self.memory.tally(tenant)
    }

    /// The sides of which the store has still something to learn.
    #[must_use]
    pub fn unsettled(&self) -> Vec<Side> {
        self.memory.dirty()
    }

    /// Brings what the store has still to learn of a side.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it could not be brought.
    pub async fn bring(&self, side: &Side, now: Time) -> Result<(), StoreError> {
        self.settle(side, now).await
    }

    /// Makes one of what the store has of a side and what this node has.
    async fn settle(&self, side: &Side, now: Time) -> Result<(), StoreError> {
        let shard = self.remote.shard_of(&side.conversation);
        let local = self.memory.begin_settling(shard, side, now);
        let committed = Mutex::new(None);
        let result = self.remote.update(side, now, |stored| {
            let decision = local.decide(stored, now, |here| local.reconcile(&here, now, &self.policy));
            let made = Made { next: decision.next.clone(), count: self.memory.count() };
            *committed.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
            decision
        });
        let result = result.await;
        let committed = committed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let settled = committed.filter(|_| result.is_ok());
        self.memory.end_settling(shard, side, &local, settled, self.followed(shard));
        self.note(&result);
        self.follow(shard);
        result.map(|_| ())
    }

    /// Decides without the store, where that is the fault and it is wanted.
    fn decide_alone(
        &self,
        error: StoreError,
        side: &Side,
        now: Time,
        decide: impl Fn(SideState) -> Decision,
    ) -> Result<Outcome, StoreError> {
        if error != StoreError::Unavailable || self.when_away == WhenAway::Refuse {
            return Err(error);
        }
        let shard = self.remote.shard_of(&side.conversation);
        self.memory.decide(shard, side, now, &self.policy, decide)
    }

    fn note<T>(&self, result: &Result<T, StoreError>) {
        self.memory.note_away(matches!(result, Err(StoreError::Unavailable)));
    }

    fn followed(&self, shard: usize) -> Followed {
        Followed { hears: self.remote.hears(shard), is_behind: self.remote.is_behind(shard) }
    }

    /// Follows a shard in which this node vouches for something, and no other.
    fn follow(&self, shard: usize) {
        match self.memory.must_follow(shard) {
            Some(true) => self.remote.follow(shard),
            Some(false) => self.remote.unfollow(shard),
            None => {}
        }
    }
}

impl<R: Remote, A: Audience> Store for NearStore<R, A> {
    async fn update(
        &self,
        side: &Side,
        now: Time,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        let shard = self.remote.shard_of(&side.conversation);
        if self.remote.hears(shard)
            && let Some(outcome) = self.memory.answer(shard, side, now, &decide)
        {
            return Ok(outcome);
        }
        if self.memory.is_aside(shard, side)
            && let Err(error) = self.settle(side, now).await
        {
            return self.decide_alone(error, side, now, &decide);
        }
        let local = self.memory.recall(shard, side, now);
        let committed = Mutex::new(None);
        let result = self.remote.update(side, now, |stored| {
            let decision = local.decide(stored, now, &decide);
            let made = Made { next: decision.next.clone(), count: self.memory.count() };
            *committed.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
            decision
        });
        let result = result.await;
        self.note(&result);
        match result {
            Ok(outcome) => {
                let made = committed.into_inner().unwrap_or_else(PoisonError::into_inner).unwrap_or_default();
                let followed = self.followed(shard);
                self.memory.keep(shard, side, &local, Answer { made, outcome: &outcome, followed });
                self.follow(shard);
                Ok(outcome)
            }
            Err(error) => self.decide_alone(error, side, now, &decide),
        }
    }

    async fn due(&self, now: Time, limit: usize) -> Due {
        let mut due = self.remote.due(now, limit).await;
        self.memory.note_away(due.failed == Some(StoreError::Unavailable));
        if due.failed.is_none() {
            let aside = self.memory.aside(limit.min(AT_ONCE));
            due.cut |= aside.len() == AT_ONCE;
            for side in aside {
                due.failed = self.settle(&side, now).await.err().or(due.failed);
            }
        }
        // They are due for what was not told, where they are not for what is known here.
        for side in &due.sides {
            self.memory.doubt(self.remote.shard_of(&side.conversation), side);
        }
        let (sides, cut) = self.memory.take_due(now, limit);
        let found: HashSet<Side> = due.sides.iter().cloned().collect();
        due.sides.extend(sides.into_iter().filter(|side| !found.contains(side)));
        due.cut |= cut;
        due.next = due.next.into_iter().chain(self.memory.next()).min();
        for shard in self.memory.shards() {
            self.follow(shard);
        }
        due
    }

    async fn leases(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        let shards = self.remote.shards_of(scope);
        let dirty = self.memory.dirty_in(shards.clone(), scope);
        let mut listing = self.remote.leases(scope, now, limit).await;
        if listing.failed.is_some() {
            self.memory.note_away(true);
            if self.when_away == WhenAway::Serve {
                self.memory.list(shards, scope, now, limit, &mut listing);
            }
        } else {
            self.memory.correct(dirty, shards, scope, now, limit, &mut listing);
        }
        listing
    }
}

impl<R: Remote, A: Audience> Remote for NearStore<R, A> {
    fn shard_of(&self, conversation: &Conversation) -> usize {
        self.remote.shard_of(conversation)
    }

    fn shards_of(&self, scope: &Scope) -> std::ops::Range<usize> {
        self.remote.shards_of(scope)
    }

    fn follow(&self, shard: usize) {
        self.remote.follow(shard);
    }

    fn unfollow(&self, shard: usize) {
        self.remote.unfollow(shard);
    }

    fn hears(&self, shard: usize) -> bool {
        self.remote.hears(shard)
    }

    fn is_behind(&self, shard: usize) -> bool {
        self.remote.is_behind(shard)
    }
}
