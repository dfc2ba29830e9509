//! The providers' webhooks in the configuration file: at which addresses they call us, and how they prove themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use typingd_core::Name;
use typingd_providers::Secret;

use super::file::ConfigError;
use super::tenants::Reading;

/// A way for a provider to call us.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Whose it is.
    pub tenant: Name,
    /// Its name within the tenant: with the same one it goes on over a reload.
    pub name: Name,
    /// The last segments of its addresses, each of which nobody can guess.
    pub path_tokens: Vec<Secret>,
    /// Which provider it is for, and how that proves itself.
    pub proof: Proof,
    /// The channel that its conversations live on, whose users are phone numbers.
    pub channel: Name,
    /// Agents' names at the provider, and what they are called inside.
    pub agents: BTreeMap<Name, Name>,
    /// How long one event of typing shows.
    pub ttl: Duration,
    /// How old an event may be.
    pub max_age: Duration,
}

/// How a provider proves itself, beside the token in the path.
#[derive(Clone, Debug)]
pub enum Proof {
    /// Kaleyra signs nothing.
    Kaleyra,
    /// Pinnacle shows a secret.
    Pinnacle {
        /// Those that are good.
        signing_secrets: Vec<Secret>,
    },
    /// Google signs.
    Rbm {
        /// What with; in clear.
        client_token: Secret,
    },
}

impl WebhookConfig {
    /// All that lets somebody in.
    pub(crate) fn credentials(&self) -> impl Iterator<Item = &Secret> {
        let proof = match &self.proof {
            Proof::Kaleyra => &[][..],
            Proof::Pinnacle { signing_secrets } => signing_secrets,
            Proof::Rbm { client_token } => std::slice::from_ref(client_token),
        };
        self.path_tokens.iter().chain(proof)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookSection {
    name: String,
    provider: ProviderSection,
    path_tokens: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signing_secrets: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_token: Option<String>,
    channel: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    agents: BTreeMap<String, String>,
    #[serde(default = "ttl_ms")]
    ttl_ms: u64,
    #[serde(default = "max_age_s")]
    max_age_s: u64,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum ProviderSection {
    Kaleyra,
    Pinnacle,
    Rbm,
}

fn ttl_ms() -> u64 {
    20_000
}

fn max_age_s() -> u64 {
    30
}

/// Fewer characters can be guessed.
const LEAST_TOKEN: usize = 20;

impl WebhookSection {
    /// Every text of the section that may be a secret in clear.
    pub(super) fn secrets(&mut self) -> impl Iterator<Item = &mut String> {
        self.path_tokens.iter_mut().chain(&mut self.signing_secrets).chain(&mut self.client_token)
    }

    /// What the section comes to, as the tenant's at a place among its webhooks.
    pub(super) fn resolve(&self, place: usize, reading: &Reading<'_>) -> Result<WebhookConfig, ConfigError> {
        let at = format!("webhooks[{place}]");
        if self.name.is_empty() {
            return Err(reading.error(&at, "name", "expected a name, which is not empty"));
        }
        let path_tokens = reading.secrets(&format!("{at}.path_tokens"), &self.path_tokens)?;
        if path_tokens.is_empty() {
            return Err(reading.error(&at, "path_tokens", "expected one at least"));
        }
        if let Some(weak) = path_tokens.iter().position(|token| token.clear().is_some_and(is_weak)) {
            let why = "expected at least 20 letters, digits, `-`, `_`, `.` or `~`, which nobody can guess";
            return Err(reading.error(&at, &format!("path_tokens[{weak}]"), why));
        }
        if !(1..=3_600).contains(&self.max_age_s) {
            return Err(reading.error(&at, "max_age_s", "expected seconds, from 1 to 3600"));
        }
        let agents = self.agents.iter().map(|(theirs, ours)| (theirs.as_str().into(), ours.as_str().into()));
        Ok(WebhookConfig {
            tenant: reading.tenant.clone(),
            name: self.name.as_str().into(),
            path_tokens,
            proof: self.proof(&at, reading)?,
            channel: self.channel.as_str().into(),
            agents: agents.collect(),
            ttl: reading.ttl(&at, self.ttl_ms)?,
            max_age: Duration::from_secs(self.max_age_s),
        })
    }

    fn proof(&self, at: &str, reading: &Reading<'_>) -> Result<Proof, ConfigError> {
        let wrong = |key, why| Err(reading.error(at, key, why));
        if self.provider != ProviderSection::Pinnacle && !self.signing_secrets.is_empty() {
            return wrong(
                "signing_secrets",
                "only Pinnacle shows one: take it away, or name that `provider`",
            );
        }
        if self.provider != ProviderSection::Rbm && self.client_token.is_some() {
            return wrong("client_token", "only Google has one: take it away, or name `rbm` as `provider`");
        }
        match (self.provider, &self.client_token) {
            (ProviderSection::Kaleyra, _) => Ok(Proof::Kaleyra),
            (ProviderSection::Pinnacle, _) if self.signing_secrets.is_empty() => {
                wrong("signing_secrets", "expected one at least: Pinnacle shows it with each call")
            }
            (ProviderSection::Pinnacle, _) => {
                let signing_secrets =
                    reading.secrets(&format!("{at}.signing_secrets"), &self.signing_secrets)?;
                Ok(Proof::Pinnacle { signing_secrets })
            }
            (ProviderSection::Rbm, None) => {
                wrong("client_token", "expected the client token: Google signs with it")
            }
            (ProviderSection::Rbm, Some(configured)) => {
                let client_token = reading.secret(&format!("{at}.client_token"), configured)?;
                Ok(Proof::Rbm { client_token })
            }
        }
    }
}

/// Whether a token could be guessed, or could not stand in a path.
fn is_weak(token: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    token.len() < LEAST_TOKEN || !token.bytes().all(is_plain)
}
