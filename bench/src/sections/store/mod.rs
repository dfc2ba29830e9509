//! What one Redis carries: signals of typingd, beside the bare script that writes the same.

mod bare;
mod node;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use tokio::task::LocalSet;

use super::Effort;
use crate::gateway::{self, KEY, Settings};
use crate::http;
use crate::plot::{Bar, bars};
use crate::server::{self, Server};
use crate::stats::{median, median_ratio, number};
use crate::table::Table;
use crate::wire;
use bare::Recorder;
use node::Node;

/// How many signals are on their way, and so in how many conversations.
const WINDOW: usize = 256;

/// In how many conversations a storm is.
const STORM: usize = 1_000;

/// As many shards as there are where nobody says otherwise.
const SHARDS: usize = 1_024;

/// How much lives beside what is measured: with so much to carry, no part of the key space is empty.
const LIVING: usize = 4 * SHARDS;

/// Connections to a gateway.
const CONNECTIONS: usize = 64;

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
    let address = server::free_address()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
    command.args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]);
    let redis = Server::start("store", &mut command, address)?;
    // A node's signals, as they come to the server.
    let commits = http::run(async {
        let recorder = Recorder::before(address).await?;
        let node = Node::start(recorder.address, SHARDS).await?;
        node.edges(WINDOW, 8, Duration::MAX).await?;
        recorder.commits()
    })?;
    let more = format!("[store]\nurls = [\"redis://{address}/\"]\nprefix = \"gateway\"\n");
    let gateway = gateway::start("store-gateway", &Settings { more: &more })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let node = local.block_on(&runtime, Node::start(address, SHARDS))?;
    local.block_on(&runtime, node.live(LIVING))?;
    hold(gateway.address)?;

    let mut rows: [Row; 5] = Default::default();
    for _ in 0..effort.rounds {
        let lasts = effort.turn;
        let before = redis.cpu();
        let (signals, wall) = bare::replay(address, &commits, WINDOW, lasts)?;
        rows[0].note(signals, wall, redis.cpu() - before);

        let before = redis.cpu();
        let (signals, wall) = local.block_on(&runtime, node.edges(WINDOW, u64::MAX, lasts))?;
        rows[1].note(signals, wall, redis.cpu() - before);

        local.block_on(&runtime, node.storm_begins(STORM))?;
        let before = redis.cpu();
        let (signals, wall) = local.block_on(&runtime, node.storm(STORM, lasts))?;
        rows[2].note(signals, wall, redis.cpu() - before);
        local.block_on(&runtime, node.storm_ends(STORM))?;

        for (row, states) in [(3, &["composing", "paused"][..]), (4, &["composing"][..])] {
            let before = redis.cpu();
            let load = http::closed_loop(gateway.address, requests(states), lasts)?;
            rows[row].note(load.answers, load.wall, redis.cpu() - before);
        }
    }
    page(&rows)
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

const NAMES: [&str; 5] = [
    "the bare script, pipelined",
    "a node's starts and stops",
    "a node's storm of repeats",
    "starts and stops over HTTP",
    "repeats over HTTP",
];

fn page(rows: &[Row; 5]) -> Result<String> {
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
            number(median_ratio(&row.per_cpu_s, &rows[0].per_cpu_s)),
            number(median(row.per_wall_s.clone())),
            number(median_ratio(&row.per_wall_s, &rows[0].per_wall_s)),
        ]);
    }
    let all: Vec<Bar> = rows
        .iter()
        .zip(NAMES)
        .enumerate()
        .map(|(at, (row, name))| Bar {
            name: name.to_owned(),
            value: median(row.per_wall_s.clone()),
            is_ours: at > 0,
        })
        .collect();
    let chart = bars("store", "Signals over one Redis", "a second", &all)?;
    Ok(format!("{chart}\n{table}"))
}
