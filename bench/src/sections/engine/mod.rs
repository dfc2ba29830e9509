//! The engine alone: what a lease takes, what each operation costs, and how late an end is told.

mod access;
mod lateness;
pub(crate) mod operations;
mod population;

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use typingd_core::store::memory::MemoryStore;
use typingd_core::store::{Commit, Feed};
use typingd_core::{Engine, Policy, Side, Signal, Time};

use super::Effort;
use crate::cpu;
use crate::plot::{self, Bar};
use crate::stats::{median, number};
use crate::table::Table;
use population::{Population, say, settle};

/// Nobody listens.
struct Nobody;

impl Feed for Nobody {
    fn publish(&self, commit: Commit) {
        black_box(&commit);
    }
}

type Bare = Engine<MemoryStore<Nobody>>;

/// How many operations are timed together: the clock costs as much as one of them.
const BATCH: u64 = 100;

const MILLION: u64 = 1_000_000;

/// So many that a core has them in its own cache.
const CACHED: u64 = 5_000;

pub(super) fn run(effort: Effort) -> Result<String> {
    let is_full = !effort.is_quick();
    let live = if is_full { MILLION } else { MILLION / 10 };
    // Measured alone, before anything else has made room in the heap.
    let one = on_server_core(move || measure(live))?;
    let few = on_server_core(|| measure(CACHED))?;
    let ten = if is_full { Some(on_server_core(|| measure(10 * MILLION))?) } else { None };
    let access = on_server_core(access::random)?;
    let mut table = Table::new(&["", "1 M live", "bound", "5,000 live", "10 M live"]);
    let mut bars = Vec::new();
    let rows: [Row; 9] = [
        ("start, ns", |m| m.start, "250"),
        ("extend, ns", |m| m.extend, "250"),
        ("stop, ns", |m| m.stop, "250"),
        ("expire, ns", |m| m.expire, "250"),
        ("the slowest single start, ms", |m| m.slowest_start, "5"),
        ("the longest look for what is due, ms", |m| m.longest_look, "5"),
        ("bytes of a lease, names included", |m| m.bytes, "80"),
        ("bytes of its look-ups, beside", |m| m.lookups, "–"),
        ("all that is resident, bytes a lease", |m| m.resident, "–"),
    ];
    for (name, of, bound) in rows {
        let ten = ten.as_ref().map_or("–".to_owned(), |ten| number(of(ten)));
        table.row([name.to_owned(), number(of(&one)), bound.to_owned(), number(of(&few)), ten]);
        if bound == "250" {
            bars.push(Bar { name: name.to_owned(), value: of(&one), is_ours: true });
            bars.push(Bar { name: "with 5,000 live".to_owned(), value: of(&few), is_ours: false });
        }
    }
    let plot = plot::bars(effort, "engine", "One operation of the engine at a million leases", "ns", &bars)?;
    let scaling = scaling(if is_full { 5 } else { 1 }, live)?;
    let lateness = lateness::run(live, effort)?;
    Ok(format!(
        "Each operation is about a conversation that was not touched for long, but for a start, which is about one that \
         has just stopped. CPU time of one thread, medians of batches of {BATCH}. With 5,000 leases all is in the caches: \
         what is more at a million is memory that is in none. One such access, on which the next depends, took {} ns in this \
         run, and an extension waits for one: the side's.\n\n\
         {plot}\n{table}\nTwo cores do {} times what one does, with a start, three extensions and a stop of random \
         conversations.\n\n{lateness}",
        number(access),
        number(scaling),
    ))
}

/// A name, which figure it is, and its bound.
type Row = (&'static str, fn(&Measured) -> f64, &'static str);

/// What was measured with so many leases.
struct Measured {
    start: f64,
    extend: f64,
    stop: f64,
    expire: f64,
    slowest_start: f64,
    longest_look: f64,
    bytes: f64,
    lookups: f64,
    resident: f64,
}

/// On a thread of its own on the servers' core, which nobody else uses meanwhile.
fn on_server_core<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let worker = thread::spawn(move || {
        cpu::pin(cpu::SERVER)?;
        anyhow::Ok(work())
    });
    worker.join().expect("a measurement does not panic")
}

fn engine(live: u64) -> Bare {
    let capacity = usize::try_from(live).unwrap_or(usize::MAX).saturating_mul(2);
    Engine::new(MemoryStore::new(capacity, Nobody), Policy::default())
}

