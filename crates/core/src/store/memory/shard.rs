//! A shard: its sides, found by hash, listed by agent and by user, and filed under their deadlines.

use hashbrown::HashTable;
use slab::Slab;

use super::super::wheel::{Mark, Wheel};
use super::super::{Due, Listing};
use super::address::{Texts, Who};
use super::lines::Lines;
use super::state::{State, States};
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
    states: States,
    /// Beside each entry, where it stands in the lists.
    links: Vec<Links>,
    /// Sides that have, or had, leases and are not in the lists yet: most are over before anybody asks for a list.
    unlisted: Vec<u32>,
    /// For each user of whom a side has leases, the first of those sides.
    by_user: HashTable<u32>,
    pub(super) wheel: Wheel,
    pub(super) sequence: u64,
}

/// A side. There are millions of them, and most of what is asked of one is answered by these 32 bytes.
pub(super) struct Entry {
    who: Who,
    state: State,
    line: u32,
    /// What it is filed under in the wheel, where it is: an item of the wheel under another mark is an old one.
    filed: Option<Mark>,
}

impl Entry {
    /// Whether it has leases and is not in the lists.
    fn is_unlisted(&self, states: &States) -> bool {
        !self.who.is_listed() && states.has_leases(&self.state)
    }
}

/// As [`Conversation::hash`] has it.
fn hash_of(entry: &Entry, lines: &Lines, texts: &Texts) -> u64 {
    hash_one((lines.hash(entry.line), texts.address(entry.who)))
}

