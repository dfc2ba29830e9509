//! What providers tell us: that a user types, or wrote.
//!
//! This knows how a provider proves itself and what its events look like. It refuses to know whose conversation an
//! event belongs to, and what has been told before: names are the provider's, and an event's id comes along. Once a
//! provider has proved itself, what is not understood is passed over with a yes: a no would have it repeated for days.

use std::fmt;
use std::time::Duration;

use blake3::Hash;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use jiff::{SignedDuration, Timestamp};
use typingd_core::{Name, User};

use crate::chat_state::ChatState;
use crate::json::Json;
use crate::keys::{KeyHasher, Secret};
use crate::phone;
use crate::rejection::Rejection;

/// The largest body that is read, in bytes.
pub const BODY_LIMIT: usize = 256 * 1024;

/// An account's way for a provider to call us.
pub trait Webhook: fmt::Debug + Send + Sync {
    /// The provider's name, as its door has it.
    fn name(&self) -> &'static str;

    /// Judges what the head alone can tell: the method and, where it stands there, the proof.
    ///
    /// # Errors
    /// The first of them that is wrong.
    fn admit(&self, head: &Parts) -> Result<(), Rejection> {
        check_method(head)
    }

    /// Reads a call that came at `now`, admitted or not. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// [`Rejection::Unauthenticated`] where it is not proved to be the provider's; else what keeps it from being read.
    fn decode(&self, head: &Parts, body: &[u8], now: Timestamp) -> Result<Delivery, Rejection>;
}

/// A call understood.
#[derive(Debug)]
pub struct Delivery {
    /// What users did, in the order in which it stands there.
    pub signals: Vec<UserSignal>,
    /// How many more were too old to be true.
    pub too_old: usize,
    /// What the provider wants to hear.
    pub answer: Response<Bytes>,
}

/// What a user did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSignal {
    /// To which agent, by the provider's name for it.
    pub agent: Name,
    /// Who, in the normal form.
    pub user: User,
    /// What.
    pub signal: ChatState,
    /// The provider's name for the event, for this user: one that comes again is a duplicate, never news.
    pub event_id: Option<Name>,
    /// When, as far as the provider says.
    pub sent_at: Option<Timestamp>,
}

impl Delivery {
    /// A yes to these, without what is older than `max_age`.
    pub(crate) fn of(mut signals: Vec<UserSignal>, now: Timestamp, max_age: Duration) -> Self {
        let max_age = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
        let told = signals.len();
        // A sender's clock that is ahead makes nothing old.
        signals.retain(|signal| signal.sent_at.is_none_or(|at| now.duration_since(at) <= max_age));
        Self { too_old: told - signals.len(), signals, answer: Response::new(Bytes::new()) }
    }
}

/// Secrets by which a provider is known. Known or not, the same work is done.
#[derive(Debug)]
pub(crate) struct Known {
    hasher: KeyHasher,
    digests: Vec<Hash>,
}

impl Known {
    pub(crate) fn new(secrets: &[Secret], hasher: &KeyHasher) -> Self {
        let digests = secrets.iter().map(|secret| secret.digest(hasher)).collect();
        Self { hasher: hasher.clone(), digests }
    }

    /// Goes on only where this is one of them. An empty one never is.
    pub(crate) fn check(&self, presented: &str) -> Result<(), Rejection> {
        let presented_digest = self.hasher.hash(presented.as_bytes());
        let is_one = self.digests.iter().fold(false, |is_one, known| is_one | (*known == presented_digest));
        if is_one && !presented.is_empty() { Ok(()) } else { Err(Rejection::Unauthenticated) }
    }
}

/// What every webhook asks of a call before it looks for a proof.
pub(crate) fn check_method(head: &Parts) -> Result<(), Rejection> {
    if head.method == Method::POST { Ok(()) } else { Err(Rejection::MethodNotAllowed { allow: "POST" }) }
}

/// What every webhook asks of a body before it reads it.
pub(crate) fn check_size(body: &[u8]) -> Result<(), Rejection> {
    if body.len() > BODY_LIMIT { Err(Rejection::TooLarge) } else { Ok(()) }
}

/// An agent's name as providers write it; `None` where it can be none.
pub(crate) fn agent(json: Option<&Json<'_>>) -> Option<Name> {
    short(json)
}

/// An event's id; one that is empty or long is none.
pub(crate) fn event_id(json: Option<&Json<'_>>) -> Option<Name> {
    short(json)
}

fn short(json: Option<&Json<'_>>) -> Option<Name> {
    let text = json?.as_str()?;
    (1..=255).contains(&text.len()).then(|| text.into())
}

/// A phone number, with or without its plus sign.
pub(crate) fn user(json: Option<&Json<'_>>) -> Option<User> {
    phone::with_or_without_plus(json?.as_str()?)
}

/// A moment: RFC 3339, or a count since 1970 in seconds or smaller, as a number or in digits. Which of them a provider
/// means shows by its size, for centuries to come.
pub(crate) fn moment(json: Option<&Json<'_>>) -> Option<Timestamp> {
    let count = match json? {
        Json::String(text) => match text.parse() {
            Ok(moment) => return Some(moment),
            Err(_) => text.parse::<i64>().ok()?,
        },
        number => number.as_i64()?,
    };
    match count {
        ..0 => return None,
        0..100_000_000_000 => Timestamp::from_second(count),
        100_000_000_000..100_000_000_000_000 => Timestamp::from_millisecond(count),
        100_000_000_000_000.. => Timestamp::from_microsecond(count),
    }
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_however_it_is_written() {
        for (json, expected) in [
            (r#""2026-11-05T10:00:00Z""#, Some("2026-11-05T10:00:00Z")),
            (r#""2026-11-05T10:00:00.123456789Z""#, Some("2026-11-05T10:00:00.123456789Z")),
            (r#""2026-11-05T15:30:00+05:30""#, Some("2026-11-05T10:00:00Z")),
            ("1793872800", Some("2026-11-05T10:00:00Z")),
            ("1793872800123", Some("2026-11-05T10:00:00.123Z")),
            ("1793872800123456", Some("2026-11-05T10:00:00.123456Z")),
            (r#""1793872800123""#, Some("2026-11-05T10:00:00.123Z")),
            ("9223372036854775807", None),
            ("-1", None),
            ("1.5", None),
            (r#""2026-11-05""#, None),
            (r#""yesterday""#, None),
            (r#""""#, None),
            ("null", None),
            ("{}", None),
        ] {
            let parsed = crate::json::parse(json.as_bytes()).unwrap();
            let expected = expected.map(|text| text.parse::<Timestamp>().unwrap());
            assert_eq!(moment(Some(&parsed)), expected, "{json}");
        }
        assert_eq!(moment(None), None);
    }

    #[test]
    fn an_empty_secret_is_nobodys_proof() {
        let hasher = KeyHasher::new([7; 32]);
        let known =
            Known::new(&[Secret::new("a"), Secret::new(""), Secret::Hashed(hasher.hash(b"b"))], &hasher);
        for (presented, is_known) in [("a", true), ("b", true), ("", false), ("c", false), ("aa", false)] {
            assert_eq!(known.check(presented).is_ok(), is_known, "{presented}");
        }
        assert!(Known::new(&[], &hasher).check("").is_err());
    }
}
