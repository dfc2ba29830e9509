//! The one place where time is read.
//!
//! Both clocks are read once, at the start, as an anchor. From then on every decision counts milliseconds of the
//! runtime's monotonic clock, which a test can stop; wall time is that count added to the anchor, and is for people.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use typingd_core::Time;

const NANOS_PER_MILLI: i32 = 1_000_000;

/// The server's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    /// How far it had counted then.
    before: Duration,
    /// Wall time then: whole milliseconds since 1970, and the nanoseconds of another.
    wall: (i64, i32),
}

/// How far the clock of one node of several has counted when it starts: what others began before has its time, too.
const LONG_BEFORE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Clock {
    /// Starts counting now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn start() -> Self {
        let wall = Timestamp::now();
        let wall = (wall.as_millisecond(), wall.subsec_nanosecond() % NANOS_PER_MILLI);
        Self { origin: Instant::now(), before: Duration::ZERO, wall }
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

    /// The moment on the runtime's clock that comes so long from now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn from_now(time: Duration) -> Instant {
        Instant::now() + time
    }

    /// The moment as wall time, for people.
    #[must_use]
    pub fn wall(&self, time: Time) -> Timestamp {
        let millis = |time: u128| i64::try_from(time).unwrap_or(i64::MAX);
        let since = millis(time.as_millis().into()).saturating_sub(millis(self.before.as_millis()));
        let wall = self.wall.0.saturating_add(since);
        let nanos = (wall.rem_euclid(1_000)) as i32 * NANOS_PER_MILLI + self.wall.1;
        Timestamp::new(wall.div_euclid(1_000), nanos).unwrap_or(Timestamp::MAX)
    }
}
