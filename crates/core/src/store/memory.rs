//! The store of a single machine: shards behind a mutex each, made for millions of leases.
//!
//! A conversation's two sides share a shard. A shard keeps its sides in a slab, finds them by hash, lists them by
//! tenant, agent and user, and files their deadlines in one timing wheel. Start, extend and stop take constant time.
//! A side's filing is left where it is when its deadline moves later, and looked at again when it comes out.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashTable};
use slab::Slab;

use super::wheel::Wheel;
use super::{AsOf, Commit, Due, Feed, Listing, Position, Store, StoreError};
use crate::conversation::{Conversation, Name, Role, Scope, Side};
use crate::lease::SideState;
use crate::time::Time;
use crate::transition::{Decision, Outcome};

/// Enough that threads seldom meet; a power of two.
const SHARDS: usize = 64;

/// How many filings of sides that are gone a shard's wheel may hold beside one for each that is there.
const STALE: usize = 1_024;

/// Sides in this process's memory. They end with it.
pub struct MemoryStore<F> {
    shards: Box<[Mutex<Shard>]>,
    /// Keyed afresh for each store: the names are chosen by strangers.
    hasher: RandomState,
    sides: AtomicUsize,
    capacity: usize,
    feed: F,
}

impl<F: Feed> MemoryStore<F> {
    /// An empty store that holds up to `capacity` sides and publishes to `feed`.
    #[must_use]
    pub fn new(capacity: usize, feed: F) -> Self {
        let hasher = RandomState::new();
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::new(hasher.clone()))).collect();
        Self { shards, hasher, sides: AtomicUsize::new(0), capacity, feed }
    }

    /// How many sides it remembers now, with a lease or a fence.
    #[must_use]
    pub fn sides(&self) -> usize {
        self.sides.load(Ordering::Relaxed)
    }

    fn place_of(&self, conversation: &Conversation) -> (u64, usize) {
        let hash = self.hasher.hash_one(conversation);
        // The table below uses the top and the bottom bits; the middle ones choose the shard.
        (hash, (hash >> 32) as usize % SHARDS)
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        // A decision that panics changes nothing, so what the mutex guards is whole.
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, side: &Side, decide: impl Fn(&SideState) -> Decision) -> Result<Outcome, StoreError> {
        let (hash, number) = self.place_of(&side.conversation);
        let mut shard = self.lock(number);
        let slot = shard.find(hash, side);
        let decision = match slot {
            Some(slot) => decide(&shard.entries[slot as usize].state),
            None => decide(&SideState::default()),
        };
        let deadline = decision.next.deadline();
        match (slot, decision.next.is_empty()) {
            (Some(slot), true) => {
                shard.remove(slot);
                self.sides.fetch_sub(1, Ordering::Relaxed);
            }
            (Some(slot), false) => shard.replace(slot, decision.next),
            (None, true) => {}
            (None, false) => {
                if self.sides.fetch_add(1, Ordering::Relaxed) >= self.capacity {
                    self.sides.fetch_sub(1, Ordering::Relaxed);
                    return Err(StoreError::Full);
                }
                shard.insert(hash, side.clone(), decision.next);
            }
        }
        shard.sequence += 1;
        let position = Position { shard: number, sequence: shard.sequence };
        // Published under the lock: commits of a shard reach the feed in their order.
        self.feed.publish(Commit { side: side.clone(), changes: decision.changes, position, deadline });
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
        let (first, count) = match &conversation {
            Some(conversation) => (self.place_of(conversation).1, 1),
            None => (0, SHARDS),
        };
        let mut listing = Listing::default();
        let mut sequences = Vec::with_capacity(count);
        for number in first..first + count {
            let shard = self.lock(number);
            sequences.push(shard.sequence);
            match &conversation {
                Some(conversation) => {
                    shard.list_one(self.place_of(conversation).0, conversation, now, limit, &mut listing)
                }
                None => shard.list(scope, now, limit, &mut listing),
            }
            if listing.cut {
                break;
            }
        }
        listing.as_of = AsOf::new(first, sequences);
        listing
    }
}

