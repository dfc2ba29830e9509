//! One scope that somebody watches: a snapshot, then what it has not seen.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use typingd_core::store::AsOf;
use typingd_core::{Role, Scope, store::Listing};

use crate::gateway::{Gateway, Unlisted};
use crate::hub::{News, Subscription};

use super::event::{self, Told};

/// How often a scope is listed for a snapshot, where the node goes on to decide things beside the store meanwhile.
const LISTINGS: usize = 4;

/// A scope that is watched.
pub struct Watch {
    scope: Scope,
    /// Which side its watcher is, where it is one.
    side: Option<Role>,
    /// What its watcher knows from the last snapshot.
    as_of: AsOf,
    /// How much of what was decided beside the store that snapshot has.
    beside: u64,
    is_owed: Arc<AtomicBool>,
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
    pub told: Told,
    /// Whether that is only what is known on this node, because the store is out of reach.
    pub is_degraded: bool,
}

impl Watch {
    /// Starts to watch a scope. Take a snapshot next.
    #[must_use]
    pub fn start(
        gateway: &Arc<Gateway>,
        subscription: &mut Subscription,
        scope: Scope,
        side: Option<Role>,
    ) -> Self {
        let shards = gateway.engine.store().shards_of(&scope);
        gateway.engine.store().follow(shards.clone());
        subscription.watch(scope.clone(), shards.clone());
        let interest = Interest { gateway: gateway.clone(), shards };
        let is_owed = subscription.is_owed().clone();
        Self { scope, side, as_of: AsOf::default(), beside: 0, is_owed, interest }
    }

    /// Watches it no more.
    pub fn end(self, subscription: &mut Subscription) {
        subscription.unwatch(&self.scope);
    }

    /// What lives in the scope now, to be told under the subscription's name, where it has one.
    ///
    /// # Errors
    /// Where that is more than a snapshot holds, or nobody knows.
    pub async fn snapshot(&mut self, name: Option<&str>) -> Result<Snapshot, Unlisted> {
        let gateway = &self.interest.gateway;
        gateway.engine.store().heard(self.interest.shards.clone()).await;
        let mut listings = 0;
        let (now, beside, listing) = loop {
            let (now, beside) = (gateway.clock.now(), gateway.hub.beside());
            let listing = gateway.list(&self.scope, now).await;
            let listing: Listing = listing.inspect_err(|_| self.is_owed.store(true, Ordering::Relaxed))?;
            listings += 1;
            // What is decided beside the store while that is asked may be in there, and may be what it tells of after it.
            if listing.failed.is_some() || gateway.hub.beside() == beside || listings == LISTINGS {
                break (now, beside, listing);
            }
        };
        // One side's turns are no business of the other's: a stranger could raise them out of reach.
        let turns = &listing.last_turns;
        let last_turn = self.side.map_or_else(|| turns.highest(), |side| turns.of(side));
        let told = event::snapshot(&listing, name, last_turn, now, &gateway.clock);
        let is_degraded = listing.failed.is_some();
        self.is_owed.fetch_or(is_degraded, Ordering::Relaxed);
        // What is known on this node alone is not of any moment of the store's.
        self.as_of = if is_degraded { AsOf::default() } else { listing.as_of };
        self.beside = beside;
        Ok(Snapshot { told, is_degraded })
    }

    /// Whether it happened in the scope, and the last snapshot does not have it already.
    #[must_use]
    pub fn has_news(&self, news: &News) -> bool {
        let is_known = match news.beside {
            Some(beside) => beside <= self.beside,
            None => self.as_of.includes(news.position),
        };
        self.scope.covers(&news.conversation) && !is_known
    }
}
