//! What a socket vouches for, and what becomes of it without the socket.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use typingd::clock::Clock;

use super::client::open;
use crate::support::{InProcess, config, signal};

const USER: &str = "+14155550123";

fn rep() -> Value {
    json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "side": "agent",
        "participant": "rep-7", "access": "read_write"})
}

fn watcher() -> Value {
    json!({"user": USER, "side": "user", "access": "read"})
}

#[tokio::test(start_paused = true)]
async fn who_keeps_typing_keeps_one_lease() {
    let gateway = InProcess::start();
    let (mut user, _) = open(&gateway, &watcher()).await;
    user.watch().await;
    let (mut rep, _) = open(&gateway, &rep()).await;
    let clock = Clock::start();
    let typing = async {
        for round in 0..12 {
            let decision = rep.ask(json!({"type": "composing"})).await;
            assert_eq!(decision["decision"], if round == 0 { "started" } else { "extended" });
            sleep(Duration::from_secs(5)).await;
        }
        rep
    };
    let watching = async {
        let mut whats = vec![user.what().await];
        while whats.last().is_none_or(|what| !what.starts_with("stopped")) {
            whats.push(user.what().await);
        }
        whats
    };
    let (_rep, whats) = tokio::join!(typing, watching);
    let [first, between @ .., last] = &whats[..] else { panic!("{whats:?}") };
    assert_eq!((&**first, &**last), ("started", "stopped expired"));
    assert!(between.iter().all(|what| what == "refreshed"), "{whats:?}");
    assert_eq!(clock.now().as_millis(), 75_000, "20 s after it was last said");
}

#[tokio::test(start_paused = true)]
async fn what_another_door_vouches_for_outlives_the_socket_and_its_shorter_end_is_told() {
    let gateway = InProcess::start();
    let one_shot = |ttl_ms: u64| {
        signal(&format!(
            r#"{{"channel":"pinnacle","agent":"agent_pinnacle","user":"{USER}","composer":"agent","participant":"rep-7","state":"composing","ttl_ms":{ttl_ms}}}"#
        ))
    };
    for (ttl_ms, is_told) in [(20_000, true), (60_000, false)] {
        let (mut user, _) = open(&gateway, &watcher()).await;
        assert_eq!(user.watch().await, json!([]));
        let clock = Clock::start();
        let (mut rep, _) = open(&gateway, &rep()).await;
        assert_eq!(rep.ask(json!({"type": "composing", "ttl_ms": 60_000})).await["decision"], "started");
        assert_eq!(gateway.exchange(&one_shot(ttl_ms)).await.decision(), "extended");
        assert_eq!(user.what().await, "started");
        drop(rep);
        let mut next = user.next().await;
        if is_told {
            assert_eq!((&next["type"], &next["remaining_ms"]), (&json!("refreshed"), &json!(20_000)));
            next = user.next().await;
        }
        assert_eq!((&next["type"], &next["reason"]), (&json!("stopped"), &json!("expired")));
        assert_eq!(clock.now().as_millis(), ttl_ms, "its own end");
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_sockets_of_one_person_the_last_to_go_ends_what_they_say() {
    let gateway = InProcess::start();
    let (mut user, _) = open(&gateway, &watcher()).await;
    user.watch().await;
    let (mut desk, _) = open(&gateway, &rep()).await;
    let (mut phone, _) = open(&gateway, &rep()).await;
    assert_eq!(desk.ask(json!({"type": "composing"})).await["decision"], "started");
    assert_eq!(phone.ask(json!({"type": "composing"})).await["decision"], "extended");
    assert_eq!(user.what().await, "started");
    drop(desk);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(user.ask(json!({"type": "ping"})).await["type"], "pong", "nothing has ended");
    phone.send_frame(true, 8, &1001_u16.to_be_bytes()).await;
    let clock = Clock::start();
    assert_eq!(user.what().await, "stopped revoked");
    assert_eq!(clock.now().as_millis(), 0, "at once");
}

#[tokio::test(start_paused = true)]
async fn every_conversation_that_a_socket_is_in_ends_with_it_and_there_are_256_at_most() {
    let gateway = InProcess::start();
    let (mut rep, _) = open(
        &gateway,
        &json!({"channel": "salesforce", "agent": "desk", "side": "agent",
        "access": "read_write"}),
    )
    .await;
    let composing = |n: usize| json!({"type": "composing", "user": format!("user-{n}"), "ttl_ms": 30_000});
    // No faster than a socket may.
    for n in 0..256 {
        sleep(Duration::from_millis(50)).await;
        assert_eq!(rep.ask(composing(n)).await["decision"], "started");
    }
    let refused = rep.ask(composing(256)).await;
    assert_eq!((&refused["status"], &refused["retry_after_s"]), (&json!(429), &json!(1)));
    assert_eq!(rep.ask(composing(0)).await["decision"], "extended", "one that it is in already");
    let census = || gateway.0.gateway().census.of(&"acme".into()).leases;
    assert_eq!(census(), 256);
    sleep(Duration::from_secs(31)).await;
    assert_eq!(rep.ask(composing(256)).await["decision"], "started", "the others have lapsed");
    for n in 0..100 {
        sleep(Duration::from_millis(50)).await;
        assert_eq!(rep.ask(composing(n)).await["decision"], "started");
    }
    assert_eq!(census(), 101);
    drop(rep);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(census(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_typed_on_a_channel_that_a_reload_takes_away_ends_when_its_composer_stops_and_soon() {
    let config = config(Duration::from_secs(20));
    let mut without = config.tenancy.clone();
    without.accounts.salesforce.clear();
    let gateway = InProcess::with(config);
    let (mut user, _) = open(&gateway, &json!({"side": "agent", "access": "read"})).await;
    user.watch().await;
    let open_desk = || async {
        let desk = json!({"agent": "desk", "user": USER, "side": "agent", "access": "read_write"});
        let mut rep = open(&gateway, &desk).await.0;
        for channel in ["salesforce", "pinnacle"] {
            let composing = json!({"type": "composing", "channel": channel, "ttl_ms": 60_000});
            let decision = rep.ask(composing).await;
            assert_eq!(decision["type"], "decision", "{decision}");
        }
        rep
    };
    let mut stops = open_desk().await;
    let mut idle = open(
        &gateway,
        &json!({"channel": "salesforce", "agent": "desk", "user": "another", "side": "agent", "access": "read_write"}),
    )
    .await
    .0;
    idle.ask(json!({"type": "composing", "ttl_ms": 60_000})).await;
    for _ in 0..3 {
        assert_eq!(user.what().await, "started");
    }
    let clock = Clock::start();
    gateway.0.gateway().reload(without).await.unwrap();
    let refused = stops.ask(json!({"type": "paused", "channel": "salesforce"})).await;
    assert_eq!((&refused["status"], &refused["errors"][0]["field"]), (&json!(400), &json!("channel")));
    for (who, at) in [(USER, 0), ("another", 15_000)] {
        let stopped = user.next().await;
        assert_eq!((&stopped["channel"], &stopped["user"]), (&json!("salesforce"), &json!(who)));
        assert_eq!((&stopped["type"], &stopped["reason"]), (&json!("stopped"), &json!("revoked")));
        assert_eq!(clock.now().as_millis(), at);
    }
    let paused = stops.ask(json!({"type": "paused", "channel": "pinnacle"})).await;
    assert_eq!(paused["decision"], "ended", "what it began elsewhere is its own still");
}
