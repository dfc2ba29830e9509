//! How late an end is told, under load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use typingd::clock::Clock;
use typingd::sweeper::{self, Alarm};
use typingd_core::store::memory::MemoryStore;
use typingd_core::store::{Commit, Feed};
use typingd_core::{ChangeKind, Engine, Policy, Signal, StopReason};

use super::population::{Population, say};
use crate::cpu;
use crate::http::histogram;
use crate::sections::Effort;
use crate::stats::number;

/// How many ends a second fall due.
const ENDS: u64 = 50_000;

/// Rings for the sweeper, as the gateway does, and notes how late each end comes.
struct Watch {
    alarm: Arc<Alarm>,
    clock: Clock,
    late: Mutex<Histogram<u64>>,
}

impl Feed for Watch {
    fn publish(&self, commit: Commit) {
        if let Some(deadline) = commit.deadline {
            self.alarm.set(deadline);
        }
        for change in &commit.changes {
            if change.kind == ChangeKind::Stopped(StopReason::Expired) {
                let due = Duration::from_millis(change.lease.expires_at.as_millis());
                let late = self.clock.since_origin().saturating_sub(due);
                let mut all = self.late.lock().expect("nobody panics");
                all.record(crate::http::nanos(late)).expect("it is within an hour");
            }
        }
    }
}

pub(super) fn run(live: u64, effort: Effort) -> Result<String> {
    let (clock, alarm) = (Clock::start(), Arc::new(Alarm::default()));
    let watch = Arc::new(Watch { alarm: alarm.clone(), clock, late: Mutex::new(histogram()) });
    let engine = Arc::new(Engine::new(MemoryStore::new(usize::MAX, watch.clone()), Policy::default()));
    // Those who stay; their time is long after the end.
    let hour = Signal::Composing { ttl: Duration::from_secs(3_600) };
    let staying = Population::new(live);
    for batch in staying.in_order() {
        batch.iter().for_each(|side| say(&engine, side, hour, clock.now()));
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let sweeper = {
        let (engine, is_over) = (engine.clone(), is_over.clone());
        thread::spawn(move || {
            cpu::pin(cpu::SERVER)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
            runtime.block_on(async {
                tokio::select! {
                    () = sweeper::run(&engine, clock, &alarm, None) => {}
                    () = async { while !is_over.load(Ordering::Relaxed) { tokio::time::sleep(Duration::from_millis(50)).await } } => {}
                }
            });
            anyhow::Ok(cpu::of_this_thread())
        })
    };
    let turn = effort.turn * 5;
    // Names of their own, beyond those who stay.
    let passing = staying.others();
    let mut said = 0;
    let began = Instant::now();
    let brief = Signal::Composing { ttl: Duration::from_secs(1) };
    while began.elapsed() < turn {
        let due = (began.elapsed().as_secs_f64() * ENDS as f64) as u64;
        if said >= due {
            thread::sleep(Duration::from_micros(500));
            continue;
        }
        for side in passing.batch(said / super::BATCH) {
            say(&engine, &side, brief, clock.now());
            said += 1;
        }
    }
    let rate = said as f64 / began.elapsed().as_secs_f64();
    thread::sleep(Duration::from_millis(1_500));
    is_over.store(true, Ordering::Relaxed);
    let busy = sweeper.join().expect("a sweeper does not panic")?;
    let late = watch.late.lock().expect("nobody panics");
    let at = |quantile| number(late.value_at_quantile(quantile) as f64 / 1e6);
    Ok(format!(
        "With {} leases that stay and {} that end each second, an end is told {} ms after its moment in the middle, {} ms \
         at the 99th of a hundred and {} ms at the latest (bound: 10 ms at the 99th); {} of {} were told. The sweeper \
         took {} % of a core.\n",
        number(live as f64),
        number(rate),
        at(0.5),
        at(0.99),
        at(1.0),
        late.len(),
        said,
        number(100.0 * busy.as_secs_f64() / began.elapsed().as_secs_f64()),
    ))
}
