//! What lies between pacing and the provider, and the chance that rules it.

use std::time::Duration;

use typingd_core::pacing::Verdict;

/// Chance for the tests, apart from the one that is tested.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }

    pub(super) fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the network and the provider do with a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) out: Duration,
    pub(super) back: Duration,
    /// Whether it arrives.
    pub(super) arrives: bool,
    /// What the provider says to it, where the answer gets through.
    pub(super) verdict: Option<Verdict>,
}

impl Fate {
    /// Accepted after this round trip, in effect in the middle of it.
    pub(super) fn accepted(round_trip: Duration) -> Self {
        let (out, back) = (round_trip / 2, round_trip - round_trip / 2);
        Self { out, back, arrives: true, verdict: Some(Verdict::Accepted) }
    }

    pub(super) fn refused(round_trip: Duration, verdict: Verdict) -> Self {
        Self { verdict: Some(verdict), ..Self::accepted(round_trip) }
    }
}
