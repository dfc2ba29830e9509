//! What nodes tell each other of credentials.

use std::time::Duration;

use typingd_core::fleet::Groups;
use typingd_redis::{Credential, Credentials, Fleet};

use crate::servers::Server;
use crate::world::{Listener, Node, config, within};

async fn tick(fleet: &Fleet<Listener>) -> Option<Credentials> {
    let credentials = fleet.tick(Groups::default()).await.unwrap().credentials;
    credentials.map(|mut credentials| {
        credentials.sort_by(|a, b| a.0.cmp(&b.0));
        credentials
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_learns_all_know_with_the_next_tick() {
    let server = Server::start(&[]).await;
    let [here, there] = [1, 400].map(|days| Node::start(config(server.servers(), 1), days));
    let [a, b] = [here.store.fleet("a"), there.store.fleet("b")];
    assert_eq!(tick(&b).await, Some(vec![]));
    assert_eq!(tick(&b).await, None, "as before");
    let until = here.clock.now() + Duration::from_secs(5);
    a.note_credential("good", Some(Credential::Proven)).await.unwrap();
    a.note_credential("bad", Some(Credential::Refused { until })).await.unwrap();
    let known = tick(&b).await.unwrap();
    let [(bad, Credential::Refused { until: seen }), (good, Credential::Proven)] = &known[..] else {
        panic!("{known:?}")
    };
    assert_eq!((bad.as_str(), good.as_str()), ("bad", "good"));
    let left = seen.since(there.clock.now()).as_millis();
    assert!((4_000..=5_020).contains(&left), "by its own clock: {left}");
    a.note_credential("good", Some(Credential::Proven)).await.unwrap();
    assert_eq!(tick(&b).await, None, "a proof again is no news");
    a.note_credential("bad", Some(Credential::Proven)).await.unwrap();
    a.note_credential("good", None).await.unwrap();
    assert_eq!(tick(&b).await, Some(vec![("bad".into(), Credential::Proven)]));
    assert_eq!(tick(&a).await, Some(vec![("bad".into(), Credential::Proven)]), "its own, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_forgotten_in_time_and_bounded() {
    let server = Server::start(&[]).await;
    let here = Node::start(config(server.servers(), 1), 1);
    let fleet = here.store.fleet("a");
    let until = here.clock.now() + Duration::from_millis(300);
    fleet.note_credential("bad", Some(Credential::Refused { until })).await.unwrap();
    assert_eq!(tick(&fleet).await.unwrap().len(), 1);
    within(5, async || tick(&fleet).await.filter(Vec::is_empty)).await;
    assert!(here.clock.now() + Duration::from_millis(20) >= until);
    for number in 0..1_100 {
        fleet.note_credential(&format!("{number:04}"), Some(Credential::Proven)).await.unwrap();
    }
    let known = tick(&fleet).await.unwrap();
    assert_eq!((known.len(), known.last().unwrap().0.as_str()), (1_024, "1099"));
    let ends: Vec<f64> = server
        .ask::<Vec<String>>(&["ZRANGE", "typingd:1:{typingd:fleet}:credentials", "-1", "-1", "WITHSCORES"])
        .await
        .iter()
        .filter_map(|part| part.parse().ok())
        .collect();
    let time: (f64, f64) = server.ask(&["TIME"]).await;
    let left = ends[0] / 1_000.0 - time.0;
    assert!((3_590.0..=3_601.0).contains(&left), "an hour: {left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_tries_first_until_its_time_is_over() {
    let server = Server::start(&[]).await;
    let [here, there] = [1, 400].map(|days| Node::start(config(server.servers(), 1), days));
    let [a, b] = [here.store.fleet("a"), there.store.fleet("b")];
    let time = Duration::from_millis(400);
    assert!(a.try_first("new", time).await.unwrap());
    assert!(!b.try_first("new", time).await.unwrap());
    assert!(b.try_first("other", time).await.unwrap());
    assert!(a.try_first("new", time * 3).await.unwrap(), "it goes on");
    let since = there.clock.now();
    within(5, async || b.try_first("new", time).await.unwrap().then_some(())).await;
    assert!(there.clock.now().since(since) > time * 2);
    assert!(!a.try_first("new", time).await.unwrap());
}
