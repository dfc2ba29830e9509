//! Whoever was told of a live lease knows an end that lies ahead: nobody lets dots go by themselves while the store has
//! the lease.
//!
//! Excused where calls or news failed in the last ten seconds, and where a node died or left: what it had claimed to tell
//! is told by another when the claim is over. A clock that jumped is wrong for up to a minute, which is the rest of a run.

use typingd_core::Time;
use typingd_core::lease::SideState;

use super::{Key, TOLERANCE};
use crate::clock::STORE_BEGINS;
use crate::plan::{Fault, Plan};

pub(crate) const NAME: &str = "whoever was told knows an end that lies ahead";

/// Somebody lets dots go, since the end they know has come.
pub(crate) fn left_alone(key: &Key, state: &SideState, plan: &Plan, now: u64) -> Result<(), String> {
    let faults: Vec<Fault> = [&Fault::STORE[..], &Fault::FEED, &[Fault::Death, Fault::Drain]].concat();
    if plan.had(&faults, now.saturating_sub(10_000), now) || plan.had(&Fault::CLOCK, 0, now) {
        return Ok(());
    }
    let lease = state.leases.iter().find(|lease| lease.participant == key.1);
    match lease {
        Some(lease) if lease.expires_at() > Time::from_millis(STORE_BEGINS + now + TOLERANCE) => {
            let left = lease.expires_at().as_millis() - STORE_BEGINS - now;
            Err(format!("{} has {left} ms to live, and a follower did not know", super::promises::name(key)))
        }
        _ => Ok(()),
    }
}
