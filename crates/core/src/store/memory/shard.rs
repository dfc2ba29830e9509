//! A shard: its sides, found by hash, listed by tenant, agent and user, and filed under their deadlines.

use std::hash::RandomState;

use hashbrown::{HashMap, HashTable};
use slab::Slab;

use super::super::wheel::Wheel;
use super::super::{Due, Listing};
use crate::conversation::{Conversation, Name, Role, Scope, Side};
use crate::lease::SideState;
use crate::time::Time;

/// How many filings of sides that are gone a shard's wheel may hold beside one for each that is there.
pub(super) const STALE: usize = 1_024;

pub(super) struct Shard {
    pub(super) entries: Slab<Entry>,
    by_side: HashTable<u32>,
    /// Sides with leases: by tenant, by agent, by user.
    lists: [Index; 3],
    pub(super) wheel: Wheel,
    pub(super) sequence: u64,
}

pub(super) struct Entry {
    hash: u64,
    side: Side,
    pub(super) state: SideState,
    /// The moment it is filed under in the wheel; an item of the wheel under another moment is an old one.
    filed: Time,
    /// Where it stands in each list, so that it leaves them in constant time. A side is listed while it has leases.
    places: Option<[usize; 3]>,
}

impl Shard {
    pub(super) fn new(hasher: RandomState) -> Self {
        let index = || Index(HashMap::with_hasher(hasher.clone()));
        Self {
            entries: Slab::new(),
            by_side: HashTable::new(),
            lists: [index(), index(), index()],
            wheel: Wheel::new(),
            sequence: 0,
        }
    }

    pub(super) fn find(&self, hash: u64, side: &Side) -> Option<u32> {
        self.by_side.find(hash, |&slot| self.entries[slot as usize].side == *side).copied()
    }

    pub(super) fn insert(&mut self, hash: u64, side: Side, state: SideState) {
        let slot = u32::try_from(self.entries.vacant_key()).expect("a shard holds fewer than 2^32 sides");
        self.entries.insert(Entry { hash, side, state, filed: Time::MAX, places: None });
        self.by_side.insert_unique(hash, slot, |&slot| self.entries[slot as usize].hash);
        self.list_or_not(slot);
        self.file(slot);
    }

    pub(super) fn replace(&mut self, slot: u32, state: SideState) {
        self.entries[slot as usize].state = state;
        self.list_or_not(slot);
        self.file(slot);
    }

    pub(super) fn remove(&mut self, slot: u32) {
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

    pub(super) fn take_due(&mut self, now: Time, limit: usize, due: &mut Due) {
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

    pub(super) fn list(&self, scope: &Scope, now: Time, limit: usize, listing: &mut Listing) {
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

    pub(super) fn list_one(
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
                match role {
                    Role::Agent => listing.last_turns.agent = entry.state.last_turn(),
                    Role::User => listing.last_turns.user = entry.state.last_turn(),
                }
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
