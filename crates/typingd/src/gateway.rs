//! What all faces of the gateway share: the engine, those who watch, and who may use it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::error;
use typingd_core::store::memory::MemoryStore;
use typingd_core::store::{Listing, StoreError};
use typingd_core::{Engine, IgnoreReason, Name, Outcome, Scope, Side, Signal, Time, Utterance, Verdict};
use typingd_providers::{Account, ChannelKind, KeyHasher, KeyRing, Provider, Rejection};

use crate::clock::Clock;
use crate::config::{Limits, Tenant};
use crate::hub::{Hub, Outlet};
use crate::opened::Opened;

/// The gateway's state.
pub struct Gateway {
    /// Who is composing to whom, until when.
    pub engine: Engine<MemoryStore<Outlet>>,
    /// Who is watching.
    pub hub: Arc<Hub>,
    /// The time.
    pub clock: Clock,
    /// The providers' doors.
    pub doors: Vec<Box<dyn Provider>>,
    /// Who may use the native API.
    pub tenants: Tenants,
    /// Which conversations a provider counts as open.
    pub opened: Opened,
    /// Whether it is going away.
    pub is_draining: AtomicBool,
    /// What keeps strangers within bounds.
    pub limits: Limits,
}

impl Gateway {
    /// Hears what a composer says.
    ///
    /// # Errors
    /// [`Rejection::TooMany`] where there is no room for what it starts, [`Rejection::Unavailable`] where the gateway
    /// is going away.
    pub async fn hear(&self, side: &Side, utterance: Utterance, now: Time) -> Result<Outcome, Rejection> {
        const FULL: Rejection = Rejection::TooMany { retry_after_s: 1 };
        let is_start = matches!(utterance.signal, Signal::Composing { .. });
        let outcome = self.engine.say(side, utterance, now).await.map_err(|StoreError::Full| FULL)?;
        if is_start && self.is_draining.load(Ordering::SeqCst) {
            // Either the drain finds the lease, or this finds the drain.
            self.revoke(self.engine.revoke_side(side, now).await.map(|_| false));
            return Err(Rejection::Unavailable);
        }
        match outcome.verdict {
            Verdict::Ignored(IgnoreReason::Full) => Err(FULL),
            _ => Ok(outcome),
        }
    }

    /// The leases of a scope.
    ///
    /// # Errors
    /// [`TooWide`] where there are more than a listing may hold.
    pub async fn list(&self, scope: &Scope, now: Time) -> Result<Listing, TooWide> {
        let listing = self.engine.leases(scope, now, self.limits.listing).await;
        if listing.cut { Err(TooWide) } else { Ok(listing) }
    }

    /// Ends every lease of every tenant, and lets none start any more.
    pub async fn revoke_all(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        for tenant in self.tenants.names() {
            let scope = Scope::tenant(tenant.clone());
            while self.revoke(self.engine.revoke(&scope, self.clock.now()).await) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether there are more to end.
    fn revoke(&self, revoked: Result<bool, StoreError>) -> bool {
        revoked.unwrap_or_else(|error| {
            error!(%error, "not every lease could be ended");
            false
        })
    }
}

/// More leases live in a scope than a listing may hold.
#[derive(Clone, Copy, Debug)]
pub struct TooWide;

/// The tenants: their keys and their channels.
#[derive(Debug)]
pub struct Tenants {
    keys: KeyRing<Name>,
    channels: HashMap<Name, Channels>,
}

/// A tenant's channels, by name.
pub type Channels = BTreeMap<Name, ChannelInfo>;

/// A channel of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelInfo {
    /// What its users are called by.
    pub kind: ChannelKind,
    /// How long a `composing` lasts that does not say.
    pub ttl: Duration,
}

impl Tenants {
    /// The tenants, with the channels that the accounts of the doors bring.
    ///
    /// # Errors
    /// Says what two of them claim.
    pub fn new(
        tenants: Vec<Tenant>,
        doors: &[Box<dyn Provider>],
        hasher: &KeyHasher,
    ) -> anyhow::Result<Self> {
        let mut keys = KeyRing::new(hasher);
        let mut channels: HashMap<Name, Channels> = HashMap::new();
        for tenant in tenants {
            for key in &tenant.api_keys {
                keys.insert(key, tenant.name.clone(), "native API key")?;
            }
            channels.entry(tenant.name).or_default();
        }
        for Account { tenant, channel, ttl, .. } in doors.iter().flat_map(|door| door.accounts()) {
            let info = ChannelInfo { kind: channel.kind, ttl: *ttl };
            let of_tenant = channels.entry(tenant.clone()).or_default();
            let held = of_tenant.entry(channel.name.clone()).or_insert(info);
            anyhow::ensure!(
                held.kind == channel.kind,
                "channel {} of tenant {tenant} cannot hold both phone numbers and other text",
                channel.name
            );
        }
        Ok(Self { keys, channels })
    }

    /// Whose key it is.
    #[must_use]
    pub fn of_key(&self, presented: &str) -> Option<&Name> {
        self.keys.get(presented.as_bytes())
    }

    /// A tenant's channels.
    #[must_use]
    pub fn channels(&self, tenant: &Name) -> &Channels {
        const NONE: &Channels = &Channels::new();
        self.channels.get(tenant).unwrap_or(NONE)
    }

    fn names(&self) -> impl Iterator<Item = &Name> {
        self.channels.keys()
    }
}
