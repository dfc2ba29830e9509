//! An account at Kaleyra: its typing event as a request, its answers as acceptance or refusal.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request};
use serde::Serialize;
use typingd_core::Role;

use super::{NAME, request, split_sid};
use crate::account;
use crate::chat_state::ChatState;
use crate::json::{self, Json, Number, splice};
use crate::keys::Secret;
use crate::upstream::{
    self, Accepted, Answer, Change, Display, Fresh, GoogleError, Passing, RefusalKind, Refused, Site,
    Unusable, Upstream, by_status, header, post_json,
};

/// Settings of an account at Kaleyra.
#[derive(Clone, Debug)]
pub struct UpstreamAccount {
    /// What all upstream accounts have.
    pub common: upstream::Account,
    /// The account's id, as it stands in the path.
    pub sid: String,
    /// The credential for `Authorization: Basic`, as `user:password`.
    pub basic: Secret,
    /// The credential for `api-key`.
    pub api_key: Secret,
}

/// An account at Kaleyra.
#[derive(Clone, Debug)]
pub struct KaleyraUpstream {
    site: Site,
    sid: String,
    basic: HeaderValue,
    api_key: HeaderValue,
}

#[derive(Serialize)]
struct Event<'a> {
    from: &'a str,
    to: &'a str,
    composing: Nothing,
}

/// `{}`
#[derive(Serialize)]
struct Nothing {}

impl KaleyraUpstream {
    /// The account with these settings.
    ///
    /// # Errors
    /// [`Unusable`] naming the setting with which nothing could be sent.
    pub fn new(account: UpstreamAccount) -> Result<Self, Unusable> {
        let UpstreamAccount { common, sid, basic, api_key } = account;
        if sid.is_empty() || !account::is_plain(&sid) {
            let expected = "letters, digits and any of `_-.@+`";
            return Err(Unusable { provider: NAME, setting: "sid", expected });
        }
        let dress = |basic: &str| format!("Basic {}", BASE64_STANDARD.encode(basic));
        Ok(Self {
            site: Site::new(NAME, common)?,
            sid,
            basic: header(NAME, "basic", &basic, dress)?,
            api_key: header(NAME, "api_key", &api_key, str::to_owned)?,
        })
    }
}

impl Upstream for KaleyraUpstream {
    fn name(&self) -> &'static str {
        NAME
    }

    fn role(&self) -> Role {
        Role::Agent
    }

    fn display(&self) -> Display {
        upstream::RCS
    }

    fn agent<'a>(&'a self, ours: &'a str) -> &'a str {
        self.site.agent(ours)
    }

    fn authorize(&self, headers: &mut HeaderMap, _: &Fresh<'_>) -> bool {
        headers.insert(AUTHORIZATION, self.basic.clone());
        headers.insert("api-key", self.api_key.clone());
        true
    }

    fn forward(&self, change: &Change<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>> {
        let ChatState::Composing = change.signal else { return None };
        let from = self.agent(change.agent);
        if request::fault_of_agent(from).is_some() {
            return None;
        }
        let to = crate::phone::with_plus(change.user.as_str())?;
        let event = Event { from, to: to.as_str(), composing: Nothing {} };
        let body = serde_json::to_vec(&event).expect("texts can always be written as JSON");
        let path = format!("/v1/{}/rcs/events", self.sid);
        let mut request = post_json(self.site.base.at(&path)?, body);
        self.authorize(request.headers_mut(), fresh).then_some(request)
    }

    fn pass(&self, passing: Passing<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>> {
        let (_, rest) = split_sid(passing.path)?;
        let path = format!("/v1/{}{rest}", self.sid);
        let rename = |name: &str, text: &str| if name == "from" { (passing.rename)(text) } else { None };
        let lead = splice::rename(&passing.lead, rename);
        let mut request = passing.request(&self.site.base, &path, passing.query().as_deref(), lead)?;
        self.authorize(request.headers_mut(), fresh).then_some(request)
    }

    fn judge(&self, answer: &Answer<'_>) -> Result<Accepted, Refused> {
        let json = answer.json();
        let code = json.as_ref().and_then(|json| json.at(&["code"])).and_then(code_text);
        let error = json.as_ref().and_then(Failure::read);
        // The vendor publishes no status for a failure, so that a yes is one by its body, too.
        let is_yes =
            error.is_none() && code.as_deref().is_none_or(|code| ["RCS1002", "1200"].contains(&code));
        if answer.status.is_success() && is_yes {
            return Ok(Accepted);
        }
        let by_code = error.as_ref().and_then(Failure::kind).or_else(|| of_code(code.as_deref()?));
        let kind =
            by_code.unwrap_or_else(|| by_status(answer.status, RefusalKind::Agent, RefusalKind::Agent));
        Err(Refused::of(kind, answer, error.map(|error| error.error_code).or(code.as_deref())))
    }
}

/// What stands in `error`, or for a message in `data.error`.
struct Failure<'j> {
    error_code: &'j str,
    error_message: &'j str,
}

impl<'j> Failure<'j> {
    fn read(json: &'j Json<'_>) -> Option<Self> {
        let of = |error: &'j Json<'_>| {
            let error_code = error.at(&["error_code"])?.as_str()?;
            let error_message = error.at(&["error_message"]).and_then(Json::as_str).unwrap_or_default();
            Some(Self { error_code, error_message })
        };
        json.at(&["error"]).and_then(of).or_else(|| json.at(&["data", "error"]).and_then(of))
    }

    fn kind(&self) -> Option<RefusalKind> {
        match self.error_code {
            "UNAUTHORIZED" => Some(RefusalKind::Credential),
            "INVALID_SERVICE_CODE" => Some(RefusalKind::Agent),
            "INVALID_NUMBER" | "CHANNEL_UNSUPPORTED" => Some(RefusalKind::Recipient),
            "THROTTLED" | "REQUEST_TIMEOUT" | "INTERNAL_ERROR" => Some(RefusalKind::Transient),
            "PROV_ERROR" => Some(quoted(self.error_message)),
            _ => None,
        }
    }
}

/// The RCS platform's reply as one string. Its trouble with Kaleyra's credentials is not a trouble of ours.
fn quoted(reply: &str) -> RefusalKind {
    let json = json::parse(reply.as_bytes()).ok();
    match json.as_ref().and_then(GoogleError::read).and_then(|error| error.kind()) {
        Some(RefusalKind::Credential) => RefusalKind::Transient,
        Some(kind @ (RefusalKind::Agent | RefusalKind::Recipient | RefusalKind::Transient)) => kind,
        // Whatever it was, it was said of this agent and this user.
        None => RefusalKind::Recipient,
    }
}

fn of_code(code: &str) -> Option<RefusalKind> {
    match code {
        "RBC001" | "1401" => Some(RefusalKind::Credential),
        "1419" => Some(RefusalKind::Agent),
        "1417" | "1423" => Some(RefusalKind::Recipient),
        "RCS500" | "1429" | "1500" => Some(RefusalKind::Transient),
        _ => None,
    }
}

/// A code is a text for events and a number for messages.
fn code_text(code: &Json<'_>) -> Option<String> {
    match code {
        Json::String(text) => Some(text.to_string()),
        Json::Number(Number::Unsigned(number)) => Some(number.to_string()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => None,
    }
}
