//! Section 6: texts that are UTF-8, and that are not.

use serde_json::json;
use typingd::clock::Clock;

use super::table::{
    BEHIND, CONTINUATION, Down, NOT_UTF8, Row, TEXT, answer, ask, check_all, in_fragments, row,
};
use crate::socket::client::{encode, open};
use crate::support::InProcess;

/// Sequences that are letters, by section.
const VALID: [&[u8]; 27] = [
    "κόσμε".as_bytes(),
    "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
    // 6.7 and 6.9: the first and the last of each length.
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    // 6.11: around the surrogates, and what stands for letters that are none.
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    // 6.22 and 6.23: code points that are no characters, and their neighbours.
    b"\xef\xb7\x90",
    b"\xef\xb7\xaf",
    b"\xef\xbf\xb9",
    b"\xef\xbf\xba",
    b"\xef\xbf\xbb",
    b"\xef\xbf\xbc",
    b"\xef\xbf\xbe",
    b"\xf0\x9f\xbf\xbe",
    b"\xf0\x9f\xbf\xbf",
    b"\xf0\xaf\xbf\xbe",
    b"\xf1\x8f\xbf\xbf",
    b"\xf2\xbf\xbf\xbe",
    b"\xf3\xaf\xbf\xbf",
    b"\xf4\x80\x80\x80",
    b"\xf4\x8f\xbf\xbe",
];

/// Sequences that are none, by section.
const INVALID: [&[u8]; 58] = [
    // 6.3: a surrogate behind letters.
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    // 6.4: beyond the last code point, behind letters.
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
    // 6.8 and 6.10: lengths that there are not.
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf\xbf",
    // 6.11: one beyond the last.
    b"\xf4\x90\x80\x80",
    // 6.12: continuations of nothing.
    b"\x80",
    b"\xbf",
    b"\x80\xbf",
    b"\x80\xbf\x80",
    b"\x80\xbf\x80\xbf",
    b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f",
    // 6.13: beginnings without an end.
    b"\xc2 \xc3 \xdf ",
    b"\xe0 \xe1 \xef ",
    b"\xf0 \xf1 \xf4 ",
    b"\xf8 \xf9 \xfb ",
    b"\xfc \xfd ",
    // 6.14 and 6.15: the last byte is missing.
    b"\xc0",
    b"\xe0\x80",
    b"\xe0\xa0",
    b"\xf0\x80\x80",
    b"\xf0\x90\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
    b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf",
    // 6.16: bytes that never are.
    b"\xfe",
    b"\xff",
    b"\xfe\xfe\xff\xff",
    // 6.17 to 6.19: in more bytes than it takes.
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xf8\x80\x80\x80\xaf",
    b"\xfc\x80\x80\x80\x80\xaf",
    b"\xc1\xbf",
    b"\xe0\x9f\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf8\x87\xbf\xbf\xbf",
    b"\xfc\x83\xbf\xbf\xbf\xbf",
    b"\xc0\x80",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    // 6.20 and 6.21: surrogates, alone and in pairs.
    b"\xed\xa0\x80",
    b"\xed\xad\xbf",
    b"\xed\xae\x80",
    b"\xed\xaf\xbf",
    b"\xed\xb0\x80",
    b"\xed\xbe\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xed\xad\xbf\xed\xbf\xbf",
    b"\xed\xaf\xbf\xed\xb0\x80",
];

