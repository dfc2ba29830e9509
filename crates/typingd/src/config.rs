//! What a gateway is told before it starts.

use std::time::Duration;

use typingd_core::{Name, Policy};
use typingd_providers::{Accounts, Secret};

use crate::{hub, listener};

/// Everything there is to set.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Who uses the native API.
    pub tenants: Vec<Tenant>,
    /// Who uses the providers' doors. Their channels are those of the native API.
    pub accounts: Accounts,
    /// The engine's numbers.
    pub policy: Policy,
    /// What keeps strangers within bounds.
    pub limits: Limits,
}

/// One of those who share a gateway and see nothing of each other.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name.
    pub name: Name,
    /// The keys of its own programs.
    pub api_keys: Vec<Secret>,
}

/// Bounds of the whole gateway.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections.
    pub listener: listener::Limits,
    /// Subscribers.
    pub hub: hub::Limits,
    /// Sides that are remembered at a time, with a lease or a fence; the next start is answered 429.
    pub sides: usize,
    /// Leases in one listing or snapshot; one more is answered 413.
    pub listing: usize,
    /// Conversations counted as open; the one opened first is forgotten first.
    pub opened: usize,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// How long a drain may take.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            listener: listener::Limits::default(),
            hub: hub::Limits::default(),
            sides: 2_000_000,
            listing: 10_000,
            opened: 100_000,
            body_timeout: Duration::from_secs(9),
            drain_timeout: Duration::from_secs(5),
        }
    }
}
