//! The lists of a shard: who composes of an agent's sides, and of a user's.
//!
//! They are brought up to date when somebody asks for one: most leases are over before anybody does.

use hashbrown::HashTable;

use super::super::Listing;
use super::shard::{STALE, Shard};
use super::state::States;
use super::table::{Entry, Number};
use crate::conversation::{Name, Scope, User, hash_one};
use crate::time::Time;

#[derive(Default)]
pub(super) struct Lists {
    /// Beside each side, where it stands in them.
    links: Vec<Links>,
    /// Sides that have, or had, leases and are not in the lists yet.
    waiting: Vec<Number>,
    /// For each user of whom a side has leases, the place of the first of those sides.
    by_user: HashTable<u32>,
}

/// Where a side that has leases stands among others that have.
#[derive(Clone, Copy)]
struct Links {
    /// Among those of its line.
    position: u32,
    /// The places of the sides before and behind it among those of its user.
    neighbours: [u32; 2],
}

/// No place.
const NONE: u32 = u32::MAX;

const BEFORE: usize = 0;
const BEHIND: usize = 1;

const NO_LINKS: Links = Links { position: NONE, neighbours: [NONE; 2] };

impl Lists {
    /// Room for where each of so many places goes to; none where nobody is listed.
    pub(super) fn places(&self, count: usize) -> Vec<u32> {
        if self.by_user.is_empty() { Vec::new() } else { vec![NONE; count] }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.by_user.is_empty()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes taken.
    pub(super) fn footprint(&self) -> usize {
        self.links.capacity() * size_of::<Links>()
            + self.waiting.capacity() * size_of::<Number>()
            + self.by_user.allocation_size()
    }
}

/// Whether it has leases and is not in the lists.
fn is_waiting(entry: &Entry, states: &States) -> bool {
    !entry.who.is_listed() && states.has_leases(entry.state)
}

impl Shard {
    /// Has the side entered in the lists before the next is made.
    pub(super) fn list_later(&mut self, number: Number) {
        let Self { sides, states, lists, .. } = self;
        lists.waiting.push(number);
        if lists.waiting.len() > 2 * sides.len() + STALE {
            // Most of them are over.
            let waiting = sides.iter().filter(|(_, entry)| is_waiting(entry, states));
            lists.waiting.clear();
            lists.waiting.extend(waiting.map(|(_, entry)| entry.number()));
        }
    }

    /// Brings the lists up to date.
    fn list_all(&mut self) {
        for number in std::mem::take(&mut self.lists.waiting) {
            while let Some(place) = self.waiting(number) {
                self.list(place);
            }
        }
    }

    /// A side of this number that is to be listed.
    fn waiting(&self, number: Number) -> Option<u32> {
        self.sides.find(number, |entry| entry.number() == number && is_waiting(entry, &self.states))
    }

    /// Enters the side in the lists.
    fn list(&mut self, place: u32) {
        let Self { sides, lines, texts, lists, .. } = self;
        let entry = sides.get_mut(place);
        entry.who.set_listed(true);
        let Entry { line, who, .. } = *entry;
        if lists.links.len() < sides.capacity() {
            lists.links.resize(sides.capacity(), NO_LINKS);
        }
        let (tenant, address) = (lines.get(line).tenant(), texts.address(who));
        let is_theirs = |&first: &u32| {
            let first = sides.get(first);
            texts.address(first.who) == address && lines.get(first.line).tenant() == tenant
        };
        let hash_of = |&first: &u32| {
            let first = sides.get(first);
            hash_one((lines.get(first.line).tenant_hash(), texts.address(first.who)))
        };
        let hash = hash_of(&place);
        let mut neighbours = [NONE; 2];
        match lists.by_user.find(hash, is_theirs).copied() {
            Some(first) => {
                let second = std::mem::replace(&mut lists.links[first as usize].neighbours[BEHIND], place);
                neighbours = [first, second];
                if second != NONE {
                    lists.links[second as usize].neighbours[BEFORE] = place;
                }
            }
            None => {
                lists.by_user.insert_unique(hash, place, hash_of);
            }
        }
        lists.links[place as usize] = Links { position: lines.list(line, place), neighbours };
    }

