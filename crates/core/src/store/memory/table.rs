//! The sides of a shard, each at the place its hash points to or close behind it.
//!
//! An open table with linear probing. A side lies in it as a whole, in half a line of the cache, so to find one takes one
//! access to memory. Who is taken out leaves no gap: those behind move up. A place is good until the next side is put in
//! or taken out; what outlives that, as the wheel's filings do, names a side by the bits that its place follows from.

use smallvec::SmallVec;

use super::super::wheel::Mark;
use super::address::Who;
use super::state::State;
use crate::conversation::Conversation;

/// A side. There are millions of them, and most of what is asked of one is answered by these 32 bytes.
#[derive(Clone, Copy)]
#[repr(align(32))]
pub(super) struct Entry {
    pub(super) who: Who,
    pub(super) line: u32,
    /// What it is filed under in the wheel, where it is: an item of the wheel under another mark is an old one.
    pub(super) filed: Option<Mark>,
    pub(super) state: State,
    number: [u8; 3],
}

/// What a side's place follows from: the top bits of its conversation's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(u32);

const BITS: u32 = 24;

/// How many places are looked at together, without waiting for the first of them.
const TOGETHER: usize = 4;

/// Sides for the places of a table, at most: three for four.
const FULL: [usize; 2] = [3, 4];

/// The fewest places of a table that has any.
const LEAST: usize = 64;

/// The places that sides were moved from, and to.
pub(super) type Moves = SmallVec<[[u32; 2]; 4]>;

#[derive(Default)]
pub(super) struct Table {
    places: Box<[Entry]>,
    len: usize,
    /// How many places more than [`LEAST`] it has at first.
    more: usize,
}

impl Number {
    pub(super) fn of(conversation: &Conversation) -> Self {
        Self((conversation.hash() >> (u64::BITS - BITS)) as u32)
    }

    /// As a wheel has it.
    pub(super) fn get(self) -> u32 {
        self.0
    }

    /// Back from a wheel.
    pub(super) fn from_filed(number: u32) -> Self {
        Self(number % (1 << BITS))
    }
}

impl Entry {
    const VACANT: Self =
        Self { who: Who::NOBODY, line: 0, filed: None, state: State::NOTHING, number: [0; 3] };

    pub(super) fn new(number: Number, who: Who, line: u32, state: State) -> Self {
        let [low, middle, high, _] = number.0.to_le_bytes();
        Self { who, line, filed: None, state, number: [low, middle, high] }
    }

    pub(super) fn number(&self) -> Number {
        let [low, middle, high] = self.number;
        Number(u32::from_le_bytes([low, middle, high, 0]))
    }

    fn is_vacant(&self) -> bool {
        self.who == Who::NOBODY
    }
}