/// Where a side that has leases stands among others that have.
#[derive(Clone, Copy)]
struct Links {
    /// Among those of its line.
    place: u32,
    /// The sides before and behind it among those of its user.
    neighbours: [u32; 2],
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
            self.texts.is(entry.who, address, role) && self.lines.hash(entry.line) == conversation.line_hash()
        };
        self.by_side.find(conversation.hash(), is_it).copied()
    }

    pub(super) fn state(&self, slot: u32) -> SideState {
        self.states.unpack(&self.entries[slot as usize].state)
    }

    pub(super) fn insert(&mut self, side: &Side, state: SideState, deadline: Option<Time>) {
        let conversation = &side.conversation;
        let is_composing = !state.leases.is_empty();
        let entry = Entry {
            who: self.texts.keep(conversation.address(), side.role),
            state: self.states.pack(state),
            line: self.lines.hold(conversation),
            filed: None,
        };
        if self.entries.len() == self.entries.capacity() {
            // Doubling would leave half of it unused at worst.
            self.entries.reserve_exact((self.entries.capacity() / 8).max(64));
        }
        if self.by_side.len() == self.by_side.capacity() {
            self.make_room();
        }
        let slot = u32::try_from(self.entries.insert(entry)).expect("a shard holds fewer than 2^32 sides");
        let Self { entries, lines, texts, by_side, .. } = self;
        by_side
            .insert_unique(conversation.hash(), slot, |&slot| hash_of(&entries[slot as usize], lines, texts));
        if is_composing {
            self.list_later(slot);
        }
        self.file(slot, deadline);
    }

    /// Makes a larger table. The entries are gone through in the order in which they are kept, which is many times as fast
    /// as in the order of the table that has become too small.
    fn make_room(&mut self) {
        let Self { entries, lines, texts, by_side, .. } = self;
        *by_side = HashTable::with_capacity((by_side.len() * 3 / 2).max(28));
        for (slot, entry) in &*entries {
            by_side.insert_unique(hash_of(entry, lines, texts), slot as u32, |&slot| {
                hash_of(&entries[slot as usize], lines, texts)
            });
        }
    }

    pub(super) fn replace(&mut self, slot: u32, state: SideState, deadline: Option<Time>) {
        let is_composing = !state.leases.is_empty();
        let entry = &mut self.entries[slot as usize];
        let was_composing = self.states.has_leases(&entry.state);
        self.states.forget(&entry.state);
        entry.state = self.states.pack(state);
        match (was_composing, is_composing) {
            (false, true) => self.list_later(slot),
            (true, false) => self.unlist(slot),
            _ => {}
        }
        self.file(slot, deadline);
    }

    pub(super) fn remove(&mut self, conversation: &Conversation, slot: u32) {
        self.unlist(slot);
        if let Ok(found) = self.by_side.find_entry(conversation.hash(), |&held| held == slot) {
            found.remove();
        }
        let entry = self.entries.remove(slot as usize);
        self.states.forget(&entry.state);
        self.texts.forget(entry.who);
        self.lines.release(entry.line);
        // What it was filed under stays in the wheel until its moment, which may be long after.
        if self.wheel.len() > 2 * self.entries.len() + STALE {
            self.refile();
        }
    }

    /// Has the side entered in the lists before the next is made.
    fn list_later(&mut self, slot: u32) {
        self.unlisted.push(slot);
        if self.unlisted.len() > 2 * self.entries.len() + STALE {
            // Most of them are over.
            let Self { entries, states, unlisted, .. } = self;
            let entries = entries.iter().map(|(slot, entry)| (slot as u32, entry));
            unlisted.clear();
            unlisted.extend(entries.filter(|(_, entry)| entry.is_unlisted(states)).map(|(slot, _)| slot));
        }
    }

    /// Brings the lists up to date.
    fn list_all(&mut self) {
        for slot in std::mem::take(&mut self.unlisted) {
            if self.entries.get(slot as usize).is_some_and(|entry| entry.is_unlisted(&self.states)) {
                self.list(slot);
            }
        }
    }

    /// Enters the side in the lists.
    fn list(&mut self, slot: u32) {
        let at = slot as usize;
        self.entries[at].who.set_listed(true);
        let (line, who) = (self.entries[at].line, self.entries[at].who);
        let links = Links { place: self.lines.list(line, slot), neighbours: [NONE; 2] };
        if self.links.len() <= at {
            self.links.resize(at + 1, links);
        }
        self.links[at] = links;
        let Self { entries, lines, texts, by_user, links, .. } = self;
        let (tenant, address) = (lines.get(line).tenant(), texts.address(who));
        let is_theirs = |&first: &u32| {
            let first = &entries[first as usize];
            texts.address(first.who) == address && lines.get(first.line).tenant() == tenant
        };
        let hash_of = |line, who| hash_one((lines.get(line).tenant_hash(), texts.address(who)));
        let hash = hash_of(line, who);
        match by_user.find(hash, is_theirs).copied() {
            Some(first) => {
                let second = std::mem::replace(&mut links[first as usize].neighbours[BEHIND], slot);
                links[at].neighbours = [first, second];
                if second != NONE {
                    links[second as usize].neighbours[BEFORE] = slot;
                }
            }
            None => {
                let hash_of =
                    |&first: &u32| hash_of(entries[first as usize].line, entries[first as usize].who);
                by_user.insert_unique(hash, slot, hash_of);
            }
        }
    }

    /// Takes the side out of the lists, where it is in them.
    fn unlist(&mut self, slot: u32) {
        let Entry { line, ref mut who, .. } = self.entries[slot as usize];
        if !who.is_listed() {
            return;
        }
        who.set_listed(false);
        let who = *who;
        let Links { place, neighbours: [before, behind] } = self.links[slot as usize];
        if let Some(moved) = self.lines.unlist(line, place) {
            self.links[moved as usize].place = place;
        }
        if behind != NONE {
            self.links[behind as usize].neighbours[BEFORE] = before;
        }
        if before != NONE {
            self.links[before as usize].neighbours[BEHIND] = behind;
            return;
        }
        // It was its user's first.
        let hash = hash_one((self.lines.get(line).tenant_hash(), self.texts.address(who)));
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
        if entry.filed.is_none_or(|filed| deadline < self.wheel.moment(filed)) {
            entry.filed = Some(self.wheel.file(deadline, slot));
        }
    }

    /// Files every entry anew, and nothing else.
    fn refile(&mut self) {
        self.wheel.clear();
        for (slot, entry) in &mut self.entries {
            let deadline = self.states.deadline(&entry.state).unwrap_or(Time::MAX);
            let slot = u32::try_from(slot).expect("a shard holds fewer than 2^32 sides");
            entry.filed = Some(self.wheel.file(deadline, slot));
        }
    }

    pub(super) fn take_due(&mut self, now: Time, limit: usize, due: &mut Due) {
        while due.sides.len() < limit {
            let Some(filed) = self.wheel.pop(now) else { return };
            let Some(entry) = self.entries.get_mut(filed.number as usize) else { continue };
            if entry.filed != Some(filed.mark) {
                continue;
            }
            entry.filed = None;
            let deadline = self.states.deadline(&entry.state);
            if deadline.is_some_and(|deadline| deadline <= now) {
                let side = self.side(filed.number);
                due.sides.push(side);
            } else {
                self.file(filed.number, deadline);
            }
        }
        due.cut = true;
    }

    pub(super) fn list_scope(&mut self, scope: &Scope, now: Time, limit: usize, listing: &mut Listing) {
        self.list_all();
        if let Some(user) = &scope.user {
            let mut slot = self.first_of(&scope.tenant, user);
            while slot != NONE && !listing.cut {
                let entry = &self.entries[slot as usize];
                if self.lines.get(entry.line).is_in(scope) {
                    self.list_leases(slot, now, limit, listing);
                }
                slot = self.links[slot as usize].neighbours[BEHIND];
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
            self.texts.address(first.who) == address && self.lines.get(first.line).tenant() == tenant
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
        Side { conversation: self.conversation(entry), role: entry.who.role() }
    }

    fn conversation(&self, entry: &Entry) -> Conversation {
        self.lines.conversation(entry.line, self.texts.user(entry.who))
    }

    /// Bytes taken by the sides, and by what they are listed by.
    pub(super) fn footprint(&self) -> [usize; 2] {
        let [called, listed] = self.lines.footprint();
        let sides = self.entries.capacity() * size_of::<Option<Entry>>() + self.by_side.allocation_size();
        [
            sides + called + self.states.footprint() + self.texts.footprint() + self.wheel.footprint(),
            self.links.capacity() * size_of::<Links>()
                + self.unlisted.capacity() * size_of::<u32>()
                + listed
                + self.by_user.allocation_size(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;
    use crate::lease::{Claim, Fence, Lease};
    use crate::signal::Source;

    #[test]
    fn a_side_takes_32_bytes() {
        assert_eq!(size_of::<Option<Entry>>(), 32);
    }

    fn side(tenant: usize, agent: usize, user: usize, role: usize) -> Side {
        let user = User::new(["+1", "+14155550123", "visitor"][user % 3]);
        let conversation =
            Conversation::new(["acme", "other"][tenant % 2], "rcs", format!("bot-{agent}"), user);
        Side { conversation, role: Role::BOTH[role % 2] }
    }

    /// Nothing; a lease that takes few bytes; one that does not; a fence alone.
    fn state(kind: usize) -> SideState {
        let claim = Claim { source: Source::OneShot, until: Time::from_millis(9_000) };
        let lease = Lease {
            participant: (kind == 2).then(|| "ada".into()),
            name: None,
            started_at: Time::from_millis(1),
            announced_until: claim.until,
            guard: Duration::ZERO,
            turn: None,
            origin: "test".into(),
            claims: smallvec![claim],
        };
        match kind {
            1 | 2 => SideState { leases: smallvec![lease], fence: None },
            3 => SideState { leases: smallvec![], fence: Some(Box::new(Fence::default())) },
            _ => SideState::default(),
        }
    }

    fn put(shard: &mut Shard, side: &Side, state: SideState) {
        let deadline = state.deadline();
        match (shard.find(&side.conversation, side.role), state.is_empty()) {
            (Some(slot), true) => shard.remove(&side.conversation, slot),
            (Some(slot), false) => shard.replace(slot, state, deadline),
            (None, true) => {}
            (None, false) => shard.insert(side, state, deadline),
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_the_lists_have_what_lives(
            steps in prop::collection::vec((0..2_usize, 0..4_usize, 0..3_usize, 0..2_usize, 0..4_usize, 0..12_usize), 1..200),
        ) {
            let (mut shard, mut model) = (Shard::default(), BTreeMap::new());
            for (tenant, agent, user, role, kind, asked) in steps {
                let side = side(tenant, agent, user, role);
                put(&mut shard, &side, state(kind));
                model.insert(side.clone(), kind);
                let one = Scope::one(&side.conversation);
                let scope = match asked {
                    0 => Scope { agent: None, user: None, ..one },
                    1 => Scope { user: None, ..one },
                    2 => Scope { agent: None, ..one },
                    3 => Scope { channel: Some("other".into()), ..one },
                    // Most of the time nobody asks.
                    _ => continue,
                };
                let mut listing = Listing::default();
                shard.list_scope(&scope, Time::ZERO, 1_000, &mut listing);
                let mut listed: Vec<Side> = listing.leases.into_iter().map(|(side, _)| side).collect();
                listed.sort();
                let lives = model.iter().filter(|(side, kind)| matches!(kind, 1 | 2) && scope.covers(&side.conversation));
                prop_assert_eq!(listed, lives.map(|(side, _)| side.clone()).collect::<Vec<_>>());
            }
            for side in model.keys() {
                put(&mut shard, side, SideState::default());
            }
            prop_assert!(shard.entries.is_empty() && shard.by_side.is_empty() && shard.by_user.is_empty());
            prop_assert!(shard.lines.is_empty() && shard.states.is_empty() && shard.texts.is_empty());
        }
    }

    #[test]
    fn what_came_and_went_takes_no_room_and_hides_nobody() {
        let mut shard = Shard::default();
        let stays = side(0, 0, 0, 0);
        put(&mut shard, &stays, state(1));
        for _ in 0..10_000 {
            put(&mut shard, &side(0, 1, 1, 0), state(1));
            put(&mut shard, &side(0, 1, 1, 0), state(0));
        }
        assert!(shard.unlisted.len() <= STALE + 2, "{}", shard.unlisted.len());
        let mut listing = Listing::default();
        shard.list_scope(&Scope::tenant("acme"), Time::ZERO, 10, &mut listing);
        assert_eq!(listing.leases.into_iter().map(|(side, _)| side).collect::<Vec<_>>(), [stays]);
    }

    #[test]
    fn one_user_may_talk_to_thousands() {
        let mut shard = Shard::default();
        for agent in 0..5_000 {
            put(&mut shard, &side(0, agent, 1, 0), state(1));
        }
        for agent in 0..5_000 {
            let side = side(0, agent, 1, 0);
            let slot = shard.find(&side.conversation, side.role).unwrap();
            assert_eq!(shard.side(slot), side);
        }
    }
}
