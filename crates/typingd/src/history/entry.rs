//! One thing that happened, as it is remembered.

use std::time::Duration;

use typingd_core::pacing::{Dropped, Verb};
use typingd_core::{ChangeKind, Name, Outcome, Role, Signal, Time, Verdict};
use typingd_providers::{RefusalKind, Rejection};

use crate::wire;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened; of what was repeated, first.
    pub at: Time,
    /// Whose side it was.
    pub role: Role,
    /// Who of the side; `None` where the wire does not say, and of a call, which speaks for all of them.
    pub participant: Option<Name>,
    /// What happened.
    pub what: What,
}

/// What may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// A provider was told, or was to be, once or several times with the same result.
    Call {
        /// What was to be told, and what became of it last. It has a box of its own: the others do with less.
        called: Box<Called>,
        /// How often in a row.
        times: u32,
        /// When it ended last.
        last: Time,
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

/// A call to a provider that came to its end, or one that was due and not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The account at the provider, by the operator's name for it.
    pub upstream: Name,
    /// The provider.
    pub provider: &'static str,
    /// What it says.
    pub verb: Verb,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The provider took it. That it was shown is more than anybody knows.
    Accepted {
        /// From its beginning to its answer.
        took: Duration,
    },
    /// The provider refused it.
    Refused {
        /// Whom the refusal concerns.
        kind: RefusalKind,
        /// The status, and the provider's code: nothing that a stranger wrote.
        detail: Name,
        /// From its beginning to its answer.
        took: Duration,
    },
    /// There is no answer: it may have taken effect.
    Unanswered {
        /// From its beginning to its end.
        took: Duration,
    },
    /// It was not made, or not again.
    Dropped(Dropped),
}

impl Entry {
    /// When it happened last.
    #[must_use]
    pub fn last(&self) -> Time {
        match self.what {
            What::Signal { last, .. } | What::Call { last, .. } => last,
            What::Change { .. } => self.at,
        }
    }

    /// Whether dots went on or off.
    #[must_use]
    pub fn is_turn(&self) -> bool {
        matches!(self.what, What::Change { kind: ChangeKind::Started | ChangeKind::Stopped(_), .. })
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

impl Called {
    /// Whether another says the same to the same account with the same result, however long either took.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.upstream == other.upstream && self.verb == other.verb && self.fate.is_like(&other.fate)
    }

    /// What it says, in the word for the signal that says the same.
    #[must_use]
    pub const fn says(&self) -> &'static str {
        match self.verb {
            Verb::Type => Word::Composing.as_str(),
            Verb::Stop => Word::Paused.as_str(),
        }
    }
}

impl Fate {
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Accepted { .. }, Self::Accepted { .. })
            | (Self::Unanswered { .. }, Self::Unanswered { .. }) => true,
            (Self::Refused { kind, detail, .. }, Self::Refused { kind: k, detail: d, .. }) => {
                (kind, detail) == (k, d)
            }
            (Self::Dropped(reason), Self::Dropped(other)) => reason == other,
            _ => false,
        }
    }

    /// The word for it, and for whom it was refused over or why it was dropped.
    #[must_use]
    pub const fn words(&self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Accepted { .. } => ("accepted", None),
            Self::Refused { kind: RefusalKind::Credential, .. } => ("refused", Some("credential")),
            Self::Refused { kind: RefusalKind::Agent, .. } => ("refused", Some("agent")),
            Self::Refused { kind: RefusalKind::Recipient, .. } => ("refused", Some("recipient")),
            Self::Refused { kind: RefusalKind::Transient, .. } => ("refused", Some("transient")),
            Self::Unanswered { .. } => ("unanswered", None),
            Self::Dropped(reason) => ("dropped", Some(reason.as_str())),
        }
    }

    /// What the provider said to it, where it refused.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Refused { detail, .. } => Some(detail),
            Self::Accepted { .. } | Self::Unanswered { .. } | Self::Dropped(_) => None,
        }
    }

    /// How long it took, where it was made.
    #[must_use]
    pub const fn took(&self) -> Option<Duration> {
        match *self {
            Self::Accepted { took } | Self::Refused { took, .. } | Self::Unanswered { took } => Some(took),
            Self::Dropped(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_small_as_the_operator_is_told() {
        assert!(size_of::<Entry>() <= 88, "{}", size_of::<Entry>());
        assert!(size_of::<Called>() <= 96, "{}", size_of::<Called>());
    }
}
