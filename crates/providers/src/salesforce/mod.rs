//! Salesforce Interaction Service, for Bring Your Own Channel: a connector tells what the end user does.
//!
//! This knows `POST /api/v1/interactions`, as every published connector calls it, and `POST /v1/interactions`, as the
//! vendor's [reference] prints it (read in November 2026): their headers, their multipart bodies, their codes. Where
//! the reference and the published connectors differ, the connectors are right. It refuses to know where tokens come
//! from and what becomes of messages and files: of those it takes only that the end user's message went out.
//!
//! [reference]: https://developer.salesforce.com/docs/service/interaction-service-api/references/interaction-service-reference

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::HeaderMap;
use http::request::Parts;
use http::{Method, Response};
use typingd_core::{Marks, Role, Signal, User};

use self::form::Form;
use self::interaction::{Event, Interaction};
use crate::account::{self, Patterns};
use crate::keys::{Claimed, KeyHasher, KeyRing, Secret};
use crate::rejection::{Bar, Refusal, Rejection};
use crate::{AccountId, Call, Provider, head, json};

mod form;
mod interaction;
mod multipart;
mod wire;

const PATHS: [&str; 2] = ["/api/v1/interactions", "/v1/interactions"];

/// The largest body: a file and what is said about it.
const BODY_LIMIT: usize = 6 * 1024 * 1024;

/// How much of an org's id counts: an id of 18 characters ends in a checksum of 3.
const ORG_ID: usize = 15;

/// An account at this door: an org, and what may write to it.
#[derive(Clone, Debug)]
pub struct Account {
    /// What all doors' accounts have. Its agents are the channel addresses.
    pub common: account::Account,
    /// The org's id, of 15 or 18 characters; the first 15 count.
    pub org_id: String,
    /// The bearer tokens it may use.
    pub tokens: Vec<Secret>,
    /// The authorization contexts it may use, and which of its channel addresses each is for.
    pub contexts: BTreeMap<String, Patterns>,
    /// Whether the header must be there or must not: a matter of the product.
    pub authorization_context: AuthorizationContext,
}

/// What the `AuthorizationContext` header is to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationContext {
    /// Both Bring Your Own Channel products send it.
    Required,
    /// One more product must not.
    Absent,
}

/// The door, with the accounts that may use it.
#[derive(Debug)]
pub struct Salesforce {
    accounts: Vec<Account>,
    tokens: KeyRing<AccountId>,
    /// Whether every account sends an authorization context, so that it can be asked for before anybody is known.
    all_send_context: bool,
}

impl Salesforce {
    /// Opens the door to these accounts.
    ///
    /// # Errors
    /// [`Claimed`] where a token is listed twice.
    pub fn new(accounts: Vec<Account>, hasher: &KeyHasher) -> Result<Self, Claimed> {
        let mut tokens = KeyRing::new(hasher);
        for (place, account) in accounts.iter().enumerate() {
            for token in &account.tokens {
                tokens.insert(token, AccountId(place), "Salesforce token")?;
            }
        }
        let all_send_context =
            accounts.iter().all(|account| account.authorization_context == AuthorizationContext::Required);
        Ok(Self { accounts, tokens, all_send_context })
    }

    /// Whose token and org these are. The same work is done for a token that nobody has.
    fn authenticate(&self, headers: &HeaderMap, org_id: &str) -> Result<AccountId, Rejection> {
        let token = head::authorization(headers, "Bearer");
        let holder = self.tokens.get(token.unwrap_or_default().as_bytes());
        let holders_org = holder.map_or("nobody's org id", |id| self.accounts[id.0].org_id.as_str());
        let is_their_org = holders_org.get(..ORG_ID) == org_id.get(..ORG_ID);
        match holder {
            Some(id) if token.is_some() && is_their_org => Ok(*id),
            _ => Err(Rejection::Unauthenticated),
        }
    }

    fn check_agent(&self, account: &Account, headers: &HeaderMap, agent: &str) -> Result<(), Rejection> {
        account.common.check_owns(agent, self.accounts.iter().map(|account| &account.common))?;
        let is_for_agent = match account.authorization_context {
            AuthorizationContext::Required => {
                account.contexts.get(context(headers)?).is_some_and(|agents| agents.contain(agent))
            }
            AuthorizationContext::Absent => true,
        };
        if is_for_agent { Ok(()) } else { Err(Rejection::Forbidden(Bar::ContextForAgent)) }
    }
}

