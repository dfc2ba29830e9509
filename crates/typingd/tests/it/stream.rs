//! The stream: what it opens with, what it says when nothing happens, and how it ends.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpSocket;
use tokio::time::sleep;
use typingd::clock::Clock;
use typingd_providers::Secret;

use crate::support::{
    InProcess, OnSocket, Wire, config, kaleyra_message, kaleyra_typing, pinnacle_message, pinnacle_typing,
    salesforce, signal,
};

const USER: &str = "+14155550123";

#[tokio::test(start_paused = true)]
async fn it_opens_with_a_comment_a_retry_and_a_snapshot() {
    let gateway = InProcess::start();
    gateway.exchange(&pinnacle_typing(USER)).await;
    let mut events = gateway.stream("", "acme-key").await;
    let snapshot = events.next().await.unwrap();
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(snapshot.data["leases"][0]["user"], USER);
    assert_eq!(snapshot.data.get("last_turn"), None);
    assert!(!snapshot.id.is_empty() && events.comments == 1 && events.retry_ms.is_some());
    for (header, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
    ] {
        assert!(events.headers.contains(&(header.into(), value.into())), "{header}");
    }
    gateway.exchange(&pinnacle_message(USER)).await;
    let stopped = events.next().await.unwrap();
    assert_eq!(stopped.what(), "stopped sent", "the start was in the snapshot");
    assert_eq!(stopped.remaining_ms(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_says_every_15_s_that_it_is_there() {
    let (gateway, clock) = (InProcess::start(), Clock::start());
    let mut events = gateway.stream("", "acme-key").await;
    events.next().await;
    for round in 1..=3 {
        events.comment().await;
        assert_eq!(clock.now().as_millis(), round * 15_000);
    }
}

#[tokio::test(start_paused = true)]
async fn each_sees_its_scope_and_nothing_else() {
    let gateway = InProcess::start();
    let mut all = gateway.stream("", "acme-key").await;
    let mut agent = gateway.stream("?agent=kio_rcs", "acme-key").await;
    let mut user = gateway.stream("?user=David+Wood&channel=salesforce", "acme-key").await;
    let mut foreign = gateway.stream("", "globex-key").await;
    for events in [&mut all, &mut agent, &mut user, &mut foreign] {
        assert_eq!(events.whats(1).await, ["snapshot"]);
    }
    gateway.exchange(&kaleyra_typing(USER)).await;
    gateway.exchange(&pinnacle_typing(USER)).await;
    gateway.exchange(&salesforce("TypingStartedIndicator", "1", "David Wood")).await;
    assert_eq!(
        all.whats(6).await,
        ["started", "started", "started", "stopped expired", "stopped expired", "stopped expired"]
    );
    let seen = agent.next().await.unwrap();
    assert_eq!((seen.what().as_str(), seen.data["channel"].as_str()), ("started", Some("kaleyra")));
    assert_eq!(agent.whats(1).await, ["stopped expired"]);
    assert_eq!(user.next().await.unwrap().data["composer"], "user");
    gateway.0.drain().await;
    assert_eq!(foreign.whats(1).await, ["closed draining"], "another tenant saw nothing");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_keep_up_is_closed_and_the_rest_is_not_slowed() {
    let mut config = config(Duration::from_secs(20));
    config.limits.hub.backlog = 8;
    let gateway = InProcess::with(config);
    // It has its snapshot and then reads no more: what is written to it soon fills the pipe.
    let mut slow = gateway.stream("", "acme-key").await;
    slow.next().await;
    let mut fast = gateway.stream("", "acme-key").await;
    fast.next().await;
    let mut wire = gateway.connect();
    let rounds = 500;
    for round in 0..rounds {
        wire.exchange(&pinnacle_typing(USER)).await;
        wire.exchange(&pinnacle_message(USER)).await;
        assert_eq!(fast.whats(2).await, ["started", "stopped sent"], "round {round}");
    }
    let mut last = None;
    let mut count = 0;
    while let Some(event) = slow.next().await {
        count += 1;
        last = Some(event.what());
    }
    assert!(count < 2 * rounds, "it did not get everything");
    // Either it was told why, or it had not taken even that in time.
    assert!(last.as_deref() == Some("closed too_slow") || slow.next().await.is_none(), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn who_has_much_to_read_is_told_nothing_more_once_its_key_is_revoked_and_all_before_a_drain() {
    let mut config = config(Duration::from_secs(20));
    config.tenancy.tenants[0].api_keys = vec![Secret::new("acme-key"), Secret::new("old")];
    let mut without = config.tenancy.clone();
    without.tenants[0].api_keys = vec![Secret::new("acme-key")];
    let gateway = InProcess::with(config);
    let mut goes = gateway.stream("", "old").await;
    let mut stays = gateway.stream("", "acme-key").await;
    for events in [&mut goes, &mut stays] {
        assert_eq!(events.whats(1).await, ["snapshot"]);
    }
    // More than fits on the way.
    let mut wire = gateway.connect();
    for _ in 0..500 {
        wire.exchange(&pinnacle_typing(USER)).await;
        wire.exchange(&pinnacle_message(USER)).await;
    }
    gateway.0.gateway().reload(without).await.unwrap();
    let drain = tokio::spawn(gateway.0.drain());
    let mut whats = Vec::new();
    while let Some(event) = goes.next().await {
        whats.push(event.what());
    }
    assert_eq!(whats.pop().as_deref(), Some("closed revoked"));
    assert!(whats.len() < 700, "what was still queued is not for it any more: {}", whats.len());
    assert!(stays.whats(1_000).await.iter().all(|what| ["started", "stopped sent"].contains(&&**what)));
    assert_eq!(stays.whats(1).await, ["closed draining"]);
    drop((goes, stays));
    drain.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_cut() {
    let mut config = config(Duration::from_secs(20));
    config.limits.hub.backlog = 10_000;
    let gateway = InProcess::with(config);
    let mut stalled = gateway.stream("", "acme-key").await;
    stalled.next().await;
    let mut wire = gateway.connect();
    for _ in 0..1_000 {
        wire.exchange(&pinnacle_typing(USER)).await;
        wire.exchange(&pinnacle_message(USER)).await;
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut events = 0;
    while stalled.next().await.is_some() {
        events += 1;
    }
    assert!((1..2_000).contains(&events), "what was written, and no more: {events}");
}

#[tokio::test(start_paused = true)]
async fn there_is_a_bound_on_streams_and_a_closed_one_makes_room() {
    let mut config = config(Duration::from_secs(20));
    config.limits.hub.subscribers = 1;
    let gateway = InProcess::with(config);
    let first = gateway.stream("", "acme-key").await;
    let request = b"GET /typing/v1/stream HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n";
    let refused = gateway.exchange(request).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    drop(first);
    tokio::time::sleep(Duration::from_millis(1)).await;
    gateway.stream("", "acme-key").await;
}

#[tokio::test(start_paused = true)]
async fn one_call_to_as_many_as_may_be_closes_nobody() {
    let gateway = InProcess::start();
    let numbers: Vec<String> = (0..1_000).map(|n| format!("+1415555{n:04}")).collect();
    let mut events = gateway.stream("", "acme-key").await;
    events.next().await;
    let mut wire = gateway.connect();
    for number in &numbers {
        wire.exchange(&kaleyra_typing(number)).await;
        assert_eq!(events.whats(1).await, ["started"]);
    }
    // The watcher takes nothing while the message is sent.
    let all: Vec<&str> = numbers.iter().map(String::as_str).collect();
    assert_eq!(wire.exchange(&kaleyra_message(&all)).await.decision(), "accepted; recipients=1000");
    assert!(events.whats(1_000).await.iter().all(|what| what == "stopped sent"));
}

#[tokio::test]
async fn who_takes_nothing_for_a_while_gets_all_of_it_in_order_afterwards() {
    const CHANGES: usize = 12_000;
    let mut config = config(Duration::from_secs(20));
    config.limits.hub.backlog = CHANGES;
    config.limits.listener.write_timeout = Duration::from_secs(100);
    let gateway = OnSocket::start(config).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut late = Wire::new(socket.connect(gateway.address).await.unwrap()).stream("", "acme-key").await;
    assert_eq!(late.whats(1).await, ["snapshot"]);
    let mut wire = gateway.connect().await;
    // More than the system holds for it.
    let agent = "a".repeat(200);
    for said in ["composing", "sent"].into_iter().cycle().take(CHANGES) {
        let body = format!(
            r#"{{"channel":"pinnacle","agent":"{agent}","user":"{USER}","composer":"agent","state":"{said}"}}"#
        );
        assert_eq!(wire.exchange(&signal(&body)).await.status, 200);
    }
    let mut last = None;
    for what in ["started", "stopped sent"].into_iter().cycle().take(CHANGES) {
        let event = late.next().await.unwrap();
        assert_eq!(event.what(), what);
        let number: usize = event.id.rsplit('-').next().unwrap().parse().unwrap();
        assert!(last.is_none_or(|last| number == last + 1), "{number} after {last:?}");
        last = Some(number);
    }
    // It is as quick as any other again.
    gateway.exchange(&pinnacle_typing(USER)).await;
    assert_eq!(late.whats(1).await, ["started"]);
    drop(late);
    gateway.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_the_last_answer_of_its_connection() {
    let gateway = InProcess::start();
    let mut wire = gateway.connect();
    let listing = b"GET /typing/v1/leases HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n";
    let stream = b"GET /typing/v1/stream HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer acme-key\r\n\r\n";
    // What comes before it is answered before it, and what comes behind it is not read.
    wire.send(&[&listing[..], stream, listing].concat()).await;
    assert_eq!(wire.answer().await.unwrap().status, 200);
    let mut events = wire.events(b"").await;
    assert!(events.headers.contains(&("connection".into(), "close".into())));
    assert!(events.headers.contains(&("transfer-encoding".into(), "chunked".into())));
    gateway.exchange(&pinnacle_typing(USER)).await;
    assert_eq!(events.whats(2).await, ["snapshot", "started"]);
    let drain = tokio::spawn(gateway.0.drain());
    assert_eq!(events.whats(2).await, ["stopped revoked", "closed draining"]);
    assert!(events.next().await.is_none() && events.is_finished);
    drain.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_speaks_http_1_0_gets_bare_events() {
    let gateway = InProcess::start();
    let (mut client, server) = duplex(64 * 1024);
    gateway.0.serve(server, Ipv4Addr::LOCALHOST.into(), ());
    client
        .write_all(b"GET /typing/v1/stream HTTP/1.0\r\nAuthorization: Bearer acme-key\r\n\r\n")
        .await
        .unwrap();
    sleep(Duration::from_millis(1)).await;
    gateway.exchange(&pinnacle_typing(USER)).await;
    gateway.0.drain().await;
    let mut told = String::new();
    client.read_to_string(&mut told).await.unwrap();
    let (head, events) = told.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200") && !head.contains("chunked"), "{head}");
    let names: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["snapshot", "started", "stopped", "closed"]);
    assert!(events.starts_with(": typingd\n\nretry: ") && !events.contains('\r'), "{events}");
}
