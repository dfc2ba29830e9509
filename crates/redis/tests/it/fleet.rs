//! Who answers for which groups, while nodes come, go and die.

use std::sync::Mutex;
use std::time::Duration;

use typingd_core::fleet::{GROUPS, Groups, Tenure};
use typingd_core::store::StoreError;
use typingd_redis::{Fleet, LEASE, TICK};

use crate::servers::{Cluster, Server};
use crate::world::{Clock, Listener, Node, config, within};

/// A node of a fleet, and what it believes.
struct Member {
    node: Node,
    fleet: Fleet<Listener>,
    tenure: Mutex<Option<Tenure>>,
    excess: Mutex<Groups>,
}

impl Member {
    fn new(server: &Server, name: &str, days: u64) -> Self {
        let node = Node::start(config(server.servers(), 64), days);
        let fleet = node.store.fleet(name);
        Self { node, fleet, tenure: Mutex::default(), excess: Mutex::default() }
    }

    /// Stops acting for what is too much, gives it back, and keeps what it is given.
    async fn tick(&self) {
        let excess = std::mem::take(&mut *self.excess.lock().unwrap());
        if let Some(tenure) = &mut *self.tenure.lock().unwrap() {
            tenure.groups = tenure.groups.without(excess);
        }
        if let Ok(ticked) = self.fleet.tick(excess).await {
            *self.tenure.lock().unwrap() = Some(ticked.tenure);
            *self.excess.lock().unwrap() = ticked.excess;
        }
    }

    /// What it holds, by its own clock.
    fn holds(&self) -> Groups {
        let tenure = *self.tenure.lock().unwrap();
        let now = self.node.clock.now();
        (0..GROUPS).filter(|&group| tenure.is_some_and(|tenure| tenure.holds(group, now))).collect()
    }

    fn count(&self) -> usize {
        self.holds().count()
    }

    async fn leave(&self) {
        *self.tenure.lock().unwrap() = None;
        self.fleet.leave().await.unwrap();
    }

    /// Ticks, beginning after this share of the time between two ticks: no two at the same moment.
    async fn live(&self, after: f64) {
        tokio::time::sleep(TICK.mul_f64(after)).await;
        loop {
            self.tick().await;
            tokio::time::sleep(TICK).await;
        }
    }
}

fn sizes(members: &[&Member]) -> Vec<usize> {
    let mut sizes: Vec<usize> = members.iter().map(|member| member.count()).collect();
    sizes.sort_unstable();
    sizes
}

