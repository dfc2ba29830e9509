//! The one place where time is read.
//!
//! Both clocks are read once, at the start, as an anchor. From then on every decision counts milliseconds of the
//! runtime's monotonic clock, which a test can stop; wall time is that count added to the anchor, and is for people.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use typingd_core::Time;

/// The server's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    wall: Timestamp,
}

impl Clock {
    /// Starts counting now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        Self { origin: Instant::now(), wall: Timestamp::now() }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long it has counted, more finely than anything is decided by.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The moment on the runtime's clock, to sleep until.
    #[must_use]
    pub fn instant(&self, time: Time) -> Instant {
        let far = Duration::from_secs(60 * 60 * 24 * 365);
        self.origin + Duration::from_millis(time.as_millis()).min(self.origin.elapsed() + far)
    }

    /// The moment as wall time, for people.
    #[must_use]
    pub fn wall(&self, time: Time) -> Timestamp {
        let since = SignedDuration::from_millis(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        self.wall.checked_add(since).unwrap_or(Timestamp::MAX)
    }
}
