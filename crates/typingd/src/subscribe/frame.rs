//! A socket's frames: what its client asks for and says, and what it is answered.

use std::sync::Arc;

use serde::Serialize;
use typingd_core::{Marks, Name, Policy, Role, Scope, Side, Source, Utterance};
use typingd_providers::json::{self, Fields};
use typingd_providers::{Bar, FaultKind, Faults, Rejection};

use crate::api::fields::{self, Said, State};
use crate::directory::Channels;

/// By what door a socket's signals come in.
pub(super) const SOCKET: &str = "socket";

/// Longer names of subscriptions and frames are nobody's, in bytes.
const ID_LIMIT: usize = 64;

const ID: &str = "a text of 1 to 64 bytes";

/// What a frame asks for.
pub(super) enum Asked {
    Subscribe { id: String, scope: Scope },
    Unsubscribe { id: String },
    Say { side: Side, utterance: Utterance, clamped_ttl_ms: Option<u64> },
    Ping,
}

/// What is refused, with the name that came with it.
pub(super) struct Refused {
    pub(super) reference: Option<String>,
    pub(super) rejection: Rejection,
}

#[derive(Clone, Copy)]
enum Kind {
    Subscribe,
    Unsubscribe,
    Signal(State),
    Ping,
}

const KINDS: [(&str, Kind); 6] = [
    ("composing", Kind::Signal(State::Composing)),
    ("paused", Kind::Signal(State::Paused)),
    ("sent", Kind::Signal(State::Sent)),
    ("subscribe", Kind::Subscribe),
    ("unsubscribe", Kind::Unsubscribe),
    ("ping", Kind::Ping),
];

impl Kind {
    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Subscribe => &["type", "ref", "id", "channel", "agent", "user"],
            Self::Unsubscribe => &["type", "ref", "id"],
            Self::Signal(_) => &["type", "ref", "channel", "agent", "user", "ttl_ms", "turn"],
            Self::Ping => &["type", "ref"],
        }
    }
}

/// Whoever came by a ticket, and what it lets them do.
pub(super) struct Bearer {
    /// Which conversations they see.
    pub(super) scope: Arc<Scope>,
    pub(super) role: Role,
    pub(super) participant: Option<Name>,
    pub(super) name: Option<Name>,
    pub(super) may_write: bool,
}

/// Reads frames for whoever came by a ticket.
pub(super) struct Reader<'a> {
    pub(super) bearer: &'a Bearer,
    pub(super) channels: &'a Channels,
    pub(super) policy: &'a Policy,
    /// Which socket it is.
    pub(super) source: Source,
}

impl Reader<'_> {
    /// Reads a frame: what it asks for, and the name that its answer repeats.
    pub(super) fn read(&self, text: &[u8]) -> Result<(Asked, Option<String>), Refused> {
        let nameless = |rejection| Refused { reference: None, rejection };
        let body = json::parse(text).map_err(nameless)?;
        let fields = Fields::of_body(&body).map_err(nameless)?;
        let mut faults = Faults::default();
        let reference = fields.optional(&mut faults, "ref", ID, |value| value.as_str());
        let reference = reference.filter(|text| is_id(&fields, &mut faults, "ref", text)).map(str::to_owned);
        match self.read_fields(&fields, faults) {
            Ok(asked) => Ok((asked, reference)),
            Err(rejection) => Err(Refused { reference, rejection }),
        }
    }

    fn read_fields(&self, fields: &Fields<'_, '_>, mut faults: Faults) -> Result<Asked, Rejection> {
        const TYPE: &str = "composing, paused, sent, subscribe, unsubscribe or ping";
        let Some(kind) = fields::word(fields, &mut faults, "type", &KINDS, TYPE) else {
            faults.none()?;
            unreachable!("a required field that could not be read is a fault");
        };
        let Self { bearer, channels, .. } = self;
        let asked = match kind {
            Kind::Ping => Some(Asked::Ping),
            Kind::Unsubscribe => id(fields, &mut faults).map(|id| Asked::Unsubscribe { id }),
            Kind::Subscribe => {
                let scope = fields::scope(fields, &mut faults, &bearer.scope, channels);
                id(fields, &mut faults).map(|id| Asked::Subscribe { id, scope })
            }
            Kind::Signal(_) if !bearer.may_write => return Err(Rejection::Forbidden(Bar::Permission)),
            Kind::Signal(state) => self.read_signal(fields, &mut faults, state),
        };
        fields.only(&mut faults, kind.fields(), "one of the documented fields");
        faults.none()?;
        Ok(asked.expect("what could not be read left a fault"))
    }

    fn read_signal(&self, fields: &Fields<'_, '_>, faults: &mut Faults, state: State) -> Option<Asked> {
        let Self { bearer, channels, policy, source } = self;
        let meant = fields::conversation(fields, faults, &bearer.scope, channels);
        let channel_ttl = meant.as_ref().map(|(_, channel)| channel.ttl).unwrap_or_default();
        let Said { signal, turn, clamped_ttl_ms } = Said::read(fields, faults, state, channel_ttl, policy);
        let (conversation, _) = meant?;
        let utterance = Utterance {
            participant: bearer.participant.clone(),
            name: bearer.name.clone(),
            signal,
            source: *source,
            origin: SOCKET.into(),
            marks: Marks { turn, payload_id: None },
        };
        Some(Asked::Say { side: Side { conversation, role: bearer.role }, utterance, clamped_ttl_ms })
    }
}

fn id(fields: &Fields<'_, '_>, faults: &mut Faults) -> Option<String> {
    let id = fields.required(faults, "id", ID, |value| value.as_str())?;
    is_id(fields, faults, "id", id).then(|| id.to_owned())
}

fn is_id(fields: &Fields<'_, '_>, faults: &mut Faults, field: &'static str, text: &str) -> bool {
    let kind = match text.len() {
        0 => FaultKind::Empty,
        1..=ID_LIMIT => return true,
        _ => FaultKind::TooLong,
    };
    fields.fault(faults, field, kind, ID);
    false
}

/// The first frame: who the client is here.
pub(super) fn hello(bearer: &Bearer, last_turn: Option<u64>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Hello<'a> {
        r#type: &'static str,
        side: &'static str,
        access: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        participant: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_turn: Option<u64>,
    }
    let Bearer { scope, role, participant, name, may_write } = bearer;
    write(&Hello {
        r#type: "hello",
        side: role.as_str(),
        access: if *may_write { "read_write" } else { "read" },
        participant: participant.as_deref(),
        name: name.as_deref(),
        channel: scope.channel.as_deref(),
        agent: scope.agent.as_deref(),
        user: scope.user.as_ref().map(|user| user.as_str()),
        last_turn,
    })
}

pub(super) fn unsubscribed(id: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Unsubscribed<'a> {
        r#type: &'static str,
        id: &'a str,
    }
    write(&Unsubscribed { r#type: "unsubscribed", id })
}

pub(super) fn pong(reference: Option<&str>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Pong<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a str>,
    }
    write(&Pong { r#type: "pong", r#ref: reference })
}

pub(super) fn write(frame: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(frame).expect("strings and numbers can always be written")
}
