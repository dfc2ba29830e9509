//! Salesforce Interaction Service, for Bring Your Own Channel: a connector tells what the end user does.
//!
//! This knows `POST /api/v1/interactions`, as every published connector calls it, and `POST /v1/interactions`, as the
//! vendor's [reference] prints it (read in November 2026): their headers, their multipart bodies, their codes. Where
//! the reference and the published connectors differ, the connectors are right. It knows `POST /services/oauth2/token`,
//! the [JWT bearer flow] by which connectors get their tokens. It refuses to know how an assertion's signature is
//! checked and what becomes of messages and files: of those it takes only that the end user's message went out and, for
//! dev mode's console, its text. `upstream` is an org itself, to which the user's typing is told; what a rep does leaves
//! an org by another road, which is not known here.
//!
//! [JWT bearer flow]: https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_jwt_flow.htm
//! [reference]: https://developer.salesforce.com/docs/service/interaction-service-api/references/interaction-service-reference

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use jiff::Timestamp;
use typingd_core::{Marks, Role, Signal, User};

use self::connected_app::Issuers;
use self::form::Form;
use self::headers::Headers;
use self::interaction::{Event, Interaction};
use self::lead::Lead;
use self::oauth::Holder;
use crate::account::{self, Patterns};
use crate::head::{self, Sent};
use crate::keys::{Claimed, KeyHasher, KeyRing, Secret};
use crate::rejection::{Bar, Refusal, Rejection};
use crate::{AccountId, Call, Caller, Example, Provider, json};

mod assertion;
mod connected_app;
mod example;
mod form;
mod headers;
mod interaction;
mod lead;
mod multipart;
mod oauth;
mod token;
mod upstream;
mod wire;

pub use assertion::AssertionKey;
pub use connected_app::{ConnectedApp, ConnectedApps};
pub use token::TokenKeys;
pub use upstream::{Credentials, SalesforceUpstream, UpstreamAccount};

/// The path that every published connector calls, and the one that the reference prints.
const PATHS: [&str; 2] = ["/api/v1/interactions", "/v1/interactions"];

/// The largest body: a file and what is said about it.
const BODY_LIMIT: usize = 6 * 1024 * 1024;

/// An account at this door: an org, and what may write to it.
#[derive(Clone, Debug)]
pub struct Account {
    /// What all doors' accounts have. Its agents are the channel addresses.
    pub common: account::Account,
    /// The org's id, of 15 or 18 characters; the first 15 count.
    pub org_id: String,
    /// The bearer tokens it may use.
    pub tokens: Vec<Secret>,
    /// Who may ask for further tokens.
    pub connected_apps: ConnectedApps,
    /// Where its connectors find the org's API, without a slash at the end; `None` for where they asked for a token.
    pub instance_url: Option<String>,
    /// The authorization contexts it may use, and which of its channel addresses each is for.
    pub contexts: BTreeMap<String, Patterns>,
    /// Whether the header must be there or must not: a matter of the product.
    pub authorization_context: AuthorizationContext,
}

impl Account {
    /// Whether it takes any assertion, and then any authorization context.
    fn takes_anybody(&self) -> bool {
        matches!(self.connected_apps, ConnectedApps::AnyAssertion)
    }
}

/// What the `AuthorizationContext` header is to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationContext {
    /// Both Bring Your Own Channel products send it.
    Required,
    /// One more product must not.
    Absent,
}

const NAME: &str = "salesforce";

/// The door, with the accounts that may use it.
#[derive(Debug)]
pub struct Salesforce {
    accounts: Vec<Account>,
    /// What counts of each account's org id; `None` where it is not an org's id.
    org_ids: Vec<Option<String>>,
    tokens: KeyRing<AccountId>,
    issuers: Issuers,
    token_keys: TokenKeys,
    /// Whether every account sends an authorization context, so that it can be asked for before anybody is known.
    all_send_context: bool,
}

