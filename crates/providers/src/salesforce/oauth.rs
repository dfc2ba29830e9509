//! The token endpoint: OAuth 2.0 (RFC 6749) with a signed assertion as the grant (RFC 7523).
//!
//! Whoever calls is nobody yet: what an assertion says is believed after its signature, and no refusal quotes it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use typingd_core::{Marks, Role};

use super::assertion::{Assertion, Claims};
use super::connected_app::ConnectedApp;
use super::headers::short_org_id;
use super::token::Grant;
use super::{Account, Salesforce};
use crate::rejection::{Fault, FaultKind, Faults, Refusal, Rejection};
use crate::{AccountId, Call, Caller, answer, head};

/// The largest body that is read for somebody who has no credentials yet.
pub(super) const BODY_LIMIT: usize = 16 * 1024;

const PATH: &str = "/services/oauth2/token";
const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";
const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE: &str = "interaction_api";

/// The login hosts that an assertion may be addressed to, beside the org's own.
const AUDIENCES: [&str; 2] = ["https://login.salesforce.com", "https://test.salesforce.com"];

/// How long a token lasts.
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(2);
/// How far ahead an assertion's end may be, in seconds.
const MOST_AHEAD: i64 = 60 * 60;
/// By how much the caller's clock may differ from ours, in seconds.
const LEEWAY: i64 = 30;

/// Whether a path, known or not, is answered in OAuth's words.
pub(super) fn owns(path: &str) -> bool {
    path == "/services/oauth2" || path.starts_with("/services/oauth2/")
}

/// Judges the head of a request on such a path.
pub(super) fn admit(head: &Parts) -> Result<Caller, Rejection> {
    if head.uri.path() != PATH {
        return Err(Rejection::UnknownPath);
    }
    if head.method != Method::POST {
        return Err(Rejection::MethodNotAllowed { allow: "POST" });
    }
    if !head::is_media_type(&head.headers, MEDIA_TYPE) {
        return Err(Rejection::UnsupportedMediaType);
    }
    Ok(Caller::Nobody)
}

/// Whom an issued token lets in, and to which authorization contexts; `None` for all that the account has.
pub(super) type Holder = (AccountId, Option<Vec<String>>);

impl Salesforce {
    /// Reads a request for a token.
    pub(super) fn grant(&self, head: &Parts, body: &[u8], now: Timestamp) -> Result<Call, Refusal> {
        let text = read_form(body)?;
        let assertion = Assertion::read(&text)?;
        let app = self.issuers.app(&assertion.claims.issuer);
        let id = app.map(|(id, _)| id).or(self.issuers.of_anybody()).ok_or_else(unknown_issuer)?;
        let account = &self.accounts[id.0];
        if let Some((_, app)) = app {
            check(&assertion, app, account, now)?;
        }
        let instance_url = instance_url(account, head)?;
        let Claims { issuer, subject, .. } = assertion.claims;
        let user = format!("{instance_url}/id/{}/{subject}", account.org_id);
        // What keeps a token from being written is not the caller's doing: an org's id, or too many contexts.
        let org_id = short_org_id(&account.org_id).ok_or(Rejection::Internal)?.to_owned();
        let issuer = app.is_some().then_some(issuer);
        let contexts = app.and_then(|(_, app)| app.contexts.clone());
        let grant = Grant { org_id, issuer, subject, contexts, expires_at: now + TOKEN_LIFE };
        let token = self.token_keys.issue(&grant).ok_or(Rejection::Internal)?;
        Ok(call(granted(&token, &instance_url, &user)))
    }

    /// Whom a token that was issued here lets in, as long as the app that asked for it is still the account's.
    /// Where anybody was believed, as long as anybody is.
    pub(super) fn holder(&self, token: &str, now: Timestamp) -> Option<Holder> {
        let grant = self.token_keys.verify(token, now)?;
        let (id, app) = match &grant.issuer {
            Some(issuer) => self.issuers.app(issuer).map(|(id, app)| (id, Some(app)))?,
            None => (self.issuers.of_anybody()?, None),
        };
        let is_their_org = short_org_id(&self.accounts[id.0].org_id) == Some(&grant.org_id);
        let is_their_user = app.is_none_or(|app| app.subjects.contain(&grant.subject));
        // What was granted is worth no more than what would be granted now.
        let contexts = match (grant.contexts, app.and_then(|app| app.contexts.as_ref())) {
            (Some(granted), Some(now)) => Some(granted.into_iter().filter(|one| now.contains(one)).collect()),
            (granted, now) => granted.or_else(|| now.cloned()),
        };
        (is_their_org && is_their_user).then_some((id, contexts))
    }
}

/// The assertion in a form that asks for the one grant there is. Parameters not known are passed over, and ones without
/// a value count as missing, as RFC 6749 has it.
fn read_form(body: &[u8]) -> Result<String, Rejection> {
    if body.is_empty() {
        return Err(Rejection::NoBody);
    }
    let mut form = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(body) {
        if form.insert(name, value).is_some() {
            return Err(Rejection::Malformed { why: "a parameter is there twice".into() });
        }
    }
    let mut required = |name: &'static str, expected| {
        let value = form.remove(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| Rejection::field(name, FaultKind::Missing, expected))
    };
    if required("grant_type", GRANT_TYPE)? != GRANT_TYPE {
        return Err(Rejection::field("grant_type", FaultKind::WrongValue, GRANT_TYPE));
    }
    required("assertion", "a JWT").map(Into::into)
}

