//! Kaleyra RCS: an agent's typing events and messages on their way to a user's handset.
//!
//! Knows the two paths under `/v1/{sid}/rcs/`, their two credentials, their bodies, and that each has error bodies of
//! its own. Refuses to know what a message says, but to show it in dev mode's console: that it goes out is all that
//! counts here. From the vendor's pages on the RCS API, its events, its messages and its error codes, read 2026-11; where
//! they say nothing, `wire.rs` says what was chosen. `upstream` is an account at Kaleyra itself, `webhook` what it tells
//! us; neither knows when it is used.

mod request;
mod upstream;
mod webhook;
mod wire;

use std::borrow::Cow;
use std::collections::HashSet;
use std::slice;

use base64::prelude::BASE64_STANDARD;
use base64::{Engine, decoded_len_estimate};
use blake3::Hash;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use memchr::memchr;
use typingd_core::Signal;

use crate::head::{self, Sent};
use crate::keys::{Claimed, KeyHasher, KeyRing, Secret};
use crate::rejection::{Refusal, Rejection};
use crate::{AccountId, Call, Caller, Example, Provider, Receipt, account, json};

pub use upstream::{KaleyraUpstream, UpstreamAccount};
pub use webhook::KaleyraWebhook;

const NAME: &str = "kaleyra";

const API_KEY: &str = "api-key";

/// How long a `user:password` may be that is decoded without asking for memory, in bytes.
const USUAL_BASIC: usize = 192;

/// The Kaleyra door.
#[derive(Debug)]
pub struct Kaleyra {
    accounts: Vec<Account>,
    keys: KeyRing<AccountId>,
    /// The digests of `user:password`, for each account.
    basics: Vec<Vec<Hash>>,
    /// What a Basic credential is compared with where the `api-key` is nobody's.
    decoy: Hash,
    hasher: KeyHasher,
}

/// An account at this door.
#[derive(Clone, Debug)]
pub struct Account {
    /// What all doors' accounts have.
    pub common: account::Account,
    /// The account's id, as it stands in the path.
    pub sid: String,
    /// The values of `Authorization: Basic` it may use, each as `user:password`.
    pub basics: Vec<Secret>,
    /// The values of `api-key` it may use.
    pub api_keys: Vec<Secret>,
    /// Whether `api-key` alone is enough for typing, too, as other pages of the vendor have it. Off by default.
    pub api_key_alone: bool,
    /// Whether an upstream's refusal is answered with 502 in place of 400. Off by default.
    pub upstream_refusal_is_502: bool,
}

impl Kaleyra {
    /// The door for these accounts.
    ///
    /// # Errors
    /// [`Claimed`] where two of them have the same sid, `api-key` or agent.
    pub fn new(accounts: Vec<Account>, hasher: &KeyHasher) -> Result<Self, Claimed> {
        let mut sids = HashSet::with_capacity(accounts.len());
        let mut keys = KeyRing::new(hasher);
        for (at, account) in accounts.iter().enumerate() {
            if !sids.insert(account.sid.as_str()) {
                return Err(Claimed {
                    door: NAME,
                    account: at,
                    what: "Kaleyra sid",
                    by: Some(account.sid.clone()),
                });
            }
            for key in &account.api_keys {
                if !keys.insert(key, AccountId(at)) {
                    return Err(Claimed { door: NAME, account: at, what: "Kaleyra api-key", by: None });
                }
            }
        }
        account::check_apart(NAME, accounts.iter().map(|account| &account.common))?;
        let digests = |account: &Account| account.basics.iter().map(|basic| basic.digest(hasher)).collect();
        let basics = accounts.iter().map(digests).collect();
        Ok(Self { accounts, keys, basics, decoy: hasher.hash(b""), hasher: hasher.clone() })
    }

