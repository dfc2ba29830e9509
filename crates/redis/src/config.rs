//! Where the servers are, and the numbers that the store leaves open.

use std::fmt;
use std::time::Duration;

use crate::server::info_of;

/// What kind of servers there are, by URL (`redis://user:password@host:port/`).
#[derive(Clone)]
pub enum Servers {
    /// One server, or a name that leads to whichever is in charge.
    Single(String),
    /// Some of a cluster: they know the others.
    Cluster(Vec<String>),
}

/// Never prints an address: passwords are in there.
impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Single(…)",
            Self::Cluster(_) => "Cluster(…)",
        })
    }
}

/// How the store is kept. Every node of a fleet must have the same prefix, shards and capacity.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where.
    pub servers: Servers,
    /// What every key begins with.
    pub prefix: String,
    /// Over how many shards the sides are spread.
    pub shards: usize,
    /// How many sides there may be. Each shard takes its equal part, so the first one is full somewhat earlier.
    pub capacity: usize,
    /// How long any call may take.
    pub timeout: Duration,
    /// How long a side that is due is one node's alone.
    pub claim: Duration,
    /// How late another node's deadlines may be seen: after this long a shard is looked at again.
    pub poll: Duration,
    /// How long a state outlasts a deadline that nobody looks at.
    pub grace: Duration,
    /// How many states a node remembers, so that it need not ask first.
    pub remembered: usize,
}

impl Config {
    /// The documented numbers, for these servers.
    #[must_use]
    pub fn new(servers: Servers) -> Self {
        Self {
            servers,
            prefix: "typingd".to_owned(),
            shards: 1_024,
            capacity: 2_000_000,
            timeout: Duration::from_millis(250),
            claim: Duration::from_secs(2),
            poll: Duration::from_secs(1),
            grace: Duration::from_secs(60),
            remembered: 65_536,
        }
    }

    /// Whether it makes sense. Nobody is asked.
    ///
    /// # Errors
    /// The first thing that makes none.
    pub fn check(&self) -> Result<(), ConfigError> {
        let urls = match &self.servers {
            Servers::Single(url) => std::slice::from_ref(url),
            Servers::Cluster(urls) => urls,
        };
        urls.iter().try_for_each(|url| info_of(url).map(drop))?;
        if !(1..=9_999).contains(&self.shards) {
            return Err(ConfigError::Shards);
        }
        if self.prefix.contains(['{', '}']) {
            return Err(ConfigError::Prefix);
        }
        Ok(())
    }
}

/// Why there is no store.
#[derive(Debug)]
pub enum ConfigError {
    /// There must be 1 to 9,999 shards.
    Shards,
    /// Braces decide in which slot a key lives.
    Prefix,
    /// The client says so.
    Servers(redis::RedisError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shards => f.write_str("the number of shards must be 1 to 9999"),
            Self::Prefix => f.write_str("the prefix must not contain braces"),
            Self::Servers(error) => write!(f, "the servers: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl From<redis::RedisError> for ConfigError {
    fn from(error: redis::RedisError) -> Self {
        Self::Servers(error)
    }
}