impl Table {
    /// One of so many that fill evenly. They begin with different sizes, and so do not grow all at once: at any time some
    /// have much room and others little.
    pub(super) fn one_of(tables: usize, number: usize) -> Self {
        Self { more: number * LEAST / 2 / tables, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many places it has.
    pub(super) fn capacity(&self) -> usize {
        self.places.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, place: u32) -> &Entry {
        &self.places[place as usize]
    }

    pub(super) fn get_mut(&mut self, place: u32) -> &mut Entry {
        &mut self.places[place as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (0..).zip(&self.places).filter(|(_, entry)| !entry.is_vacant())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.places.iter_mut().filter(|entry| !entry.is_vacant())
    }

    /// Where a side is that has this number, and is the one. `is_it` is asked of vacant places, too, which are nobody's.
    pub(super) fn find(&self, number: Number, is_it: impl Fn(&Entry) -> bool) -> Option<u32> {
        let mut from = self.home(number);
        for places in self.places[from..].as_chunks().0 {
            match which(places, &is_it) {
                0 if which(places, Entry::is_vacant) == 0 => from += TOGETHER,
                0 => return None,
                found => return Some(from as u32 + found.trailing_zeros()),
            }
        }
        self.search(from, is_it)
    }

    /// One after the other, around the end, up to a vacant place.
    fn search(&self, from: usize, is_it: impl Fn(&Entry) -> bool) -> Option<u32> {
        let (before, behind) = self.places.split_at(from);
        let places = (from..).zip(behind).chain((0..).zip(before));
        let mut until_vacant = places.take_while(|(_, entry)| !entry.is_vacant());
        until_vacant.find(|(_, entry)| is_it(entry)).map(|(place, _)| place as u32)
    }

    /// Whether it must grow before the next is put in.
    pub(super) fn is_full(&self) -> bool {
        self.len * FULL[1] >= self.places.len() * FULL[0]
    }

    /// Puts a side in that is not in it, where it is not full.
    pub(super) fn insert(&mut self, entry: Entry) -> u32 {
        let mut place = self.home(entry.number());
        while !self.places[place].is_vacant() {
            place = self.behind(place);
        }
        self.places[place] = entry;
        self.len += 1;
        u32::try_from(place).expect("a shard holds fewer than 2^32 sides")
    }

    /// Takes a side out, and says who moved of those that are in the lists.
    pub(super) fn remove(&mut self, place: u32) -> (Entry, Moves) {
        let mut gap = place as usize;
        let removed = self.places[gap];
        let mut moves = Moves::new();
        let mut place = gap;
        loop {
            place = self.behind(place);
            let entry = self.places[place];
            if entry.is_vacant() {
                break;
            }
            // Nobody moves up to before its home.
            if self.distance(self.home(entry.number()), place) < self.distance(gap, place) {
                continue;
            }
            self.places[gap] = entry;
            if entry.who.is_listed() {
                moves.push([place as u32, gap as u32]);
            }
            gap = place;
        }
        self.places[gap] = Entry::VACANT;
        self.len -= 1;
        (removed, moves)
    }

    /// Makes room for half as many more, and says where each goes to. Homes keep their order, so all of it is written in one
    /// go through the memory.
    pub(super) fn grow(&mut self, mut moved: impl FnMut(u32, u32)) {
        let larger = (self.places.len() * 3 / 2).max(LEAST + self.more);
        let places = std::mem::replace(&mut self.places, vec![Entry::VACANT; larger].into_boxed_slice());
        self.len = 0;
        for (place, &entry) in (0..).zip(&places).filter(|(_, entry)| !entry.is_vacant()) {
            moved(place, self.insert(entry));
        }
    }

    /// Bytes taken.
    pub(super) fn footprint(&self) -> usize {
        size_of_val(&*self.places)
    }

    /// The first place for a number.
    fn home(&self, number: Number) -> usize {
        ((u64::from(number.0) * self.places.len() as u64) >> BITS) as usize
    }

    fn behind(&self, place: usize) -> usize {
        if place + 1 == self.places.len() { 0 } else { place + 1 }
    }

    /// How many steps behind `from` it is.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.places.len() - from }
    }
}

/// One bit for each, without a branch between them, so that all are fetched at once.
fn which(entries: &[Entry; TOGETHER], is_it: impl Fn(&Entry) -> bool) -> u32 {
    let bits = (0..).zip(entries).map(|(at, entry)| u32::from(is_it(entry)) << at);
    bits.fold(0, |all, bit| all | bit)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::conversation::{Phone, Role};

    #[test]
    fn a_side_takes_half_a_line_of_the_cache() {
        assert_eq!([size_of::<Entry>(), align_of::<Entry>()], [32, 32]);
    }

    fn who(side: u64) -> Who {
        Who::phone(Phone::new(side).unwrap(), Role::Agent)
    }

    /// Few, close together and at both ends, so that sides are in each other's way.
    fn number(side: u64) -> Number {
        Number([0, 1 << 20, (1 << BITS) - (1 << 20), (1 << BITS) - 1][side as usize % 4])
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map(
            steps in prop::collection::vec((1..200_u64, any::<bool>()), 1..500),
            shard in 0..64_usize,
        ) {
            let mut table = Table::one_of(64, shard);
            // Where those are that are in the lists.
            let mut places = BTreeMap::new();
            let mut model = BTreeMap::new();
            for (side, is_listed) in steps {
                let find = |table: &Table, side| table.find(number(side), |entry| entry.who.is(who(side)));
                prop_assert_eq!(find(&table, side).is_some(), model.contains_key(&side));
                if let Some(place) = find(&table, side) {
                    let (entry, moves) = table.remove(place);
                    prop_assert!(Some(entry.line) == model.remove(&side));
                    places.retain(|listed, _| *listed != place);
                    for [from, to] in moves {
                        let moved: u64 = places.remove(&from).unwrap();
                        prop_assert_eq!(places.insert(to, moved), None);
                    }
                } else {
                    if table.is_full() {
                        let mut moved = BTreeMap::new();
                        table.grow(|from, to| moved.extend(places.get(&from).map(|&side| (to, side))));
                        places = moved;
                    }
                    let mut entry = Entry::new(number(side), who(side), side as u32, State::NOTHING);
                    entry.who.set_listed(is_listed);
                    let place = table.insert(entry);
                    if is_listed {
                        places.insert(place, side);
                    }
                    model.insert(side, side as u32);
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert_eq!(table.iter().count(), model.len());
                for (&side, &line) in &model {
                    let found = find(&table, side).map(|place| table.get(place));
                    prop_assert!(found.is_some_and(|entry| entry.line == line && entry.number() == number(side)));
                }
                for (&place, &side) in &places {
                    prop_assert!(table.get(place).who.is(who(side)));
                }
            }
        }
    }
}
