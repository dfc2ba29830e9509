//! Which conversations a provider counts as open.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use typingd_core::Conversation;
use uuid::Uuid;

use crate::ids;

/// The conversations opened last, up to a bound; the one opened first is forgotten first. What is kept is the name that
/// each has towards the provider's clients, and nobody's number.
#[derive(Debug)]
pub struct Opened {
    bound: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    known: HashSet<Uuid>,
    in_order: VecDeque<Uuid>,
}

impl Opened {
    /// Remembers up to `bound` of them.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self { bound, held: Mutex::default() }
    }

    /// A conversation is open from now on.
    pub fn open(&self, conversation: &Conversation) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let name = ids::of_conversation(conversation);
        if held.known.insert(name) {
            held.in_order.push_back(name);
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
        let name = ids::of_conversation(conversation);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).known.contains(&name).then_some(name)
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
        assert_eq!(["a", "b", "c"].map(|user| opened.name_of(&talk(user)).is_some()), [false, true, true]);
    }
}
