//! Holds: one call for an answer that takes its time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{Answer, InProcess, pinnacle_message, pinnacle_typing, post, signal};

const USER: &str = "+14155550123";
const KEY: &str = "Authorization: Bearer acme-key\r\n";

fn asked(more: Value) -> Value {
    let mut asked =
        json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "composer": "agent"});
    asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    asked
}

async fn hold(gateway: &InProcess, more: Value) -> Answer {
    gateway.exchange(&post("/typing/v1/holds", KEY, &asked(more).to_string())).await
}

async fn begin(gateway: &InProcess, more: Value) -> String {
    let answer = hold(gateway, more).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn beat(gateway: &InProcess, id: &str) -> Answer {
    gateway.exchange(&post(&format!("/typing/v1/holds/{id}/beats"), KEY, "")).await
}

async fn end(gateway: &InProcess, id: &str, reason: &str) -> Answer {
    let body = json!({"reason": reason}).to_string();
    gateway.exchange(&post(&format!("/typing/v1/holds/{id}/end"), KEY, &body)).await
}

fn attach(id: &str, key: &str) -> Vec<u8> {
    format!("GET /typing/v1/holds/{id}/attach HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n")
        .into_bytes()
}

async fn is_on(gateway: &InProcess) -> bool {
    let request = b"GET /typing/v1/leases HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n";
    let answer = gateway.exchange(request).await;
    !answer.json()["leases"].as_array().unwrap().is_empty()
}

async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds) + Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn one_call_is_enough_for_four_minutes() {
    let gateway = InProcess::start();
    let mut events = gateway.stream("", "acme-key").await;
    let id = begin(&gateway, json!({})).await;
    assert_eq!(events.whats(2).await, ["snapshot", "started"]);
    pass(4 * 60).await;
    assert!(is_on(&gateway).await);
    assert_eq!(end(&gateway, &id, "sent").await.decision(), "ended");
    assert_eq!(events.whats(1).await, ["stopped sent"], "and nothing in between");
    assert_eq!(end(&gateway, &id, "sent").await.status, 404, "it has ended");
}

