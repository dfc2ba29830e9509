//! The tenants' accounts at the providers themselves, and who is told what by them.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use blake3::Hash;
use serde::{Deserialize, Serialize};
use typingd_core::pacing::{self, Rate};
use typingd_core::{Name, Role};
use typingd_providers::kaleyra::{self, KaleyraUpstream};
use typingd_providers::pinnacle::{self, PinnacleUpstream};
use typingd_providers::rbm::{self, RbmUpstream};
use typingd_providers::salesforce::{self, SalesforceUpstream};
use typingd_providers::{Patterns, Secret, Unusable, Upstream, upstream};

use super::file::{ConfigError, error};
use super::tenants::Reading;
use super::{Route, UpstreamAccount, UpstreamLimits, millis, secret};
use crate::rsa::Signer;

/// A tenant's upstream accounts, by provider.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpstreamSections {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kaleyra: Vec<KaleyraSection>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pinnacle: Vec<PinnacleSection>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    salesforce: Vec<SalesforceSection>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rbm: Vec<RbmSection>,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KaleyraSection {
    name: String,
    base_url: String,
    sid: String,
    basic: String,
    api_key: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    agents: BTreeMap<String, String>,
    #[serde(default)]
    limits: LimitsSection,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct PinnacleSection {
    name: String,
    base_url: String,
    api_key: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    agents: BTreeMap<String, String>,
    #[serde(default)]
    limits: LimitsSection,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SalesforceSection {
    name: String,
    base_url: String,
    org_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorization_context: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connected_app: Option<ConnectedAppSection>,
    #[serde(default = "display_ms")]
    display_ms: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    agents: BTreeMap<String, String>,
    #[serde(default)]
    limits: LimitsSection,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct ConnectedAppSection {
    #[serde(default = "login_url")]
    login_url: String,
    #[serde(default = "login_url")]
    audience: String,
    consumer_key: String,
    subject: String,
    private_key: String,
    #[serde(default = "token_life_s")]
    token_life_s: u64,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RbmSection {
    name: String,
    base_url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_account: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    agents: BTreeMap<String, String>,
    #[serde(default)]
    limits: LimitsSection,
}

/// Google's key file of a service account, as far as it is needed.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: String,
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsSection {
    calls_per_second: NonZeroU32,
    burst: NonZeroU32,
    concurrency: NonZeroU32,
    freshness_ms: u64,
    typing_timeout_ms: u64,
    message_timeout_ms: u64,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let UpstreamLimits { pacing, freshness, typing_timeout, message_timeout } = UpstreamLimits::default();
        Self {
            calls_per_second: pacing.rate.calls,
            burst: pacing.rate.burst,
            concurrency: pacing.concurrency,
            freshness_ms: millis(freshness),
            typing_timeout_ms: millis(typing_timeout),
            message_timeout_ms: millis(message_timeout),
        }
    }
}

/// Whose typing is told to which account.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteSection {
    upstream: String,
    #[serde(default = "anybody")]
    agents: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    typing: Option<Typing>,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Typing {
    Agent,
    User,
}

fn display_ms() -> u64 {
    7_000
}

fn login_url() -> String {
    "https://login.salesforce.com".to_owned()
}

fn token_life_s() -> u64 {
    7_200
}

fn anybody() -> Vec<String> {
    vec!["*".to_owned()]
}

impl UpstreamSections {
    pub(super) fn is_empty(&self) -> bool {
        let Self { kaleyra, pinnacle, salesforce, rbm } = self;
        kaleyra.is_empty() && pinnacle.is_empty() && salesforce.is_empty() && rbm.is_empty()
    }

    /// Every text that may be a secret in clear.
    pub(super) fn secrets(&mut self) -> impl Iterator<Item = &mut String> {
        let kaleyra = self.kaleyra.iter_mut().flat_map(|account| [&mut account.basic, &mut account.api_key]);
        let pinnacle = self.pinnacle.iter_mut().map(|account| &mut account.api_key);
        let salesforce = self.salesforce.iter_mut().flat_map(|account| {
            account.token.iter_mut().chain(account.connected_app.as_mut().map(|app| &mut app.private_key))
        });
        let rbm = self
            .rbm
            .iter_mut()
            .flat_map(|account| account.token.iter_mut().chain(&mut account.service_account));
        kaleyra.chain(pinnacle).chain(salesforce).chain(rbm)
    }
}

impl Reading<'_> {
    /// A tenant's upstream accounts, in no order that matters.
    pub(super) fn upstreams(&self, sections: &UpstreamSections) -> Result<Vec<UpstreamAccount>, ConfigError> {
        let mut read = Vec::new();
        // A secret's file may hold another secret than before, under the same name.
        let mut resolved = sections.clone();
        for configured in resolved.secrets() {
            *configured = secret::text(configured, self.environment).unwrap_or_default();
        }
        let UpstreamSections { kaleyra, pinnacle, salesforce, rbm } = sections;
        for (at, section) in kaleyra.iter().enumerate() {
            let mark = mark(&resolved.kaleyra[at]);
            let at = format!("upstreams.kaleyra[{at}]");
            let upstream = self.kaleyra_upstream(&at, section)?;
            self.add(&at, (&section.name, &section.limits), upstream, mark, &mut read)?;
        }
        for (at, section) in pinnacle.iter().enumerate() {
            let mark = mark(&resolved.pinnacle[at]);
            let at = format!("upstreams.pinnacle[{at}]");
            let upstream = self.pinnacle_upstream(&at, section)?;
            self.add(&at, (&section.name, &section.limits), upstream, mark, &mut read)?;
        }
        for (at, section) in salesforce.iter().enumerate() {
            let mark = mark(&resolved.salesforce[at]);
            let at = format!("upstreams.salesforce[{at}]");
            let upstream = self.salesforce_upstream(&at, section)?;
            self.add(&at, (&section.name, &section.limits), upstream, mark, &mut read)?;
        }
        for (at, section) in rbm.iter().enumerate() {
            let mark = mark(&resolved.rbm[at]);
            let at = format!("upstreams.rbm[{at}]");
            let upstream = self.rbm_upstream(&at, section)?;
            self.add(&at, (&section.name, &section.limits), upstream, mark, &mut read)?;
        }
        Ok(read)
    }

    /// A tenant's routes, in the order of the file.
    pub(super) fn routes(
        &self,
        sections: &[RouteSection],
        upstreams: &[UpstreamAccount],
    ) -> Result<Vec<Route>, ConfigError> {
        sections.iter().enumerate().map(|(at, section)| self.route(at, section, upstreams)).collect()
    }

    fn route(
        &self,
        at: usize,
        section: &RouteSection,
        upstreams: &[UpstreamAccount],
    ) -> Result<Route, ConfigError> {
        let at = format!("routes[{at}]");
        let upstream = upstreams.iter().find(|upstream| upstream.name == section.upstream.as_str());
        let Some(UpstreamAccount { name, upstream, .. }) = upstream else {
            let why = "expected the `name` of one of the tenant's `upstreams`";
            return Err(self.error(&at, "upstream", why));
        };
        let (shown, whose) = match upstream.role() {
            Role::Agent => (Typing::Agent, "agent"),
            Role::User => (Typing::User, "user"),
        };
        if section.typing.is_some_and(|typing| typing as u8 != shown as u8) {
            let why =
                format!("expected \"{whose}\": that is whose typing {} can be told of", upstream.name());
            return Err(self.error(&at, "typing", why));
        }
        if section.agents.is_empty() {
            return Err(self.error(&at, "agents", "expected a pattern at least: `*` stands for every agent"));
        }
        Ok(Route {
            tenant: self.tenant.clone(),
            channel: section.channel.as_deref().map(Name::from),
            agents: Patterns::new(&section.agents),
            upstream: name.clone(),
        })
    }

    fn add(
        &self,
        at: &str,
        (name, limits): (&str, &LimitsSection),
        upstream: Arc<dyn Upstream>,
        mark: Hash,
        read: &mut Vec<UpstreamAccount>,
    ) -> Result<(), ConfigError> {
        if name.is_empty() || name.contains(char::is_control) {
            return Err(self.error(at, "name", "expected a name, which is not empty, in one line"));
        }
        if read.iter().any(|other| other.name == name) {
            return Err(self.error(at, "name", format!("two upstreams are called `{name}`")));
        }
        let limits = self.limits(at, limits)?;
        read.push(UpstreamAccount { tenant: self.tenant.clone(), name: name.into(), upstream, limits, mark });
        Ok(())
    }

    fn limits(&self, at: &str, section: &LimitsSection) -> Result<UpstreamLimits, ConfigError> {
        let times = [
            ("freshness_ms", section.freshness_ms),
            ("typing_timeout_ms", section.typing_timeout_ms),
            ("message_timeout_ms", section.message_timeout_ms),
        ];
        if let Some((key, _)) = times.into_iter().find(|(_, time)| !(100..=600_000).contains(time)) {
            return Err(self.error(
                at,
                &format!("limits.{key}"),
                "expected milliseconds, from 100 to 600000",
            ));
        }
        let rate =
            Rate { calls: section.calls_per_second, per: Duration::from_secs(1), burst: section.burst };
        Ok(UpstreamLimits {
            pacing: pacing::Limits { rate, concurrency: section.concurrency, ..pacing::Limits::default() },
            freshness: Duration::from_millis(section.freshness_ms),
            typing_timeout: Duration::from_millis(section.typing_timeout_ms),
            message_timeout: Duration::from_millis(section.message_timeout_ms),
        })
    }

    fn kaleyra_upstream(&self, at: &str, section: &KaleyraSection) -> Result<Arc<dyn Upstream>, ConfigError> {
        let account = kaleyra::UpstreamAccount {
            common: common(&section.base_url, &section.agents),
            sid: section.sid.clone(),
            basic: self.clear(at, "basic", &section.basic)?,
            api_key: self.clear(at, "api_key", &section.api_key)?,
        };
        self.usable(at, KaleyraUpstream::new(account))
    }

    fn pinnacle_upstream(
        &self,
        at: &str,
        section: &PinnacleSection,
    ) -> Result<Arc<dyn Upstream>, ConfigError> {
        let account = pinnacle::UpstreamAccount {
            common: common(&section.base_url, &section.agents),
            api_key: self.clear(at, "api_key", &section.api_key)?,
        };
        self.usable(at, PinnacleUpstream::new(account))
    }

    fn salesforce_upstream(
        &self,
        at: &str,
        section: &SalesforceSection,
    ) -> Result<Arc<dyn Upstream>, ConfigError> {
        let credentials = match (&section.token, &section.connected_app) {
            (Some(token), None) => salesforce::Credentials::Token(self.clear(at, "token", token)?),
            (None, Some(app)) => salesforce::Credentials::ConnectedApp {
                login_url: app.login_url.clone(),
                audience: app.audience.clone(),
                consumer_key: app.consumer_key.clone(),
                subject: app.subject.clone(),
                signer: self.signer(at, "connected_app.private_key", &app.private_key)?,
                token_life: Duration::from_secs(app.token_life_s),
            },
            (Some(_), Some(_)) | (None, None) => {
                return Err(self.error(at, "token", "expected either `token` or `connected_app`"));
            }
        };
        if !(1_000..=600_000).contains(&section.display_ms) {
            return Err(self.error(at, "display_ms", "expected milliseconds, from 1000 to 600000"));
        }
        let account = salesforce::UpstreamAccount {
            common: common(&section.base_url, &section.agents),
            org_id: section.org_id.clone(),
            authorization_context: section.authorization_context.clone(),
            credentials,
            display: Duration::from_millis(section.display_ms),
        };
        self.usable(at, SalesforceUpstream::new(account))
    }

    fn rbm_upstream(&self, at: &str, section: &RbmSection) -> Result<Arc<dyn Upstream>, ConfigError> {
        let credentials = match (&section.token, &section.service_account) {
            (Some(token), None) => rbm::Credentials::Token(self.clear(at, "token", token)?),
            (None, Some(key_file)) => {
                let text = secret::text(key_file, self.environment)
                    .map_err(|why| self.error(at, "service_account", why))?;
                let not_a_key_file = |_| {
                    self.error(at, "service_account", "expected the key file of a service account, in JSON")
                };
                let key_file: KeyFile = serde_json::from_str(&text).map_err(not_a_key_file)?;
                rbm::Credentials::ServiceAccount {
                    client_email: key_file.client_email,
                    private_key_id: key_file.private_key_id,
                    token_uri: key_file.token_uri,
                    signer: self.signer(at, "service_account", &key_file.private_key)?,
                }
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(self.error(at, "token", "expected either `token` or `service_account`"));
            }
        };
        let common = common(&section.base_url, &section.agents);
        self.usable(at, RbmUpstream::new(rbm::UpstreamAccount { common, credentials }))
    }

    /// A credential that is shown to somebody: a digest of it would not do.
    fn clear(&self, at: &str, key: &str, configured: &str) -> Result<Secret, ConfigError> {
        let text = secret::text(configured, self.environment).map_err(|why| self.error(at, key, why))?;
        if text.starts_with(secret::HASHED) {
            return Err(self.error(
                at,
                key,
                "expected the credential itself: a digest cannot be shown to a provider",
            ));
        }
        Ok(Secret::Clear(text))
    }

    fn signer(&self, at: &str, key: &str, configured: &str) -> Result<Arc<Signer>, ConfigError> {
        let pem = secret::text(configured, self.environment).map_err(|why| self.error(at, key, why))?;
        let signer = Signer::from_pem(pem.as_bytes()).ok_or_else(|| {
            let why = "expected an RSA private key of 2048 bits or more, in PEM form (BEGIN PRIVATE KEY)";
            self.error(at, key, why)
        })?;
        Ok(Arc::new(signer))
    }

    fn usable<U: Upstream + 'static>(
        &self,
        at: &str,
        upstream: Result<U, Unusable>,
    ) -> Result<Arc<dyn Upstream>, ConfigError> {
        let unusable = |Unusable { setting, expected, .. }| {
            let setting = if setting == "login_url" { "connected_app.login_url" } else { setting };
            error(format!("{}.{at}.{setting}", self.path), format!("expected {expected}"))
        };
        Ok(Arc::new(upstream.map_err(unusable)?))
    }
}

/// Tells settings from others.
fn mark(section: &impl Serialize) -> Hash {
    blake3::hash(toml::to_string(section).expect("what was read can be written").as_bytes())
}

fn common(base_url: &str, agents: &BTreeMap<String, String>) -> upstream::Account {
    let agents = agents.iter().map(|(ours, theirs)| (ours.as_str().into(), theirs.as_str().into()));
    upstream::Account { base_url: base_url.to_owned(), agents: agents.collect() }
}
