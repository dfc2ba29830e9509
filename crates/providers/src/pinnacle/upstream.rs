//! An account at Pinnacle: its typing call as a request, its answers as acceptance or refusal.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use serde::Serialize;
use typingd_core::Role;

use super::{KEY, MESSAGE_PATH, NAME, TYPING_PATHS, request};
use crate::chat_state::ChatState;
use crate::json::{Json, splice};
use crate::keys::Secret;
use crate::phone;
use crate::upstream::{
    self, Accepted, Answer, Change, Display, Fresh, Passing, RefusalKind, Refused, Site, Unusable, Upstream,
    by_status, header, post_json,
};

/// Settings of an account at Pinnacle.
#[derive(Clone, Debug)]
pub struct UpstreamAccount {
    /// What all upstream accounts have.
    pub common: upstream::Account,
    /// The credential for `PINNACLE-API-KEY`.
    pub api_key: Secret,
}

/// An account at Pinnacle.
#[derive(Clone, Debug)]
pub struct PinnacleUpstream {
    site: Site,
    api_key: HeaderValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Typing<'a> {
    agent_id: &'a str,
    to: &'a str,
}

impl PinnacleUpstream {
    /// The account with these settings.
    ///
    /// # Errors
    /// [`Unusable`] naming the setting with which nothing could be sent.
    pub fn new(account: UpstreamAccount) -> Result<Self, Unusable> {
        let api_key = header(NAME, "api_key", &account.api_key, str::to_owned)?;
        Ok(Self { site: Site::new(NAME, account.common)?, api_key })
    }
}

impl Upstream for PinnacleUpstream {
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
        headers.insert(KEY, self.api_key.clone());
        true
    }

    fn forward(&self, change: &Change<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>> {
        let ChatState::Composing = change.signal else { return None };
        let agent_id = self.agent(change.agent);
        if request::fault_of_agent(agent_id).is_some() {
            return None;
        }
        let to = phone::with_plus(change.user.as_str())?;
        let body = serde_json::to_vec(&Typing { agent_id, to: to.as_str() });
        let body = body.expect("texts can always be written as JSON");
        let mut request = post_json(self.site.base.at(TYPING_PATHS[0])?, body);
        self.authorize(request.headers_mut(), fresh).then_some(request)
    }

    fn pass(&self, passing: Passing<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>> {
        let rename = |name: &str, text: &str| {
            if names_agent(passing.path, name, text) { (passing.rename)(text) } else { None }
        };
        let lead = splice::rename(&passing.lead, rename);
        let query = passing.query();
        let mut request = passing.request(&self.site.base, passing.path, query.as_deref(), lead)?;
        self.authorize(request.headers_mut(), fresh).then_some(request)
    }

    fn judge(&self, answer: &Answer<'_>) -> Result<Accepted, Refused> {
        let json = answer.json();
        let at = |path: &[&str]| json.as_ref().and_then(|json| json.at(path));
        if answer.status.is_success() {
            return match at(&["success"]) {
                Some(Json::Bool(false)) => {
                    Err(Refused::of(RefusalKind::Transient, answer, Some("no_success")))
                }
                _ => Ok(Accepted),
            };
        }
        // The SDKs' declared errors: an agent that is not there is 404, one of another account 403.
        let is_of_agent = at(&["errors", "properties", "agentId"]).is_some();
        let kind = match by_status(answer.status, RefusalKind::Agent, RefusalKind::Agent) {
            RefusalKind::Recipient if is_of_agent => RefusalKind::Agent,
            kind => kind,
        };
        Err(Refused::of(kind, answer, None))
    }
}

/// Whether a member of a call's body names an agent: a message's `from` does, and that of a call not known here where it
/// looks like one.
fn names_agent(path: &str, member: &str, text: &str) -> bool {
    if TYPING_PATHS.contains(&path) {
        return member == "agentId";
    }
    match member {
        "from" => path == MESSAGE_PATH || text.starts_with("agent_"),
        "agentId" | "agent_id" => path != MESSAGE_PATH,
        _ => false,
    }
}
