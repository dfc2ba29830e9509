//! The connection to one server or to a cluster, and the scripts that run there.

use std::sync::LazyLock;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult,
    Script, ServerErrorKind, Value,
};

use crate::config::Servers;

pub(crate) static COMMIT: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/commit.lua")));
pub(crate) static DUE: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/due.lua")));
pub(crate) static CREDENTIAL: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/credential.lua")));
pub(crate) static FIRST: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/first.lua")));
pub(crate) static LEAVE: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/leave.lua")));
pub(crate) static LIST: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/list.lua")));
pub(crate) static NOTE_TOLD: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/note_told.lua")));
pub(crate) static PAIR: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/pair.lua")));
pub(crate) static TICK: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/tick.lua")));
pub(crate) static TOLD: LazyLock<Lua> = LazyLock::new(|| Lua::new(include_str!("lua/told.lua")));

/// A script, and the hash that a server knows it by once it has seen it.
pub(crate) struct Lua {
    text: &'static str,
    hash: String,
}

impl Lua {
    fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text).get_hash().to_owned() }
    }
}

/// What connects to the servers.
pub(crate) enum Client {
    Single(redis::Client, Duration),
    Cluster(ClusterClient),
}

impl Client {
    /// Nobody need be there yet.
    pub(crate) fn new(servers: &Servers, timeout: Duration) -> RedisResult<Self> {
        match servers {
            Servers::Single(url) => Ok(Self::Single(redis::Client::open(info_of(url)?)?, timeout)),
            Servers::Cluster(urls) => {
                let nodes = urls.iter().map(|url| info_of(url)).collect::<RedisResult<Vec<_>>>()?;
                let client = ClusterClientBuilder::new(nodes)
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    .tcp_settings(tcp())
                    .retries(2)
                    .min_retry_wait(10)
                    .max_retry_wait(50)
                    .build()?;
                Ok(Self::Cluster(client))
            }
        }
    }

    pub(crate) async fn connect(&self) -> RedisResult<Way> {
        match self {
            Self::Single(client, timeout) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(*timeout))
                    .set_response_timeout(Some(*timeout));
                client.get_multiplexed_async_connection_with_config(&config).await.map(Way::Single)
            }
            Self::Cluster(client) => client.get_async_connection().await.map(Way::Cluster),
        }
    }
}

/// A connection that many calls share.
#[derive(Clone)]
pub(crate) enum Way {
    /// To one server; it does not heal.
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Way {
    /// Runs a script by its hash, and by its text where the server has not seen it.
    pub(crate) async fn run(&self, lua: &Lua, keys: &[Vec<u8>], args: &[Vec<u8>]) -> RedisResult<Value> {
        match self.query(&command("EVALSHA", &lua.hash, keys, args)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.query(&command("EVAL", lua.text, keys, args)).await
            }
            answer => answer,
        }
    }

    pub(crate) async fn query(&self, command: &Cmd) -> RedisResult<Value> {
        match self.clone() {
            Self::Single(mut connection) => command.query_async(&mut connection).await,
            Self::Cluster(mut connection) => command.query_async(&mut connection).await,
        }
    }

    /// Whether no call gets through any more after this error. One lost server of a cluster is not the whole of it.
    pub(crate) fn is_lost_by(&self, error: &RedisError) -> bool {
        matches!(self, Self::Single(_)) && !error.is_timeout() && error.is_unrecoverable_error()
    }
}

fn command(name: &str, script: &str, keys: &[Vec<u8>], args: &[Vec<u8>]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len());
    for argument in keys.iter().chain(args) {
        command.arg(argument.as_slice());
    }
    command
}

/// What the URL says, without delay for small packets.
pub(crate) fn info_of(url: &str) -> RedisResult<ConnectionInfo> {
    Ok(url.into_connection_info()?.set_tcp_settings(tcp()))
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// The elements of an array.
pub(crate) fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

pub(crate) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

pub(crate) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}
