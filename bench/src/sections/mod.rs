//! What is measured, a file each.

mod fanout;
mod startup;

use std::time::Duration;

use anyhow::Result;

/// A part of `docs/benchmarks.md`, which stands there between `<!-- NAME -->` and `<!-- /NAME -->`.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// Measures, and gives what is to stand on the page, in Markdown.
    pub(crate) run: fn(Effort) -> Result<String>,
}

pub(crate) const SECTIONS: &[Section] =
    &[Section { name: "startup", run: startup::run }, Section { name: "fanout", run: fanout::run }];

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
}
