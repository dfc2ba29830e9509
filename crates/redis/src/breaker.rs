//! Fails fast while a server does not answer, so that a call costs its time-out a few times and not every time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use typingd_core::store::StoreError;

/// After how many failures in a row nobody asks any more.
const FAILURES: u32 = 3;

/// How long nobody asks; then one call tries.
const PAUSE: Duration = Duration::from_secs(1);

/// What is known of whether a server answers.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    failures: u32,
    until: Duration,
    reason: Option<String>,
}

impl Breaker {
    /// Lets a call through, or not. Of those that come after the pause, only the first one.
    pub(crate) fn admit(&self, now: Duration) -> Result<(), StoreError> {
        let mut known = self.known();
        if known.failures < FAILURES {
            return Ok(());
        }
        if now < known.until {
            return Err(StoreError::Unavailable);
        }
        known.until = now + PAUSE;
        Ok(())
    }

    /// A call was answered.
    pub(crate) fn answered(&self) {
        let mut known = self.known();
        if known.failures > 0 {
            *known = Known::default();
        }
    }

    /// A call failed, and why. Whether that is so again and again.
    pub(crate) fn failed(&self, reason: String, now: Duration) -> bool {
        let mut known = self.known();
        known.failures = known.failures.saturating_add(1);
        known.until = now + PAUSE;
        known.reason = Some(reason);
        known.failures >= FAILURES
    }

    /// There may be an answer again: the next call tries.
    pub(crate) fn retry(&self) {
        self.known().until = Duration::ZERO;
    }

    /// Why the last call failed.
    pub(crate) fn reason(&self) -> Option<String> {
        self.known().reason.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_three_failures_one_call_a_second_tries() {
        let (breaker, ms) = (Breaker::default(), Duration::from_millis);
        let fail = |at| breaker.failed("it is dark".to_owned(), at);
        for failure in 1..=FAILURES {
            assert!(breaker.admit(ms(0)).is_ok());
            assert_eq!(fail(ms(0)), failure == FAILURES);
        }
        assert!(breaker.admit(ms(999)).is_err());
        assert!(breaker.admit(ms(1_000)).is_ok(), "one tries");
        assert!(breaker.admit(ms(1_001)).is_err(), "and nobody else");
        assert!(fail(ms(1_250)));
        assert!(breaker.admit(ms(2_249)).is_err());
        breaker.retry();
        assert!(breaker.admit(ms(2_249)).is_ok(), "there is hope");
        assert!(breaker.admit(ms(2_249)).is_err(), "for one");
        assert_eq!(breaker.reason().as_deref(), Some("it is dark"));
        breaker.answered();
        assert!(breaker.admit(ms(2_252)).is_ok() && breaker.admit(ms(2_252)).is_ok());
        assert_eq!(breaker.reason(), None);
    }
}
