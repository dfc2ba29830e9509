//! Runs seeds, replays one, and remembers those that failed.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use typingd_sim::{Mutant, Report, run};

const USAGE: &str = "usage: typingd-sim [--seeds N] [--from N] [--seed N] [--mutant NAME] [--list-mutants]";

/// What is asked for.
#[derive(Default)]
struct Asked {
    seeds: Option<u64>,
    from: u64,
    seed: Option<u64>,
    mutant: Option<Mutant>,
    lists_mutants: bool,
}

fn main() -> ExitCode {
    let Some(asked) = read_arguments(std::env::args().skip(1)) else {
        let _ = writeln!(io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    let is_well = if asked.lists_mutants {
        Mutant::ALL.iter().for_each(|mutant| say(mutant.as_str()));
        true
    } else if let Some(seed) = asked.seed {
        replay(seed, asked.mutant)
    } else {
        run_many(&asked)
    };
    ExitCode::from(u8::from(!is_well))
}

fn read_arguments(mut arguments: impl Iterator<Item = String>) -> Option<Asked> {
    let mut asked = Asked::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seeds" => asked.seeds = Some(arguments.next()?.parse().ok()?),
            "--from" => asked.from = arguments.next()?.parse().ok()?,
            "--seed" => asked.seed = Some(arguments.next()?.parse().ok()?),
            "--mutant" => asked.mutant = Some(Mutant::named(&arguments.next()?)?),
            "--list-mutants" => asked.lists_mutants = true,
            _ => return None,
        }
    }
    Some(asked)
}

fn replay(seed: u64, mutant: Option<Mutant>) -> bool {
    let report = run(seed, mutant, true);
    report.trace.iter().for_each(|line| say(line));
    report_failure(&report, mutant);
    report.violation.is_none()
}

/// Those that failed once come first.
fn run_many(asked: &Asked) -> bool {
    let regressions = if asked.mutant.is_none() { regressions() } else { Vec::new() };
    let fresh = asked.from..asked.from + asked.seeds.unwrap_or(100);
    let (mut count, mut steps, mut failed) = (0_u64, 0, Vec::new());
    let mut faults = std::collections::BTreeMap::<String, u64>::new();
    for seed in regressions.iter().copied().chain(fresh.filter(|seed| !regressions.contains(seed))) {
        let report = run(seed, asked.mutant, false);
        count += 1;
        steps += report.steps;
        report.faults.iter().for_each(|fault| *faults.entry(fault.clone()).or_default() += 1);
        if report.violation.is_some() {
            report_failure(&report, asked.mutant);
            failed.push(seed);
        }
    }
    let shares = faults.iter().fold(String::new(), |mut line, (fault, runs)| {
        let _ = write!(line, " {fault} {} %", runs * 100 / count.max(1));
        line
    });
    say(&format!("{count} runs, {} steps each, {} failed; with{shares}", steps / count.max(1), failed.len()));
    if asked.mutant.is_none() {
        remember(failed.iter().filter(|seed| !regressions.contains(seed)));
    }
    failed.is_empty()
}

fn report_failure(report: &Report, mutant: Option<Mutant>) {
    let Some(violation) = &report.violation else { return };
    let mutant = mutant.map(|mutant| format!(" --mutant {}", mutant.as_str())).unwrap_or_default();
    say(&format!(
        "seed {} failed at {} ms: {}: {}\n  with {}\n  replay: cargo run -p typingd-sim --release -- --seed {}{mutant}",
        report.seed,
        violation.at,
        violation.property,
        violation.what,
        report.faults.join(" "),
        report.seed,
    ));
}

fn regressions_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions.txt")
}

/// The seeds that failed once: the first word of each line that is no comment.
fn regressions() -> Vec<u64> {
    let text = fs::read_to_string(regressions_file()).unwrap_or_default();
    let seeds = text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok());
    seeds.collect()
}

fn remember<'s>(seeds: impl Iterator<Item = &'s u64>) {
    let lines = seeds.fold(String::new(), |mut lines, seed| {
        let _ = writeln!(lines, "{seed}");
        lines
    });
    if lines.is_empty() {
        return;
    }
    let file = fs::OpenOptions::new().append(true).create(true).open(regressions_file());
    let _ = file.and_then(|mut file| file.write_all(lines.as_bytes()));
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
