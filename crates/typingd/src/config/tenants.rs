//! The tenants' part of the configuration file: their keys, quotas and accounts.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use typingd_core::{Name, Policy};
use typingd_providers::account::Answered;
use typingd_providers::salesforce::{AuthorizationContext, ConnectedApp, ConnectedApps};
use typingd_providers::{
    Account, Accounts, Channel, ChannelKind, Patterns, Secret, kaleyra, pinnacle, rbm, salesforce,
};

use super::file::{ConfigError, Environment, error};
use super::upstreams::{RouteSection, UpstreamSections};
use super::webhooks::WebhookSection;
use super::{Keys, Quota, Tenancy, Tenant, secret};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::rsa::RsaKey;
use crate::webhooks;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantSection {
    name: String,
    #[serde(default)]
    api_keys: Vec<String>,
    #[serde(default)]
    quota: QuotaSection,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kaleyra: Vec<KaleyraSection>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pinnacle: Vec<PinnacleSection>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    salesforce: Vec<SalesforceSection>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rbm: Vec<RbmSection>,
    #[serde(default, skip_serializing_if = "UpstreamSections::is_empty")]
    upstreams: UpstreamSections,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteSection>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    webhooks: Vec<WebhookSection>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct QuotaSection {
    requests_per_second: NonZeroU32,
    burst: NonZeroU32,
    streams: usize,
    leases: usize,
    sides: usize,
}

impl Default for QuotaSection {
    fn default() -> Self {
        let Quota { requests_per_second, burst, streams, leases, sides } = Quota::default();
        Self { requests_per_second, burst, streams, leases, sides }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KaleyraSection {
    sid: String,
    basics: Vec<String>,
    api_keys: Vec<String>,
    agents: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
    #[serde(default = "kaleyra_channel")]
    channel: String,
    #[serde(default = "rcs_ttl_ms")]
    ttl_ms: u64,
    #[serde(default)]
    answer: AnswerSection,
    #[serde(default)]
    api_key_alone: bool,
    #[serde(default)]
    upstream_refusal_is_502: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PinnacleSection {
    api_keys: Vec<String>,
    agents: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
    #[serde(default = "pinnacle_channel")]
    channel: String,
    #[serde(default = "rcs_ttl_ms")]
    ttl_ms: u64,
    #[serde(default)]
    answer: AnswerSection,
    #[serde(default)]
    prefix: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SalesforceSection {
    org_id: String,
    #[serde(default)]
    tokens: Vec<String>,
    addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    contexts: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    authorization_context: ContextSection,
    #[serde(default = "salesforce_channel")]
    channel: String,
    #[serde(default = "salesforce_ttl_ms")]
    ttl_ms: u64,
    #[serde(default)]
    answer: AnswerSection,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance_url: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    connected_apps: Vec<ConnectedAppSection>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RbmSection {
    tokens: Vec<String>,
    agents: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    aliases: BTreeMap<String, String>,
    #[serde(default = "rbm_channel")]
    channel: String,
    #[serde(default = "rcs_ttl_ms")]
    ttl_ms: u64,
    #[serde(default)]
    answer: AnswerSection,
}

/// By whom typing calls are answered.
#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum AnswerSection {
    #[default]
    AtOnce,
    Upstream,
}

#[derive(Clone, Copy, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum ContextSection {
    #[default]
    Required,
    Absent,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ConnectedAppSection {
    issuer: String,
    public_key: String,
    subjects: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contexts: Option<Vec<String>>,
}

fn kaleyra_channel() -> String {
    "kaleyra".to_owned()
}

fn pinnacle_channel() -> String {
    "pinnacle".to_owned()
}

fn salesforce_channel() -> String {
    "salesforce".to_owned()
}

fn rbm_channel() -> String {
    "rbm".to_owned()
}

fn rcs_ttl_ms() -> u64 {
    20_000
}

fn salesforce_ttl_ms() -> u64 {
    7_000
}

impl TenantSection {
    /// Every text of the section that may be a secret in clear.
    pub(super) fn secrets(&mut self) -> impl Iterator<Item = &mut String> {
        let kaleyra = self
            .kaleyra
            .iter_mut()
            .flat_map(|account| account.basics.iter_mut().chain(&mut account.api_keys));
        let pinnacle = self.pinnacle.iter_mut().flat_map(|account| &mut account.api_keys);
        let salesforce = self.salesforce.iter_mut().flat_map(|account| &mut account.tokens);
        let rbm = self.rbm.iter_mut().flat_map(|account| &mut account.tokens);
        let doors = kaleyra.chain(pinnacle).chain(salesforce).chain(rbm);
        let webhooks = self.webhooks.iter_mut().flat_map(WebhookSection::secrets);
        self.api_keys.iter_mut().chain(doors).chain(self.upstreams.secrets()).chain(webhooks)
    }
}

/// What the sections come to.
pub(super) fn resolve(
    sections: &[TenantSection],
    environment: &Environment,
    has_pepper: bool,
    policy: &Policy,
) -> Result<Tenancy, ConfigError> {
    let mut tenancy = Tenancy::default();
    for (at, section) in sections.iter().enumerate() {
        let reading = Reading {
            path: format!("tenants[{at}]"),
            tenant: section.name.as_str().into(),
            environment,
            has_pepper,
            policy,
        };
        reading.check_name(sections[..at].iter().any(|other| other.name == section.name))?;
        tenancy.tenants.push(reading.tenant(section)?);
        reading.accounts(section, &mut tenancy.accounts)?;
        let upstreams = reading.upstreams(&section.upstreams)?;
        tenancy.routes.extend(reading.routes(&section.routes, &upstreams)?);
        tenancy.upstreams.extend(upstreams);
        for (place, webhook) in section.webhooks.iter().enumerate() {
            tenancy.webhooks.push(webhook.resolve(place, &reading)?);
        }
    }
    Ok(tenancy)
}

/// Makes sure that nothing is claimed by two.
pub(super) fn check_apart(
    sections: &[TenantSection],
    tenancy: &Tenancy,
    keys: &Keys,
) -> Result<(), ConfigError> {
    let directory = Directory::new(tenancy.clone(), keys, Clock::start(), None);
    directory.map(drop).map_err(|contradiction| {
        let path = path_of(sections, contradiction.door, contradiction.place);
        error(contradiction.key.map_or(path.clone(), |key| format!("{path}.{key}")), contradiction.why)
    })
}

/// Where the account at a place among all of its door's stands in the file.
fn path_of(sections: &[TenantSection], door: &str, place: usize) -> String {
    let list = if door == webhooks::WEBHOOK { "webhooks" } else { door };
    let count = |section: &TenantSection| match list {
        "kaleyra" => section.kaleyra.len(),
        "pinnacle" => section.pinnacle.len(),
        "salesforce" => section.salesforce.len(),
        "rbm" => section.rbm.len(),
        "webhooks" => section.webhooks.len(),
        _ => 0,
    };
    let mut before = 0;
    for (at, section) in sections.iter().enumerate() {
        if place < before + count(section) {
            return format!("tenants[{at}].{list}[{}]", place - before);
        }
        before += count(section);
    }
    format!("tenants[{place}].api_keys")
}

/// One tenant's section, with what it takes to read it.
pub(super) struct Reading<'a> {
    pub(super) path: String,
    pub(super) tenant: Name,
    pub(super) environment: &'a Environment,
    has_pepper: bool,
    policy: &'a Policy,
}

impl Reading<'_> {
    fn check_name(&self, is_taken: bool) -> Result<(), ConfigError> {
        let key = format!("{}.name", self.path);
        match self.tenant.as_str() {
            "" => Err(error(key, "expected a name, which is not empty")),
            name if is_taken => Err(error(key, format!("two tenants are called `{name}`"))),
            _ => Ok(()),
        }
    }

    fn tenant(&self, section: &TenantSection) -> Result<Tenant, ConfigError> {
        let QuotaSection { requests_per_second, burst, streams, leases, sides } = section.quota;
        Ok(Tenant {
            name: self.tenant.clone(),
            api_keys: self.secrets("api_keys", &section.api_keys)?,
            quota: Quota { requests_per_second, burst, streams, leases, sides },
        })
    }

    fn accounts(&self, section: &TenantSection, accounts: &mut Accounts) -> Result<(), ConfigError> {
        for (at, account) in section.kaleyra.iter().enumerate() {
            let at = format!("kaleyra[{at}]");
            accounts.kaleyra.push(self.kaleyra(&at, account)?);
        }
        for (at, account) in section.pinnacle.iter().enumerate() {
            let at = format!("pinnacle[{at}]");
            accounts.pinnacle.push(self.pinnacle(&at, account)?);
        }
        for (at, account) in section.salesforce.iter().enumerate() {
            let at = format!("salesforce[{at}]");
            accounts.salesforce.push(self.salesforce(&at, account)?);
        }
        for (at, account) in section.rbm.iter().enumerate() {
            let at = format!("rbm[{at}]");
            accounts.rbm.push(self.rbm(&at, account)?);
        }
        Ok(())
    }

    fn kaleyra(&self, at: &str, section: &KaleyraSection) -> Result<kaleyra::Account, ConfigError> {
        let common = Common {
            channel: &section.channel,
            kind: ChannelKind::Rcs,
            agents: &section.agents,
            aliases: &section.aliases,
            ttl_ms: section.ttl_ms,
            answer: section.answer,
        };
        if section.sid.is_empty() || section.sid.contains('/') {
            return Err(self.error(at, "sid", "expected the account's id, as it stands in the path"));
        }
        Ok(kaleyra::Account {
            common: self.common(at, &common)?,
            sid: section.sid.clone(),
            basics: self.secrets(&format!("{at}.basics"), &section.basics)?,
            api_keys: self.secrets(&format!("{at}.api_keys"), &section.api_keys)?,
            api_key_alone: section.api_key_alone,
            upstream_refusal_is_502: section.upstream_refusal_is_502,
        })
    }

    fn pinnacle(&self, at: &str, section: &PinnacleSection) -> Result<pinnacle::Account, ConfigError> {
        let common = Common {
            channel: &section.channel,
            kind: ChannelKind::Rcs,
            agents: &section.agents,
            aliases: &section.aliases,
            ttl_ms: section.ttl_ms,
            answer: section.answer,
        };
        if !section.prefix.is_empty() && (!section.prefix.starts_with('/') || section.prefix.ends_with('/')) {
            return Err(self.error(
                at,
                "prefix",
                "expected a path that begins with `/` and does not end in one",
            ));
        }
        if webhooks::owns(&format!("{}/", section.prefix)) {
            return Err(self.error(at, "prefix", "the paths under `/webhooks` are those of webhooks"));
        }
        Ok(pinnacle::Account {
            common: self.common(at, &common)?,
            api_keys: self.secrets(&format!("{at}.api_keys"), &section.api_keys)?,
            prefix: section.prefix.clone(),
        })
    }

    fn salesforce(&self, at: &str, section: &SalesforceSection) -> Result<salesforce::Account, ConfigError> {
        let common = Common {
            channel: &section.channel,
            kind: ChannelKind::Opaque,
            agents: &section.addresses,
            aliases: &section.aliases,
            ttl_ms: section.ttl_ms,
            answer: section.answer,
        };
        let is_id = [15, 18].contains(&section.org_id.len())
            && section.org_id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_id {
            return Err(self.error(at, "org_id", "expected an org's id, of 15 or 18 letters and digits"));
        }
        let names_contexts =
            !section.contexts.is_empty() || section.connected_apps.iter().any(|app| app.contexts.is_some());
        if matches!(section.authorization_context, ContextSection::Absent) && names_contexts {
            let why = "no context is ever sent where this is `absent`: take `contexts` away, here and from connected apps";
            return Err(self.error(at, "authorization_context", why));
        }
        let contexts =
            section.contexts.iter().map(|(name, addresses)| (name.clone(), Patterns::new(addresses)));
        let apps = section.connected_apps.iter().enumerate();
        let apps =
            apps.map(|(app_at, app)| self.connected_app(&format!("{at}.connected_apps[{app_at}]"), app));
        Ok(salesforce::Account {
            common: self.common(at, &common)?,
            org_id: section.org_id.clone(),
            tokens: self.secrets(&format!("{at}.tokens"), &section.tokens)?,
            contexts: contexts.collect(),
            authorization_context: match section.authorization_context {
                ContextSection::Required => AuthorizationContext::Required,
                ContextSection::Absent => AuthorizationContext::Absent,
            },
            instance_url: section.instance_url.clone(),
            connected_apps: ConnectedApps::Only(apps.collect::<Result<_, _>>()?),
        })
    }

    fn rbm(&self, at: &str, section: &RbmSection) -> Result<rbm::Account, ConfigError> {
        let common = Common {
            channel: &section.channel,
            kind: ChannelKind::Rcs,
            agents: &section.agents,
            aliases: &section.aliases,
            ttl_ms: section.ttl_ms,
            answer: section.answer,
        };
        Ok(rbm::Account {
            common: self.common(at, &common)?,
            tokens: self.secrets(&format!("{at}.tokens"), &section.tokens)?,
        })
    }

    fn connected_app(&self, at: &str, section: &ConnectedAppSection) -> Result<ConnectedApp, ConfigError> {
        let pem = secret::text(&section.public_key, self.environment)
            .map_err(|why| self.error(at, "public_key", why))?;
        let key = RsaKey::from_pem(pem.as_bytes()).ok_or_else(|| {
            self.error(at, "public_key", "expected an RSA public key of 2048 bits or more, in PEM form")
        })?;
        Ok(ConnectedApp {
            issuer: section.issuer.clone(),
            key: Arc::new(key),
            subjects: Patterns::new(&section.subjects),
            contexts: section.contexts.clone(),
        })
    }

    fn common(&self, at: &str, section: &Common<'_>) -> Result<Account, ConfigError> {
        let ttl = self.ttl(at, section.ttl_ms)?;
        if section.channel.is_empty() {
            return Err(self.error(at, "channel", "expected a name, which is not empty"));
        }
        let aliases =
            section.aliases.iter().map(|(here, inside)| (here.as_str().into(), inside.as_str().into()));
        Ok(Account {
            tenant: self.tenant.clone(),
            channel: Channel { name: section.channel.into(), kind: section.kind },
            agents: Patterns::new(section.agents),
            aliases: aliases.collect(),
            ttl,
            answer: match section.answer {
                AnswerSection::AtOnce => Answered::AtOnce,
                AnswerSection::Upstream => Answered::ByUpstream,
            },
        })
    }

    pub(super) fn ttl(&self, at: &str, ttl_ms: u64) -> Result<Duration, ConfigError> {
        let ttl = Duration::from_millis(ttl_ms);
        if ttl == self.policy.clamp_ttl(ttl) {
            return Ok(ttl);
        }
        let why = "expected milliseconds between `policy.min_ttl_ms` and `policy.max_ttl_ms`";
        Err(self.error(at, "ttl_ms", why))
    }

    pub(super) fn secrets(&self, at: &str, configured: &[String]) -> Result<Vec<Secret>, ConfigError> {
        let read = |(index, configured): (usize, &String)| self.secret(&format!("{at}[{index}]"), configured);
        configured.iter().enumerate().map(read).collect()
    }

    pub(super) fn secret(&self, at: &str, configured: &str) -> Result<Secret, ConfigError> {
        secret::credential(configured, self.environment, self.has_pepper)
            .map_err(|why| error(format!("{}.{at}", self.path), why))
    }

    pub(super) fn error(&self, at: &str, key: &str, why: impl Into<String>) -> ConfigError {
        error(format!("{}.{at}.{key}", self.path), why)
    }
}

/// What the doors' sections have in common.
struct Common<'a> {
    channel: &'a str,
    kind: ChannelKind,
    agents: &'a [String],
    aliases: &'a BTreeMap<String, String>,
    ttl_ms: u64,
    answer: AnswerSection,
}
