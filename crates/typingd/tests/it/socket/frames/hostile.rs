//! Clients that send too little, or too much without taking anything.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncWriteExt, duplex};
use typingd::clock::Clock;

use super::table::{CONTINUATION, PING, TEXT, ask};
use crate::socket::client::{Client, encode, handshake, open, ticket};
use crate::support::{InProcess, Wire};

/// When a client that says nothing is cut.
const CUT_MS: u64 = 40_000;

#[tokio::test(start_paused = true)]
async fn a_frame_that_does_not_come_is_not_waited_for_longer_than_silence() {
    let gateway = InProcess::start();
    let text = ask("1");
    for (what, begun) in [
        ("nothing", &b""[..]),
        ("a byte", &text[..1]),
        ("a header", &text[..2]),
        ("a mask", &text[..6]),
        ("all but the last byte", &text[..text.len() - 1]),
        ("a length in 64 bits without its end", &[0x81, 0xff, 0, 0]),
        ("a text without its end", &encode(false, TEXT, b"{")),
    ] {
        let (mut client, _) = open(&gateway, &json!({"side": "agent", "access": "read"})).await;
        let clock = Clock::start();
        client.send_bytes(begun).await;
        assert_eq!(client.closed().await, (4408, "silent".into()), "{what}");
        let ms = clock.now().as_millis();
        assert!((CUT_MS..CUT_MS + 2_100).contains(&ms), "{what}: {ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_ends_is_silence() {
    let gateway = InProcess::start();
    let (mut client, _) = open(&gateway, &json!({"side": "agent", "access": "read"})).await;
    client.send_frame(false, TEXT, b"{").await;
    for _ in 0..60 {
        client.send_frame(false, CONTINUATION, b"").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(client.closed().await, (4408, "silent".into()));
}

/// What is owed to it would grow for as long as it asks.
#[tokio::test(start_paused = true)]
async fn who_takes_no_pongs_can_send_no_more_pings() {
    let gateway = InProcess::start();
    let ticket = ticket(&gateway, "acme-key", &json!({"side": "agent", "access": "read"})).await;
    let (client, server) = duplex(16 * 1024);
    gateway.0.serve(server, Ipv4Addr::LOCALHOST.into(), ());
    let (reader, mut writer) = tokio::io::split(client);
    writer.write_all(&handshake(&ticket)).await.unwrap();
    let clock = Clock::start();
    let pings = encode(true, PING, &[b'*'; 125]).repeat(8_000);
    let _ = writer.write_all(&pings).await;
    assert_eq!(clock.now().as_millis(), 9_000, "nothing more was read until it was given up");
    let mut client =
        Client::shake_hands(Wire::new(tokio::io::join(reader, tokio::io::sink())), b"").await.unwrap();
    assert_eq!(client.next().await["type"], "hello");
    let mut pongs = 0;
    while client.frame().await.is_some() {
        pongs += 1;
    }
    assert!(pongs < 200, "{pongs}");
}
