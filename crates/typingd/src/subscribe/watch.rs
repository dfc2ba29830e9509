//! One scope that somebody watches: a snapshot, then what it has not seen.

use std::ops::Range;
use std::sync::Arc;

use typingd_core::store::AsOf;
use typingd_core::{Role, Scope, store::Listing};

use crate::gateway::{Gateway, Unlisted};
use crate::hub::Subscription;

use super::event::{self, Text};

/// How often a scope is listed for a snapshot, where the node goes on to decide things beside the store meanwhile.
const LISTINGS: usize = 4;

/// A scope that is watched.
pub struct Watch {
    /// Under which the subscription knows it.
    number: u32,
    /// Which side its watcher is, where it is one.
    side: Option<Role>,
    interest: Interest,
}

/// That somebody wants to hear of what happens in these shards. It ends when it is dropped.
struct Interest {
    gateway: Arc<Gateway>,
    shards: Range<usize>,
}

impl Drop for Interest {
    fn drop(&mut self) {
        self.gateway.engine.store().unfollow(self.shards.clone());
    }
}

/// What lives in a scope.
pub struct Snapshot {
    /// As it is told.
    pub text: Text,
    /// Whether that is only what is known on this node, because the store is out of reach.
    pub is_degraded: bool,
}

impl Watch {
    /// Starts to watch a scope. Take a snapshot next.
    #[must_use]
    pub fn start(
        gateway: &Arc<Gateway>,
        subscription: &Subscription,
        scope: Scope,
        side: Option<Role>,
    ) -> Self {
        let shards = gateway.engine.store().shards_of(&scope);
        gateway.engine.store().follow(shards.clone());
        let number = subscription.watch(scope, shards.clone());
        let interest = Interest { gateway: gateway.clone(), shards };
        Self { number, side, interest }
    }

    /// Watches it no more.
    pub fn end(self, subscription: &Subscription) {
        subscription.unwatch(self.number);
    }

    /// What lives in the scope now, to be told under the subscription's name, where it has one. What it has is not told
    /// any more.
    ///
    /// # Errors
    /// Where that is more than a snapshot holds, or nobody knows.
    pub async fn snapshot(
        &self,
        subscription: &Subscription,
        name: Option<&str>,
    ) -> Result<Snapshot, Unlisted> {
        let Interest { gateway, shards } = &self.interest;
        let scope = subscription.scope(self.number).ok_or(Unlisted::Unavailable)?;
        gateway.engine.store().heard(shards.clone()).await;
        let mut listings = 0;
        let (now, beside, listing) = loop {
            let (now, beside) = (gateway.clock.now(), gateway.hub.beside());
            let listing = gateway.list(&scope, now).await;
            let listing: Listing = listing.inspect_err(|_| subscription.owe())?;
            listings += 1;
            // What is decided beside the store while that is asked may be in there, and may be what it tells of after it.
            if listing.failed.is_some() || gateway.hub.beside() == beside || listings == LISTINGS {
                break (now, beside, listing);
            }
        };
        // One side's turns are no business of the other's: a stranger could raise them out of reach.
        let turns = &listing.last_turns;
        let last_turn = self.side.map_or_else(|| turns.highest(), |side| turns.of(side));
        let text = event::snapshot(&listing, name, last_turn, now, &gateway.clock);
        let is_degraded = listing.failed.is_some();
        if is_degraded {
            subscription.owe();
        }
        // What is known on this node alone is not of any moment of the store's.
        let as_of = if is_degraded { AsOf::default() } else { listing.as_of };
        let is_all_made_here = gateway.engine.store().as_shared().is_none();
        subscription.has_seen(self.number, as_of, beside, is_all_made_here);
        Ok(Snapshot { text, is_degraded })
    }
}
