//! What the providers were told is known to the nodes that come after.

use std::time::Duration;

use typingd_core::fleet::Groups;
use typingd_core::store::remote::Remote;

use crate::servers::Server;
use crate::world::{Node, config, side, within};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_outlives_who_told_it() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 128), 1);
    let there = Node::start(config(server.servers(), 128), 400);
    let until = here.clock.now() + Duration::from_secs(5);
    let sides = [side("+1"), side("+2"), side("+3")];
    for side in &sides {
        here.store.note_told("rcs", side, until).await.unwrap();
    }
    here.store.note_told("other", &sides[0], until).await.unwrap();
    here.store.forget_told("rcs", &sides[1]).await.unwrap();
    drop(here);
    let mut told = there.store.told(Groups::ALL).await.unwrap();
    told.sort();
    let names: Vec<_> = told.iter().map(|(upstream, side, _)| (upstream.as_str(), side.clone())).collect();
    let [one, _, three] = sides;
    assert_eq!(names, [("other", one.clone()), ("rcs", one), ("rcs", three.clone())]);
    for (_, _, until) in &told {
        let left = until.since(there.clock.now()).as_millis();
        assert!((4_000..=5_020).contains(&left), "by its own clock: {left}");
    }
    let group = Groups::of_shard(there.store.shard_of(&three.conversation));
    let of_three = async |groups| {
        let told = there.store.told(groups).await.unwrap();
        told.iter().filter(|told| told.1 == three).count()
    };
    assert_eq!(of_three(Groups::default().with(group)).await, 1);
    assert_eq!(of_three(Groups::ALL.without(Groups::default().with(group))).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shows_no_more_is_forgotten() {
    let server = Server::start(&[]).await;
    let mut config = config(server.servers(), 1);
    config.grace = Duration::from_millis(700);
    let here = Node::start(config, 1);
    let soon = here.clock.now() + Duration::from_millis(300);
    here.store.note_told("rcs", &side("+1"), soon + Duration::from_secs(60)).await.unwrap();
    here.store.note_told("rcs", &side("+2"), soon).await.unwrap();
    let key = "typingd:1:{0000}:told";
    let ttl: u64 = server.ask(&["PTTL", key]).await;
    assert!((60_500..=61_000).contains(&ttl), "the latest counts: {ttl}");
    assert_eq!(here.store.told(Groups::ALL).await.unwrap().len(), 2);
    within(5, async || (here.store.told(Groups::ALL).await.unwrap().len() == 1).then_some(())).await;
    // By whole milliseconds of two clocks.
    assert!(here.clock.now() + Duration::from_millis(20) >= soon);
    assert_eq!(server.ask::<u64>(&["HLEN", key]).await, 1);
    here.store.forget_told("rcs", &side("+1")).await.unwrap();
    here.store.note_told("rcs", &side("+2"), here.clock.now()).await.unwrap();
    within(5, async || (server.ask::<u64>(&["EXISTS", key]).await == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_left_out_and_said() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    let _: i64 = server.ask(&["HSET", "typingd:1:{0000}:told", "nonsense", "99999999999999"]).await;
    assert_eq!(here.store.told(Groups::ALL).await.unwrap(), []);
    assert_eq!(*here.recorder.unreadable.lock().unwrap(), [0]);
}
