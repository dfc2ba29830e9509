//! Places for feeds: so many in all, and so many of one tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use typingd_core::Name;

/// How many there may be.
const PLACES: usize = 1_024;

/// How many one tenant may have, so that it leaves some to the others.
const OF_TENANT: usize = 64;

/// How many are taken, by tenant.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<Name, usize>>);

/// A place; dropping it gives it up.
pub(super) struct Place {
    places: Arc<Places>,
    tenant: Name,
}

impl Places {
    /// One for a tenant; `None` where it has as many as it may, or all are taken.
    pub(super) fn take(self: &Arc<Self>, tenant: &Name) -> Option<Place> {
        let mut taken = self.lock();
        if taken.values().sum::<usize>() >= PLACES || taken.get(tenant) >= Some(&OF_TENANT) {
            return None;
        }
        *taken.entry(tenant.clone()).or_default() += 1;
        Some(Place { places: self.clone(), tenant: tenant.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(of_tenant) = taken.get_mut(&self.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_by_tenant_and_in_all_and_are_given_back() {
        let places = Arc::new(Places::default());
        let name = |tenant: usize| Name::from(format!("t{tenant}"));
        let fill = |tenant| (0..=OF_TENANT).map_while(|_| places.take(&name(tenant))).collect::<Vec<_>>();
        let mut taken: Vec<Vec<Place>> = (0..PLACES / OF_TENANT).map(fill).collect();
        assert!(taken.iter().all(|of_tenant| of_tenant.len() == OF_TENANT));
        assert!(places.take(&name(99)).is_none(), "all are taken");
        taken[3].pop();
        assert!(places.take(&name(99)).is_some());
        taken.clear();
        assert!(places.lock().is_empty());
    }
}