#[tokio::test(start_paused = true)]
async fn without_a_beat_it_ends_when_it_has_been_idle() {
    let gateway = InProcess::start();
    let id = begin(&gateway, json!({"idle_ms": 30_000, "max_ms": 70_000})).await;
    for _ in 0..3 {
        pass(20).await;
        assert!(is_on(&gateway).await);
        assert_eq!(beat(&gateway, &id).await.decision(), "extended");
    }
    pass(9).await;
    assert!(is_on(&gateway).await);
    pass(1).await;
    assert!(!is_on(&gateway).await, "nothing moves the absolute cap");
    assert_eq!(beat(&gateway, &id).await.status, 404);
    let id = begin(&gateway, json!({"idle_ms": 30_000})).await;
    pass(30).await;
    assert!(!is_on(&gateway).await);
    assert_eq!(beat(&gateway, &id).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn the_message_ends_it_and_a_late_beat_brings_nothing_back() {
    let gateway = InProcess::start();
    let id = begin(&gateway, json!({})).await;
    gateway.exchange(&pinnacle_message(USER)).await;
    assert!(!is_on(&gateway).await);
    assert_eq!(beat(&gateway, &id).await.status, 404);
    assert!(!is_on(&gateway).await);
    let id = begin(&gateway, json!({"continue": true})).await;
    gateway.exchange(&pinnacle_message(USER)).await;
    assert!(is_on(&gateway).await, "an answer in several messages is one hold");
    assert_eq!(beat(&gateway, &id).await.decision(), "extended");
    assert_eq!(end(&gateway, &id, "sent").await.decision(), "ended");
    assert!(!is_on(&gateway).await);
}

#[tokio::test(start_paused = true)]
async fn of_several_the_last_one_out_ends_it() {
    let gateway = InProcess::start();
    let mut events = gateway.stream("", "acme-key").await;
    let [first, second] = [begin(&gateway, json!({})).await, begin(&gateway, json!({})).await];
    assert_eq!(end(&gateway, &first, "paused").await.decision(), "ignored; reason=held");
    assert!(is_on(&gateway).await);
    assert_eq!(end(&gateway, &second, "nothing_to_say").await.decision(), "ended");
    assert_eq!(events.whats(3).await, ["snapshot", "started", "stopped paused"]);
    let id = begin(&gateway, json!({})).await;
    gateway.exchange(&pinnacle_typing(USER)).await;
    end(&gateway, &id, "paused").await;
    assert!(is_on(&gateway).await, "somebody else's call holds it up");
    pass(20).await;
    assert!(!is_on(&gateway).await);
}

#[tokio::test(start_paused = true)]
async fn a_fast_answer_shows_no_dots() {
    let gateway = InProcess::start();
    let mut events = gateway.stream("", "acme-key").await;
    let delayed = json!({"start_delay_ms": 2_000});
    let answer = hold(&gateway, delayed.clone()).await;
    assert_eq!((answer.status, &answer.json()["starts_in_ms"]), (201, &json!(2_000)));
    pass(1).await;
    gateway.exchange(&pinnacle_message(USER)).await;
    pass(5).await;
    let id = begin(&gateway, delayed.clone()).await;
    pass(1).await;
    end(&gateway, &id, "nothing_to_say").await;
    pass(5).await;
    assert!(!is_on(&gateway).await);
    begin(&gateway, delayed).await;
    pass(2).await;
    assert_eq!(events.whats(2).await, ["snapshot", "started"], "a slow one does");
}

#[tokio::test(start_paused = true)]
async fn attached_it_lives_as_long_as_the_connection() {
    let gateway = InProcess::start();
    let id = begin(&gateway, json!({"idle_ms": 2_000})).await;
    let attached = gateway.connect().events(&attach(&id, "acme-key")).await;
    pass(60).await;
    assert!(is_on(&gateway).await, "an open connection is evidence of work");
    drop(attached);
    sleep(Duration::from_millis(1)).await;
    assert!(!is_on(&gateway).await);
    assert_eq!(beat(&gateway, &id).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn who_is_attached_hears_of_the_end() {
    let gateway = InProcess::start();
    let paused = signal(&asked(json!({"state": "paused"})).to_string());
    for (ending, told) in [
        (Some(pinnacle_message(USER)), "ended sent"),
        (Some(paused), "ended paused"),
        (None, "ended expired"),
    ] {
        let id = begin(&gateway, json!({"max_ms": 60_000})).await;
        let mut attached = gateway.connect().events(&attach(&id, "acme-key")).await;
        if let Some(ending) = ending {
            assert_eq!(gateway.exchange(&ending).await.status, 200);
        }
        assert_eq!(attached.whats(1).await, [told]);
        assert!(attached.next().await.is_none());
    }
    for (reason, told) in
        [("sent", "ended sent"), ("paused", "ended paused"), ("nothing_to_say", "ended paused")]
    {
        let id = begin(&gateway, json!({})).await;
        let mut attached = gateway.connect().events(&attach(&id, "acme-key")).await;
        end(&gateway, &id, reason).await;
        assert_eq!(attached.whats(1).await, [told]);
    }
    let id = begin(&gateway, json!({})).await;
    let [mut stays, leaves] = [
        gateway.connect().events(&attach(&id, "acme-key")).await,
        gateway.connect().events(&attach(&id, "acme-key")).await,
    ];
    drop(leaves);
    assert_eq!(stays.whats(1).await, ["ended revoked"]);
    let id = begin(&gateway, json!({})).await;
    let mut attached = gateway.connect().events(&attach(&id, "acme-key")).await;
    gateway.0.drain().await;
    assert_eq!(attached.whats(1).await, ["closed draining"]);
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_its_tenants_alone() {
    let gateway = InProcess::start();
    let id = begin(&gateway, json!({})).await;
    let foreign = "Authorization: Bearer globex-key\r\n";
    let beat = gateway.exchange(&post(&format!("/typing/v1/holds/{id}/beats"), foreign, "")).await;
    let end =
        gateway.exchange(&post(&format!("/typing/v1/holds/{id}/end"), foreign, r#"{"reason":"sent"}"#)).await;
    let attached = gateway.exchange(&attach(&id, "globex-key")).await;
    assert_eq!([beat.status, end.status, attached.status], [404; 3]);
    assert_eq!(gateway.exchange(&attach(&id, "wrong")).await.status, 401);
    assert!(is_on(&gateway).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_is_named() {
    let gateway = InProcess::start();
    for (field, more) in [
        ("channel", json!({"channel": "sms"})),
        ("user", json!({"user": "David Wood"})),
        ("composer", json!({"composer": "bot"})),
        ("idle_ms", json!({"idle_ms": -1})),
        ("max_ms", json!({"max_ms": "1"})),
        ("start_delay_ms", json!({"start_delay_ms": 1.5})),
        ("continue", json!({"continue": 1})),
        ("note", json!({"note": "x".repeat(201)})),
        ("ttl_ms", json!({"ttl_ms": 1_000})),
    ] {
        let answer = hold(&gateway, more).await;
        assert_eq!((answer.status, answer.json()["errors"][0]["field"].as_str()), (400, Some(field)));
    }
    let clamped = hold(&gateway, json!({"idle_ms": 1, "max_ms": 1_000_000_000})).await.json();
    assert_eq!((&clamped["idle_ms"], &clamped["max_ms"]), (&json!(1_000), &json!(86_400_000)));
    let id = begin(&gateway, json!({})).await;
    assert_eq!(end(&gateway, &id, "bored").await.json()["errors"][0]["field"], "reason");
    assert_eq!(beat(&gateway, "nobody").await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn why_the_dots_are_on_names_the_hold_and_not_its_id() {
    let gateway = InProcess::start();
    let id = begin(&gateway, json!({"note": "looks up the order", "max_ms": 60_000})).await;
    pass(10).await;
    let request = "GET /typing/v1/explain?agent=agent_pinnacle&user=%2B14155550123 HTTP/1.1\r\nHost: t\r\n\
                   Authorization: Bearer acme-key\r\n\r\n";
    let answer = gateway.exchange(request.as_bytes()).await;
    assert!(!answer.body.contains(&id));
    let hold = &answer.json()["holds"][0];
    assert_eq!((&hold["note"], &hold["has_begun"]), (&json!("looks up the order"), &json!(true)));
    assert!(hold["max_remaining_ms"].as_u64().unwrap() <= 50_000);
    assert_eq!(answer.json()["timeline"][0]["door"], "hold");
    end(&gateway, &id, "paused").await;
    assert_eq!(gateway.exchange(request.as_bytes()).await.json().get("holds"), None);
}

/// As where the message comes between the end of the delay and the first dot.
#[tokio::test(start_paused = true)]
async fn a_hold_that_ended_before_its_dots_began_leaves_none() {
    let gateway = InProcess::start();
    let id = begin(&gateway, json!({"start_delay_ms": 2_000})).await.parse().unwrap();
    let hold = gateway.0.gateway().holds.find(id, &"acme".into()).unwrap();
    gateway.exchange(&pinnacle_message(USER)).await;
    let now = gateway.0.gateway().clock.now();
    gateway.0.gateway().begin_hold(id, &hold, now).await.unwrap();
    assert!(!is_on(&gateway).await);
}
