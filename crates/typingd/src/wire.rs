//! How the native API writes a lease and a decision.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::fmt::temporal::DateTimePrinter;
use serde::Serialize;
use typingd_core::{ChangeKind, IgnoreReason, LeaseView, Outcome, Side, StopReason, Time, Verdict};

use crate::clock::Clock;

/// What was decided about a signal; on every answer to one, at every door.
pub const TYPING_DECISION: HeaderName = HeaderName::from_static("typing-decision");
/// How many milliseconds the speaker's lease still lasts, while one lives.
pub const TYPING_EXPIRES_IN: HeaderName = HeaderName::from_static("typing-expires-in");

/// `local` where the store was out of reach, so that only this node knows what was decided.
pub const TYPING_STORE: HeaderName = HeaderName::from_static("typing-store");

const LOCAL: &str = "local";

/// A lease, everywhere.
#[derive(Serialize)]
pub struct LeaseBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    channel: &'a str,
    agent: &'a str,
    user: &'a str,
    composer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    started_at: String,
    expires_at: String,
    remaining_ms: u64,
    origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl<'a> LeaseBody<'a> {
    /// A lease as it stands at `now`.
    pub fn new(side: &'a Side, lease: &'a LeaseView, now: Time, clock: &Clock) -> Self {
        let Side { conversation, role } = side;
        Self {
            r#type: None,
            channel: conversation.channel(),
            agent: conversation.agent(),
            user: conversation.user().as_str(),
            composer: role.as_str(),
            participant: lease.participant.as_deref(),
            name: lease.name.as_deref(),
            started_at: timestamp(clock.wall(lease.started_at)),
            expires_at: timestamp(clock.wall(lease.expires_at)),
            remaining_ms: remaining_ms(lease, now),
            origin: &lease.origin,
            reason: None,
        }
    }

    /// The same, of a lease that changed: what became of it and, where it stopped, why.
    #[must_use]
    pub fn changed(self, kind: ChangeKind) -> Self {
        let (word, reason) = change_words(kind);
        Self { r#type: Some(word), reason, ..self }
    }
}

/// What was decided about a signal.
#[derive(Serialize)]
pub struct DecisionBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#ref: Option<&'a str>,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The ttl that was taken in place of the wish.
    #[serde(skip_serializing_if = "Option::is_none")]
    clamped_ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_turn: Option<u64>,
    /// `local` where only this node knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<&'static str>,
}

impl<'a> DecisionBody<'a> {
    /// The answer to a signal of this side.
    #[must_use]
    pub fn new(
        side: &'a Side,
        outcome: &'a Outcome,
        clamped_ttl_ms: Option<u64>,
        now: Time,
        clock: &Clock,
    ) -> Self {
        let (decision, reason) = words(outcome.verdict);
        let lease = outcome.lease.as_ref().map(|lease| LeaseBody::new(side, lease, now, clock));
        Self {
            r#type: None,
            r#ref: None,
            decision,
            reason,
            clamped_ttl_ms,
            lease,
            last_turn: outcome.last_turn,
            store: outcome.is_local.then_some(LOCAL),
        }
    }

    /// The same as a frame of a socket, with the name that the signal came with.
    #[must_use]
    pub fn framed(self, reference: Option<&'a str>) -> Self {
        Self { r#type: Some("decision"), r#ref: reference, ..self }
    }
}

/// The word for a change, and for why a lease stopped.
#[must_use]
pub fn change_words(kind: ChangeKind) -> (&'static str, Option<&'static str>) {
    match kind {
        ChangeKind::Started => ("started", None),
        ChangeKind::Refreshed => ("refreshed", None),
        ChangeKind::Stopped(StopReason::Paused) => ("stopped", Some("paused")),
        ChangeKind::Stopped(StopReason::Sent) => ("stopped", Some("sent")),
        ChangeKind::Stopped(StopReason::Expired) => ("stopped", Some("expired")),
        ChangeKind::Stopped(StopReason::Revoked) => ("stopped", Some("revoked")),
    }
}

/// RFC 3339 in UTC, with milliseconds.
pub(crate) fn timestamp(time: jiff::Timestamp) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    PRINTER.timestamp_to_string(&time)
}

fn remaining_ms(lease: &LeaseView, now: Time) -> u64 {
    lease.expires_at.as_millis().saturating_sub(now.as_millis())
}

/// The word for a verdict, and for why it was to ignore.
#[must_use]
pub fn words(verdict: Verdict) -> (&'static str, Option<&'static str>) {
    match verdict {
        Verdict::Started => ("started", None),
        Verdict::Extended => ("extended", None),
        Verdict::Ended => ("ended", None),
        Verdict::Ignored(reason) => ("ignored", Some(word(reason))),
    }
}

fn word(reason: IgnoreReason) -> &'static str {
    match reason {
        IgnoreReason::NothingLive => "nothing_live",
        IgnoreReason::Fenced => "fenced",
        IgnoreReason::Duplicate => "duplicate",
        IgnoreReason::Full => "full",
        IgnoreReason::Held => "held",
    }
}

/// Adds what was decided about one signal.
pub fn add_decision(headers: &mut HeaderMap, outcome: &Outcome, now: Time) {
    let decision = match words(outcome.verdict) {
        (word, None) => HeaderValue::from_static(word),
        (word, Some(reason)) => {
            HeaderValue::try_from(format!("{word}; reason={reason}")).expect("the words are plain ASCII")
        }
    };
    headers.insert(TYPING_DECISION, decision);
    if let Some(lease) = &outcome.lease {
        headers.insert(TYPING_EXPIRES_IN, remaining_ms(lease, now).into());
    }
    add_store(headers, outcome.is_local);
}

fn add_store(headers: &mut HeaderMap, is_local: bool) {
    if is_local {
        headers.insert(TYPING_STORE, HeaderValue::from_static(LOCAL));
    }
}

/// Adds that a call was taken which speaks for several conversations, or says nothing about typing.
pub fn add_accepted(headers: &mut HeaderMap, recipients: usize, outcomes: &[Outcome]) {
    add_store(headers, outcomes.iter().any(|outcome| outcome.is_local));
    let accepted = format!("accepted; recipients={recipients}");
    headers.insert(TYPING_DECISION, HeaderValue::try_from(accepted).expect("a number is plain ASCII"));
}