    /// Takes the side out of the lists, where it is in them.
    pub(super) fn unlist(&mut self, place: u32) {
        let entry = self.sides.get_mut(place);
        if !entry.who.is_listed() {
            return;
        }
        entry.who.set_listed(false);
        let line = entry.line;
        let Links { position, neighbours: [before, behind] } = self.lists.links[place as usize];
        if let Some(moved) = self.lines.unlist(line, position) {
            self.lists.links[moved as usize].position = position;
        }
        if behind != NONE {
            self.lists.links[behind as usize].neighbours[BEFORE] = before;
        }
        if before != NONE {
            self.lists.links[before as usize].neighbours[BEHIND] = behind;
            return;
        }
        // It was its user's first.
        let hash = self.user_hash(place);
        if let Ok(mut found) = self.lists.by_user.find_entry(hash, |&first| first == place) {
            if behind == NONE {
                found.remove();
            } else {
                *found.get_mut() = behind;
            }
        }
    }

    /// A side that is in the lists is at another place now.
    pub(super) fn relist(&mut self, from: u32, to: u32) {
        let links = self.lists.links[from as usize];
        self.lists.links[to as usize] = links;
        self.lines.relist(self.sides.get(to).line, links.position, to);
        let [before, behind] = links.neighbours;
        if behind != NONE {
            self.lists.links[behind as usize].neighbours[BEFORE] = to;
        }
        if before != NONE {
            self.lists.links[before as usize].neighbours[BEHIND] = to;
            return;
        }
        let hash = self.user_hash(to);
        if let Some(first) = self.lists.by_user.find_mut(hash, |&first| first == from) {
            *first = to;
        }
    }

    /// All sides are at other places now.
    pub(super) fn relist_all(&mut self, places: &[u32]) {
        let now_at = |place: u32| places.get(place as usize).copied().unwrap_or(NONE);
        let mut links = vec![NO_LINKS; self.sides.capacity()];
        for (from, old) in (0..).zip(&self.lists.links) {
            if let Some(new) = links.get_mut(now_at(from) as usize) {
                *new = Links { neighbours: old.neighbours.map(now_at), ..*old };
            }
        }
        self.lists.links = links;
        self.lists.by_user.iter_mut().for_each(|first| *first = now_at(*first));
        self.lines.relist_all(now_at);
    }

    pub(super) fn list_scope(&mut self, scope: &Scope, now: Time, limit: usize, listing: &mut Listing) {
        self.list_all();
        if let Some(user) = &scope.user {
            let mut place = self.first_of(&scope.tenant, user);
            while place != NONE && !listing.cut {
                if self.lines.get(self.sides.get(place).line).is_in(scope) {
                    self.list_leases(place, now, limit, listing);
                }
                place = self.lists.links[place as usize].neighbours[BEHIND];
            }
            return;
        }
        for &place in self.lines.of(scope).flat_map(|line| &line.composing) {
            if listing.cut {
                return;
            }
            self.list_leases(place, now, limit, listing);
        }
    }

    /// The first side of the user's that has leases.
    fn first_of(&self, tenant: &Name, user: &User) -> u32 {
        let address = user.address();
        let is_theirs = |&first: &u32| {
            let first = self.sides.get(first);
            self.texts.address(first.who) == address && self.lines.get(first.line).tenant() == tenant
        };
        let hash = hash_one((hash_one(tenant), address));
        self.lists.by_user.find(hash, is_theirs).copied().unwrap_or(NONE)
    }

    /// As its user's sides are found.
    fn user_hash(&self, place: u32) -> u64 {
        let entry = self.sides.get(place);
        hash_one((self.lines.get(entry.line).tenant_hash(), self.texts.address(entry.who)))
    }
}
