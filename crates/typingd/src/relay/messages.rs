//! Messages on their way to a provider: typing that is in flight is waited for, and none starts until they are there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep_until, timeout};
use typingd_core::pacing::{CallId, Gate, UpstreamId};
use typingd_core::{Side, Time};

use super::Relay;

/// How long a call that was cancelled may take to end: an instant.
const CANCELLING: Duration = Duration::from_millis(50);

/// A message that sets out. Nothing typed on its sides starts until it is known what became of it.
#[derive(Debug)]
pub struct Departure {
    relay: Arc<Relay>,
    sides: Vec<Side>,
    /// Those of which accounts were told that it comes.
    told: Vec<(UpstreamId, Side)>,
    has_left: bool,
}

impl Relay {
    /// Lets a message of these sides set out: once the calls about them that are in flight have ended, or were
    /// cancelled for taking too long.
    pub async fn depart(self: &Arc<Self>, sides: &[Side]) -> Departure {
        let now = self.clock.now();
        let mut told = Vec::new();
        let mut waits = Vec::new();
        {
            let mut state = self.lock();
            let routes = self.routes.load();
            for side in sides {
                *state.departing.entry(side.clone()).or_default() += 1;
                for way in routes.of(side) {
                    told.push((way.upstream, side.clone()));
                    if let Gate::Wait { call, until } = state.pacer.before_message(way.upstream, side, now) {
                        waits.push((call, until));
                    }
                }
            }
        }
        let departure = Departure { relay: self.clone(), sides: sides.to_vec(), told, has_left: false };
        for (call, until) in waits {
            self.outwait(call, until).await;
        }
        departure
    }

    /// A message passed, and whoever types on this side goes on.
    pub(crate) fn go_on(&self, side: &Side) {
        self.lock().go_on(&self.routes.load(), side, self.clock.now());
        self.rings.notify_one();
    }

    /// Waits until a call has ended, and cancels it where that takes too long.
    async fn outwait(&self, call: CallId, until: Time) {
        let Some(flight) = self.lock().flight(call) else { return };
        tokio::select! {
            () = flight.landed.cancelled() => {}
            () = sleep_until(self.clock.instant(until)) => {
                flight.cancelled.cancel();
                // It ends as soon as its task is asked again.
                let _ = timeout(CANCELLING, flight.landed.cancelled()).await;
            }
        }
    }
}

impl Departure {
    /// It is being sent: from now on it may have arrived, whatever is heard of it.
    pub fn leave(&mut self) {
        self.has_left = true;
    }

    /// It was refused: whoever types goes on typing.
    pub fn turn_back(mut self) {
        self.has_left = false;
    }
}

/// Where it left, no dots come after it, from here on.
impl Drop for Departure {
    fn drop(&mut self) {
        let now = self.relay.clock.now();
        let mut state = self.relay.lock();
        let routes = self.relay.routes.load();
        for side in self.sides.drain(..) {
            if let Some(count) = state.departing.get_mut(&side) {
                *count -= 1;
                if *count == 0 {
                    state.departing.remove(&side);
                }
            }
            // Accounts that a reload has put in others' places know of it as well.
            let new = routes.of(&side).map(|way| (way.upstream, side.clone()));
            let new: Vec<_> = new.filter(|way| !self.told.contains(way)).collect();
            self.told.extend(new);
        }
        for (upstream, side) in self.told.drain(..) {
            state.pacer.after_message(upstream, &side, self.has_left, now);
        }
        drop(state);
        self.relay.rings.notify_one();
    }
}
