//! A typing request at each door, beside a server that does nothing: what it costs to authenticate, check, coalesce and
//! answer it.

use std::time::Duration;

use anyhow::Result;

use super::Effort;
use crate::doors::{DOORS, NUMBERS, Requests, USERS, mixed, typing};
use crate::gateway::{self, Settings};
use crate::http::{self, Load};
use crate::limit;
use crate::plot::{self, Bar};
use crate::server::Server;
use crate::stats::{median, median_ratio, number};
use crate::table::Table;

/// Numbers that no turn without ends comes to.
const MUCH_LATER: usize = 1 << 32;

/// What was measured of one server with one kind of request, a value for each round.
#[derive(Default)]
struct Measured {
    /// Requests per second of the server's CPU time.
    rate: Vec<f64>,
    /// Requests per second.
    wall: Vec<f64>,
    /// The slowest in a hundred at half that load, in milliseconds.
    p99: Vec<f64>,
}

/// What was measured at one door.
#[derive(Default)]
struct AtDoor {
    limit: Measured,
    typing: Measured,
    mixed: Measured,
}

pub(super) fn run(effort: Effort) -> Result<String> {
    let limit = limit::start("doors-limit", None)?;
    let gateway = gateway::start("doors", &Settings::default())?;
    let mut measured: [AtDoor; DOORS.len()] = Default::default();
    for round in 0..effort.rounds {
        for (door, at_door) in DOORS.iter().zip(&mut measured) {
            // What was said in one turn is not said again in another.
            let mut number = round * 8 * NUMBERS;
            let mut next = || {
                number += 2 * NUMBERS;
                number - 2 * NUMBERS
            };
            at_door.limit.load(&limit, typing(door, next()), effort.turn)?;
            at_door.limit.load_half(&limit, typing(door, next()), effort.turn)?;
            at_door.typing.load(&gateway, typing(door, next()), effort.turn)?;
            at_door.typing.load_half(&gateway, typing(door, next()), effort.turn)?;
            at_door.mixed.load(&gateway, mixed(door, MUCH_LATER + number), effort.turn)?;
        }
    }
    render(&measured, effort)
}

impl Measured {
    /// A turn with as much as the server takes.
    fn load(&mut self, server: &Server, requests: Requests, turn: Duration) -> Result<()> {
        let before = server.cpu();
        let Load { answers, wall, .. } = http::closed_loop(server.address, requests, turn)?;
        self.rate.push(answers as f64 / (server.cpu() - before).as_secs_f64());
        self.wall.push(answers as f64 / wall.as_secs_f64());
        Ok(())
    }

    /// A turn with half as much as it took in the one before.
    fn load_half(&mut self, server: &Server, requests: Requests, turn: Duration) -> Result<()> {
        let rate = self.wall.last().copied().unwrap_or_default() / 2.0;
        let load = http::open_loop(server.address, requests, rate, turn)?;
        self.p99.push(load.latency.value_at_quantile(0.99) as f64 / 1e6);
        Ok(())
    }
}

fn render(measured: &[AtDoor], effort: Effort) -> Result<String> {
    let mut table = Table::new(&[
        "",
        "a CPU-second",
        "the limit",
        "ratio",
        "a second",
        "p99 at half load, ms",
        "the limit's",
        "ratio",
        "typing and its end, a CPU-second",
    ]);
    let mut bars = Vec::new();
    for (door, AtDoor { limit, typing, mixed }) in DOORS.iter().zip(measured) {
        let of = |values: &[f64]| number(median(values.to_vec()));
        table.row([
            door.name.to_owned(),
            of(&typing.rate),
            of(&limit.rate),
            number(median_ratio(&typing.rate, &limit.rate)),
            of(&typing.wall),
            of(&typing.p99),
            of(&limit.p99),
            number(median_ratio(&typing.p99, &limit.p99)),
            of(&mixed.rate),
        ]);
        for (name, rate, is_ours) in
            [("an empty handler", &limit.rate, false), (door.name, &typing.rate, true)]
        {
            bars.push(Bar { name: name.to_owned(), value: median(rate.clone()), is_ours });
        }
    }
    let plot = plot::bars(
        effort,
        "doors",
        "Typing requests at the doors",
        "a second of the server's CPU time",
        &bars,
    )?;
    Ok(format!(
        "64 connections that are kept, {} users at each door, most of them typing already: so a request is \
         authenticated, checked, coalesced and answered. The limit is an empty handler of axum on the same connection \
         settings, which gets the same bytes. A ratio of 1 would mean that all of it costs nothing; of the times, \
         lower is better.\n\n{plot}\n{table}",
        number(USERS as f64)
    ))
}
