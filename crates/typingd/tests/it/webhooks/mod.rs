//! The providers' webhooks: what they tell us of users, from the call to the stream.

mod again;
mod calls;
mod config;
mod events;
mod noise;
mod reload;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA512, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use typingd::config::{Config, Proof, WebhookConfig};
use typingd_providers::Secret;

use crate::support::{self, Answer, InProcess, post};

const KALEYRA: &str = "kaleyra-Vw0mGZsV2mJ9yq2m1pXo7";
const PINNACLE: &str = "pinnacle-Vw0mGZsV2mJ9yq2m1pXo7";
const GOOGLE: &str = "google-Vw0mGZsV2mJ9yq2m1pXo7";
const GLOBEX: &str = "globex-Vw0mGZsV2mJ9yq2m1pXo7";
const CLIENT_TOKEN: &str = "SJENCPGJESMGUFPY-client";

const USER: &str = "+14155550190";

/// A webhook of `acme`, at Kaleyra's channel.
fn webhook(name: &str, tokens: &[&str], proof: Proof) -> WebhookConfig {
    WebhookConfig {
        tenant: "acme".into(),
        name: name.into(),
        path_tokens: tokens.iter().copied().map(Secret::new).collect(),
        proof,
        channel: "kaleyra".into(),
        agents: BTreeMap::from([("their_agent".into(), "support".into())]),
        ttl: Duration::from_secs(20),
        max_age: Duration::from_secs(30),
    }
}

fn pinnacle_proof(secret: &str) -> Proof {
    Proof::Pinnacle { signing_secrets: vec![Secret::new(secret), Secret::new(format!("older-{secret}"))] }
}

/// `acme` has a webhook of each provider, and `globex` one of Pinnacle's, on a channel of its own that has the same name.
fn config() -> Config {
    let mut config = support::config(Duration::from_secs(20));
    config.tenancy.webhooks = vec![
        webhook("kaleyra", &[KALEYRA, "kaleyra-older-token-of-it"], Proof::Kaleyra),
        webhook("pinnacle", &[PINNACLE], pinnacle_proof("whsec")),
        webhook("google", &[GOOGLE], Proof::Rbm { client_token: Secret::new(CLIENT_TOKEN) }),
        WebhookConfig {
            tenant: "globex".into(),
            ..webhook("pinnacle", &[GLOBEX], pinnacle_proof("whsec-globex"))
        },
    ];
    config
}

fn start() -> InProcess {
    InProcess::with(config())
}

/// A call at the address of a token.
fn call(token: &str, headers: &str, body: &str) -> Vec<u8> {
    post(&format!("/webhooks/{token}"), headers, body)
}

/// Kaleyra's event: the user types. An `id` that is empty is none.
fn composing(user: &str, id: &str) -> String {
    format!(r#"{{"type":"COMPOSING","eventId":"{id}","from":"{user}","to":"their_agent"}}"#)
}

fn kaleyra(user: &str, id: &str) -> Vec<u8> {
    call(KALEYRA, "", &composing(user, id))
}

const WHSEC: &str = "PINNACLE-SIGNING-SECRET: whsec\r\n";

/// Pinnacle's event of a kind, with `more` members.
fn pinnacle_event(kind: &str, more: &str) -> String {
    format!(r#"{{"type":"{kind}",{more}"conversation":{{"id":"c","from":"{USER}","to":"their_agent"}}}}"#)
}

fn pinnacle_typing() -> Vec<u8> {
    call(PINNACLE, WHSEC, &pinnacle_event("USER.TYPING", ""))
}

fn pinnacle_message(id: &str) -> Vec<u8> {
    let message = format!(r#""message":{{"id":"{id}"}},"#);
    call(PINNACLE, WHSEC, &pinnacle_event("MESSAGE.RECEIVED", &message))
}

/// Google's event with this signature, in its envelope.
fn google_signed(event: &str, signature: &str) -> Vec<u8> {
    let data = BASE64_STANDARD.encode(event);
    let body = format!(r#"{{"message":{{"data":"{data}"}},"subscription":"s"}}"#);
    call(GOOGLE, &format!("X-Goog-Signature: {signature}\r\n"), &body)
}

fn google(event: &str) -> Vec<u8> {
    google_signed(event, &BASE64_STANDARD.encode(hmac_sha512(CLIENT_TOKEN.as_bytes(), event.as_bytes())))
}

/// RFC 2104, written out. The key is shorter than a block.
fn hmac_sha512(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |with: u8| {
        let mut block = [with; 128];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = digest(&SHA512, &[&pad(0x36), message].concat());
    digest(&SHA512, &[&pad(0x5c), inner.as_ref()].concat()).as_ref().to_vec()
}

/// What was decided; the status where it is not 200.
fn decision(answer: &Answer) -> String {
    match (answer.status, answer.header("typing-decision")) {
        (200, decision) => decision.unwrap_or("").to_owned(),
        (status, _) => status.to_string(),
    }
}

async fn decide(gateway: &InProcess, request: &[u8]) -> String {
    decision(&gateway.exchange(request).await)
}
