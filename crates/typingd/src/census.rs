//! How many leases each tenant has.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use typingd_core::{ChangeKind, Name};

/// Counts leases by tenant, as they start and stop.
#[derive(Debug, Default)]
pub struct Census(Mutex<HashMap<Name, usize>>);

impl Census {
    /// A lease of the tenant has changed.
    pub fn note(&self, tenant: &Name, change: ChangeKind) {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match change {
            ChangeKind::Started => *leases.entry(tenant.clone()).or_default() += 1,
            ChangeKind::Refreshed => {}
            ChangeKind::Stopped(_) => {
                if let Some(count) = leases.get_mut(tenant) {
                    *count -= 1;
                    if *count == 0 {
                        leases.remove(tenant);
                    }
                }
            }
        }
    }

    /// How many it has.
    #[must_use]
    pub fn leases(&self, tenant: &Name) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).copied().unwrap_or(0)
    }
}
