//! One provider's account with those who wait for it, and all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};

use super::counters::Counters;
use super::credential::{Credential, Limits};
use super::profile::Profile;
use super::stream::Slot;
use crate::time::Time;

/// All accounts, by numbers of which none is ever given twice: what is still under way for one that was taken away must
/// not be taken for another's.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    known: BTreeMap<usize, Upstream>,
    next: usize,
}

impl Upstreams {
    pub(super) fn insert(&mut self, upstream: Upstream) -> usize {
        let number = self.next;
        self.next += 1;
        self.known.insert(number, upstream);
        number
    }

    pub(super) fn remove(&mut self, number: usize) -> bool {
        self.known.remove(&number).is_some()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Upstream> {
        self.known.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Upstream> {
        self.known.get_mut(&number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Upstream)> {
        self.known.iter().map(|(number, upstream)| (*number, upstream))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Upstream)> {
        self.known.iter_mut().map(|(number, upstream)| (*number, upstream))
    }
}

/// Of an account that is there: no stream outlives its own.
impl Index<usize> for Upstreams {
    type Output = Upstream;

    fn index(&self, number: usize) -> &Upstream {
        &self.known[&number]
    }
}

impl IndexMut<usize> for Upstreams {
    fn index_mut(&mut self, number: usize) -> &mut Upstream {
        self.known.get_mut(&number).expect("no stream outlives its account")
    }
}

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

    /// Whether a stream waits for its credential.
    pub(super) fn waits(&self) -> bool {
        !self.queue.is_empty() || !self.parked.is_empty()
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
