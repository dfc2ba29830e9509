//! What users do, as each provider tells it.

use serde_json::json;
use tokio::io::DuplexStream;

use super::{
    GLOBEX, GOOGLE, KALEYRA, PINNACLE, USER, WHSEC, call, composing, config, decide, decision, google,
    google_signed, kaleyra, pinnacle_event, pinnacle_message, pinnacle_typing, start,
};
use crate::support::{Events, InProcess};

/// Made by another implementation of HMAC.
const TYPING: (&str, &str) = (
    r#"{"senderPhoneNumber":"+14155550190","eventType":"IS_TYPING","eventId":"e-1","agentId":"their_agent"}"#,
    "MpQSlMwoMeIRd7FNBoWPftmYKWnO/WXZg1xPLJxb+QhlA/D0Qh0psC8m9I+HCD+Kk+F2DlKunTNEDeGGKRR6AQ==",
);
const MESSAGE: (&str, &str) = (
    r#"{"senderPhoneNumber":"+14155550190","messageId":"m-1","agentId":"their_agent","text":"Hello"}"#,
    "byZgl1XcKM81cs2EKk1Wy4t16ha++MkV0egEn/J2qfN1SVlE0Hy72lEcSvuEIMSQqL1dpoN0sMSQsLrt3FMjXQ==",
);
const OLD: (&str, &str) = (
    r#"{"senderPhoneNumber":"+14155550190","eventType":"IS_TYPING","eventId":"e-2","agentId":"their_agent","sendTime":"2020-01-01T00:00:00Z"}"#,
    "02aYFEKu9hA7B7mIC4ouG81VzSiU5zhuwFzp/FYlbESyO4crNpCnv3iDVACT4dOpA1mtKniM9QfnNMP67Xxkag==",
);

async fn watch(gateway: &InProcess) -> Events<DuplexStream> {
    let mut events = gateway.stream("", "acme-key").await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    events
}

