//! One scope that somebody watches: a snapshot, then what it has not seen.

use typingd_core::store::{AsOf, Position};
use typingd_core::{Role, Scope, store::Listing};

use crate::gateway::{Gateway, TooWide};
use crate::hub::{Subscription, Tag};

use super::event::{self, Told};

/// A scope that is watched.
pub struct Watch {
    tag: Tag,
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
        let tag = subscription.watch(scope.clone());
        Self { tag, scope, side, as_of: AsOf::default() }
    }

    /// By what its news are known.
    #[must_use]
    pub fn tag(&self) -> Tag {
        self.tag
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

    /// Whether the last snapshot does not have it already.
    #[must_use]
    pub fn is_news(&self, position: Position) -> bool {
        !self.as_of.includes(position)
    }
}
