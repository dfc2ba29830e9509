//! Fails fast while the store does not answer.

const FAILURES: u32 = 3;
const PAUSE: u64 = 1_000;

#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    until: u64,
}

impl Breaker {
    pub(super) fn admits(&mut self, now: u64) -> bool {
        if self.failures < FAILURES {
            return true;
        }
        if now < self.until {
            return false;
        }
        self.until = now + PAUSE;
        true
    }

    pub(super) fn note(&mut self, is_answered: bool, now: u64) {
        if is_answered {
            self.failures = 0;
        } else {
            self.failures += 1;
            self.until = now + PAUSE;
        }
    }
}
