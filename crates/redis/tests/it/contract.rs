//! The contract, kept on one server and on a cluster, in the eyes of the node that commits and of one that listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use typingd_core::contract::{self, CAPACITY, Harness};
use typingd_core::store::{Commit, Presence};
use typingd_redis::{Config, Servers};

use crate::servers::{Cluster, Server};
use crate::world::{Recorder, Redis, config, still, watch, within};

struct Pair {
    store: Redis,
    recorder: Arc<Recorder>,
    /// Another node, that only listens.
    _other: Redis,
    heard: Arc<Recorder>,
    is_one_shard: bool,
}

impl Pair {
    async fn fresh(servers: &Servers, shards: usize) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("test-{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        let is_one_shard = shards == 1;
        let capacity = if is_one_shard { CAPACITY } else { 100_000 };
        let config = Config { prefix, capacity, ..config(servers.clone(), shards) };
        let (store, recorder) = still(config.clone());
        let (other, heard) = still(config);
        watch(&store, 0..shards).await;
        watch(&other, 0..shards).await;
        Self { store, recorder, _other: other, heard, is_one_shard }
    }
}

impl Harness for Pair {
    type Store = Redis;

    fn store(&self) -> &Redis {
        &self.store
    }

    async fn published(&self) -> Vec<Commit> {
        within(10, async || (self.heard.told().len() >= self.recorder.told().len()).then_some(())).await;
        assert_eq!(self.heard.told(), self.recorder.told(), "both are told the same, in the same order");
        assert_eq!(*self.heard.lost.lock().unwrap(), []);
        for (recorder, is_ours) in [(&self.recorder, true), (&self.heard, false)] {
            assert!(recorder.commits.lock().unwrap().iter().all(|commit| commit.is_ours == is_ours));
        }
        let commits = std::mem::take(&mut *self.heard.commits.lock().unwrap());
        self.recorder.clear();
        assert!(
            commits.iter().all(|commit| !commit.changes.is_empty() || commit.presence != Presence::Unchanged)
        );
        commits
    }

    fn fills_evenly(&self) -> bool {
        self.is_one_shard
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_keeps_the_contract_in_one_shard() {
    let server = Server::start(&[]).await;
    contract::run(async || Pair::fresh(&server.servers(), 1).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_keeps_the_contract_in_many_shards() {
    let server = Server::start(&[]).await;
    contract::run(async || Pair::fresh(&server.servers(), 16).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_the_contract() {
    let cluster = Cluster::start().await;
    contract::run(async || Pair::fresh(&cluster.servers(), 16).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn valkey_keeps_the_contract() {
    let server = Server::start_valkey().await;
    let info: String = server.ask(&["INFO", "server"]).await;
    assert!(info.contains("server_name:valkey"), "{info}");
    contract::run(async || Pair::fresh(&server.servers(), 16).await).await;
}
