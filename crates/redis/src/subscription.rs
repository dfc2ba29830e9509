//! Hears what other nodes commit, in the shards that somebody asked for.
//!
//! A session has a connection to each server that has such a shard and is there. Whatever goes wrong with one of them
//! ends the session: nothing is heard until the next one holds, and then every shard says that it may have missed
//! something. So there is no state in which a connection looks alive and is not listened to. Nothing here takes the
//! connection that commits take: in a cluster, that one may be looking for a lost server for long.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, PushInfo, PushKind};
use tokio::sync::{Notify, watch};
use typingd_core::store::remote::Audience;

use crate::node::Node;
use crate::order::Message;
use crate::server::{Way, bytes};
use crate::topology::Topology;

/// The first wait before another session, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// How often a connection is asked whether it is there, and how long it may think about that.
const BEAT: Duration = Duration::from_secs(1);

/// How long until a server that was not there is looked for again, while others are.
const AGAIN: Duration = Duration::from_millis(500);

/// How long this node's own commits of a shard may keep a subscription waiting.
const GATE: Duration = Duration::from_secs(5);

/// How many subscriptions are made at the same time.
const AT_ONCE: usize = 64;

/// The shards that somebody wants to hear of, and those that are heard.
pub(crate) struct Wanted {
    /// How many want each.
    shards: Mutex<BTreeMap<usize, usize>>,
    changed: Notify,
    renewed: Notify,
    heard: watch::Sender<BTreeSet<usize>>,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            shards: Mutex::default(),
            changed: Notify::new(),
            renewed: Notify::new(),
            heard: watch::Sender::new(BTreeSet::new()),
        }
    }
}

impl Wanted {
    pub(crate) fn follow(&self, shard: usize) {
        let mut wanted = self.shards();
        let count = wanted.entry(shard).or_default();
        *count += 1;
        if *count == 1 {
            self.changed.notify_one();
        }
    }

    pub(crate) fn unfollow(&self, shard: usize) {
        let mut wanted = self.shards();
        let Some(count) = wanted.get_mut(&shard) else { return };
        *count -= 1;
        if *count == 0 {
            wanted.remove(&shard);
            self.changed.notify_one();
        }
    }

    pub(crate) fn hears(&self, shard: usize) -> bool {
        self.has(shard) && self.heard.borrow().contains(&shard)
    }

    pub(crate) async fn heard(&self, shards: BTreeSet<usize>) {
        // The sender is this one's, so that waiting does not fail.
        let _ = self.heard.subscribe().wait_for(|heard| heard.is_superset(&shards)).await;
    }

    /// Something that should be heard is not: begin again.
    pub(crate) fn renew(&self) {
        self.renewed.notify_one();
    }

    fn all(&self) -> BTreeSet<usize> {
        self.shards().keys().copied().collect()
    }

    pub(crate) fn has(&self, shard: usize) -> bool {
        self.shards().contains_key(&shard)
    }

    fn shards(&self) -> MutexGuard<'_, BTreeMap<usize, usize>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows for ever.
pub(crate) async fn follow<A: Audience + 'static>(node: Arc<Node<A>>) {
    let mut pause = PAUSES.0;
    loop {
        let mut session = Session::default();
        let ended = session.serve(&node, &mut pause).await;
        drop(session);
        node.wanted.heard.send_modify(BTreeSet::clear);
        for (number, shard) in node.shards.iter().enumerate() {
            shard.order().deafen(number, !node.wanted.has(number), &node.audience);
        }
        if ended.is_err() {
            tokio::time::sleep(pause).await;
            pause = PAUSES.1.min(pause * 2);
        }
    }
}

/// Why a session ended: nothing is known but that it must begin again.
#[derive(Debug)]
struct Ended;

impl<E: std::error::Error> From<E> for Ended {
    fn from(_: E) -> Self {
        Self
    }
}

#[derive(Default)]
struct Session {
    links: HashMap<String, MultiplexedConnection>,
    subscribed: HashMap<usize, String>,
    broken: Arc<Notify>,
}