impl Salesforce {
    /// Opens the door to these accounts, whose connected apps get tokens that these keys sign.
    ///
    /// # Errors
    /// [`Claimed`] where a token, a connected app or a channel address is claimed twice.
    pub fn new(accounts: Vec<Account>, token_keys: &TokenKeys, hasher: &KeyHasher) -> Result<Self, Claimed> {
        account::check_apart(NAME, accounts.iter().map(|account| &account.common))?;
        let mut tokens = KeyRing::new(hasher);
        for (place, account) in accounts.iter().enumerate() {
            for token in &account.tokens {
                if !tokens.insert(token, AccountId(place)) {
                    return Err(Claimed { door: NAME, account: place, what: "Salesforce token", by: None });
                }
            }
        }
        let issuers = Issuers::of(&accounts)?;
        let all_send_context =
            accounts.iter().all(|account| account.authorization_context == AuthorizationContext::Required);
        let org_id = |account: &Account| headers::short_org_id(&account.org_id).map(str::to_owned);
        let org_ids = accounts.iter().map(org_id).collect();
        Ok(Self { accounts, org_ids, tokens, issuers, token_keys: token_keys.clone(), all_send_context })
    }

    /// Whose token and, where one is sent, org these are. The same work is done for every wrong token.
    fn authenticate(
        &self,
        authorization: Sent<'_>,
        org_id: Option<&str>,
        now: Timestamp,
    ) -> Result<Holder, Rejection> {
        let token = authorization.text().and_then(|sent| head::credentials(sent, "Bearer"));
        let token = token.filter(|token| !token.is_empty());
        let presented = token.unwrap_or_default();
        let configured = self.tokens.get(presented.as_bytes()).map(|id| (*id, None));
        let holder = configured.clone().or_else(|| self.holder(presented, now));
        let holders_org = holder.as_ref().and_then(|(id, _)| self.org_ids[id.0].as_deref());
        // Who gave any assertion for its token keeps the org that its connector is set to.
        let is_anybodys = configured.is_none()
            && holder.as_ref().is_some_and(|(id, _)| self.accounts[id.0].takes_anybody());
        let is_theirs = |org_id| holders_org.is_some_and(|theirs| theirs == org_id);
        let is_their_org = is_anybodys || org_id.is_none_or(is_theirs);
        holder.filter(|_| token.is_some() && is_their_org).ok_or(Rejection::Unauthenticated)
    }

    /// Reads a JSON part that came with so many attachments; `None` where those are not looked at.
    fn interaction(
        &self,
        account: &Account,
        context: Sent<'_>,
        json: &[u8],
        attachments: Option<usize>,
    ) -> Result<Call, Refusal> {
        let json = json::parse(json)?;
        let interaction = interaction::read(&json, attachments)?;
        let refusal = |rejection| Refusal { rejection, reference: Some(interaction.id.to_owned()) };
        self.check_agent(account, context, interaction.to).map_err(refusal)?;
        Ok(call(account, &interaction))
    }

    fn check_agent(&self, account: &Account, context: Sent<'_>, agent: &str) -> Result<(), Rejection> {
        account.common.check_owns(agent, self.accounts.iter().map(|account| &account.common))?;
        let is_for_agent = match account.authorization_context {
            AuthorizationContext::Required if account.takes_anybody() => true,
            AuthorizationContext::Required => {
                account.contexts.get(headers::context(context)?).is_some_and(|agents| agents.contain(agent))
            }
            AuthorizationContext::Absent => true,
        };
        if is_for_agent { Ok(()) } else { Err(Rejection::Forbidden(Bar::ContextForAgent)) }
    }
}

