//! `POST /typing/v1/signals`: a composer says what it does.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{self, Request};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use typingd_core::{
    Conversation, Marks, Name, Outcome, Policy, Role, Side, Signal, Source, Time, User, Utterance,
};
use typingd_providers::json::{self, Fields, is_plain_name};
use typingd_providers::{ChannelKind, FaultKind, Faults, Rejection, head, phone};

use super::problem::Problem;
use super::{NATIVE, authenticate, tenant};
use crate::directory::{ChannelInfo, Channels};
use crate::gateway::Gateway;
use crate::listener::Response;
use crate::wire::LeaseBody;
use crate::{body, wire};

/// More than any signal takes, in bytes.
const BODY_LIMIT: usize = 16 * 1024;

/// Longer names are nobody's, in bytes.
const NAME_LIMIT: usize = 255;

const FIELDS: [&str; 8] = ["channel", "agent", "user", "composer", "participant", "state", "ttl_ms", "turn"];

pub(super) async fn post(
    extract::State(gateway): extract::State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Problem> {
    let directory = gateway.directory.load_full();
    let login = authenticate(&gateway, &directory, &request)?;
    let channels = &tenant(&directory, &login)?.channels;
    let (head, body) = request.into_parts();
    if !head::is_media_type(&head.headers, "application/json") {
        return Err(Rejection::UnsupportedMediaType.into());
    }
    let body = body::read(&head.headers, body, BODY_LIMIT, gateway.limits.body_timeout).await?;
    let spoken = Spoken::read(&body, &login.tenant, channels, gateway.engine.policy())?;
    let now = gateway.clock.now();
    let outcome = gateway.hear(NATIVE, &spoken.side, spoken.utterance, now).await?;
    Ok(answer(&gateway, &spoken.side, &outcome, spoken.clamped_ttl_ms, now))
}

fn answer(
    gateway: &Gateway,
    side: &Side,
    outcome: &Outcome,
    clamped_ttl_ms: Option<u64>,
    now: Time,
) -> Response {
    #[derive(Serialize)]
    struct Answer<'a> {
        decision: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        /// The ttl that was taken in place of the wish.
        #[serde(skip_serializing_if = "Option::is_none")]
        clamped_ttl_ms: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        lease: Option<LeaseBody<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        last_turn: Option<u64>,
    }
    let (decision, reason) = wire::words(outcome.verdict);
    let lease = outcome.lease.as_ref().map(|lease| LeaseBody::new(side, lease, now, &gateway.clock));
    let answer = Answer { decision, reason, clamped_ttl_ms, lease, last_turn: outcome.last_turn };
    let body = serde_json::to_vec(&answer).expect("strings and numbers can always be written");
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    wire::add_decision(response.headers_mut(), outcome, now);
    response
}

/// The words of `state`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Composing,
    Paused,
    Sent,
}

/// A signal as this API reads it.
struct Spoken {
    side: Side,
    utterance: Utterance,
    /// The ttl it got, where it wished for another.
    clamped_ttl_ms: Option<u64>,
}

impl Spoken {
    fn read(body: &Bytes, tenant: &Name, channels: &Channels, policy: &Policy) -> Result<Self, Rejection> {
        let body = json::parse(body)?;
        let fields = Fields::of_body(&body)?;
        let mut faults = Faults::default();
        let channel =
            fields.required(&mut faults, "channel", "the name of a channel", |value| value.as_str());
        let info = channel.and_then(|name| known_channel(&mut faults, channels, name));
        let agent = name(&fields, &mut faults, "agent", true);
        let user = name(&fields, &mut faults, "user", true);
        let user = user.and_then(|user| self::user(&mut faults, user, info?.kind));
        let composer = word(
            &fields,
            &mut faults,
            "composer",
            &Role::BOTH.map(|role| (role.as_str(), role)),
            "`agent` or `user`",
        );
        let participant = name(&fields, &mut faults, "participant", false);
        let states = [("composing", State::Composing), ("paused", State::Paused), ("sent", State::Sent)];
        let state = word(&fields, &mut faults, "state", &states, "`composing`, `paused` or `sent`");
        let ttl_ms =
            fields.optional(&mut faults, "ttl_ms", "a whole number of milliseconds", |value| value.as_u64());
        let turn =
            fields.optional(&mut faults, "turn", "a whole number, zero or above", |value| value.as_u64());
        fields.only(&mut faults, &FIELDS, "one of the documented fields");
        faults.none()?;
        let (Some(channel), Some(info), Some(agent), Some(user), Some(role), Some(state)) =
            (channel, info, agent, user, composer, state)
        else {
            unreachable!("a required field that could not be read is a fault");
        };
        let wished = ttl_ms.map_or(info.ttl, Duration::from_millis);
        let ttl = policy.clamp_ttl(wished);
        let is_clamped = state == State::Composing && ttl != wished;
        let signal = match state {
            State::Composing => Signal::Composing { ttl },
            State::Paused => Signal::Paused,
            State::Sent => Signal::Sent,
        };
        Ok(Self {
            side: Side { conversation: Conversation::new(tenant.clone(), channel, agent, user), role },
            utterance: Utterance {
                participant: participant.map(Into::into),
                signal,
                source: Source::OneShot,
                origin: NATIVE.into(),
                marks: Marks { turn, payload_id: None },
            },
            clamped_ttl_ms: is_clamped.then(|| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
        })
    }
}

/// A text that names somebody.
fn name<'j>(
    fields: &Fields<'j, '_>,
    faults: &mut Faults,
    field: &'static str,
    is_required: bool,
) -> Option<&'j str> {
    const EXPECTED: &str = "a text of 1 to 255 bytes";
    let name = if is_required {
        fields.required(faults, field, EXPECTED, |value| value.as_str())?
    } else {
        fields.optional(faults, field, EXPECTED, |value| value.as_str())?
    };
    let kind = match name.len() {
        0 => FaultKind::Empty,
        1..=NAME_LIMIT => return Some(name),
        _ => FaultKind::TooLong,
    };
    fields.fault(faults, field, kind, EXPECTED);
    None
}

/// One of a few words.
fn word<T: Copy>(
    fields: &Fields<'_, '_>,
    faults: &mut Faults,
    field: &'static str,
    words: &[(&str, T)],
    expected: &'static str,
) -> Option<T> {
    let sent = fields.required(faults, field, expected, |value| value.as_str())?;
    let found = words.iter().find(|(word, _)| *word == sent).map(|(_, meaning)| *meaning);
    if found.is_none() {
        fields.fault(faults, field, FaultKind::WrongValue, expected);
    }
    found
}

/// A user's address in its normal form.
pub(super) fn user(faults: &mut Faults, address: &str, kind: ChannelKind) -> Option<User> {
    match kind {
        ChannelKind::Opaque => Some(User::new(address)),
        ChannelKind::Rcs => {
            let number = phone::with_or_without_plus(address);
            if number.is_none() {
                faults.add("user", FaultKind::WrongValue, phone::EXPECTED);
            }
            number
        }
    }
}

/// A channel of the tenant. Where there is none, the fault names it, if it can be no number and no secret.
pub(super) fn known_channel(faults: &mut Faults, channels: &Channels, name: &str) -> Option<ChannelInfo> {
    let info = channels.get(name).copied();
    if info.is_none() {
        let known: Vec<&str> = channels.keys().map(Name::as_str).collect();
        let not = if is_plain_name(name) { format!(", not `{name}`") } else { String::new() };
        faults.add(
            "channel",
            FaultKind::WrongValue,
            format!("one of the tenant's channels ({}){not}", known.join(", ")),
        );
    }
    info
}
