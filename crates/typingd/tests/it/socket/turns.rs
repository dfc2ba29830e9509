//! Turns, ttls and names: what a frame may carry, and how it comes back.

use serde_json::{Value, json};

use super::client::open;
use crate::support::InProcess;

fn whole() -> Value {
    json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": "+14155550123", "side": "agent",
        "access": "read_write"})
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_goes_on_from_the_last_turn() {
    let gateway = InProcess::start();
    let (mut rep, hello) = open(&gateway, &whole()).await;
    assert_eq!(hello.get("last_turn"), None);
    assert_eq!(rep.ask(json!({"type": "composing", "turn": 5})).await["decision"], "started");
    let sent = rep.ask(json!({"type": "sent", "turn": 5})).await;
    assert_eq!((&sent["decision"], &sent["last_turn"]), (&json!("ended"), &json!(5)));

    let (mut later, hello) = open(&gateway, &whole()).await;
    assert_eq!(hello["last_turn"], 5);
    let snapshot = later.ask(json!({"type": "subscribe", "id": "a"})).await;
    assert_eq!(snapshot["last_turn"], 5);
    let fenced = later.ask(json!({"type": "composing", "turn": 5, "ref": "x"})).await;
    assert_eq!(
        fenced,
        json!({"type": "decision", "ref": "x", "decision": "ignored", "reason": "fenced", "last_turn": 5})
    );
    assert_eq!(rep.ask(json!({"type": "composing", "turn": 6})).await["decision"], "started");
    let late = later.next().await;
    assert_eq!(late["type"], "started");
    let nothing = later.ask(json!({"type": "paused", "turn": 4})).await;
    assert_eq!(nothing["decision"], "ignored", "{nothing}");

    let mut wider = whole();
    wider.as_object_mut().unwrap().remove("user");
    let (mut wider, hello) = open(&gateway, &wider).await;
    assert_eq!(hello.get("last_turn"), None, "of many conversations there is no one turn");
    let snapshot = wider.ask(json!({"type": "subscribe", "id": "a"})).await;
    assert_eq!(snapshot.get("last_turn"), None);
    let narrow = wider.ask(json!({"type": "subscribe", "id": "b", "user": "+14155550123"})).await;
    assert_eq!(narrow["last_turn"], 5);
}

