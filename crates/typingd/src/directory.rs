//! Who may use the gateway, and as what: the part that a reload replaces.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use blake3::Hash;
use typingd_core::Name;
use typingd_providers::keys::{ByDigest, Digests};
use typingd_providers::{
    Account, AccountId, Caller, ChannelKind, Claimed, KeyHasher, Provider, Rejection, Secret,
};

use crate::api::NATIVE;
use crate::clock::Clock;
use crate::config::{Keys, Quota, Tenancy, Tenant, WebhookConfig};
use crate::tenants::ByTenant;
use crate::throttle::Rate;
use crate::webhooks::Webhooks;

/// The doors with their accounts, and the tenants.
pub struct Directory {
    /// The providers' doors.
    pub doors: Vec<Box<dyn Provider>>,
    /// Where providers call us.
    pub webhooks: Webhooks,
    hasher: KeyHasher,
    keys: ByDigest<Arc<Login>>,
    /// All that lets somebody in, at whichever door.
    credentials: Digests,
    tenants: ByTenant<TenantInfo>,
}

/// What is known of a tenant.
pub struct TenantInfo {
    /// Its channels, by name.
    pub channels: Channels,
    /// What it may use.
    pub quota: Quota,
    /// How fast it may ask.
    pub rate: Arc<Rate>,
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

/// Who calls the native API: a tenant, by a credential. Who came by the same one share it.
#[derive(Clone, Debug)]
pub struct Login {
    /// Whose credential it is.
    pub tenant: Name,
    /// The credential's digest.
    pub key: Hash,
    /// The console's session that stands for the credential, where one does: it is worth nothing without that one.
    pub session: Option<Hash>,
}

impl Directory {
    /// The directory of a tenancy. Tenants that were there `before` with the same quota go on at their rate.
    ///
    /// # Errors
    /// Says what two of them claim.
    pub fn new(
        tenancy: Tenancy,
        keys: &Keys,
        clock: Clock,
        before: Option<&Self>,
    ) -> Result<Self, Contradiction> {
        let hasher = keys.hasher.clone();
        let credentials = credentials(&tenancy).map(|secret| secret.digest(&hasher)).collect();
        let doors = typingd_providers::doors(tenancy.accounts, &keys.tokens, &hasher)?;
        let (keys, tenants) = (ByDigest::default(), ByTenant::default());
        let webhooks = Webhooks::none(&hasher);
        let mut directory = Self { doors: Vec::new(), webhooks, hasher, keys, credentials, tenants };
        for (at, Tenant { name, api_keys, quota }) in tenancy.tenants.into_iter().enumerate() {
            for key in &api_keys {
                let key = key.digest(&directory.hasher);
                let login = Arc::new(Login { tenant: name.clone(), key, session: None });
                if directory.keys.insert(key, login).is_some() {
                    let why = "the same native API key is claimed twice".to_owned();
                    return Err(Contradiction { door: NATIVE, place: at, key: None, why });
                }
            }
            let before = before.and_then(|before| before.tenants.get(&name)).filter(|old| old.quota == quota);
            let rate = before.map_or_else(|| Arc::new(Rate::new(quota, clock)), |old| old.rate.clone());
            directory.tenants.insert(name, TenantInfo { channels: Channels::new(), quota, rate });
        }
        for door in &doors {
            let accounts = (0..).map_while(|place| Some((place, door.account(AccountId(place))?)));
            for (place, account) in accounts {
                let added = directory.add_channel(account);
                added.map_err(|why| Contradiction { door: door.name(), place, key: None, why })?;
            }
        }
        let before = before.map(|before| &before.webhooks);
        directory.webhooks = Webhooks::new(tenancy.webhooks, &directory.tenants, &directory.hasher, before)?;
        directory.doors = doors;
        Ok(directory)
    }

    fn add_channel(&mut self, account: &Account) -> Result<(), String> {
        let Account { tenant, channel, ttl, .. } = account;
        let Some(info) = self.tenants.get_mut(tenant) else {
            return Err(format!("the account belongs to the tenant {tenant}, which there is not"));
        };
        let added = ChannelInfo { kind: channel.kind, ttl: *ttl };
        let held = info.channels.entry(channel.name.clone()).or_insert(added);
        if held.kind == channel.kind {
            return Ok(());
        }
        Err(format!("the channel {} cannot hold both phone numbers and other text", channel.name))
    }

    /// Who shows this key. Known or not, the same work is done.
    #[must_use]
    pub fn login(&self, presented: &str) -> Option<Arc<Login>> {
        let key = self.hasher.hash(presented.as_bytes());
        // Nothing is no credential, even where somebody has configured its digest.
        self.keys.get(&key).filter(|_| !presented.is_empty()).cloned()
    }

    /// The login of the gateway's one tenant; `None` where there are several, or it has no key.
    #[must_use]
    pub fn sole_login(&self) -> Option<Arc<Login>> {
        self.keys.values().next().filter(|_| self.tenants.len() == 1).cloned()
    }

    /// Whether a text, which came as something else, is somebody's credential.
    #[must_use]
    pub fn is_credential(&self, text: &str) -> bool {
        self.credentials.contains(&self.hasher.hash(text.as_bytes()))
    }

    /// Whether a login's credential is still its tenant's.
    #[must_use]
    pub fn is_good(&self, login: &Login) -> bool {
        self.keys.get(&login.key).is_some_and(|known| known.tenant == login.tenant)
    }

    /// What is known of a tenant; `None` where there is no such tenant any more.
    #[must_use]
    pub fn tenant(&self, name: &Name) -> Option<&TenantInfo> {
        self.tenants.get(name)
    }

    /// All tenants.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.tenants.keys()
    }

    /// Counts a door's request towards its tenant's rate.
    ///
    /// # Errors
    /// [`Rejection::TooMany`] where the tenant asks too fast.
    pub fn spend_for(&self, door: &dyn Provider, caller: Caller) -> Result<(), Rejection> {
        let Caller::Account(id) = caller else { return Ok(()) };
        let tenant = door.account(id).and_then(|account| self.tenants.get(&account.tenant));
        tenant.map_or(Ok(()), |tenant| tenant.rate.spend())
    }
}

fn credentials(tenancy: &Tenancy) -> impl Iterator<Item = &Secret> {
    let Tenancy { tenants, accounts, webhooks, .. } = tenancy;
    let native = tenants.iter().flat_map(|tenant| &tenant.api_keys);
    let kaleyra = accounts.kaleyra.iter().flat_map(|account| account.basics.iter().chain(&account.api_keys));
    let pinnacle = accounts.pinnacle.iter().flat_map(|account| &account.api_keys);
    let salesforce = accounts.salesforce.iter().flat_map(|account| &account.tokens);
    let rbm = accounts.rbm.iter().flat_map(|account| &account.tokens);
    let webhooks = webhooks.iter().flat_map(WebhookConfig::credentials);
    native.chain(kaleyra).chain(pinnacle).chain(salesforce).chain(rbm).chain(webhooks)
}

/// A tenancy that contradicts itself.
#[derive(Clone, Debug)]
pub struct Contradiction {
    /// The door at which; the native API's for a tenant's own keys.
    pub door: &'static str,
    /// The account of that door, or the tenant, by its place.
    pub place: usize,
    /// Which of its settings, where it is one.
    pub key: Option<&'static str>,
    /// What is wrong with it.
    pub why: String,
}

impl From<Claimed> for Contradiction {
    fn from(claimed: Claimed) -> Self {
        Self { door: claimed.door, place: claimed.account, key: None, why: claimed.to_string() }
    }
}

impl std::fmt::Display for Contradiction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Contradiction {}
