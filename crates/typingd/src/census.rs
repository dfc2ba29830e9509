//! How much each tenant has the gateway remember.

use std::sync::{Mutex, PoisonError};

use typingd_core::store::{Commit, Presence};
use typingd_core::{ChangeKind, Name};

use crate::tenants::ByTenant;

/// Counts leases and sides by tenant, as they come and go.
#[derive(Debug, Default)]
pub struct Census(Mutex<ByTenant<Count>>);

/// What a tenant has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Leases that live.
    pub leases: usize,
    /// Sides that are remembered, with a lease or a fence.
    pub sides: usize,
}

impl Census {
    /// Counts what a commit has changed.
    pub fn note(&self, commit: &Commit) {
        if commit.changes.is_empty() && commit.presence == Presence::Unchanged {
            return;
        }
        let tenant = commit.side.conversation.tenant();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = counts.get(tenant).copied().unwrap_or_default();
        for change in &commit.changes {
            match change.kind {
                ChangeKind::Started => count.leases += 1,
                ChangeKind::Refreshed => {}
                ChangeKind::Stopped(_) => count.leases -= 1,
            }
        }
        match commit.presence {
            Presence::Appeared => count.sides += 1,
            Presence::Unchanged => {}
            Presence::Vanished => count.sides -= 1,
        }
        if count == Count::default() {
            counts.remove(tenant);
        } else {
            counts.insert(tenant.clone(), count);
        }
    }

    /// What it has.
    #[must_use]
    pub fn of(&self, tenant: &Name) -> Count {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).copied().unwrap_or_default()
    }
}
