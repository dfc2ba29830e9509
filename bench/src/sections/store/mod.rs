//! What one Redis carries: signals of typingd, beside the bare script that writes the same.

mod bare;
mod node;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Effort;
use crate::gateway::{self, KEY, Settings};
use crate::http;
use crate::plot::{Bar, bars};
use crate::server::{self, Server};
use crate::stats::{median, median_ratio, number};
use crate::table::Table;
use crate::wire;
use bare::{Hearer, Recorder};
use node::{Node, Running, Work};

/// How many signals are on their way, and so in how many conversations.
const WINDOW: usize = 256;

/// In how many conversations a storm is.
const STORM: usize = 1_000;

/// As many shards as there are where nobody says otherwise.
const SHARDS: usize = 1_024;

/// How much lives beside what is measured: with so much to carry, hardly a part of the key space is empty.
const LIVING: usize = 4 * SHARDS;

/// Connections to a gateway.
const CONNECTIONS: usize = 64;

/// What all is compared with.
const BARE: usize = 0;

/// One kind of load, over the rounds.
#[derive(Default)]
struct Row {
    per_cpu_s: Vec<f64>,
    per_wall_s: Vec<f64>,
}

impl Row {
    fn note(&mut self, signals: u64, wall: Duration, cpu: Duration) {
        // What Redis does meanwhile of its own takes some 0.1 ms in a second.
        self.per_cpu_s.push(signals as f64 / cpu.as_secs_f64());
        self.per_wall_s.push(signals as f64 / wall.as_secs_f64());
    }
}

pub(super) fn run(effort: Effort) -> Result<String> {
    let redis = start("store")?;
    let address = redis.address;
    // Of their own: an idle gateway, or node, asks its server for something now and then.
    let behind = start("store-behind")?;
    // A node's signals, as they come to the server.
    let commits = http::run(async {
        let recorder = Recorder::before(address).await?;
        let node = Node::start(recorder.address, SHARDS).await?;
        node.live(LIVING).await?;
        recorder.forget();
        node.edges(WINDOW, 8, Duration::MAX).await?;
        recorder.commits()
    })?;
    let more = format!("[store]\nurls = [\"redis://{}/\"]\n", behind.address);
    let gateway = gateway::start("store-gateway", &Settings { more: &more, ..Settings::default() })?;
    let beside = start("store-node")?;
    let node = Running::start(beside.address, SHARDS, LIVING)?;
    hold(gateway.address)?;

    let mut rows: [Row; 6] = Default::default();
    for _ in 0..effort.rounds {
        let lasts = effort.turn;
        let before = redis.cpu();
        let (signals, wall) = bare::replay(address, &commits, WINDOW, lasts)?;
        rows[BARE].note(signals, wall, redis.cpu() - before);

        let hearer = Hearer::of(address, &commits)?;
        let before = redis.cpu();
        let (signals, wall) = bare::replay(address, &commits, WINDOW, lasts)?;
        rows[1].note(signals, wall, redis.cpu() - before);
        drop(hearer);

        let before = beside.cpu();
        let (signals, wall) = node.work(Work::Edges { conversations: WINDOW, lasts })?;
        rows[2].note(signals, wall, beside.cpu() - before);

        node.work(Work::StormBegins { conversations: STORM })?;
        let before = beside.cpu();
        let (signals, wall) = node.work(Work::Storm { conversations: STORM, lasts })?;
        rows[3].note(signals, wall, beside.cpu() - before);
        node.work(Work::StormEnds { conversations: STORM })?;

        for (row, states) in [(4, &["composing", "paused"][..]), (5, &["composing"][..])] {
            let before = behind.cpu();
            let load = http::closed_loop(gateway.address, requests(states), lasts)?;
            rows[row].note(load.answers, load.wall, behind.cpu() - before);
        }
    }
    page(&rows, effort)
}

/// A Redis as `docs/scaling.md` wants it set.
fn start(name: &str) -> Result<Server> {
    let address = server::free_address()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]);
    Server::start(name, &mut command, address)
}

/// Has a gateway keep alive what lives beside.
fn hold(gateway: SocketAddr) -> Result<()> {
    let mut stream = wire::connect(gateway)?;
    for at in 0..LIVING {
        let body = format!(
            r#"{{"channel":"pinnacle","agent":"agent_store","user":"+1415558{at:04}","composer":"agent","idle_ms":3600000,"max_ms":3600000}}"#
        );
        let request = wire::request("POST", "/typing/v1/holds", &authorization(), &body);
        wire::ask(&mut stream, &request, "\"decision\":\"started\"")?;
    }
    Ok(())
}

fn authorization() -> String {
    format!("Authorization: Bearer {KEY}\r\n")
}

fn requests(states: &[&str]) -> Vec<Vec<Vec<u8>>> {
    let of_one = |at: usize| {
        let say = |state: &&str| {
            let body = format!(
                r#"{{"channel":"pinnacle","agent":"agent_store","user":"+1415557{at:04}","composer":"agent","state":"{state}"}}"#
            );
            wire::request("POST", "/typing/v1/signals", &authorization(), &body)
        };
        states.iter().map(say).collect()
    };
    (0..CONNECTIONS).map(of_one).collect()
}

const NAMES: [&str; 6] = [
    "the bare script, pipelined",
    "the bare script, and one who hears it",
    "a node's starts and stops",
    "a node's storm of repeats",
    "starts and stops over HTTP",
    "repeats over HTTP",
];

fn page(rows: &[Row; 6], effort: Effort) -> Result<String> {
    let mut table = Table::new(&[
        "",
        "signals per Redis-CPU-s",
        "to the bare script",
        "signals a second",
        "to the bare script",
    ]);
    for (row, name) in rows.iter().zip(NAMES) {
        table.row([
            name.to_owned(),
            number(median(row.per_cpu_s.clone())),
            number(median_ratio(&row.per_cpu_s, &rows[BARE].per_cpu_s)),
            number(median(row.per_wall_s.clone())),
            number(median_ratio(&row.per_wall_s, &rows[BARE].per_wall_s)),
        ]);
    }
    let all: Vec<Bar> = rows
        .iter()
        .zip(NAMES)
        .enumerate()
        .map(|(at, (row, name))| Bar {
            name: name.to_owned(),
            value: median(row.per_wall_s.clone()),
            is_ours: at > 1,
        })
        .collect();
    let chart = bars(effort, "store", "Signals over one Redis", "a second", &all)?;
    Ok(format!("{METHOD}\n{chart}\n{table}"))
}

const METHOD: &str = "\
*The bare script* is what a node asks one Redis for to start and to stop, the same bytes in the same order, pipelined over
one connection with 256 on their way and nobody else there; then with one connection that hears what is published, as every node
does. *A node* is all of typingd behind its doors, in the process and on the core that loads: 256 conversations with one
signal on its way in each, while 4,096 other leases live, so that hardly a part of the key space is empty. *A storm* repeats
what is said in 1,000 conversations as fast as that one core can; leases last 2 s there, so that the store is told of a
later end after 1.5 s, and not after 15 s as by default. *Over HTTP* there are 64 connections to a gateway that shares
its core with Redis. A Redis carries what its CPU can: the first two columns say how much that is with enough nodes.
";
