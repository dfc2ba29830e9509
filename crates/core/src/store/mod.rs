//! What keeps the sides: any place that can change one side at a time and say in which order it did.

use std::future::Future;

use crate::conversation::{Role, Scope, Side};
use crate::lease::{LeaseView, SideState};
use crate::time::Time;
use crate::transition::{Changes, Decision, Outcome};

pub mod memory;
pub mod near;
pub mod remote;
mod wheel;

/// Keeps sides, and decides nothing.
///
/// Every method may be called from many threads at once. What `update` commits is published to a [`Feed`] in commit
/// order: whoever follows the feed from a [`Listing`] on knows the leases at every moment.
pub trait Store: Send + Sync {
    /// Replaces the state of `side` by what `decide` makes of it, in one step, publishes the changes, and gives the
    /// outcome. `decide` may run more than once and must be pure.
    ///
    /// # Errors
    /// [`StoreError::Full`] when the side is not known yet and there is no room for another,
    /// [`StoreError::Unavailable`] when nobody knows whether it was done.
    fn update(
        &self,
        side: &Side,
        now: Time,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> impl Future<Output = Result<Outcome, StoreError>> + Send;

    /// Takes up to `limit` sides whose deadline has come. The caller updates each: only then is its next deadline kept.
    fn due(&self, now: Time, limit: usize) -> impl Future<Output = Due> + Send;

    /// The leases of a scope that live at `now`, up to `limit` of them.
    fn leases(&self, scope: &Scope, now: Time, limit: usize) -> impl Future<Output = Listing> + Send;
}

/// Where a store publishes what it commits. It is called in commit order and must not wait.
pub trait Feed: Send + Sync {
    /// Takes note of a commit. One without changes still brings a deadline.
    fn publish(&self, commit: Commit);
}

/// What one update came to.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The side that was updated.
    pub side: Side,
    /// What subscribers must be told, in this order.
    pub changes: Changes,
    /// Where it stands in the order of commits.
    pub position: Position,
    /// When the side must be looked at next.
    pub deadline: Option<Time>,
    /// Whether the side is remembered.
    pub presence: Presence,
    /// Whether it was decided on this node. Others' are heard of where several nodes share a store.
    pub is_ours: bool,
}

/// Whether a side is remembered after a commit, and was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is, and was not.
    Appeared,
    /// As before.
    Unchanged,
    /// It was, and is not.
    Vanished,
}

/// A place in the order of commits. Only commits of one shard are ordered; all commits of one side are of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The shard.
    pub shard: usize,
    /// Rises with each commit of the shard.
    pub sequence: u64,
}

/// Up to which place of each shard a listing has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AsOf {
    first_shard: usize,
    sequences: Vec<u64>,
}

impl AsOf {
    /// For consecutive shards from `first_shard` on, the last sequence seen of each.
    #[must_use]
    pub fn new(first_shard: usize, sequences: Vec<u64>) -> Self {
        Self { first_shard, sequences }
    }

    /// Whether the listing has seen what was committed at `position`.
    #[must_use]
    pub fn includes(&self, position: Position) -> bool {
        let shard = position.shard.checked_sub(self.first_shard);
        shard.and_then(|shard| self.sequences.get(shard)).is_some_and(|&seen| position.sequence <= seen)
    }
}

/// Sides whose time has come.
#[derive(Debug, Default)]
pub struct Due {
    /// Those taken.
    pub sides: Vec<Side>,
    /// Whether the limit left some behind.
    pub cut: bool,
    /// No deadline comes before this one; `None` where none is known at all.
    pub next: Option<Time>,
    /// Why there may be more that could not be asked for.
    pub failed: Option<StoreError>,
}

/// The leases of a scope.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those found, in no particular order.
    pub leases: Vec<(Side, LeaseView)>,
    /// The highest turn remembered of each side, where the scope is one conversation.
    pub last_turns: LastTurns,
    /// Whether the limit left some out.
    pub cut: bool,
    /// What of the feed is in it already.
    pub as_of: AsOf,
    /// Why some are missing that could not be asked for. What is not listed then may live all the same.
    pub failed: Option<StoreError>,
}

/// The highest turn remembered of each side of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastTurns {
    /// The agent's.
    pub agent: Option<u64>,
    /// The user's.
    pub user: Option<u64>,
}

impl LastTurns {
    /// One side's.
    #[must_use]
    pub fn of(&self, role: Role) -> Option<u64> {
        match role {
            Role::Agent => self.agent,
            Role::User => self.user,
        }
    }

    /// The higher one.
    #[must_use]
    pub fn highest(&self) -> Option<u64> {
        self.agent.max(self.user)
    }
}

/// Why a store could not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// It holds as many sides as it may.
    Full,
    /// It did not answer in time. What was asked for may be done, or may be done yet.
    Unavailable,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => f.write_str("the store holds as many sides as it may"),
            Self::Unavailable => f.write_str("the store did not answer in time"),
        }
    }
}

impl std::error::Error for StoreError {}

impl<F: Feed + ?Sized> Feed for std::sync::Arc<F> {
    fn publish(&self, commit: Commit) {
        (**self).publish(commit);
    }
}
