//! The providers' HTTP APIs as pure codecs.
//!
//! This crate knows what each vendor puts on the wire: paths, headers, bodies, and the words of every refusal. It
//! refuses to know sockets, clocks, randomness and runtimes: a request comes in as its head and the bytes of its
//! body, and what must be different every time is handed in with the [`Receipt`].
//!
//! A provider is one folder with a type that implements [`Provider`], one line in [`doors`], and a page under
//! `docs/providers/`. A request is judged in one order at every door: path, method, required headers, credentials,
//! media type ([`Provider::admit`]); size; parse, fields, ownership ([`Provider::decode`]). Refusals are born neutral,
//! as a [`Rejection`], and each provider dresses them in its own words ([`Provider::refuse`]).
//!
//! The same folders know the other two ways: [`Upstream`] is an account at the provider itself, to which typing is
//! told and requests are passed on, and [`Webhook`] is how the provider tells us what its users do.

pub mod account;
pub mod answer;
pub mod chat_state;
pub mod head;
pub mod json;
pub mod keys;
pub mod phone;
pub mod rejection;
pub mod upstream;
pub mod webhook;

pub mod kaleyra;
pub mod pinnacle;
pub mod rbm;
pub mod salesforce;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use jiff::Timestamp;
use typingd_core::{Conversation, Marks, Role, Signal};
use uuid::Uuid;

pub use account::{Account, Channel, ChannelKind, Patterns};
pub use chat_state::ChatState;
pub use keys::{Claimed, KeyHasher, KeyRing, Secret};
pub use rejection::{Bar, Fault, FaultKind, Faults, Refusal, Rejection};
pub use salesforce::TokenKeys;
pub use upstream::{Passing, RefusalKind, Refused, Unusable, Upstream};
pub use webhook::{UserSignal, Webhook};

/// One vendor's API, with the accounts that may use it.
pub trait Provider: Send + Sync {
    /// Its name: the origin of the leases it starts, and by default its channel's name.
    fn name(&self) -> &'static str;

    /// One of the accounts that may use it; `None` past the last.
    fn account(&self, id: AccountId) -> Option<&Account>;

    /// Whether requests on this path, known or not, are answered in this provider's words.
    fn owns(&self, path: &str) -> bool;

    /// The largest body it takes from this caller, in bytes.
    fn body_limit(&self, caller: Caller) -> usize;

    /// Judges what the head alone can tell at `now`: path, method, required headers, credentials, media type, in this
    /// order.
    ///
    /// # Errors
    /// The first of them that is wrong.
    fn admit(&self, head: &Parts, now: Timestamp) -> Result<Caller, Rejection>;

    /// Reads an admitted request: parse, fields, ownership, in this order. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// What is wrong with it, with the name that the caller gave it as far as that was read.
    fn decode(&self, caller: Caller, head: &Parts, body: &Bytes, now: Timestamp) -> Result<Call, Refusal>;

    /// Whose credentials a request at `now` shows, whichever of the provider's calls it is.
    ///
    /// # Errors
    /// [`Rejection::Unauthenticated`], whichever of them is wrong; what is said of a path or a header in which they
    /// could not even be.
    fn identify(&self, head: &Parts, now: Timestamp) -> Result<AccountId, Rejection>;

    /// Whether a request on a path that no door owns is meant for this provider's API all the same.
    fn is_meant(&self, head: &Parts) -> bool;

    /// A path without what this account has before the provider's paths.
    fn path_inside<'p>(&self, account: AccountId, path: &'p str) -> &'p str {
        let _ = account;
        path
    }

    /// Whether what has come of a body is enough to decode, so that the rest need not be waited for. It is cheap to ask
    /// again with each piece that comes, however long the body. Never panics, whatever the bytes.
    fn is_lead(&self, head: &Parts, so_far: &[u8]) -> bool {
        let _ = (head, so_far);
        false
    }

    /// Reads an admitted request by its body's lead. What only the rest can show is not looked at.
    ///
    /// # Errors
    /// As [`Provider::decode`].
    fn decode_lead(
        &self,
        caller: Caller,
        head: &Parts,
        lead: &Bytes,
        now: Timestamp,
    ) -> Result<Call, Refusal> {
        self.decode(caller, head, lead, now)
    }

    /// Says no, in this provider's words.
    fn refuse(&self, head: &Parts, refusal: &Refusal) -> Response<Bytes>;

    /// What an accepted message says, for dev mode's console alone; a word in brackets where it is no text. Never
    /// panics, whatever the bytes.
    fn message_text(&self, head: &Parts, body: &Bytes) -> Option<String> {
        let _ = (head, body);
        None
    }

    /// A typing call of this account's as a command to paste, for a gateway at `base_url`; shell variables stand for
    /// its secrets.
    fn example(&self, account: AccountId, base_url: &str) -> Option<Example> {
        let _ = (account, base_url);
        None
    }
}

