//! The JSON part: one interaction of an end user with a channel address.
//!
//! Members that are not known are passed over, because the vendor adds some with every version. Timestamps must be
//! there and are not believed: published connectors send the same one always.

use crate::json::{Fields, Json};
use crate::rejection::{FaultKind, Faults, Refusal};

const TO: &str = "a channel address of 1 to 240 characters";
const FROM: &str = "an end user's name of 1 to 255 characters";
const ID: &str = "an id of 1 to 255 characters";
const TEXT: &str = "a string";
const TIMESTAMP: &str = "a whole number of milliseconds";
const INTERACTIONS: &str = "a list of one interaction";
const INTERACTION_TYPE: &str = "EntryInteraction or AttachmentInteraction";
const ENTRY_TYPE: &str = "TypingStartedIndicator, TypingStoppedIndicator, Message or MessageDeliveryFailed";

const MESSAGE_TYPE: &str = "StaticContentMessage or ChoicesResponseMessage";

/// What the JSON part says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interaction<'j> {
    /// The channel address.
    pub(super) to: &'j str,
    /// The end user.
    pub(super) from: &'j str,
    /// The caller's name for it.
    pub(super) id: &'j str,
    /// What the end user did.
    pub(super) event: Event,
}

/// What an interaction reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The end user types.
    TypingStarted,
    /// The end user stopped typing.
    TypingStopped,
    /// The end user wrote.
    Message,
    /// The end user sent a file.
    Attachment,
    /// What the rep wrote did not reach the end user.
    DeliveryFailed,
}

/// Reads a JSON part that came with so many attachments; `None` where those are not looked at.
pub(super) fn read<'j>(json: &'j Json<'_>, attachments: Option<usize>) -> Result<Interaction<'j>, Refusal> {
    let body = Fields::of_body(json)?;
    let mut faults = Faults::default();
    let to = text_within(&body, &mut faults, "to", 240, TO);
    let from = text_within(&body, &mut faults, "from", 255, FROM);
    let interaction = only_interaction(&body, &mut faults);
    let (id, event) = interaction.map_or((None, None), |fields| read_interaction(&fields, &mut faults));
    let _ = body.optional(&mut faults, "routingAttributes", "an object of strings", |attributes| {
        attributes.as_object()?.iter().all(|(_, value)| value.as_str().is_some()).then_some(())
    });
    if let Some(attachments) = attachments {
        check_attachments(&mut faults, attachments, event);
    }
    faults.none().map_err(|rejection| Refusal { rejection, reference: id.map(str::to_owned) })?;
    let whole = (|| Some(Interaction { to: to?, from: from?, id: id?, event: event? }))();
    Ok(whole.expect("what could not be read left a fault"))
}

/// What a message says, of whatever JSON: its text, or a word for what it is instead.
pub(super) fn text(json: &Json<'_>) -> Option<String> {
    let [interaction] = json.as_object()?.get("interactions")?.as_array()? else { return None };
    let interaction = interaction.as_object()?;
    if interaction.get("interactionType")?.as_str()? == "AttachmentInteraction" {
        return Some("[file]".to_owned());
    }
    let message = interaction.get("payload")?.as_object()?.get("abstractMessage")?.as_object()?;
    match message.get("messageType")?.as_str()? {
        "StaticContentMessage" => {
            message.get("staticContent")?.as_object()?.get("text")?.as_str().map(str::to_owned)
        }
        _ => Some("[choice]".to_owned()),
    }
}

fn only_interaction<'j, 'b>(body: &Fields<'j, 'b>, faults: &mut Faults) -> Option<Fields<'j, 'b>> {
    let name = "interactions";
    match body.required(faults, name, INTERACTIONS, Json::as_array)? {
        [] => body.fault(faults, name, FaultKind::Empty, INTERACTIONS),
        [Json::Object(object)] => return Some(Fields::at(object, "interactions[0]")),
        [_] => body.fault(faults, "interactions[0]", FaultKind::WrongType, "an object"),
        [_, ..] => body.fault(faults, name, FaultKind::TooLong, INTERACTIONS),
    }
    None
}

fn read_interaction<'j>(fields: &Fields<'j, '_>, faults: &mut Faults) -> (Option<&'j str>, Option<Event>) {
    timestamp(fields, faults);
    match fields.required(faults, "interactionType", INTERACTION_TYPE, Json::as_str) {
        Some("EntryInteraction") => {
            object(fields, faults, "payload").map_or((None, None), |payload| read_entry(&payload, faults))
        }
        Some("AttachmentInteraction") => (read_attachment(fields, faults), Some(Event::Attachment)),
        Some(_) => {
            fields.fault(faults, "interactionType", FaultKind::WrongValue, INTERACTION_TYPE);
            (None, None)
        }
        None => (None, None),
    }
}

