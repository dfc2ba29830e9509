//! What is sent to this door, read and checked.

use std::collections::HashSet;

use typingd_core::User;

use crate::json::{self, Fields, Json};
use crate::phone;
use crate::rejection::{Fault, FaultKind, Faults, Rejection};

const AGENT: &str = "an agent's name, of 1 to 255 bytes";
const RECIPIENTS: &str = "an array of 1 to 1000 phone numbers";
const NUMBER: &str = "a phone number in E.164 form, with or without its plus sign";

/// How many a message may go to: each is a change of its own.
const MAX_RECIPIENTS: usize = 1_000;

/// How many wrong recipients a refusal names: it stays small, however many are wrong.
const RECIPIENTS_NAMED: usize = 8;

/// The body of a typing event.
pub(super) struct Typing<'j> {
    pub(super) from: &'j str,
    /// This wire knows one way to write a number here, so that the normal form is what was sent.
    pub(super) to: User,
}

impl<'j> Typing<'j> {
    pub(super) fn read(json: &'j Json<'_>) -> Result<Self, Rejection> {
        let fields = fields_of(json)?;
        let mut faults = Faults::default();
        let from = agent(&fields, &mut faults);
        let to = fields.required(&mut faults, "to", phone::EXPECTED, Json::as_str);
        let user = to.and_then(phone::with_plus);
        if to.is_some() && user.is_none() {
            fields.fault(&mut faults, "to", FaultKind::WrongValue, phone::EXPECTED);
        }
        let composing = fields.required(&mut faults, "composing", "an empty object", Json::as_object);
        if composing.is_some_and(|composing| !composing.is_empty()) {
            fields.fault(&mut faults, "composing", FaultKind::WrongValue, "an empty object");
        }
        match (from, user, faults.none()?) {
            (Some(from), Some(to), ()) => Ok(Self { from, to }),
            _ => unreachable!("a field that was not read is a fault"),
        }
    }
}

/// What counts of a message's body.
pub(super) struct Message {
    pub(super) from: String,
    /// As they were sent, to be echoed.
    pub(super) to: Vec<String>,
    /// Each once, however often it was named.
    pub(super) users: Vec<User>,
}

impl Message {
    pub(super) fn read(body: &[u8]) -> Result<Self, Rejection> {
        let json = json::parse(body)?;
        let fields = fields_of(&json)?;
        let mut faults = Faults::default();
        let from = agent(&fields, &mut faults);
        let to = fields.required(&mut faults, "to", RECIPIENTS, Json::as_array);
        match to.map(<[_]>::len) {
            Some(0) => fields.fault(&mut faults, "to", FaultKind::Empty, RECIPIENTS),
            Some(count) if count > MAX_RECIPIENTS => {
                fields.fault(&mut faults, "to", FaultKind::TooLong, RECIPIENTS);
            }
            _ => {}
        }
        let recipients = to.unwrap_or_default();
        let wrong = recipients.iter().enumerate().filter_map(|(at, one)| Some((at, fault_of(one)?)));
        for (at, kind) in wrong.take(RECIPIENTS_NAMED) {
            faults.add(format!("to[{at}]"), kind, NUMBER);
        }
        let (Some(from), ()) = (from, faults.none()?) else {
            unreachable!("a field that was not read is a fault")
        };
        let to: Vec<String> = recipients.iter().filter_map(Json::as_str).map(str::to_owned).collect();
        let mut users: Vec<User> = to.iter().filter_map(|to| phone::with_or_without_plus(to)).collect();
        let mut seen = HashSet::with_capacity(users.len());
        users.retain(|user| seen.insert(user.clone()));
        Ok(Self { from: from.to_owned(), to, users })
    }
}

/// What a message says, of whatever body.
pub(super) fn text(body: &[u8]) -> Option<String> {
    let json = json::parse(body).ok()?;
    json.as_object()?.get("text")?.as_str().map(str::to_owned)
}

/// The body's fields. A body of another type is JSON, so that it is the fields that are wrong.
fn fields_of<'j, 'b>(json: &'j Json<'b>) -> Result<Fields<'j, 'b>, Rejection> {
    let fault = Fault { field: "body".into(), kind: FaultKind::WrongType, expected: "a JSON object".into() };
    Fields::of_body(json).map_err(|_| Rejection::Invalid(vec![fault]))
}

fn agent<'j>(fields: &Fields<'j, '_>, faults: &mut Faults) -> Option<&'j str> {
    let from = fields.required(faults, "from", AGENT, Json::as_str)?;
    match fault_of_agent(from) {
        None => return Some(from),
        Some(kind) => fields.fault(faults, "from", kind, AGENT),
    }
    None
}

/// What keeps a text from being an agent's name.
pub(super) fn fault_of_agent(name: &str) -> Option<FaultKind> {
    match name.len() {
        0 => Some(FaultKind::Empty),
        1..=255 => None,
        256.. => Some(FaultKind::TooLong),
    }
}

fn fault_of(recipient: &Json<'_>) -> Option<FaultKind> {
    match recipient.as_str() {
        None => Some(FaultKind::WrongType),
        Some(text) if phone::with_or_without_plus(text).is_none() => Some(FaultKind::WrongValue),
        Some(_) => None,
    }
}
