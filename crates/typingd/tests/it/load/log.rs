//! Nobody takes what it logs.

use std::time::Duration;

use tokio::net::TcpStream;
use typingd::clock::Clock;

use super::client::{state, watch};
use super::program::{Program, Setup, alone};
use crate::support::Wire;

/// Each logs several lines, and a pipe holds 64 KiB.
const REQUESTS: usize = 2_000;

#[tokio::test]
async fn a_log_that_nobody_takes_stops_nothing() {
    let _turn = alone().await;
    for (name, is_closed) in [("full", false), ("closed", true)] {
        let mut program = Program::start(Setup { name, log_is_piped: true, ..Setup::default() }).await;
        // As long as it is held, the pipe is open, and full before long.
        let pipe = program.child.stderr.take().filter(|_| !is_closed);
        let mut events = watch(program.address, "").await;
        assert_eq!(events.whats(1).await, ["snapshot"]);
        let clock = Clock::start();
        let mut wire = Wire::new(TcpStream::connect(program.address).await.unwrap());
        for _ in 0..REQUESTS / 2 {
            for said in ["composing", "sent"] {
                assert_eq!(wire.exchange(&state("agent", "+14155550123", said)).await.status, 200);
            }
            assert_eq!(events.whats(2).await, ["started", "stopped sent"]);
        }
        println!("log {name}: {REQUESTS} requests in {:?}", clock.elapsed());
        let clock = Clock::start();
        program.signal("TERM").await;
        assert_eq!(events.whats(1).await, ["closed draining"]);
        assert!(program.exit().await.success());
        println!("log {name}: exit after {:?}", clock.elapsed());
        assert!(clock.elapsed() < Duration::from_secs(10));
        drop(pipe);
    }
}
