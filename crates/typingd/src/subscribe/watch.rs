//! One scope that somebody watches: a snapshot, then what it has not seen.

use typingd_core::store::AsOf;
use typingd_core::{Role, Scope, store::Listing};

use crate::gateway::{Gateway, TooWide};
use crate::hub::{News, Subscription};

use super::event::{self, Told};

/// A scope that is watched.
pub struct Watch {
    scope: Scope,
    /// Which side its watcher is, where it is one.
    side: Option<Role>,
    /// What its watcher knows from the last snapshot.
    as_of: AsOf,
}

impl Watch {
    /// Starts to watch a scope. Take a snapshot next.
    #[must_use]
    pub fn start(subscription: &mut Subscription, scope: Scope, side: Option<Role>) -> Self {
        subscription.watch(scope.clone());
        Self { scope, side, as_of: AsOf::default() }
    }

    /// Watches it no more.
    pub fn end(self, subscription: &mut Subscription) {
        subscription.unwatch(&self.scope);
    }

    /// What lives in the scope now, to be told under the subscription's name, where it has one.
    ///
    /// # Errors
    /// [`TooWide`] where that is more than a snapshot holds.
    pub async fn snapshot(&mut self, gateway: &Gateway, name: Option<&str>) -> Result<Told, TooWide> {
        let now = gateway.clock.now();
        let listing: Listing = gateway.list(&self.scope, now).await?;
        // One side's turns are no business of the other's: a stranger could raise them out of reach.
        let turns = &listing.last_turns;
        let last_turn = self.side.map_or_else(|| turns.highest(), |side| turns.of(side));
        let snapshot = event::snapshot(&listing, name, last_turn, now, &gateway.clock);
        self.as_of = listing.as_of;
        Ok(snapshot)
    }

    /// Whether it happened in the scope, and the last snapshot does not have it already.
    #[must_use]
    pub fn has_news(&self, news: &News) -> bool {
        self.scope.covers(&news.conversation) && !self.as_of.includes(news.position)
    }
}
