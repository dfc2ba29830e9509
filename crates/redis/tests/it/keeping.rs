//! How sides are kept: how often a server is asked, and for how long something stays there.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use typingd_core::Store;
use typingd_core::fleet::Groups;
use typingd_redis::Credential;

use crate::servers::Server;
use crate::world::{Node, composing, config, sent, side, within};

#[tokio::test(flavor = "multi_thread")]
async fn an_update_asks_once_unless_another_node_was_there() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    let there = Node::start(config(server.servers(), 1), 9);
    let trips = async |node: &Node, said| {
        let before = node.store.round_trips();
        node.say(&side("+1"), said).await.unwrap();
        node.store.round_trips() - before
    };
    assert_eq!(trips(&here, composing(20_000)).await, 2, "the first asks for the time");
    for _ in 0..10 {
        assert_eq!(trips(&here, composing(20_000)).await, 1);
        assert_eq!(trips(&here, sent()).await, 1);
        assert_eq!(trips(&here, composing(20_000)).await, 1);
    }
    assert_eq!(trips(&there, composing(30_000)).await, 3, "it does not know of the side");
    assert_eq!(trips(&there, composing(40_000)).await, 1);
    assert_eq!(trips(&here, composing(50_000)).await, 2, "what it believed was outdated");
    assert_eq!(trips(&here, composing(60_000)).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_outlasts_its_deadline_and_then_goes_by_itself() {
    let server = Server::start(&[]).await;
    let mut config = config(server.servers(), 1);
    config.grace = Duration::from_secs(1);
    let here = Node::start(config, 1);
    here.say(&side("+1"), composing(1_000)).await.unwrap();
    let keys = async || server.ask::<Vec<String>>(&["KEYS", "typingd:1:{0000}:s:*"]).await;
    let key = keys().await.remove(0);
    let ttl: u64 = server.ask(&["PTTL", &key]).await;
    assert!((1_500..=2_000).contains(&ttl), "{ttl}");
    within(5, async || keys().await.is_empty().then_some(())).await;
    let due = here.store.due(here.clock.now(), 10).await;
    assert!(due.sides.is_empty() && due.next.is_none(), "nothing is left of it");
    for key in ["deadlines", "index"] {
        assert_eq!(server.ask::<u64>(&["ZCARD", &format!("typingd:1:{{0000}}:{key}")]).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_kept_goes_by_itself() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 4), 1);
    here.watch(0..4).await;
    let mut fenced = sent();
    fenced.marks.turn = Some(1);
    here.say(&side("+1"), fenced).await.unwrap();
    here.say(&side("+1"), composing(60_000)).await.unwrap();
    let keys: Vec<String> = server.ask(&["KEYS", "*"]).await;
    assert_eq!(keys.len(), 4 + 3, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("typingd:1:{000"), "{key}");
        assert!(server.ask::<i64>(&["PTTL", &key]).await > 0, "{key}");
    }
}

