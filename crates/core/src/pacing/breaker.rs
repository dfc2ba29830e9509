//! Keeps a credential that is refused from being used on and on: providers ban for it.

use std::time::Duration;

use super::verdict::{Refusal, Verdict};
use crate::time::Time;

/// How many calls may be in flight before the first acceptance.
const UNPROVEN: u32 = 3;

/// How long after a refusal one call tries whether the credential works again.
const PROBE_EVERY: Duration = Duration::from_secs(300);

/// What is known of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Nothing was accepted yet.
    Unproven,
    /// It was accepted, and not refused since.
    Closed,
    /// It was refused: nothing starts.
    Open {
        /// When one call may try again.
        probe_at: Time,
    },
    /// It was refused, and one call is trying again.
    Probing,
}

/// What the breaker says to one more call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Yes,
    /// Not before one in flight is answered.
    Later,
    No,
}

#[derive(Clone, Debug)]
pub(super) struct Breaker {
    state: BreakerState,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { state: BreakerState::Unproven }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.state
    }

    pub(super) fn pass(&self, in_flight: u32, now: Time) -> Pass {
        match self.state {
            BreakerState::Unproven if in_flight >= UNPROVEN => Pass::Later,
            BreakerState::Unproven | BreakerState::Closed => Pass::Yes,
            BreakerState::Open { probe_at } if now >= probe_at => Pass::Yes,
            BreakerState::Open { .. } | BreakerState::Probing => Pass::No,
        }
    }

    /// A call begins. Says whether it is the one that tries.
    pub(super) fn started(&mut self) -> bool {
        let is_probe = matches!(self.state, BreakerState::Open { .. });
        if is_probe {
            self.state = BreakerState::Probing;
        }
        is_probe
    }

    /// A call was answered. Says whether the breaker closed again. While it is open, what began before it opened
    /// proves nothing.
    pub(super) fn answered(&mut self, is_probe: bool, verdict: Verdict, now: Time) -> bool {
        let is_accepted = verdict == Verdict::Accepted;
        let is_refused = verdict == Verdict::Refused(Refusal::Credential);
        match self.state {
            BreakerState::Unproven if is_accepted => self.state = BreakerState::Closed,
            BreakerState::Unproven | BreakerState::Closed if is_refused => self.open(now),
            BreakerState::Probing if is_probe && is_accepted => {
                self.state = BreakerState::Closed;
                return true;
            }
            BreakerState::Probing if is_probe => self.open(now),
            _ => {}
        }
        false
    }

    fn open(&mut self, now: Time) {
        self.state = BreakerState::Open { probe_at: now + PROBE_EVERY };
    }
}
