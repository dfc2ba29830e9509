//! Anything at all, sent by somebody who came in by a good ticket.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::time::sleep;

use super::table::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use crate::socket::client::{encode, open};
use crate::support::InProcess;

const CASES: u32 = 2_000;

/// Texts that mean something, or almost.
const TEXTS: [&str; 9] = [
    r#"{"type":"ping","ref":"1"}"#,
    r#"{"type":"subscribe","id":"a"}"#,
    r#"{"type":"subscribe","id":"b","channel":"pinnacle"}"#,
    r#"{"type":"unsubscribe","id":"a"}"#,
    r#"{"type":"composing","channel":"pinnacle","agent":"a","user":"+14155550123"}"#,
    r#"{"type":"composing","channel":"salesforce","agent":"a","user":"David Wood","turn":18446744073709551615}"#,
    r#"{"type":"sent","channel":"pinnacle","agent":"a","user":"+14155550123","turn":1}"#,
    r#"{"type":"composing","ttl_ms":18446744073709551615}"#,
    "{\"type\":",
];

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![
        6 => Just(TEXT),
        2 => Just(CONTINUATION),
        1 => Just(BINARY),
        1 => Just(CLOSE),
        2 => Just(PING),
        1 => Just(PONG),
        1 => 0..16_u8,
    ];
    let payload = prop_oneof![
        3 => proptest::sample::select(&TEXTS[..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..200),
        1 => "\\PC{0,40}".prop_map(String::into_bytes),
    ];
    (any::<u8>(), opcode, payload)
        .prop_map(|(is_final, opcode, payload)| encode(is_final > 50, opcode, &payload))
}

/// Frames, frames with a byte changed, and no frames.
fn sent() -> impl Strategy<Value = Vec<u8>> {
    let spoilt =
        (frame(), any::<proptest::sample::Index>(), any::<u8>()).prop_map(|(mut frame, at, byte)| {
            let at = at.index(frame.len());
            frame[at] ^= byte;
            frame
        });
    prop_oneof![8 => frame(), 2 => spoilt, 1 => vec(any::<u8>(), 0..100)]
}

#[test]
fn whatever_is_sent_the_socket_ends_and_leaves_nothing_behind() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let gateway = runtime.block_on(async { InProcess::start() });
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let case = (vec(sent(), 0..8), 1..300_usize, any::<bool>());
    let ran = runner.run(&case, |(sent, piece, hangs_up)| {
        runtime.block_on(async {
            let (mut client, _) = open(&gateway, &json!({"side": "agent", "access": "read_write"})).await;
            client.send_in_pieces(&sent.concat(), piece).await;
            if hangs_up {
                drop(client);
                sleep(Duration::from_secs(3)).await;
            } else {
                // Nobody answers the gateway's pings: it ends by itself, if by nothing else.
                while client.frame().await.is_some() {}
                drop(client);
                sleep(Duration::from_millis(1)).await;
            }
            let gateway = gateway.0.gateway();
            // One that panicked would be counted for ever.
            prop_assert_eq!(gateway.metrics.connections.get(), 0);
            prop_assert_eq!(gateway.metrics.subscribers.get(), 0);
            prop_assert_eq!(gateway.census.of(&"acme".into()).leases, 0);
            Ok(())
        })
    });
    ran.unwrap();
}