fn measure(live: u64) -> Measured {
    let population = Population::new(live);
    let before = cpu::resident(std::process::id());
    let engine = engine(live);
    let mut random = 1;
    let start_at = Time::from_millis(1_000);
    let ttl = Signal::Composing { ttl: Duration::from_secs(20) };
    let mut slowest = Duration::ZERO;
    for batch in population.in_order() {
        for side in batch {
            let began = cpu::of_this_thread();
            say(&engine, &side, ttl, start_at);
            slowest = slowest.max(cpu::of_this_thread() - began);
        }
    }
    let resident = cpu::resident(std::process::id()).saturating_sub(before) as f64 / live as f64;
    let footprint = engine.store().footprint();
    let rounds = 3_000;
    let mut at_random = |now: u64, signal: Signal| {
        let times = (0..rounds).map(|_| {
            let sides = population.at_random(&mut random, BATCH);
            time(&sides, |side| say(&engine, side, signal, Time::from_millis(now)))
        });
        median(times.collect())
    };
    let extend = at_random(1_001, ttl);
    let (mut stops, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let sides = population.at_random(&mut random, BATCH);
        stops.push(time(&sides, |side| say(&engine, side, Signal::Paused, Time::from_millis(1_002))));
        starts.push(time(&sides, |side| say(&engine, side, ttl, Time::from_millis(1_002))));
    }
    let mut expires = Vec::new();
    let mut longest_look = Duration::ZERO;
    // All that began in one millisecond ends in one, which is the worst there is.
    let end = Time::from_millis(60_000);
    loop {
        let began = cpu::of_this_thread();
        let due = population::due(&engine, end);
        let looked = cpu::of_this_thread() - began;
        longest_look = longest_look.max(looked);
        if due.is_empty() {
            break;
        }
        let settled = time(&due, |side| settle(&engine, side, end));
        expires.push(settled + looked.as_secs_f64() * 1e9 / due.len() as f64);
    }
    Measured {
        start: median(starts),
        extend,
        stop: median(stops),
        expire: median(expires),
        slowest_start: slowest.as_secs_f64() * 1e3,
        longest_look: longest_look.as_secs_f64() * 1e3,
        bytes: footprint.sides as f64 / live as f64,
        lookups: footprint.lookups as f64 / live as f64,
        resident,
    }
}

/// Nanoseconds of this thread's CPU time for each.
fn time(sides: &[Side], one: impl FnMut(&Side)) -> f64 {
    let began = cpu::of_this_thread();
    sides.iter().for_each(one);
    (cpu::of_this_thread() - began).as_secs_f64() * 1e9 / sides.len() as f64
}

/// How much more two cores do than one.
fn scaling(rounds: usize, live: u64) -> Result<f64> {
    let engine = Arc::new(engine(live));
    let population = Arc::new(Population::new(live));
    let ttl = Signal::Composing { ttl: Duration::from_secs(60) };
    for batch in population.in_order() {
        batch.iter().for_each(|side| say(&engine, side, ttl, Time::from_millis(1_000)));
    }
    let rate = |cores: &[usize], seed: u64| -> Result<f64> {
        let barrier = Arc::new(Barrier::new(cores.len()));
        let workers = cores.iter().map(|&core| {
            let (engine, population, barrier) = (engine.clone(), population.clone(), barrier.clone());
            thread::spawn(move || {
                cpu::pin(core)?;
                let mut random = seed * 7 + core as u64 + 1;
                let mut took = Duration::ZERO;
                for _ in 0..2_000 {
                    let sides = population.at_random(&mut random, BATCH);
                    barrier.wait();
                    let began = Instant::now();
                    for side in &sides {
                        say(&engine, side, Signal::Paused, Time::from_millis(1_001));
                        (0..4).for_each(|_| say(&engine, side, ttl, Time::from_millis(1_001)));
                    }
                    took += began.elapsed();
                }
                anyhow::Ok(1.0 / took.as_secs_f64())
            })
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().expect("a measurement does not panic")).sum()
    };
    let ratios = (0..rounds as u64).map(|round| {
        let one = rate(&[cpu::SERVER], round)?;
        Ok(rate(&[cpu::SERVER, cpu::LOAD], round)? / one)
    });
    Ok(median(ratios.collect::<Result<Vec<_>>>()?))
}
