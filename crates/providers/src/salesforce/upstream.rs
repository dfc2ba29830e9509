//! An org: typing indicators as interactions, its answers as acceptance or refusal.
//!
//! A message without its text is none, so that `Sent` is nothing that can be said here: the message itself, which some
//! connector brings, ends the indicator. Whoever wants it gone earlier says `Paused`, as published connectors do just
//! before each message.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde::Serialize;
use typingd_core::Role;

use super::NAME;
use super::headers::short_org_id;
use super::{PATHS, lead};
use crate::chat_state::ChatState;
use crate::json::{Json, splice};
use crate::keys::Secret;
use crate::upstream::{
    self, Accepted, Answer, AssertionSigner, BaseUrl, Bearer, Change, Claims, Display, Fresh, JwtBearer,
    Passing, Refresh, RefusalKind, Refused, Site, Unusable, Upstream, by_status, post_json,
};

const TOKEN_PATH: &str = "/services/oauth2/token";

/// What stands between the parts. It cannot stand in the JSON part, which has no line break.
const BOUNDARY: &str = "typingd-interaction";

/// The longest name of a channel address or an end user, in characters, that the reference lets be sent.
const MAX_NAME: usize = 240;

/// How long an assertion holds: the vendor takes none that holds for more than three minutes.
const ASSERTION_LIFE_S: i64 = 180;

/// Settings of an org.
#[derive(Clone, Debug)]
pub struct UpstreamAccount {
    /// What all upstream accounts have: the instance's URL, and agents' channel addresses.
    pub common: upstream::Account,
    /// The org's id, of 15 or 18 characters.
    pub org_id: String,
    /// The developer name of the channel definition; `None` for the product that sends none.
    pub authorization_context: Option<String>,
    /// How it comes by its tokens.
    pub credentials: Credentials,
    /// For how long the console shows the icon after a start.
    pub display: Duration,
}

/// How an org's tokens are come by.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// There is one, and it does not change.
    Token(Secret),
    /// A connected app asks for them.
    ConnectedApp {
        /// Where to ask, as in `https://login.salesforce.com`.
        login_url: String,
        /// To whom the assertion is addressed: one of the login hosts, which is not always where it is sent.
        audience: String,
        /// The app's consumer key.
        consumer_key: String,
        /// The user in whose name.
        subject: String,
        /// Signs for the app.
        signer: Arc<dyn AssertionSigner>,
        /// How long a token lasts. The answer does not say; it is the org's session time-out.
        token_life: Duration,
    },
}

/// An org.
#[derive(Clone, Debug)]
pub struct SalesforceUpstream {
    site: Site,
    /// `OrgId` and, where it is sent, `AuthorizationContext`.
    headers: Vec<(HeaderName, HeaderValue)>,
    bearer: Bearer,
    display: Duration,
}

#[derive(Serialize)]
struct Body<'a> {
    to: &'a str,
    from: &'a str,
    interactions: [Interaction<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Interaction<'a> {
    timestamp: i64,
    interaction_type: &'static str,
    payload: Payload<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    id: &'a str,
    entry_type: &'static str,
    timestamp: i64,
}

impl SalesforceUpstream {
    /// The org with these settings.
    ///
    /// # Errors
    /// [`Unusable`] naming the setting with which nothing could be sent.
    pub fn new(account: UpstreamAccount) -> Result<Self, Unusable> {
        let UpstreamAccount { common, org_id, authorization_context, credentials, display } = account;
        let unusable = |setting, expected| Unusable { provider: NAME, setting, expected };
        let header = |name, setting, value: &str, expected| {
            let value = HeaderValue::from_str(value).map_err(|_| unusable(setting, expected))?;
            Ok((HeaderName::from_static(name), value))
        };
        let expected = "15 or 18 letters and digits";
        short_org_id(&org_id).ok_or(unusable("org_id", expected))?;
        let mut headers = vec![header("orgid", "org_id", &org_id, expected)?];
        if let Some(context) = &authorization_context {
            let expected = "the developer name of a channel definition";
            if context.is_empty() {
                return Err(unusable("authorization_context", expected));
            }
            headers.push(header("authorizationcontext", "authorization_context", context, expected)?);
        }
        Ok(Self { site: Site::new(NAME, common)?, headers, bearer: bearer(credentials)?, display })
    }
}

fn bearer(credentials: Credentials) -> Result<Bearer, Unusable> {
    match credentials {
        Credentials::Token(token) => Bearer::fixed(NAME, "token", &token),
        Credentials::ConnectedApp { login_url, audience, consumer_key, subject, signer, token_life } => {
            let unusable = Unusable { provider: NAME, setting: "login_url", expected: "a login host's URL" };
            let url = BaseUrl::parse(NAME, "login_url", &login_url)?.at(TOKEN_PATH).ok_or(unusable)?;
            let claims = Claims {
                key_id: None,
                issuer: consumer_key,
                subject: Some(subject),
                audience,
                scope: None,
                life_s: ASSERTION_LIFE_S,
            };
            Ok(Bearer::Granted(JwtBearer { url, claims, signer, token_life }))
        }
    }
}

