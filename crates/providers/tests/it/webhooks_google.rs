//! What Google tells us: signed, inside an envelope, after a handshake.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use typingd_providers::rbm::{BodyMac, RbmWebhook};
use typingd_providers::{Rejection, Secret, Webhook};

use crate::fixture::{NOW, hasher};
use crate::webhooks::{MAX_AGE, head, lines};

/// A MAC that is none of HMAC's, which is not this crate's business.
#[derive(Debug)]
struct Blake;

impl BodyMac for Blake {
    fn verifies(&self, message: &[u8], mac: &[u8]) -> bool {
        mac == blake3::keyed_hash(&[5; 32], message).as_bytes()
    }
}

pub(crate) fn signature(message: &[u8]) -> String {
    BASE64_STANDARD.encode(blake3::keyed_hash(&[5; 32], message).as_bytes())
}

pub(crate) fn google() -> RbmWebhook {
    RbmWebhook::new(&Secret::new("SJENCPGJESMGUFPY"), Arc::new(Blake), MAX_AGE, &hasher())
}

pub(crate) fn wrapped(event: &str, publish_time: Option<&str>) -> Value {
    let mut message = json!({"data": BASE64_STANDARD.encode(event), "attributes": {"type": "event"}});
    if let Some(time) = publish_time {
        message["publishTime"] = json!(time);
    }
    json!({"message": message, "subscription": "projects/p/subscriptions/s"})
}

fn google_hears(event: &Value, publish_time: Option<&str>) -> Result<String, Rejection> {
    let event = event.to_string();
    let head = head("/hooks", &[("x-goog-signature", &signature(event.as_bytes()))]);
    lines(google().decode(&head, wrapped(&event, publish_time).to_string().as_bytes(), NOW))
}

#[test]
fn google_tells_that_a_user_types_or_wrote() {
    let typing = json!({"senderPhoneNumber": "+14155550190", "eventType": "IS_TYPING", "eventId": "e1", "agentId": "my_agent"});
    let message = |name: &str, content: Value| {
        json!({"senderPhoneNumber": "+14155550190", "messageId": "m1", "agentId": "my_agent",
            "sendTime": "2025-11-05T09:59:59.123456Z", name: content})
    };
    let with = |name: &str, value: Value| {
        let mut event = typing.clone();
        event[name] = value;
        event
    };
    let (types, wrote) = (
        "my_agent +14155550190 Composing id=e1",
        "my_agent +14155550190 Sent id=m1 at=2025-11-05T09:59:59.123456Z",
    );
    for (event, published, expected) in [
        (typing.clone(), None, types),
        (
            typing.clone(),
            Some("2025-11-05T09:59:59Z"),
            "my_agent +14155550190 Composing id=e1 at=2025-11-05T09:59:59Z",
        ),
        (typing.clone(), Some("2025-10-30T09:59:59Z"), "1 too old"),
        (
            with("sendTime", json!("2025-11-05T09:59:58Z")),
            Some("2025-11-05T10:00:00Z"),
            "my_agent +14155550190 Composing id=e1 at=2025-11-05T09:59:58Z",
        ),
        // What is signed counts.
        (with("sendTime", json!("2025-10-30T09:59:58Z")), Some("2025-11-05T10:00:00Z"), "1 too old"),
        (message("text", json!("Hello")), None, wrote),
        (message("userFile", json!({})), None, wrote),
        (message("location", json!({})), None, wrote),
        (message("suggestionResponse", json!({})), None, wrote),
        (message("somethingNew", json!({})), None, ""),
        (with("eventType", json!("READ")), None, ""),
        (with("eventType", json!("DELIVERED")), None, ""),
        (with("eventType", json!(null)), None, ""),
        (with("agentId", json!(null)), None, ""),
        (with("senderPhoneNumber", json!("me")), None, ""),
        (json!({"eventType": "TTL_EXPIRATION_REVOKED", "phoneNumber": "+14155550190"}), None, ""),
        (json!(7), None, ""),
    ] {
        assert_eq!(google_hears(&event, published), Ok(expected.to_owned()), "{event} {published:?}");
    }
    // A signature over the body as it came, with an envelope or without, is Google's as well.
    for body in [typing.to_string(), wrapped(&typing.to_string(), None).to_string()] {
        let head = head("/hooks", &[("x-goog-signature", &signature(body.as_bytes()))]);
        assert_eq!(lines(google().decode(&head, body.as_bytes(), NOW)), Ok(types.to_owned()), "{body}");
    }
    // What Google signed and nobody can read is not sent again for a week.
    let head = head("/hooks", &[("x-goog-signature", &signature(b"{"))]);
    assert_eq!(
        lines(google().decode(&head, wrapped("{", None).to_string().as_bytes(), NOW)),
        Ok(String::new())
    );
}

#[test]
fn google_asks_whether_an_address_is_ours() {
    let long = "x".repeat(1_025);
    for (body, expected) in [
        (json!({"clientToken": "SJENCPGJESMGUFPY", "secret": "1234567890"}), Some("1234567890")),
        (json!({"clientToken": "SJENCPGJESMGUFPY", "secret": "1234567890", "x": 1}), Some("1234567890")),
        (json!({"clientToken": "SJENCPGJESMGUFPX", "secret": "1234567890"}), None),
        (json!({"clientToken": "", "secret": "1234567890"}), None),
        (json!({"secret": "1234567890"}), None),
        (json!({"clientToken": "SJENCPGJESMGUFPY"}), None),
        (json!({"clientToken": "SJENCPGJESMGUFPY", "secret": long}), None),
    ] {
        let delivery = google().decode(&head("/hooks", &[]), body.to_string().as_bytes(), NOW);
        let answer = delivery.map(|delivery| {
            assert!(delivery.signals.is_empty());
            assert_eq!(delivery.answer.headers()["content-type"], "text/plain; charset=utf-8");
            assert_eq!(delivery.answer.headers()["x-content-type-options"], "nosniff");
            String::from_utf8_lossy(delivery.answer.body()).into_owned()
        });
        assert_eq!(answer, expected.map(str::to_owned).ok_or(Rejection::Unauthenticated), "{body}");
    }
}

#[test]
fn nobody_but_google_is_believed() {
    let event = json!({"senderPhoneNumber": "+14155550190", "eventType": "IS_TYPING", "eventId": "e1", "agentId": "a"}).to_string();
    let body = wrapped(&event, None).to_string();
    let (right, wrong) = (signature(event.as_bytes()), signature(b"something else"));
    let cut = &right[..right.len() - 4];
    let refused = Err(Rejection::Unauthenticated);
    for headers in [
        &[][..],
        &[("x-goog-signature", wrong.as_str())],
        &[("x-goog-signature", "")],
        &[("x-goog-signature", "not base64!")],
        &[("x-goog-signature", cut)],
        &[("x-goog-signature", &right), ("x-goog-signature", &right)],
    ] {
        assert_eq!(
            lines(google().decode(&head("/hooks", headers), body.as_bytes(), NOW)),
            refused,
            "{headers:?}"
        );
    }
}
