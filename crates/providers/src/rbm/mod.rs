//! Google's RCS for Business (RBM): an agent's events and messages on their way to a user's handset.
//!
//! Knows `POST /v1/phones/{E.164}/agentEvents` and `…/agentMessages`, their query, their bodies, and the errors that
//! Google's APIs have in common. Refuses to know what a message says, but to show it in dev mode's console, and how
//! access tokens come about: the door knows those it was given. From the vendor's reference of `phones.agentEvents`,
//! `phones.agentMessages` and `UserEvent` and its guide to webhooks, read 2026-11:
//! <https://developers.google.com/business-communications/rcs-business-messaging/reference/rest>. What those pages do
//! not say is marked in `docs/providers/google-rbm.md`.

mod path;
mod request;
mod upstream;
mod webhook;
mod wire;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use jiff::Timestamp;
use typingd_core::{Conversation, Marks, Role, Signal};

use self::path::{Endpoint, Target};
use self::request::{Event, EventType, Message};
use crate::keys::{Claimed, KeyHasher, KeyRing, Secret};
use crate::rejection::{Refusal, Rejection};
use crate::{AccountId, Call, Caller, Example, Provider, Receipt, account, head};

pub use upstream::{Credentials, RbmUpstream, UpstreamAccount};
pub use webhook::{BodyMac, RbmWebhook};

const NAME: &str = "rbm";

/// The RBM door.
#[derive(Debug)]
pub struct Rbm {
    accounts: Vec<Account>,
    tokens: KeyRing<AccountId>,
}

/// An account at this door.
#[derive(Clone, Debug)]
pub struct Account {
    /// What all doors' accounts have.
    pub common: account::Account,
    /// The bearer tokens it may use.
    pub tokens: Vec<Secret>,
}

impl Rbm {
    /// The door for these accounts.
    ///
    /// # Errors
    /// [`Claimed`] where two of them have the same token or agent.
    pub fn new(accounts: Vec<Account>, hasher: &KeyHasher) -> Result<Self, Claimed> {
        account::check_apart(NAME, accounts.iter().map(|account| &account.common))?;
        let mut tokens = KeyRing::new(hasher);
        for (at, account) in accounts.iter().enumerate() {
            for token in &account.tokens {
                if !tokens.insert(token, AccountId(at)) {
                    return Err(Claimed { door: NAME, account: at, what: "RBM token", by: None });
                }
            }
        }
        Ok(Self { accounts, tokens })
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<AccountId, Rejection> {
        let token = head::authorization(headers, "Bearer").unwrap_or_default();
        let owner = self.tokens.get(token.as_bytes()).copied();
        owner.filter(|_| !token.is_empty()).ok_or(Rejection::Unauthenticated)
    }

    fn event(&self, account: &Account, head: &Parts, body: &[u8], now: Timestamp) -> Result<Call, Refusal> {
        let target = Target::of(head)?;
        let event = Event::read(&target, body)?;
        let conversation = self.conversation(account, &event.agent, &target, event.id.as_ref())?;
        let signal = match event.kind {
            EventType::IsTyping => Some(Signal::Composing { ttl: account.common.ttl }),
            // That a message was read says nothing about typing.
            EventType::Read { .. } => None,
        };
        let id = event.id.clone();
        let reply = move |receipt: &Receipt| wire::event_accepted(&target, &event, now, receipt);
        Ok(call(conversation, signal, id, Box::new(reply)))
    }

    fn message(&self, account: &Account, head: &Parts, body: &[u8], now: Timestamp) -> Result<Call, Refusal> {
        let target = Target::of(head)?;
        let Message { agent, id } = Message::read(&target, body)?;
        let conversation = self.conversation(account, &agent, &target, id.as_ref())?;
        let name = id.clone();
        let reply = move |receipt: &Receipt| wire::message_accepted(&target, name.as_deref(), now, receipt);
        Ok(call(conversation, Some(Signal::Sent), id, Box::new(reply)))
    }

    fn conversation(
        &self,
        account: &Account,
        agent: &str,
        target: &Target,
        id: Option<&String>,
    ) -> Result<Conversation, Refusal> {
        let all = self.accounts.iter().map(|other| &other.common);
        let refusal = |rejection| Refusal { rejection, reference: id.cloned() };
        account.common.check_owns(agent, all).map_err(refusal)?;
        Ok(account.common.conversation(agent, target.user.clone()))
    }
}

fn call(conversation: Conversation, signal: Option<Signal>, id: Option<String>, reply: crate::Reply) -> Call {
    Call {
        conversations: vec![conversation],
        role: Role::Agent,
        signal,
        marks: Marks { turn: None, payload_id: id.as_deref().map(Into::into) },
        opens_conversation: false,
        names_conversation: false,
        reference: id,
        reply,
    }
}

impl Provider for Rbm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self, id: AccountId) -> Option<&account::Account> {
        self.accounts.get(id.0).map(|account| &account.common)
    }

    fn owns(&self, path: &str) -> bool {
        path == "/v1/phones" || path.starts_with("/v1/phones/")
    }

    fn body_limit(&self, _: Caller) -> usize {
        256 * 1024
    }

    fn admit(&self, head: &Parts, _: Timestamp) -> Result<Caller, Rejection> {
        Endpoint::of(head.uri.path())?;
        if head.method != Method::POST {
            return Err(Rejection::MethodNotAllowed { allow: "POST" });
        }
        let account = self.authenticate(&head.headers)?;
        if !head::is_media_type(&head.headers, "application/json") {
            return Err(Rejection::UnsupportedMediaType);
        }
        Ok(Caller::Account(account))
    }

    fn decode(&self, caller: Caller, head: &Parts, body: &Bytes, now: Timestamp) -> Result<Call, Refusal> {
        let Caller::Account(id) = caller else { return Err(Rejection::Unauthenticated.into()) };
        let account = &self.accounts[id.0];
        match Endpoint::of(head.uri.path())?.0 {
            Endpoint::Events => self.event(account, head, body, now),
            Endpoint::Messages => self.message(account, head, body, now),
        }
    }

    fn identify(&self, head: &Parts, _: Timestamp) -> Result<AccountId, Rejection> {
        self.authenticate(&head.headers)
    }

    fn is_meant(&self, head: &Parts) -> bool {
        !self.accounts.is_empty() && path::is_googles(head.uri.path())
    }

    fn refuse(&self, _: &Parts, refusal: &Refusal) -> Response<Bytes> {
        wire::refused(&refusal.rejection)
    }

    fn message_text(&self, _: &Parts, body: &Bytes) -> Option<String> {
        request::text(body)
    }

    fn example(&self, account: AccountId, base_url: &str) -> Option<Example> {
        let agent = self.accounts.get(account.0)?.common.example_agent("my_agent");
        let command = format!(
            r#"curl "{base_url}/v1/phones/+14155550123/agentEvents?eventId=$(uuidgen)&agentId={agent}" \
    -H "Authorization: Bearer $RBM_TOKEN" -H 'Content-Type: application/json' \
    -d '{{"eventType":"IS_TYPING"}}'"#
        );
        Some(Example { title: "Google RBM: an agent types", command })
    }
}
