//! Instructions in user space, counted by callgrind: nearly the same every time, whatever else the machine does.
//!
//! Each count is of one operation: a program is run with N of them and with 2N, and what it took more is theirs. What it
//! costs to start and to end is in neither.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::doors::{self, DOORS, Door, Requests};
use crate::gateway::{self, Settings};
use crate::sections::engine::operations;
use crate::server::{self, Server};
use crate::{http, limit};

/// Something that is counted.
pub(crate) struct Count {
    /// Its name on the page, and in `bench/instructions.toml`.
    pub(crate) name: &'static str,
    /// How many instructions one of it takes.
    pub(crate) count: fn() -> Result<f64>,
}

/// All that is counted, in the order of the page. What else is to be guarded gets a line here.
pub(crate) const COUNTS: &[Count] = &[
    Count { name: "empty handler of axum", count: || of_limit(&DOORS[0]) },
    Count { name: "Kaleyra typing", count: || of_gateway(&DOORS[0]) },
    Count { name: "Pinnacle typing", count: || of_gateway(&DOORS[1]) },
    Count { name: "Salesforce multipart", count: || of_gateway(&DOORS[2]) },
    Count { name: "a start in the engine", count: || of_operation("start") },
    Count { name: "an extension in the engine", count: || of_operation("extend") },
    Count { name: "a stop in the engine", count: || of_operation("stop") },
    Count { name: "an expiry in the engine", count: || of_operation("expire") },
];

/// Users of each connection: all in all, more than a tenant's history has room for.
const USERS: usize = 40;

fn of_gateway(door: &Door) -> Result<f64> {
    of_request(door, |counts| {
        gateway::start("instructions", &Settings { counts: Some(counts), ..Settings::default() })
    })
}

fn of_limit(door: &Door) -> Result<f64> {
    of_request(door, |counts| limit::start("instructions", Some(counts)))
}

/// What a request costs a server that has seen one about the same user.
fn of_request(door: &Door, start: impl Fn(&Path) -> Result<Server>) -> Result<f64> {
    let counts = server::directory()?.join("instructions.callgrind");
    let total = |requests: Requests| {
        let server = start(&counts)?;
        http::once(server.address, requests)?;
        server.stop()?;
        total(&counts)
    };
    let times = |times: usize| {
        doors::requests(USERS, 0..times, |user, number, requests| requests.push((door.typing)(user, number)))
    };
    let of_each: usize = times(1).iter().map(Vec::len).sum();
    Ok((total(times(2))? - total(times(1))?) / of_each as f64)
}

/// What an operation costs the engine alone.
fn of_operation(operation: &str) -> Result<f64> {
    let counts = server::directory()?.join("operations.callgrind");
    let total = |count: u64| {
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", counts.display()));
        command.arg(std::env::current_exe()?).arg(format!("--operations={operation}={count}"));
        let status = command.status().context("valgrind cannot be started")?;
        ensure!(status.success(), "{operation} could not be counted: {status}");
        total(&counts)
    };
    let half = operations::MOST / 2;
    Ok((total(2 * half)? - total(half)?) / half as f64)
}

/// All instructions that callgrind has counted into this file.
fn total(counts: &Path) -> Result<f64> {
    let text = fs::read_to_string(counts).context("callgrind has left nothing behind")?;
    let line = text.lines().find_map(|line| line.strip_prefix("summary: "));
    line.and_then(|line| line.split(' ').next()?.parse().ok()).context("callgrind has counted nothing")
}
