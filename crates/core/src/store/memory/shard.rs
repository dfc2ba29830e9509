//! A shard: its sides, found by hash, listed by agent and by user, and filed under their deadlines.

use super::super::wheel::{Filed, Wheel};
use super::super::{Due, Listing};
use super::address::{Texts, Who};
use super::lines::Lines;
use super::lists::Lists;
use super::state::States;
use super::table::{Entry, Number, Table};
use crate::conversation::{Address, Conversation, Role, Side};
use crate::lease::SideState;
use crate::time::Time;

/// How many filings of sides that are gone a shard's wheel may hold beside one for each that is there.
pub(super) const STALE: usize = 256;

/// How many of those that are due are looked for at once.
const TOGETHER: usize = 16;

#[derive(Default)]
pub(super) struct Shard {
    pub(super) sides: Table,
    pub(super) lines: Lines,
    pub(super) texts: Texts,
    pub(super) states: States,
    pub(super) lists: Lists,
    pub(super) wheel: Wheel,
    pub(super) sequence: u64,
}

impl Shard {
    pub(super) fn one_of(shards: usize, number: usize) -> Self {
        Self { sides: Table::one_of(shards, number), ..Self::default() }
    }

    pub(super) fn find(&self, conversation: &Conversation, role: Role) -> Option<u32> {
        let line = self.lines.find(conversation)?;
        let number = Number::of(conversation);
        match conversation.address() {
            Address::Phone(phone) => {
                let who = Who::phone(phone, role);
                self.sides.find(number, |entry| entry.who.is(who) & (entry.line == line))
            }
            address => {
                let is_it = |entry: &Entry| entry.line == line && self.texts.is(entry.who, address, role);
                self.sides.find(number, |entry| entry.number() == number && is_it(entry))
            }
        }
    }

    pub(super) fn state(&self, place: u32) -> SideState {
        self.states.unpack(self.sides.get(place).state)
    }

    /// Takes the state of a side that is not known, and says when it must be looked at next.
    pub(super) fn insert(&mut self, side: &Side, state: &mut SideState) -> Option<Time> {
        let conversation = &side.conversation;
        if self.sides.is_full() {
            self.make_room();
        }
        let number = Number::of(conversation);
        let who = self.texts.keep(conversation.address(), side.role);
        let line = self.lines.hold(conversation);
        let packed = self.states.pack(state);
        let place = self.sides.insert(Entry::new(number, who, line, packed));
        if self.states.has_leases(packed) {
            self.list_later(number);
        }
        self.file(place, self.states.deadline(packed))
    }

    /// Takes another state of a side that is known, and says when it must be looked at next.
    pub(super) fn replace(&mut self, place: u32, state: &mut SideState) -> Option<Time> {
        let entry = self.sides.get_mut(place);
        let had_leases = self.states.has_leases(entry.state);
        self.states.forget(entry.state);
        let packed = self.states.pack(state);
        entry.state = packed;
        match (had_leases, self.states.has_leases(packed)) {
            (false, true) => {
                let number = entry.number();
                self.list_later(number);
            }
            (true, false) => self.unlist(place),
            _ => {}
        }
        self.file(place, self.states.deadline(packed))
    }

    pub(super) fn remove(&mut self, conversation: &Conversation, place: u32) {
        self.unlist(place);
        let (entry, moves) = self.sides.remove(place);
        for [from, to] in moves {
            self.relist(from, to);
        }
        self.states.forget(entry.state);
        self.texts.forget(entry.who);
        self.lines.release(conversation);
        // What it was filed under stays in the wheel until its moment, which may be long after.
        if self.wheel.len() > 2 * self.sides.len() + STALE {
            self.refile();
        }
    }

    /// Makes a larger table. The wheel names sides by their numbers, the lists by their places.
    fn make_room(&mut self) {
        let mut places = self.lists.places(self.sides.capacity());
        self.sides.grow(|from, to| {
            if let Some(place) = places.get_mut(from as usize) {
                *place = to;
            }
        });
        if !places.is_empty() {
            self.relist_all(&places);
        }
    }

    /// Files the side under its deadline, unless it will come out before that anyway.
    fn file(&mut self, place: u32, deadline: Option<Time>) -> Option<Time> {
        let entry = self.sides.get_mut(place);
        let by = deadline.unwrap_or(Time::MAX);
        if entry.filed.is_none_or(|filed| by < self.wheel.moment(filed)) {
            entry.filed = Some(self.wheel.file(by, entry.number().get()));
        }
        deadline
    }

    /// Files every side anew, and nothing else.
    fn refile(&mut self) {
        self.wheel.clear();
        for entry in self.sides.iter_mut() {
            let deadline = self.states.deadline(entry.state).unwrap_or(Time::MAX);
            entry.filed = Some(self.wheel.file(deadline, entry.number().get()));
        }
    }

    pub(super) fn take_due(&mut self, now: Time, limit: usize, due: &mut Due) {
        while due.sides.len() < limit {
            // First all are found, so that memory is waited for once and not for each.
            let mut found = [None; TOGETHER];
            let mut count = 0;
            while count < TOGETHER.min(limit - due.sides.len()) {
                let Some(filed) = self.wheel.pop(now) else { break };
                found[count] = Some((filed, self.filed(filed)));
                count += 1;
            }
            if count == 0 {
                return;
            }
            for (filed, place) in found.into_iter().flatten() {
                self.take(filed, place, now, due);
            }
        }
        due.cut = true;
    }

    /// Where the side is that is filed so.
    fn filed(&self, filed: Filed) -> Option<u32> {
        let number = Number::from_filed(filed.number);
        self.sides.find(number, |entry| (entry.filed == Some(filed.mark)) & (entry.number() == number))
    }

