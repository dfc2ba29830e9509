//! What Google tells us: that a user types, or wrote. The signature covers the event, which comes in base64 inside an
//! envelope of Pub/Sub's; to be let in, an address must first repeat a secret that Google sends with its client token.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use jiff::Timestamp;

use super::NAME;
use crate::chat_state::ChatState;
use crate::head;
use crate::json::{self, Json};
use crate::keys::{KeyHasher, Secret};
use crate::rejection::Rejection;
use crate::webhook::{self, Delivery, Known, UserSignal, Webhook};

/// The header that holds the signature.
const SIGNATURE: &str = "x-goog-signature";

/// The longest secret that is repeated, in bytes.
const MAX_SECRET: usize = 1024;

/// The members that make a user's message one.
const CONTENTS: [&str; 4] = ["text", "userFile", "location", "suggestionResponse"];

/// Checks what Google signed. The cryptography and the client token are the caller's.
pub trait BodyMac: std::fmt::Debug + Send + Sync {
    /// Whether this is the message's HMAC-SHA512 under the client token. Takes the same time wherever two differ.
    fn verifies(&self, message: &[u8], mac: &[u8]) -> bool;
}

/// Where Google calls us.
#[derive(Debug)]
pub struct RbmWebhook {
    client_token: Known,
    mac: Arc<dyn BodyMac>,
    max_age: Duration,
}

impl RbmWebhook {
    /// Takes calls that are signed with this client token, and drops events older than `max_age`.
    #[must_use]
    pub fn new(client_token: &Secret, mac: Arc<dyn BodyMac>, max_age: Duration, hasher: &KeyHasher) -> Self {
        Self { client_token: Known::new(std::slice::from_ref(client_token), hasher), mac, max_age }
    }

    /// Goes on only where Google signed one of these.
    fn check(&self, head: &Parts, signed: [&[u8]; 2]) -> Result<(), Rejection> {
        let mac = head::single(&head.headers, SIGNATURE).and_then(|sent| BASE64_STANDARD.decode(sent).ok());
        let mac = mac.filter(|mac| !mac.is_empty()).ok_or(Rejection::Unauthenticated)?;
        let is_signed = signed.into_iter().any(|message| self.mac.verifies(message, &mac));
        if is_signed { Ok(()) } else { Err(Rejection::Unauthenticated) }
    }
}

impl Webhook for RbmWebhook {
    fn name(&self) -> &'static str {
        NAME
    }

    fn decode(&self, head: &Parts, body: &[u8], now: Timestamp) -> Result<Delivery, Rejection> {
        self.admit(head)?;
        webhook::check_size(body)?;
        let json = json::parse(body)?;
        if let Some((token, secret)) = handshake(&json) {
            self.client_token.check(token)?;
            return Ok(Delivery { signals: Vec::new(), too_old: 0, answer: echo(secret) });
        }
        let data = json.at(&["message", "data"]).and_then(Json::as_str);
        let data = data.and_then(|data| BASE64_STANDARD.decode(data).ok());
        // The vendor's words are of the body, its sample is of what stands in it: either takes the client token.
        self.check(head, [data.as_deref().unwrap_or(body), body])?;
        let event = data.as_deref().map_or(Ok(json.clone()), json::parse);
        let published = webhook::moment(json.at(&["message", "publishTime"]));
        let signal = event.ok().and_then(|event| signal(&event, published));
        Ok(Delivery::of(signal.into_iter().collect(), now, self.max_age))
    }
}

/// The client token and the secret with which Google asks whether an address is ours.
fn handshake<'j>(json: &'j Json<'_>) -> Option<(&'j str, &'j str)> {
    let text = |name: &str| json.at(&[name])?.as_str();
    text("clientToken").zip(text("secret")).filter(|(_, secret)| secret.len() <= MAX_SECRET)
}

fn echo(secret: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(secret.as_bytes()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn signal(event: &Json<'_>, published: Option<Timestamp>) -> Option<UserSignal> {
    let at = |name: &str| event.at(&[name]);
    let (signal, id) = match at("eventType").map(Json::as_str) {
        Some(Some("IS_TYPING")) => (ChatState::Composing, at("eventId")),
        // Receipts, and whatever else there will be.
        Some(_) => return None,
        None if CONTENTS.into_iter().any(|name| at(name).is_some()) => (ChatState::Sent, at("messageId")),
        None => return None,
    };
    Some(UserSignal {
        agent: webhook::agent(at("agentId"))?,
        user: webhook::user(at("senderPhoneNumber"))?,
        signal,
        event_id: webhook::event_id(id),
        // What is signed counts before what is not.
        sent_at: webhook::moment(at("sendTime")).or(published),
    })
}
