//! What all faces of the gateway share: the engine, those who watch, and who may use it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use typingd_core::store::memory::MemoryStore;
use typingd_core::store::{Listing, StoreError};
use typingd_core::{Engine, Name, Outcome, Scope, Side, Time, Utterance};
use typingd_providers::{Account, ChannelKind, KeyHasher, KeyRing, Provider};

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
    /// What keeps strangers within bounds.
    pub limits: Limits,
}

impl Gateway {
    /// Hears what a composer says.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn hear(&self, side: &Side, utterance: Utterance, now: Time) -> Result<Outcome, StoreError> {
        self.engine.say(side, utterance, now).await
    }

    /// The leases of a scope.
    ///
    /// # Errors
    /// [`TooWide`] where there are more than a listing may hold.
    pub async fn list(&self, scope: &Scope, now: Time) -> Result<Listing, TooWide> {
        let listing = self.engine.leases(scope, now, self.limits.listing).await;
        if listing.cut { Err(TooWide) } else { Ok(listing) }
    }

    /// Ends every lease of every tenant.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn revoke_all(&self) -> Result<(), StoreError> {
        for tenant in self.tenants.names() {
            self.engine.revoke(&Scope::tenant(tenant.clone()), self.clock.now()).await?;
        }
        Ok(())
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
