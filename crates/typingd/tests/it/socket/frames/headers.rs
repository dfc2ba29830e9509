//! Frame headers that a client must not send.

use super::table::{
    BEHIND, BINARY, CLOSE, PING, PROTOCOL, Row, TEXT, TOO_BIG, answer, ask, asking, check_all, row,
};
use crate::socket::client::encode;

/// A final masked frame, with its length written in this way.
fn with_length(opcode: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    // Under this mask every byte is its own.
    [&[0x80 | opcode][..], length, &[0; 4], payload].concat()
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, opcode, payload) in [
        ("text", TEXT, &asking("1")[..]),
        ("empty text", TEXT, b""),
        ("binary", BINARY, b"x"),
        ("ping", PING, b"x"),
        ("close", CLOSE, &BEHIND.to_be_bytes()),
    ] {
        let bare = [&[0x80 | opcode, payload.len() as u8], payload].concat();
        rows.push(row(format!("an unmasked {what} frame"), [bare.clone()], [], PROTOCOL));
        rows.push(row(
            format!("an unmasked {what} frame after a good one"),
            [ask("1"), bare],
            [answer("1")],
            PROTOCOL,
        ));
    }
    let text = asking("1");
    let long = |length: u64| [&[0xff][..], &length.to_be_bytes()].concat();
    for (what, length, code) in [
        ("0 in 16 bits", vec![0xfe, 0, 0], PROTOCOL),
        ("its length in 16 bits", vec![0xfe, 0, text.len() as u8], PROTOCOL),
        ("125 in 16 bits", vec![0xfe, 0, 125], PROTOCOL),
        ("0 in 64 bits", long(0), PROTOCOL),
        ("its length in 64 bits", long(text.len() as u64), PROTOCOL),
        ("65,535 in 64 bits", long(65_535), PROTOCOL),
        ("65,536 in 64 bits", long(65_536), TOO_BIG),
        ("4 GiB", long(1 << 32), TOO_BIG),
        ("the most that is positive", long(i64::MAX as u64), TOO_BIG),
        // More than the RFC has, and too much in any case.
        ("the high bit alone", long(1 << 63), TOO_BIG),
        ("all bits", long(u64::MAX), TOO_BIG),
    ] {
        for opcode in [TEXT, BINARY] {
            let frame = with_length(opcode, &length, &text);
            rows.push(row(format!("opcode {opcode} with a length of {what}"), [frame], [], code));
        }
    }
    for opcode in [PING, CLOSE] {
        for length in [vec![0xfe, 0, 1], vec![0xfe, 1, 0], long(1), long(u64::MAX)] {
            let what = format!("opcode {opcode} with a length of {length:?}");
            rows.push(row(what, [with_length(opcode, &length, &[0; 256])], [], PROTOCOL));
        }
    }
    let unmasked_by_zeros = with_length(TEXT, &[0x80 | text.len() as u8], &text);
    rows.push(row("a mask of zeros", [unmasked_by_zeros], [answer("1")], BEHIND));
    let with_high_bytes = encode(true, TEXT, &asking("\u{10ffff}"));
    rows.push(row(
        "a payload that the mask makes anything of",
        [with_high_bytes],
        [answer("\u{10ffff}")],
        BEHIND,
    ));
    rows
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_unmasked_or_has_a_length_in_too_many_bytes_ends_the_socket() {
    check_all(&rows()).await;
}
