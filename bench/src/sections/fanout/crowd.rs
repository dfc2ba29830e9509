//! Those who are told.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::gateway::KEY;
use crate::server;

/// Those who listen, in a process of their own.
pub(super) struct Crowd {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Crowd {
    pub(super) fn gather(kind: &str, address: SocketAddr, count: usize, scope: &str) -> Result<Self> {
        let mut process = Command::new(server::program("fanout")?)
            .args(["crowd", kind, &address.to_string(), &count.to_string(), KEY, scope])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().context("no pipe")?;
        let answers = BufReader::new(process.stdout.take().context("no pipe")?);
        let mut crowd = Self { process, orders, answers };
        crowd.answer()?;
        Ok(crowd)
    }

    pub(super) fn order(&mut self, order: &str) -> Result<String> {
        writeln!(self.orders, "{order}")?;
        self.answer()
    }

    /// Waits until each has so many more; how many bytes that was, of all.
    pub(super) fn expect(&mut self, count: usize) -> Result<usize> {
        Ok(self.order(&format!("expect {count}"))?.parse()?)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the crowd has gone: {}", self.process.wait()?);
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