    /// The account that all credentials sent are of, which is the account of the path. Whatever is wrong, the work and
    /// the refusal are the same.
    fn authenticate(
        &self,
        api_key: Sent<'_>,
        authorization: Sent<'_>,
        sid: &str,
        is_key_enough: bool,
    ) -> Result<AccountId, Rejection> {
        let key = api_key.text().unwrap_or_default();
        let owner = self.keys.get(key.as_bytes()).copied().filter(|_| !key.is_empty());
        let basic = authorization.text().and_then(|sent| head::credentials(sent, "Basic"));
        let mut room = [0; USUAL_BASIC];
        let basic = basic.and_then(|basic| decode_basic(basic, &mut room));
        let has_basic = basic.is_some();
        let basic = self.hasher.hash(basic.as_deref().unwrap_or_default());
        let known = owner.map_or(slice::from_ref(&self.decoy), |owner| &self.basics[owner.0]);
        let is_basic_right = known.contains(&basic) && has_basic;

        let owner = owner.ok_or(Rejection::Unauthenticated)?;
        let account = &self.accounts[owner.0];
        let is_key_enough = is_key_enough || account.api_key_alone;
        let needs_basic = !is_key_enough || authorization.is_sent();
        if account.sid == sid && (is_basic_right || !needs_basic) {
            Ok(owner)
        } else {
            Err(Rejection::Unauthenticated)
        }
    }

    fn typing(&self, account: &Account, body: &[u8]) -> Result<Call, Rejection> {
        let json = json::parse(body)?;
        let request::Typing { from, to } = request::Typing::read(&json)?;
        self.check_owns(account, from)?;
        let conversations = vec![account.common.conversation(from, to.clone())];
        let reply = move |receipt: &Receipt| wire::typing_accepted(to.as_str(), receipt);
        Ok(Call::of_agent(
            conversations,
            Some(Signal::Composing { ttl: account.common.ttl }),
            Box::new(reply),
        ))
    }

    fn message(&self, account: &Account, body: &[u8]) -> Result<Call, Rejection> {
        let request::Message { from, to, users } = request::Message::read(body)?;
        self.check_owns(account, &from)?;
        let conversations = users.into_iter().map(|user| account.common.conversation(&from, user)).collect();
        let reply = move |receipt: &Receipt| wire::message_accepted(&to, receipt);
        Ok(Call::of_agent(conversations, Some(Signal::Sent), Box::new(reply)))
    }

    fn check_owns(&self, account: &Account, agent: &str) -> Result<(), Rejection> {
        account.common.check_owns(agent, self.accounts.iter().map(|other| &other.common))
    }
}

