//! Subscriptions: what each of them shows, and until when.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use typingd_core::{Conversation, Marks, Role, Side, Signal, Source, User, Utterance};

use super::client::open;
use crate::support::{InProcess, config, kaleyra_message, kaleyra_typing, pinnacle_message, pinnacle_typing};

const USER: &str = "+14155550123";

fn watcher() -> Value {
    json!({"side": "agent", "access": "read"})
}

fn rep(participant: &str) -> Value {
    json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "side": "agent",
        "participant": participant, "access": "read_write"})
}

#[tokio::test(start_paused = true)]
async fn two_reps_in_one_conversation_see_each_other() {
    let gateway = InProcess::start();
    let (mut ada, _) = open(&gateway, &rep("ada")).await;
    let (mut bob, _) = open(&gateway, &rep("bob")).await;
    for client in [&mut ada, &mut bob] {
        assert_eq!(client.watch().await, json!([]));
    }
    for (word, told) in [("composing", "started"), ("paused", "stopped")] {
        ada.say(json!({"type": word})).await;
        bob.say(json!({"type": word})).await;
        for client in [&mut ada, &mut bob] {
            let mut heard = Vec::new();
            for _ in 0..3 {
                heard.push(client.next().await);
            }
            // Each is answered besides, before or after.
            heard.retain(|frame| frame["type"] != "decision");
            let mut of: Vec<&str> =
                heard.iter().map(|frame| frame["participant"].as_str().unwrap()).collect();
            of.sort_unstable();
            assert_eq!(of, ["ada", "bob"]);
            assert!(heard.iter().all(|frame| frame["type"] == told), "{heard:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_subscription_comes_after_its_end() {
    let gateway = InProcess::start();
    let (mut client, _) = open(&gateway, &watcher()).await;
    client.watch().await;
    gateway.exchange(&pinnacle_typing(USER)).await;
    assert_eq!(client.what().await, "started");
    let ended = client.ask(json!({"type": "unsubscribe", "id": "a", "ref": "7"})).await;
    assert_eq!(ended["type"], "unsubscribed");
    assert_eq!(ended["id"], "a");
    gateway.exchange(&pinnacle_message(USER)).await;
    assert_eq!(client.ask(json!({"type": "ping"})).await["type"], "pong", "and nothing before it");
    let unknown = client.ask(json!({"type": "unsubscribe", "id": "a"})).await;
    assert_eq!((&unknown["status"], &unknown["errors"][0]["field"]), (&json!(400), &json!("id")));
    assert_eq!(client.watch().await, json!([]), "the name is free again");
    gateway.exchange(&pinnacle_typing(USER)).await;
    assert_eq!(client.what().await, "started");
}

#[tokio::test(start_paused = true)]
async fn names_are_unique_and_32_are_enough() {
    let gateway = InProcess::start();
    let (mut client, _) = open(&gateway, &watcher()).await;
    let subscribe = |id: &str| json!({"type": "subscribe", "id": id, "ref": "1"});
    for n in 0..32 {
        assert_eq!(client.ask(subscribe(&n.to_string())).await["type"], "snapshot");
    }
    let twice = client.ask(subscribe("31")).await;
    assert_eq!((&twice["status"], &twice["errors"][0]["field"]), (&json!(400), &json!("id")));
    let too_many = client.ask(subscribe("32")).await;
    assert_eq!(
        (&too_many["status"], &too_many["retry_after_s"], &too_many["ref"]),
        (&json!(429), &json!(1), &json!("1"))
    );
    assert_eq!(client.ask(json!({"type": "unsubscribe", "id": "0"})).await["type"], "unsubscribed");
    assert_eq!(client.ask(subscribe("32")).await["type"], "snapshot", "there is room again");
    for id in [json!(""), json!("x".repeat(65)), json!(7), Value::Null] {
        let refused = client.ask(json!({"type": "subscribe", "id": id})).await;
        assert_eq!(
            (&refused["status"], &refused["errors"][0]["field"]),
            (&json!(400), &json!("id")),
            "{refused}"
        );
    }
}

/// What is still queued for a subscription that has ended would soon be more than a socket may fall behind.
#[tokio::test(start_paused = true)]
async fn subscriptions_that_ended_or_never_began_take_no_room_in_the_queue() {
    let mut config = config(Duration::from_secs(20));
    config.limits.hub.backlog = 8;
    config.limits.listing = 1;
    let gateway = InProcess::with(config);
    let (mut client, _) = open(&gateway, &watcher()).await;
    for _ in 0..20 {
        client.watch().await;
        assert_eq!(client.ask(json!({"type": "unsubscribe", "id": "a"})).await["type"], "unsubscribed");
    }
    // No more than a socket may send at once.
    sleep(Duration::from_secs(3)).await;
    for user in ["+14155550001", "+14155550002"] {
        gateway.exchange(&pinnacle_typing(user)).await;
    }
    for _ in 0..20 {
        assert_eq!(client.ask(json!({"type": "subscribe", "id": "a"})).await["status"], 413);
    }
    gateway.exchange(&pinnacle_message("+14155550001")).await;
    gateway.exchange(&pinnacle_message("+14155550002")).await;
    assert_eq!(client.watch().await, json!([]), "the socket is there");
    gateway.exchange(&pinnacle_typing(USER)).await;
    assert_eq!(client.what().await, "started");
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_once_whichever_subscriptions_cover_it() {
    let gateway = InProcess::start();
    let (mut client, _) = open(&gateway, &watcher()).await;
    for (id, field, value) in [
        ("all", "channel", Value::Null),
        ("twice", "channel", Value::Null),
        ("channel", "channel", json!("pinnacle")),
        ("user", "user", json!(USER)),
        ("other", "agent", json!("somebody")),
    ] {
        let mut frame = json!({"type": "subscribe", "id": id});
        if !value.is_null() {
            frame[field] = value;
        }
        let snapshot = client.ask(frame).await;
        assert_eq!((&snapshot["subscription"], &snapshot["leases"]), (&json!(id), &json!([])));
    }
    let mut requests = [pinnacle_typing(USER), pinnacle_message(USER)].into_iter().cycle();
    for ends in ["all", "channel", "twice", "user"] {
        let request = requests.next().unwrap();
        gateway.exchange(&request).await;
        let told = client.what().await;
        assert!(["started", "stopped sent"].contains(&&*told), "{told}");
        let ended = client.ask(json!({"type": "unsubscribe", "id": ends})).await;
        assert_eq!(ended["type"], "unsubscribed", "once, and nothing behind it");
    }
    gateway.exchange(&pinnacle_typing(USER)).await;
    assert_eq!(client.ask(json!({"type": "ping"})).await["type"], "pong", "nothing covers it any more");
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_to_much_may_fall_as_far_behind_as_anybody() {
    let mut config = config(Duration::from_secs(20));
    config.limits.hub.backlog = 300;
    let gateway = InProcess::with(config);
    let numbers: Vec<String> = (0..250).map(|n| format!("+1415555{n:04}")).collect();
    let mut wire = gateway.connect();
    for number in &numbers {
        wire.exchange(&kaleyra_typing(number)).await;
    }
    let (mut client, _) = open(&gateway, &watcher()).await;
    for n in 0..32 {
        let snapshot = client.ask(json!({"type": "subscribe", "id": n.to_string()})).await;
        assert_eq!(snapshot["leases"].as_array().unwrap().len(), 250);
    }
    // Nobody takes anything while the message goes to all of them.
    let all: Vec<&str> = numbers.iter().map(String::as_str).collect();
    wire.exchange(&kaleyra_message(&all)).await;
    for _ in &numbers {
        assert_eq!(client.what().await, "stopped sent");
    }
    assert_eq!(client.ask(json!({"type": "ping"})).await["type"], "pong");
}

/// So many start, behind more changes than the queue to the hub holds before the hub comes to take any.
async fn start_behind_a_loss(gateway: &InProcess, leases: usize) {
    const CHANGES: usize = 70_000;
    let gateway = gateway.0.gateway();
    for n in 0..CHANGES + leases {
        let user = User::new(format!("user-{}", n.saturating_sub(CHANGES)));
        let conversation = Conversation::new("acme", "salesforce", "desk", user);
        let is_end = n < CHANGES && n % 2 == 1;
        let utterance = Utterance {
            participant: None,
            name: None,
            signal: if is_end { Signal::Paused } else { Signal::Composing { ttl: Duration::from_secs(30) } },
            source: Source::OneShot,
            origin: "native".into(),
            marks: Marks::default(),
        };
        let side = Side { conversation, role: Role::Agent };
        gateway.engine.say(&side, utterance, gateway.clock.now()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_loss_every_subscription_has_a_new_snapshot() {
    let gateway = InProcess::start();
    let (mut client, _) = open(&gateway, &watcher()).await;
    for id in ["a", "b"] {
        assert_eq!(client.ask(json!({"type": "subscribe", "id": id})).await["leases"], json!([]));
    }
    start_behind_a_loss(&gateway, 3).await;
    let mut seen = Vec::new();
    while let Ok(frame) = timeout(Duration::from_secs(1), client.next()).await {
        if frame["type"] == "snapshot" {
            seen.push((frame["subscription"].clone(), frame["leases"].as_array().unwrap().len()));
        }
    }
    assert_eq!(seen, [(json!("a"), 3), (json!("b"), 3)]);
}

#[tokio::test(start_paused = true)]
async fn too_wide_a_scope_is_refused_and_one_that_becomes_so_ends_the_socket() {
    let mut config = config(Duration::from_secs(20));
    config.limits.listing = 1;
    let gateway = InProcess::with(config);
    for user in ["+14155550001", "+14155550002"] {
        gateway.exchange(&pinnacle_typing(user)).await;
    }
    let (mut client, _) = open(&gateway, &watcher()).await;
    let refused = client.ask(json!({"type": "subscribe", "id": "a", "ref": "1"})).await;
    assert_eq!((&refused["status"], &refused["ref"]), (&json!(413), &json!("1")));
    let narrower = client.ask(json!({"type": "subscribe", "id": "a", "user": "+14155550001"})).await;
    assert_eq!(narrower["leases"].as_array().unwrap().len(), 1, "{narrower}");
    let wider = client.ask(json!({"type": "subscribe", "id": "b", "channel": "salesforce"})).await;
    assert_eq!(wider["leases"], json!([]));
    start_behind_a_loss(&gateway, 2).await;
    assert_eq!(client.closed().await, (4413, "too_wide".into()));
}
