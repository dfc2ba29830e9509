//! A node's clock: monotone, and wrong by a constant, by a drift, and by jumps.

use std::sync::Mutex;

use typingd_core::Time;

use crate::executor::{Executor, lock};

/// What the store's clock shows when the world begins, in milliseconds.
pub(crate) const STORE_BEGINS: u64 = 1_000_000_000;

pub(crate) struct NodeClock {
    executor: Executor,
    begins: i64,
    ppm: i64,
    state: Mutex<(i64, i64)>,
}

impl NodeClock {
    /// Shows `begins` milliseconds when the world begins.
    pub(crate) fn new(executor: Executor, begins: u64, ppm: i64) -> Self {
        Self { executor, begins: begins.cast_signed() * 1_000, ppm, state: Mutex::default() }
    }

    /// In whole microseconds.
    pub(crate) fn micros(&self) -> i64 {
        let passed = self.executor.now().cast_signed() * 1_000;
        let mut state = lock(&self.state);
        let (jumped, shown) = &mut *state;
        *shown = (*shown).max(self.begins + passed + passed * self.ppm / 1_000_000 + *jumped);
        *shown
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_millis(self.micros().unsigned_abs() / 1_000)
    }

    /// Goes ahead at once, or stands still, for so long.
    pub(crate) fn jump(&self, millis: i64) {
        self.micros();
        lock(&self.state).0 += millis * 1_000;
    }
}
