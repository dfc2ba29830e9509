//! What is sent to this door, read and checked.

use memchr::memchr2;
use typingd_core::{Name, User};

use crate::json::{self, Fields, Json, Object};
use crate::phone;
use crate::rejection::{FaultKind, Faults, Rejection};

const AGENT: &str = "an agent's id: `agent_` and what follows, on one line, of up to 255 bytes";
const OPTIONS: &str = "an object";

/// The body of a typing call. What is sent beside these fields is tolerated.
pub(super) struct Typing {
    pub(super) agent: Name,
    /// This wire knows one way to write a number, so that the normal form is what was sent.
    pub(super) to: User,
}

impl Typing {
    pub(super) fn read(body: &[u8]) -> Result<Self, Rejection> {
        let (agent, to, _) = read(body, "agentId", |_| ())?;
        Ok(Self { agent, to })
    }
}

/// What counts of a message's body.
pub(super) struct Message {
    pub(super) from: Name,
    pub(super) to: User,
    /// Whether it goes out later.
    pub(super) is_scheduled: bool,
}

impl Message {
    pub(super) fn read(body: &[u8]) -> Result<Self, Rejection> {
        let schedule = |options: &Object<'_>| options.get("schedule").is_some_and(|at| *at != Json::Null);
        let (from, to, is_scheduled) = read(body, "from", schedule)?;
        Ok(Self { from, to, is_scheduled: is_scheduled.unwrap_or_default() })
    }
}

/// What a message says, of whatever body: its text, or what it is made of.
pub(super) fn text(body: &[u8]) -> Option<String> {
    let json = json::parse(body).ok()?;
    let body = json.as_object()?;
    let text = body.get("text").and_then(Json::as_str).map(str::to_owned);
    let is_sent = |name: &str| body.get(name).is_some_and(|value| *value != Json::Null);
    text.or_else(|| is_sent("cards").then(|| "[card]".to_owned()))
        .or_else(|| (is_sent("media") || is_sent("mediaUrl")).then(|| "[media]".to_owned()))
}

/// Both bodies have an agent, a user and options; the agent's name differs.
fn read<T>(
    body: &[u8],
    agent: &str,
    of_options: impl FnOnce(&Object<'_>) -> T,
) -> Result<(Name, User, Option<T>), Rejection> {
    let json = json::parse(body)?;
    let fields = Fields::of_body(&json)?;
    let mut faults = Faults::default();
    let agent = read_agent(&fields, &mut faults, agent);
    let to = fields.required(&mut faults, "to", phone::EXPECTED, Json::as_str);
    let user = to.and_then(phone::with_plus);
    if to.is_some() && user.is_none() {
        fields.fault(&mut faults, "to", FaultKind::WrongValue, phone::EXPECTED);
    }
    let options = fields.optional(&mut faults, "options", OPTIONS, Json::as_object);
    match (agent, user, faults.none()?) {
        (Some(agent), Some(user), ()) => Ok((agent.into(), user, options.map(of_options))),
        _ => unreachable!("a field that was not read is a fault"),
    }
}

fn read_agent<'j>(fields: &Fields<'j, '_>, faults: &mut Faults, name: &str) -> Option<&'j str> {
    let agent = fields.required(faults, name, AGENT, Json::as_str)?;
    match fault_of_agent(agent) {
        None => return Some(agent),
        Some(kind) => fields.fault(faults, name, kind, AGENT),
    }
    None
}

/// What keeps a text from being an agent's id.
pub(super) fn fault_of_agent(id: &str) -> Option<FaultKind> {
    match id.len() {
        0 => Some(FaultKind::Empty),
        256.. => Some(FaultKind::TooLong),
        _ if !id.starts_with("agent_") || !is_one_line(id) => Some(FaultKind::WrongValue),
        _ => None,
    }
}

fn is_one_line(text: &str) -> bool {
    let ends_line = |c| matches!(c, '\u{2028}' | '\u{2029}');
    memchr2(b'\n', b'\r', text.as_bytes()).is_none() && (text.is_ascii() || !text.contains(ends_line))
}
