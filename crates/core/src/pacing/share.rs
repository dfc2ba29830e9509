//! What one of several nodes may ask with a credential that all use.

use std::num::NonZeroU32;

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    part: u32,
    of: NonZeroU32,
}

impl Share {
    /// The whole.
    pub(super) const ALL: Self = Self { part: 1, of: NonZeroU32::MIN };

    /// So many parts of so many, and never more than the whole.
    pub(super) fn new(part: u32, of: u32) -> Self {
        let of = NonZeroU32::new(of).unwrap_or(NonZeroU32::MIN);
        Self { part: part.min(of.get()), of }
    }

    /// So much of a number of calls: rounded down, but one at least where there is any.
    pub(super) fn of_calls(self, whole: NonZeroU32) -> u32 {
        let calls = u64::from(whole.get()) * u64::from(self.part) / u64::from(self.of.get());
        u32::try_from(calls).unwrap_or(u32::MAX).max(self.part.min(1))
    }

    /// What a call costs so many of which may be made in `per`; `None` where none may be.
    pub(super) fn cost(self, per: u64, calls: NonZeroU32) -> Option<u64> {
        let calls =
            NonZeroU32::new(self.part).map(|part| u128::from(part.get()) * u128::from(calls.get()))?;
        let cost = (u128::from(per) * u128::from(self.of.get())).div_ceil(calls);
        Some(u64::try_from(cost).unwrap_or(u64::MAX).max(1))
    }
}
