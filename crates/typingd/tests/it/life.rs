//! The life of an indicator, through each door, over real sockets.

use std::time::Duration;

use typingd::clock::Clock;

use crate::support::{
    InProcess, OnSocket, config, kaleyra_message, kaleyra_typing, pinnacle_message, pinnacle_typing,
    salesforce,
};

const USER: &str = "+14155550123";

/// Each door's typing call and message.
fn doors() -> [(&'static str, [Vec<u8>; 3]); 3] {
    let person = "David Wood";
    [
        ("kaleyra", [kaleyra_typing(USER), kaleyra_typing(USER), kaleyra_message(&["14155550123"])]),
        ("pinnacle", [pinnacle_typing(USER), pinnacle_typing(USER), pinnacle_message(USER)]),
        (
            "salesforce",
            [
                salesforce("TypingStartedIndicator", "1", person),
                salesforce("TypingStartedIndicator", "2", person),
                salesforce("Message", "3", person),
            ],
        ),
    ]
}

fn leases() -> Vec<u8> {
    b"GET /typing/v1/leases HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n".to_vec()
}

#[tokio::test]
async fn a_message_ends_what_typing_started() {
    let gateway = OnSocket::start(config(Duration::from_secs(20))).await;
    let mut events = gateway.connect().await.stream("", "acme-key").await;
    events.next().await;
    for (door, [typing, repeat, message]) in doors() {
        let started = gateway.exchange(&typing).await;
        assert_eq!(started.decision(), "started", "{door}");
        assert_eq!(started.header("typing-expires-in"), Some("20000"), "{door}");
        assert_eq!(gateway.exchange(&repeat).await.decision(), "extended", "{door}");
        let ended = gateway.exchange(&message).await;
        assert_eq!((ended.decision(), ended.header("typing-expires-in")), ("ended", None), "{door}");
        assert_eq!(
            events.whats(2).await,
            ["started", "stopped sent"],
            "{door}: a repeat starts nothing again"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn an_abandoned_indicator_expires_on_time() {
    let gateway = OnSocket::start(config(Duration::from_secs(1))).await;
    let clock = Clock::start();
    for (door, [typing, _, _]) in doors() {
        let mut events = gateway.connect().await.stream("", "acme-key").await;
        events.next().await;
        let before = clock.now();
        gateway.exchange(&typing).await;
        assert_eq!(events.whats(2).await, ["started", "stopped expired"], "{door}");
        let lasted = clock.now().since(before);
        assert!(lasted >= Duration::from_secs(1), "{door}: not a moment early");
        println!("{door}: expired {} ms late", (lasted - Duration::from_secs(1)).as_millis());
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_repeat_is_told_once_before_the_announced_end() {
    let gateway = OnSocket::start(config(Duration::from_secs(2))).await;
    for (door, [typing, repeat, _]) in doors() {
        let mut events = gateway.connect().await.stream("", "acme-key").await;
        events.next().await;
        gateway.exchange(&typing).await;
        // A repeat within the same millisecond ends at the same one: there would be nothing to tell.
        let mut remaining = 2_000;
        while remaining == 2_000 {
            let leases = gateway.exchange(&leases()).await.json();
            remaining = leases["leases"][0]["remaining_ms"].as_u64().unwrap();
        }
        gateway.exchange(&repeat).await;
        assert_eq!(events.whats(3).await, ["started", "refreshed", "stopped expired"], "{door}");
    }
    gateway.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_documented_example_to_the_millisecond() {
    let (gateway, clock) = (InProcess::start(), Clock::start());
    let mut events = gateway.stream("", "acme-key").await;
    events.next().await;
    let at = async |second: u64| {
        tokio::time::sleep_until(clock.instant(typingd_core::Time::from_millis(second * 1_000))).await
    };
    for second in [0, 4, 9] {
        at(second).await;
        gateway.exchange(&pinnacle_typing(USER)).await;
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        let event = events.next().await.unwrap();
        told.push((event.what(), clock.now().as_millis(), event.remaining_ms()));
    }
    assert_eq!(told[1..], [("refreshed".into(), 15_000, 14_000), ("stopped expired".into(), 29_000, 0)]);
    assert_eq!((told[0].0.as_str(), told[0].2), ("started", 20_000));
}

#[tokio::test(start_paused = true)]
async fn a_message_to_many_ends_the_indicator_of_each() {
    let gateway = InProcess::start();
    let mut events = gateway.stream("", "acme-key").await;
    events.next().await;
    gateway.exchange(&kaleyra_typing("+14155550001")).await;
    gateway.exchange(&kaleyra_typing("+14155550002")).await;
    let answer = gateway.exchange(&kaleyra_message(&["14155550001", "14155550002", "14155550003"])).await;
    assert_eq!(answer.decision(), "accepted; recipients=3");
    assert_eq!(events.whats(4).await, ["started", "started", "stopped sent", "stopped sent"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_leaves_the_dots_on() {
    let gateway = InProcess::start();
    gateway.exchange(&pinnacle_typing(USER)).await;
    let refused = String::from_utf8(pinnacle_message(USER)).unwrap().replace("test_key", "wrong");
    assert_eq!(gateway.exchange(refused.as_bytes()).await.status, 401);
    let refused =
        String::from_utf8(pinnacle_message(USER)).unwrap().replace("agent_pinnacle", "agent_xxxxxxxx");
    assert_eq!(gateway.exchange(refused.as_bytes()).await.status, 404);
    assert_eq!(gateway.exchange(&pinnacle_typing(USER)).await.decision(), "extended");
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_payload_is_answered_as_before_and_ignored() {
    let gateway = InProcess::start();
    let typing = salesforce("TypingStartedIndicator", "same", "David Wood");
    let first = gateway.exchange(&typing).await;
    let again = gateway.exchange(&typing).await;
    assert_eq!((first.decision(), again.decision()), ("started", "ignored; reason=duplicate"));
    assert_eq!((first.status, first.body), (again.status, again.body));
    gateway.exchange(&salesforce("Message", "text", "David Wood")).await;
    let late = gateway.exchange(&typing).await;
    assert_eq!(late.decision(), "ignored; reason=duplicate", "a straggler lights nothing");
}

#[tokio::test(start_paused = true)]
async fn a_message_opens_the_conversation_and_typing_does_not() {
    let gateway = InProcess::start();
    let typing = |id| salesforce("TypingStartedIndicator", id, "David Wood");
    assert_eq!(
        gateway.exchange(&typing("1")).await.json()["conversationIdentifier"],
        serde_json::Value::Null
    );
    let opened = gateway.exchange(&salesforce("Message", "2", "David Wood")).await.json();
    assert!(opened["conversationIdentifier"].is_string());
    let later = gateway.exchange(&typing("3")).await.json();
    assert_eq!(later["conversationIdentifier"], opened["conversationIdentifier"]);
}
