//! Puts the commits of a shard into one order: this node's own, and those it hears of.
//!
//! What is followed has no holes: of this node's commits, one that comes after another node's waits for that, and comes
//! out behind it. An own commit that comes back is known by its place; where it comes back before the answer, it waits
//! for that, since only an answer makes it this node's. A hole in what is heard is a loss, and said.

use std::collections::BTreeMap;
use std::time::Duration;

use typingd_core::store::remote::{Audience, Loss};
use typingd_core::store::{Commit, Position};

use crate::offset::Shift;
use crate::state::{News, read_news};

/// How much is kept that cannot be told yet.
const WAITING: usize = 1_024;

/// How long something may be known to be committed and not be heard.
const LATE: Duration = Duration::from_secs(1);

/// How far a shard was told, and until when its server is known to have had it, in microseconds of the server's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    pub(crate) sequence: u64,
    pub(crate) at: u64,
}

impl Reached {
    /// What may be missing of a shard that was told up to here and has come to `sequence` meanwhile. A sequence begins
    /// a little before the server's time, and rises far more slowly: one that has come to `at` began after it.
    fn loss(self, sequence: u64) -> Loss {
        if sequence < self.sequence || sequence >= self.at { Loss::Everything } else { Loss::Commits }
    }
}

/// Something that was committed, as its shard's channel says it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) sequence: u64,
    /// Whether this node asked for it. Whether it knows that it was done is another matter.
    pub(crate) is_own: bool,
    pub(crate) payload: Vec<u8>,
}

/// Whether a shard is followed, and how far it was told.
#[derive(Default)]
pub(crate) enum Order {
    /// Nobody asked: only own commits are told.
    #[default]
    Alone,
    /// It was followed up to here, and nothing is heard of it any more.
    Deaf(Reached),
    /// Subscribed: what is heard is kept until it is known where it begins.
    Beginning { before: Option<Reached>, heard: Vec<Message> },
    /// All up to some place was told.
    Following(Following),
}

pub(crate) struct Following {
    reached: Reached,
    /// All up to here is committed, as answers to this node say.
    answered: u64,
    /// Own commits wait for those before them.
    own: BTreeMap<u64, Commit>,
    late: Option<(u64, Duration)>,
    /// An own commit was sent, and is not answered.
    is_asking: bool,
    /// What came back before that answer, and what came behind it.
    held: Vec<(Message, Option<Shift>)>,
}

impl Order {
    /// A subscription is about to be made.
    pub(crate) fn begin(&mut self) {
        let before = match std::mem::take(self) {
            Self::Alone => None,
            Self::Deaf(reached) => Some(reached),
            Self::Beginning { before, .. } => before,
            Self::Following(following) => Some(following.reached),
        };
        *self = Self::Beginning { before, heard: Vec::new() };
    }

    /// The subscription holds, and listings have seen all up to `reached`. What was heard meanwhile is told.
    pub(crate) fn follow<A: Audience>(&mut self, shard: usize, reached: Reached, shift: Shift, audience: &A) {
        let Self::Beginning { before, heard } = std::mem::take(self) else { return };
        if let Some(before) = before {
            audience.lost(shard, before.loss(reached.sequence));
        }
        let (answered, own, held) = (reached.sequence, BTreeMap::new(), Vec::new());
        let mut following = Following { reached, answered, own, late: None, is_asking: false, held };
        for message in heard {
            following.hear(shard, message, Some(shift), audience);
        }
        *self = Self::Following(following);
    }

    /// Nothing is heard any more. What waits comes out; `forget` where nobody wants to hear.
    pub(crate) fn deafen<A: Audience>(&mut self, shard: usize, forget: bool, audience: &A) {
        let reached = match std::mem::take(self) {
            Self::Alone => None,
            Self::Deaf(reached) => Some(reached),
            Self::Beginning { before, .. } => before,
            Self::Following(mut following) => {
                following.answered(shard, audience);
                following.own.into_values().for_each(|commit| audience.publish(commit));
                Some(following.reached)
            }
        };
        *self = reached.filter(|_| !forget).map_or(Self::Alone, Self::Deaf);
    }

    /// This node is about to commit something that is published.
    pub(crate) fn ask(&mut self) {
        if let Self::Following(following) = self {
            following.is_asking = true;
        }
    }

    /// What it asked for was answered, or never will be.
    pub(crate) fn answered<A: Audience>(&mut self, shard: usize, audience: &A) {
        if let Self::Following(following) = self {
            following.answered(shard, audience);
        }
    }

