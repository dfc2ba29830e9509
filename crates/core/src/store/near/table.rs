//! What a node remembers of one shard.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::entry::Entry;
use crate::conversation::Side;
use crate::time::Time;

/// How long the end of a lapsed lease may take to be heard of before it is asked about.
const OVERDUE: Duration = Duration::from_millis(1_500);

/// How long a side that was due is left before it is due again, if it still is.
const AGAIN: Duration = Duration::from_secs(1);

/// How many of this node's leases there are more or less on a side, and whether it has one more or less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) before: usize,
    pub(super) after: usize,
}

/// The sides of a shard that are known.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<Side, Entry>,
    deadlines: BTreeSet<(Time, Side)>,
    /// Those that are otherwise than the store has them.
    dirty: BTreeSet<Side>,
    ours: usize,
    /// How often something was heard that others did, or missed.
    pub(super) heard: u64,
    /// The last commit that was told.
    pub(super) told: Option<u64>,
    /// Whether commits of others are missing before it, of which nothing was said so far.
    pub(super) is_torn: bool,
    /// Whether the shard is followed for their sake.
    pub(super) is_followed: bool,
}

impl Table {
    pub(super) fn get(&self, side: &Side) -> Option<&Entry> {
        self.entries.get(side)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn has_ours(&self) -> bool {
        self.ours > 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Side, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn dirty(&self) -> impl Iterator<Item = &Side> {
        self.dirty.iter()
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// A commit is about to be told. Whether it was not told before: what this node did may have been heard when the answer
    /// comes. Only where the shard is not heard is anything missing before what this node did.
    pub(super) fn reach(&mut self, sequence: u64, is_ours: bool) -> bool {
        let told = self.told.replace(sequence);
        let Some(told) = told.filter(|_| is_ours) else {
            self.is_torn &= is_ours;
            return true;
        };
        self.told = Some(sequence.max(told));
        self.is_torn |= sequence > told + 1;
        sequence > told
    }

    /// Changes what is known of a side; what is not worth knowing any more is forgotten.
    pub(super) fn change(&mut self, side: &Side, change: impl FnOnce(&mut Entry)) -> Difference {
        let mut entry = self.entries.remove(side).unwrap_or_default();
        let before = entry.weight();
        change(&mut entry);
        if let Some(filed) = entry.filed.take() {
            self.deadlines.remove(&(filed, side.clone()));
        }
        entry.tidy();
        let after = entry.weight();
        if entry.is_dirty() {
            self.dirty.insert(side.clone());
        } else {
            self.dirty.remove(side);
        }
        self.ours = self.ours + after - before;
        if !entry.is_idle() {
            entry.filed = entry.deadline();
            self.deadlines.extend(entry.filed.map(|filed| (filed, side.clone())));
            self.entries.insert(side.clone(), entry);
        }
        Difference { before, after }
    }

    /// Up to `limit` sides that must be looked at: what the store must learn before a lease's announced end, and leases
    /// that have lapsed without a word of it.
    pub(super) fn take_due(&mut self, now: Time, is_away: bool, limit: usize) -> Vec<Side> {
        let mut due = Vec::new();
        while due.len() < limit {
            let Some((deadline, side)) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now)
            else {
                break;
            };
            let (deadline, side) = (*deadline, side.clone());
            let mut is_due = false;
            self.change(&side, |entry| {
                if entry.aside.is_none() {
                    entry.ended.retain(|ended| now < ended.forget_at());
                }
                let must_tell = entry.tells_at().is_some_and(|tells_at| tells_at <= now);
                let has_lapsed = entry.lapses_at().is_some_and(|lapses_at| lapses_at <= now);
                let was_waited_for = entry.not_before == deadline;
                is_due = must_tell || has_lapsed && (is_away || was_waited_for);
                if must_tell || has_lapsed {
                    entry.not_before = now + if is_due { AGAIN } else { OVERDUE };
                }
            });
            if is_due {
                due.push(side);
            }
        }
        due
    }
}
