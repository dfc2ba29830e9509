//! Which conversations a provider counts as open.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, RandomState};
use std::sync::{Mutex, PoisonError};

use typingd_core::Conversation;
use uuid::Uuid;

use crate::ids::{self, AsItIs};

/// The conversations opened last, up to a bound; the one opened first is forgotten first. What is kept is the name that
/// each has towards the provider's clients, and nobody's number.
#[derive(Debug)]
pub struct Opened {
    bound: usize,
    /// Keyed, like [`ids::in_process`], and under another key. What agrees in both is the same conversation, as surely as
    /// what has the same name.
    hasher: RandomState,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// By the conversation's number in this process: its other number, and its name.
    known: HashMap<u64, (u64, Uuid), BuildHasherDefault<AsItIs>>,
    in_order: VecDeque<u64>,
}

impl Opened {
    /// Remembers up to `bound` of them.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { bound, hasher: RandomState::new(), held: Mutex::default() }
    }

    /// A conversation is open from now on.
    pub fn open(&self, conversation: &Conversation) {
        let (number, other) = (ids::in_process(conversation), self.other_number(conversation));
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.known.get(&number).is_some_and(|(known, _)| *known == other) {
            return;
        }
        if held.known.insert(number, (other, ids::of_conversation(conversation))).is_none() {
            held.in_order.push_back(number);
        }
        while held.in_order.len() > self.bound {
            if let Some(first) = held.in_order.pop_front() {
                held.known.remove(&first);
            }
        }
    }

    /// Its name towards the provider's clients, where it is open, as far as is remembered.
    #[must_use]
    pub fn name_of(&self, conversation: &Conversation) -> Option<Uuid> {
        let number = ids::in_process(conversation);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).known.get(&number).copied();
        held.filter(|(other, _)| *other == self.other_number(conversation)).map(|(_, name)| name)
    }

    fn other_number(&self, conversation: &Conversation) -> u64 {
        let (tenant, channel) = (conversation.tenant(), conversation.channel());
        self.hasher.hash_one((tenant, channel, conversation.agent(), conversation.user()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use typingd_core::User;

    #[test]
    fn the_one_opened_first_is_forgotten_first() {
        let opened = Opened::new(2);
        let talk = |user: &str| Conversation::new("acme", "salesforce", "desk", User::new(user));
        for user in ["a", "b", "a", "c"] {
            opened.open(&talk(user));
        }
        let names = ["a", "b", "c"].map(|user| opened.name_of(&talk(user)));
        assert_eq!(
            names,
            [None, Some(ids::of_conversation(&talk("b"))), Some(ids::of_conversation(&talk("c")))]
        );
    }
}
