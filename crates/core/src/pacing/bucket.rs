//! How many calls a credential may make in a time.

use std::num::NonZeroU32;
use std::time::Duration;

use super::share::Share;
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
    rate: Rate,
    cost_us: u64,
    depth_us: u64,
    full_at_us: u64,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        let mut bucket = Self { rate, cost_us: 1, depth_us: 0, full_at_us: 0 };
        bucket.measure(Share::ALL);
        bucket
    }

    /// From now on only this share of the rate may be used. What is in the bucket stays, as far as there is room.
    pub(super) fn set_share(&mut self, share: Share, now: Time) {
        let now_us = now.as_millis().saturating_mul(1_000);
        let (cost_us, left_us) = (self.cost_us, self.left_us(now_us));
        // What is owed, because the provider wants to be left alone, is paid in time whatever a call costs.
        let owed_us = self.full_at_us.saturating_sub(now_us.saturating_add(self.depth_us));
        self.measure(share);
        let left_us = u128::from(left_us) * u128::from(self.cost_us) / u128::from(cost_us);
        let left_us = u64::try_from(left_us).unwrap_or(u64::MAX).min(self.depth_us);
        self.full_at_us = now_us.saturating_add(owed_us).saturating_add(self.depth_us - left_us);
    }

    fn measure(&mut self, share: Share) {
        let per_us = u64::try_from(self.rate.per.as_micros()).unwrap_or(u64::MAX);
        self.cost_us = share.cost(per_us, self.rate.calls).unwrap_or(self.cost_us);
        self.depth_us = self.cost_us.saturating_mul(u64::from(share.of_calls(self.rate.burst)));
    }

    fn left_us(&self, now_us: u64) -> u64 {
        self.depth_us.saturating_sub(self.full_at_us.saturating_sub(now_us))
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
