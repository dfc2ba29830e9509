//! Pinnacle RCS: an agent's typing calls and messages on their way to a user's handset.
//!
//! Knows the three paths, the one header that authenticates, the bodies, and the error body that its SDKs can read.
//! Refuses to know what a message says, except whether it goes out now or later and, for dev mode's console, its text.
//! From the vendor's API reference on typing indicators and RCS messages and from what its SDKs send, read 2026-11.
//! `upstream` is an account at Pinnacle itself, `webhook` what it tells us; neither knows when it is used.

mod request;
mod upstream;
mod webhook;
mod wire;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response};
use jiff::Timestamp;
use typingd_core::{Conversation, Signal, User};

use crate::head::{self, Sent};
use crate::keys::{Claimed, KeyHasher, KeyRing, Secret};
use crate::rejection::{Refusal, Rejection};
use crate::{AccountId, Call, Caller, Example, Provider, Receipt, account};

pub use upstream::{PinnacleUpstream, UpstreamAccount};
pub use webhook::PinnacleWebhook;

const NAME: &str = "pinnacle";

/// The header that authenticates.
const KEY: &str = "pinnacle-api-key";

/// The paths of typing calls, that of current SDKs first, and of messages.
const TYPING_PATHS: [&str; 2] = ["/messages/send/typing", "/messages/typing"];
const MESSAGE_PATH: &str = "/messages/send/rcs";

/// The Pinnacle door.
#[derive(Debug)]
pub struct Pinnacle {
    accounts: Vec<Account>,
    keys: KeyRing<AccountId>,
}

/// An account at this door.
#[derive(Clone, Debug)]
pub struct Account {
    /// What all doors' accounts have.
    pub common: account::Account,
    /// The values of `PINNACLE-API-KEY` it may use.
    pub api_keys: Vec<Secret>,
    /// A path before the paths, as in `/pinnacle`, for clients that are given such a base URL; mostly empty.
    pub prefix: String,
}

impl Pinnacle {
    /// The door for these accounts.
    ///
    /// # Errors
    /// [`Claimed`] where two of them have the same key or agent.
    pub fn new(accounts: Vec<Account>, hasher: &KeyHasher) -> Result<Self, Claimed> {
        account::check_apart(NAME, accounts.iter().map(|account| &account.common))?;
        let mut keys = KeyRing::new(hasher);
        for (at, account) in accounts.iter().enumerate() {
            for key in &account.api_keys {
                if !keys.insert(key, AccountId(at)) {
                    return Err(Claimed { door: NAME, account: at, what: "Pinnacle api-key", by: None });
                }
            }
        }
        Ok(Self { accounts, keys })
    }

    /// The account of the key, which must be one that is served under this prefix.
    fn authenticate(&self, key: Sent<'_>, prefix: &str) -> Result<AccountId, Rejection> {
        let key = key.text().unwrap_or_default();
        let owner = self.keys.get(key.as_bytes()).copied().filter(|_| !key.is_empty());
        owner.filter(|owner| self.accounts[owner.0].prefix == prefix).ok_or(Rejection::Unauthenticated)
    }

    fn typing(&self, account: &Account, body: &[u8]) -> Result<Call, Rejection> {
        let request::Typing { agent, to } = request::Typing::read(body)?;
        let conversation = self.conversation(account, &agent, &to)?;
        let reply = move |receipt: &Receipt| wire::typing_accepted(&agent, &to, receipt);
        Ok(Call::of_agent(
            vec![conversation],
            Some(Signal::Composing { ttl: account.common.ttl }),
            Box::new(reply),
        ))
    }

    fn message(&self, account: &Account, body: &[u8]) -> Result<Call, Rejection> {
        let request::Message { from, to, is_scheduled } = request::Message::read(body)?;
        let conversation = self.conversation(account, &from, &to)?;
        // A message for later is accepted now, and the agent goes on typing until it goes out.
        let signal = (!is_scheduled).then_some(Signal::Sent);
        let reply = move |receipt: &Receipt| wire::message_accepted(&from, &to, receipt);
        Ok(Call::of_agent(vec![conversation], signal, Box::new(reply)))
    }

    fn conversation(&self, account: &Account, agent: &str, user: &User) -> Result<Conversation, Rejection> {
        account.common.check_owns(agent, self.accounts.iter().map(|other| &other.common))?;
        Ok(account.common.conversation(agent, user.clone()))
    }

