//! What is measured, a file each.

mod doors;
pub(crate) mod engine;
mod fanout;
mod instructions;
mod peers;
mod startup;
mod store;

use std::time::Duration;

use anyhow::Result;

/// A part of `docs/benchmarks.md`, which stands there between `<!-- NAME -->` and `<!-- /NAME -->`.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// Measures, and gives what is to stand on the page, in Markdown.
    pub(crate) run: fn(Effort) -> Result<String>,
}

pub(crate) const SECTIONS: &[Section] = &[
    Section { name: "doors", run: doors::run },
    Section { name: "instructions", run: instructions::run },
    Section { name: "engine", run: engine::run },
    Section { name: "fanout", run: fanout::run },
    Section { name: "peers", run: peers::run },
    Section { name: "store", run: store::run },
    Section { name: "startup", run: startup::run },
];

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// How often everything takes its turn; medians are taken over them.
    pub(crate) rounds: usize,
    /// How long one turn of one server takes.
    pub(crate) turn: Duration,
}

impl Effort {
    pub(crate) const FULL: Self = Self { rounds: 7, turn: Duration::from_secs(2) };
    pub(crate) const QUICK: Self = Self { rounds: 1, turn: Duration::from_millis(300) };

    /// Whether it is to be seen only that all of it runs: then nothing is written.
    pub(crate) const fn is_quick(self) -> bool {
        self.rounds == 1
    }
}
