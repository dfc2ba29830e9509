//! Ends what lapses, and tells what must be told, on time and with nobody asking. It sleeps when nothing is due.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tracing::error;
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

/// Sweeps for ever.
pub async fn run<S: Store>(engine: &Engine<S>, clock: Clock, alarm: &Alarm) {
    loop {
        alarm.plan(Time::MAX);
        let next = match engine.sweep(clock.now()).await {
            Ok(swept) if swept.cut => {
                tokio::task::yield_now().await;
                continue;
            }
            Ok(swept) => swept.next.unwrap_or(Time::MAX),
            Err(error) => {
                error!(%error, "a sweep failed");
                Time::MAX
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
