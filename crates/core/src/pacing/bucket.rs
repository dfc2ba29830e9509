//! How many calls a credential may make in a time.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::time::Time;

/// A rate of calls, with how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in each `per`, in the long run.
    pub calls: NonZeroU32,
    /// The time in which so many may be made.
    pub per: Duration,
    /// How many may be made at once after a rest.
    pub burst: NonZeroU32,
}

/// A token bucket, kept as the moment at which it will be full again (in µs: a call may cost less than 1 ms).
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    cost_us: u64,
    depth_us: u64,
    full_at_us: u64,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        let per_us = u64::try_from(rate.per.as_micros()).unwrap_or(u64::MAX);
        let cost_us = (per_us / u64::from(rate.calls.get())).max(1);
        Self { cost_us, depth_us: cost_us.saturating_mul(u64::from(rate.burst.get())), full_at_us: 0 }
    }

    /// When the next call may be made; not after `now` where it may be made at once.
    pub(super) fn ready_at(&self) -> Time {
        let ready_us = self.full_at_us.saturating_add(self.cost_us).saturating_sub(self.depth_us);
        Time::from_millis(ready_us.div_ceil(1_000))
    }

    /// Takes what one call costs.
    pub(super) fn take(&mut self, now: Time) {
        let now_us = now.as_millis().saturating_mul(1_000);
        self.full_at_us = self.full_at_us.max(now_us).saturating_add(self.cost_us);
    }

    /// Fills it.
    pub(super) fn refill(&mut self) {
        self.full_at_us = 0;
    }

    /// Empties it, so that at `at` there is enough for one call and no more.
    pub(super) fn empty_until(&mut self, at: Time) {
        let at_us = at.as_millis().saturating_mul(1_000);
        let full_at_us = at_us.saturating_add(self.depth_us).saturating_sub(self.cost_us);
        self.full_at_us = self.full_at_us.max(full_at_us);
    }
}
