//! The events of the console's feed.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use typingd_core::{Conversation, Time};

use super::transcript::Message;
use crate::config::millis;
use crate::ids;
use crate::subscribe::event::event;

/// A conversation of the list.
pub(super) struct Talk {
    pub(super) conversation: Conversation,
    pub(super) last_activity: Time,
    /// Oldest first.
    pub(super) said: Vec<Arc<Message>>,
}

#[derive(Serialize)]
struct Parties<'a> {
    channel: &'a str,
    agent: &'a str,
    user: &'a str,
}

impl<'a> Parties<'a> {
    fn of(conversation: &'a Conversation) -> Self {
        let (channel, agent) = (conversation.channel(), conversation.agent());
        Self { channel, agent, user: conversation.user().as_str() }
    }
}

#[derive(Serialize)]
struct Spoken<'a> {
    composer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    text: &'a str,
}

impl<'a> Spoken<'a> {
    fn of(message: &'a Message) -> Self {
        let speaker = &message.speaker;
        Self {
            composer: speaker.role.as_str(),
            participant: speaker.participant.as_deref(),
            name: speaker.name.as_deref(),
            text: &message.text,
        }
    }
}

/// `conversations`: all there are, in place of whatever was known.
pub(super) fn conversations(talks: &[Talk], now: Time) -> Bytes {
    #[derive(Serialize)]
    struct Said<'a> {
        #[serde(flatten)]
        spoken: Spoken<'a>,
        ago_ms: u64,
    }
    #[derive(Serialize)]
    struct Listed<'a> {
        #[serde(flatten)]
        parties: Parties<'a>,
        last_activity_ago_ms: u64,
        messages: Vec<Said<'a>>,
    }
    #[derive(Serialize)]
    struct Conversations<'a> {
        conversations: Vec<Listed<'a>>,
    }
    let ago_ms = |at: Time| millis(now.since(at));
    let conversations = talks.iter().map(|Talk { conversation, last_activity, said }| {
        let said =
            said.iter().map(|message| Said { spoken: Spoken::of(message), ago_ms: ago_ms(message.at) });
        Listed {
            parties: Parties::of(conversation),
            last_activity_ago_ms: ago_ms(*last_activity),
            messages: said.collect(),
        }
    });
    write("conversations", &Conversations { conversations: conversations.collect() })
}

/// `activity`: something happened there.
pub(super) fn activity(conversation: &Conversation) -> Bytes {
    write("activity", &Parties::of(conversation))
}

/// `message`: something was said there.
pub(super) fn message(message: &Message) -> Bytes {
    #[derive(Serialize)]
    struct Said<'a> {
        #[serde(flatten)]
        parties: Parties<'a>,
        #[serde(flatten)]
        spoken: Spoken<'a>,
    }
    write("message", &Said { parties: Parties::of(&message.conversation), spoken: Spoken::of(message) })
}

fn write(name: &str, data: &impl Serialize) -> Bytes {
    event(&ids::unique().simple().to_string(), name, data)
}
