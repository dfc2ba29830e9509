//! One change to a thousand and to ten thousand subscribers, beside a process that only calls `write()`.

mod crowd;
mod one_by_one;
mod pile;
mod signals;
mod stalled;

use anyhow::Result;

use super::Effort;
use crate::plot::{self, Bar};
use crate::stats::{median, median_ratio, number};
use crate::table::Table;
use one_by_one::{Compared, compare};
use pile::{Piled, pile_up};

pub(super) fn run(effort: Effort) -> Result<String> {
    let counts: &[usize] = if effort.is_quick() { &[1_000] } else { &[1_000, 10_000] };
    let mut table = Table::new(&[
        "one change to",
        "deliveries per CPU-s",
        "bare `write()`",
        "ratio",
        "until the last has it, ms",
        "of the limit's, ms",
    ]);
    let mut memory =
        Table::new(&["idle subscribers", "resident bytes each", "kernel memory each, both ends"]);
    let mut bars = Vec::new();
    for &count in counts {
        for kind in ["stream", "socket"] {
            let Compared { ours, limit, ours_ms, limit_ms, resident, kernel } = compare(kind, count, effort)?;
            let (mine, bare) = (median(ours.clone()), median(limit.clone()));
            table.row([
                format!("{} {}", number(count as f64), name(kind)),
                number(mine),
                number(bare),
                format!("**{}**", number(median_ratio(&ours, &limit))),
                number(median(ours_ms)),
                number(median(limit_ms)),
            ]);
            memory.row([
                format!("{} {}", number(count as f64), name(kind)),
                number(resident),
                number(kernel),
            ]);
            bars.push(Bar {
                name: format!("{} {}", number(count as f64), name(kind)),
                value: mine,
                is_ours: true,
            });
            bars.push(Bar {
                name: format!("bare write(), {} {}", number(count as f64), name(kind)),
                value: bare,
                is_ours: false,
            });
        }
    }
    let mut piled = Table::new(&[
        "what is told",
        "one by one",
        "changes faster than they are told",
        "taken up after a pause",
    ]);
    for kind in ["stream", "socket"] {
        let Piled { single, burst, pause } = pile_up(kind, effort)?;
        piled.row([
            format!("{} {}, per CPU-s", number(pile::COUNT as f64), name(kind)),
            number(median(single.clone())),
            format!("{}, {} times", number(median(burst.clone())), number(median_ratio(&burst, &single))),
            format!("{}, {} times", number(median(pause.clone())), number(median_ratio(&pause, &single))),
        ]);
    }
    let beside = stalled::run(effort)?;
    let plot = plot::bars(effort, "fanout", "Fan-out", "deliveries per second of server CPU", &bars)?;
    Ok(format!(
        "One change at a time, which everybody has before the next one comes; the limit writes as many bytes to as many \
         sockets. All that was expected came, once and in order, or the run had failed.\n\n{table}\n{plot}\n\
         What a subscriber costs that is told nothing, beyond a gateway without any:\n\n{memory}\n\
         Where changes come faster than they can be told, they go out together. Above, {} changes came at once, or while \
         nobody read:\n\n{piled}\n{beside}\n\
         All of it is HTTP/1.1. The gateway speaks no HTTP/2 to its callers, so that there is nothing to measure of it.\n",
        pile::CHANGES,
    ))
}

fn name(kind: &str) -> &str {
    if kind == "stream" { "streams" } else { "WebSockets" }
}
