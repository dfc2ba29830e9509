//! One change at a time, beside a process that only calls `write()`; and what those cost whom nothing is told.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::crowd::Crowd;
use super::signals::Signals;
use crate::gateway::{self, Settings};
use crate::sections::Effort;
use crate::server::{self, Server};
use crate::stats::median;

/// What came out, of rounds that took turns.
pub(super) struct Compared {
    pub(super) ours: Vec<f64>,
    pub(super) limit: Vec<f64>,
    pub(super) ours_ms: Vec<f64>,
    pub(super) limit_ms: Vec<f64>,
    /// What one of them costs before anything is told, in bytes.
    pub(super) resident: f64,
    pub(super) kernel: f64,
}

pub(super) fn compare(kind: &str, count: usize, effort: Effort) -> Result<Compared> {
    let gateway = gateway::start("fanout", &Settings::default())?;
    // What the first of all costs is not what one more does.
    drop(Crowd::gather(kind, gateway.address, 50, "")?);
    std::thread::sleep(Duration::from_secs(1));
    let (before, slab) = (gateway.resident(), slab());
    let mut crowd = Crowd::gather(kind, gateway.address, count, "")?;
    std::thread::sleep(Duration::from_secs(2));
    let resident = (gateway.resident() as f64 - before as f64) / count as f64;
    let kernel = (self::slab() - slab) / count as f64;
    let mut signals = Signals::connect(gateway.address)?;

    // The limit writes what we write.
    signals.change()?;
    let start = crowd.expect(1)?;
    signals.change()?;
    let size = usize::midpoint(start / count, crowd.expect(1)? / count);
    let address = server::free_address()?;
    let limit = Server::start(
        "fanout-limit",
        Command::new(server::program("fanout")?).args(["limit", &address.to_string()]),
        address,
    )?;
    let mut bare = Crowd::gather(&size.to_string(), address, count, "")?;
    let mut orders = TcpStream::connect(address)?;
    orders.set_nodelay(true)?;
    orders.write_all(b"boss")?;

    let mut compared =
        Compared { ours: vec![], limit: vec![], ours_ms: vec![], limit_ms: vec![], resident, kernel };
    for _ in 0..effort.rounds {
        let (rate, ms) = turn(&gateway, count, effort.turn, || {
            signals.change()?;
            crowd.expect(1)
        })?;
        compared.ours.push(rate);
        compared.ours_ms.push(ms);
        let (rate, ms) = turn(&limit, count, effort.turn, || {
            orders.write_all(&u32::try_from(size)?.to_be_bytes())?;
            orders.read_exact(&mut [0])?;
            bare.expect(1)
        })?;
        compared.limit.push(rate);
        compared.limit_ms.push(ms);
    }
    Ok(compared)
}

/// Deliveries per second of a server's CPU, and the median of the milliseconds that one change takes.
pub(super) fn turn<T>(
    server: &Server,
    count: usize,
    turn: Duration,
    mut change: impl FnMut() -> Result<T>,
) -> Result<(f64, f64)> {
    let (begun, cpu) = (Instant::now(), server.cpu());
    let mut took = Vec::new();
    while begun.elapsed() < turn {
        let asked = Instant::now();
        change()?;
        took.push(asked.elapsed().as_secs_f64() * 1_000.0);
    }
    let cpu = (server.cpu() - cpu).as_secs_f64();
    Ok(((took.len() * count) as f64 / cpu, median(took)))
}

/// What the kernel keeps in its caches, in bytes.
fn slab() -> f64 {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = memory.lines().find_map(|line| line.strip_prefix("SUnreclaim:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}