fn read_attachment<'j>(fields: &Fields<'j, '_>, faults: &mut Faults) -> Option<&'j str> {
    let id = text_within(fields, faults, "id", 255, ID);
    let _ = fields.required(faults, "attachmentIndex", "a whole number, 0 or above", Json::as_u64);
    let _ = fields.required(faults, "contentLength", "a whole number of bytes", Json::as_u64);
    let _ = fields.optional(faults, "text", TEXT, Json::as_str);
    id
}

fn read_entry<'j>(payload: &Fields<'j, '_>, faults: &mut Faults) -> (Option<&'j str>, Option<Event>) {
    let id = text_within(payload, faults, "id", 255, ID);
    let event = match payload.required(faults, "entryType", ENTRY_TYPE, Json::as_str) {
        Some("TypingStartedIndicator") => {
            timestamp(payload, faults);
            Some(Event::TypingStarted)
        }
        Some("TypingStoppedIndicator") => {
            timestamp(payload, faults);
            Some(Event::TypingStopped)
        }
        Some("Message") => {
            check_message(payload, faults, id);
            Some(Event::Message)
        }
        Some("MessageDeliveryFailed") => {
            check_delivery_failed(payload, faults);
            Some(Event::DeliveryFailed)
        }
        Some(_) => {
            payload.fault(faults, "entryType", FaultKind::WrongValue, ENTRY_TYPE);
            None
        }
        None => None,
    };
    (id, event)
}

fn check_message(payload: &Fields<'_, '_>, faults: &mut Faults, payload_id: Option<&str>) {
    let Some(message) = object(payload, faults, "abstractMessage") else { return };
    let id = message.required(faults, "id", "the payload's id", Json::as_str);
    if id.is_some() && payload_id.is_some() && id != payload_id {
        message.fault(faults, "id", FaultKind::Contradiction, "the payload's id");
    }
    match message.required(faults, "messageType", MESSAGE_TYPE, Json::as_str) {
        Some("StaticContentMessage") => {
            let Some(content) = object(&message, faults, "staticContent") else { return };
            for name in ["formatType", "text"] {
                let _ = content.required(faults, name, TEXT, Json::as_str);
            }
        }
        // Somebody picked from a list. What was picked is none of our business.
        Some("ChoicesResponseMessage") | None => {}
        Some(_) => message.fault(faults, "messageType", FaultKind::WrongValue, MESSAGE_TYPE),
    }
}

fn check_delivery_failed(payload: &Fields<'_, '_>, faults: &mut Faults) {
    let _ = payload.optional(faults, "failedConversationEntryIdentifier", TEXT, Json::as_str);
    if let Some(recipient) = object(payload, faults, "recipient") {
        for name in ["appType", "subject", "role"] {
            let _ = recipient.required(faults, name, TEXT, Json::as_str);
        }
    }
    let _ = payload.required(faults, "errorCode", TEXT, Json::as_str);
}

/// A file comes with the interaction that announces it, alone, and with no other.
fn check_attachments(faults: &mut Faults, attachments: usize, event: Option<Event>) {
    let (is_announced, expected) = match event {
        None => return,
        Some(Event::Attachment) => (true, "one attachment"),
        Some(_) => (false, "no attachment with this interaction"),
    };
    let kind = match (attachments, is_announced) {
        (0, false) | (1, true) => return,
        (0, true) => FaultKind::Missing,
        (_, false) => FaultKind::Unknown,
        (_, true) => FaultKind::TooLong,
    };
    faults.add("attachments", kind, expected);
}

fn object<'j, 'b>(
    fields: &Fields<'j, 'b>,
    faults: &mut Faults,
    name: &'static str,
) -> Option<Fields<'j, 'b>> {
    let object = fields.required(faults, name, "an object", Json::as_object)?;
    Some(fields.inside(name, object))
}

fn timestamp(fields: &Fields<'_, '_>, faults: &mut Faults) {
    let _ = fields.required(faults, "timestamp", TIMESTAMP, Json::as_i64);
}

fn text_within<'j>(
    fields: &Fields<'j, '_>,
    faults: &mut Faults,
    name: &str,
    most: usize,
    expected: &'static str,
) -> Option<&'j str> {
    let text = fields.required(faults, name, expected, Json::as_str)?;
    let kind = match text.len() {
        0 => FaultKind::Empty,
        // No text has more characters than bytes.
        length if length > most && text.chars().take(most + 1).count() > most => FaultKind::TooLong,
        _ => return Some(text),
    };
    fields.fault(faults, name, kind, expected);
    None
}
