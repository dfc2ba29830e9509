//! What the section on fan-out needs beside typingd: a crowd that listens, and the limit, which only writes.
//!
//! `fanout crowd KIND ADDRESS COUNT KEY [SCOPE]` connects so many and obeys lines on its standard input;
//! `fanout limit ADDRESS` does to as many sockets what a server cannot do without: one `write()` each.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::print_stdout, reason = "it answers on its standard output")]

mod crowd;
mod events;
mod limit;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // Ten thousand sockets and what else there is.
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("no more files are allowed")?;
    match arguments.as_slice() {
        ["limit", address] => limit::serve(address.parse()?),
        ["crowd", kind, address, count, key, scope] => {
            crowd::run(kind.parse()?, address.parse()?, count.parse()?, key, scope)
        }
        _ => bail!("what of `crowd` and `limit`?"),
    }
}
