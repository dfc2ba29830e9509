//! One scope that somebody watches: a snapshot, then what it has not seen.

use typingd_core::store::{AsOf, Position};
use typingd_core::{Scope, store::Listing};

use crate::gateway::{Gateway, TooWide};
use crate::hub::{Subscription, Tag};

use super::event::{self, Told};

/// A scope that is watched.
pub struct Watch {
    tag: Tag,
    scope: Scope,
    /// What its watcher knows from the last snapshot.
    as_of: AsOf,
}

impl Watch {
    /// Starts to watch a scope. Take a snapshot next.
    #[must_use]
    pub fn start(subscription: &mut Subscription, scope: Scope) -> Self {
        let tag = subscription.watch(scope.clone());
        Self { tag, scope, as_of: AsOf::default() }
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
        let snapshot = event::snapshot(&listing, name, now, &gateway.clock);
        self.as_of = listing.as_of;
        Ok(snapshot)
    }

    /// Whether the last snapshot does not have it already.
    #[must_use]
    pub fn is_news(&self, position: Position) -> bool {
        !self.as_of.includes(position)
    }
}
