//! The configuration file: its shape, and what it comes to.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use typingd_core::Policy;
use typingd_providers::KeyHasher;
use typingd_providers::salesforce::TokenKeys;

use super::history::HistorySection;
use super::store::StoreSection;
use super::{Config, Console, Keys, Limits, Server, TlsFiles, env, locate, secret, tenants};
use crate::origins::Origins;
use crate::{hub, listener};

/// The environment's variables.
pub type Environment = BTreeMap<String, String>;

/// What is wrong with a configuration. It holds no value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The line of the file, where it is the file's fault.
    pub line: Option<usize>,
    /// The key, as in `tenants[0].kaleyra[1].sid`, or the variable.
    pub key: String,
    /// What was expected.
    pub why: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, why } = self;
        match line {
            Some(line) => write!(f, "line {line}, {key}: {why}"),
            None => write!(f, "{key}: {why}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads a configuration.
///
/// # Errors
/// The first thing that is wrong with it, with its key, its line and what was expected.
pub fn load(text: &str, environment: &Environment) -> Result<Config, ConfigError> {
    let file = parse(text, environment)?;
    let locate = |mut error: ConfigError| {
        error.line = error.line.or_else(|| locate::line_of(text, &error.key));
        error
    };
    file.resolve(environment).map_err(locate)
}

/// Reads a configuration's shape, with the environment's variables in it and no secret resolved.
fn parse(text: &str, environment: &Environment) -> Result<File, ConfigError> {
    let mut table: Table = toml::from_str(text).map_err(|error| ConfigError {
        line: error.span().map(|span| locate::line_at(text, span.start)),
        key: "the file".to_owned(),
        why: error.message().to_owned(),
    })?;
    env::apply(&mut table, environment)?;
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let key = error.path().to_string();
        ConfigError { line: locate::line_of(text, &key), key, why: without_value(error.inner().message()) }
    })
}

/// The text that `typingd config print` shows: everything in force, defaults too, and `***` for every secret in clear.
///
/// # Errors
/// As [`load`].
pub fn print(text: &str, environment: &Environment) -> Result<String, ConfigError> {
    load(text, environment)?;
    let mut file = parse(text, environment)?;
    file.redact();
    Ok(toml::to_string_pretty(&file).expect("what was read can be written"))
}

/// What was expected, in an operator's words. serde's messages have Rust's, and quote what they found, which may be a
/// secret in the wrong place.
fn without_value(message: &str) -> String {
    let expected = match message.split_once(", expected ") {
        Some((found, expected)) if found.starts_with("invalid") || found.starts_with("unknown variant") => {
            expected
        }
        _ if message == "invalid socket address syntax" => "an address and a port, as in 127.0.0.1:8080",
        _ if message == "invalid IP address syntax" => "an IP address",
        _ => return message.to_owned(),
    };
    let expected = match expected {
        "usize" | "u64" | "u32" => "a whole number, zero or above",
        "a nonzero u32" => "a whole number above 0",
        "a sequence" => "a list",
        "a map" => "a table",
        other => other,
    };
    format!("expected {expected}")
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    listen: Listen,
    #[serde(default)]
    operators: Operators,
    #[serde(default)]
    browsers: Browsers,
    #[serde(default)]
    keys: KeysSection,
    #[serde(default)]
    limits: LimitsSection,
    #[serde(default)]
    policy: PolicySection,
    #[serde(default)]
    history: HistorySection,
    #[serde(default)]
    console: ConsoleSection,
    #[serde(default)]
    store: StoreSection,
    #[serde(default)]
    tenants: Vec<tenants::TenantSection>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Listen {
    address: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 8080)), certificate: None, key: None }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Operators {
    address: SocketAddr,
}

