//! What a caller is handed.

#[cfg(doc)]
use super::Pacer;
use crate::conversation::Side;
use crate::pacing::breaker::News;
#[cfg(doc)]
use crate::pacing::verdict::Verdict;
use crate::pacing::verdict::{Dropped, Verb};
use crate::time::Time;

/// Names one account at one provider: the pacer that added it gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(pub(super) usize);

/// Names one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    pub(super) stream: usize,
    pub(super) number: u64,
}

/// A call to begin at once.
#[derive(Clone, Debug)]
pub struct Call {
    /// What its answer is told by.
    pub id: CallId,
    /// To whom.
    pub upstream: UpstreamId,
    /// About which side.
    pub side: Side,
    /// What it says.
    pub verb: Verb,
    /// Since when it was due.
    pub due: Time,
    /// Until when dots may show once it is accepted. To be noted before it is made, for a node that takes over.
    pub shows_until: Time,
}

/// A call that was due and is not made.
#[derive(Clone, Debug)]
pub struct DroppedSend {
    /// To whom.
    pub upstream: UpstreamId,
    /// About which side.
    pub side: Side,
    /// What it would have said.
    pub verb: Verb,
    /// Why not.
    pub reason: Dropped,
}

/// What a caller is to do now.
#[derive(Debug, Default)]
pub struct Due {
    /// Calls to begin, in this order. Each is answered once, by [`Pacer::answered`].
    pub calls: Vec<Call>,
    /// Sides to look at: does the lease last longer than was said? Then it is said by [`Pacer::extend`].
    pub looks: Vec<(UpstreamId, Side)>,
    /// What was dropped, for the log. What was coalesced is only counted.
    pub dropped: Vec<DroppedSend>,
    /// Accounts that wait for permission to try their credential; given by [`Pacer::permit`]. Each is named at most
    /// once a second, and again before its permission ends while it needs it.
    pub permits: Vec<UpstreamId>,
    /// What was learned of credentials that others use too: they are told, and hear it by [`Pacer::hear`].
    pub news: Vec<(UpstreamId, News)>,
}

/// What a message has to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing.
    Open,
    /// This call's answer, at most until then; after that it is to be cancelled, and answered as
    /// [`Verdict::Unanswered`].
    Wait {
        /// The call in flight.
        call: CallId,
        /// How long it is waited for.
        until: Time,
    },
}
