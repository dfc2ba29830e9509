//! What Kaleyra tells us: `COMPOSING`. Nothing is signed, so that the path holds a token that nobody can guess.

use std::slice;
use std::time::Duration;

use http::request::Parts;
use jiff::Timestamp;

use super::NAME;
use crate::chat_state::ChatState;
use crate::json::{self, Json};
use crate::keys::{KeyHasher, Secret};
use crate::rejection::Rejection;
use crate::webhook::{self, Delivery, Known, UserSignal, Webhook};

/// Where Kaleyra calls us: a path whose last segment is a token.
#[derive(Debug)]
pub struct KaleyraWebhook {
    tokens: Known,
    max_age: Duration,
}

impl KaleyraWebhook {
    /// Takes calls on paths that end in one of these tokens, and drops events older than `max_age`.
    #[must_use]
    pub fn new(path_tokens: &[Secret], max_age: Duration, hasher: &KeyHasher) -> Self {
        Self { tokens: Known::new(path_tokens, hasher), max_age }
    }
}

impl Webhook for KaleyraWebhook {
    fn name(&self) -> &'static str {
        NAME
    }

    fn admit(&self, head: &Parts) -> Result<(), Rejection> {
        webhook::check_method(head)?;
        let (_, token) = head.uri.path().rsplit_once('/').unwrap_or_default();
        self.tokens.check(token)
    }

    fn decode(&self, head: &Parts, body: &[u8], now: Timestamp) -> Result<Delivery, Rejection> {
        self.admit(head)?;
        webhook::check_size(body)?;
        let json = json::parse(body)?;
        let signals = events(&json).iter().filter_map(signal).collect();
        Ok(Delivery::of(signals, now, self.max_age))
    }
}

/// One event, several, or either inside the envelope of newer accounts.
fn events<'j, 'b>(json: &'j Json<'b>) -> &'j [Json<'b>] {
    let is_event = json.at(&["type"]).is_some();
    let inner = json.at(&["data"]).filter(|_| !is_event).unwrap_or(json);
    inner.as_array().unwrap_or(slice::from_ref(inner))
}

fn signal(event: &Json<'_>) -> Option<UserSignal> {
    let at = |name: &str| event.at(&[name]);
    if at("type")?.as_str()? != "COMPOSING" {
        return None;
    }
    Some(UserSignal {
        agent: webhook::agent(at("to"))?,
        user: webhook::user(at("from"))?,
        signal: ChatState::Composing,
        event_id: webhook::event_id(at("eventId")),
        sent_at: webhook::moment(at("sentAt")),
    })
}
