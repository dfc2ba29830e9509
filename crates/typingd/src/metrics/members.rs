//! A family of metrics with few members, each found without hashing its labels.

use std::hash::Hash;
use std::sync::OnceLock;

use prometheus_client::metrics::family::Family;

/// How many members are found by a look at them; those that come later are found by hash.
const LOOKED_AT: usize = 32;

/// A family, and the members that were asked for first.
#[derive(Debug)]
pub(super) struct Members<L, M> {
    family: Family<L, M>,
    first: [OnceLock<(L, M)>; LOOKED_AT],
}

impl<L: Clone + Hash + Eq, M: Clone> Members<L, M> {
    pub(super) fn new(family: Family<L, M>) -> Self {
        Self { family, first: [const { OnceLock::new() }; LOOKED_AT] }
    }

    /// What is to be registered.
    pub(super) fn family(&self) -> Family<L, M> {
        self.family.clone()
    }

    /// Lets `act` have the member with these labels, which begins at nothing.
    pub(super) fn with<T>(&self, labels: &L, act: impl FnOnce(&M) -> T) -> T {
        for place in &self.first {
            // Two that come at the same time may each take a place for the same member.
            let (of, member) =
                place.get_or_init(|| (labels.clone(), self.family.get_or_create_owned(labels)));
            if of == labels {
                return act(member);
            }
        }
        act(&self.family.get_or_create(labels))
    }
}

impl<L: Clone + Hash + Eq, M: Clone + Default> Default for Members<L, M> {
    fn default() -> Self {
        Self::new(Family::default())
    }
}
