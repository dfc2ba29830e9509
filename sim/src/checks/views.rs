//! After quiet, everybody who follows knows what the store has: the same composers, and no end before the one that was
//! told. Clocks that jumped add as much as they did.

use std::collections::BTreeMap;

use typingd_core::Time;
use typingd_core::lease::Lease;

use super::Key;

pub(crate) const NAME: &str = "every follower's view equals the store";

/// Compares what a follower sees with what there is; times are the world's.
pub(crate) fn is_same(
    who: usize,
    seen: &BTreeMap<Key, u64>,
    there: &BTreeMap<Key, Lease>,
    begins: u64,
    tolerance: u64,
) -> Result<(), String> {
    for (key, lease) in there {
        let name = super::promises::name(key);
        let Some(until) = seen.get(key) else {
            return Err(format!("subscriber {who} does not know of {name}"));
        };
        if Time::from_millis(begins + until + tolerance) < lease.announced_until {
            let late = lease.announced_until.as_millis() - begins - until;
            return Err(format!("subscriber {who} knows an end of {name} that is {late} ms early"));
        }
    }
    match seen.keys().find(|key| !there.contains_key(key)) {
        Some(key) => Err(format!("subscriber {who} sees {}, which is not there", super::promises::name(key))),
        None => Ok(()),
    }
}