    /// This node has committed something that nobody is told, behind all up to `sequence`.
    pub(crate) fn note_answer(&mut self, sequence: u64) {
        if let Self::Following(following) = self {
            following.answered = following.answered.max(sequence);
        }
    }

    /// Whether more was committed, as answers to this node say, than was told.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(self, Self::Following(following) if following.reached.sequence < following.answered)
    }

    /// This node has committed something that was published.
    pub(crate) fn tell_own<A: Audience>(&mut self, commit: Commit, audience: &A) {
        let Self::Following(following) = self else { return audience.publish(commit) };
        following.tell_own(commit, audience);
    }

    /// Something was committed, by whomever.
    pub(crate) fn hear<A: Audience>(
        &mut self,
        shard: usize,
        message: Message,
        shift: Option<Shift>,
        audience: &A,
    ) {
        match self {
            Self::Alone | Self::Deaf(_) => {}
            // What is left out leaves a hole.
            Self::Beginning { heard, .. } if heard.len() == WAITING => {}
            Self::Beginning { heard, .. } => heard.push(message),
            Self::Following(following) => following.hear(shard, message, shift, audience),
        }
    }

    /// A server says, at a moment of its own, that all up to `sequence` is committed. Whether that should have been
    /// heard by now.
    pub(crate) fn is_late(&mut self, sequence: u64, server: u64, now: Duration) -> bool {
        let Self::Following(Following { reached, late, .. }) = self else { return false };
        if sequence < reached.at {
            reached.at = reached.at.max(server);
        }
        match *late {
            Some((expected, since)) if reached.sequence < expected => now.saturating_sub(since) >= LATE,
            _ => {
                *late = (reached.sequence < sequence).then_some((sequence, now));
                false
            }
        }
    }
}

impl Following {
    fn answered<A: Audience>(&mut self, shard: usize, audience: &A) {
        self.is_asking = false;
        for (message, shift) in std::mem::take(&mut self.held) {
            self.take(shard, message, shift, audience);
        }
    }

    fn tell_own<A: Audience>(&mut self, commit: Commit, audience: &A) {
        let Position { shard, sequence } = commit.position;
        self.answered = self.answered.max(sequence);
        if sequence > self.reached.sequence {
            self.own.insert(sequence, commit);
        }
        self.answered(shard, audience);
        self.tell_what_follows(audience);
        if self.own.len() > WAITING {
            audience.lost(shard, Loss::Commits);
            while let Some((sequence, commit)) = self.own.pop_first() {
                self.reached.sequence = sequence;
                audience.publish(commit);
            }
        }
    }

    fn hear<A: Audience>(&mut self, shard: usize, message: Message, shift: Option<Shift>, audience: &A) {
        let Message { sequence, is_own, .. } = message;
        if sequence <= self.reached.sequence {
            return;
        }
        let is_asked_for = is_own && !self.own.contains_key(&sequence);
        if self.is_asking && (is_asked_for || !self.held.is_empty()) {
            self.held.push((message, shift));
            if self.held.len() == WAITING {
                self.answered(shard, audience);
            }
        } else {
            self.take(shard, message, shift, audience);
        }
    }

    fn take<A: Audience>(&mut self, shard: usize, message: Message, shift: Option<Shift>, audience: &A) {
        let Message { sequence, payload, .. } = message;
        if sequence <= self.reached.sequence {
            return;
        }
        if sequence != self.reached.sequence + 1 {
            while let Some(first) = self.own.first_entry().filter(|first| *first.key() < sequence) {
                audience.publish(first.remove());
            }
            audience.lost(shard, self.reached.loss(sequence));
        }
        self.reached.sequence = sequence;
        let own = self.own.remove(&sequence).map(Ok);
        let heard = own.unwrap_or_else(|| {
            let news = read_news(&payload, shift.unwrap_or_default())?;
            let News { side, changes, deadline, presence } = news;
            let position = Position { shard, sequence };
            Ok(Commit { side, changes, position, deadline, presence, is_ours: false })
        });
        match heard {
            Ok(commit) => audience.publish(commit),
            Err(error) => {
                audience.unreadable(shard, error);
                audience.lost(shard, Loss::Commits);
            }
        }
        self.tell_what_follows(audience);
    }

    fn tell_what_follows<A: Audience>(&mut self, audience: &A) {
        while let Some(next) = self.own.remove(&(self.reached.sequence + 1)) {
            self.reached.sequence += 1;
            audience.publish(next);
        }
    }
}

#[cfg(test)]
mod tests;
