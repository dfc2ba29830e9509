//! What a request is about: the user in its path, the agent and the name in its query.

use std::borrow::Cow;

use http::request::Parts;
use typingd_core::User;

use crate::phone;
use crate::rejection::{FaultKind, Faults, Rejection};

const AGENT: &str = "an agent's id, of 1 to 255 bytes without control characters";
const ID: &str = "an id of 1 to 255 bytes without control characters";

/// Where Google's API has its calls: each of these, and what follows it after a slash or a colon.
const GOOGLES: [&str; 6] = [
    "/upload/v1/files",
    "/v1/agents",
    "/v1/dialogflowMessages",
    "/v1/files",
    "/v1/phones",
    "/v1/users:batchGet",
];

/// Whether a path is one of Google's, known here or not.
pub(super) fn is_googles(path: &str) -> bool {
    let follows = |rest: &str| rest.is_empty() || rest.starts_with(['/', ':']);
    GOOGLES.iter().any(|base| path.strip_prefix(base).is_some_and(follows))
}

/// The two calls that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Events,
    Messages,
}

impl Endpoint {
    /// The call that a path is for, and the number in it as it was sent.
    pub(super) fn of(path: &str) -> Result<(Self, &str), Rejection> {
        let rest = path.strip_prefix("/v1/phones/").ok_or(Rejection::UnknownPath)?;
        match rest.split_once('/') {
            Some((phone, "agentEvents")) => Ok((Self::Events, phone)),
            Some((phone, "agentMessages")) => Ok((Self::Messages, phone)),
            Some(_) | None => Err(Rejection::UnknownPath),
        }
    }

    /// The collection's name, as it stands in paths.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Events => "agentEvents",
            Self::Messages => "agentMessages",
        }
    }

    fn id(self) -> &'static str {
        match self {
            Self::Events => "eventId",
            Self::Messages => "messageId",
        }
    }
}

/// A path and a query, taken apart.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) user: User,
    query: Vec<(String, String)>,
}

impl Target {
    pub(super) fn of(head: &Parts) -> Result<Self, Rejection> {
        let (endpoint, phone) = Endpoint::of(head.uri.path())?;
        let user = phone::with_plus(&unescape_plus(phone));
        let user = user.ok_or_else(|| Rejection::field("parent", FaultKind::WrongValue, phone::EXPECTED))?;
        let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
        let query = query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        Ok(Self { endpoint, user, query })
    }

    /// The agent that calls. A fault where it is missing.
    pub(super) fn agent(&self, faults: &mut Faults) -> Option<String> {
        let agent = self.parameter("agentId", AGENT, faults);
        if agent.is_none() && !self.query.iter().any(|(name, _)| name == "agentId") {
            faults.add("agentId", FaultKind::Missing, AGENT);
        }
        agent
    }

    /// The caller's name for the event or message, if it has one.
    pub(super) fn id(&self, faults: &mut Faults) -> Option<String> {
        self.parameter(self.endpoint.id(), ID, faults)
    }

    fn parameter(&self, name: &'static str, expected: &'static str, faults: &mut Faults) -> Option<String> {
        let mut values = self.query.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value);
        let value = values.next()?;
        let kind = match value.len() {
            _ if values.next().is_some() => FaultKind::Repeated,
            0 => FaultKind::Empty,
            256.. => FaultKind::TooLong,
            _ if value.contains(char::is_control) => FaultKind::WrongValue,
            _ => return Some(value.clone()),
        };
        faults.add(name, kind, expected);
        None
    }
}

/// Some clients escape the plus sign. Nothing else in a number can be escaped and still be one.
fn unescape_plus(phone: &str) -> Cow<'_, str> {
    let escaped = phone.strip_prefix("%2B").or_else(|| phone.strip_prefix("%2b"));
    escaped.map_or(phone.into(), |digits| format!("+{digits}").into())
}
