//! Instructions in user space: what a request costs, but for the kernel's share, which is the same for everybody.

use anyhow::Result;

use super::Effort;
use crate::instructions::COUNTS;
use crate::plot::{self, Bar};
use crate::stats::number;
use crate::table::Table;

pub(super) fn run(effort: Effort) -> Result<String> {
    let mut table = Table::new(&["", "instructions"]);
    let mut bars = Vec::new();
    for one in COUNTS {
        let count = (one.count)()?;
        table.row([one.name, &number(count)]);
        bars.push(Bar { name: one.name.to_owned(), value: count, is_ours: !bars.is_empty() });
    }
    let plot = plot::bars(
        effort,
        "instructions",
        "User-space instructions of one request",
        "fewer are better",
        &bars,
    )?;
    Ok(format!(
        "Counted by callgrind over 64 connections, with the kernel's share left out; fewer are better. They differ by \
         less than 1 % from run to run, and `./test` fails where one rises.\n\n{plot}\n{table}"
    ))
}
