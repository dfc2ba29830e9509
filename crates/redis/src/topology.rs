//! Which server has which shard just now.

use std::time::Duration;

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisResult, Value,
};

use crate::config::Servers;
use crate::keys::slot_of;
use crate::server::{bytes, info_of, list, number};

/// The servers in charge, each of some slots.
pub(crate) struct Topology(Vec<(u16, u16, ConnectionInfo)>);

impl Topology {
    /// Asks for it, whichever of the cluster's servers answers first in their order. A single server has everything.
    pub(crate) async fn ask(servers: &Servers, timeout: Duration) -> Option<Self> {
        match servers {
            Servers::Single(url) => Some(Self(vec![(0, u16::MAX, speaking_resp3(url).ok()?)])),
            Servers::Cluster(urls) => {
                for url in urls {
                    let asked = tokio::time::timeout(timeout, Self::ask_one(url)).await;
                    if let Ok(Ok(topology)) = asked {
                        return Some(topology);
                    }
                }
                None
            }
        }
    }

    async fn ask_one(url: &str) -> RedisResult<Self> {
        let like = speaking_resp3(url)?;
        let mut server = Client::open(like.clone())?.get_multiplexed_async_connection().await?;
        let slots = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut server).await?;
        let slots = list(slots).unwrap_or_default();
        Ok(Self(slots.into_iter().filter_map(|range| read_range(range, &like)).collect()))
    }

    /// The server that has the shard, as the cluster said.
    pub(crate) fn server_of(&self, shard: usize) -> Option<&ConnectionInfo> {
        let slot = slot_of(shard);
        self.0.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, info)| info)
    }
}

/// Only in that protocol do messages and answers share a connection.
fn speaking_resp3(url: &str) -> RedisResult<ConnectionInfo> {
    let info = info_of(url)?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

/// `[first slot, last slot, [host, port, …], …]`; the first server named is the one in charge.
fn read_range(range: Value, like: &ConnectionInfo) -> Option<(u16, u16, ConnectionInfo)> {
    let mut range = list(range)?.into_iter();
    let mut slot = || u16::try_from(range.next().as_ref().and_then(number)?).ok();
    let (first, last) = (slot()?, slot()?);
    let mut server = list(range.next()?)?.into_iter();
    let host = String::from_utf8(bytes(server.next()?)?).ok()?;
    let port = u16::try_from(server.next().as_ref().and_then(number)?).ok()?;
    let address = match like.addr() {
        // A server that does not know its own name is where it was asked.
        ConnectionAddr::Tcp(asked, _) if host.is_empty() => ConnectionAddr::Tcp(asked.clone(), port),
        ConnectionAddr::TcpTls { host: asked, insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host: if host.is_empty() { asked.clone() } else { host },
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    let info = address.into_connection_info().ok()?;
    let info = info.set_tcp_settings(like.tcp_settings().clone());
    Some((first, last, info.set_redis_settings(like.redis_settings().clone())))
}
