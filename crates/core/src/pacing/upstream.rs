//! One provider's account with those who wait for it.

use std::collections::BTreeSet;

use super::counters::Counters;
use super::credential::{Credential, Limits};
use super::profile::Profile;
use super::stream::Slot;
use crate::time::Time;

/// A place in a queue: who waits longest goes first, and who came first of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    waits_since: Time,
    arrival: u64,
    pub(super) stream: usize,
}

#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) profile: Profile,
    pub(super) credential: Credential,
    pub(super) counters: Counters,
    /// Streams whose call is due and not admitted yet.
    pub(super) queue: BTreeSet<Place>,
    /// Streams that wait for the credential to work again.
    pub(super) parked: BTreeSet<usize>,
    /// When the first in the queue may be admitted, if time alone will do.
    pub(super) wake_at: Option<Time>,
    bound: usize,
    arrivals: u64,
}

impl Upstream {
    pub(super) fn new(profile: Profile, limits: &Limits) -> Self {
        Self {
            profile,
            credential: Credential::new(limits),
            counters: Counters::default(),
            queue: BTreeSet::new(),
            parked: BTreeSet::new(),
            wake_at: None,
            bound: limits.queue.max(1),
            arrivals: 0,
        }
    }

    /// Puts a stream into the queue. Gives its place, and the stream that loses its own: the latest due, which may be
    /// the same.
    pub(super) fn enqueue(&mut self, stream: usize, slot: Slot) -> (Place, Option<Place>) {
        let place = Place { waits_since: slot.waits_since, arrival: self.arrivals, stream };
        self.arrivals += 1;
        self.queue.insert(place);
        let loser = if self.queue.len() > self.bound { self.queue.pop_last() } else { None };
        (place, loser)
    }
}
