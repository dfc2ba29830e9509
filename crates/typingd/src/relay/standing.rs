//! How the accounts stand, for operators and for whoever asks why the dots are on.

use std::time::Duration;

use typingd_core::pacing::{BreakerState, Counters, UpstreamId};
use typingd_core::{Name, Role, Side, Time};

use super::Relay;

/// How an account stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Whose it is.
    pub tenant: Name,
    /// Its name.
    pub upstream: Name,
    /// Where it is one.
    pub provider: &'static str,
    /// Whose typing it is told of.
    pub role: Role,
    /// What is known of its credential.
    pub breaker: BreakerState,
    /// Until when the provider wants to be left alone; in the past where it does not.
    pub not_before: Time,
    /// Until when dots show there, by what is known; `None` where none do, or no side is meant.
    pub dots_until: Option<Time>,
}

/// What an account was asked, for operators to count.
#[derive(Clone, Debug)]
pub struct Activity {
    /// How it stands.
    pub standing: Standing,
    /// What it was told so far, and what not.
    pub counters: Counters,
    /// Calls in flight.
    pub in_flight: u32,
    /// Calls that are due and wait for its limits.
    pub waiting: usize,
    /// The 99th percentile of its round trips.
    pub round_trip: Duration,
}

impl Standing {
    /// What is wrong with it, for people.
    #[must_use]
    pub fn trouble(&self, now: Time) -> Option<String> {
        let Self { tenant, upstream, provider, .. } = self;
        let left = |until: Time| until.since(now).as_secs();
        let trouble = match self.breaker {
            BreakerState::Open { probe_at } => {
                format!("the credential is refused, and tried again in {} s", left(probe_at))
            }
            BreakerState::Probing => "the credential is refused, and being tried again".to_owned(),
            BreakerState::Unproven | BreakerState::Closed if self.not_before > now => {
                format!("it wants to be left alone for {} s", left(self.not_before))
            }
            BreakerState::Unproven | BreakerState::Closed => return None,
        };
        // Operators name them; a name of several lines must not pass for several.
        let (tenant, upstream) = (tenant.escape_debug(), upstream.escape_debug());
        Some(format!("{tenant}/{upstream} ({provider}): {trouble}"))
    }
}

impl Relay {
    /// How the accounts stand that are told of a side.
    #[must_use]
    pub fn told_of(&self, side: &Side) -> Vec<Standing> {
        let (routes, state, now) = (self.routes.load(), self.lock(), self.clock.now());
        let ways = routes.of(side).filter_map(|way| {
            let standing = state.standing(way.upstream)?;
            Some(Standing { dots_until: state.pacer.shows_until(way.upstream, side, now), ..standing })
        });
        ways.collect()
    }

    /// Until when an account's users see dots of a side, by what is known.
    pub(super) fn shows_until(&self, upstream: UpstreamId, side: &Side) -> Option<Time> {
        self.lock().pacer.shows_until(upstream, side, self.clock.now())
    }

    /// What all accounts were asked.
    #[must_use]
    pub fn activity(&self) -> Vec<Activity> {
        let state = self.lock();
        let all = state.accounts().filter_map(|(id, _)| {
            let credential = state.pacer.credential(id)?;
            Some(Activity {
                standing: state.standing(id)?,
                counters: state.pacer.counters(id)?.clone(),
                in_flight: credential.in_flight(),
                waiting: state.pacer.waiting(id),
                round_trip: credential.round_trips().p99(),
            })
        });
        all.collect()
    }
}
