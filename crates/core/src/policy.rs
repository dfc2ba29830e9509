//! The numbers that the rules leave open.

use std::time::Duration;

/// Bounds and spans of the engine. The defaults are the documented ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A shorter wish is raised to this.
    pub min_ttl: Duration,
    /// A longer wish is cut to this.
    pub max_ttl: Duration,
    /// The longest time before the announced end at which an extension is told.
    pub max_guard: Duration,
    /// How long a side's fence is remembered after its last lease ended.
    pub fence: Duration,
    /// How many payload ids a fence holds; the oldest is forgotten first.
    pub payload_ids: usize,
    /// How many may compose on one side at a time; one more is ignored.
    pub leases_per_side: usize,
    /// How many claims may hold up one lease; one more is ignored.
    pub claims_per_lease: usize,
}

impl Policy {
    /// A wished ttl brought within the bounds.
    #[must_use]
    pub fn clamp_ttl(&self, wished: Duration) -> Duration {
        wished.clamp(self.min_ttl, self.max_ttl)
    }

    /// How long before the announced end a later end must be told, for a signal with this ttl.
    #[must_use]
    pub fn guard(&self, ttl: Duration) -> Duration {
        (ttl / 4).min(self.max_guard)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(60),
            max_guard: Duration::from_secs(5),
            fence: Duration::from_secs(60),
            payload_ids: 16,
            leases_per_side: 32,
            claims_per_lease: 32,
        }
    }
}
