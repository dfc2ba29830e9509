//! Keeps a credential that is refused from being used on and on: providers ban for it.

use std::time::Duration;

use super::verdict::{Refusal, Verdict};
use crate::time::Time;

/// How many calls may be in flight before the first acceptance.
const UNPROVEN: u32 = 3;

/// How long after a refusal one call tries whether the credential works again.
const PROBE_EVERY: Duration = Duration::from_secs(300);

/// How often permission is asked for; and how long before its end it is asked for again.
const ASK_EVERY: Duration = Duration::from_secs(1);

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

/// What one node learned of a credential that others use too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It was accepted, for the first time or again.
    Proven,
    /// It was refused.
    Refused {
        /// When one call may try again.
        until: Time,
    },
    /// There was a reload, or an operator says that it works. No pacer says this by itself.
    Forgotten,
}

impl News {
    /// What there is to tell when a call's answer led from one state to another.
    pub(super) fn between(before: BreakerState, after: BreakerState) -> Option<Self> {
        match after {
            _ if before == after => None,
            BreakerState::Closed => Some(Self::Proven),
            BreakerState::Open { probe_at } => Some(Self::Refused { until: probe_at }),
            BreakerState::Unproven | BreakerState::Probing => None,
        }
    }
}

/// What the breaker says to one more call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    Yes,
    /// Not before one in flight is answered, or there is permission.
    Later,
    No,
}

#[derive(Clone, Debug)]
pub(super) struct Breaker {
    state: BreakerState,
    /// Where others use the credential too: nothing tries it without permission.
    permission: Option<Permission>,
}

#[derive(Clone, Debug, Default)]
struct Permission {
    /// How long it is given, if it is.
    until: Option<Time>,
    /// It is not asked for before.
    ask_at: Time,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self { state: BreakerState::Unproven, permission: None }
    }

    /// Forgets what was learned. A permission stays: it is about who tries.
    pub(super) fn reset(&mut self) {
        self.state = BreakerState::Unproven;
    }

    pub(super) fn ask_others(&mut self) {
        self.permission = Some(Permission::default());
    }

    pub(super) fn permit(&mut self, until: Time) {
        if let Some(permission) = &mut self.permission {
            permission.until = Some(until);
        }
    }

    /// Forgets a permission that is over.
    pub(super) fn lapse(&mut self, now: Time) {
        if let Some(permission) = &mut self.permission {
            permission.until = permission.until.filter(|until| *until > now);
        }
    }

    /// When permission is to be asked for: where somebody waits for it, and again before it ends where it is needed
    /// still, so that no other node gets it while calls are in flight.
    pub(super) fn asks_at(&self, waits: bool, in_flight: u32) -> Option<Time> {
        let Permission { until, ask_at } = self.permission.as_ref()?;
        let needed_at = match self.state {
            BreakerState::Unproven if waits || in_flight > 0 => Time::ZERO,
            BreakerState::Probing => Time::ZERO,
            BreakerState::Open { probe_at } if waits => probe_at,
            _ => return None,
        };
        Some(needed_at.max(*ask_at).max(until.map_or(Time::ZERO, |until| until.before(ASK_EVERY))))
    }

    /// Whether permission is asked for now; not again for a while.
    pub(super) fn asks(&mut self, waits: bool, in_flight: u32, now: Time) -> bool {
        let is_due = self.asks_at(waits, in_flight).is_some_and(|at| at <= now);
        if let Some(permission) = self.permission.as_mut().filter(|_| is_due) {
            permission.ask_at = now + ASK_EVERY;
        }
        is_due
    }

    /// When one call may try whether the credential works again, if any may.
    pub(super) fn probe_at(&self) -> Option<Time> {
        let BreakerState::Open { probe_at } = self.state else { return None };
        self.is_permitted(probe_at).then_some(probe_at)
    }

    /// Another node found that it is accepted. Says whether that is new.
    pub(super) fn prove(&mut self) -> bool {
        std::mem::replace(&mut self.state, BreakerState::Closed) != BreakerState::Closed
    }

    /// Another node found that it is refused, and is not to be tried before this. A call that tries here is newer.
    pub(super) fn refuse(&mut self, probe_at: Time) {
        match self.state {
            BreakerState::Unproven | BreakerState::Closed => self.open(probe_at),
            BreakerState::Open { probe_at: earlier } if earlier < probe_at => self.open(probe_at),
            BreakerState::Open { .. } | BreakerState::Probing => {}
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.state
    }

    pub(super) fn pass(&self, in_flight: u32, now: Time) -> Pass {
        match self.state {
            BreakerState::Unproven if in_flight >= UNPROVEN || !self.is_permitted(now) => Pass::Later,
            BreakerState::Unproven | BreakerState::Closed => Pass::Yes,
            BreakerState::Open { probe_at } if now >= probe_at && self.is_permitted(now) => Pass::Yes,
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
            BreakerState::Unproven | BreakerState::Closed if is_refused => self.open(now + PROBE_EVERY),
            BreakerState::Probing if is_probe && is_accepted => {
                self.state = BreakerState::Closed;
                return true;
            }
            BreakerState::Probing if is_probe => self.open(now + PROBE_EVERY),
            _ => {}
        }
        false
    }

    /// Whether it may be tried at `now`, as far as others are concerned.
    fn is_permitted(&self, now: Time) -> bool {
        self.permission.as_ref().is_none_or(|permission| permission.until.is_some_and(|until| until > now))
    }

    /// A permission was for what led here: the next call that tries needs another.
    fn open(&mut self, probe_at: Time) {
        self.state = BreakerState::Open { probe_at };
        if let Some(permission) = &mut self.permission {
            permission.until = None;
        }
    }
}
