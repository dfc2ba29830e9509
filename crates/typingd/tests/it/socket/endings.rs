//! How sockets end by the gateway's doing, and what they leave behind.

use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::task::yield_now;
use tokio::time::sleep;
use typingd::clock::Clock;
use typingd::config::Tenancy;
use typingd_providers::Secret;

use super::client::{Client, asking_for_ticket, encode, handshake, issued, open, ticket};
use crate::support::{InProcess, OnSocket, Wire, config, pinnacle_message, pinnacle_typing};

const USER: &str = "+14155550123";

fn rep() -> Value {
    json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "side": "agent",
        "participant": "rep-7", "access": "read_write"})
}

fn watcher() -> Value {
    json!({"side": "agent", "access": "read"})
}

/// A gateway on which `acme` has the key `old` besides, and the tenancy without it.
fn with_old_key() -> (InProcess, Tenancy) {
    let mut config = config(Duration::from_secs(20));
    let keys = |keys: &[&str]| keys.iter().map(|key| Secret::new(*key)).collect();
    config.tenancy.tenants[0].api_keys = keys(&["acme-key", "old"]);
    let mut without = config.tenancy.clone();
    without.tenants[0].api_keys = keys(&["acme-key"]);
    (InProcess::with(config), without)
}

/// A socket of a rep who composes and watches everything, by the key.
async fn open_busy(gateway: &InProcess, key: &str) -> Client<DuplexStream> {
    let desk = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "side": "agent", "participant": "rep-7",
        "access": "read_write"});
    let ticket = ticket(gateway, key, &desk).await;
    let mut rep = Client::shake_hands(gateway.connect(), &handshake(&ticket)).await.unwrap();
    rep.next().await;
    let composing = json!({"type": "composing", "user": USER, "ttl_ms": 60_000});
    assert_eq!(rep.ask(composing).await["decision"], "started");
    assert_eq!(rep.watch().await.as_array().unwrap().len(), 1);
    rep
}

/// Causes so many changes in another conversation than [`USER`]'s, with time enough to pass them on.
async fn cause_changes(gateway: &InProcess, count: usize) {
    let mut wire = gateway.connect();
    for _ in 0..count / 2 {
        wire.exchange(&pinnacle_typing("+14155550001")).await;
        wire.exchange(&pinnacle_message("+14155550001")).await;
    }
}

/// All text frames up to the close frame, and its code.
async fn rest(client: &mut Client<DuplexStream>) -> (Vec<Value>, u16) {
    let mut texts = Vec::new();
    loop {
        let frame = client.frame().await.expect("a close frame");
        match frame.opcode {
            1 => texts.push(serde_json::from_slice(&frame.payload).unwrap()),
            8 => return (texts, frame.close().0),
            _ => {}
        }
    }
}

