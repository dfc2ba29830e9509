//! Killed under load, and started again.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use typingd::clock::Clock;

use super::client::{Posters, percentile, watch, watch_all};
use super::program::{Program, Setup, alone};
use crate::support::Events;

const CLIENTS: usize = 5_000;

#[tokio::test]
async fn a_killed_gateway_is_soon_back_and_knows_nothing_of_before() {
    let _turn = alone().await;
    let setup = Setup { name: "restart", ..Setup::default() };
    let mut program = Program::start(setup).await;
    let address = program.address;
    println!("ready {:?} after the first start", program.ready_after);
    let clock = Clock::start();
    let mut clients = watch_all(address, CLIENTS, "?agent=watched").await;
    println!("{CLIENTS} clients connected in {:?}", clock.elapsed());

    let posters = Posters::start(address, 32, "before", Duration::ZERO);
    sleep(Duration::from_millis(500)).await;
    program.restart(setup).await;
    println!("ready {:?} after `kill -9` under load", program.ready_after);
    assert!(program.ready_after < Duration::from_secs(10));
    let seen = posters.stop().await;
    println!(
        "before, {} requests were answered; the kill left {} without an answer",
        seen.count(),
        seen.unanswered + seen.halved
    );
    assert!(seen.statuses.keys().all(|&status| status == 200), "{:?}", seen.statuses);
    let new = Posters::start(address, 16, "after", Duration::from_millis(5));

    let hints: Vec<Duration> =
        clients.iter_mut().map(|events| Duration::from_millis(events.retry_ms.unwrap())).collect();
    for mut client in std::mem::take(&mut clients) {
        assert!(client.next().await.is_none() && !client.is_finished);
    }
    let at_once = come_back(address, vec![Duration::ZERO; CLIENTS]).await;
    report("at once", at_once);
    program.wait_for("typingd_subscribers", 0.0).await;
    check_spread(&hints);
    let as_told = come_back(address, hints).await;
    report("when each was told to", as_told);
    let seen = new.stop().await;
    println!("meanwhile {} requests were answered", seen.count());
    assert_eq!((seen.unanswered, seen.halved, seen.statuses.len()), (0, 0, 1), "{:?}", seen.statuses);
    let errors = program.times_said("cannot accept");
    println!("accept errors: {errors}");
    assert_eq!(errors, 0, "{}", program.said());
}

/// Each comes back after its own delay, and says how long it took from then until it had its snapshot.
async fn come_back(address: SocketAddr, delays: Vec<Duration>) -> Vec<Duration> {
    let mut clients = JoinSet::new();
    for delay in delays {
        clients.spawn(async move {
            sleep(delay).await;
            let clock = Clock::start();
            let mut events: Events<TcpStream> = watch(address, "?agent=before").await;
            let snapshot = events.next().await.unwrap();
            let took = clock.elapsed();
            assert_eq!(snapshot.name, "snapshot");
            assert_eq!(
                snapshot.data["leases"].as_array().unwrap().len(),
                0,
                "of the process that was killed"
            );
            (took, events)
        });
    }
    clients.join_all().await.into_iter().map(|(took, _)| took).collect()
}

fn report(how: &str, mut took: Vec<Duration>) {
    let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(&mut took, percent));
    println!("{} clients back {how}, until the snapshot: p50 {p50:?}, p99 {p99:?}, max {max:?}", took.len());
    assert_eq!(took.len(), CLIENTS);
}

/// Of those who are told to come back within four seconds, no second sees a third more than its share.
fn check_spread(hints: &[Duration]) {
    let mut seconds = [0; 4];
    for hint in hints {
        let second = usize::try_from(hint.as_millis() / 1_000).unwrap();
        seconds[second.saturating_sub(1).min(3)] += 1;
    }
    println!("told to come back in each second from the first to the fifth: {seconds:?}");
    assert!(seconds.iter().all(|&clients| clients < CLIENTS / 3), "{seconds:?}");
}
