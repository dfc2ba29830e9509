//! `bench/run --guard`: no count of instructions may rise unseen. It judges by counts alone, never by time.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::instructions::COUNTS;
use crate::stats::number;

/// What was accepted last.
const FILE: &str = "bench/instructions.toml";

/// How far above what was accepted a count may be. Processors differ in how they copy and compare memory.
const TOLERANCE: f64 = 0.04;

const HEAD: &str = "# Instructions in user space for one operation, as accepted last. `bench/run --guard` fails where one is more than 4 %\n\
                    # above; `bench/run --accept` writes what is counted now.\n";

#[derive(Deserialize)]
struct Accepted {
    instructions: BTreeMap<String, u64>,
}

/// Counts, and fails where something costs more than was accepted.
pub(crate) fn check() -> Result<()> {
    let text = fs::read_to_string(FILE).with_context(|| format!("{FILE} cannot be read"))?;
    let accepted: Accepted = toml::from_str(&text).with_context(|| format!("{FILE} is not understood"))?;
    let mut drifted = Vec::new();
    for one in COUNTS {
        let Some(&before) = accepted.instructions.get(one.name) else {
            drifted.push(format!("{} is not in {FILE}", one.name));
            continue;
        };
        let (now, before) = ((one.count)()?, before as f64);
        let drift = (now / before - 1.0) * 100.0;
        println!("{}: {} instructions, {drift:+.1} %", one.name, number(now));
        if now > before * (1.0 + TOLERANCE) {
            drifted.push(format!("{} takes {now:.0} instructions, {drift:+.1} % of {before}", one.name));
        }
    }
    if drifted.is_empty() {
        return Ok(());
    }
    bail!("{}\nwhere that is right, accept it: bench/run --accept, and commit {FILE}", drifted.join("\n"))
}

/// Counts, and accepts what comes out.
pub(crate) fn accept() -> Result<()> {
    let mut text = format!("{HEAD}[instructions]\n");
    for one in COUNTS {
        let count = (one.count)()?;
        println!("{}: {} instructions", one.name, number(count));
        text.push_str(&format!("{:?} = {count:.0}\n", one.name));
    }
    fs::write(FILE, text).with_context(|| format!("{FILE} cannot be written"))
}
