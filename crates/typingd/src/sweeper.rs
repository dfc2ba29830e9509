//! Ends what lapses, and tells what must be told, on time and with nobody asking. It sleeps when nothing is due.

use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Notify;
use tracing::debug;
use typingd_core::{Engine, Store, Time};

use crate::clock::Clock;

/// Wakes the sweeper for a deadline that comes before the one it sleeps to.
#[derive(Debug)]
pub struct Alarm {
    /// What the sweeper sleeps to, in milliseconds; while it sweeps, later than anything.
    planned: AtomicU64,
    rings: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { planned: AtomicU64::new(u64::MAX), rings: Notify::new() }
    }
}

impl Alarm {
    /// A side must be looked at when `deadline` comes.
    pub fn set(&self, deadline: Time) {
        if deadline.as_millis() < self.planned.load(Ordering::SeqCst) {
            self.rings.notify_one();
        }
    }

    fn plan(&self, next: Time) {
        self.planned.store(next.as_millis(), Ordering::SeqCst);
    }
}

/// How many sides are settled at the same time, where the store is a network away.
const AT_ONCE: usize = 64;

/// How soon a sweep that failed is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// Sweeps for ever, and no more seldom than `at_least`: of deadlines that other nodes set, nobody rings.
pub async fn run<S: Store>(engine: &Engine<S>, clock: Clock, alarm: &Alarm, at_least: Option<Duration>) {
    loop {
        alarm.plan(Time::MAX);
        let due = engine.due(clock.now()).await;
        let settling: Vec<_> =
            due.sides.iter().map(async |side| engine.settle(side, clock.now()).await.err()).collect();
        let failures =
            stream::iter(settling).buffer_unordered(AT_ONCE).filter_map(ready).collect::<Vec<_>>().await;
        let next = match due.failed.or(failures.first().copied()) {
            Some(error) => {
                debug!(%error, "a sweep failed");
                clock.now() + AGAIN
            }
            None if due.cut => {
                tokio::task::yield_now().await;
                continue;
            }
            None => {
                // A side that was settled has a new deadline, which has rung.
                let latest = at_least.map_or(Time::MAX, |at_least| clock.now() + at_least);
                due.next.unwrap_or(Time::MAX).min(latest)
            }
        };
        // Whatever was filed since has rung already, and the ring is kept.
        alarm.plan(next);
        tokio::select! {
            () = tokio::time::sleep_until(clock.instant(next)) => {}
            () = alarm.rings.notified() => {}
        }
    }
}
