//! Which events of a webhook were taken: each once, however often it is delivered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use typingd_providers::{ChatState, KeyHasher, UserSignal};

/// How many are remembered of a webhook. Google repeats for 7 days, so that time is no bound.
pub(super) const BOUND: usize = 65_536;

/// An event's id as it is remembered: a digest, in which neither a number nor the provider's text shows.
pub(super) type Id = [u8; 16];

/// The events taken last, up to a bound; the one taken first is forgotten first.
#[derive(Debug)]
pub(super) struct Seen {
    bound: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    known: HashMap<Id, Stage>,
    /// Those that were taken.
    in_order: VecDeque<Id>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    InHand,
    Taken,
}

/// Why an event is not news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It was taken.
    Taken,
    /// It is being judged, and nobody knows yet whether it will be taken.
    InHand,
}

/// An event that is being judged. Where it is dropped without being taken, it may come again.
#[derive(Debug)]
pub(super) struct Pending<'s> {
    seen: &'s Seen,
    id: Id,
}

impl Seen {
    /// Remembers up to `bound` of them.
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, held: Mutex::default() }
    }

    /// Begins with an event that is news.
    pub(super) fn begin(&self, id: Id) -> Result<Pending<'_>, Again> {
        let mut held = self.lock();
        match held.known.get(&id) {
            Some(Stage::Taken) => Err(Again::Taken),
            Some(Stage::InHand) => Err(Again::InHand),
            None => {
                held.known.insert(id, Stage::InHand);
                Ok(Pending { seen: self, id })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending<'_> {
    /// It was taken, and is not news any more.
    pub(super) fn take(self) {
        let mut held = self.seen.lock();
        held.known.insert(self.id, Stage::Taken);
        held.in_order.push_back(self.id);
        while held.in_order.len() > self.seen.bound {
            if let Some(first) = held.in_order.pop_front() {
                held.known.remove(&first);
            }
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut held = self.seen.lock();
        if held.known.get(&self.id) == Some(&Stage::InHand) {
            held.known.remove(&self.id);
        }
    }
}

/// What an event is remembered by; `None` where the provider gives it no name. The name is one for its user.
pub(super) fn id_of(signal: &UserSignal, hasher: &KeyHasher) -> Option<Id> {
    let event = signal.event_id.as_ref()?;
    let word = match signal.signal {
        ChatState::Composing => "composing",
        ChatState::Paused => "paused",
        ChatState::Sent => "sent",
    };
    let mut named = Vec::new();
    for part in [word, &signal.agent, signal.user.as_str(), event] {
        named.extend_from_slice(&(part.len() as u64).to_le_bytes());
        named.extend_from_slice(part.as_bytes());
    }
    let mut id = Id::default();
    id.copy_from_slice(&hasher.hash(&named).as_bytes()[..16]);
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use typingd_core::User;

    fn take(seen: &Seen, id: u8) {
        seen.begin([id; 16]).unwrap().take();
    }

    #[test]
    fn the_one_taken_first_is_forgotten_first() {
        let seen = Seen::new(3);
        for id in 1..=4 {
            take(&seen, id);
        }
        // That it came again makes it no younger.
        assert_eq!(seen.begin([2; 16]).unwrap_err(), Again::Taken);
        take(&seen, 5);
        let known = [1, 2, 3, 4, 5].map(|id| seen.begin([id; 16]).is_err());
        assert_eq!(known, [false, false, true, true, true]);
    }

    #[test]
    fn one_that_is_not_taken_comes_again() {
        let seen = Seen::new(3);
        let pending = seen.begin([1; 16]).unwrap();
        assert_eq!(seen.begin([1; 16]).unwrap_err(), Again::InHand, "only one counts");
        drop(pending);
        seen.begin([1; 16]).unwrap().take();
        assert_eq!(seen.begin([1; 16]).unwrap_err(), Again::Taken);
    }

    #[test]
    fn what_is_remembered_is_bounded_whatever_becomes_of_it() {
        let seen = Seen::new(8);
        for n in 0..1_000_u64 {
            let mut id = Id::default();
            id[..8].copy_from_slice(&n.to_le_bytes());
            let pending = seen.begin(id).unwrap();
            if n % 3 == 0 {
                pending.take();
            }
        }
        let held = seen.lock();
        assert_eq!((held.known.len(), held.in_order.len()), (8, 8));
    }

    #[test]
    fn an_id_is_one_for_its_user_agent_and_kind() {
        let hasher = KeyHasher::new([7; 32]);
        let signal = |agent: &str, user: &str, signal, id: Option<&str>| UserSignal {
            agent: agent.into(),
            user: User::new(user),
            signal,
            event_id: id.map(Into::into),
            sent_at: None,
        };
        let rows = [
            signal("a", "+12", ChatState::Composing, Some("e1")),
            signal("a", "+12", ChatState::Composing, Some("e2")),
            signal("a", "+12", ChatState::Sent, Some("e1")),
            signal("a", "+13", ChatState::Composing, Some("e1")),
            signal("b", "+12", ChatState::Composing, Some("e1")),
            signal("a+", "12", ChatState::Composing, Some("e1")),
        ];
        let ids: Vec<Id> = rows.iter().map(|row| id_of(row, &hasher).unwrap()).collect();
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids[at + 1..].contains(id), "{at}");
        }
        let later = UserSignal { sent_at: Some(jiff::Timestamp::UNIX_EPOCH), ..rows[0].clone() };
        assert_eq!(id_of(&later, &hasher), Some(ids[0]), "when it was sent names nothing");
        assert_eq!(id_of(&signal("a", "+12", ChatState::Sent, None), &hasher), None);
    }
}