impl Provider for Salesforce {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self, id: AccountId) -> Option<&account::Account> {
        self.accounts.get(id.0).map(|account| &account.common)
    }

    fn owns(&self, path: &str) -> bool {
        path == "/api/v1"
            || path.starts_with("/api/v1/")
            || path.starts_with("/v1/interactions")
            || oauth::owns(path)
    }

    fn body_limit(&self, caller: Caller) -> usize {
        match caller {
            Caller::Account(_) => BODY_LIMIT,
            Caller::Nobody => oauth::BODY_LIMIT,
        }
    }

    fn admit(&self, head: &Parts, now: Timestamp) -> Result<Caller, Rejection> {
        if oauth::owns(head.uri.path()) {
            return oauth::admit(head);
        }
        if !PATHS.contains(&head.uri.path()) {
            return Err(Rejection::UnknownPath);
        }
        if head.method != Method::POST {
            return Err(Rejection::MethodNotAllowed { allow: "POST" });
        }
        let headers = Headers::of(&head.headers);
        let org_id = headers.org_id()?;
        headers.check_request_id()?;
        if self.all_send_context {
            headers.context()?;
        }
        let (id, granted) = self.authenticate(headers.authorization, Some(org_id), now)?;
        headers.check_context(&self.accounts[id.0], granted.as_deref())?;
        if !head::names_media_type(headers.content_type.text(), "multipart/form-data") {
            return Err(Rejection::UnsupportedMediaType);
        }
        Ok(Caller::Account(id))
    }

    fn decode(&self, caller: Caller, head: &Parts, body: &Bytes, now: Timestamp) -> Result<Call, Refusal> {
        let Caller::Account(id) = caller else { return self.grant(head, body, now) };
        let account = &self.accounts[id.0];
        let (content_type, context) = headers::beside_body(&head.headers);
        let form = Form::read(content_type, body)?;
        self.interaction(account, context, form.json, Some(form.attachments))
    }

    fn identify(&self, head: &Parts, now: Timestamp) -> Result<AccountId, Rejection> {
        // Most of an org's API knows no such header.
        let headers = Headers::of(&head.headers);
        let org_id = if headers.org_id.is_sent() { Some(headers.org_id()?) } else { None };
        self.authenticate(headers.authorization, org_id, now).map(|(id, _)| id)
    }

    fn is_meant(&self, head: &Parts) -> bool {
        let path = head.uri.path();
        let token = head::authorization(&head.headers, "Bearer").unwrap_or_default();
        // Whoever shows a token that has ended is to hear so from us.
        let is_token = || {
            !token.is_empty()
                && (self.tokens.get(token.as_bytes()).is_some()
                    || self.holder(token, Timestamp::MIN).is_some())
        };
        let is_of_org = !self.accounts.is_empty() && path.starts_with("/services/") && !oauth::owns(path);
        is_of_org && (head::is_sent(&head.headers, headers::ORG_ID) || is_token())
    }

    fn is_lead(&self, head: &Parts, so_far: &[u8]) -> bool {
        let is_interaction = PATHS.contains(&head.uri.path());
        is_interaction && Lead::read(&head.headers, so_far).is_some_and(|lead| lead.is_followed)
    }

    fn decode_lead(
        &self,
        caller: Caller,
        head: &Parts,
        lead: &Bytes,
        now: Timestamp,
    ) -> Result<Call, Refusal> {
        let found = Lead::read(&head.headers, lead).filter(|lead| lead.is_followed);
        match (caller, found) {
            (Caller::Account(id), Some(lead)) => {
                let (_, context) = headers::beside_body(&head.headers);
                self.interaction(&self.accounts[id.0], context, lead.json, None)
            }
            _ => self.decode(caller, head, lead, now),
        }
    }

    fn refuse(&self, head: &Parts, refusal: &Refusal) -> Response<Bytes> {
        if oauth::owns(head.uri.path()) { oauth::refused(&refusal.rejection) } else { wire::refused(refusal) }
    }

    fn message_text(&self, head: &Parts, body: &Bytes) -> Option<String> {
        let (content_type, _) = headers::beside_body(&head.headers);
        let form = Form::read(content_type, body).ok()?;
        interaction::text(&json::parse(form.json).ok()?)
    }

    fn example(&self, account: AccountId, base_url: &str) -> Option<Example> {
        example::typing(self.accounts.get(account.0)?, base_url)
    }
}

