//! Which node of several tells the providers: every conversation is one node's to answer for, by a lease of its own.
//!
//! Conversations are answered for in groups, since there are fewer of them. A node that lives renews its groups, one that
//! goes away gives them back, and those of a node that died are taken by others when its time is over.

use crate::time::Time;

/// How many groups there are; a fleet has no more nodes that answer for any.
pub const GROUPS: usize = 64;

/// Some of the groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups(u64);

impl Groups {
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// The group of a store's shard.
    #[must_use]
    pub const fn of_shard(shard: usize) -> usize {
        shard % GROUPS
    }

    /// Whether the group is among them.
    #[must_use]
    pub const fn has(self, group: usize) -> bool {
        self.0 >> (group % GROUPS) & 1 == 1
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, group: usize) -> Self {
        Self(self.0 | 1 << (group % GROUPS))
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, those: Self) -> Self {
        Self(self.0 & !those.0)
    }

    /// How many they are.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Each of them, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..GROUPS).filter(move |&group| self.has(group))
    }
}

impl FromIterator<usize> for Groups {
    fn from_iter<I: IntoIterator<Item = usize>>(groups: I) -> Self {
        groups.into_iter().fold(Self::default(), Self::with)
    }
}

/// What a node answers for, and how long it may be sure of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// Its groups.
    pub groups: Groups,
    /// When others may take them, unless it renews before.
    pub until: Time,
    /// How many nodes there are, this one among them.
    pub nodes: usize,
}

impl Tenure {
    /// A node's that has no others beside it.
    pub const ALONE: Self = Self { groups: Groups::ALL, until: Time::MAX, nodes: 1 };

    /// Whether the group is this node's for certain.
    #[must_use]
    pub fn holds(&self, group: usize, now: Time) -> bool {
        now < self.until && self.groups.has(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_a_set() {
        let some: Groups = [0, 5, 63].into_iter().collect();
        assert_eq!(some.iter().collect::<Vec<_>>(), [0, 5, 63]);
        assert_eq!((some.count(), some.has(5), some.has(6)), (3, true, false));
        assert_eq!(Groups::ALL.without(some).count(), GROUPS - 3);
        assert!(!Groups::ALL.without(some).has(63));
    }

    #[test]
    fn a_tenure_ends_when_its_time_is_over() {
        let tenure = Tenure { groups: Groups::default().with(7), until: Time::from_millis(10), nodes: 2 };
        assert!(tenure.holds(7, Time::from_millis(9)) && !tenure.holds(8, Time::from_millis(9)));
        assert!(!tenure.holds(7, Time::from_millis(10)));
    }
}
