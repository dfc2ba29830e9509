//! What it costs to have it: the file, the start, and doing nothing.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::Effort;
use crate::gateway::{self, Settings};
use crate::server;
use crate::stats::{median, number};
use crate::table::Table;

const MEBIBYTE: f64 = 1_048_576.0;

/// How long nothing is done.
const IDLE: Duration = Duration::from_secs(10);

pub(super) fn run(effort: Effort) -> Result<String> {
    let binary = fs::metadata(server::program("typingd")?)?.len() as f64 / MEBIBYTE;
    let (mut ready, mut resident, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        let gateway = gateway::start("startup", &Settings::default())?;
        ready.push(gateway.ready_after.as_secs_f64() * 1_000.0);
        if round == 0 {
            // Whatever a start leaves to be done is done by then.
            sleep(Duration::from_secs(2));
            let before = gateway.cpu();
            sleep(IDLE.min(effort.turn * 5));
            let took = (gateway.cpu() - before).as_secs_f64();
            idle.push(took / IDLE.min(effort.turn * 5).as_secs_f64() * 1_000_000.0);
        }
        resident.push(gateway.resident() as f64 / MEBIBYTE);
    }
    let mut table = Table::new(&["", "measured", "bound"]);
    table.row(["from the start of the process to an open port, ms", &number(median(ready)), "50"]);
    table.row(["the program's file, MiB", &number(binary), "20"]);
    table.row(["resident while idle, MiB", &number(median(resident)), "15"]);
    table.row(["CPU while idle, µs a second", &number(median(idle)), "–"]);
    Ok(table.to_string())
}
