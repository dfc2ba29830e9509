//! What a node knows of one shard.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use typingd_core::Time;

use crate::cache::Cache;
use crate::offset::{Offset, Shift};
use crate::order::Order;

/// No deadline is known.
const NONE: u64 = u64::MAX;

pub(crate) struct Shard {
    /// Held from reading to publishing: this node's commits of a shard come one after the other.
    pub(crate) gate: tokio::sync::Mutex<Cache>,
    order: Mutex<Order>,
    /// Of the clock of whichever server has the shard.
    pub(crate) offset: Mutex<Offset>,
    /// No deadline that this node knows of comes before this one, in the server's time.
    next: AtomicU64,
    /// One more than when it was looked through last, in the node's time.
    looked: AtomicU64,
}

impl Shard {
    pub(crate) fn new(remembered: usize) -> Self {
        Self {
            gate: tokio::sync::Mutex::new(Cache::new(remembered)),
            order: Mutex::default(),
            offset: Mutex::default(),
            next: AtomicU64::new(NONE),
            looked: AtomicU64::new(0),
        }
    }

    pub(crate) fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shift(&self, now: Duration) -> Option<Shift> {
        self.offset.lock().unwrap_or_else(PoisonError::into_inner).shift(now)
    }

    /// A side has this deadline now.
    pub(crate) fn expect(&self, deadline: u64) {
        self.next.fetch_min(deadline, Ordering::SeqCst);
    }

    /// Gives the next deadline known, and forgets it: whoever looks at the shard then says what is next. What is
    /// expected meanwhile stays.
    pub(crate) fn take_next(&self) -> u64 {
        self.next.swap(NONE, Ordering::SeqCst)
    }

    pub(crate) fn next(&self) -> Option<u64> {
        Some(self.next.load(Ordering::SeqCst)).filter(|&next| next != NONE)
    }

    pub(crate) fn note_look(&self, now: Time) {
        self.looked.store(now.as_millis().saturating_add(1), Ordering::SeqCst);
    }

    /// Whether a deadline has come that this node knows of, or one may have that it does not know of: it looks for those
    /// once in `poll`, or not at all.
    pub(crate) fn must_be_looked_at(&self, now: Time, shift: Option<Shift>, poll: Option<Duration>) -> bool {
        let looked = self.looked.load(Ordering::SeqCst);
        let is_late = poll.is_some_and(|poll| looked == 0 || now >= Time::from_millis(looked - 1) + poll);
        is_late || self.next().is_some_and(|next| shift.is_none_or(|shift| next <= shift.to_server(now)))
    }
}
