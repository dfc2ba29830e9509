//! A timing wheel: numbers filed under moments, taken out when the moment has come, both in constant time.
//!
//! Six levels of 64 slots, a level's slot as wide as the whole level below: one millisecond at the bottom, two years
//! at the top. What lies far ahead is filed coarsely and moves down as its time comes nearer. One word per level
//! says which slots are occupied, so the next one is found without a walk.
//!
//! Nothing is ever taken out early: whoever files a number again under another moment must know the older filing when
//! it comes out. That is what makes an extension free.

use std::num::NonZeroU32;

use crate::time::Time;

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const BITS: u32 = 6;

#[derive(Debug, Default)]
pub(crate) struct Wheel {
    /// Everything before has been taken out.
    now: u64,
    levels: [Level; LEVELS],
    len: usize,
}

#[derive(Debug, Default)]
struct Level {
    occupied: u64,
    /// None at all until the first filing.
    slots: Box<[Vec<Filed>]>,
}

/// The moment that a number was filed under, in four bytes: it says when among those that are still ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(NonZeroU32);

/// How far ahead is far enough: what is farther comes out then, and can be filed again.
const HORIZON: u64 = u32::MAX as u64 / 2;

/// A number and the moment it was filed under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filed {
    pub(crate) mark: Mark,
    pub(crate) number: u32,
}

impl Wheel {
    /// How many filings it holds.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Forgets every filing.
    pub(crate) fn clear(&mut self) {
        *self = Self { now: self.now, ..Self::default() };
    }

    /// Files `number` under `at`. A moment that has passed is as good as the present one.
    pub(crate) fn file(&mut self, at: Time, number: u32) -> Mark {
        let at = at.as_millis().clamp(self.now, self.now.saturating_add(HORIZON));
        // Once in seven weeks it is a millisecond later.
        let mark = Mark(NonZeroU32::new(at as u32).unwrap_or(NonZeroU32::MIN));
        self.len += 1;
        self.place(Filed { mark, number });
        mark
    }

    /// The moment that a mark stands for, while what is filed under it has not come out.
    pub(crate) fn moment(&self, mark: Mark) -> Time {
        Time::from_millis(self.now + u64::from(mark.0.get().wrapping_sub(self.now as u32)))
    }

    /// Bytes taken.
    pub(crate) fn footprint(&self) -> usize {
        let slots = self.levels.iter().flat_map(|level| &level.slots);
        slots.map(|slot| size_of::<Vec<Filed>>() + slot.capacity() * size_of::<Filed>()).sum()
    }

    /// Takes out one number filed under `to` or earlier; call it until it gives nothing.
    pub(crate) fn pop(&mut self, to: Time) -> Option<Filed> {
        while let Some((level, slot, start)) = self.first_occupied() {
            if start > to.as_millis() {
                break;
            }
            self.now = self.now.max(start);
            let level_of = &mut self.levels[level];
            if level == 0 {
                let filed = level_of.slots[slot].pop();
                if level_of.slots[slot].is_empty() {
                    level_of.occupied &= !(1 << slot);
                }
                self.len -= usize::from(filed.is_some());
                return filed;
            }
            level_of.occupied &= !(1 << slot);
            for filed in std::mem::take(&mut level_of.slots[slot]) {
                self.place(filed);
            }
        }
        self.now = self.now.max(to.as_millis());
        None
    }

    /// A moment before which nothing will come out; `None` when nothing is filed.
    pub(crate) fn next(&self) -> Option<Time> {
        self.first_occupied().map(|(_, _, start)| Time::from_millis(start))
    }

    fn place(&mut self, filed: Filed) {
        let at = self.moment(filed.mark).as_millis();
        let differing = (self.now ^ at) | (SLOTS as u64 - 1);
        let level = (((u64::BITS - 1 - differing.leading_zeros()) / BITS) as usize).min(LEVELS - 1);
        let slot = (at >> (BITS * level as u32)) as usize % SLOTS;
        let level = &mut self.levels[level];
        if level.slots.is_empty() {
            level.slots = std::iter::repeat_with(Vec::new).take(SLOTS).collect();
        }
        level.slots[slot].push(filed);
        level.occupied |= 1 << slot;
    }

    /// The occupied slot whose time comes first, with the moment it starts at.
    fn first_occupied(&self) -> Option<(usize, usize, u64)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        let width = BITS * level as u32;
        let current = (self.now >> width) as u32 % SLOTS as u32;
        let ahead = self.levels[level].occupied.rotate_right(current).trailing_zeros();
        let slot = (current + ahead) % SLOTS as u32;
        let round = 1_u64 << (width + BITS);
        let start = (self.now & !(round - 1)) + (u64::from(slot) << width);
        // Only the top level wraps: what is filed there may belong to its next round.
        let start = if start < self.now && level == LEVELS - 1 { start + round } else { start };
        Some((level, slot as usize, start.max(self.now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(wheel: &mut Wheel, to: u64) -> Vec<u32> {
        let mut out: Vec<u32> =
            std::iter::from_fn(|| wheel.pop(Time::from_millis(to))).map(|f| f.number).collect();
        out.sort_unstable();
        out
    }

    #[test]
    fn a_number_comes_out_at_its_moment_and_not_before() {
        for at in [1, 63, 64, 65, 4_095, 4_096, 262_144, 20_000, 3_600_000, HORIZON] {
            let mut wheel = Wheel::default();
            wheel.file(Time::from_millis(at), 7);
            assert_eq!(drain(&mut wheel, at - 1), [], "{at}");
            assert_eq!(drain(&mut wheel, at), [7], "{at}");
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn once_in_seven_weeks_a_moment_has_no_mark_and_is_a_millisecond_later() {
        for at in [0, 1 << 32] {
            let mut wheel = Wheel::default();
            drain(&mut wheel, at);
            wheel.file(Time::from_millis(at), 7);
            assert_eq!([drain(&mut wheel, at), drain(&mut wheel, at + 1)], [vec![], vec![7]]);
        }
    }

    #[test]
    fn what_is_too_far_ahead_comes_out_to_be_filed_again() {
        let mut wheel = Wheel::default();
        drain(&mut wheel, 1_000);
        wheel.file(Time::MAX, 7);
        assert_eq!(drain(&mut wheel, HORIZON + 999), []);
        assert_eq!(drain(&mut wheel, HORIZON + 1_000), [7]);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_sorted_list(steps in prop::collection::vec((0_u64..5_000_000, 0_u64..300_000), 1..200)) {
            let (mut wheel, mut list, mut now) = (Wheel::default(), Vec::new(), 1);
            for (number, (ahead, step)) in (0..).zip(steps) {
                wheel.file(Time::from_millis(now + ahead), number);
                list.push((now + ahead, number));
                prop_assert!(wheel.next().unwrap().as_millis() <= list.iter().map(|(at, _)| *at).min().unwrap().max(now));
                now += step;
                let mut expected: Vec<u32> = list.extract_if(.., |(at, _)| *at <= now).map(|(_, n)| n).collect();
                expected.sort_unstable();
                prop_assert_eq!(drain(&mut wheel, now), expected);
            }
        }

        #[test]
        fn a_long_uptime_changes_nothing(start in 1_u64..(1 << 40), ahead in 0_u64..100_000) {
            let mut wheel = Wheel::default();
            drain(&mut wheel, start);
            wheel.file(Time::from_millis(start + ahead), 1);
            if ahead > 0 {
                prop_assert_eq!(drain(&mut wheel, start + ahead - 1), Vec::<u32>::new());
            }
            prop_assert_eq!(drain(&mut wheel, start + ahead), vec![1]);
        }
    }
}
