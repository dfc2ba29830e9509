//! Section 5: messages in several frames.

use super::table::{
    BEHIND, BINARY, CLOSE, CONTINUATION, Down, PING, PONG, PROTOCOL, Row, TEXT, UNSUPPORTED, answer, ask,
    asking, check_all, in_fragments, row,
};
use crate::socket::client::encode;

fn begin(payload: &[u8]) -> Vec<u8> {
    encode(false, TEXT, payload)
}

fn more(payload: &[u8]) -> Vec<u8> {
    encode(false, CONTINUATION, payload)
}

fn end(payload: &[u8]) -> Vec<u8> {
    encode(true, CONTINUATION, payload)
}

fn ping(payload: &[u8]) -> Vec<u8> {
    encode(true, PING, payload)
}

fn back(payload: &[u8]) -> Down {
    Down::Pong(payload.to_vec())
}

pub fn rows() -> Vec<Row> {
    let text = asking("1");
    let pieces: Vec<&[u8]> = text.chunks(text.len().div_ceil(5)).collect();
    let [one, two, three, four, five] = pieces[..] else { panic!("five pieces") };
    let halves = || [begin(&text[..9]), end(&text[9..])];
    let [first, second] = halves();
    let mut rows = ended_by_disorder();
    rows.extend([
        row("5.1, a ping in two frames", [encode(false, PING, b"a"), end(b"b")], [], PROTOCOL),
        row("5.2, a pong in two frames", [encode(false, PONG, b"a"), end(b"b")], [], PROTOCOL),
        row("a close frame that is not final", [encode(false, CLOSE, &[3, 232])], [], PROTOCOL),
        row("5.3, a text in two frames", halves(), [answer("1")], BEHIND),
        row(
            "5.6, a ping between them",
            [first.clone(), ping(b"x"), second.clone()],
            [back(b"x"), answer("1")],
            BEHIND,
        ),
        row(
            "a pong between them",
            [first.clone(), encode(true, PONG, b"x"), second.clone()],
            [answer("1")],
            BEHIND,
        ),
        row(
            "5.19, two pings among five frames",
            [begin(one), more(two), ping(b"x"), more(three), more(four), ping(b"y"), end(five)],
            [back(b"x"), back(b"y"), answer("1")],
            BEHIND,
        ),
        row(
            "one text in frames, then another",
            [halves(), halves()].concat(),
            [answer("1"), answer("1")],
            BEHIND,
        ),
        row(
            "one text in frames, then a whole one",
            [first.clone(), second, ask("2")],
            [answer("1"), answer("2")],
            BEHIND,
        ),
        row("frames of a byte each", in_fragments(TEXT, &text, 1), [answer("1")], BEHIND),
        row(
            "empty frames around",
            [begin(b""), more(b""), more(&text), more(b""), end(b"")],
            [answer("1")],
            BEHIND,
        ),
        row("an empty text in two frames", [begin(b""), end(b"")], [Down::Refused], BEHIND),
        row("bytes in two frames", [encode(false, BINARY, b"a"), end(b"b"), ask("1")], [], UNSUPPORTED),
        row("a close frame inside a text", [first.clone(), encode(true, CLOSE, &[3, 233])], [], 1001),
        row("a text that is not ended", [first], [], BEHIND),
    ]);
    let emptied = std::iter::repeat_n(more(b""), 5_000);
    let around = std::iter::once(begin(&text)).chain(emptied).chain([end(b"")]);
    rows.push(row("5,000 empty frames", around, [answer("1")], BEHIND));
    rows
}

/// 5.9 to 5.18: a continuation of nothing, and a message inside another.
fn ended_by_disorder() -> Vec<Row> {
    let (nothing, whole) = ([], [answer("1")]);
    vec![
        row("5.9, the end of nothing", [end(b"x"), ask("1")], nothing.clone(), PROTOCOL),
        row("the end of nothing, empty", [end(b""), ask("1")], nothing.clone(), PROTOCOL),
        row("5.12, the continuation of nothing", [more(b"x"), ask("1")], nothing.clone(), PROTOCOL),
        row("the continuation of nothing, after a text", [ask("1"), more(b"x")], whole.clone(), PROTOCOL),
        row("the continuation of nothing, after a ping", [ping(b""), end(b"")], [back(b"")], PROTOCOL),
        row(
            "5.15, one continuation too many",
            [begin(&asking("1")[..9]), end(&asking("1")[9..]), more(b"x"), ask("2")],
            whole.clone(),
            PROTOCOL,
        ),
        row(
            "5.16, a text among continuations of nothing",
            [more(b"x"), begin(b"x"), end(b"x")],
            nothing.clone(),
            PROTOCOL,
        ),
        row("5.17, the same, ended", [end(b"x"), begin(b"x"), end(b"x")], nothing.clone(), PROTOCOL),
        row("5.18, a text inside a text", [begin(b"{"), ask("1")], nothing.clone(), PROTOCOL),
        row("a text begun inside a text", [begin(b"{"), begin(b"}")], nothing.clone(), PROTOCOL),
        row("bytes inside a text", [begin(b"{"), encode(true, BINARY, b"")], nothing.clone(), PROTOCOL),
        row("a text inside bytes", [encode(false, BINARY, b"x"), ask("1")], nothing, PROTOCOL),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_message_may_come_in_frames_that_follow_each_other() {
    check_all(&rows()).await;
}
