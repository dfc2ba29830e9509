//! Out of descriptors, of connections, of room for leases.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use typingd::clock::Clock;

use super::client::{state, watch};
use super::program::{Program, Setup, alone};
use crate::support::{Answer, Wire, kaleyra_typing, pinnacle_typing, salesforce};

const USER: &str = "+14155550123";

/// More connections come than it can take; it serves those it has, and the rest as soon as there is room.
async fn keeps_serving_when_full(setup: Setup<'_>) {
    let program = Program::start(setup).await;
    let connect = async || Wire::new(TcpStream::connect(program.address).await.unwrap());
    let mut events = watch(program.address, "").await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    let mut held = connect().await;
    assert_eq!(held.exchange(&state("agent", USER, "composing")).await.status, 200);
    assert_eq!(events.whats(1).await, ["started"]);

    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(connect().await);
    }
    let mut late = connect().await;
    late.send(&state("agent", USER, "composing")).await;
    sleep(Duration::from_millis(300)).await;
    assert!(timeout(Duration::from_millis(100), late.answer()).await.is_err(), "there is no room");
    for said in ["sent", "composing", "paused", "composing"] {
        assert_eq!(held.exchange(&state("agent", USER, said)).await.status, 200);
    }
    assert_eq!(events.whats(4).await, ["stopped sent", "started", "stopped paused", "started"]);

    let clock = Clock::start();
    drop(crowd);
    assert_eq!(late.answer().await.unwrap().decision(), "extended");
    let took = clock.elapsed();
    let errors = program.times_said("cannot accept");
    println!("{}: back {took:?} after there was room; {errors} accept errors logged", setup.name);
    assert!(took < Duration::from_secs(10));
    assert_eq!(connect().await.exchange(&state("agent", USER, "sent")).await.status, 200);
    assert_eq!(events.whats(1).await, ["stopped sent"]);
    assert_eq!(program.look("/livez").await.unwrap().0, 200);
}

#[tokio::test]
async fn out_of_descriptors_it_serves_those_it_has() {
    let _turn = alone().await;
    let first = "ulimit -n 128";
    keeps_serving_when_full(Setup { name: "descriptors", first, ..Setup::default() }).await;
}

#[tokio::test]
async fn out_of_connections_it_serves_those_it_has() {
    let _turn = alone().await;
    let limits = "connections = 100";
    keeps_serving_when_full(Setup { name: "connections", limits, ..Setup::default() }).await;
}

#[tokio::test]
async fn without_room_for_leases_each_door_says_so_in_its_own_words() {
    let _turn = alone().await;
    let program = Program::start(Setup { name: "sides", limits: "sides = 1", ..Setup::default() }).await;
    let exchange = async |request: Vec<u8>| -> Answer {
        Wire::new(TcpStream::connect(program.address).await.unwrap()).exchange(&request).await
    };
    assert_eq!(exchange(state("agent", USER, "composing")).await.status, 200);
    let table = [
        ("native", state("other", USER, "composing"), "/status", "429"),
        ("kaleyra", kaleyra_typing(USER), "/error/error_code", "\"THROTTLED\""),
        ("pinnacle", pinnacle_typing(USER), "/error", "\"too many requests: try again in 1 s\""),
        ("salesforce", salesforce("TypingStartedIndicator", "1", "David Wood"), "/success", "false"),
    ];
    for (door, request, pointer, said) in table {
        let refused = exchange(request).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{door}");
        let body = refused.json();
        assert_eq!(body.pointer(pointer).map(ToString::to_string).as_deref(), Some(said), "{door}: {body}");
    }
    let clock = Clock::start();
    assert_eq!(exchange(state("agent", USER, "paused")).await.status, 200);
    assert_eq!(exchange(kaleyra_typing(USER)).await.decision(), "started");
    println!("room for leases: back {:?} after there was some", clock.elapsed());
}