/// `cargo test -p typingd-redis --release -- --ignored --nocapture figures`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it only measures"]
#[expect(clippy::print_stdout, reason = "figures are for people")]
async fn figures() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1_024), 1);
    let sides: Vec<_> = (0..20_000).map(|user| side(&format!("+1555{user:07}"))).collect();
    let before: u64 = used(&server).await;
    let round = async |name: &str| {
        let (since, trips) = (here.clock.read(), here.store.round_trips());
        let says = sides.iter().map(|side| here.say(side, composing(60_000)));
        let says = stream::iter(says.collect::<Vec<_>>());
        let said: Vec<_> = says.buffer_unordered(64).collect().await;
        assert!(said.iter().all(Result::is_ok));
        let took = here.clock.read() - since;
        let trips = (here.store.round_trips() - trips) as f64 / sides.len() as f64;
        println!(
            "{name}: {:.0} updates a second, {trips:.2} trips each",
            sides.len() as f64 / took.as_secs_f64()
        );
    };
    round("start").await;
    println!("{} bytes a side", (used(&server).await - before) / sides.len() as u64);
    let mut parts = std::collections::BTreeMap::<&str, (u64, u64)>::new();
    for key in server.ask::<Vec<String>>(&["KEYS", "typingd:1:{0421}:*"]).await {
        let bytes: u64 = server.ask(&["MEMORY", "USAGE", &key, "SAMPLES", "0"]).await;
        let what = if key.contains(":s:") { "side" } else { key.rsplit(':').next().unwrap() };
        let what =
            ["side", "deadlines", "index", "sequence"].into_iter().find(|&known| known == what).unwrap();
        let part = parts.entry(what).or_default();
        *part = (part.0 + 1, part.1 + bytes);
    }
    println!("shard 421, keys and bytes: {parts:?}");
    round("extend").await;
    round("extend").await;
    let since = here.clock.read();
    for side in &sides[..2_000] {
        here.say(side, composing(60_000)).await.unwrap();
    }
    println!("one at a time: {:.0} µs each", (here.clock.read() - since).as_micros() as f64 / 2_000.0);
    for name in ["first", "again"] {
        let since = here.clock.read();
        while here.store.due(here.clock.now(), 1_000).await.cut {}
        println!("due, {name}: {:?}", here.clock.read() - since);
    }
    let mut scope = typingd_core::Scope::tenant("nobody");
    for (name, tenant) in [("a tenant with nothing", "nobody"), ("a tenant, 1,000 of its leases", "acme")] {
        scope.tenant = tenant.into();
        let since = here.clock.read();
        let found = here.store.leases(&scope, here.clock.now(), 1_000).await.leases.len();
        println!("{name}: {found} in {:?}", here.clock.read() - since);
    }
    let since = here.clock.read();
    here.watch(0..1_024).await;
    println!("watching 1,024 shards: {:?}", here.clock.read() - since);
    shared_by_nodes(&here).await;
}

async fn used(server: &Server) -> u64 {
    let info: String = server.ask(&["INFO", "memory"]).await;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.unwrap().trim().parse().unwrap()
}

#[expect(clippy::print_stdout, reason = "figures are for people")]
async fn shared_by_nodes(here: &Node) {
    const ROUNDS: u32 = 100;
    let fleet = here.store.fleet("a");
    let mut since = here.clock.read();
    let mut lap = |name: &str, rounds: u32| {
        println!("{name}: {:?}", (here.clock.read() - since) / rounds);
        since = here.clock.read();
    };
    for _ in 0..ROUNDS {
        fleet.tick(Groups::default()).await.unwrap();
    }
    lap("a tick", ROUNDS);
    for _ in 0..10 {
        here.store.told(Groups::ALL).await.unwrap();
    }
    lap("what was told in 1,024 shards, nothing", 10);
    for _ in 0..ROUNDS {
        here.store.told(Groups::default().with(7)).await.unwrap();
    }
    lap("what was told in one group, nothing", ROUNDS);
    for user in 0..5_000 {
        let until = here.clock.now() + Duration::from_secs(60);
        here.store.note_told("rcs", &side(&format!("+{user}")), until).await.unwrap();
    }
    lap("noting what is told", 5_000);
    for _ in 0..10 {
        assert_eq!(here.store.told(Groups::ALL).await.unwrap().len(), 5_000);
    }
    lap("what was told in 1,024 shards, 5,000", 10);
    for name in 0..1_024 {
        fleet.note_credential(&format!("{name:064}"), Some(Credential::Proven)).await.unwrap();
    }
    lap("noting a credential", 1_024);
    fleet.tick(Groups::default()).await.unwrap();
    lap("a tick that brings 1,024 credentials", 1);
    for _ in 0..ROUNDS {
        fleet.tick(Groups::default()).await.unwrap();
    }
    lap("a tick that brings none of them", ROUNDS);
}