impl Default for Operators {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 9090)) }
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Browsers {
    origins: Vec<String>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct KeysSection {
    #[serde(skip_serializing_if = "Option::is_none")]
    pepper: Option<String>,
    tokens: Vec<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsSection {
    connections: usize,
    streams: usize,
    stream_backlog: usize,
    sides: usize,
    listing: usize,
    opened: usize,
    head_timeout_ms: u64,
    body_timeout_ms: u64,
    write_timeout_ms: u64,
    idle_timeout_ms: u64,
    drain_notice_ms: u64,
    drain_timeout_ms: u64,
    failed_authentications_per_minute: u32,
    trusted_proxies: Vec<IpAddr>,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let Limits {
            listener, hub, sides, listing, opened, body_timeout, drain_notice, drain_timeout, ..
        } = Limits::default();
        Self {
            connections: listener.connections,
            streams: hub.subscribers,
            stream_backlog: hub.backlog,
            sides,
            listing,
            opened,
            head_timeout_ms: millis(listener.head_timeout),
            body_timeout_ms: millis(body_timeout),
            write_timeout_ms: millis(listener.write_timeout),
            idle_timeout_ms: millis(listener.idle_timeout),
            drain_notice_ms: millis(drain_notice),
            drain_timeout_ms: millis(drain_timeout),
            failed_authentications_per_minute: Limits::default().failed_authentications_per_minute,
            trusted_proxies: Vec::new(),
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct PolicySection {
    min_ttl_ms: u64,
    max_ttl_ms: u64,
    max_guard_ms: u64,
    fence_ms: u64,
}

impl Default for PolicySection {
    fn default() -> Self {
        let Policy { min_ttl, max_ttl, max_guard, fence, .. } = Policy::default();
        Self {
            min_ttl_ms: millis(min_ttl),
            max_ttl_ms: millis(max_ttl),
            max_guard_ms: millis(max_guard),
            fence_ms: millis(fence),
        }
    }
}

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct ConsoleSection {
    enabled: bool,
}

impl File {
    fn resolve(&self, environment: &Environment) -> Result<Config, ConfigError> {
        let policy = self.policy.resolve()?;
        let keys = self.keys.resolve(environment)?;
        let has_pepper = self.keys.pepper.is_some();
        let tenancy = tenants::resolve(&self.tenants, environment, has_pepper, &policy)?;
        tenants::check_apart(&self.tenants, &tenancy, &keys)?;
        let store = self.store.resolve(environment, self.limits.sides)?;
        if store.is_some() {
            keys.check_shared(!tenancy.accounts.salesforce.is_empty())?;
        }
        Ok(Config {
            server: Server {
                listen: self.listen.address,
                tls: self.listen.tls()?,
                operators: Some(self.operators.address),
            },
            tenancy,
            keys,
            origins: self.browsers.resolve()?,
            policy,
            console: if self.console.enabled { Console::Login } else { Console::Off },
            limits: Limits { history: self.history.resolve()?, ..self.limits.resolve()? },
            store,
        })
    }

    fn redact(&mut self) {
        let keys = self.keys.pepper.iter_mut().chain(&mut self.keys.tokens).chain(&mut self.store.urls);
        keys.chain(self.tenants.iter_mut().flat_map(tenants::TenantSection::secrets)).for_each(|secret| {
            if !["env:", "file:", secret::HASHED].iter().any(|known| secret.starts_with(known)) {
                "***".clone_into(secret);
            }
        });
    }
}

impl Listen {
    fn tls(&self) -> Result<Option<TlsFiles>, ConfigError> {
        match (&self.certificate, &self.key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                Ok(Some(TlsFiles { certificate: certificate.clone(), key: key.clone() }))
            }
            (Some(_), None) => Err(error("listen", "TLS needs `key` beside `certificate`")),
            (None, Some(_)) => Err(error("listen", "TLS needs `certificate` beside `key`")),
        }
    }
}

impl Browsers {
    fn resolve(&self) -> Result<Origins, ConfigError> {
        for (at, origin) in self.origins.iter().enumerate() {
            if !Origins::is_origin(origin) {
                let why = "expected a scheme, a host and perhaps a port, as in https://desk.example.com";
                return Err(error(format!("browsers.origins[{at}]"), why));
            }
        }
        Ok(Origins { allowed: self.origins.clone(), is_local: false })
    }
}

impl KeysSection {
    fn resolve(&self, environment: &Environment) -> Result<Keys, ConfigError> {
        let read = |key: String, configured: &str| {
            secret::key(configured, environment).map_err(|why| ConfigError { line: None, key, why })
        };
        let random = Keys::random();
        let pepper = self.pepper.as_ref().map(|pepper| read("keys.pepper".to_owned(), pepper)).transpose()?;
        let pepper = pepper.map(KeyHasher::new);
        let hasher = pepper.clone().unwrap_or(random.hasher);
        let tokens = self.tokens.iter().enumerate();
        let tokens =
            tokens.map(|(at, key)| read(format!("keys.tokens[{at}]"), key)).collect::<Result<Vec<_>, _>>()?;
        let (tokens, tokens_mark) = match tokens.split_first() {
            Some((signing, older)) => {
                (TokenKeys::new(*signing, older.iter().copied()), Some(blake3::hash(tokens.as_flattened())))
            }
            None => (random.tokens, None),
        };
        Ok(Keys { hasher, pepper, tokens, tokens_mark })
    }
}

impl Keys {
    /// Nodes that share a store must know each other's tickets and tokens.
    fn check_shared(&self, has_tokens: bool) -> Result<(), ConfigError> {
        let why = "several nodes share a store (`store.urls`): all need the same one";
        if self.pepper.is_none() {
            return Err(error("keys.pepper", why));
        }
        if has_tokens && self.tokens_mark.is_none() {
            return Err(error("keys.tokens", why));
        }
        Ok(())
    }
}

impl LimitsSection {
    /// Nothing can be bounded by nothing, nor by more than a machine can count.
    fn check(&self) -> Result<(), ConfigError> {
        let counts = [
            ("connections", self.connections),
            ("streams", self.streams),
            ("stream_backlog", self.stream_backlog),
            ("sides", self.sides),
            ("listing", self.listing),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| !(1..=1_000_000_000).contains(count)) {
            return Err(error(format!("limits.{key}"), "expected a number from 1 to 1000000000"));
        }
        let times = [
            ("head_timeout_ms", self.head_timeout_ms),
            ("body_timeout_ms", self.body_timeout_ms),
            ("write_timeout_ms", self.write_timeout_ms),
            ("idle_timeout_ms", self.idle_timeout_ms),
        ];
        if let Some((key, _)) = times.into_iter().find(|(_, time)| !(100..=3_600_000).contains(time)) {
            return Err(error(format!("limits.{key}"), "expected milliseconds, from 100 to 3600000"));
        }
        Ok(())
    }

    fn resolve(&self) -> Result<Limits, ConfigError> {
        self.check()?;
        Ok(Limits {
            listener: listener::Limits {
                connections: self.connections,
                head_timeout: Duration::from_millis(self.head_timeout_ms),
                idle_timeout: Duration::from_millis(self.idle_timeout_ms),
                write_timeout: Duration::from_millis(self.write_timeout_ms),
                ..listener::Limits::default()
            },
            hub: hub::Limits { subscribers: self.streams, backlog: self.stream_backlog },
            sides: self.sides,
            listing: self.listing,
            opened: self.opened,
            history: Limits::default().history,
            body_timeout: Duration::from_millis(self.body_timeout_ms),
            drain_notice: Duration::from_millis(self.drain_notice_ms),
            drain_timeout: Duration::from_millis(self.drain_timeout_ms),
            failed_authentications_per_minute: self.failed_authentications_per_minute,
            trusted_proxies: self.trusted_proxies.clone(),
        })
    }
}

impl PolicySection {
    fn resolve(&self) -> Result<Policy, ConfigError> {
        if self.min_ttl_ms == 0 {
            return Err(error("policy.min_ttl_ms", "expected a number above 0"));
        }
        if self.max_ttl_ms < self.min_ttl_ms {
            return Err(error("policy.max_ttl_ms", "expected at least `min_ttl_ms`"));
        }
        Ok(Policy {
            min_ttl: Duration::from_millis(self.min_ttl_ms),
            max_ttl: Duration::from_millis(self.max_ttl_ms),
            max_guard: Duration::from_millis(self.max_guard_ms),
            fence: Duration::from_millis(self.fence_ms),
            ..Policy::default()
        })
    }
}

pub(super) fn error(key: impl Into<String>, why: impl Into<String>) -> ConfigError {
    ConfigError { line: None, key: key.into(), why: why.into() }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