/// A text that asks for an answer, which repeats these bytes.
fn repeating(bytes: &[u8]) -> Vec<u8> {
    [br#"{"type":"ping","ref":""#, bytes, br#""}"#].concat()
}

/// A text in two frames, cut here; and the same with an empty frame between them.
fn cut(text: &[u8], at: usize) -> [Vec<Vec<u8>>; 2] {
    let begin = encode(false, TEXT, &text[..at]);
    let end = encode(true, CONTINUATION, &text[at..]);
    [vec![begin.clone(), end.clone()], vec![begin, encode(false, CONTINUATION, b""), end]]
}

pub fn valid() -> Vec<Row> {
    let mut rows = vec![
        // It is UTF-8, and no JSON.
        row("a zero byte", [encode(true, TEXT, &repeating(b"\0"))], [Down::Refused], BEHIND),
    ];
    for bytes in VALID {
        let (letters, text) = (std::str::from_utf8(bytes).unwrap(), repeating(bytes));
        let heard = || [answer(letters)];
        let what = bytes.escape_ascii();
        rows.push(row(format!("{what}, whole"), [encode(true, TEXT, &text)], heard(), BEHIND));
        rows.push(row(format!("{what}, byte by byte"), in_fragments(TEXT, &text, 1), heard(), BEHIND));
        for at in 22..=22 + bytes.len() {
            for frames in cut(&text, at) {
                rows.push(row(format!("{what}, cut at {at}"), frames, heard(), BEHIND));
            }
        }
    }
    rows
}

pub fn invalid() -> Vec<Row> {
    let mut rows = Vec::new();
    for bytes in INVALID {
        let (text, what) = (repeating(bytes), bytes.escape_ascii());
        rows.push(row(format!("{what}, whole"), [encode(true, TEXT, &text), ask("1")], [], NOT_UTF8));
        rows.push(row(format!("{what}, byte by byte"), in_fragments(TEXT, &text, 1), [], NOT_UTF8));
        for at in 22..=22 + bytes.len() {
            for frames in cut(&text, at) {
                rows.push(row(format!("{what}, cut at {at}"), frames, [], NOT_UTF8));
            }
        }
    }
    // 6.6: a text that ends inside a letter.
    for letter in ["ό", "€", "💥"] {
        for length in 1..letter.len() {
            let text = [b"x", &letter.as_bytes()[..length]].concat();
            let what = format!("{length} bytes of {letter} at the end");
            rows.push(row(what.clone(), [encode(true, TEXT, &text), ask("1")], [], NOT_UTF8));
            rows.push(row(format!("{what}, fragmented"), in_fragments(TEXT, &text, 1), [], NOT_UTF8));
            let unended = [encode(false, TEXT, &text), encode(true, CONTINUATION, b""), ask("1")];
            rows.push(row(format!("{what}, and an empty frame"), unended, [], NOT_UTF8));
        }
    }
    rows
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_taken_wherever_its_bytes_are_parted() {
    check_all(&valid()).await;
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_no_utf8_ends_the_socket() {
    check_all(&invalid()).await;
}

/// 6.3 and 6.4.
#[tokio::test(start_paused = true)]
async fn what_can_be_no_utf8_any_more_is_not_waited_for() {
    let gateway = InProcess::start();
    for (good, bad) in [
        (&b"\xce\xba\xe1\xbd\xb9"[..], &b"\xff"[..]),
        (b"\xce\xba\xed", b"\xa0"),
        (b"\xce\xba\xf4", b"\x90"),
        (b"\xce\xba\xe0", b"\x9f"),
        (b"x\xc2", b"x"),
    ] {
        let text = encode(true, TEXT, &[good, bad, &[b' '; 1_000]].concat());
        // The header is of eight bytes; what follows is never sent.
        let (begun, rest) = text.split_at(8 + good.len());
        for is_fragment in [false, true] {
            let (mut client, _) = open(&gateway, &json!({"side": "agent", "access": "read"})).await;
            let clock = Clock::start();
            if is_fragment {
                client.send_frame(false, TEXT, good).await;
                client.send_frame(false, CONTINUATION, bad).await;
            } else {
                client.send_bytes(begun).await;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                client.send_bytes(&rest[..bad.len()]).await;
            }
            let frame = client.frame().await.unwrap();
            assert_eq!(frame.close().0, NOT_UTF8, "{}", bad.escape_ascii());
            assert!(clock.now().as_millis() <= 10, "at once");
        }
    }
}
