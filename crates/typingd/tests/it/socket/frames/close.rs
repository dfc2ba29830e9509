//! Section 7: how sockets are closed by their clients.

use super::table::{
    BEHIND, CLOSE, CONTINUATION, LIMIT, NOT_UTF8, PING, PROTOCOL, Row, TEXT, answer, ask, asking_in,
    check_all, row,
};
use crate::socket::client::encode;

/// Where a close frame has no code.
const NONE: u16 = 1005;

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    encode(true, CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

/// 7.1 and 7.3.
pub fn handshakes() -> Vec<Row> {
    let end = || close(1001, b"");
    vec![
        row("7.1.1, behind a text", [ask("1"), end()], [answer("1")], 1001),
        row("7.1.2, twice", [end(), close(3000, b"")], [], 1001),
        row("7.1.3, before a ping", [end(), encode(true, PING, b"x")], [], 1001),
        row("7.1.4, before a text", [end(), ask("1")], [], 1001),
        row("before what is no frame", [end(), vec![0xff; 100]], [], 1001),
        row("before more than is read", [end(), vec![0; 40_000]], [], 1001),
        row(
            "7.1.5, inside a text",
            [encode(false, TEXT, b"{"), end(), encode(true, CONTINUATION, b"}")],
            [],
            1001,
        ),
        row(
            "7.1.6, behind a large text",
            [encode(true, TEXT, &asking_in(LIMIT, "1")), end()],
            [answer("1")],
            1001,
        ),
        row("7.3.1, empty", [encode(true, CLOSE, b"")], [], NONE),
        row("7.3.2, of one byte", [encode(true, CLOSE, &[3])], [], PROTOCOL),
        row("7.3.3, with a code", [close(1001, b"")], [], 1001),
        row("7.3.4, with a reason", [close(1001, b"Hello World!")], [], 1001),
        row("with a reason of many bytes to the letter", [close(1001, "κόσμε💥".as_bytes())], [], 1001),
        row("7.3.5, of 125 bytes", [close(1001, &[b'*'; 123])], [], 1001),
        row("7.3.6, of 126 bytes", [close(1001, &[b'*'; 124])], [], PROTOCOL),
        row(
            "7.5.1, with a reason that is no UTF-8",
            [close(1001, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80")],
            [],
            NOT_UTF8,
        ),
        row("with a reason that ends in a letter", [close(1001, b"\xce")], [], NOT_UTF8),
    ]
}

/// 7.7, 7.9 and 7.13.
pub fn codes() -> Vec<Row> {
    let mut rows = Vec::new();
    let good = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4401, 4999,
    ];
    for code in good {
        rows.push(row(format!("the code {code}"), [close(code, b"")], [], code));
    }
    let bad = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32_768, 65_535];
    for code in bad {
        rows.push(row(format!("the code {code}"), [close(code, b"")], [], PROTOCOL));
        rows.push(row(format!("the code {code} and a reason"), [close(code, b"why")], [], PROTOCOL));
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn a_close_frame_is_answered_and_nothing_behind_it_is_read() {
    assert_eq!(BEHIND, 1000, "no row has the code of the frame behind it for its own");
    check_all(&handshakes()).await;
}

#[tokio::test(start_paused = true)]
async fn a_close_code_comes_back_where_a_client_may_send_it() {
    check_all(&codes()).await;
}
