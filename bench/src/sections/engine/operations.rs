//! So many operations and nothing else, for whoever counts their instructions.

use std::time::Duration;

use anyhow::{Result, bail};
use typingd_core::{Side, Signal, Time};

use super::population::{Population, due, say, settle};

/// The most operations that can be asked for.
pub(crate) const MOST: u64 = 20_000;

/// Does so many of an operation, each on another side. What is done before is the same for each.
pub(crate) fn run(operation: &str, count: u64) -> Result<()> {
    let engine = super::engine(4 * MOST);
    let live: Vec<Side> = Population::new(MOST).in_order().flatten().collect();
    let fresh: Vec<Side> = Population::new(MOST).others().in_order().flatten().collect();
    let count = usize::try_from(count.min(MOST))?;
    let lasts = |ttl| Signal::Composing { ttl: Duration::from_secs(ttl) };
    for (at, side) in live.iter().enumerate() {
        let ttl = if operation == "expire" && at < count { 20 } else { 60 };
        say(&engine, side, lasts(ttl), Time::from_millis(1_000));
    }
    let composing = lasts(60);
    let later = Time::from_millis(2_000);
    match operation {
        "start" => fresh[..count].iter().for_each(|side| say(&engine, side, composing, later)),
        "extend" => live[..count].iter().for_each(|side| say(&engine, side, composing, later)),
        "stop" => live[..count].iter().for_each(|side| say(&engine, side, Signal::Paused, later)),
        "expire" => {
            let end = Time::from_millis(21_000);
            loop {
                let due = due(&engine, end);
                if due.is_empty() {
                    break;
                }
                due.iter().for_each(|side| settle(&engine, side, end));
            }
        }
        _ => bail!("the operations are start, extend, stop and expire"),
    }
    Ok(())
}
