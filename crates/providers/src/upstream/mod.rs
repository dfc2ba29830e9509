//! Accounts at the providers themselves: what is sent to them, and what their answers mean.
//!
//! This knows requests and answers as values. It refuses to know connections, clocks, keys and when to send: what must
//! be new each time comes in as [`Fresh`], an answer as [`Answer`], and whoever holds the socket decides what a
//! refusal does to the next call. What is sent here can be read by the provider's own door: `decode(forward(change))`
//! gives the signal back for every change that the wire can say, and for the others there is no request. A request that
//! came to the door can be passed on, too ([`Upstream::pass`]): what the door understood of it, the provider will.

mod account;
mod bearer;
mod google;
mod pass;
pub(crate) mod query;
mod refused;
mod retry_after;
mod token;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use jiff::Timestamp;
use typingd_core::{Role, User};
use uuid::Uuid;

pub use account::{Account, Unusable};
pub use pass::{Passing, is_path};
pub use refused::{RefusalKind, Refused, rejection};
pub use token::{AccessToken, AssertionSigner, JwtBearer};

pub(crate) use account::{BaseUrl, Site, header};
pub(crate) use bearer::Bearer;
pub(crate) use google::GoogleError;
pub(crate) use refused::by_status;
pub(crate) use token::Claims;

use crate::chat_state::ChatState;
use crate::json::{self, Json};

/// As much of an answer's body as is looked at, in bytes. A longer body says nothing.
pub const ANSWER_LIMIT: usize = 64 * 1024;

/// An account at a provider, through which somebody's typing is shown on the other side.
pub trait Upstream: fmt::Debug + Send + Sync {
    /// The provider's name, as its door has it.
    fn name(&self) -> &'static str;

    /// Whose typing this wire can tell.
    fn role(&self) -> Role;

    /// How the provider shows typing.
    fn display(&self) -> Display;

    /// What the provider calls an agent of ours.
    fn agent<'a>(&'a self, ours: &'a str) -> &'a str;

    /// Where its access tokens come from; `None` where its credentials stay the same.
    fn tokens(&self) -> Option<&JwtBearer> {
        None
    }

    /// Puts the account's credentials on a request, in place of whatever credentials are there. Says whether it could:
    /// not where a token is needed and none was handed in.
    fn authorize(&self, headers: &mut HeaderMap, fresh: &Fresh<'_>) -> bool;

    /// The request that tells the provider; `None` where its wire cannot say this, of these two.
    fn forward(&self, change: &Change<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>>;

    /// A request that came to a door as the provider is to have it: with this account's credentials in place of the
    /// caller's, the agent by the provider's name, and otherwise as it was; `None` where no request can be made of it.
    /// What of the body follows the lead is to follow unchanged. Never panics, whatever the bytes.
    fn pass(&self, passing: Passing<'_>, fresh: &Fresh<'_>) -> Option<Request<Bytes>>;

    /// What an answer means. Never panics, whatever the bytes.
    ///
    /// # Errors
    /// Whom the provider refused, and for how long.
    fn judge(&self, answer: &Answer<'_>) -> Result<Accepted, Refused>;
}

/// How a provider shows typing, as far as it is known: what a call costs and does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display {
    /// How long the dots show after one call.
    pub display: Duration,
    /// What another call does while they show.
    pub refresh: Refresh,
    /// The least time between two calls about one conversation.
    pub floor: Duration,
    /// Whether there is a call that ends them.
    pub stop: bool,
    /// Whether the message itself ends them.
    pub cleared_by_message: bool,
    /// Whether calls take effect in the order in which they arrive.
    pub in_order: bool,
}

/// What a call does while the dots show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// They show for the whole display time from now on.
    Resets,
    /// Nothing, or harm: they must fade first.
    Forbidden,
}

/// What the other side is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The agent, by our name for it.
    pub agent: &'a str,
    /// The user, in its normal form.
    pub user: &'a User,
    /// What is said, of the side that the upstream tells of.
    pub signal: ChatState,
}

/// What must be new for each request.
#[derive(Clone, Copy, Debug)]
pub struct Fresh<'a> {
    /// Names the request, and the event in it. Never used before.
    pub id: Uuid,
    /// Wall time, where the wire wants one.
    pub now: Timestamp,
    /// An access token that is not spent, where the upstream has [`Upstream::tokens`].
    pub token: Option<&'a AccessToken>,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, at most [`ANSWER_LIMIT`] of it and one byte more.
    pub body: &'a [u8],
    /// When it came, for a `Retry-After` that is a date.
    pub now: Timestamp,
}

/// The provider took the call. That anybody sees dots is not said by any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted;

impl<'a> Answer<'a> {
    /// The body, where it is JSON that can be read in one way.
    pub(crate) fn json(&self) -> Option<Json<'a>> {
        if self.body.len() > ANSWER_LIMIT { None } else { json::parse(self.body).ok() }
    }
}

/// A POST of JSON, without credentials yet.
pub(crate) fn post_json(uri: Uri, body: Vec<u8>) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// How RCS shows typing, whoever brings it there: about 20 s, reset by each call, ended by the message alone. No order
/// is promised.
pub(crate) const RCS: Display = Display {
    display: Duration::from_secs(20),
    refresh: Refresh::Resets,
    floor: Duration::from_secs(1),
    stop: false,
    cleared_by_message: true,
    in_order: false,
};
