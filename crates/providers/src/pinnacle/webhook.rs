//! What Pinnacle tells us: `USER.TYPING`, and a user's message. Each call carries the shared secret itself.

use std::time::Duration;

use http::request::Parts;
use jiff::Timestamp;

use super::NAME;
use crate::chat_state::ChatState;
use crate::head;
use crate::json::{self, Json};
use crate::keys::{KeyHasher, Secret};
use crate::rejection::Rejection;
use crate::webhook::{self, Delivery, Known, UserSignal, Webhook};

/// The header that holds the secret.
const SECRET: &str = "pinnacle-signing-secret";

/// Where Pinnacle calls us.
#[derive(Debug)]
pub struct PinnacleWebhook {
    secrets: Known,
    max_age: Duration,
}

impl PinnacleWebhook {
    /// Takes calls that hold one of these secrets, and drops events older than `max_age`.
    #[must_use]
    pub fn new(signing_secrets: &[Secret], max_age: Duration, hasher: &KeyHasher) -> Self {
        Self { secrets: Known::new(signing_secrets, hasher), max_age }
    }
}

impl Webhook for PinnacleWebhook {
    fn name(&self) -> &'static str {
        NAME
    }

    fn admit(&self, head: &Parts) -> Result<(), Rejection> {
        webhook::check_method(head)?;
        self.secrets.check(head::single(&head.headers, SECRET).unwrap_or_default())
    }

    fn decode(&self, head: &Parts, body: &[u8], now: Timestamp) -> Result<Delivery, Rejection> {
        self.admit(head)?;
        webhook::check_size(body)?;
        let json = json::parse(body)?;
        Ok(Delivery::of(signal(&json).into_iter().collect(), now, self.max_age))
    }
}

fn signal(event: &Json<'_>) -> Option<UserSignal> {
    // A typing event has no id: whether the same one comes again cannot be told from a user who goes on typing.
    let (signal, event_id, sent_at) = match event.at(&["type"])?.as_str()? {
        "USER.TYPING" => (ChatState::Composing, None, webhook::moment(event.at(&["startedAt"]))),
        "MESSAGE.RECEIVED" => (ChatState::Sent, webhook::event_id(event.at(&["message", "id"])), None),
        _ => return None,
    };
    Some(UserSignal {
        agent: webhook::agent(event.at(&["conversation", "to"]))?,
        user: webhook::user(event.at(&["conversation", "from"]))?,
        signal,
        event_id,
        sent_at,
    })
}
