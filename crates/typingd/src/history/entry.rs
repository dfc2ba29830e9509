//! One thing that happened, as it is remembered.

use typingd_core::{ChangeKind, Name, Outcome, Role, Signal, Time, Verdict};
use typingd_providers::Rejection;

use crate::wire;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened; of a signal that was repeated, first.
    pub at: Time,
    /// Whose side it was.
    pub role: Role,
    /// Who of the side; `None` where the wire does not say.
    pub participant: Option<Name>,
    /// What happened.
    pub what: What,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Somebody said something, once or several times with the same result.
    Signal {
        /// What was said.
        word: Word,
        /// By which door.
        door: &'static str,
        /// What became of it.
        decision: Decision,
        /// How often in a row.
        times: u32,
        /// When it was said last.
        last: Time,
    },
    /// A lease began, was to end at another time than was told, or ended.
    Change {
        /// Which of them.
        kind: ChangeKind,
        /// The end that was told.
        until: Time,
    },
}

/// A signal without how long it vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is typing.
    Composing,
    /// It stopped without a message.
    Paused,
    /// Its message went out.
    Sent,
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was judged.
    Heard(Verdict),
    /// It was not.
    Refused(Refused),
}

/// Why a signal was not judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room for what it starts.
    Full,
    /// The gateway is going away.
    Leaving,
}

/// A signal that is to be noted.
#[derive(Clone, Debug)]
pub struct Heard {
    /// By which door it came.
    pub door: &'static str,
    /// Who said it; `None` where the wire does not say.
    pub participant: Option<Name>,
    /// What was said.
    pub signal: Signal,
    /// What became of it.
    pub decision: Decision,
}

impl Entry {
    /// When it happened last.
    #[must_use]
    pub fn last(&self) -> Time {
        match self.what {
            What::Signal { last, .. } => last,
            What::Change { .. } => self.at,
        }
    }
}

impl From<Signal> for Word {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Composing { .. } => Self::Composing,
            Signal::Paused => Self::Paused,
            Signal::Sent => Self::Sent,
        }
    }
}

impl Word {
    /// As the native API spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Composing => "composing",
            Self::Paused => "paused",
            Self::Sent => "sent",
        }
    }
}

impl Decision {
    /// What the gateway's answer to a signal comes to.
    #[must_use]
    pub fn of(answer: &Result<Outcome, Rejection>) -> Self {
        match answer {
            Ok(outcome) => Self::Heard(outcome.verdict),
            Err(Rejection::Unavailable) => Self::Refused(Refused::Leaving),
            Err(_) => Self::Refused(Refused::Full),
        }
    }

    /// The word for it, and for why it was to ignore or to refuse.
    #[must_use]
    pub fn words(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Heard(verdict) => wire::words(verdict),
            Self::Refused(Refused::Full) => ("refused", Some("full")),
            Self::Refused(Refused::Leaving) => ("refused", Some("leaving")),
        }
    }
}
