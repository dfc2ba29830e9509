//! What else can carry such a signal, doing the same work on the same core.

mod ejabberd;
mod nchan;
mod ours;
mod peer;
mod socketio;
mod synapse;

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::Effort;
use crate::gateway::{self, Settings};
use crate::plot::{Bar, bars};
use crate::stats::{median, median_ratio, number};
use crate::table::Table;
use peer::{Measured, Peer, Size, Task};

/// Over HTTP, as many pairs as the doors have connections.
const HTTP: usize = 64;

/// A socket may send 60 frames at once. So there are more of them, with as many signals each.
const SOCKETS: usize = 512;
const EACH: u64 = 56;

/// As many rounds as fit into some minutes.
const ROUNDS: usize = 5;

/// How many signals one at a time.
const ALONE: u64 = 1_024;

const TASKS: [(Task, &str); 5] = [
    (Task::Alone, "alone"),
    (Task::Relay { window: 1 }, "relayed"),
    (Task::Relay { window: 16 }, "relayed, 16 at once"),
    (Task::Repeats { window: 1 }, "repeats"),
    (Task::Repeats { window: 16 }, "repeats, 16 at once"),
];

/// Servers that are compared over one kind of wire, ours first, and what was measured of each in each task.
struct League {
    size: Size,
    peers: Vec<Box<dyn Peer>>,
    measured: Vec<Vec<Vec<Measured>>>,
}

impl League {
    fn new(size: Size, peers: Vec<Box<dyn Peer>>) -> Self {
        let measured = peers.iter().map(|_| TASKS.iter().map(|_| Vec::new()).collect()).collect();
        Self { size, peers, measured }
    }

    /// Has everybody do a task, one after the other.
    fn turn(&mut self, task: usize) -> Result<()> {
        for (peer, measured) in self.peers.iter_mut().zip(&mut self.measured) {
            measured[task].extend(peer.measure(TASKS[task].0, self.size)?);
        }
        Ok(())
    }

    /// What was measured up to here does not count.
    fn forget(&mut self) {
        self.measured.iter_mut().flatten().for_each(Vec::clear);
    }

    fn of(&self, peer: usize, task: usize, what: fn(&Measured) -> f64) -> Vec<f64> {
        self.measured[peer][task].iter().map(what).collect()
    }

    /// How many times as much ours is.
    fn ratio(&self, peer: usize, task: usize, what: fn(&Measured) -> f64) -> f64 {
        median_ratio(&self.of(0, task, what), &self.of(peer, task, what))
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&[
            "",
            "signals per CPU-s",
            "typingd, times as many",
            "signals a second",
            "p50, ms",
            "p99, ms",
            "typingd's p50, times",
        ]);
        for (task, (_, what)) in TASKS.iter().enumerate() {
            for (at, peer) in self.peers.iter().enumerate() {
                if self.measured[at][task].is_empty() {
                    continue;
                }
                let middle = |what| number(median(self.of(at, task, what)));
                let beside = |value: f64| if at == 0 { String::new() } else { number(value) };
                table.row([
                    format!("{what}: {}", peer.name()),
                    middle(|it| it.per_cpu_s),
                    beside(self.ratio(at, task, |it| it.per_cpu_s)),
                    middle(|it| it.per_wall_s),
                    middle(|it| it.p50 / 1_000.0),
                    middle(|it| it.p99 / 1_000.0),
                    beside(self.ratio(at, task, |it| it.p50)),
                ]);
            }
        }
        table
    }

    fn bars(&self, task: usize) -> Vec<Bar> {
        let all = self.peers.iter().enumerate().filter(|(at, _)| !self.measured[*at][task].is_empty());
        all.map(|(at, peer)| Bar {
            name: format!("{}, {}", peer.name(), TASKS[task].1),
            value: median(self.of(at, task, |it| it.per_cpu_s)),
            is_ours: at == 0,
        })
        .collect()
    }
}

pub(super) fn run(effort: Effort) -> Result<String> {
    let server = Rc::new(gateway::start("peers", &Settings::default())?);
    let is_quick = effort.is_quick();
    let (http, sockets) = if is_quick { (8, 32) } else { (HTTP, SOCKETS) };
    // So few that no socket need rest.
    let (each, alone) = if is_quick { (10, 64) } else { (EACH, ALONE) };
    let mut over_http = League::new(
        Size { each: u64::MAX, lasts: effort.turn / 4, alone },
        vec![
            Box::new(ours::http(&server, http)?),
            Box::new(nchan::start(http)?),
            Box::new(synapse::Synapse::start(http)?),
        ],
    );
    let mut over_sockets = League::new(
        Size { each, lasts: effort.turn * 10, alone },
        vec![
            Box::new(ours::websocket(&server, sockets, if is_quick { Duration::ZERO } else { ours::REST })?),
            Box::new(socketio::start(sockets)?),
            Box::new(ejabberd::start(sockets)?),
        ],
    );
    // Node and Erlang are faster once they have seen their work: the first round is for that.
    let warming = usize::from(!is_quick);
    for round in 0..warming + effort.rounds.min(ROUNDS) {
        for task in 0..TASKS.len() {
            over_sockets.turn(task)?;
            over_http.turn(task)?;
        }
        if round < warming {
            over_sockets.forget();
            over_http.forget();
        }
    }
    let mut bars_of_all = over_sockets.bars(1);
    for (league, task) in [(&over_sockets, 2), (&over_sockets, 4), (&over_http, 1), (&over_http, 3)] {
        bars_of_all.extend(league.bars(task));
    }
    let chart = bars(
        effort,
        "peers",
        "Signals to the other party",
        "per second of the server's CPU time",
        &bars_of_all,
    )?;
    Ok(format!("{METHOD}\n{chart}\n{}\n{}", over_sockets.table(), over_http.table()))
}

const METHOD: &str = "\
A pair are two parties of one conversation. One says that it types and that it does not, in turn, and every signal counts
when the other one has seen it. *Alone* is one signal at a time; *relayed* is all pairs at once, each with one signal on
its way, or with up to 16. *Repeats* say again what is said already: typingd and Synapse answer them and tell nobody,
the others pass each on. Over sockets there are 512 pairs with 56 signals each in a turn and a rest of 3 s behind it,
since a socket of typingd's may send 60 frames at once and 20 a second; over HTTP there are 64 pairs. Answers are waited
for wherever there are any: typingd and Synapse answer every signal, nchan its `POST`, socket.io and ejabberd nothing.

Each server has one core and does without what is not needed here. socket.io 4.8.4: WebSocket alone, with its native
add-ons, without compression and heartbeats. ejabberd, Debian's: XMPP over TCP, no modules, encryption or limits, one
scheduler that does not wait in loops. nchan on nginx, Debian's: one worker, nothing logged or kept for later.
Synapse 1.163.2: one process on SQLite, no presence, federation or limits. typingd is as it is installed: credentials,
limits, deadlines, history and metrics are all there.
";
