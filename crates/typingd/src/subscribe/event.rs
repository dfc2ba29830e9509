//! What those who watch are told: each change written once for all of them, as an event of a stream whose data is the
//! frame of a socket.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use typingd_core::store::Listing;
use typingd_core::transition::Change;
use typingd_core::{ChangeKind, Side, StopReason, Time};

use crate::clock::Clock;
use crate::hub::Farewell;
use crate::ids;
use crate::wire::{self, LeaseBody};

use super::form::{self, Form};

/// Writes the changes, numbered in the order in which they are passed on.
#[derive(Debug)]
pub struct Events {
    clock: Clock,
    /// Tells this process's numbers from another's.
    boot: String,
    number: u64,
}

impl Events {
    /// Numbers from 1 on.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let boot = ids::unique().simple().to_string();
        Self { clock, boot: boot[..8].to_owned(), number: 0 }
    }

    /// `started`, `refreshed` or `stopped`.
    pub fn change(&mut self, side: &Side, change: &Change) -> Told {
        self.number += 1;
        let lease = LeaseBody::new(side, &change.lease, self.clock.now(), &self.clock);
        let (name, _) = wire::change_words(change.kind);
        let id = format!("{}-{}", self.boot, self.number);
        Told::new(&Text::write(&id, name, &lease.changed(change.kind)))
    }
}

/// A change in every form that somebody may be told it in. What they are told are these bytes, and no copy of them.
#[derive(Clone, Debug)]
pub struct Told {
    /// A part of the chunk.
    event: Bytes,
    chunk: Bytes,
    frame: Bytes,
}

impl Told {
    fn new(text: &Text) -> Self {
        let chunk = form::chunk(&text.event);
        let end = chunk.len() - b"\r\n".len();
        let frame = form::frame(form::TEXT, &text.data());
        Self { event: chunk.slice(end - text.event.len()..end), chunk, frame }
    }

    /// In this form.
    #[must_use]
    pub fn dressed(&self, form: Form) -> &Bytes {
        match form {
            Form::Bare => &self.event,
            Form::Chunks => &self.chunk,
            Form::Frames => &self.frame,
        }
    }
}

/// An event as text, whose data is the text of a socket's frame.
#[derive(Clone, Debug)]
pub struct Text {
    event: Bytes,
    data: Range<usize>,
}

impl Text {
    fn write(id: &str, name: &str, data: &impl Serialize) -> Self {
        let mut event = format!("id: {id}\nevent: {name}\ndata: ").into_bytes();
        let start = event.len();
        serde_json::to_writer(&mut event, data).expect("strings and numbers can always be written");
        let data = start..event.len();
        event.extend_from_slice(b"\n\n");
        Self { event: event.into(), data }
    }

    /// As an event of a stream.
    #[must_use]
    pub fn event(&self) -> &Bytes {
        &self.event
    }

    /// As the text of a socket's frame.
    #[must_use]
    pub fn data(&self) -> Bytes {
        self.event.slice(self.data.clone())
    }
}

/// An event that nobody else is told.
pub(crate) fn event(id: &str, name: &str, data: &impl Serialize) -> Bytes {
    Text::write(id, name, data).event
}

/// `snapshot`: all that lives in a scope, in place of whatever was known. A socket has several scopes, and names the
/// subscription.
#[must_use]
pub fn snapshot(
    listing: &Listing,
    subscription: Option<&str>,
    last_turn: Option<u64>,
    now: Time,
    clock: &Clock,
) -> Text {
    #[derive(Serialize)]
    struct Snapshot<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        subscription: Option<&'a str>,
        leases: Vec<LeaseBody<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_turn: Option<u64>,
    }
    let leases = listing.leases.iter().map(|(side, lease)| LeaseBody::new(side, lease, now, clock)).collect();
    let id = ids::unique().simple().to_string();
    let snapshot = Snapshot { r#type: "snapshot", subscription, leases, last_turn };
    Text::write(&id, "snapshot", &snapshot)
}

/// `degraded`: what other nodes hear is not known here for now. A snapshot follows when it is again.
#[must_use]
pub fn degraded() -> Text {
    #[derive(Serialize)]
    struct Degraded {
        r#type: &'static str,
    }
    Text::write(&ids::unique().simple().to_string(), "degraded", &Degraded { r#type: "degraded" })
}

/// `closed`: why the stream ends by our doing, and when to come back.
#[must_use]
pub fn closed(farewell: Farewell) -> Bytes {
    #[derive(Serialize)]
    struct Closed {
        r#type: &'static str,
        reason: &'static str,
    }
    let id = ids::unique().simple().to_string();
    let closed = Text::write(&id, "closed", &Closed { r#type: "closed", reason: farewell.as_str() });
    [retry(), closed.event].concat().into()
}

/// `ended`: what was attached to has ended, and why.
#[must_use]
pub fn ended(why: Option<StopReason>) -> Bytes {
    #[derive(Serialize)]
    struct Over {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
    }
    let reason = why.and_then(|reason| wire::change_words(ChangeKind::Stopped(reason)).1);
    event(&ids::unique().simple().to_string(), "ended", &Over { r#type: "ended", reason })
}

/// The time after which a client that lost us comes back: another one for each, so that they do not come at once.
#[must_use]
pub fn retry() -> Bytes {
    let after = ids::jitter(Duration::from_secs(1), Duration::from_secs(5));
    format!("retry: {}\n\n", after.as_millis()).into()
}

/// A comment, which keeps the connection alive and is no event.
pub const COMMENT: Bytes = Bytes::from_static(b": typingd\n\n");
