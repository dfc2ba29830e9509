//! The events of the native streams, each written once for all who get it.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use typingd_core::store::Listing;
use typingd_core::transition::Change;
use typingd_core::{Side, Time};

use crate::clock::Clock;
use crate::hub::Farewell;
use crate::ids;
use crate::wire::{self, LeaseBody};

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
    pub fn change(&mut self, side: &Side, change: &Change) -> Bytes {
        self.number += 1;
        let lease = LeaseBody::new(side, &change.lease, self.clock.now(), &self.clock);
        let (name, _) = wire::change_words(change.kind);
        event(&format!("{}-{}", self.boot, self.number), name, &lease.changed(change.kind))
    }
}

/// `snapshot`: all that lives in a scope, in place of whatever was known.
#[must_use]
pub fn snapshot(listing: &Listing, now: Time, clock: &Clock) -> Bytes {
    #[derive(Serialize)]
    struct Snapshot<'a> {
        leases: Vec<LeaseBody<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_turn: Option<u64>,
    }
    let leases = listing.leases.iter().map(|(side, lease)| LeaseBody::new(side, lease, now, clock)).collect();
    let id = ids::unique().simple().to_string();
    event(&id, "snapshot", &Snapshot { leases, last_turn: listing.last_turn })
}

/// `closed`: why the stream ends by our doing, and when to come back.
#[must_use]
pub fn closed(farewell: Farewell) -> Bytes {
    #[derive(Serialize)]
    struct Closed {
        reason: &'static str,
    }
    let reason = match farewell {
        Farewell::TooSlow => "too_slow",
        Farewell::TooWide => "too_wide",
        Farewell::Revoked => "revoked",
        Farewell::Draining => "draining",
    };
    let id = ids::unique().simple().to_string();
    [retry(), event(&id, "closed", &Closed { reason })].concat().into()
}

/// The time after which a client that lost us comes back: another one for each, so that they do not come at once.
#[must_use]
pub fn retry() -> Bytes {
    let after = ids::jitter(Duration::from_secs(1), Duration::from_secs(5));
    format!("retry: {}\n\n", after.as_millis()).into()
}

/// A comment, which keeps the connection alive and is no event.
pub const COMMENT: Bytes = Bytes::from_static(b": typingd\n\n");

fn event(id: &str, name: &str, data: &impl Serialize) -> Bytes {
    let mut text = format!("id: {id}\nevent: {name}\ndata: ").into_bytes();
    serde_json::to_writer(&mut text, data).expect("strings and numbers can always be written");
    text.extend_from_slice(b"\n\n");
    text.into()
}
