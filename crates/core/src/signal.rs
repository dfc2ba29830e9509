//! What is said about composing, before it is decided what it means.

use std::time::Duration;

use compact_str::CompactString;

use crate::conversation::Name;

/// What a composer says about itself. Each may be repeated safely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// It is typing, and this holds for `ttl` unless something is said before.
    Composing {
        /// How long the signal vouches for it.
        ttl: Duration,
    },
    /// It stopped typing without a message.
    Paused,
    /// Its message went out.
    Sent,
}

/// A signal with what it takes to judge it: who says it, on what ground, and what fences it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// One of several on the side; `None` where the wire does not say.
    pub participant: Option<Name>,
    /// What people call them, for show: nobody is told apart by it.
    pub name: Option<Name>,
    /// What is said.
    pub signal: Signal,
    /// The reason to believe a `Composing`: what must be released, or lapse, for it to end.
    pub source: Source,
    /// The door it came in by, kept as the origin of a lease it starts.
    pub origin: Name,
    /// What lets a repeat or a straggler be told from news.
    pub marks: Marks,
}

/// Where a claim comes from. Claims of different sources live and end on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A call that nobody will take back: it lapses.
    OneShot,
    /// An open connection, by a number of its own; closing it releases the claim.
    Socket(u64),
    /// A hold, by a number of its own; ending it releases the claim.
    Hold {
        /// The hold's number.
        id: u64,
        /// Whether it outlives the message: an answer in several messages is one hold.
        continues: bool,
    },
}

impl Source {
    /// Whether the claim is the same one, so that a later word extends it.
    pub(crate) fn is(self, other: Self) -> bool {
        match (self, other) {
            (Self::Hold { id, .. }, Self::Hold { id: other, .. }) => id == other,
            _ => self == other,
        }
    }

    pub(crate) fn outlives_message(self) -> bool {
        matches!(self, Self::Hold { continues: true, .. })
    }
}

/// What a client may add so that its signals can be put in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// A number that the composer's client raises with each message.
    pub turn: Option<u64>,
    /// The only unique key of some wires: a signal with an id seen before is a duplicate.
    pub payload_id: Option<CompactString>,
}
