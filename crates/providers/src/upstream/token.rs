//! Access tokens for a signed assertion (RFC 7523), as Salesforce and Google grant them.
//!
//! This knows the assertion's claims, the form that carries it and the answers. It refuses to know keys: whoever holds
//! one signs. It keeps no token: when to renew is said with it, and the clock is the caller's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Uri};
use jiff::Timestamp;
use serde::Serialize;

use super::{Answer, RefusalKind, Refused, by_status};
use crate::json::Json;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The longest token, in bytes.
const MAX_TOKEN: usize = 8 * 1024;
/// The longest life that is believed.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before its end a token is renewed, at most; a short-lived one in the last quarter of its life.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// Signs assertions. The cryptography and the key are the caller's.
pub trait AssertionSigner: fmt::Debug + Send + Sync {
    /// The RS256 signature of a message, which is a JWT's first two parts; `None` where it cannot be made.
    fn sign(&self, message: &[u8]) -> Option<Vec<u8>>;
}

/// A token, and when to have a newer one. It prints itself masked.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    bearer: HeaderValue,
    /// For how long from its arrival it is used before another is asked for.
    pub renew_after: Duration,
}

impl AccessToken {
    /// What stands in `Authorization`.
    #[must_use]
    pub fn bearer(&self) -> &HeaderValue {
        &self.bearer
    }

    /// A token with the rest of its life; `None` where it is none.
    #[must_use]
    pub fn new(token: &str, life: Duration) -> Option<Self> {
        let is_token = (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| is_token)?;
        bearer.set_sensitive(true);
        let life = life.min(MAX_LIFE);
        Some(Self { bearer, renew_after: life - AHEAD.min(life / 4) })
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// Where tokens come from, and as whom to ask.
#[derive(Clone, Debug)]
pub struct JwtBearer {
    pub(crate) url: Uri,
    pub(crate) claims: Claims,
    pub(crate) signer: Arc<dyn AssertionSigner>,
    /// How long a token lasts where the answer does not say.
    pub(crate) token_life: Duration,
}

/// What an assertion says beside its times.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) key_id: Option<String>,
    pub(crate) issuer: String,
    pub(crate) subject: Option<String>,
    pub(crate) audience: String,
    pub(crate) scope: Option<&'static str>,
    /// How long an assertion holds, in seconds.
    pub(crate) life_s: i64,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl JwtBearer {
    /// The request for a token; `None` where the assertion cannot be signed.
    #[must_use]
    pub fn ask(&self, now: Timestamp) -> Option<Request<Bytes>> {
        let message = self.claims.message(now.as_second());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.signer.sign(message.as_bytes())?);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", GRANT_TYPE)
            .append_pair("assertion", &format!("{message}.{signature}"));
        let mut request = Request::new(Bytes::from(form.finish()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form);
        Some(request)
    }

    /// Reads the answer. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// What stands in the way: mostly the credential, and nobody's agent or user.
    pub fn read(&self, answer: &Answer<'_>) -> Result<AccessToken, Refused> {
        let json = answer.json();
        let at = |name: &str| json.as_ref().and_then(|json| json.at(&[name]));
        let error = at("error").and_then(Json::as_str);
        if !answer.status.is_success() {
            return Err(Refused::of(refusal(answer, error), answer, error));
        }
        let life = at("expires_in").and_then(Json::as_u64).map_or(self.token_life, Duration::from_secs);
        let token = at("access_token").and_then(Json::as_str);
        let token = token.and_then(|token| AccessToken::new(token, life));
        // An answer that cannot be read is somebody else's: a proxy's, or a wrong URL's.
        token.ok_or_else(|| Refused::of(RefusalKind::Transient, answer, Some("no_token")))
    }
}

impl Claims {
    /// The part of an assertion that is signed.
    fn message(&self, now_s: i64) -> String {
        let Self { key_id, issuer, subject, audience, scope, life_s } = self;
        let header = Header { alg: "RS256", typ: "JWT", kid: key_id.as_deref() };
        let payload = Payload {
            iss: issuer,
            sub: subject.as_deref(),
            scope: *scope,
            aud: audience,
            iat: now_s,
            exp: now_s.saturating_add(*life_s),
        };
        let (header, payload) = (serde_json::to_vec(&header), serde_json::to_vec(&payload));
        let encode = |json: Result<Vec<u8>, serde_json::Error>| {
            BASE64_URL_SAFE_NO_PAD.encode(json.expect("texts and numbers can always be written as JSON"))
        };
        format!("{}.{}", encode(header), encode(payload))
    }
}

/// Whoever is refused a token is refused everything, unless the server says that it is its own trouble.
fn refusal(answer: &Answer<'_>, error: Option<&str>) -> RefusalKind {
    match error {
        Some("temporarily_unavailable" | "server_error" | "slow_down") => RefusalKind::Transient,
        Some(_) | None => match by_status(answer.status, RefusalKind::Credential, RefusalKind::Credential) {
            RefusalKind::Transient => RefusalKind::Transient,
            RefusalKind::Credential | RefusalKind::Agent | RefusalKind::Recipient => RefusalKind::Credential,
        },
    }
}
