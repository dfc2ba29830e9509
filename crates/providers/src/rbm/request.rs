//! What is sent to this door, read and checked.

use super::path::Target;
use crate::json::{self, Fields, Json};
use crate::rejection::{FaultKind, Faults, Rejection};

const EVENT_TYPE: &str = "IS_TYPING or READ";
const MESSAGE_ID: &str = "the id of the message that was read, of 1 to 255 bytes";

/// An agent's event.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) agent: String,
    pub(super) id: Option<String>,
    pub(super) kind: EventType,
}

/// What an agent's event tells.
#[derive(Debug)]
pub(super) enum EventType {
    IsTyping,
    Read { message_id: String },
}

impl Event {
    pub(super) fn read(target: &Target, body: &[u8]) -> Result<Self, Rejection> {
        let json = json::parse(body)?;
        let fields = Fields::of_body(&json)?;
        let mut faults = Faults::default();
        let (agent, id) = (target.agent(&mut faults), target.id(&mut faults));
        let kind = event_type(&fields, &mut faults);
        match (agent, kind, faults.none()?) {
            (Some(agent), Some(kind), ()) => Ok(Self { agent, id, kind }),
            _ => unreachable!("a field that was not read is a fault"),
        }
    }
}

fn event_type(fields: &Fields<'_, '_>, faults: &mut Faults) -> Option<EventType> {
    match fields.required(faults, "eventType", EVENT_TYPE, Json::as_str)? {
        "IS_TYPING" => Some(EventType::IsTyping),
        "READ" => {
            let message_id = fields.required(faults, "messageId", MESSAGE_ID, Json::as_str)?;
            let kind = match message_id.len() {
                0 => FaultKind::Empty,
                256.. => FaultKind::TooLong,
                _ => return Some(EventType::Read { message_id: message_id.to_owned() }),
            };
            fields.fault(faults, "messageId", kind, MESSAGE_ID);
            None
        }
        _ => {
            fields.fault(faults, "eventType", FaultKind::WrongValue, EVENT_TYPE);
            None
        }
    }
}

/// What counts of an agent's message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) agent: String,
    pub(super) id: Option<String>,
}

impl Message {
    pub(super) fn read(target: &Target, body: &[u8]) -> Result<Self, Rejection> {
        let json = json::parse(body)?;
        let fields = Fields::of_body(&json)?;
        let mut faults = Faults::default();
        let (agent, id) = (target.agent(&mut faults), target.id(&mut faults));
        let _ = fields.required(&mut faults, "contentMessage", "an object", Json::as_object);
        match (agent, faults.none()?) {
            (Some(agent), ()) => Ok(Self { agent, id }),
            (None, ()) => unreachable!("a field that was not read is a fault"),
        }
    }
}

/// What a message says, of whatever body: its text, or what it is made of.
pub(super) fn text(body: &[u8]) -> Option<String> {
    let json = json::parse(body).ok()?;
    let content = json.at(&["contentMessage"])?.as_object()?;
    let text = content.get("text").and_then(Json::as_str).map(str::to_owned);
    let is_sent = |name: &str| content.get(name).is_some_and(|value| *value != Json::Null);
    text.or_else(|| is_sent("richCard").then(|| "[card]".to_owned())).or_else(|| {
        let is_file = ["contentInfo", "uploadedRbmFile", "fileName"].into_iter().any(is_sent);
        is_file.then(|| "[file]".to_owned())
    })
}
