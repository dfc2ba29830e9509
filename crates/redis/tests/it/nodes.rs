//! Several nodes on the same sides.

use typingd_core::lease::{Fence, SideState};
use typingd_core::store::StoreError;
use typingd_core::transition::{Changes, Decision, Outcome, Verdict};
use typingd_core::{ChangeKind, IgnoreReason, LeaseView, Scope, Store, Time};

use crate::servers::Server;
use crate::world::{Node, composing, config, sent, side, within};

/// Raises the fence by one, and tells a change.
fn one_more(state: &SideState, now: Time) -> Decision {
    let mut next = state.clone();
    let fence = next.fence.get_or_insert_with(|| Box::new(Fence::default()));
    let last_turn = Some(fence.last_turn.unwrap_or(0) + 1);
    (fence.last_turn, fence.forget_at) = (last_turn, now + std::time::Duration::from_secs(60));
    let lease =
        LeaseView { participant: None, name: None, started_at: now, expires_at: now, origin: "test".into() };
    let change = typingd_core::transition::Change { kind: ChangeKind::Refreshed, lease };
    let outcome =
        Outcome { verdict: Verdict::Ignored(IgnoreReason::Held), lease: None, last_turn, is_local: false };
    Decision { next, outcome, changes: Changes::from_elem(change, 1) }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_that_race_no_update_is_lost_and_both_are_told_the_same() {
    let server = Server::start(&[]).await;
    let mut config = config(server.servers(), 3);
    config.timeout = std::time::Duration::from_secs(10);
    let nodes = [Node::start(config.clone(), 1), Node::start(config, 9)];
    for node in &nodes {
        node.watch(0..3).await;
    }
    let sides: Vec<_> = (0..4).map(|user| side(&format!("+{user}"))).collect();
    let rush = async |node: &Node, first: usize| {
        let mut done = 0_u64;
        for round in 0..300 {
            let now = node.clock.now();
            let side = &sides[(first + round) % sides.len()];
            match node.store.update(side, now, |state| one_more(&state, now)).await {
                Ok(_) => done += 1,
                Err(error) => assert_eq!(error, StoreError::Unavailable),
            }
        }
        done
    };
    let [a, b] = &nodes;
    let (w, x, y, z) = tokio::join!(rush(a, 0), rush(a, 2), rush(b, 0), rush(b, 1));
    let done = w + x + y + z;
    let mut kept = 0;
    for side in &sides {
        let listing = a.store.leases(&Scope::one(&side.conversation), a.clock.now(), 10).await;
        kept += listing.last_turns.agent.unwrap();
    }
    assert_eq!((kept, done), (done, 1_200));
    for node in &nodes {
        within(10, async || (node.recorder.told().len() as u64 >= done).then_some(())).await;
        assert_eq!(*node.recorder.lost.lock().unwrap(), []);
    }
    let of_node = |node: &Node, done: u64| {
        let ours = node.recorder.commits.lock().unwrap().iter().filter(|commit| commit.is_ours).count();
        assert_eq!(ours as u64, done, "each knows its own, whichever way they came out first");
    };
    of_node(a, w + x);
    of_node(b, y + z);
    let told = a.recorder.told();
    assert_eq!(told, b.recorder.told());
    assert_eq!(told.len() as u64, done);
    let in_order = |two: &[crate::world::Told]| two[0].0 != two[1].0 || two[0].1 + 1 == two[1].1;
    assert!(told.windows(2).all(in_order), "each place once");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_other_clocks_mean_the_same_moments() {
    let server = Server::start(&[]).await;
    let [a, b] = [1, 400].map(|days| Node::start(config(server.servers(), 2), days));
    b.watch(0..2).await;
    a.say(&side("+1"), composing(20_000)).await.unwrap();
    let listing = b.store.leases(&Scope::tenant("acme"), b.clock.now(), 10).await;
    let told = within(5, async || b.recorder.commits.lock().unwrap().first().cloned()).await;
    for lease in [&listing.leases[0].1, &told.changes[0].lease] {
        let ahead = lease.expires_at.since(b.clock.now()).as_millis();
        assert!((19_000..=20_020).contains(&ahead), "{ahead}");
        assert!(b.clock.now().since(lease.started_at).as_millis() < 1_000);
    }
    assert!(told.deadline.unwrap().since(b.clock.now()).as_millis() > 19_000);
    assert_eq!(b.say(&side("+1"), sent()).await.unwrap().verdict, Verdict::Ended);
    assert_eq!(
        a.say(&side("+1"), sent()).await.unwrap().verdict,
        Verdict::Ignored(IgnoreReason::NothingLive)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_one_gets_each_side_that_is_due() {
    let server = Server::start(&[]).await;
    let nodes = [Node::start(config(server.servers(), 8), 1), Node::start(config(server.servers(), 8), 9)];
    for user in 0..200 {
        nodes[0].say(&side(&format!("+{user}")), composing(1_000)).await.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    let take = async |node: &Node| {
        let mut taken = Vec::new();
        loop {
            let due = node.store.due(node.clock.now(), 7).await;
            assert!(due.sides.len() <= 7);
            taken.extend(due.sides);
            if !due.cut {
                return taken;
            }
        }
    };
    let (mut taken, more) = tokio::join!(take(&nodes[0]), take(&nodes[1]));
    taken.extend(more);
    assert_eq!(taken.len(), 200);
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_took_and_did_not_settle_comes_back() {
    let server = Server::start(&[]).await;
    let [mut a, mut b] = [config(server.servers(), 2), config(server.servers(), 2)];
    (a.poll, b.poll) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
    let (dies, lives) = (Node::start(a, 1), Node::start(b, 9));
    dies.say(&side("+1"), composing(1_000)).await.unwrap();
    let taken = within(5, async || dies.store.due(dies.clock.now(), 10).await.sides.pop()).await;
    assert_eq!(taken, side("+1"));
    let since = lives.clock.now();
    let taken = within(5, async || lives.store.due(lives.clock.now(), 10).await.sides.pop()).await;
    assert_eq!(taken, side("+1"));
    let waited = lives.clock.now().since(since).as_millis();
    assert!((1_700..4_000).contains(&waited), "{waited}");
}
