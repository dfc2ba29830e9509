//! A shard: its sides, found by hash, listed by agent and by user, and filed under their deadlines.

use hashbrown::HashTable;
use slab::Slab;

use super::super::wheel::{Mark, Wheel};
use super::super::{Due, Listing};
use super::address::{Kept, Texts};
use super::lines::Lines;
use super::state::{Origins, State};
use crate::conversation::{Conversation, Name, Role, Scope, Side, User, hash_one};
use crate::lease::SideState;
use crate::time::Time;

/// How many filings of sides that are gone a shard's wheel may hold beside one for each that is there.
pub(super) const STALE: usize = 1_024;

#[derive(Default)]
pub(super) struct Shard {
    pub(super) entries: Slab<Entry>,
    by_side: HashTable<u32>,
    lines: Lines,
    texts: Texts,
    origins: Origins,
    /// For each user of whom a side has leases, the first of those sides.
    by_user: HashTable<u32>,
    pub(super) wheel: Wheel,
    pub(super) sequence: u64,
}

/// A side. There are millions of them.
pub(super) struct Entry {
    state: State,
    user: Kept,
    line: u32,
    /// What it is filed under in the wheel, where it is: an item of the wheel under another mark is an old one.
    filed: Mark,
    /// Where it stands among those of its line that have leases.
    place: u32,
    /// The sides before and behind it among those of its user that have leases.
    neighbours: [u32; 2],
    role: Role,
    is_filed: bool,
    is_listed: bool,
}

/// No slot.
const NONE: u32 = u32::MAX;

const BEFORE: usize = 0;
const BEHIND: usize = 1;

impl Shard {
    pub(super) fn find(&self, conversation: &Conversation, role: Role) -> Option<u32> {
        let address = conversation.address();
        let is_it = |&slot: &u32| {
            let entry = &self.entries[slot as usize];
            entry.role == role
                && self.texts.address(entry.user) == address
                && self.lines.get(entry.line).is_of(conversation)
        };
        self.by_side.find(conversation.hash(), is_it).copied()
    }

    pub(super) fn state(&self, slot: u32) -> SideState {
        self.entries[slot as usize].state.unpack(&self.origins)
    }

    pub(super) fn insert(&mut self, side: &Side, state: SideState) {
        let conversation = &side.conversation;
        let deadline = state.deadline();
        let entry = Entry {
            state: State::pack(state, &mut self.origins),
            user: self.texts.keep(conversation.address()),
            line: self.lines.hold(conversation),
            filed: Mark::default(),
            place: NONE,
            neighbours: [NONE; 2],
            role: side.role,
            is_filed: false,
            is_listed: false,
        };
        if self.entries.len() == self.entries.capacity() {
            // Doubling would leave half of it unused at worst.
            self.entries.reserve_exact((self.entries.capacity() / 8).max(64));
        }
        let slot = u32::try_from(self.entries.insert(entry)).expect("a shard holds fewer than 2^32 sides");
        let Self { entries, lines, texts, .. } = self;
        let hash_of = |&slot: &u32| {
            let entry = &entries[slot as usize];
            hash_one((lines.get(entry.line).hash(), texts.address(entry.user)))
        };
        self.by_side.insert_unique(conversation.hash(), slot, hash_of);
        self.list_or_not(slot);
        self.file(slot, deadline);
    }

    pub(super) fn replace(&mut self, slot: u32, state: SideState) {
        let deadline = state.deadline();
        self.entries[slot as usize].state = State::pack(state, &mut self.origins);
        self.list_or_not(slot);
        self.file(slot, deadline);
    }

    pub(super) fn remove(&mut self, conversation: &Conversation, slot: u32) {
        self.unlist(slot);
        if let Ok(found) = self.by_side.find_entry(conversation.hash(), |&held| held == slot) {
            found.remove();
        }
        let entry = self.entries.remove(slot as usize);
        self.texts.forget(entry.user);
        self.lines.release(entry.line);
        // What it was filed under stays in the wheel until its moment, which may be long after.
        if self.wheel.len() > 2 * self.entries.len() + STALE {
            self.refile();
        }
    }

    /// Enters the side in the lists where it has leases, and takes it out where it has none.
    fn list_or_not(&mut self, slot: u32) {
        if self.entries[slot as usize].state.has_leases() {
            self.list(slot);
        } else {
            self.unlist(slot);
        }
    }

    fn list(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        if entry.is_listed {
            return;
        }
        entry.is_listed = true;
        entry.place = self.lines.list(entry.line, slot);
        let (line, user) = (entry.line, entry.user);
        let Self { entries, lines, texts, by_user, .. } = self;
        let (tenant, address) = (lines.get(line).tenant(), texts.address(user));
        let is_theirs = |&first: &u32| {
            let first = &entries[first as usize];
            texts.address(first.user) == address && lines.get(first.line).tenant() == tenant
        };
        let hash_of = |line, user| hash_one((lines.get(line).tenant_hash(), texts.address(user)));
        let hash = hash_of(line, user);
        match by_user.find(hash, is_theirs).copied() {
            Some(first) => {
                let second = std::mem::replace(&mut entries[first as usize].neighbours[BEHIND], slot);
                entries[slot as usize].neighbours = [first, second];
                if second != NONE {
                    entries[second as usize].neighbours[BEFORE] = slot;
                }
            }
            None => {
                let hash_of = |&first: &u32| {
                    let first = &entries[first as usize];
                    hash_of(first.line, first.user)
                };
                by_user.insert_unique(hash, slot, hash_of);
            }
        }
    }

