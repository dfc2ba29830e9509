//! What a store has to say besides that several nodes share: it may be out of reach, and what others commit is heard of
//! late, or not at all.

use std::sync::Arc;

use super::{Feed, Store};
use crate::conversation::{Conversation, Scope};

/// A store that lies elsewhere, and that other nodes use too.
///
/// A conversation's commits are of one shard. Those of this node are always published here; those of others where the
/// shard is followed.
pub trait Remote: Store {
    /// The shard of a conversation.
    fn shard_of(&self, conversation: &Conversation) -> usize;

    /// Where a scope's leases may be: what has to be followed to hear of all of them.
    fn shards_of(&self, scope: &Scope) -> std::ops::Range<usize>;

    /// Wants a shard to be followed, once more than before. It is not waited for.
    fn follow(&self, shard: usize);

    /// Takes back what was wanted once. Whom nobody wants is not followed any more.
    fn unfollow(&self, shard: usize);

    /// Whether all that is committed in the shard is heard just now, as far as can be known.
    fn hears(&self, shard: usize) -> bool;

    /// Whether answers to this node have shown more of the shard than was told here so far: what others committed before
    /// is still on its way, or missing.
    fn is_behind(&self, shard: usize) -> bool;
}

/// Who listens on a node: the feed, and what only a shared store has to say. It is called in the order of each shard's
/// commits, and must not wait.
pub trait Audience: Feed {
    /// From here on the shard is followed again, and what was committed meanwhile is not told: only a new listing says
    /// what lives.
    fn lost(&self, shard: usize, loss: Loss);

    /// Something in this shard could not be read, and counts as nothing.
    fn unreadable(&self, shard: usize, error: Unreadable);
}

/// What may be missing of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Commits of others, which the store has.
    Commits,
    /// All that was there: the store itself has begun anew, with nothing in it.
    Everything,
}

/// Bytes that are no state, no side, or no news. Another version of this program wrote them, or somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what is stored cannot be read")
    }
}

impl std::error::Error for Unreadable {}

impl<A: Audience + ?Sized> Audience for Arc<A> {
    fn lost(&self, shard: usize, loss: Loss) {
        (**self).lost(shard, loss);
    }

    fn unreadable(&self, shard: usize, error: Unreadable) {
        (**self).unreadable(shard, error);
    }
}