/// Looks all the time whether two hold the same group, each by its own clock.
async fn never_two(members: &[&Member]) {
    loop {
        let mut held = Groups::default();
        for member in members {
            // The one who looked first may have lost it when the next one looks: it is asked again.
            let its = member.holds();
            let twice: Groups = its.iter().filter(|&group| held.has(group)).collect();
            let holders = |group: usize| members.iter().filter(|member| member.holds().has(group)).count();
            assert!(twice.iter().all(|group| holders(group) < 2), "held twice: {twice:?}");
            held = its.iter().fold(held, Groups::with);
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_share_evenly_and_take_over_from_those_who_die_or_leave() {
    let mut server = Server::start(&[]).await;
    let [a, b, c] = [("a", 1), ("b", 9), ("c", 400)].map(|(name, days)| Member::new(&server, name, days));
    let story = async {
        {
            let mut first = std::pin::pin!(a.live(0.0));
            tokio::select! {
                () = &mut first => {}
                () = within(4, async || (a.count() == GROUPS).then_some(())) => {}
            }
            // Two more come.
            tokio::select! {
                _ = async { tokio::join!(first, b.live(0.3), c.live(0.6)) } => {}
                () = within(4, async || (sizes(&[&a, &b, &c]) == [21, 21, 22]).then_some(())) => {}
            }
        }
        // One of them is never heard of again.
        let died = Clock::start(0);
        tokio::select! {
            _ = async { tokio::join!(b.live(0.3), c.live(0.6)) } => {}
            () = within(4, async || (sizes(&[&b, &c]) == [32, 32]).then_some(())) => {}
        }
        assert!(died.read() < Duration::from_secs(2), "{:?}", died.read());
        // The server loses all it had.
        server.kill();
        server.restart().await;
        tokio::select! {
            _ = async { tokio::join!(b.live(0.3), c.live(0.6)) } => {}
            () = async {
                tokio::time::sleep(LEASE * 2).await;
                within(4, async || (sizes(&[&b, &c]) == [32, 32]).then_some(())).await;
            } => {}
        }
        // One says goodbye.
        b.leave().await;
        c.tick().await;
        assert_eq!(c.count(), GROUPS, "at once");
    };
    let all = [&a, &b, &c];
    tokio::select! {
        () = never_two(&all) => {}
        () = story => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenure_is_counted_from_before_the_question() {
    let server = Server::start(&[]).await;
    let member = Member::new(&server, "a", 1);
    member.tick().await;
    server.stop();
    let before = member.node.clock.now();
    let (ticked, ()) = tokio::join!(member.fleet.tick(Groups::default()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.go_on();
    });
    let tenure = ticked.unwrap().tenure;
    let lasts = tenure.until.since(before);
    assert!(lasts >= LEASE && lasts < LEASE + Duration::from_millis(60), "{lasts:?}");
    let ends: f64 = server.ask(&["ZSCORE", "typingd:1:{typingd:fleet}:nodes", "a"]).await;
    let time: (u64, u64) = server.ask(&["TIME"]).await;
    let left = ends - time.0 as f64 * 1_000.0 - time.1 as f64 / 1_000.0;
    assert!(
        left > tenure.until.since(member.node.clock.now()).as_millis() as f64,
        "the server believes longer"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_named_and_given_back_with_the_next_tick() {
    let server = Server::start(&[]).await;
    let [a, b] = [Member::new(&server, "a", 1), Member::new(&server, "b", 9)];
    within(4, async || {
        a.tick().await;
        (a.count() == GROUPS).then_some(())
    })
    .await;
    b.tick().await;
    assert_eq!(b.count(), 0, "all is taken");
    a.tick().await;
    let excess = *a.excess.lock().unwrap();
    assert_eq!((excess, a.count()), ((32..64).collect(), 64), "it decides when");
    b.tick().await;
    assert_eq!(b.count(), 0);
    a.tick().await;
    assert_eq!((a.holds(), a.excess.lock().unwrap().count()), ((0..32).collect(), 0));
    b.tick().await;
    assert_eq!((b.holds(), b.tenure.lock().unwrap().unwrap().nodes), (excess, 2));
    let given = a.fleet.tick(Groups::default().with(3)).await.unwrap().tenure.groups;
    assert_eq!(given.count(), 31, "what is given back is not taken at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_fleet_waits_for_leases_that_may_be_left_of_an_old_one() {
    let server = Server::start(&[]).await;
    let [a, b] = [Member::new(&server, "a", 1), Member::new(&server, "b", 9)];
    within(4, async || {
        a.tick().await;
        (a.count() == GROUPS).then_some(())
    })
    .await;
    let _: () = server.ask(&["FLUSHALL"]).await;
    b.tick().await;
    assert_eq!(b.count(), 0, "it may be another's");
    a.tick().await;
    assert_eq!(a.count(), GROUPS, "it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_comes_late_undoes_nothing() {
    let server = Server::start(&[]).await;
    let a = Member::new(&server, "a", 1);
    within(4, async || {
        a.tick().await;
        (a.count() == GROUPS).then_some(())
    })
    .await;
    let late = a.node.store.fleet("a").tick(Groups::ALL).await;
    assert_eq!(late, Err(StoreError::Unavailable), "its turn was long ago");
    let b = Member::new(&server, "b", 9);
    b.tick().await;
    assert_eq!(b.count(), 0, "nothing was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_costs_one_question() {
    let server = Server::start(&[]).await;
    let member = Member::new(&server, "a", 1);
    for trips in 1..4 {
        member.tick().await;
        assert_eq!(member.node.store.round_trips(), trips);
    }
    for key in server.ask::<Vec<String>>(&["KEYS", "*"]).await {
        assert!(server.ask::<i64>(&["PTTL", &key]).await > 0, "{key} goes by itself");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_has_a_fleet_too() {
    let cluster = Cluster::start().await;
    let node = Node::start(config(cluster.servers(), 64), 1);
    let fleet = node.store.fleet("a");
    let all = async || fleet.tick(Groups::default()).await.ok().filter(|it| it.tenure.groups == Groups::ALL);
    within(5, all).await;
    fleet.leave().await.unwrap();
}