impl<F: Feed> Store for MemoryStore<F> {
    async fn update(
        &self,
        side: &Side,
        _now: Time,
        decide: impl Fn(&SideState) -> Decision + Send + Sync,
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

struct Shard {
    entries: Slab<Entry>,
    by_side: HashTable<u32>,
    /// Sides with leases: by tenant, by agent, by user.
    lists: [Index; 3],
    wheel: Wheel,
    sequence: u64,
}

struct Entry {
    hash: u64,
    side: Side,
    state: SideState,
    /// The moment it is filed under in the wheel; an item of the wheel under another moment is an old one.
    filed: Time,
    /// Where it stands in each list, so that it leaves them in constant time. A side is listed while it has leases.
    places: Option<[usize; 3]>,
}

impl Shard {
    fn new(hasher: RandomState) -> Self {
        let index = || Index(HashMap::with_hasher(hasher.clone()));
        Self {
            entries: Slab::new(),
            by_side: HashTable::new(),
            lists: [index(), index(), index()],
            wheel: Wheel::new(),
            sequence: 0,
        }
    }

    fn find(&self, hash: u64, side: &Side) -> Option<u32> {
        self.by_side.find(hash, |&slot| self.entries[slot as usize].side == *side).copied()
    }

    fn insert(&mut self, hash: u64, side: Side, state: SideState) {
        let slot = u32::try_from(self.entries.vacant_key()).expect("a shard holds fewer than 2^32 sides");
        self.entries.insert(Entry { hash, side, state, filed: Time::MAX, places: None });
        self.by_side.insert_unique(hash, slot, |&slot| self.entries[slot as usize].hash);
        self.list_or_not(slot);
        self.file(slot);
    }

    fn replace(&mut self, slot: u32, state: SideState) {
        self.entries[slot as usize].state = state;
        self.list_or_not(slot);
        self.file(slot);
    }

    fn remove(&mut self, slot: u32) {
        self.entries[slot as usize].state = SideState::default();
        self.list_or_not(slot);
        let hash = self.entries.remove(slot as usize).hash;
        if let Ok(found) = self.by_side.find_entry(hash, |&held| held == slot) {
            found.remove();
        }
        // What it was filed under stays in the wheel until its moment, which may be long after.
        if self.wheel.len() > 2 * self.entries.len() + STALE {
            self.refile();
        }
    }

    /// Enters the side in the lists where it has leases, and takes it out where it has none.
    fn list_or_not(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        let keys = match (&entry.places, entry.state.leases.is_empty()) {
            (None, false) | (Some(_), true) => keys_of(&entry.side.conversation),
            _ => return,
        };
        let lists = self.lists.iter_mut().zip(&keys).enumerate();
        if let Some(places) = entry.places.take() {
            for (which, (list, key)) in lists {
                let moved = list.swap_remove(key, places[which]);
                if let Some(moved) = moved.and_then(|moved| self.entries[moved as usize].places.as_mut()) {
                    moved[which] = places[which];
                }
            }
        } else {
            let mut places = [0; 3];
            lists.for_each(|(which, (list, key))| places[which] = list.push(key.clone(), slot));
            entry.places = Some(places);
        }
    }

    /// Files the entry under its deadline, unless it will come out before that anyway.
    fn file(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        let deadline = entry.state.deadline().unwrap_or(Time::MAX);
        if deadline < entry.filed {
            entry.filed = deadline;
            self.wheel.file(deadline, slot);
        }
    }

    /// Files every entry anew, and nothing else.
    fn refile(&mut self) {
        self.wheel.clear();
        for (slot, entry) in &mut self.entries {
            entry.filed = entry.state.deadline().unwrap_or(Time::MAX);
            self.wheel.file(entry.filed, u32::try_from(slot).expect("a shard holds fewer than 2^32 sides"));
        }
    }

    fn take_due(&mut self, now: Time, limit: usize, due: &mut Due) {
        while due.sides.len() < limit {
            let Some(filed) = self.wheel.pop(now) else { return };
            let Some(entry) = self.entries.get_mut(filed.number as usize) else { continue };
            if entry.filed != filed.at {
                continue;
            }
            entry.filed = Time::MAX;
            if entry.state.deadline().is_some_and(|deadline| deadline <= now) {
                due.sides.push(entry.side.clone());
            } else {
                self.file(filed.number);
            }
        }
        due.cut = true;
    }

    fn list(&self, scope: &Scope, now: Time, limit: usize, listing: &mut Listing) {
        let tenant = &scope.tenant;
        let [by_tenant, by_agent, by_user] = &self.lists;
        let slots = match (&scope.user, &scope.agent) {
            (Some(user), _) => by_user.get(&(tenant.clone(), user.as_str().into())),
            (None, Some(agent)) => by_agent.get(&(tenant.clone(), agent.clone())),
            (None, None) => by_tenant.get(&(tenant.clone(), Name::default())),
        };
        for &slot in slots {
            if listing.cut {
                return;
            }
            let entry = &self.entries[slot as usize];
            if scope.covers(&entry.side.conversation) {
                entry.list(now, limit, listing);
            }
        }
    }

    fn list_one(
        &self,
        hash: u64,
        conversation: &Conversation,
        now: Time,
        limit: usize,
        listing: &mut Listing,
    ) {
        for role in Role::BOTH {
            let side = Side { conversation: conversation.clone(), role };
            if let Some(slot) = self.find(hash, &side) {
                let entry = &self.entries[slot as usize];
                entry.list(now, limit, listing);
                listing.last_turn = listing.last_turn.max(entry.state.last_turn());
            }
        }
    }
}

impl Entry {
    fn list(&self, now: Time, limit: usize, listing: &mut Listing) {
        for lease in self.state.leases.iter().filter(|lease| lease.expires_at() > now) {
            if listing.leases.len() == limit {
                listing.cut = true;
                return;
            }
            listing.leases.push((self.side.clone(), lease.view()));
        }
    }
}

/// A tenant, and one of its agents or users.
type Key = (Name, Name);

/// What a side is listed under: its tenant, its agent, its user.
fn keys_of(conversation: &Conversation) -> [Key; 3] {
    let tenant = conversation.tenant();
    [
        (tenant.clone(), Name::default()),
        (tenant.clone(), conversation.agent().clone()),
        (tenant.clone(), conversation.user().as_str().into()),
    ]
}

/// Lists of slots under a key.
struct Index(HashMap<Key, Vec<u32>, RandomState>);

impl Index {
    fn get(&self, key: &Key) -> &[u32] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    /// Adds the slot and says where it stands.
    fn push(&mut self, key: Key, slot: u32) -> usize {
        let slots = self.0.entry(key).or_default();
        slots.push(slot);
        slots.len() - 1
    }

    /// Removes what stands at `place`, and says which slot stands there now instead.
    fn swap_remove(&mut self, key: &Key, place: usize) -> Option<u32> {
        let slots = self.0.get_mut(key)?;
        slots.swap_remove(place);
        if slots.is_empty() {
            self.0.remove(key);
            return None;
        }
        slots.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::User;
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
                started_at: Time::from_millis(at),
                announced_until: claim.until,
                guard: std::time::Duration::ZERO,
                turn: None,
                origin: "test".into(),
                claims: smallvec::smallvec![claim],
            };
            for leases in [smallvec::smallvec![lease], smallvec::SmallVec::new()] {
                let outcome =
                    Outcome { verdict: Verdict::Ignored(IgnoreReason::Held), lease: None, last_turn: None };
                let next = SideState { leases, fence: None };
                let decide = |_: &SideState| Decision {
                    next: next.clone(),
                    outcome: outcome.clone(),
                    changes: crate::transition::Changes::new(),
                };
                store.commit(&side, decide).unwrap();
            }
        }
        let shard = store.lock(store.place_of(&conversation).1);
        assert!(shard.entries.is_empty() && shard.wheel.len() <= STALE, "{}", shard.wheel.len());
    }
}