/// A command that shows how a door is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What it does.
    pub title: &'static str,
    /// The command, for a POSIX shell; it may have several lines.
    pub command: String,
}

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// An account, by its credentials.
    Account(AccountId),
    /// Somebody who asks for credentials and has none yet.
    Nobody,
}

/// Which of a provider's accounts: its place among those that the provider was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountId(pub usize);

/// A request understood: what it says about typing, and how to answer it.
pub struct Call {
    /// Whom it is about: one conversation, or one for each recipient of a message.
    pub conversations: Vec<Conversation>,
    /// Whose doing it is.
    pub role: Role,
    /// What it says; `None` where the call is accepted and says nothing about typing.
    pub signal: Option<Signal>,
    /// What lets a repeat or a straggler be told from news.
    pub marks: Marks,
    /// Whether the provider counts the conversation as open from now on.
    pub opens_conversation: bool,
    /// Whether the answer names the conversation, where it is open.
    pub names_conversation: bool,
    /// The name that the caller gave the call, for a refusal to repeat.
    pub reference: Option<String>,
    /// Says yes, in this provider's words.
    pub reply: Reply,
}

impl Call {
    /// A call of an agent's, on a wire that puts nothing in order.
    pub fn of_agent(conversations: Vec<Conversation>, signal: Option<Signal>, reply: Reply) -> Self {
        Self {
            conversations,
            role: Role::Agent,
            signal,
            marks: Marks::default(),
            opens_conversation: false,
            names_conversation: false,
            reference: None,
            reply,
        }
    }
}

/// How to answer an accepted call.
pub type Reply = Box<dyn FnOnce(&Receipt) -> Response<Bytes> + Send>;

/// What an answer may need that is not in the request.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Names this exchange. New for each.
    pub request_id: Uuid,
    /// Names the event or message. New for each.
    pub message_id: Uuid,
    /// When the lease began, as wall time for people; the moment of the answer where no lease lives.
    pub started_at: Timestamp,
    /// The lease's planned end, as wall time for people; the moment of the answer where no lease lives.
    pub ends_at: Timestamp,
    /// The conversation's own name, where the answer has it and the provider counts the conversation as open.
    pub conversation_id: Option<Uuid>,
}

/// Everybody who may use a door.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Kaleyra's.
    pub kaleyra: Vec<kaleyra::Account>,
    /// Pinnacle's.
    pub pinnacle: Vec<pinnacle::Account>,
    /// Salesforce's.
    pub salesforce: Vec<salesforce::Account>,
    /// Google RBM's.
    pub rbm: Vec<rbm::Account>,
}

/// The registry: every provider, in the order in which they are asked whether a path is theirs. `token_keys` sign the
/// tokens that doors issue themselves.
///
/// # Errors
/// [`Claimed`] where two accounts claim the same credential or agent.
pub fn doors(
    accounts: Accounts,
    token_keys: &TokenKeys,
    hasher: &KeyHasher,
) -> Result<Vec<Box<dyn Provider>>, Claimed> {
    Ok(vec![
        Box::new(kaleyra::Kaleyra::new(accounts.kaleyra, hasher)?),
        Box::new(pinnacle::Pinnacle::new(accounts.pinnacle, hasher)?),
        Box::new(salesforce::Salesforce::new(accounts.salesforce, token_keys, hasher)?),
        Box::new(rbm::Rbm::new(accounts.rbm, hasher)?),
    ])
}
