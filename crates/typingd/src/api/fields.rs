//! Fields as the native API reads them, from a body or from a socket's frame.

use std::time::Duration;

use typingd_core::{Conversation, Name, Policy, Role, Scope, Signal, User};
use typingd_providers::json::{Fields, is_plain_name};
use typingd_providers::{ChannelKind, FaultKind, Faults, phone};

use crate::directory::{ChannelInfo, Channels};

/// Longer names are nobody's, in bytes.
const NAME_LIMIT: usize = 255;

const CHANNEL: &str = "the name of a channel";
const NAME: &str = "a text of 1 to 255 bytes";

/// A text that names somebody.
pub(crate) fn name<'j>(
    fields: &Fields<'j, '_>,
    faults: &mut Faults,
    field: &'static str,
    is_required: bool,
) -> Option<&'j str> {
    text(fields, faults, field, is_required, NAME)
}

fn text<'j>(
    fields: &Fields<'j, '_>,
    faults: &mut Faults,
    field: &'static str,
    is_required: bool,
    expected: &'static str,
) -> Option<&'j str> {
    let text = if is_required {
        fields.required(faults, field, expected, |value| value.as_str())?
    } else {
        fields.optional(faults, field, expected, |value| value.as_str())?
    };
    let kind = match text.len() {
        0 => FaultKind::Empty,
        1..=NAME_LIMIT => return Some(text),
        _ => FaultKind::TooLong,
    };
    fields.fault(faults, field, kind, expected);
    None
}

/// One of a few words.
pub(crate) fn word<T: Copy>(
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

/// Which conversations are meant: `channel`, `agent` and `user`, each narrowing what is held already. What is held may
/// be repeated and not changed.
pub(crate) fn scope(
    fields: &Fields<'_, '_>,
    faults: &mut Faults,
    within: &Scope,
    channels: &Channels,
) -> Scope {
    read_scope(fields, faults, within, channels, false)
}

/// The one conversation that is meant, and its channel.
pub(crate) fn conversation(
    fields: &Fields<'_, '_>,
    faults: &mut Faults,
    within: &Scope,
    channels: &Channels,
) -> Option<(Conversation, ChannelInfo)> {
    let scope = read_scope(fields, faults, within, channels, true);
    let info = *channels.get(scope.channel.as_ref()?)?;
    Some((scope.as_conversation()?, info))
}

fn read_scope(
    fields: &Fields<'_, '_>,
    faults: &mut Faults,
    within: &Scope,
    channels: &Channels,
    is_whole: bool,
) -> Scope {
    let needs = |is_held: bool| is_whole && !is_held;
    let channel = text(fields, faults, "channel", needs(within.channel.is_some()), CHANNEL);
    let agent = name(fields, faults, "agent", needs(within.agent.is_some()));
    let user = name(fields, faults, "user", needs(within.user.is_some()));
    narrow(faults, within, channels, [channel, agent, user])
}

/// A scope narrowed by a channel, an agent and a user, where they are given.
pub(super) fn narrow(
    faults: &mut Faults,
    within: &Scope,
    channels: &Channels,
    [channel, agent, user]: [Option<&str>; 3],
) -> Scope {
    let channel = hold(faults, "channel", &within.channel, channel.map(Name::from));
    let info = channel.as_deref().map(|name| known_channel(faults, channels, name));
    let mut normal = |user: &str| match info {
        None => Some(User::new(user)),
        // Of a channel that is not there nothing is known, and its fault is noted.
        Some(info) => self::user(faults, user, info?.kind),
    };
    // A ticket for any channel has its user as it was spelled: which form is normal, the channel says.
    let held = within.user.as_ref().map(|user| normal(user.as_str()));
    let given = if held == Some(None) { None } else { user.and_then(normal) };
    Scope {
        tenant: within.tenant.clone(),
        channel,
        agent: hold(faults, "agent", &within.agent, agent.map(Name::from)),
        user: hold(faults, "user", &held.flatten(), given),
    }
}

/// What is held; where nothing is, what was given.
fn hold<T: Clone + PartialEq>(
    faults: &mut Faults,
    field: &'static str,
    held: &Option<T>,
    given: Option<T>,
) -> Option<T> {
    if held.is_some() && given.is_some() && *held != given {
        faults.add(field, FaultKind::Contradiction, "what the ticket is for");
    }
    held.clone().or(given)
}

/// A user's address in its normal form.
fn user(faults: &mut Faults, address: &str, kind: ChannelKind) -> Option<User> {
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
fn known_channel(faults: &mut Faults, channels: &Channels, name: &str) -> Option<ChannelInfo> {
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

/// The two sides, as they are spelled.
pub(crate) const ROLES: [(&str, Role); 2] =
    [(Role::Agent.as_str(), Role::Agent), (Role::User.as_str(), Role::User)];

pub(crate) const ROLE: &str = "`agent` or `user`";

/// The highest turn there is: the one behind it is still a number that JavaScript can tell from its neighbours.
const LAST_TURN: u64 = (1 << 53) - 2;

const TURN: &str = "a whole number from 0 to 9007199254740990";

/// The words for what a composer does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Composing,
    Paused,
    Sent,
}

impl State {
    pub(crate) const WORDS: [(&str, Self); 3] =
        [("composing", Self::Composing), ("paused", Self::Paused), ("sent", Self::Sent)];
}

/// What a composer says, without who and to whom.
pub(crate) struct Said {
    pub(crate) signal: Signal,
    pub(crate) turn: Option<u64>,
    /// The ttl it got, where it wished for another.
    pub(crate) clamped_ttl_ms: Option<u64>,
}

impl Said {
    /// Reads `ttl_ms` and `turn`; `channel_ttl` is for who does not wish.
    pub(crate) fn read(
        fields: &Fields<'_, '_>,
        faults: &mut Faults,
        state: State,
        channel_ttl: Duration,
        policy: &Policy,
    ) -> Self {
        let ttl_ms =
            fields.optional(faults, "ttl_ms", "a whole number of milliseconds", |value| value.as_u64());
        let turn = fields.optional(faults, "turn", TURN, |value| value.as_u64());
        if turn.is_some_and(|turn| turn > LAST_TURN) {
            fields.fault(faults, "turn", FaultKind::WrongValue, TURN);
        }
        let wished = ttl_ms.map_or(channel_ttl, Duration::from_millis);
        let ttl = policy.clamp_ttl(wished);
        let is_clamped = state == State::Composing && ttl != wished;
        let signal = match state {
            State::Composing => Signal::Composing { ttl },
            State::Paused => Signal::Paused,
            State::Sent => Signal::Sent,
        };
        let clamped_ttl_ms = is_clamped.then(|| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        Self { signal, turn, clamped_ttl_ms }
    }
}
