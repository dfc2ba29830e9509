//! What pacing did, for metrics.

use super::verdict::{Dropped, Verb, Verdict};

/// What one upstream was told and what it was not. All but the tally are exact; the tally is what [`Stream`]s make of
/// it, and runs behind by what a stream has not looked at since.
///
/// [`Stream`]: super::Stream
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Calls begun that show dots.
    pub types: u64,
    /// Calls begun that take dots away.
    pub stops: u64,
    /// Calls that were accepted.
    pub accepted: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls without an answer.
    pub unanswered: u64,
    /// Times against the model of what the other side sees.
    pub tally: Tally,
    dropped: [u64; Dropped::ALL.len()],
}

/// How true the dots were, by a model of what the other side sees: a call takes effect in the middle of its round
/// trip, and lasts the profile's display time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Milliseconds with a lease and no dots.
    pub gap_ms: u64,
    /// Milliseconds with dots and no lease.
    pub ghost_ms: u64,
    /// The fewest calls that could have shown dots as long as there were leases.
    pub fewest_calls: u64,
}

impl Counters {
    /// How many calls were not made for this reason. A word that needs no call of its own counts as coalesced.
    #[must_use]
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize]
    }

    /// Calls begun, of either kind.
    #[must_use]
    pub fn sends(&self) -> u64 {
        self.types + self.stops
    }

    pub(super) fn count_drop(&mut self, reason: Dropped) {
        self.dropped[reason as usize] += 1;
    }

    pub(super) fn count_send(&mut self, verb: Verb) {
        match verb {
            Verb::Type => self.types += 1,
            Verb::Stop => self.stops += 1,
        }
    }

    pub(super) fn count_verdict(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => self.accepted += 1,
            Verdict::Refused(_) => self.refused += 1,
            Verdict::Unanswered => self.unanswered += 1,
        }
    }

    pub(super) fn add(&mut self, tally: Tally) {
        self.tally.gap_ms += tally.gap_ms;
        self.tally.ghost_ms += tally.ghost_ms;
        self.tally.fewest_calls += tally.fewest_calls;
    }
}