    /// Takes a side whose filing has come out, or files it under its deadline.
    fn take(&mut self, filed: Filed, place: Option<u32>, now: Time, due: &mut Due) {
        let Some(place) = place else { return };
        let is_still = self.sides.get(place).filed == Some(filed.mark);
        // Two may have one number and one mark.
        let Some(place) = (if is_still { Some(place) } else { self.filed(filed) }) else { return };
        let entry = self.sides.get_mut(place);
        entry.filed = None;
        let deadline = self.states.deadline(entry.state);
        if deadline.is_some_and(|deadline| deadline <= now) {
            due.sides.push(self.side(place));
        } else {
            self.file(place, deadline);
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
            if let Some(place) = self.find(conversation, role) {
                self.list_leases(place, now, limit, listing);
                match role {
                    Role::Agent => listing.last_turns.agent = self.state(place).last_turn(),
                    Role::User => listing.last_turns.user = self.state(place).last_turn(),
                }
            }
        }
    }

    pub(super) fn list_leases(&self, place: u32, now: Time, limit: usize, listing: &mut Listing) {
        for lease in self.state(place).leases.iter().filter(|lease| lease.expires_at() > now) {
            if listing.leases.len() == limit {
                listing.cut = true;
                return;
            }
            listing.leases.push((self.side(place), lease.view()));
        }
    }

    pub(super) fn side(&self, place: u32) -> Side {
        let entry = self.sides.get(place);
        let phone = match self.texts.address(entry.who) {
            Address::Phone(phone) => Some(phone),
            Address::Text(_) => None,
        };
        let conversation = self.lines.conversation(entry.line, phone, self.texts.user(entry.who));
        Side { conversation, role: entry.who.role() }
    }

    /// Bytes taken by the sides, and by what they are listed by.
    pub(super) fn footprint(&self) -> [usize; 2] {
        let [called, listed] = self.lines.footprint();
        let kept = self.states.footprint() + self.texts.footprint() + self.wheel.footprint();
        [self.sides.footprint() + called + kept, listed + self.lists.footprint()]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::*;
    use crate::conversation::{Scope, User};
    use crate::lease::{Claim, Fence, Lease};
    use crate::signal::Source;

    fn side(tenant: usize, agent: usize, user: usize, role: usize) -> Side {
        let user = User::new(["+1", "+14155550123", "visitor"][user % 3]);
        let conversation =
            Conversation::new(["acme", "other"][tenant % 2], "rcs", format!("bot-{agent}"), user);
        Side { conversation, role: Role::BOTH[role % 2] }
    }

    /// One lease that takes few bytes.
    fn ending(until: u64) -> SideState {
        let claim = Claim { source: Source::OneShot, until: Time::from_millis(until) };
        let lease = Lease {
            participant: None,
            name: None,
            started_at: Time::ZERO,
            announced_until: claim.until,
            guard: Duration::ZERO,
            turn: None,
            origin: "test".into(),
            claims: smallvec![claim],
        };
        SideState { leases: smallvec![lease], fence: None }
    }

    /// Nothing; a lease that takes few bytes; one that does not; a fence alone.
    fn state(kind: usize) -> SideState {
        let mut composing = ending(9_000);
        match kind {
            1 => composing,
            2 => {
                composing.leases[0].participant = Some("ada".into());
                composing
            }
            3 => SideState { leases: smallvec![], fence: Some(Box::new(Fence::default())) },
            _ => SideState::default(),
        }
    }

    fn put(shard: &mut Shard, side: &Side, mut state: SideState) {
        let due = state.deadline();
        let deadline = match (shard.find(&side.conversation, side.role), state.is_empty()) {
            (Some(place), true) => {
                shard.remove(&side.conversation, place);
                None
            }
            (Some(place), false) => shard.replace(place, &mut state),
            (None, true) => None,
            (None, false) => shard.insert(side, &mut state),
        };
        assert_eq!(deadline, due);
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
            prop_assert!(shard.sides.is_empty() && shard.lists.is_empty());
            prop_assert!(shard.lines.is_empty() && shard.states.is_empty() && shard.texts.is_empty());
        }
    }

    proptest! {
        /// The two sides of a conversation have one number, and many have one moment.
        #[test]
        fn whatever_moves_everybody_is_due_at_the_moment_and_not_before(
            steps in prop::collection::vec((0..20_usize, 0..3_usize, 0..2_usize, 0..8_u64, 0..3_u64), 1..300),
            limit in 1..40_usize,
        ) {
            let (mut shard, mut model, mut now) = (Shard::default(), BTreeMap::new(), 0);
            for (agent, user, role, lasts, wait) in steps {
                let side = side(0, agent, user, role);
                let until = now + lasts * 100;
                let is_over = lasts == 0;
                put(&mut shard, &side, if is_over { state(0) } else { ending(until) });
                if is_over { model.remove(&side) } else { model.insert(side, until) };
                now += wait * 50;
                let expected: Vec<Side> = model.extract_if(.., |_, until| *until <= now).map(|(side, _)| side).collect();
                let mut taken = Vec::new();
                loop {
                    let mut due = Due::default();
                    shard.take_due(Time::from_millis(now), limit, &mut due);
                    prop_assert!(due.sides.len() <= limit && due.cut == (due.sides.len() == limit));
                    taken.append(&mut due.sides);
                    if !due.cut {
                        break;
                    }
                }
                taken.iter().for_each(|side| put(&mut shard, side, state(0)));
                taken.sort();
                prop_assert_eq!(taken, expected);
                prop_assert_eq!(shard.sides.len(), model.len());
            }
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
        assert!(shard.lists.waiting() <= STALE + 2, "{}", shard.lists.waiting());
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
            let place = shard.find(&side.conversation, side.role).unwrap();
            assert_eq!(shard.side(place), side);
        }
    }
}
