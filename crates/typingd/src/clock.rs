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
    /// How far it had counted then.
    before: Duration,
    wall: Timestamp,
}

/// How far the clock of one node of several has counted when it starts: what others began before has its time, too.
const LONG_BEFORE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Clock {
    /// Starts counting now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        Self { origin: Instant::now(), before: Duration::ZERO, wall: Timestamp::now() }
    }

    /// Starts counting now, from a number that leaves room for what is older.
    #[must_use]
    pub fn start_late() -> Self {
        Self { before: LONG_BEFORE, ..Self::start() }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.since_origin().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long the count is, more finely than anything is decided by.
    #[must_use]
    pub fn since_origin(&self) -> Duration {
        self.before + self.origin.elapsed()
    }

    /// How long it has run.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The moment on the runtime's clock, to sleep until.
    #[must_use]
    pub fn instant(&self, time: Time) -> Instant {
        let far = Duration::from_secs(60 * 60 * 24 * 365);
        let since = Duration::from_millis(time.as_millis()).saturating_sub(self.before);
        self.origin + since.min(self.origin.elapsed() + far)
    }

    /// The moment as wall time, for people.
    #[must_use]
    pub fn wall(&self, time: Time) -> Timestamp {
        let since = SignedDuration::from_millis(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let before = SignedDuration::try_from(self.before).unwrap_or_default();
        self.wall.checked_add(since.saturating_sub(before)).unwrap_or(Timestamp::MAX)
    }
}
