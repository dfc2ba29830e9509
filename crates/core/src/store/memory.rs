//! The store of a single machine: shards behind a mutex each, made for millions of leases.
//!
//! A conversation's two sides share a shard. A shard keeps its sides in an open table, lists them by agent and by
//! user, and files their deadlines in one timing wheel. Start, extend and stop take constant time.
//! A side's filing is left where it is when its deadline moves later, and looked at again when it comes out.
//!
//! What most sides have is kept in few bytes: an agent's names once for all its conversations (`lines`), a phone
//! number as a number (`address`), a lease of one call as 13 bytes (`state`).

mod address;
mod heads;
mod lines;
mod lists;
mod shard;
mod state;
mod table;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{AsOf, Commit, Due, Feed, Listing, Position, Presence, Store, StoreError};
use crate::conversation::{Conversation, Scope, Side};
use crate::lease::SideState;
use crate::time::Time;
use crate::transition::{Decision, Outcome};
use shard::Shard;

/// Enough that threads seldom meet; a power of two.
const SHARDS: usize = 64;

/// Sides in this process's memory. They end with it.
pub struct MemoryStore<F> {
    shards: Box<[Mutex<Shard>]>,
    sides: AtomicUsize,
    capacity: usize,
    feed: F,
}

/// How much memory a store has taken, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The sides: what they are called, what is live and until when, how they are found, and when they are due.
    pub sides: usize,
    /// What they are listed by: agents and users.
    pub lookups: usize,
}

impl<F: Feed> MemoryStore<F> {
    /// An empty store that holds up to `capacity` sides and publishes to `feed`.
    #[must_use]
    pub fn new(capacity: usize, feed: F) -> Self {
        let shards = (0..SHARDS).map(|number| Mutex::new(Shard::one_of(SHARDS, number))).collect();
        Self { shards, sides: AtomicUsize::new(0), capacity, feed }
    }

    /// How many sides it remembers now, with a lease or a fence.
    #[must_use]
    pub fn sides(&self) -> usize {
        self.sides.load(Ordering::Relaxed)
    }

    /// How much memory it has taken.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        let of_shards = (0..SHARDS).map(|number| self.lock(number).footprint());
        of_shards.fold(Footprint::default(), |all, [sides, lookups]| Footprint {
            sides: all.sides + sides,
            lookups: all.lookups + lookups,
        })
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        // A decision that panics changes nothing, so what the mutex guards is whole.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, side: &Side, decide: impl Fn(SideState) -> Decision) -> Result<Outcome, StoreError> {
        let number = shard_of(&side.conversation);
        let mut shard = self.lock(number);
        let place = shard.find(&side.conversation, side.role);
        let state = place.map_or_else(SideState::default, |place| shard.state(place));
        let mut decision = decide(state);
        let (presence, deadline) = match (place, decision.next.is_empty()) {
            (Some(place), true) => {
                shard.remove(&side.conversation, place);
                self.sides.fetch_sub(1, Ordering::Relaxed);
                (Presence::Vanished, None)
            }
            (Some(place), false) => (Presence::Unchanged, shard.replace(place, &mut decision.next)),
            (None, true) => (Presence::Unchanged, None),
            (None, false) => {
                if self.sides.fetch_add(1, Ordering::Relaxed) >= self.capacity {
                    self.sides.fetch_sub(1, Ordering::Relaxed);
                    return Err(StoreError::Full);
                }
                (Presence::Appeared, shard.insert(side, &mut decision.next))
            }
        };
        shard.sequence += 1;
        let position = Position { shard: number, sequence: shard.sequence };
        // Published under the lock: commits of a shard reach the feed in their order.
        self.feed.publish(Commit {
            side: side.clone(),
            changes: decision.changes,
            position,
            deadline,
            presence,
            is_ours: true,
        });
        Ok(decision.outcome)
    }

    fn take_due(&self, now: Time, limit: usize) -> Due {
        let mut due = Due::default();
        for number in 0..SHARDS {
            let mut shard = self.lock(number);
            shard.take_due(now, limit, &mut due);
            let next = shard.wheel.next();
            due.next = [due.next, next].into_iter().flatten().min();
        }
        due
    }

    fn list(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        let conversation = scope.as_conversation();
        let (first, count) = conversation.as_ref().map_or((0, SHARDS), |one| (shard_of(one), 1));
        let mut listing = Listing::default();
        let mut sequences = Vec::with_capacity(count);
        for number in first..first + count {
            let mut shard = self.lock(number);
            sequences.push(shard.sequence);
            match &conversation {
                Some(conversation) => shard.list_one(conversation, now, limit, &mut listing),
                None => shard.list_scope(scope, now, limit, &mut listing),
            }
            if listing.cut {
                break;
            }
        }
        listing.as_of = AsOf::new(first, sequences);
        listing
    }
}

/// Where a conversation is. A shard's own table uses the top and the bottom bits.
fn shard_of(conversation: &Conversation) -> usize {
    (conversation.hash() >> 32) as usize % SHARDS
}

impl<F: Feed> Store for MemoryStore<F> {
    async fn update(
        &self,
        side: &Side,
        _now: Time,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        self.commit(side, decide)
    }

    async fn due(&self, now: Time, limit: usize) -> Due {
        self.take_due(now, limit)
    }

    async fn leases(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        self.list(scope, now, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::shard::STALE;
    use super::*;
    use crate::conversation::{Role, User};
    use crate::lease::{Claim, Lease};
    use crate::signal::Source;
    use crate::transition::{IgnoreReason, Outcome, Verdict};

    struct Nobody;

    impl Feed for Nobody {
        fn publish(&self, _: Commit) {}
    }

    #[test]
    fn what_is_filed_of_sides_that_are_gone_is_bounded() {
        let store = MemoryStore::new(10, Nobody);
        let conversation = Conversation::new("acme", "rcs", "bot", User::new("+1"));
        let side = Side { conversation: conversation.clone(), role: Role::Agent };
        for at in 0..100_000 {
            let claim = Claim { source: Source::OneShot, until: Time::from_millis(at + 60_000) };
            let lease = Lease {
                participant: None,
                name: None,
                started_at: Time::from_millis(at),
                announced_until: claim.until,
                guard: std::time::Duration::ZERO,
                turn: None,
                origin: "test".into(),
                claims: smallvec::smallvec![claim],
            };
            for leases in [smallvec::smallvec![lease], smallvec::SmallVec::new()] {
                let outcome = Outcome {
                    verdict: Verdict::Ignored(IgnoreReason::Held),
                    lease: None,
                    last_turn: None,
                    is_local: false,
                };
                let next = SideState { leases, fence: None };
                let decide = |_: SideState| Decision {
                    next: next.clone(),
                    outcome: outcome.clone(),
                    changes: crate::transition::Changes::new(),
                };
                store.commit(&side, decide).unwrap();
            }
        }
        let shard = store.lock(shard_of(&conversation));
        assert!(shard.sides.is_empty() && shard.wheel.len() <= STALE, "{}", shard.wheel.len());
    }
}