    /// The prefix of a path and what follows it, where the path is of this door.
    fn split<'p>(&self, path: &'p str) -> Option<(&'p str, &'p str)> {
        let prefixes = self.accounts.iter().map(|account| account.prefix.as_str());
        prefixes.chain([""]).find_map(|prefix| {
            let rest = path.strip_prefix(prefix)?;
            rest.starts_with("/messages/").then(|| path.split_at(prefix.len()))
        })
    }

    /// The longest of the accounts' prefixes that a path, of whatever call, is under; mostly empty.
    fn prefix_of(&self, path: &str) -> &str {
        let prefixes = self.accounts.iter().map(|account| account.prefix.as_str());
        let prefixes = prefixes.filter(|prefix| strip_prefix(path, prefix).is_some());
        prefixes.max_by_key(|prefix| prefix.len()).unwrap_or_default()
    }

    fn route<'p>(&self, path: &'p str) -> Result<(&'p str, Endpoint), Rejection> {
        match self.split(path) {
            Some((prefix, path)) if TYPING_PATHS.contains(&path) => Ok((prefix, Endpoint::Typing)),
            Some((prefix, MESSAGE_PATH)) => Ok((prefix, Endpoint::Message)),
            _ => Err(Rejection::UnknownPath),
        }
    }
}

impl Provider for Pinnacle {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self, id: AccountId) -> Option<&account::Account> {
        self.accounts.get(id.0).map(|account| &account.common)
    }

    fn owns(&self, path: &str) -> bool {
        self.split(path).is_some()
    }

    fn body_limit(&self, _: Caller) -> usize {
        64 * 1024
    }

    fn admit(&self, head: &Parts, _: Timestamp) -> Result<Caller, Rejection> {
        let (prefix, _) = self.route(head.uri.path())?;
        if head.method != Method::POST {
            return Err(Rejection::MethodNotAllowed { allow: "POST" });
        }
        let [key, content_type] = head::pick(&head.headers, [KEY, "content-type"]);
        let account = self.authenticate(key, prefix)?;
        if !head::names_media_type(content_type.text(), "application/json") {
            return Err(Rejection::UnsupportedMediaType);
        }
        Ok(Caller::Account(account))
    }

    fn decode(&self, caller: Caller, head: &Parts, body: &Bytes, _: Timestamp) -> Result<Call, Refusal> {
        let Caller::Account(id) = caller else { return Err(Rejection::Unauthenticated.into()) };
        let account = &self.accounts[id.0];
        let call = match self.route(head.uri.path())? {
            (_, Endpoint::Typing) => self.typing(account, body)?,
            (_, Endpoint::Message) => self.message(account, body)?,
        };
        Ok(call)
    }

    fn identify(&self, head: &Parts, _: Timestamp) -> Result<AccountId, Rejection> {
        let [key] = head::pick(&head.headers, [KEY]);
        self.authenticate(key, self.prefix_of(head.uri.path()))
    }

    fn is_meant(&self, head: &Parts) -> bool {
        let is_known = !self.accounts.is_empty() && !head::is_own_path(head.uri.path());
        is_known && head::is_sent(&head.headers, KEY)
    }

    fn path_inside<'p>(&self, account: AccountId, path: &'p str) -> &'p str {
        let account = self.accounts.get(account.0);
        account.and_then(|account| strip_prefix(path, &account.prefix)).unwrap_or(path)
    }

    fn refuse(&self, _: &Parts, refusal: &Refusal) -> Response<Bytes> {
        wire::refused(&refusal.rejection)
    }

    fn message_text(&self, _: &Parts, body: &Bytes) -> Option<String> {
        request::text(body)
    }

    fn example(&self, account: AccountId, base_url: &str) -> Option<Example> {
        let account = self.accounts.get(account.0).filter(|account| is_plain_path(&account.prefix))?;
        let (prefix, agent) = (&account.prefix, account.common.example_agent("agent_x"));
        let command = format!(
            r#"curl {base_url}{prefix}/messages/send/typing \
  -H "PINNACLE-API-KEY: $PINNACLE_API_KEY" \
  -H 'Content-Type: application/json' \
  -d '{{"agentId":"{agent}","to":"+14155550123"}}'"#
        );
        Some(Example { title: "Pinnacle: an agent types", command })
    }
}

/// What follows the prefix of a path that is under it.
fn strip_prefix<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|rest| rest.starts_with('/'))
}

fn is_plain_path(path: &str) -> bool {
    path.split('/').all(account::is_plain)
}

enum Endpoint {
    Typing,
    Message,
}
