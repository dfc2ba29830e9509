//! A server with its pairs, and the tasks that it does in turn with the others.

use std::net::TcpStream;
use std::rc::Rc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::http::{histogram, nanos};
use crate::relay::{Passed, Relay, Signal, Turn};
use crate::server::Server;

/// What everybody is asked to do.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Task {
    /// Starts and stops in turn, each of which the other party must see: all pairs at once, each with so many on their way.
    Relay { window: u64 },
    /// What is said already, again and again: all pairs at once, each with so many on their way.
    Repeats { window: u64 },
    /// One start or stop at a time, of one pair after the other.
    Alone,
}

/// How much each task is, so that it is the same for all that are compared.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// How many signals a pair says at most.
    pub(super) each: u64,
    /// How long it may take.
    pub(super) lasts: Duration,
    /// How many signals there are one at a time.
    pub(super) alone: u64,
}

/// What came of a task.
pub(super) struct Measured {
    /// Signals in a second of the server's CPU time.
    pub(super) per_cpu_s: f64,
    pub(super) per_wall_s: f64,
    /// In microseconds.
    pub(super) p50: f64,
    pub(super) p99: f64,
}

impl Measured {
    pub(super) fn new(passed: &Passed, cpu: Duration) -> Self {
        let signals = passed.signals as f64;
        let micros = |quantile| passed.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        Self {
            per_cpu_s: signals / cpu.as_secs_f64(),
            per_wall_s: signals / passed.wall.as_secs_f64(),
            p50: micros(0.5),
            p99: micros(0.99),
        }
    }
}

/// Whoever can be asked.
pub(super) trait Peer {
    fn name(&self) -> &'static str;

    /// Does a task; nothing, where its wire has no such thing.
    fn measure(&mut self, task: Task, size: Size) -> Result<Option<Measured>>;
}

/// What a server's connections need so that they last from turn to turn.
pub(super) enum Care {
    None,
    /// What is said comes over new connections each time.
    Reconnect(Box<dyn Fn() -> Result<TcpStream>>),
    /// Whoever says nothing for long is gone, and who said much must rest.
    Mention {
        bytes: Vec<u8>,
        rest: Duration,
    },
}

/// What a pair says.
pub(super) struct Script {
    /// A start, and a stop.
    pub(super) edges: [Signal; 2],
    /// The start once more.
    pub(super) repeat: Signal,
}

/// A server all of whose pairs are connections that stay.
pub(super) struct Relayed {
    name: &'static str,
    server: Rc<Server>,
    relay: Relay,
    care: Care,
    /// Whether several signals of a pair may be on their way.
    has_windows: bool,
    edges: Vec<Vec<Signal>>,
    starts: Vec<Vec<Signal>>,
    stops: Vec<Vec<Signal>>,
    repeats: Vec<Vec<Signal>>,
    last: Instant,
}

impl Relayed {
    pub(super) fn new(
        name: &'static str,
        server: Rc<Server>,
        pairs: Vec<(TcpStream, TcpStream)>,
        scripts: Vec<Script>,
        care: Care,
    ) -> Result<Self> {
        let relay = Relay::new(pairs)?;
        let has_windows = !matches!(care, Care::Reconnect(_));
        let of = |pick: fn(&Script) -> Vec<Signal>| scripts.iter().map(pick).collect();
        Ok(Self {
            edges: of(|script| script.edges.to_vec()),
            starts: of(|script| vec![script.edges[0].clone()]),
            stops: of(|script| vec![script.edges[1].clone()]),
            repeats: of(|script| vec![script.repeat.clone()]),
            last: Instant::now(),
            name,
            server,
            relay,
            care,
            has_windows,
        })
    }

    /// Makes the connections ready for a turn.
    fn prepare(&mut self) -> Result<()> {
        match &self.care {
            Care::None => {}
            Care::Reconnect(open) => self.relay.reconnect(open)?,
            Care::Mention { bytes, rest } => {
                self.relay.mention(bytes)?;
                sleep(rest.saturating_sub(self.last.elapsed()));
            }
        }
        // What that costs the server is not the turn's.
        sleep(Duration::from_millis(20));
        Ok(())
    }

    fn alone(&mut self, size: Size) -> Result<Passed> {
        let pairs = self.relay.len() as u64;
        let each = (size.alone / pairs).max(2).next_multiple_of(2);
        let turn = Turn { window: 1, each, lasts: Duration::MAX };
        let (mut latency, mut wall, mut signals) = (histogram(), Duration::ZERO, 0);
        for at in 0..self.relay.len() {
            if signals >= size.alone {
                break;
            }
            let passed = self.relay.turn(at..at + 1, &self.edges, turn)?;
            latency.add(passed.latency)?;
            wall += passed.wall;
            signals += passed.signals;
        }
        Ok(Passed { signals, wall, latency })
    }
}

impl Peer for Relayed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn measure(&mut self, task: Task, size: Size) -> Result<Option<Measured>> {
        if matches!(task, Task::Relay { window } | Task::Repeats { window } if window > 1 && !self.has_windows)
        {
            return Ok(None);
        }
        self.prepare()?;
        let Size { each, lasts, .. } = size;
        let (all, once) = (0..self.relay.len(), Turn { window: 1, each: 1, lasts: Duration::MAX });
        let before = self.server.cpu();
        let (passed, took) = match task {
            Task::Alone => (self.alone(size)?, self.server.cpu() - before),
            Task::Relay { window } => {
                let passed = self.relay.turn(all, &self.edges, Turn { window, each, lasts })?;
                (passed, self.server.cpu() - before)
            }
            Task::Repeats { window } => {
                self.relay.turn(all.clone(), &self.starts, once)?;
                let before = self.server.cpu();
                // The start and the stop are two of them.
                let turn = Turn { window, each: each - 2, lasts };
                let passed = self.relay.turn(all.clone(), &self.repeats, turn)?;
                let took = self.server.cpu() - before;
                self.relay.turn(all, &self.stops, once)?;
                (passed, took)
            }
        };
        self.last = Instant::now();
        Ok(Some(Measured::new(&passed, took)))
    }
}

/// In nanoseconds, from when something began.
pub(super) fn since(began: Instant) -> u64 {
    nanos(began.elapsed())
}