fn call(account: &Account, interaction: &Interaction<'_>) -> Call {
    let id = interaction.id.to_owned();
    let signal = match interaction.event {
        Event::TypingStarted => Some(Signal::Composing { ttl: account.common.ttl }),
        Event::TypingStopped => Some(Signal::Paused),
        Event::Message | Event::Attachment => Some(Signal::Sent),
        Event::DeliveryFailed => None,
    };
    Call {
        conversations: vec![account.common.conversation(interaction.to, User::new(interaction.from))],
        role: Role::User,
        signal,
        marks: Marks { turn: None, payload_id: Some(id.as_str().into()) },
        opens_conversation: signal == Some(Signal::Sent),
        names_conversation: true,
        reference: Some(id.clone()),
        reply: Box::new(move |receipt| wire::accepted(&id, receipt)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::*;
    use crate::account::{Channel, ChannelKind};

    fn account(token: &str) -> Account {
        Account {
            common: account::Account {
                tenant: "acme".into(),
                channel: Channel { name: "salesforce".into(), kind: ChannelKind::Opaque },
                agents: Patterns::any(),
                aliases: BTreeMap::new(),
                ttl: Duration::from_secs(7),
                answer: account::Answered::default(),
            },
            org_id: "00Ddev000000000".to_owned(),
            tokens: vec![Secret::new(token)],
            connected_apps: ConnectedApps::default(),
            instance_url: None,
            contexts: BTreeMap::from([("Dev_Channel".to_owned(), Patterns::any())]),
            authorization_context: AuthorizationContext::Required,
        }
    }

    fn open(accounts: Vec<Account>) -> Result<Salesforce, Claimed> {
        Salesforce::new(accounts, &TokenKeys::new([1; 32], []), &KeyHasher::new([7; 32]))
    }

    fn admit(accounts: Vec<Account>, headers: &[(&str, &str)]) -> Result<Caller, Rejection> {
        let door = open(accounts).unwrap();
        let request = Request::post("/api/v1/interactions").header("RequestId", "1");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        door.admit(&request.body(()).unwrap().into_parts().0, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_token_has_one_account() {
        let mut other = account("token");
        other.common.agents = Patterns::new(["other"]);
        let mut first = account("token");
        first.common.agents = Patterns::new(["first"]);
        let claimed = open(vec![first, other]).err();
        assert_eq!(claimed, Some(Claimed { door: NAME, account: 1, what: "Salesforce token", by: None }));
    }

    #[test]
    fn the_context_is_asked_for_before_the_token_only_where_everybody_sends_one() {
        let mut without = Account { authorization_context: AuthorizationContext::Absent, ..account("other") };
        without.common.agents = Patterns::new([""]);
        let mut with = account("token");
        with.common.agents = Patterns::new(["desk"]);
        let headers = [("OrgId", "00Ddev000000000"), ("Authorization", "Bearer wrong")];
        let missing = headers::context(Sent::Nothing).unwrap_err();
        assert_eq!(admit(vec![account("token")], &headers), Err(missing));
        assert_eq!(admit(vec![with, without], &headers), Err(Rejection::Unauthenticated));
    }

    #[test]
    fn the_first_15_characters_of_an_org_id_count_on_both_sides() {
        let long = Account { org_id: "00Ddev000000000AAA".to_owned(), ..account("token") };
        let short = Account { org_id: "00Ddev".to_owned(), ..account("token") };
        for (configured, sent, expected) in [
            (&long, "00Ddev000000000", Err(Rejection::UnsupportedMediaType)),
            (&long, "00Ddev000000000BBB", Err(Rejection::UnsupportedMediaType)),
            (&long, "00Ddev000000001AAA", Err(Rejection::Unauthenticated)),
            (&short, "00Ddev000000000", Err(Rejection::Unauthenticated)),
        ] {
            let headers =
                [("OrgId", sent), ("Authorization", "Bearer token"), ("AuthorizationContext", "Dev_Channel")];
            assert_eq!(admit(vec![configured.clone()], &headers), expected, "{} {sent}", configured.org_id);
        }
    }
}