impl Upstream for SalesforceUpstream {
    fn name(&self) -> &'static str {
        NAME
    }

    fn role(&self) -> Role {
        Role::User
    }

    fn display(&self) -> Display {
        Display {
            display: self.display,
            refresh: Refresh::Resets,
            floor: Duration::from_secs(1),
            stop: true,
            cleared_by_message: true,
            in_order: false,
        }
    }

    fn agent<'a>(&'a self, ours: &'a str) -> &'a str {
        self.site.agent(ours)
    }

    fn tokens(&self) -> Option<&JwtBearer> {
        self.bearer.tokens()
    }

    fn authorize(&self, headers: &mut HeaderMap, fresh: &Fresh<'_>) -> bool {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        self.bearer.authorize(headers, fresh)
    }

    fn forward(&self, change: &Change<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>> {
        let entry_type = match change.signal {
            ChatState::Composing => "TypingStartedIndicator",
            ChatState::Paused => "TypingStoppedIndicator",
            ChatState::Sent => return None,
        };
        let (to, from) = (self.agent(change.agent), change.user.as_str());
        if !is_name(to) || !is_name(from) {
            return None;
        }
        let (id, timestamp) = (fresh.id.to_string(), fresh.now.as_millisecond());
        let payload = Payload { id: &id, entry_type, timestamp };
        let interactions = [Interaction { timestamp, interaction_type: "EntryInteraction", payload }];
        let json = serde_json::to_string(&Body { to, from, interactions });
        let json = json.expect("texts and numbers can always be written as JSON");
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"json\"\r\n\
             Content-Type: application/json\r\n\r\n{json}\r\n--{BOUNDARY}--\r\n"
        );
        let mut request = post_json(self.site.base.at(PATHS[0])?, body.into_bytes());
        let headers = request.headers_mut();
        let media_type = format!("multipart/form-data; boundary={BOUNDARY}");
        headers.insert(CONTENT_TYPE, media_type.parse().ok()?);
        headers.insert("requestid", id.parse().ok()?);
        self.authorize(headers, fresh).then_some(request)
    }

    fn pass(&self, passing: Passing<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>> {
        let lead = rename(&passing);
        let query = passing.query();
        let mut request = passing.request(&self.site.base, passing.path, query.as_deref(), lead)?;
        self.authorize(request.headers_mut(), fresh).then_some(request)
    }

    fn judge(&self, answer: &Answer<'_>) -> Result<Accepted, Refused> {
        let json = answer.json();
        let at = |name: &str| json.as_ref().and_then(|json| json.at(&[name]));
        let is_no = matches!(at("success"), Some(Json::Bool(false)));
        if answer.status.is_success() && !is_no {
            return Ok(Accepted);
        }
        let code = at("code").and_then(Json::as_u64);
        let by_code = code.and_then(kind_of);
        let kind = match by_status(answer.status, RefusalKind::Credential, RefusalKind::Agent) {
            // Trouble that passes is not read out of a code that was meant for another status.
            RefusalKind::Transient if !answer.status.is_success() => RefusalKind::Transient,
            by_status => by_code.unwrap_or(by_status),
        };
        let code = code.map(|code| code.to_string());
        Err(Refused::of(kind, answer, code.as_deref()).of_token(answer.status, self.tokens().is_some()))
    }
}

/// The lead with the channel address by the org's name, where that is another.
fn rename(passing: &Passing<'_>) -> Option<Vec<u8>> {
    let json = lead::json_part(&passing.head.headers, &passing.lead)?;
    let (before, after) = (passing.lead.get(..json.start)?, passing.lead.get(json.end..)?);
    let to = |name: &str, text: &str| if name == "to" { (passing.rename)(text) } else { None };
    let json = splice::rename(passing.lead.get(json)?, to)?;
    Some([before, &json, after].concat())
}

fn is_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.chars().take(MAX_NAME + 1).count())
}

/// The vendor's codes that tell whom they concern.
fn kind_of(code: u64) -> Option<RefusalKind> {
    match code {
        // Scope, token, a header of the account's, its context, a permission.
        10003 | 10004 | 10005 | 10016 | 10099 => Some(RefusalKind::Credential),
        // The channel address: not for this context, unknown, not valid.
        10001 | 10017 | 10027 => Some(RefusalKind::Agent),
        // The end user: not valid, not opted in.
        10028 | 15103 => Some(RefusalKind::Recipient),
        500 | 10055 | 10094 => Some(RefusalKind::Transient),
        _ => None,
    }
}
