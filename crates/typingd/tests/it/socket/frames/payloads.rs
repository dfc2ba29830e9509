//! Sections 1, 9 and 10: payloads of every size that has its own encoding, up to the limit and above it.

use super::table::{
    BEHIND, BINARY, Down, LIMIT, Row, TEXT, TOO_BIG, UNSUPPORTED, answer, asking_in, check_all, in_fragments,
    row,
};
use crate::socket::client::encode;

const SIZES: [usize; 8] = [64, 125, 126, 127, 128, 255, 4_096, LIMIT];
const TOO_LARGE: [usize; 4] = [LIMIT + 1, 65_535, 65_536, 100_000];

/// 1.1 and 1.2.
pub fn frames() -> Vec<Row> {
    let mut rows = vec![row("an empty text", [encode(true, TEXT, b"")], [Down::Refused], BEHIND)];
    for size in SIZES {
        let text = encode(true, TEXT, &asking_in(size, "whole"));
        rows.push(row(format!("a text of {size} bytes"), [text], [answer("whole")], BEHIND));
    }
    for size in TOO_LARGE {
        rows.push(row(
            format!("a text of {size} bytes"),
            [encode(true, TEXT, &vec![b' '; size])],
            [],
            TOO_BIG,
        ));
        rows.push(row(format!("{size} bytes"), [encode(true, BINARY, &vec![0xfe; size])], [], TOO_BIG));
    }
    for size in [0, 1, 125, 126, 127, 128, LIMIT] {
        rows.push(row(format!("{size} bytes"), [encode(true, BINARY, &vec![0xfe; size])], [], UNSUPPORTED));
    }
    rows
}

/// 9.3, 9.4 and 10.1.
pub fn messages() -> Vec<Row> {
    let mut rows = Vec::new();
    for size in [1, 64, 256, 1_024, 1_300, 4_096, LIMIT - 1] {
        let fragments = in_fragments(TEXT, &asking_in(LIMIT, "whole"), size);
        let what = format!("the largest text, in fragments of {size}");
        rows.push(row(what, fragments, [answer("whole")], BEHIND));
        let what = format!("a larger text, in fragments of {size}");
        rows.push(row(what, in_fragments(TEXT, &vec![b' '; LIMIT + 1], size), [], TOO_BIG));
        let what = format!("bytes, in fragments of {size}");
        rows.push(row(what, in_fragments(BINARY, &vec![0xfe; LIMIT], size), [], UNSUPPORTED));
    }
    let endless = in_fragments(TEXT, &vec![b' '; 4 * LIMIT], 1_000);
    let unended = endless.len() - 1;
    let unended = endless.into_iter().take(unended);
    rows.push(row("a text that goes on and on", unended, [], TOO_BIG));
    rows
}

/// 9.7 and 9.8.
fn round_trips() -> Vec<Row> {
    let many = |size: usize| {
        let numbers = (0..60).map(|n| n.to_string());
        let asked = numbers.clone().map(|n| encode(true, TEXT, &asking_in(size, &n)));
        row(
            format!("60 texts of {size} bytes"),
            asked,
            numbers.map(|n| answer(&n)).collect::<Vec<_>>(),
            BEHIND,
        )
    };
    [64, 256, 1_024].map(many).into()
}

#[tokio::test(start_paused = true)]
async fn a_text_up_to_the_limit_is_taken_whole_and_a_longer_one_and_bytes_are_not() {
    check_all(&frames()).await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_the_message_s_however_it_is_cut_into_frames() {
    check_all(&messages()).await;
}

#[tokio::test(start_paused = true)]
async fn each_of_many_texts_is_answered_in_turn() {
    check_all(&round_trips()).await;
}
