//! What lies between the node's clock and the store's: the middle of the shortest round trip of a minute is believed,
//! and the store's time as the node reckons it never runs backwards.

use typingd_core::Time;
use typingd_core::lease::SideState;
use typingd_core::transition::Changes;

/// For how long a measurement is better than one with a longer round trip, in microseconds.
const STANDS: i64 = 60_000_000;

/// All in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Offset {
    best: Option<(i64, i64, i64)>,
    reckoned: i64,
    used: i64,
    shift: Option<i64>,
}

/// Milliseconds to add to the node's time to have the store's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shift(i64);

impl Offset {
    /// Takes note of the store's time in an answer to what was sent then and received now.
    pub(crate) fn note(&mut self, sent: i64, received: i64, server: i64) {
        let trip = received - sent;
        let is_better = self.best.is_none_or(|(_, best, at)| trip < best || received - at >= STANDS);
        if is_better {
            let offset = server - (sent + trip / 2);
            if self.best.is_none() {
                (self.reckoned, self.used) = (offset, received);
            }
            self.best = Some((offset, trip, received));
        }
    }

    pub(crate) fn shift(&mut self, now: i64) -> Option<Shift> {
        let (offset, ..) = self.best?;
        let since = now - self.used;
        self.reckoned = offset.max(self.reckoned - since / 2);
        let mut shift = self.reckoned.div_euclid(1_000);
        if let Some(before) = self.shift {
            let risen = now.div_euclid(1_000) - self.used.div_euclid(1_000);
            shift = shift.max(before - risen);
        }
        self.used = self.used.max(now);
        self.shift = Some(shift);
        self.shift.map(Shift)
    }
}

impl Shift {
    pub(crate) fn to_server(self, time: Time) -> Time {
        Time::from_millis(time.as_millis().saturating_add_signed(self.0))
    }

    pub(crate) fn to_node(self, time: Time) -> Time {
        Time::from_millis(time.as_millis().saturating_add_signed(-self.0))
    }

    pub(crate) fn state_to_server(self, state: &SideState) -> SideState {
        moved(state, |time| self.to_server(time))
    }

    pub(crate) fn state_to_node(self, state: &SideState) -> SideState {
        moved(state, |time| self.to_node(time))
    }

    pub(crate) fn changes_to_server(self, changes: &Changes) -> Changes {
        changes_moved(changes, |time| self.to_server(time))
    }

    pub(crate) fn changes_to_node(self, changes: &Changes) -> Changes {
        changes_moved(changes, |time| self.to_node(time))
    }
}

fn moved(state: &SideState, to: impl Fn(Time) -> Time) -> SideState {
    let mut state = state.clone();
    for lease in &mut state.leases {
        lease.started_at = to(lease.started_at);
        lease.announced_until = to(lease.announced_until);
        lease.claims.iter_mut().for_each(|claim| claim.until = to(claim.until));
    }
    if let Some(fence) = &mut state.fence {
        fence.forget_at = to(fence.forget_at);
    }
    state
}

fn changes_moved(changes: &Changes, to: impl Fn(Time) -> Time) -> Changes {
    let mut changes = changes.clone();
    for change in &mut changes {
        change.lease.started_at = to(change.lease.started_at);
        change.lease.expires_at = to(change.lease.expires_at);
    }
    changes
}
