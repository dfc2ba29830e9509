//! Servers that die, stop, or come back with nothing.

use std::time::Duration;

use typingd_core::store::StoreError;
use typingd_core::store::remote::{Loss, Remote};
use typingd_core::{Scope, Store, Verdict};

use crate::servers::{Cluster, Passage, Server};
use crate::world::{Clock, Node, composing, config, side, within};

/// What a call may take beside its time-out where these tests run.
const SLACK: Duration = Duration::from_millis(150);

async fn timed<T>(call: impl Future<Output = T>) -> (T, Duration) {
    let clock = Clock::start(0);
    (call.await, clock.read())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_empty_is_used_without_a_hand() {
    let mut server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 4), 1);
    let there = Node::start(config(server.servers(), 4), 9);
    here.watch(0..4).await;
    here.say(&side("+1"), composing(60_000)).await.unwrap();
    let before = here.recorder.told();
    server.kill();
    for _ in 0..10 {
        let (said, took) = timed(here.say(&side("+1"), composing(60_000))).await;
        assert_eq!(said, Err(StoreError::Unavailable));
        assert!(took < Duration::from_millis(250) + SLACK, "{took:?}");
        let (listing, took) = timed(here.store.leases(&Scope::tenant("acme"), here.clock.now(), 10)).await;
        assert_eq!(listing.failed, Some(StoreError::Unavailable));
        assert!(took < Duration::from_millis(250) + SLACK, "{took:?}");
        let (due, took) = timed(here.store.due(here.clock.now(), 10)).await;
        assert!(due.sides.is_empty() && due.next.is_some());
        assert!(took < Duration::from_millis(250) + SLACK, "{took:?}");
    }
    server.restart().await;
    let again = here.insist(&side("+1"), composing(60_000)).await;
    assert_eq!(again.verdict, Verdict::Started, "what a node remembers does not come back to life");
    within(10, async || (here.lost().len() >= 4).then_some(())).await;
    let mut lost = here.lost();
    lost.sort_by_key(|lost| lost.0);
    assert_eq!(lost, [0, 1, 2, 3].map(|shard| (shard, Loss::Everything)));
    here.store.heard(0..4).await;
    there.insist(&side("+1"), composing(60_000)).await;
    there.insist(&side("+2"), composing(60_000)).await;
    within(5, async || here.recorder.told().iter().any(|told| told.2 == side("+2")).then_some(())).await;
    let after = here.recorder.told();
    let of = |told: &[crate::world::Told]| {
        told.iter().filter(|told| told.0 == before[0].0).map(|told| told.1).max()
    };
    assert!(of(&after) > of(&before), "places rise all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_costs_a_few_calls_their_time_and_the_others_none() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 4), 1);
    here.say(&side("+1"), composing(60_000)).await.unwrap();
    server.stop();
    for call in 0..6 {
        let (said, took) = timed(here.say(&side(&format!("+{call}")), composing(60_000))).await;
        assert_eq!(said, Err(StoreError::Unavailable));
        let bound = if call < 3 { Duration::from_millis(250) + SLACK } else { Duration::from_millis(20) };
        assert!(took < bound, "call {call}: {took:?}");
        assert!(call >= 3 || took >= Duration::from_millis(250), "call {call} waits: {took:?}");
    }
    server.go_on();
    here.insist(&side("+9"), composing(60_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fell_silent_is_replaced() {
    let server = Server::start(&[]).await;
    let passage = Passage::to(&server).await;
    let here = Node::start(config(passage.servers(), 1), 1);
    here.watch([0]).await;
    here.say(&side("+1"), composing(60_000)).await.unwrap();
    passage.fall_silent();
    assert_eq!(here.say(&side("+1"), composing(60_000)).await, Err(StoreError::Unavailable));
    assert_eq!(here.store.trouble().as_deref(), Some("no answer in time"));
    let ((), took) = timed(async { drop(here.insist(&side("+1"), composing(60_000)).await) }).await;
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    within(5, async || here.lost().pop()).await;
    within(1, async || here.store.hears(0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_cannot_be_read_counts_as_none_and_is_said() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    here.say(&side("+1"), composing(60_000)).await.unwrap();
    let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "typingd:1:{0000}:s:*"]).await;
    let key = std::str::from_utf8(&keys[0]).unwrap();
    let _: () = server.ask(&["SET", key, "nonsense"]).await;
    let again = here.say(&side("+1"), composing(60_000)).await.unwrap();
    assert_eq!(again.verdict, Verdict::Started);
    assert_eq!(*here.recorder.unreadable.lock().unwrap(), [0]);
    assert_eq!(here.say(&side("+1"), composing(60_000)).await.unwrap().verdict, Verdict::Extended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_before_its_server_and_says_why_it_has_to_wait() {
    let mut server = Server::start(&[]).await;
    server.kill();
    let (here, took) = timed(async { Node::start(config(server.servers(), 4), 1) }).await;
    assert!(took < Duration::from_millis(100), "{took:?}");
    here.store.follow(0);
    for _ in 0..5 {
        let said = here.say(&side("+1"), composing(60_000)).await;
        assert_eq!(said, Err(StoreError::Unavailable));
    }
    assert_eq!(here.store.trouble().as_deref(), Some("connection refused"));
    server.restart().await;
    let ((), took) = timed(async { drop(here.insist(&side("+1"), composing(60_000)).await) }).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(here.store.trouble(), None);
    within(2, async || here.store.hears(0).then_some(())).await;
    assert_eq!(here.lost(), [], "there was nothing to lose");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_is_used_within_a_second() {
    let mut server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 4), 1);
    here.say(&side("+1"), composing(60_000)).await.unwrap();
    for _ in 0..3 {
        server.kill();
        within(5, async || here.say(&side("+1"), composing(60_000)).await.err()).await;
        within(5, async || here.store.trouble().filter(|said| said == "connection refused")).await;
        server.restart().await;
        let ((), took) = timed(async { drop(here.insist(&side("+1"), composing(60_000)).await) }).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_told_what_the_server_says_and_no_secret() {
    let server =
        Server::start(&["--requirepass", "right", "--user", "low", "on", ">low", "+ping", "+client"]).await;
    for (credentials, said) in [
        (":wrong-secret@", "authentication failed"),
        ("", "the server says NOAUTH"),
        ("low:low@", "the server says NOPERM"),
    ] {
        let url = server.url().replace("127", &format!("{credentials}127"));
        let here = Node::start(config(typingd_redis::Servers::Single(url), 1), 1);
        here.say(&side("+1"), composing(60_000)).await.unwrap_err();
        let trouble = within(5, async || here.store.trouble()).await;
        assert_eq!(trouble, said, "{credentials}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_at_once() {
    let server = |url: &str| typingd_redis::Servers::Single(url.to_owned());
    let mut braces = config(server("redis://127.0.0.1/"), 1);
    braces.prefix = "a{b".to_owned();
    for wrong in [config(server("what://is this"), 1), config(server("redis://127.0.0.1/"), 0), braces] {
        let store =
            typingd_redis::RedisStore::connect(wrong, || Duration::ZERO, crate::world::Recorder::default());
        assert!(store.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_before_its_cluster() {
    let mut cluster = Cluster::start().await;
    cluster.all().for_each(Server::kill);
    let here = Node::start(config(cluster.servers(), 64), 1);
    here.store.follow(0);
    for _ in 0..5 {
        assert_eq!(here.say(&side("+1"), composing(60_000)).await, Err(StoreError::Unavailable));
    }
    assert!(here.store.trouble().is_some());
    for server in cluster.all() {
        server.restart().await;
    }
    cluster.is_well().await;
    let ((), took) = timed(async { drop(here.insist(&side("+1"), composing(60_000)).await) }).await;
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    within(5, async || here.store.hears(0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_lost_a_master_is_used_again_soon_after_it_has_another() {
    let mut cluster = Cluster::start().await;
    let here = Node::start(config(cluster.servers(), 64), 1);
    let sides: Vec<_> = (0..60).map(|user| side(&format!("+{user}"))).collect();
    for side in &sides {
        here.insist(side, composing(60_000)).await;
    }
    cluster.masters[0].kill();
    for side in &sides {
        let _ = here.say(side, composing(60_000)).await;
    }
    let others = [&cluster.masters[1], &cluster.masters[2], &cluster.replica];
    within(20, async || {
        for server in others {
            let info: String = server.ask(&["CLUSTER", "INFO"]).await;
            if !info.contains("cluster_state:ok") || !info.contains("cluster_slots_fail:0") {
                return None;
            }
        }
        let replication: String = cluster.replica.ask(&["INFO", "replication"]).await;
        replication.contains("role:master").then_some(())
    })
    .await;
    let all = futures_util::future::join_all(sides.iter().map(|side| here.insist(side, composing(60_000))));
    let (_, took) = timed(all).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}