impl Provider for Kaleyra {
    fn name(&self) -> &'static str {
        NAME
    }

    fn account(&self, id: AccountId) -> Option<&account::Account> {
        self.accounts.get(id.0).map(|account| &account.common)
    }

    fn owns(&self, path: &str) -> bool {
        split(path).is_some()
    }

    fn body_limit(&self, _: Caller) -> usize {
        64 * 1024
    }

    fn admit(&self, head: &Parts, _: Timestamp) -> Result<Caller, Rejection> {
        let route = Route::of(head)?;
        if head.method != Method::POST {
            return Err(Rejection::MethodNotAllowed { allow: "POST" });
        }
        let is_key_enough = matches!(route.endpoint, Endpoint::Messages);
        let [api_key, authorization, content_type] =
            head::pick(&head.headers, [API_KEY, "authorization", "content-type"]);
        let account = self.authenticate(api_key, authorization, route.sid, is_key_enough)?;
        if !head::names_media_type(content_type.text(), "application/json") {
            return Err(Rejection::UnsupportedMediaType);
        }
        Ok(Caller::Account(account))
    }

    fn decode(&self, caller: Caller, head: &Parts, body: &Bytes, _: Timestamp) -> Result<Call, Refusal> {
        let Caller::Account(id) = caller else { return Err(Rejection::Unauthenticated.into()) };
        let account = &self.accounts[id.0];
        let call = match Route::of(head)?.endpoint {
            Endpoint::Events => self.typing(account, body)?,
            Endpoint::Messages => self.message(account, body)?,
        };
        Ok(call)
    }

    fn identify(&self, head: &Parts, _: Timestamp) -> Result<AccountId, Rejection> {
        let (sid, _) = split_sid(head.uri.path()).ok_or(Rejection::UnknownPath)?;
        let [api_key, authorization] = head::pick(&head.headers, [API_KEY, "authorization"]);
        self.authenticate(api_key, authorization, sid, true)
    }

    fn is_meant(&self, head: &Parts) -> bool {
        let sid = split_sid(head.uri.path()).map(|(sid, _)| sid);
        sid.is_some_and(|sid| self.accounts.iter().any(|account| account.sid == sid))
    }

    fn refuse(&self, head: &Parts, refusal: &Refusal) -> Response<Bytes> {
        let sid = split(head.uri.path()).map(|(sid, _)| sid);
        let is_502 =
            |account: &&Account| account.upstream_refusal_is_502 && Some(account.sid.as_str()) == sid;
        let upstream_status = match self.accounts.iter().find(is_502) {
            Some(_) => StatusCode::BAD_GATEWAY,
            None => StatusCode::BAD_REQUEST,
        };
        match Route::of(head) {
            Ok(Route { endpoint: Endpoint::Messages, .. }) => {
                wire::message_refused(&refusal.rejection, upstream_status)
            }
            Ok(Route { endpoint: Endpoint::Events, .. }) | Err(_) => {
                wire::event_refused(&refusal.rejection, upstream_status)
            }
        }
    }

    fn message_text(&self, _: &Parts, body: &Bytes) -> Option<String> {
        request::text(body)
    }

    fn example(&self, account: AccountId, base_url: &str) -> Option<Example> {
        let account = self.accounts.get(account.0).filter(|account| account::is_plain(&account.sid))?;
        let (sid, agent) = (&account.sid, account.common.example_agent("kio_rcs"));
        let command = format!(
            r#"curl {base_url}/v1/{sid}/rcs/events \
  -u "$KALEYRA_USER_PASSWORD" -H "api-key: $KALEYRA_API_KEY" \
  -H 'Content-Type: application/json' \
  -d '{{"from":"{agent}","to":"+14155550123","composing":{{}}}}'"#
        );
        Some(Example { title: "Kaleyra: an agent types", command })
    }
}

/// The `user:password` of a Basic credential; in `room`, where it is no longer than usual.
fn decode_basic<'r>(basic: &str, room: &'r mut [u8; USUAL_BASIC]) -> Option<Cow<'r, [u8]>> {
    if decoded_len_estimate(basic.len()) > USUAL_BASIC {
        return BASE64_STANDARD.decode(basic).ok().map(Cow::Owned);
    }
    let length = BASE64_STANDARD.decode_slice(basic, room).ok()?;
    Some(Cow::Borrowed(&room[..length]))
}

struct Route<'h> {
    sid: &'h str,
    endpoint: Endpoint,
}

enum Endpoint {
    Events,
    Messages,
}

impl<'h> Route<'h> {
    fn of(head: &'h Parts) -> Result<Self, Rejection> {
        match split(head.uri.path()) {
            Some((sid, "/events")) => Ok(Self { sid, endpoint: Endpoint::Events }),
            Some((sid, "/messages")) => Ok(Self { sid, endpoint: Endpoint::Messages }),
            _ => Err(Rejection::UnknownPath),
        }
    }
}

/// The sid of a path of this door, and what follows `/rcs`.
fn split(path: &str) -> Option<(&str, &str)> {
    let (sid, rest) = split_sid(path)?;
    let rest = rest.strip_prefix("/rcs")?;
    (rest.is_empty() || rest.starts_with('/')).then_some((sid, rest))
}

/// The sid of a path of Kaleyra's API, and what follows it, which begins with a slash.
fn split_sid(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix("/v1/")?;
    let (sid, rest) = rest.split_at(memchr(b'/', rest.as_bytes())?);
    (!sid.is_empty()).then_some((sid, rest))
}
