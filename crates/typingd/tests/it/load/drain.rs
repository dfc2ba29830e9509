//! Told to go away while everybody is there.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use typingd::clock::Clock;

use super::client::{Posters, state, watch, watch_all};
use super::program::{Program, Setup, alone};
use crate::support::{Events, Wire};

const STREAMS: usize = 2_000;
/// The drain's own limit, by default, behind a second in which everybody may still come.
const LIMIT: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_drain_under_load_loses_no_request_and_halves_no_event() {
    let _turn = alone().await;
    let mut program =
        Program::start(Setup { name: "drain", limits: "drain_notice_ms = 1000", ..Setup::default() }).await;
    let address = program.address;
    let streams = watch_all(address, STREAMS, "?agent=watched").await;
    let witness = tokio::spawn(witness(watch(address, "?agent=busy").await));
    let mut wire = Wire::new(TcpStream::connect(address).await.unwrap());
    assert_eq!(wire.exchange(&state("watched", "+14155550123", "composing")).await.status, 200);
    let posters = Posters::start(address, 64, "busy", Duration::ZERO);
    sleep(Duration::from_secs(1)).await;

    let clock = Clock::start();
    program.signal("TERM").await;
    let mut ends = JoinSet::new();
    for mut events in streams {
        ends.spawn(async move {
            assert_eq!(events.whats(3).await, ["started", "stopped revoked", "closed draining"]);
            assert!(events.next().await.is_none() && events.is_finished);
        });
    }
    ends.join_all().await;
    println!("{STREAMS} streams had ended {:?} after SIGTERM", clock.elapsed());
    let status = program.exit().await;
    println!("exit after {:?}", clock.elapsed());
    assert!(status.success() && clock.elapsed() < LIMIT + Duration::from_secs(5), "{status}");

    let seen = posters.stop().await;
    let started = witness.await.unwrap();
    println!(
        "answers by status: {:?}, {} users seen to start; {} requests, on as many new connections, came too late",
        seen.statuses,
        started.len(),
        seen.unanswered
    );
    assert_eq!(seen.halved, 0, "an answer is whole or none");
    assert_eq!(seen.forsaken, 0, "whoever was answered last on a connection was told so");
    assert!(seen.statuses.keys().all(|status| [200, 503].contains(status)), "{:?}", seen.statuses);
    assert!(seen.count() > 100 && seen.started.is_subset(&started), "what was answered has happened");
    assert!(started.is_subset(&seen.answered), "what has happened was answered");
    assert!(!program.said().contains("took too long"), "{}", program.said());
}

/// For whom a start is seen, on a stream that shall end as all do.
async fn witness(mut events: Events<TcpStream>) -> BTreeSet<String> {
    let (mut started, mut live) = (BTreeSet::new(), BTreeSet::new());
    let mut last = String::new();
    while let Some(event) = events.next().await {
        let user = event.data["user"].as_str().unwrap_or_default().to_owned();
        match event.name.as_str() {
            "started" => assert!(live.insert(user.clone()) && started.insert(user)),
            "stopped" => assert!(live.remove(&user)),
            _ => {}
        }
        last = event.what();
    }
    assert_eq!((last.as_str(), events.is_finished, live.len()), ("closed draining", true, 0));
    started
}