/// One who watches [`USER`] alone.
async fn open_watcher_of_user(gateway: &InProcess) -> Client<DuplexStream> {
    let asked = json!({"user": USER, "side": "user", "access": "read"});
    let (mut user, _) = open(gateway, &asked).await;
    assert_eq!(user.watch().await, json!([]));
    user
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_holds_nothing_from_the_moment_its_key_is_revoked() {
    let (gateway, without) = with_old_key();
    let mut user = open_watcher_of_user(&gateway).await;
    let mut goes = open_busy(&gateway, "old").await;
    assert_eq!(user.what().await, "started");
    // More than fits on the way, so that the gateway waits for it.
    cause_changes(&gateway, 1_000).await;
    let clock = Clock::start();
    gateway.0.gateway().reload(without).await.unwrap();
    assert_eq!(user.what().await, "stopped revoked");
    assert_eq!(clock.now().as_millis(), 0, "at once");
    let (told, code) = rest(&mut goes).await;
    assert_eq!(code, 4401);
    assert!(told.len() < 700, "what was still queued is not for it any more: {}", told.len());
}

#[tokio::test(start_paused = true)]
async fn who_has_much_to_read_says_nothing_after_its_key_was_revoked() {
    let (gateway, without) = with_old_key();
    let mut user = open_watcher_of_user(&gateway).await;
    let mut goes = open_busy(&gateway, "old").await;
    assert_eq!(user.what().await, "started");
    cause_changes(&gateway, 1_000).await;
    for n in 0..20 {
        goes.say(json!({"type": "composing", "user": format!("+1415555100{n:02}"), "ref": "late"})).await;
    }
    gateway.0.gateway().reload(without).await.unwrap();
    for n in 20..40 {
        goes.say(json!({"type": "composing", "user": format!("+1415555100{n:02}"), "ref": "late"})).await;
    }
    let (told, code) = rest(&mut goes).await;
    assert_eq!(code, 4401);
    assert!(told.iter().all(|frame| frame["ref"] != "late"), "it was answered");
    assert_eq!(user.what().await, "stopped revoked");
    assert_eq!(gateway.0.gateway().census.of(&"acme".into()).leases, 0, "nothing was begun");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_keep_up_holds_nothing_from_that_moment() {
    let mut config = config(Duration::from_secs(20));
    config.limits.hub.backlog = 100;
    let gateway = InProcess::with(config);
    let mut user = open_watcher_of_user(&gateway).await;
    let mut slow = open_busy(&gateway, "acme-key").await;
    assert_eq!(user.what().await, "started");
    let clock = Clock::start();
    cause_changes(&gateway, 1_000).await;
    assert_eq!(user.what().await, "stopped revoked");
    assert_eq!(clock.now().as_millis(), 0, "at once");
    assert_eq!(rest(&mut slow).await.1, 1013);
}

#[tokio::test(start_paused = true)]
async fn who_reads_late_is_told_all_that_was_before_the_gateway_went_away() {
    let gateway = InProcess::start();
    let mut rep = open_busy(&gateway, "acme-key").await;
    cause_changes(&gateway, 1_000).await;
    let drain = tokio::spawn(gateway.0.drain());
    for _ in 0..10 {
        yield_now().await;
    }
    rep.say(json!({"type": "ping", "ref": "late"})).await;
    let (told, code) = rest(&mut rep).await;
    assert_eq!(code, 1001);
    assert_eq!(told.len(), 1_001, "each change, and the end of its own");
    let last = told.last().unwrap();
    assert_eq!((&last["type"], &last["reason"]), (&json!("stopped"), &json!("revoked")));
    drop(rep);
    drain.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_socket_whose_key_is_revoked_ends_with_what_it_held_and_no_other_does() {
    let (gateway, without) = with_old_key();
    let (mut stays, _) = open(&gateway, &watcher()).await;
    stays.watch().await;
    let by_old = ticket(&gateway, "old", &rep()).await;
    let waiting = ticket(&gateway, "old", &rep()).await;
    let mut goes = Client::shake_hands(gateway.connect(), &handshake(&by_old)).await.unwrap();
    goes.next().await;
    assert_eq!(goes.ask(json!({"type": "composing"})).await["decision"], "started");
    gateway.0.gateway().reload(without).await.unwrap();
    assert_eq!(goes.closed().await, (4401, "revoked".into()));
    for what in ["started", "stopped revoked"] {
        assert_eq!(stays.what().await, what);
    }
    assert_eq!(stays.ask(json!({"type": "ping"})).await["type"], "pong");
    let refused = Client::shake_hands(gateway.connect(), &handshake(&waiting)).await.err().unwrap();
    assert_eq!(refused.status, 401, "its tickets are worth nothing either");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_goes_away_ends_what_is_said_and_then_says_so() {
    let gateway = InProcess::start();
    let (mut user, _) = open(&gateway, &watcher()).await;
    user.watch().await;
    let (mut rep, _) = open(&gateway, &rep()).await;
    rep.ask(json!({"type": "composing"})).await;
    assert_eq!(user.what().await, "started");
    let clock = Clock::start();
    let drain = tokio::spawn(gateway.0.drain());
    assert_eq!(user.what().await, "stopped revoked");
    for mut client in [user, rep] {
        assert_eq!(client.closed().await, (1001, "draining".into()));
    }
    drain.await.unwrap();
    assert!(clock.now().as_millis() < 5_000, "nobody had to be cut");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_say_that_it_is_there_is_closed_and_who_does_stays() {
    let gateway = InProcess::start();
    let (mut user, _) = open(&gateway, &watcher()).await;
    user.watch().await;
    let (mut gone, _) = open(&gateway, &rep()).await;
    gone.ask(json!({"type": "composing", "ttl_ms": 60_000})).await;
    assert_eq!(user.what().await, "started");
    let clock = Clock::start();
    let mut pings = 0;
    let mut told = Vec::new();
    while clock.now().as_millis() < 3_600_000 {
        let frame = user.frame().await.expect("an open socket");
        match frame.opcode {
            9 => {
                pings += 1;
                user.send_frame(true, 10, &frame.payload).await;
            }
            _ => {
                let frame: Value = serde_json::from_slice(&frame.payload).unwrap();
                told.push((frame["type"].clone(), frame["reason"].clone(), clock.now().as_millis()));
            }
        }
    }
    assert_eq!(pings, 240, "one every 15 s");
    assert_eq!(told, [(json!("stopped"), json!("revoked"), 40_000)]);
    assert_eq!(gone.closed().await, (4408, "silent".into()));
    assert_eq!(user.ask(json!({"type": "ping"})).await["type"], "pong");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_keep_up_is_cut_and_nobody_else_loses_anything() {
    let mut config = config(Duration::from_secs(20));
    config.limits.hub.backlog = 8;
    let gateway = InProcess::with(config);
    let (mut slow, _) = open(&gateway, &watcher()).await;
    slow.watch().await;
    let (mut fast, _) = open(&gateway, &watcher()).await;
    fast.watch().await;
    let mut wire = gateway.connect();
    let rounds = 500;
    for round in 0..rounds {
        for (request, what) in [(pinnacle_typing(USER), "started"), (pinnacle_message(USER), "stopped sent")]
        {
            wire.exchange(&request).await;
            assert_eq!(fast.what().await, what, "round {round}");
        }
    }
    let (mut count, mut code) = (0, None);
    while let Some(frame) = slow.frame().await {
        count += 1;
        code = (frame.opcode == 8).then(|| frame.close().0).or(code);
    }
    assert!((100..2 * rounds).contains(&count), "what was written, and no more: {count}");
    assert_eq!(code, Some(1013), "it takes frames again before the write time-out");
}

#[tokio::test(start_paused = true)]
async fn who_breaks_the_rules_with_much_still_to_take_is_told_so_behind_it() {
    let gateway = InProcess::start();
    let mut wire = gateway.connect();
    for n in 0..400 {
        wire.exchange(&pinnacle_typing(&format!("+14155550{n:03}"))).await;
    }
    let (mut client, _) = open(&gateway, &watcher()).await;
    // More than fits on the way, so that the gateway still writes when the frames behind it come.
    client.say(json!({"type": "subscribe", "id": "a"})).await;
    client.send_bytes(&[0xff; 10]).await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(client.next().await["leases"].as_array().unwrap().len(), 400);
    assert_eq!(client.closed().await.0, 1002);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_close_is_left_after_two_seconds() {
    let gateway = InProcess::start();
    let (mut client, _) = open(&gateway, &watcher()).await;
    let clock = Clock::start();
    // Bytes are not taken; the close frame that says so is not answered.
    client.send_frame(true, 2, b"x").await;
    assert_eq!(client.closed().await, (1003, "text_only".into()));
    assert_eq!(clock.now().as_millis(), 2_000);
    let gateway = gateway.0.gateway();
    sleep(Duration::from_millis(1)).await;
    assert_eq!((gateway.metrics.connections.get(), gateway.metrics.subscribers.get()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_is_counted_down_however_a_socket_ends() {
    let gateway = InProcess::start();
    let counts = || {
        let metrics = &gateway.0.gateway().metrics;
        (metrics.connections.get(), metrics.subscribers.get())
    };
    let (dropped, _) = open(&gateway, &rep()).await;
    let (mut closed, _) = open(&gateway, &rep()).await;
    let (mut broken, _) = open(&gateway, &rep()).await;
    let (_silent, _) = open(&gateway, &rep()).await;
    // Hangs up before it has its answer.
    let ticket = ticket(&gateway, "acme-key", &rep()).await;
    let mut hasty = gateway.connect();
    hasty.send(&handshake(&ticket)).await;
    drop(hasty);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(counts(), (4, 4), "a connection that was handed over is one still");
    drop(dropped);
    closed.send_frame(true, 8, &[3, 232]).await;
    broken.send_bytes(&[0; 9]).await;
    drop((closed, broken));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(counts(), (1, 1));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(counts(), (0, 0));
}

#[tokio::test]
async fn a_socket_keeps_its_place_among_the_connections_until_its_end() {
    let mut config = config(Duration::from_secs(20));
    config.limits.listener.connections = 1;
    let gateway = OnSocket::start(config).await;
    let ticket = issued(&gateway.exchange(&asking_for_ticket("acme-key", &watcher())).await);
    let mut client = Client::shake_hands(gateway.connect().await, &handshake(&ticket)).await.unwrap();
    assert_eq!(client.next().await["type"], "hello");
    let mut next = gateway.connect().await;
    let waiting = tokio::spawn(async move { next.exchange(&pinnacle_typing(USER)).await });
    for _ in 0..50 {
        assert_eq!(client.ask(json!({"type": "ping"})).await["type"], "pong");
        assert!(!waiting.is_finished());
    }
    drop(client);
    assert_eq!(waiting.await.unwrap().decision(), "started");
    gateway.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_for_forty_seconds_is_gone_then_and_not_later() {
    let gateway = InProcess::start();
    for last_word in [0, 1_000, 14_999, 26_000] {
        let (mut client, _) = open(&gateway, &watcher()).await;
        sleep(Duration::from_millis(last_word)).await;
        client.send_bytes(&encode(true, 10, b"")).await;
        let clock = Clock::start();
        assert_eq!(client.closed().await, (4408, "silent".into()));
        // It waits two seconds more for an answer to its close frame.
        assert_eq!(clock.now().as_millis(), 42_000, "after {last_word} ms");
    }
}

/// A pipe that breaks the task which reads from it, once the client sends an `!`.
struct Trap(DuplexStream);

impl AsyncRead for Trap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        assert_ne!(&buf.filled()[before..], b"!", "this test breaks the task on purpose");
        read
    }
}

impl AsyncWrite for Trap {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn connect_trap(gateway: &InProcess) -> Wire<DuplexStream> {
    let (client, server) = duplex(64 * 1024);
    gateway.0.serve(Trap(server), Ipv4Addr::LOCALHOST.into(), ());
    Wire::new(client)
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_breaks_leaves_no_dots_behind_and_is_not_counted() {
    let gateway = InProcess::start();
    let mut user = open_watcher_of_user(&gateway).await;
    let ticket = ticket(&gateway, "acme-key", &rep()).await;
    let mut breaks = Client::shake_hands(connect_trap(&gateway), &handshake(&ticket)).await.unwrap();
    breaks.next().await;
    assert_eq!(breaks.ask(json!({"type": "composing", "ttl_ms": 60_000})).await["decision"], "started");
    assert_eq!(user.what().await, "started");
    let clock = Clock::start();
    breaks.send_bytes(b"!").await;
    assert_eq!(user.what().await, "stopped revoked");
    assert_eq!(clock.now().as_millis(), 0, "at once");
    let mut wire = connect_trap(&gateway);
    wire.send(b"!").await;
    sleep(Duration::from_millis(1)).await;
    let metrics = &gateway.0.gateway().metrics;
    assert_eq!((metrics.connections.get(), metrics.subscribers.get()), (1, 1), "the watcher");
}