#[tokio::test(start_paused = true)]
async fn a_user_types_and_stops_by_time() {
    for (request, origin) in [
        (kaleyra(USER, "e1"), "kaleyra-webhook"),
        (pinnacle_typing(), "pinnacle-webhook"),
        (google_signed(TYPING.0, TYPING.1), "rbm-webhook"),
    ] {
        let gateway = start();
        let mut events = watch(&gateway).await;
        let answer = gateway.exchange(&request).await;
        assert_eq!((decision(&answer).as_str(), answer.body.as_str()), ("started", ""), "{origin}");
        assert_eq!(answer.header("typing-expires-in"), Some("20000"), "{origin}");
        let started = events.next().await.unwrap();
        let lease =
            ["channel", "agent", "user", "composer", "origin"].map(|field| started.data[field].clone());
        assert_eq!(started.what(), "started");
        assert_eq!(json!(lease), json!(["kaleyra", "support", USER, "user", origin]));
        assert_eq!(events.whats(1).await, ["stopped expired"], "{origin}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_users_message_ends_what_the_user_typed() {
    for (typing, message) in [
        (pinnacle_typing(), pinnacle_message("m-1")),
        (google_signed(TYPING.0, TYPING.1), google_signed(MESSAGE.0, MESSAGE.1)),
    ] {
        let gateway = start();
        let mut events = watch(&gateway).await;
        assert_eq!(decide(&gateway, &typing).await, "started");
        assert_eq!(decide(&gateway, &message).await, "ended");
        assert_eq!(events.whats(2).await, ["started", "stopped sent"]);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_on_typing_goes_on_showing() {
    let gateway = start();
    // Without an id, nothing tells a repeat from going on.
    for (request, expected) in [
        (kaleyra(USER, "e1"), "started"),
        (kaleyra(USER, "e2"), "extended"),
        (kaleyra(USER, ""), "extended"),
        (kaleyra(USER, ""), "extended"),
        (pinnacle_typing(), "extended"),
        (pinnacle_typing(), "extended"),
    ] {
        assert_eq!(decide(&gateway, &request).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_of_typing_is_taken_and_changes_nothing() {
    let gateway = start();
    let old_pinnacle = pinnacle_event("USER.TYPING", r#""startedAt":"2020-01-01T00:00:00Z","#);
    let old_kaleyra = composing(USER, "e1").replace("\"to\"", "\"sentAt\":1577836800,\"to\"");
    let read = composing(USER, "e1").replace("COMPOSING", "READ");
    for request in [
        call(PINNACLE, WHSEC, &old_pinnacle),
        call(KALEYRA, "", &old_kaleyra),
        google_signed(OLD.0, OLD.1),
        call(KALEYRA, "", &read),
        call(PINNACLE, WHSEC, &pinnacle_event("MESSAGE.STATUS", "")),
        google(r#"{"senderPhoneNumber":"+14155550190","eventType":"READ","eventId":"e-3","agentId":"a"}"#),
        google("{"),
    ] {
        let answer = gateway.exchange(&request).await;
        assert_eq!((answer.status, answer.header("typing-decision")), (200, None), "{}", answer.body);
    }
    let metrics = gateway.0.gateway().metrics.text();
    for provider in ["kaleyra", "pinnacle", "rbm"] {
        let line = format!(r#"typingd_webhook_events_total{{provider="{provider}",outcome="too_old"}} 1"#);
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }
    assert!(!metrics.contains("outcome=\"heard\""), "{metrics}");
    // The bound is the webhook's own: one that came in time, and one that did not.
    let now = gateway.0.gateway().clock.wall(gateway.0.gateway().clock.now());
    for (age_ms, expected) in [(29_000, "started"), (32_000, "")] {
        let at = now.as_millisecond() - age_ms;
        let event = composing("+14155550191", &format!("at-{at}"));
        let event = event.replace("\"to\"", &format!("\"sentAt\":{at},\"to\""));
        assert_eq!(decide(&gateway, &call(KALEYRA, "", &event)).await, expected, "{age_ms}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_became_of_events_is_counted_and_remembered() {
    let gateway = start();
    for request in [
        kaleyra(USER, "e1"),
        kaleyra(USER, "e1"),
        pinnacle_message("m1"),
        pinnacle_message("m2"),
        call(KALEYRA, "", &format!("[{},{}]", composing("+1415555011", "a"), composing("+1415555012", "b"))),
    ] {
        assert_eq!(gateway.exchange(&request).await.status, 200);
    }
    let metrics = gateway.0.gateway().metrics.text();
    for line in [
        r#"typingd_webhook_events_total{provider="kaleyra",outcome="heard"} 3"#,
        r#"typingd_webhook_events_total{provider="kaleyra",outcome="duplicate"} 1"#,
        r#"typingd_webhook_events_total{provider="pinnacle",outcome="heard"} 1"#,
        r#"typingd_webhook_events_total{provider="pinnacle",outcome="ignored"} 1"#,
        r#"typingd_signals_total{door="webhook",decision="started",reason=""} 3"#,
        r#"typingd_answers_total{door="webhook",status="200"} 5"#,
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    let explain = "GET /typing/v1/explain?agent=support&user=%2B14155550190 HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n";
    let explained = gateway.exchange(explain.as_bytes()).await.json();
    let said: Vec<_> = explained["timeline"].as_array().unwrap().iter().collect();
    assert!(
        said.iter().any(|entry| entry["door"] == "webhook" && entry["signal"] == "composing"),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_belongs_to_the_webhooks_tenant_and_channel_alone() {
    let mut config = config();
    config.tenancy.webhooks[1].channel = "pinnacle".into();
    let gateway = InProcess::with(config);
    let (mut ours, mut theirs) = (watch(&gateway).await, gateway.stream("", "globex-key").await);
    assert_eq!(theirs.whats(1).await, ["snapshot"]);
    assert_eq!(decide(&gateway, &pinnacle_typing()).await, "started");
    let globex = "PINNACLE-SIGNING-SECRET: whsec-globex\r\n";
    assert_eq!(decide(&gateway, &call(GLOBEX, globex, &pinnacle_event("USER.TYPING", ""))).await, "started");
    // Whom `agents` does not name keeps its name.
    let other = pinnacle_event("USER.TYPING", "").replace("their_agent", "support_2");
    assert_eq!(decide(&gateway, &call(GLOBEX, globex, &other)).await, "started");
    let of = |event: crate::support::Event| [event.data["channel"].clone(), event.data["agent"].clone()];
    assert_eq!(of(ours.next().await.unwrap()), ["pinnacle", "support"]);
    assert_eq!(of(theirs.next().await.unwrap()), ["kaleyra", "support"]);
    assert_eq!(of(theirs.next().await.unwrap()), ["kaleyra", "support_2"]);
    assert_eq!(ours.whats(1).await, ["stopped expired"], "nothing of the other's came between");
}

#[tokio::test(start_paused = true)]
async fn google_asks_whether_an_address_is_ours() {
    let gateway = start();
    let ask = |token: &str, secret: &str| {
        call(GOOGLE, "", &format!(r#"{{"clientToken":"{token}","secret":"{secret}"}}"#))
    };
    let answer = gateway.exchange(&ask("SJENCPGJESMGUFPY-client", "1234567890")).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "1234567890"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let answer = gateway.exchange(&ask("another", "1234567890")).await;
    assert_eq!(answer.status, 401);
    assert!(!answer.body.contains("1234567890"));
}