/// Checks an assertion: that the app made it, then that it is for us, for this user and for now.
fn check(
    assertion: &Assertion<'_>,
    app: &ConnectedApp,
    account: &Account,
    now: Timestamp,
) -> Result<(), Rejection> {
    if !app.key.verifies(assertion.message.as_bytes(), &assertion.signature) {
        return Err(Rejection::field(
            "assertion",
            FaultKind::WrongValue,
            "a signature with the connected app's key",
        ));
    }
    let Claims { subject, audiences, expires_at, not_before, .. } = &assertion.claims;
    let now = now.as_second();
    let own = account.instance_url.as_deref();
    let is_for_us = |audience: &str| AUDIENCES.contains(&audience) || own == Some(audience);
    let mut faults = Faults::default();
    let mut expect = |is_right: bool, field: &'static str, expected: &'static str| {
        if !is_right {
            faults.add(field, FaultKind::WrongValue, expected);
        }
    };
    expect(
        audiences.iter().any(|audience| is_for_us(audience)),
        "assertion.aud",
        "https://login.salesforce.com, https://test.salesforce.com or the org's own URL",
    );
    expect(app.subjects.contain(subject), "assertion.sub", "a user that the connected app may ask for");
    expect(
        (now - LEEWAY + 1..=now + MOST_AHEAD + LEEWAY).contains(expires_at),
        "assertion.exp",
        "a time to come, at most an hour ahead",
    );
    expect(not_before.is_none_or(|from| from <= now + LEEWAY), "assertion.nbf", "a time that has come");
    faults.none()
}

fn unknown_issuer() -> Rejection {
    Rejection::field("assertion.iss", FaultKind::WrongValue, "the consumer key of a connected app")
}

/// Where the org's API is: where the account says, or else here, by the name that the caller called.
fn instance_url(account: &Account, head: &Parts) -> Result<String, Rejection> {
    if let Some(url) = &account.instance_url {
        return Ok(url.clone());
    }
    let is_host = |host: &&str| !host.contains('@') && host.parse::<Authority>().is_ok();
    let host = head::single(&head.headers, "host").filter(is_host);
    let host = host.ok_or(Rejection::BadHeader { name: "Host", expected: "the name of this host" })?;
    Ok(format!("https://{host}"))
}

/// A call that says nothing about anybody's typing.
fn call(response: Response<Bytes>) -> Call {
    Call {
        conversations: Vec::new(),
        role: Role::User,
        signal: None,
        marks: Marks::default(),
        opens_conversation: false,
        names_conversation: false,
        reference: None,
        reply: Box::new(move |_| response),
    }
}

#[derive(Serialize)]
struct Granted<'a> {
    access_token: &'a str,
    scope: &'static str,
    instance_url: &'a str,
    id: &'a str,
    token_type: &'static str,
}

#[derive(Serialize)]
struct Refused {
    error: &'static str,
    error_description: String,
}

fn granted(access_token: &str, instance_url: &str, id: &str) -> Response<Bytes> {
    let body = Granted { access_token, scope: SCOPE, instance_url, id, token_type: "Bearer" };
    not_kept(answer::json(StatusCode::OK, &body))
}

/// Says no, in OAuth's words.
pub(super) fn refused(rejection: &Rejection) -> Response<Bytes> {
    let (status, error) = status_and_error(rejection);
    let body = Refused { error, error_description: rejection.to_string() };
    not_kept(answer::refusal(status, &body, rejection))
}

fn not_kept(mut response: Response<Bytes>) -> Response<Bytes> {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// OAuth has a few words for all of it; what HTTP can say better, the status says.
fn status_and_error(rejection: &Rejection) -> (StatusCode, &'static str) {
    const INVALID_REQUEST: &str = "invalid_request";
    match rejection {
        Rejection::BadHeader { .. } | Rejection::NoBody | Rejection::Malformed { .. } => {
            (StatusCode::BAD_REQUEST, INVALID_REQUEST)
        }
        Rejection::Invalid(faults) => {
            (StatusCode::BAD_REQUEST, faults.first().map_or(INVALID_REQUEST, fault_error))
        }
        Rejection::Unauthenticated
        | Rejection::OutOfScope
        | Rejection::Forbidden(_)
        | Rejection::UnknownAgent
        | Rejection::ForeignAgent => (StatusCode::BAD_REQUEST, "invalid_grant"),
        Rejection::UnknownPath => (StatusCode::NOT_FOUND, INVALID_REQUEST),
        Rejection::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST),
        Rejection::TooSlow => (StatusCode::REQUEST_TIMEOUT, INVALID_REQUEST),
        Rejection::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST),
        Rejection::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST),
        Rejection::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
        Rejection::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        Rejection::Unavailable | Rejection::Upstream { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        }
        Rejection::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, "temporarily_unavailable"),
    }
}

fn fault_error(fault: &Fault) -> &'static str {
    match (fault.field.as_ref(), fault.kind) {
        ("grant_type", FaultKind::WrongValue) => "unsupported_grant_type",
        ("grant_type" | "assertion", FaultKind::Missing) => "invalid_request",
        ("assertion.iss", FaultKind::WrongValue) => "invalid_client_id",
        _ => "invalid_grant",
    }
}
