//! An account at Google: `IS_TYPING` as a request, its answers as acceptance or refusal.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use typingd_core::Role;

use super::NAME;
use crate::chat_state::ChatState;
use crate::keys::Secret;
use crate::phone;
use crate::upstream::{
    self, Accepted, Answer, AssertionSigner, BaseUrl, Bearer, Change, Claims, Display, Fresh, GoogleError,
    JwtBearer, Passing, RefusalKind, Refused, Site, Unusable, Upstream, by_status, post_json, query,
};

const SCOPE: &str = "https://www.googleapis.com/auth/rcsbusinessmessaging";

/// How long an assertion holds: an hour, which is the most that Google takes and what its libraries ask for.
const ASSERTION_LIFE_S: i64 = 3_600;

/// How long a token lasts where the answer does not say.
const TOKEN_LIFE: Duration = Duration::from_secs(3_600);

/// Settings of an account at Google.
#[derive(Clone, Debug)]
pub struct UpstreamAccount {
    /// What all upstream accounts have. The base URL is a region's, as in
    /// `https://us-rcsbusinessmessaging.googleapis.com`.
    pub common: upstream::Account,
    /// How it comes by its tokens.
    pub credentials: Credentials,
}

/// How an account's tokens are come by.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// There is one, and it does not change.
    Token(Secret),
    /// A service account asks for them. The settings are named as in its key file.
    ServiceAccount {
        /// Who it is.
        client_email: String,
        /// Which of its keys signs, where that is known.
        private_key_id: Option<String>,
        /// Where to ask, and to whom the assertion is addressed: `https://oauth2.googleapis.com/token`.
        token_uri: String,
        /// Signs for it.
        signer: Arc<dyn AssertionSigner>,
    },
}

/// An account at Google.
#[derive(Clone, Debug)]
pub struct RbmUpstream {
    site: Site,
    bearer: Bearer,
}

impl RbmUpstream {
    /// The account with these settings.
    ///
    /// # Errors
    /// [`Unusable`] naming the setting with which nothing could be sent.
    pub fn new(account: UpstreamAccount) -> Result<Self, Unusable> {
        let UpstreamAccount { common, credentials } = account;
        Ok(Self { site: Site::new(NAME, common)?, bearer: bearer(credentials)? })
    }
}

fn bearer(credentials: Credentials) -> Result<Bearer, Unusable> {
    match credentials {
        Credentials::Token(token) => Bearer::fixed(NAME, "token", &token),
        Credentials::ServiceAccount { client_email, private_key_id, token_uri, signer } => {
            // It is checked as a base URL is, and used as it stands.
            BaseUrl::parse(NAME, "token_uri", &token_uri)?;
            let expected = "an http or https URL";
            let unusable = Unusable { provider: NAME, setting: "token_uri", expected };
            let url = token_uri.parse().map_err(|_| unusable)?;
            let claims = Claims {
                key_id: private_key_id,
                issuer: client_email,
                subject: None,
                audience: token_uri,
                scope: Some(SCOPE),
                life_s: ASSERTION_LIFE_S,
            };
            Ok(Bearer::Granted(JwtBearer { url, claims, signer, token_life: TOKEN_LIFE }))
        }
    }
}

impl Upstream for RbmUpstream {
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

    fn tokens(&self) -> Option<&JwtBearer> {
        self.bearer.tokens()
    }

    fn authorize(&self, headers: &mut HeaderMap, fresh: &Fresh<'_>) -> bool {
        self.bearer.authorize(headers, fresh)
    }

    fn forward(&self, change: &Change<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>> {
        let ChatState::Composing = change.signal else { return None };
        let agent = self.agent(change.agent);
        if !(1..=255).contains(&agent.len()) || agent.contains(char::is_control) {
            return None;
        }
        let user = phone::with_plus(change.user.as_str())?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("eventId", &fresh.id.to_string()).append_pair("agentId", agent);
        let path = format!("/v1/phones/{}/agentEvents?{}", user.as_str(), query.finish());
        let mut request = post_json(self.site.base.at(&path)?, br#"{"eventType":"IS_TYPING"}"#.to_vec());
        self.authorize(request.headers_mut(), fresh).then_some(request)
    }

    fn pass(&self, passing: Passing<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>> {
        let query = passing.query();
        let query = query.as_deref().map(|query| query::rename(query, "agentId", passing.rename));
        let mut request = passing.request(&self.site.base, passing.path, query.as_deref(), None)?;
        self.authorize(request.headers_mut(), fresh).then_some(request)
    }

    fn judge(&self, answer: &Answer<'_>) -> Result<Accepted, Refused> {
        if answer.status.is_success() {
            return Ok(Accepted);
        }
        let json = answer.json();
        let error = json.as_ref().and_then(GoogleError::read);
        let code = error.as_ref().map(|error| error.status);
        // An event's id is new each time: one that Google has already is the same call, repeated on its way.
        if (answer.status, code) == (StatusCode::CONFLICT, Some("ALREADY_EXISTS")) {
            return Ok(Accepted);
        }
        let by_code = error.as_ref().and_then(GoogleError::kind);
        let kind = by_code
            .unwrap_or_else(|| by_status(answer.status, RefusalKind::Recipient, RefusalKind::Recipient));
        Err(Refused::of(kind, answer, code).of_token(answer.status, self.tokens().is_some()))
    }
}
