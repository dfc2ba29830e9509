//! The same rows over a real socket, where a close frame can be lost to bytes that nobody read.

use std::time::Duration;

use serde_json::json;

use super::table::{CLOSE, PROTOCOL, Row, check};
use super::{close, control, fragments, headers, payloads, utf8};
use crate::socket::client::{Client, asking_for_ticket, encode, handshake, issued};
use crate::support::{OnSocket, config};

#[tokio::test]
async fn the_close_frame_arrives_over_a_real_socket_too() {
    let gateway = OnSocket::start(config(Duration::from_secs(20))).await;
    let rows: Vec<Row> = [
        payloads::frames(),
        payloads::messages(),
        control::pings(),
        control::reserved_bits(),
        control::reserved_opcodes(),
        fragments::rows(),
        utf8::invalid(),
        close::handshakes(),
        close::codes(),
        headers::rows(),
    ]
    .into_iter()
    .flatten()
    .collect();
    println!("{} rows", rows.len());
    for row in rows {
        let asked = asking_for_ticket("acme-key", &json!({"side": "agent", "access": "read"}));
        let ticket = issued(&gateway.exchange(&asked).await);
        let mut client = Client::shake_hands(gateway.connect().await, &handshake(&ticket)).await.unwrap();
        assert_eq!(client.next().await["type"], "hello");
        check(&mut client, &row, usize::MAX).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_reads_late_finds_the_close_frame_all_the_same() {
    let mut config = config(Duration::from_secs(20));
    config.limits.listener.connections = 1;
    let gateway = OnSocket::start(config).await;
    let asked = asking_for_ticket("acme-key", &json!({"side": "agent", "access": "read"}));
    for sent in [vec![0xff; 300_000], [encode(true, CLOSE, &[3, 234]), vec![0; 300_000]].concat()] {
        let ticket = issued(&gateway.exchange(&asked).await);
        let mut client = Client::shake_hands(gateway.connect().await, &handshake(&ticket)).await.unwrap();
        assert_eq!(client.next().await["type"], "hello");
        client.send_bytes(&sent).await;
        // The one place among the connections is free when the gateway has closed that one.
        assert_eq!(gateway.exchange(&asked).await.status, 200);
        assert_eq!(client.closed().await.0, PROTOCOL);
    }
    gateway.stop().await;
}
