//! How a socket ends, and what its client is told of it.

use std::future::poll_fn;
use std::time::Duration;

use tokio::time::timeout;

use super::form::{CLOSE, frame};
use super::reader::{Message, Reader};
use crate::hub::{Farewell, Subscription};

/// How long a client may take to make room for a close frame, and all that is on its way before it.
const LAST_WORD: Duration = Duration::from_secs(9);

/// How long a socket that ends waits for its client to take that in.
const LINGER: Duration = Duration::from_secs(2);

/// How a socket ends.
pub(super) enum End {
    /// By its client's doing, or with its connection.
    Theirs,
    /// By its client's doing, who is told that it was understood: with its code, if it gave one.
    Answered(Option<[u8; 2]>),
    /// With a code that says why.
    Ours(u16, &'static str),
}

/// Says why, and waits a while until the client has taken it in or hangs up.
pub(super) async fn part(subscription: Subscription, mut reader: Reader, end: End) {
    let (last_word, is_answer) = match end {
        End::Theirs => (None, true),
        End::Answered(code) => (Some(frame(CLOSE, code.as_ref().map_or(&[][..], |code| code))), true),
        End::Ours(code, why) => {
            (Some(frame(CLOSE, &[&code.to_be_bytes()[..], why.as_bytes()].concat())), false)
        }
    };
    subscription.leave();
    if let Some(last_word) = last_word {
        subscription.write(last_word);
        if !matches!(timeout(LAST_WORD, subscription.flush(&mut reader.line)).await, Ok(Ok(()))) {
            return;
        }
    }
    drop(subscription);
    let _ = timeout(LINGER, linger(reader, is_answer)).await;
}

/// Waits for the client's own close frame, unless it has come, and then for the connection's end.
async fn linger(mut reader: Reader, has_closed: bool) {
    if !has_closed {
        let mut goes_on = true;
        while goes_on {
            let message = poll_fn(|cx| reader.poll(cx)).await;
            goes_on =
                matches!(message, Ok(Message::Text(_) | Message::Binary | Message::Ping(_) | Message::Pong));
        }
    }
    reader.line.hang_up().await;
}

/// The end by a farewell.
pub(super) fn end(farewell: Farewell) -> End {
    let code = match farewell {
        Farewell::Draining => 1001,
        Farewell::TooSlow => 1013,
        Farewell::Revoked => 4401,
        Farewell::TooWide => 4413,
    };
    End::Ours(code, farewell.as_str())
}
