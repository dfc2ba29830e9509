//! How a provider's dots behave, as far as pacing must know.

use std::time::Duration;

/// The facts about a provider's typing display. They come from its documentation or from measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// How long the other side sees dots after one call, counted from when the call takes effect.
    pub display: Duration,
    /// What a call does while the dots still show.
    pub refresh: Refresh,
    /// No two calls for one stream begin closer together than this, whatever they say.
    pub floor: Duration,
    /// Whether there is a call that takes the dots away.
    pub has_stop: bool,
    /// Whether the arrival of a message takes the dots away.
    pub cleared_by_message: bool,
    /// In which order calls take effect.
    pub order: Order,
    /// A call that has not begun this long after it was due is dropped.
    pub freshness: Duration,
}

/// What a call does while the dots still show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// The display time begins anew.
    Resets,
    /// Nothing: the call is lost, so the next one must wait until the dots are gone for certain.
    Forbidden,
}

/// In which order calls take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they arrive; one that was cancelled before it arrived never does.
    ByArrival,
    /// In any; one that was cancelled may still take effect, even after a message.
    Unordered,
}

impl Profile {
    /// How long before the dots can fade a refresh is sent, where round trips take up to `p99`.
    ///
    /// The slack on top is 1 s for the usual display of 20 s or more, and a twentieth of a shorter one. With the
    /// jitter it never takes more than a quarter of the display: beyond that the provider would hear more than helps.
    #[must_use]
    pub fn lead(&self, p99: Duration) -> Duration {
        let slack = (self.display / 20).min(Duration::from_secs(1));
        (p99 + slack).min(self.display / 4 - self.max_jitter())
    }

    /// The most by which chance brings a refresh forward: 0.5 s, or a fortieth of a display under 20 s.
    #[must_use]
    pub fn max_jitter(&self) -> Duration {
        (self.display / 40).min(Duration::from_millis(500))
    }

    /// How long a stream rests whose call was dropped.
    pub(super) fn rest(&self) -> Duration {
        self.freshness.max(Duration::from_millis(100))
    }

    /// The fewest calls that could show dots for this long.
    #[must_use]
    pub fn fewest_calls(&self, live: Duration) -> u64 {
        let calls = live.as_millis().div_ceil(self.display.as_millis().max(1));
        u64::try_from(calls).unwrap_or(u64::MAX)
    }
}