#[tokio::test(start_paused = true)]
async fn a_wish_beyond_the_bounds_is_clamped_and_said_so() {
    let gateway = InProcess::start();
    for (wish, clamped, remaining) in [
        (Value::Null, None, 20_000),
        (json!(1), Some(1_000), 1_000),
        (json!(1_000), None, 1_000),
        (json!(60_000), None, 60_000),
        (json!(60_001), Some(60_000), 60_000),
        (json!(u64::MAX), Some(60_000), 60_000),
    ] {
        let (mut rep, _) = open(&gateway, &whole()).await;
        let mut frame = json!({"type": "composing"});
        if !wish.is_null() {
            frame["ttl_ms"] = wish;
        }
        let decision = rep.ask(frame.clone()).await;
        assert_eq!(decision["decision"], "started", "{decision}");
        assert_eq!(decision["clamped_ttl_ms"].as_u64(), clamped, "{frame}");
        assert_eq!(decision["lease"]["remaining_ms"], remaining, "{frame}");
        rep.ask(json!({"type": "paused"})).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_s_name_comes_back_with_whatever_it_is_answered() {
    let gateway = InProcess::start();
    let (mut rep, _) = open(&gateway, &whole()).await;
    let name = "é".repeat(32);
    for (frame, answer) in [
        (json!({"type": "ping"}), "pong"),
        (json!({"type": "composing"}), "decision"),
        (json!({"type": "composing", "turn": -1}), "error"),
        (json!({"type": "composing", "user": "x"}), "error"),
        (json!({"type": "unsubscribe", "id": "none"}), "error"),
        (json!({"type": "nothing"}), "error"),
        (json!({}), "error"),
    ] {
        for name in ["1", &name] {
            let mut frame = frame.clone();
            frame["ref"] = json!(name);
            let answered = rep.ask(frame).await;
            assert_eq!((&answered["type"], &answered["ref"]), (&json!(answer), &json!(name)), "{answered}");
        }
    }
    for bad in [json!(""), json!("é".repeat(33)), json!(1), Value::Null, json!(["1"])] {
        let answered = rep.ask(json!({"type": "ping", "ref": bad})).await;
        assert_eq!((&answered["status"], &answered["errors"][0]["field"]), (&json!(400), &json!("ref")));
        assert_eq!(answered.get("ref"), None, "{answered}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_means_nothing_is_refused_and_the_socket_stays() {
    let gateway = InProcess::start();
    let (mut rep, _) = open(&gateway, &whole()).await;
    let deep = [&b"[".repeat(8_000)[..], &b"]".repeat(8_000)].concat();
    for text in [
        &b""[..],
        b" ",
        b"x",
        b"{",
        b"null",
        b"[]",
        b"\"composing\"",
        br#"{"type":"composing"}{"type":"composing"}"#,
        br#"{"type":"composing","type":"composing"}"#,
        br#"{"type":"composing","ref":"\ud800"}"#,
        br#"{"type":"composing","turn":1.5}"#,
        br#"{"type":"composing","turn":1e3}"#,
        br#"{"type":"composing","turn":"1"}"#,
        br#"{"type":"composing","ttl_ms":-1}"#,
        br#"{"type":"composing","ttl_ms":null}"#,
        br#"{"type":"composing","user":7}"#,
        br#"{"type":"composing","":1}"#,
        br#"{"type":"Composing"}"#,
        br#"{"type":["composing"]}"#,
        br#"{"type":"subscribe","id":"a","ttl_ms":1}"#,
        br#"{"type":"ping","channel":"pinnacle"}"#,
        b"\xef\xbb\xbf{\"type\":\"composing\"}",
        &deep,
    ] {
        rep.send_frame(true, 1, text).await;
        let refused = rep.next().await;
        let what = text[..text.len().min(60)].escape_ascii();
        assert_eq!(
            (&refused["type"], &refused["status"]),
            (&json!("error"), &json!(400)),
            "{what}: {refused}"
        );
        assert!(refused["detail"].as_str().is_some_and(|why| !why.is_empty()), "{refused}");
    }
    assert_eq!(rep.watch().await, json!([]), "nothing has begun");
    assert_eq!(rep.ask(json!({"type": "ping"})).await, json!({"type": "pong"}));
}

/// Otherwise an end user could raise the reps' turns out of reach.
#[tokio::test(start_paused = true)]
async fn one_side_s_turns_are_not_the_other_s() {
    let gateway = InProcess::start();
    let whole = |side: &str| {
        json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": "+14155550123", "side": side,
            "access": "read_write"})
    };
    let (mut user, _) = open(&gateway, &whole("user")).await;
    let highest = 9_007_199_254_740_990_u64;
    assert_eq!(user.ask(json!({"type": "sent", "turn": highest})).await["last_turn"], highest);
    let refused = user.ask(json!({"type": "sent", "turn": highest + 1})).await;
    assert_eq!((&refused["status"], &refused["errors"][0]["field"]), (&json!(400), &json!("turn")));
    let (mut rep, hello) = open(&gateway, &whole("agent")).await;
    assert_eq!(hello.get("last_turn"), None);
    assert_eq!(rep.ask(json!({"type": "subscribe", "id": "a"})).await.get("last_turn"), None);
    assert_eq!(rep.ask(json!({"type": "composing", "turn": 1})).await["decision"], "started");
    let (_, hello) = open(&gateway, &whole("user")).await;
    assert_eq!(hello["last_turn"], highest);
}
