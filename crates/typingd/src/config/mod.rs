//! What a gateway is told: before it starts, and again with each reload.

mod env;
pub mod file;
mod history;
mod locate;
pub(crate) mod secret;
mod store;
mod tenants;
mod upstreams;
mod webhooks;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use blake3::Hash;
use typingd_core::store::near::WhenAway;
use typingd_core::{Name, Policy, pacing};
use typingd_providers::salesforce::TokenKeys;
use typingd_providers::{Accounts, KeyHasher, Patterns, Secret, Upstream};

use crate::origins::Origins;
use crate::{hub, ids, listener};

pub(crate) use file::millis;
pub use webhooks::{Proof, WebhookConfig};

/// Everything there is to set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, and what to say to whom.
    pub server: Server,
    /// Who may use it. A reload replaces this, and nothing else.
    pub tenancy: Tenancy,
    /// What credentials are hashed and tokens signed with.
    pub keys: Keys,
    /// Which web pages may come in.
    pub origins: Origins,
    /// The engine's numbers.
    pub policy: Policy,
    /// Who may look at the console.
    pub console: Console,
    /// What keeps strangers within bounds.
    pub limits: Limits,
    /// The servers on which several nodes keep their leases; where there are none, this process keeps them.
    pub store: Option<SharedStore>,
}

/// Where several nodes keep what they share.
#[derive(Clone, Debug)]
pub struct SharedStore {
    /// The servers, and how the leases lie there.
    pub servers: typingd_redis::Config,
    /// What to do while they cannot be reached.
    pub when_away: WhenAway,
}

/// Who may look at the console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Console {
    /// Nobody: there is none.
    #[default]
    Off,
    /// Whoever logs in with a native API key. No text of messages is kept.
    Login,
    /// Everybody on this machine, as the one tenant there is. The text of messages is kept for it.
    Open,
}

/// The process's own settings.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where callers come in.
    pub listen: SocketAddr,
    /// Where the certificate and its key are, for TLS.
    pub tls: Option<TlsFiles>,
    /// Where operators look.
    pub operators: Option<SocketAddr>,
}

/// A certificate chain and its key, as PEM files. They are read again when they change.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Who may use the gateway, and as what.
#[derive(Clone, Debug, Default)]
pub struct Tenancy {
    /// Who uses the native API.
    pub tenants: Vec<Tenant>,
    /// Who uses the providers' doors. Their channels are those of the native API.
    pub accounts: Accounts,
    /// Where providers themselves are called.
    pub upstreams: Vec<UpstreamAccount>,
    /// Whose typing is told to which of those.
    pub routes: Vec<Route>,
    /// Where providers call us.
    pub webhooks: Vec<WebhookConfig>,
}

/// A tenant's account at a provider.
#[derive(Clone, Debug)]
pub struct UpstreamAccount {
    /// Whose it is.
    pub tenant: Name,
    /// Its name, of which a tenant has one.
    pub name: Name,
    /// How it is spoken to.
    pub upstream: Arc<dyn Upstream>,
    /// How much is asked of it.
    pub limits: UpstreamLimits,
    /// Tells these settings, with their secrets, from others.
    pub mark: Hash,
}

/// How much is asked of a provider, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Calls about typing.
    pub pacing: pacing::Limits,
    /// A call about typing that has not begun this long after it was due is dropped.
    pub freshness: Duration,
    /// How long a call about typing may take.
    pub typing_timeout: Duration,
    /// How long the answer to anything else may take to begin.
    pub message_timeout: Duration,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            pacing: pacing::Limits::default(),
            freshness: Duration::from_secs(5),
            typing_timeout: Duration::from_secs(5),
            message_timeout: Duration::from_secs(60),
        }
    }
}

/// Tells an upstream account of somebody's typing.
#[derive(Clone, Debug)]
pub struct Route {
    /// Whose it is.
    pub tenant: Name,
    /// The channel of the conversations; any where there is none.
    pub channel: Option<Name>,
    /// Their agents, by our names for them.
    pub agents: Patterns,
    /// The account's name. Whose typing it hears is its provider's matter.
    pub upstream: Name,
}

/// What credentials are hashed and tokens signed with.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Under which key credentials are hashed.
    pub hasher: KeyHasher,
    /// The same, where it outlives the process: only then is a digest worth writing down.
    pub pepper: Option<KeyHasher>,
    /// What Salesforce access tokens are signed with.
    pub tokens: TokenKeys,
    /// Tells configured token keys from others; `None` where none are configured.
    pub tokens_mark: Option<Hash>,
}

impl Keys {
    /// Whether digests and tokens are worth the same under both.
    #[must_use]
    pub fn are_those_of(&self, other: &Self) -> bool {
        let marks = |keys: &Self| (keys.pepper.as_ref().map(|pepper| pepper.hash(b"")), keys.tokens_mark);
        marks(self) == marks(other)
    }

    /// Keys that end with this process.
    #[must_use]
    pub fn random() -> Self {
        Self {
            hasher: KeyHasher::new(ids::secret_key()),
            pepper: None,
            tokens_mark: None,
            tokens: TokenKeys::new(ids::secret_key(), []),
        }
    }
}

/// One of those who share a gateway and see nothing of each other.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its name.
    pub name: Name,
    /// The keys of its own programs.
    pub api_keys: Vec<Secret>,
    /// What it may use of the gateway.
    pub quota: Quota,
}

/// What a tenant may use of the gateway; past it, it is answered 429, and nobody else is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Requests a second, over time.
    pub requests_per_second: NonZeroU32,
    /// Requests at once, after a rest.
    pub burst: NonZeroU32,
    /// Streams at a time.
    pub streams: usize,
    /// Leases at a time.
    pub leases: usize,
    /// Sides that are remembered at a time, with a lease or, for the fence's minute after it, without one.
    pub sides: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            requests_per_second: const { NonZeroU32::new(10_000).expect("it is not zero") },
            burst: const { NonZeroU32::new(20_000).expect("it is not zero") },
            streams: 5_000,
            leases: 1_000_000,
            sides: 1_000_000,
        }
    }
}

/// Bounds of the whole gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What is remembered of each conversation.
    pub history: crate::history::Limits,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// How long callers are still accepted while the operators' `/readyz` says no already: the time that a load balancer
    /// takes to notice.
    pub drain_notice: Duration,
    /// How long a drain may take, from then on.
    pub drain_timeout: Duration,
    /// How often in a minute an address may show credentials that are wrong; past it, it is answered 429.
    pub failed_authentications_per_minute: u32,
    /// Whose `X-Forwarded-For` is believed: the addresses of one's own load balancers.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            listener: listener::Limits::default(),
            hub: hub::Limits::default(),
            sides: 2_000_000,
            listing: 10_000,
            opened: 100_000,
            history: crate::history::Limits::default(),
            body_timeout: Duration::from_secs(9),
            drain_notice: Duration::ZERO,
            drain_timeout: Duration::from_secs(5),
            failed_authentications_per_minute: 600,
            trusted_proxies: Vec::new(),
        }
    }
}