impl Session {
    async fn serve<A: Audience + 'static>(
        &mut self,
        node: &Arc<Node<A>>,
        pause: &mut Duration,
    ) -> Result<(), Ended> {
        loop {
            let wanted = node.wanted.all();
            self.leave(node, &wanted).await?;
            let misses_any =
                |session: &Self| wanted.iter().any(|shard| !session.subscribed.contains_key(shard));
            if misses_any(self) {
                self.join(node, &wanted).await?;
                *pause = PAUSES.0;
            }
            let is_partial = misses_any(self);
            let beat = async {
                loop {
                    tokio::time::sleep(BEAT).await;
                    self.beat().await?;
                }
            };
            tokio::select! {
                () = node.wanted.changed.notified() => {}
                () = tokio::time::sleep(AGAIN), if is_partial => {}
                () = node.wanted.renewed.notified() => return Err(Ended),
                () = self.broken.notified() => return Err(Ended),
                ended = beat => return ended,
            }
        }
    }

    async fn beat(&self) -> Result<(), Ended> {
        for link in self.links.values() {
            let ping = redis::cmd("PING");
            tokio::time::timeout(BEAT, ping.query_async::<redis::Value>(&mut link.clone())).await??;
        }
        Ok(())
    }

    async fn leave<A: Audience>(
        &mut self,
        node: &Arc<Node<A>>,
        wanted: &BTreeSet<usize>,
    ) -> Result<(), Ended> {
        let gone: Vec<usize> =
            self.subscribed.keys().filter(|shard| !wanted.contains(shard)).copied().collect();
        for shard in gone {
            node.wanted.heard.send_modify(|heard| {
                heard.remove(&shard);
            });
            node.shards[shard].order().deafen(shard, true, &node.audience);
            let server = self.subscribed.remove(&shard);
            if let Some(link) = server.and_then(|server| self.links.get(&server)) {
                call(link, "SUNSUBSCRIBE", &node.keys.channel(shard), node.config.timeout).await?;
            }
        }
        Ok(())
    }

    /// Subscribes to what is wanted and not heard yet, at the servers that are there.
    async fn join<A: Audience + 'static>(
        &mut self,
        node: &Arc<Node<A>>,
        wanted: &BTreeSet<usize>,
    ) -> Result<(), Ended> {
        let topology = Topology::ask(&node.config.servers, node.config.timeout).await.ok_or(Ended)?;
        let (mut joining, mut absent) = (Vec::new(), BTreeSet::new());
        for &shard in wanted {
            if self.subscribed.contains_key(&shard) {
                continue;
            }
            let Some(info) = topology.server_of(shard) else { continue };
            let server = info.addr().to_string();
            if absent.contains(&server) {
                continue;
            }
            if !self.links.contains_key(&server) {
                let Ok(link) = open(node, info.clone(), self.broken.clone()).await else {
                    absent.insert(server);
                    continue;
                };
                self.links.insert(server.clone(), link);
            }
            joining.push((shard, self.links[&server].clone()));
            self.subscribed.insert(shard, server);
        }
        if self.links.is_empty() {
            return Err(Ended);
        }
        let joins = joining.iter().map(|(shard, link)| join_one(node, *shard, link));
        // Not in the stream's own type, which a spawned task could not hold.
        stream::iter(joins.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        let subscribed: BTreeSet<usize> = self.subscribed.keys().copied().collect();
        node.wanted.heard.send_replace(subscribed);
        Ok(())
    }
}

async fn join_one<A: Audience>(
    node: &Node<A>,
    number: usize,
    link: &MultiplexedConnection,
) -> Result<(), Ended> {
    let shard = &node.shards[number];
    shard.order().begin();
    call(link, "SSUBSCRIBE", &node.keys.channel(number), node.config.timeout).await?;
    // No own commit is on its way while it is asked how far the shard has come.
    let _gate = tokio::time::timeout(GATE, shard.gate.lock()).await?;
    let asking = async {
        let reached = node.reached_over(&Way::Single(link.clone()), number).await.ok_or(Ended)?;
        let shift = node.shift(number).ok_or(Ended)?;
        shard.order().follow(number, reached, shift, &node.audience);
        Ok(())
    };
    tokio::time::timeout(node.config.timeout * 2, asking).await?
}

async fn call(
    link: &MultiplexedConnection,
    name: &str,
    channel: &[u8],
    timeout: Duration,
) -> Result<(), Ended> {
    let mut command = redis::cmd(name);
    command.arg(channel);
    tokio::time::timeout(timeout, command.query_async::<redis::Value>(&mut link.clone())).await??;
    Ok(())
}

async fn open<A: Audience + 'static>(
    node: &Arc<Node<A>>,
    info: ConnectionInfo,
    broken: Arc<Notify>,
) -> Result<MultiplexedConnection, Ended> {
    let hearing = node.clone();
    let hear = move |push: PushInfo| {
        heard(&hearing, &broken, push);
        Ok::<(), redis::aio::SendError>(())
    };
    let config = AsyncConnectionConfig::new()
        .set_push_sender(hear)
        .set_connection_timeout(Some(node.config.timeout))
        .set_response_timeout(Some(BEAT));
    Ok(Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await?)
}

fn heard<A: Audience>(node: &Node<A>, broken: &Notify, push: PushInfo) {
    let mut data = push.data.into_iter();
    let shard = |channel: Option<redis::Value>| {
        node.keys.shard_of_channel(&channel.and_then(bytes).unwrap_or_default())
    };
    match push.kind {
        PushKind::SMessage => {
            let (Some(shard), Some(message)) = (shard(data.next()), data.next().and_then(bytes)) else {
                return;
            };
            let Some(message) = read_message(&message, &node.tag) else { return };
            node.shards[shard].order().hear(shard, message, node.shift(shard), &node.audience);
        }
        PushKind::Disconnection => broken.notify_one(),
        // The shard has moved to another server.
        PushKind::SUnsubscribe if shard(data.next()).is_some_and(|shard| node.wanted.has(shard)) => {
            broken.notify_one();
        }
        _ => {}
    }
}

/// `place tag payload`, where nothing but the place is followed by a space.
fn read_message(message: &[u8], own_tag: &[u8; 8]) -> Option<Message> {
    let split = message.iter().position(|&byte| byte == b' ')?;
    let sequence = std::str::from_utf8(&message[..split]).ok()?.parse().ok()?;
    let (tag, payload) = message[split + 1..].split_first_chunk()?;
    Some(Message { sequence, is_own: tag == own_tag, payload: payload.to_vec() })
}
