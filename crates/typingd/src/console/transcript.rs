//! What was said: in dev mode alone, so that its console shows a conversation as it looks to both sides.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use typingd_core::{Conversation, Name, Role, Time};

/// How many messages of a conversation are kept; the oldest goes first.
const MESSAGES: usize = 100;
/// How many conversations are kept; the one that was silent longest goes first.
const CONVERSATIONS: usize = 500;
/// How many characters of a message are kept.
const CHARACTERS: usize = 2_000;
/// How many bytes of text are kept in all; the conversation that was silent longest goes first.
const BYTES: usize = 4 * 1024 * 1024;
/// How many messages a reader may be behind before it has to list anew.
const NEWS: usize = 256;

/// The last messages of the last conversations. They stay in this process, and no log line can hold one by accident:
/// they have no `Debug`.
pub struct Transcript {
    held: Mutex<Held>,
    news: broadcast::Sender<Arc<Message>>,
}

#[derive(Default)]
struct Held {
    conversations: HashMap<Conversation, VecDeque<Arc<Message>>>,
    /// How many messages there have been.
    count: u64,
    /// How many bytes of text are kept.
    bytes: usize,
}

/// Who said something.
pub struct Speaker {
    /// For which side.
    pub role: Role,
    /// Which of several.
    pub participant: Option<Name>,
    /// What to call them.
    pub name: Option<Name>,
}

impl Speaker {
    /// A side's one speaker.
    #[must_use]
    pub fn only(role: Role) -> Self {
        Self { role, participant: None, name: None }
    }
}

/// What was said.
pub(super) struct Message {
    pub(super) conversation: Conversation,
    pub(super) speaker: Speaker,
    pub(super) text: String,
    pub(super) at: Time,
    /// Its place among all messages, from 1 on.
    pub(super) number: u64,
}

impl Default for Transcript {
    fn default() -> Self {
        Self { held: Mutex::default(), news: broadcast::channel(NEWS).0 }
    }
}

impl Transcript {
    /// Keeps what was said.
    pub fn add(&self, conversation: &Conversation, speaker: Speaker, text: &str, now: Time) {
        let text: String = text.chars().take(CHARACTERS).collect();
        let mut held = self.lock();
        held.count += 1;
        let number = held.count;
        let message = Message { conversation: conversation.clone(), speaker, text, at: now, number };
        let message = Arc::new(message);
        held.keep(message.clone());
        // Told while it is held, so that a listing and the news are in one order. There may be nobody to hear it.
        let _ = self.news.send(message);
    }

    /// What is said from now on.
    pub(super) fn watch(&self) -> broadcast::Receiver<Arc<Message>> {
        self.news.subscribe()
    }

    /// How many messages there have been.
    pub(super) fn count(&self) -> u64 {
        self.lock().count
    }

    /// What the first so many messages said in these conversations, oldest first.
    pub(super) fn of<'c>(
        &self,
        conversations: impl Iterator<Item = &'c Conversation>,
        count: u64,
    ) -> Vec<Vec<Arc<Message>>> {
        let held = self.lock();
        let of = |conversation| {
            let said = held.conversations.get(conversation).into_iter().flatten();
            said.filter(|message| message.number <= count).cloned().collect()
        };
        conversations.map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn keep(&mut self, message: Arc<Message>) {
        self.bytes += message.text.len();
        let messages = self.conversations.entry(message.conversation.clone()).or_default();
        messages.push_back(message);
        if messages.len() > MESSAGES {
            self.bytes -= messages.pop_front().map_or(0, |oldest| oldest.text.len());
        }
        while self.conversations.len() > CONVERSATIONS || self.bytes > BYTES {
            self.forget_one();
        }
    }

    fn forget_one(&mut self) {
        let last = |messages: &VecDeque<Arc<Message>>| messages.back().map(|message| message.number);
        let silent = self.conversations.iter().min_by_key(|(_, messages)| last(messages));
        let silent = silent.map(|(conversation, _)| conversation.clone());
        let messages = silent.and_then(|silent| self.conversations.remove(&silent)).unwrap_or_default();
        self.bytes -= messages.iter().map(|message| message.text.len()).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use typingd_core::User;

    use super::*;

    fn talk(user: usize) -> Conversation {
        Conversation::new("dev", "pinnacle", "agent_x", User::new(user.to_string()))
    }

    fn say(transcript: &Transcript, user: usize, text: &str) {
        transcript.add(&talk(user), Speaker::only(Role::User), text, Time::ZERO);
    }

    fn texts(transcript: &Transcript, user: usize) -> Vec<String> {
        let mut messages = transcript.of([talk(user)].iter(), transcript.count());
        messages.remove(0).iter().map(|message| message.text.clone()).collect()
    }

    #[test]
    fn the_last_messages_of_a_conversation_are_kept() {
        let transcript = Transcript::default();
        (0..MESSAGES + 2).for_each(|n| say(&transcript, 1, &n.to_string()));
        let kept = texts(&transcript, 1);
        assert_eq!((kept.len(), kept[0].as_str(), kept[MESSAGES - 1].as_str()), (MESSAGES, "2", "101"));
    }

    #[test]
    fn the_conversation_that_was_silent_longest_is_forgotten() {
        let transcript = Transcript::default();
        (0..CONVERSATIONS).for_each(|user| say(&transcript, user, "a"));
        say(&transcript, 0, "b");
        say(&transcript, CONVERSATIONS, "c");
        assert_eq!(texts(&transcript, 0), ["a", "b"]);
        assert_eq!(texts(&transcript, 1), [""; 0]);
        assert_eq!(transcript.lock().conversations.len(), CONVERSATIONS);
    }

    #[test]
    fn a_text_is_cut_between_characters_and_all_of_them_have_a_bound() {
        let transcript = Transcript::default();
        let long = "😀".repeat(CHARACTERS + 1);
        (0..CONVERSATIONS).for_each(|user| (0..2).for_each(|_| say(&transcript, user, &long)));
        assert_eq!(texts(&transcript, CONVERSATIONS - 1), [&long[4..], &long[4..]]);
        assert_eq!(texts(&transcript, 0), [""; 0]);
        let held = transcript.lock();
        let kept: usize = held.conversations.values().flatten().map(|message| message.text.len()).sum();
        assert_eq!(held.bytes, kept);
        assert!(kept <= BYTES && kept > BYTES / 2, "{kept}");
    }
}
