//! `[store]`: the servers on which several nodes keep their leases.

use serde::{Deserialize, Serialize};
use typingd_core::store::near::WhenAway;
use typingd_redis::{ConfigError, Servers};

use super::file::{self, Environment, error};
use super::{SharedStore, secret};

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreSection {
    /// Passwords may be in there.
    pub(super) urls: Vec<String>,
    cluster: bool,
    prefix: String,
    shards: usize,
    when_away: Away,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Away {
    Serve,
    Refuse,
}

impl Default for StoreSection {
    fn default() -> Self {
        let defaults = typingd_redis::Config::new(Servers::Single(String::new()));
        Self {
            urls: Vec::new(),
            cluster: false,
            prefix: defaults.prefix,
            shards: defaults.shards,
            when_away: Away::Serve,
        }
    }
}

impl StoreSection {
    /// `None` where no servers are named.
    pub(super) fn resolve(
        &self,
        environment: &Environment,
        sides: usize,
    ) -> Result<Option<SharedStore>, file::ConfigError> {
        let mut urls = Vec::new();
        for (at, configured) in self.urls.iter().enumerate() {
            let key = format!("store.urls[{at}]");
            let url = secret::text(configured, environment).map_err(|why| error(key.as_str(), why))?;
            urls.push(url);
        }
        let servers = match (self.cluster, urls.pop()) {
            (_, None) => return Ok(None),
            (true, Some(last)) => Servers::Cluster(urls.into_iter().chain([last]).collect()),
            (false, Some(only)) if urls.is_empty() => Servers::Single(only),
            (false, Some(_)) => {
                return Err(error("store.urls", "several servers are a cluster: set `store.cluster`"));
            }
        };
        let servers = typingd_redis::Config {
            prefix: self.prefix.clone(),
            shards: self.shards,
            capacity: sides,
            ..typingd_redis::Config::new(servers)
        };
        servers.check().map_err(|wrong| match wrong {
            ConfigError::Shards => error("store.shards", "expected a number from 1 to 9999"),
            ConfigError::Prefix => error("store.prefix", "expected a text without braces"),
            ConfigError::Servers(_) => {
                let why = "expected URLs, as in redis://user:password@host:6379 (rediss:// for TLS)";
                error("store.urls", why)
            }
        })?;
        let when_away = match self.when_away {
            Away::Serve => WhenAway::Serve,
            Away::Refuse => WhenAway::Refuse,
        };
        Ok(Some(SharedStore { servers, when_away }))
    }
}
