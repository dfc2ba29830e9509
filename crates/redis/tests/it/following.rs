//! What a node hears of the others.

use std::time::Duration;

use typingd_core::store::remote::{Loss, Remote};
use typingd_core::{Scope, Store};

use crate::servers::{Cluster, Server};
use crate::world::{Node, composing, config, sent, side, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_noticed_when_the_connection_was_cut() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    let there = Node::start(config(server.servers(), 1), 9);
    here.watch([0]).await;
    there.say(&side("+1"), composing(20_000)).await.unwrap();
    within(5, async || (here.recorder.told().len() == 1).then_some(())).await;
    let cut: i64 = server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    assert_eq!(cut, 1);
    there.say(&side("+2"), composing(20_000)).await.unwrap();
    within(5, async || here.recorder.lost.lock().unwrap().first().copied()).await;
    let listing = here.store.leases(&Scope::tenant("acme"), here.clock.now(), 10).await;
    assert_eq!(listing.leases.len(), 2, "the answer to a loss has what was missed");
    there.say(&side("+3"), composing(20_000)).await.unwrap();
    within(5, async || here.recorder.told().iter().any(|told| told.2 == side("+3")).then_some(())).await;
    assert_eq!(here.lost(), [(0, Loss::Commits)], "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_missing_is_noticed_by_the_next_one() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    let there = Node::start(config(server.servers(), 1), 9);
    here.watch([0]).await;
    there.say(&side("+1"), composing(20_000)).await.unwrap();
    let _: i64 = server.ask(&["INCR", "typingd:1:{0000}:sequence"]).await;
    there.say(&side("+2"), composing(20_000)).await.unwrap();
    within(5, async || (here.recorder.told().len() == 2).then_some(())).await;
    assert_eq!(here.lost(), [(0, Loss::Commits)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_missing_is_noticed_without_a_next_one() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    here.watch([0]).await;
    let _: i64 = server.ask(&["INCR", "typingd:1:{0000}:sequence"]).await;
    let look = async || {
        here.store.due(here.clock.now(), 10).await;
        here.recorder.lost.lock().unwrap().first().copied()
    };
    assert_eq!(within(10, look).await, (0, Loss::Commits));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_asked_for_is_not_heard() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    let there = Node::start(config(server.servers(), 1), 9);
    there.say(&side("+1"), composing(20_000)).await.unwrap();
    here.watch([0]).await;
    there.say(&side("+2"), composing(20_000)).await.unwrap();
    within(5, async || (here.recorder.told().len() == 1).then_some(())).await;
    here.store.unfollow(0);
    assert!(!here.store.hears(0));
    let subscribers = async || {
        let channels: Vec<String> = server.ask(&["PUBSUB", "SHARDCHANNELS"]).await;
        channels.is_empty().then_some(())
    };
    within(5, subscribers).await;
    there.say(&side("+3"), composing(20_000)).await.unwrap();
    here.say(&side("+4"), composing(20_000)).await.unwrap();
    let told: Vec<_> = here.recorder.told().into_iter().map(|told| told.2).collect();
    assert_eq!(told, [side("+2"), side("+4")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_is_followed_until_all_who_wanted_it_took_it_back() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 2), 1);
    let there = Node::start(config(server.servers(), 2), 9);
    assert!(!here.store.hears(0));
    here.watch([0, 1]).await;
    here.store.follow(0);
    here.store.unfollow(0);
    here.store.unfollow(1);
    here.store.unfollow(1);
    let channels = async || server.ask::<Vec<String>>(&["PUBSUB", "SHARDCHANNELS"]).await;
    within(5, async || (channels().await == ["typingd:1:{0000}:feed"]).then_some(())).await;
    assert!(here.store.hears(0) && !here.store.hears(1));
    here.store.unfollow(0);
    assert!(!here.store.hears(0), "at once");
    within(5, async || channels().await.is_empty().then_some(())).await;
    for user in 0..8 {
        there.say(&side(&format!("+{user}")), composing(20_000)).await.unwrap();
    }
    here.watch([0, 1]).await;
    assert_eq!((here.lost(), here.recorder.told()), (vec![], vec![]), "who was away was told nothing");
    here.store.follow(2);
    here.store.unfollow(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lost_its_connection_is_not_heard_until_there_is_another() {
    let mut server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    here.watch([0]).await;
    server.kill();
    within(3, async || (!here.store.hears(0)).then_some(())).await;
    here.store.follow(0);
    here.store.unfollow(0);
    server.restart().await;
    within(5, async || here.store.hears(0).then_some(())).await;
    assert_eq!(here.lost(), [(0, Loss::Everything)], "before it is heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_still_is_not_heard_for_long() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    here.watch([0]).await;
    server.stop();
    within(5, async || (!here.store.hears(0)).then_some(())).await;
    server.go_on();
    within(5, async || here.store.hears(0).then_some(())).await;
    assert_eq!(here.lost(), [(0, Loss::Commits)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_emptied_under_way_has_lost_everything() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    let there = Node::start(config(server.servers(), 1), 9);
    here.watch([0]).await;
    there.say(&side("+1"), composing(20_000)).await.unwrap();
    // A sequence begins 10 ms back.
    tokio::time::sleep(Duration::from_millis(30)).await;
    let _: () = server.ask(&["FLUSHALL"]).await;
    there.say(&side("+2"), composing(20_000)).await.unwrap();
    within(5, async || here.lost().pop()).await;
    assert_eq!(here.lost(), [(0, Loss::Everything)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_fail_over_of_the_cluster_all_is_heard_again() {
    let mut cluster = Cluster::start().await;
    let config = config(cluster.servers(), 64);
    let here = Node::start(config.clone(), 1);
    let there = Node::start(config, 9);
    here.watch(0..64).await;
    let sides: Vec<_> = (0..100).map(|user| side(&format!("+{user}"))).collect();
    for side in &sides {
        there.say(side, composing(60_000)).await.unwrap();
    }
    within(5, async || (here.recorder.told().len() == 100).then_some(())).await;
    cluster.masters[0].kill();
    within(20, async || {
        let info: String = cluster.replica.ask(&["INFO", "replication"]).await;
        info.contains("role:master").then_some(())
    })
    .await;
    for side in &sides {
        there.insist(side, sent()).await;
    }
    within(15, async || (!here.recorder.lost.lock().unwrap().is_empty()).then_some(())).await;
    here.watch(0..64).await;
    here.recorder.clear();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for side in &sides {
        there.insist(side, composing(60_000)).await;
    }
    within(10, async || {
        let told = here.recorder.told();
        sides.iter().all(|side| told.iter().any(|told| told.2 == *side)).then_some(())
    })
    .await;
    let list = async || {
        let listing = here.store.leases(&Scope::tenant("acme"), here.clock.now(), 1_000).await;
        listing.failed.is_none().then_some(listing.leases.len())
    };
    assert_eq!(within(15, list).await, 100);
}
