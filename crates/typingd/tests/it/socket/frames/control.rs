//! Sections 2, 3 and 4: pings and pongs, reserved bits and reserved opcodes.

use super::table::{
    BEHIND, BINARY, CLOSE, CONTINUATION, Down, PING, PONG, PROTOCOL, Row, TEXT, answer, ask, asking,
    check_all, row,
};
use crate::socket::client::encode;

fn ping(payload: &[u8]) -> Vec<u8> {
    encode(true, PING, payload)
}

fn pong(payload: &[u8]) -> Vec<u8> {
    encode(true, PONG, payload)
}

fn back(payload: &[u8]) -> Down {
    Down::Pong(payload.to_vec())
}

/// 2.
pub fn pings() -> Vec<Row> {
    let binary = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    let mut rows = vec![
        row("a pong that nobody asked for", [pong(b"")], [], BEHIND),
        row("such a pong with a payload", [pong(b"unsolicited")], [], BEHIND),
        row("such a pong before a ping", [pong(b"unsolicited"), ping(b"x")], [back(b"x")], BEHIND),
        row("a pong of 125 bytes", [pong(&[b'*'; 125]), ask("1")], [answer("1")], BEHIND),
        row("a pong of 126 bytes", [pong(&[b'*'; 126]), ask("1")], [], PROTOCOL),
        row("a ping of 126 bytes", [ping(&[b'*'; 126]), ask("1")], [], PROTOCOL),
        row("a ping of 126 bytes after a text", [ask("1"), ping(&[b'*'; 126])], [answer("1")], PROTOCOL),
    ];
    for (what, payload) in [
        ("an empty ping", &b""[..]),
        ("a ping with a text", b"Hello, world!"),
        ("a ping with bytes", &binary),
        ("a ping of 125 bytes", &[0xfe; 125]),
    ] {
        rows.push(row(what, [ping(payload)], [back(payload)], BEHIND));
    }
    for count in [10_u16, 1_000] {
        let payloads: Vec<[u8; 2]> = (0..count).map(u16::to_be_bytes).collect();
        let heard: Vec<Down> = payloads.iter().map(|payload| back(payload)).collect();
        rows.push(row(format!("{count} pings"), payloads.iter().map(|payload| ping(payload)), heard, BEHIND));
    }
    rows
}

/// 3.
pub fn reserved_bits() -> Vec<Row> {
    let mut rows = Vec::new();
    for bits in 1..=7_u8 {
        for (what, opcode, payload) in [
            ("a text", TEXT, &asking("1")[..]),
            ("an empty text", TEXT, b""),
            ("bytes", BINARY, b"x"),
            ("a ping", PING, b"x"),
            ("a pong", PONG, b"x"),
            ("a close frame", CLOSE, &BEHIND.to_be_bytes()),
        ] {
            let mut frame = encode(true, opcode, payload);
            frame[0] |= bits << 4;
            rows.push(row(format!("{what} with {bits:03b}"), [frame.clone()], [], PROTOCOL));
            let between = [ask("1"), frame, ping(b"x")];
            rows.push(row(
                format!("{what} with {bits:03b} between others"),
                between,
                [answer("1")],
                PROTOCOL,
            ));
        }
        let [begin, mut end] = [encode(false, TEXT, b"{"), encode(true, CONTINUATION, b"}")];
        end[0] |= bits << 4;
        rows.push(row(format!("a continuation with {bits:03b}"), [begin, end], [], PROTOCOL));
    }
    rows
}

/// 4.
pub fn reserved_opcodes() -> Vec<Row> {
    let mut rows = Vec::new();
    for opcode in (3..=7).chain(11..=15) {
        let bare = encode(true, opcode, b"");
        let loaded = encode(true, opcode, b"reserved opcode payload");
        let unended = encode(false, opcode, b"x");
        rows.push(row(format!("opcode {opcode}"), [bare.clone()], [], PROTOCOL));
        rows.push(row(format!("opcode {opcode} with a payload"), [loaded.clone()], [], PROTOCOL));
        rows.push(row(format!("opcode {opcode}, not final"), [unended], [], PROTOCOL));
        for frame in [bare, loaded] {
            let between = [ask("1"), frame, ping(b"x")];
            rows.push(row(format!("opcode {opcode} between others"), between, [answer("1")], PROTOCOL));
        }
        let inside = [encode(false, TEXT, b"{"), encode(true, opcode, b"")];
        rows.push(row(format!("opcode {opcode} inside a text"), inside, [], PROTOCOL));
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn a_ping_comes_back_as_a_pong_and_a_pong_is_passed_over() {
    check_all(&pings()).await;
}

#[tokio::test(start_paused = true)]
async fn a_reserved_bit_ends_the_socket() {
    check_all(&reserved_bits()).await;
}

#[tokio::test(start_paused = true)]
async fn a_reserved_opcode_ends_the_socket() {
    check_all(&reserved_opcodes()).await;
}
