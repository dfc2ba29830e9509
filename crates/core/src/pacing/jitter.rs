//! Chance, from a number that was handed in.

use std::time::Duration;

/// A source of small delays: the same seed gives the same ones. It keeps crowds apart, and hides nothing.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// A source that begins at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A delay of at most `bound`, in whole milliseconds.
    pub fn up_to(&mut self, bound: Duration) -> Duration {
        let choices = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        Duration::from_millis(self.next() % choices)
    }

    /// SplitMix64 (Steele, Lea and Flood, 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
