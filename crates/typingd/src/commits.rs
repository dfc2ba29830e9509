//! What the store commits, told to everybody here who must know of it, in commit order.

use std::sync::Arc;

use tracing::error;
use typingd_core::store::remote::{Audience, Loss, Unreadable};
use typingd_core::store::{Commit, Feed};

use crate::census::Census;
use crate::clock::Clock;
use crate::history::History;
use crate::hub::Outlet;
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::sweeper::Alarm;

/// The store's feed. The store waits for it, so that nobody in here waits for anything.
pub struct Commits {
    /// Told each side's next deadline.
    pub alarm: Arc<Alarm>,
    /// Counts the tenants' leases, where nobody else has any of them.
    pub census: Option<Arc<Census>>,
    /// Remembers changes for a while.
    pub history: Arc<History>,
    /// Carries changes to providers.
    pub relay: Arc<Relay>,
    /// Counts changes.
    pub metrics: Arc<Metrics>,
    /// Leads to those who watch.
    pub outlet: Outlet,
    /// The time.
    pub clock: Clock,
}

impl Feed for Commits {
    fn publish(&self, commit: Commit) {
        if let Some(deadline) = commit.deadline {
            self.alarm.set(deadline);
        }
        if let Some(census) = &self.census {
            census.note(&commit);
        }
        if commit.changes.is_empty() {
            return;
        }
        let now = self.clock.now();
        self.history.note_commit(&commit, now);
        self.relay.note(&commit, now);
        if commit.is_ours {
            for change in &commit.changes {
                self.metrics.changed(change, now);
            }
        }
        self.outlet.put(commit);
    }
}

impl Audience for Commits {
    fn lost(&self, shard: usize, loss: Loss) {
        self.metrics.lost(loss);
        self.relay.lost(shard);
        self.outlet.lose(shard);
    }

    fn unreadable(&self, shard: usize, error: Unreadable) {
        error!(shard, %error, "something in the store counts as nothing");
    }
}
