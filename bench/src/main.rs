//! `bench/run [SECTION…]`: measures, and writes what came out into `docs/benchmarks.md`.
//!
//! Every section compares typingd with a limit or a peer in one run, in rounds that take turns, so that a noisy machine
//! is as noisy for both. What is compared is operations per second of the server's own CPU time; the wall is beside it.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::print_stdout, reason = "it says how far it is")]

mod cpu;
mod doors;
mod gateway;
mod guard;
mod http;
mod instructions;
mod limit;
mod machine;
mod page;
mod plot;
mod relay;
mod sections;
mod server;
mod stats;
mod table;
mod wire;

use anyhow::{Context, Result, bail};
use clap::Parser;
use mimalloc::MiMalloc;

use page::Page;
use sections::engine::operations;
use sections::{Effort, SECTIONS};

/// As typingd has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures typingd against limits and peers, and writes docs/benchmarks.md.
#[derive(Parser)]
struct Arguments {
    /// Which sections; all where none is named.
    sections: Vec<String>,
    /// Fewer and shorter rounds, to see that it runs. Writes nothing.
    #[arg(long)]
    quick: bool,
    /// Counts instructions, and fails where some operation takes more than was accepted.
    #[arg(long, conflicts_with = "sections")]
    guard: bool,
    /// Counts instructions, and accepts what comes out.
    #[arg(long, conflicts_with_all = ["sections", "guard"])]
    accept: bool,
    /// Does so many of one of the engine's operations and nothing else, to be counted: `extend=20000`.
    #[arg(long, hide = true)]
    operations: Option<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some((operation, count)) = arguments.operations.as_ref().and_then(|asked| asked.split_once('=')) {
        return operations::run(operation, count.parse().context("a number of operations is asked for")?);
    }
    for name in &arguments.sections {
        if !SECTIONS.iter().any(|section| section.name == name) {
            let known: Vec<_> = SECTIONS.iter().map(|section| section.name).collect();
            bail!("there is no section {name}: there are {}", known.join(", "));
        }
    }
    // Servers have the first core, and whatever loads them the second.
    cpu::pin(cpu::LOAD)?;
    if arguments.guard {
        return guard::check();
    }
    if arguments.accept {
        return guard::accept();
    }
    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    let mut page = Page::open("docs/benchmarks.md")?;
    for section in SECTIONS {
        if !arguments.sections.is_empty() && !arguments.sections.iter().any(|name| name == section.name) {
            continue;
        }
        println!("\n== {}", section.name);
        let text = (section.run)(effort)?;
        println!("{text}");
        if !arguments.quick {
            page.replace(section.name, &text)?;
            page.replace("machine", &machine::describe())?;
            page.save()?;
        }
    }
    Ok(())
}