impl Provider for Salesforce {
    fn name(&self) -> &'static str {
        "salesforce"
    }

    fn accounts(&self) -> Vec<&account::Account> {
        self.accounts.iter().map(|account| &account.common).collect()
    }

    fn owns(&self, path: &str) -> bool {
        path == "/api/v1" || path.starts_with("/api/v1/") || path.starts_with("/v1/interactions")
    }

    fn body_limit(&self) -> usize {
        BODY_LIMIT
    }

    fn admit(&self, head: &Parts) -> Result<AccountId, Rejection> {
        if !PATHS.contains(&head.uri.path()) {
            return Err(Rejection::UnknownPath);
        }
        if head.method != Method::POST {
            return Err(Rejection::MethodNotAllowed { allow: "POST" });
        }
        let org_id = org_id(&head.headers)?;
        required(&head.headers, "RequestId", "a name for the request")?;
        if self.all_send_context {
            context(&head.headers)?;
        }
        let id = self.authenticate(&head.headers, org_id)?;
        check_context(&self.accounts[id.0], &head.headers)?;
        if !head::is_media_type(&head.headers, "multipart/form-data") {
            return Err(Rejection::UnsupportedMediaType);
        }
        Ok(id)
    }

    fn decode(&self, account: AccountId, head: &Parts, body: &Bytes) -> Result<Call, Refusal> {
        let account = &self.accounts[account.0];
        let form = Form::read(&head.headers, body)?;
        let json = json::parse(form.json)?;
        let interaction = interaction::read(&json, form.attachments)?;
        let refusal = |rejection| Refusal { rejection, reference: Some(interaction.id.to_owned()) };
        self.check_agent(account, &head.headers, interaction.to).map_err(refusal)?;
        Ok(call(account, &interaction))
    }

    fn refuse(&self, _: &Parts, refusal: &Refusal) -> Response<Bytes> {
        wire::refused(refusal)
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
        reference: Some(id.clone()),
        reply: Box::new(move |receipt| wire::accepted(&id, receipt)),
    }
}

/// The one value of a header that must be there and must not be empty.
fn required<'h>(
    headers: &'h HeaderMap,
    name: &'static str,
    expected: &'static str,
) -> Result<&'h str, Rejection> {
    let value = head::single(headers, name).filter(|value| !value.is_empty());
    value.ok_or(Rejection::BadHeader { name, expected })
}

fn org_id(headers: &HeaderMap) -> Result<&str, Rejection> {
    let expected = "an org's id of 15 or 18 letters and digits";
    let id = required(headers, "OrgId", expected)?;
    let is_id =
        [ORG_ID, ORG_ID + 3].contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_id { Ok(id) } else { Err(Rejection::BadHeader { name: "OrgId", expected }) }
}

fn context(headers: &HeaderMap) -> Result<&str, Rejection> {
    required(headers, "AuthorizationContext", "the developer name of a channel definition")
}

fn check_context(account: &Account, headers: &HeaderMap) -> Result<(), Rejection> {
    const NAME: &str = "AuthorizationContext";
    match account.authorization_context {
        AuthorizationContext::Required => {
            let is_theirs = account.contexts.contains_key(context(headers)?);
            if is_theirs { Ok(()) } else { Err(Rejection::Forbidden(Bar::Context)) }
        }
        AuthorizationContext::Absent if head::is_sent(headers, NAME) => {
            Err(Rejection::BadHeader { name: NAME, expected: "no such header from this product" })
        }
        AuthorizationContext::Absent => Ok(()),
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
            },
            org_id: "00Ddev000000000".to_owned(),
            tokens: vec![Secret::new(token)],
            contexts: BTreeMap::from([("Dev_Channel".to_owned(), Patterns::any())]),
            authorization_context: AuthorizationContext::Required,
        }
    }

    fn admit(accounts: Vec<Account>, headers: &[(&str, &str)]) -> Result<AccountId, Rejection> {
        let door = Salesforce::new(accounts, &KeyHasher::new([7; 32])).unwrap();
        let request = Request::post("/api/v1/interactions").header("RequestId", "1");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        door.admit(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_token_has_one_account() {
        let accounts = vec![account("token"), account("token")];
        let claimed = Salesforce::new(accounts, &KeyHasher::new([7; 32])).err();
        assert_eq!(claimed, Some(Claimed("Salesforce token")));
    }

    #[test]
    fn the_context_is_asked_for_before_the_token_only_where_everybody_sends_one() {
        let without = Account { authorization_context: AuthorizationContext::Absent, ..account("other") };
        let headers = [("OrgId", "00Ddev000000000"), ("Authorization", "Bearer wrong")];
        let missing = context(&HeaderMap::new()).unwrap_err();
        assert_eq!(admit(vec![account("token")], &headers), Err(missing));
        assert_eq!(admit(vec![account("token"), without], &headers), Err(Rejection::Unauthenticated));
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
