//! Displays as they are met in the field, under names that say what is special about each.

use std::num::NonZeroU32;
use std::time::Duration;

use typingd_core::pacing::{Limits, Order, Profile, Rate, Refresh};

/// 20 s, reset by every call, taken away by the message alone.
pub(super) fn twenty_seconds() -> Profile {
    Profile {
        display: Duration::from_secs(20),
        refresh: Refresh::Resets,
        floor: Duration::from_secs(1),
        has_stop: false,
        cleared_by_message: true,
        order: Order::ByArrival,
        freshness: Duration::from_secs(5),
    }
}

/// As above, with a stop.
pub(super) fn with_stop() -> Profile {
    Profile { has_stop: true, ..twenty_seconds() }
}

/// A console that shows 7 s at a time, and has a stop.
pub(super) fn seven_seconds() -> Profile {
    Profile { display: Duration::from_secs(7), ..with_stop() }
}

/// 5 s and nothing else to take it away.
pub(super) fn five_seconds() -> Profile {
    Profile { display: Duration::from_secs(5), ..twenty_seconds() }
}

/// 25 s, and a call before they are over is lost.
pub(super) fn forbidden() -> Profile {
    Profile { display: Duration::from_secs(25), refresh: Refresh::Forbidden, ..twenty_seconds() }
}

/// Calls take effect in any order, cancelled or not.
pub(super) fn unordered() -> Profile {
    Profile { order: Order::Unordered, ..twenty_seconds() }
}

/// The message leaves the dots where they are; the stop does not.
pub(super) fn survives_message() -> Profile {
    Profile { cleared_by_message: false, ..with_stop() }
}

/// Wide enough never to matter.
pub(super) fn unlimited() -> Limits {
    let many = NonZeroU32::new(1_000_000).unwrap();
    let rate = Rate { calls: many, per: Duration::from_secs(1), burst: many };
    Limits { rate, concurrency: many, queue: 1_000_000, ..Limits::default() }
}