    fn unlist(&mut self, slot: u32) {
        let entry = &mut self.entries[slot as usize];
        if !entry.is_listed {
            return;
        }
        entry.is_listed = false;
        let [before, behind] = std::mem::replace(&mut entry.neighbours, [NONE; 2]);
        let (line, user, place) = (entry.line, entry.user, entry.place);
        if let Some(moved) = self.lines.unlist(line, place) {
            self.entries[moved as usize].place = place;
        }
        if behind != NONE {
            self.entries[behind as usize].neighbours[BEFORE] = before;
        }
        if before != NONE {
            self.entries[before as usize].neighbours[BEHIND] = behind;
            return;
        }
        // It was its user's first.
        let hash = hash_one((self.lines.get(line).tenant_hash(), self.texts.address(user)));
        if let Ok(mut found) = self.by_user.find_entry(hash, |&first| first == slot) {
            if behind == NONE {
                found.remove();
            } else {
                *found.get_mut() = behind;
            }
        }
    }

    /// Files the entry under its deadline, unless it will come out before that anyway.
    fn file(&mut self, slot: u32, deadline: Option<Time>) {
        let entry = &mut self.entries[slot as usize];
        let deadline = deadline.unwrap_or(Time::MAX);
        if !entry.is_filed || deadline < self.wheel.moment(entry.filed) {
            entry.is_filed = true;
            entry.filed = self.wheel.file(deadline, slot);
        }
    }

    /// Files every entry anew, and nothing else.
    fn refile(&mut self) {
        self.wheel.clear();
        for (slot, entry) in &mut self.entries {
            let deadline = entry.state.deadline(&self.origins).unwrap_or(Time::MAX);
            let slot = u32::try_from(slot).expect("a shard holds fewer than 2^32 sides");
            entry.filed = self.wheel.file(deadline, slot);
        }
    }

    pub(super) fn take_due(&mut self, now: Time, limit: usize, due: &mut Due) {
        while due.sides.len() < limit {
            let Some(filed) = self.wheel.pop(now) else { return };
            let Some(entry) = self.entries.get_mut(filed.number as usize) else { continue };
            if !entry.is_filed || entry.filed != filed.mark {
                continue;
            }
            entry.is_filed = false;
            let deadline = entry.state.deadline(&self.origins);
            if deadline.is_some_and(|deadline| deadline <= now) {
                let side = self.side(filed.number);
                due.sides.push(side);
            } else {
                self.file(filed.number, deadline);
            }
        }
        due.cut = true;
    }

    pub(super) fn list_scope(&self, scope: &Scope, now: Time, limit: usize, listing: &mut Listing) {
        if let Some(user) = &scope.user {
            let mut slot = self.first_of(&scope.tenant, user);
            while slot != NONE && !listing.cut {
                let entry = &self.entries[slot as usize];
                if self.lines.get(entry.line).is_in(scope) {
                    self.list_leases(slot, now, limit, listing);
                }
                slot = entry.neighbours[BEHIND];
            }
            return;
        }
        for &slot in self.lines.of(scope).flat_map(|line| &line.composing) {
            if listing.cut {
                return;
            }
            self.list_leases(slot, now, limit, listing);
        }
    }

    pub(super) fn list_one(
        &self,
        conversation: &Conversation,
        now: Time,
        limit: usize,
        listing: &mut Listing,
    ) {
        for role in Role::BOTH {
            if let Some(slot) = self.find(conversation, role) {
                self.list_leases(slot, now, limit, listing);
                match role {
                    Role::Agent => listing.last_turns.agent = self.state(slot).last_turn(),
                    Role::User => listing.last_turns.user = self.state(slot).last_turn(),
                }
            }
        }
    }

    /// The first side of the user's that has leases.
    fn first_of(&self, tenant: &Name, user: &User) -> u32 {
        let address = user.address();
        let is_theirs = |&first: &u32| {
            let first = &self.entries[first as usize];
            self.texts.address(first.user) == address && self.lines.get(first.line).tenant() == tenant
        };
        let hash = hash_one((hash_one(tenant), address));
        self.by_user.find(hash, is_theirs).copied().unwrap_or(NONE)
    }

    fn list_leases(&self, slot: u32, now: Time, limit: usize, listing: &mut Listing) {
        for lease in self.state(slot).leases.iter().filter(|lease| lease.expires_at() > now) {
            if listing.leases.len() == limit {
                listing.cut = true;
                return;
            }
            listing.leases.push((self.side(slot), lease.view()));
        }
    }

    fn side(&self, slot: u32) -> Side {
        let entry = &self.entries[slot as usize];
        Side { conversation: self.conversation(entry), role: entry.role }
    }

    fn conversation(&self, entry: &Entry) -> Conversation {
        self.lines.get(entry.line).conversation(self.texts.user(entry.user))
    }

    /// Bytes taken by the sides, and by what they are listed by.
    pub(super) fn footprint(&self) -> [usize; 2] {
        let [called, listed] = self.lines.footprint();
        let beside = self.entries.iter().map(|(_, entry)| entry.state.footprint()).sum::<usize>();
        let links = size_of::<u32>() + size_of::<[u32; 2]>();
        let sides = self.entries.capacity() * (size_of::<Option<Entry>>() - links);
        [
            sides
                + beside
                + called
                + self.by_side.allocation_size()
                + self.texts.footprint()
                + self.wheel.footprint(),
            self.entries.capacity() * links + listed + self.by_user.allocation_size(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_takes_56_bytes_beside_how_it_is_found() {
        assert_eq!(size_of::<Option<Entry>>(), 56);
    }
}
