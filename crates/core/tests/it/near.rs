//! What a node remembers of a shared store: what it answers by itself, keeps back, decides alone and brings afterwards.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use typingd_core::lease::SideState;
use typingd_core::store::memory::MemoryStore;
use typingd_core::store::near::{NearStore, NodeMemory, WhenAway};
use typingd_core::store::remote::{Audience, Loss, Remote, Unreadable};
use typingd_core::store::{Commit, Due, Feed, Listing, Store, StoreError};
use typingd_core::transition::Decision;
use typingd_core::{
    ChangeKind, Conversation, Engine, Marks, Outcome, Policy, Role, Scope, Side, Signal, Source, StopReason,
    Time, User, Utterance, Verdict,
};

/// Writes down what followers are told.
#[derive(Default)]
struct Followers(Mutex<Vec<ChangeKind>>);

impl Feed for Followers {
    fn publish(&self, commit: Commit) {
        self.0.lock().unwrap().extend(commit.changes.iter().map(|change| change.kind));
    }
}

impl Audience for Followers {
    fn lost(&self, _shard: usize, _loss: Loss) {}
    fn unreadable(&self, _shard: usize, _error: Unreadable) {}
}

type Memory = Arc<NodeMemory<Arc<Followers>>>;

/// The memory as a store's feed. Nothing comes through it while the node is behind.
struct Hearing(Memory, Arc<AtomicBool>);

impl Feed for Hearing {
    fn publish(&self, mut commit: Commit) {
        commit.position.shard = 0;
        if !self.1.load(Ordering::Relaxed) {
            self.0.publish(commit);
        }
    }
}

/// A store that can be out of reach, and counts what it is asked.
struct Far {
    store: MemoryStore<Hearing>,
    is_away: Arc<AtomicBool>,
    is_behind: Arc<AtomicBool>,
    is_slow: Arc<AtomicBool>,
    asked: Arc<Mutex<usize>>,
}

impl Store for Far {
    async fn update(
        &self,
        side: &Side,
        now: Time,
        decide: impl Fn(SideState) -> Decision + Send + Sync,
    ) -> Result<Outcome, StoreError> {
        *self.asked.lock().unwrap() += 1;
        if self.is_away.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable);
        }
        let result = self.store.update(side, now, decide).await;
        if self.is_slow.swap(false, Ordering::Relaxed) {
            // The answer is on its way.
            let mut is_there = false;
            poll_fn(|_| if std::mem::replace(&mut is_there, true) { Poll::Ready(()) } else { Poll::Pending })
                .await;
        }
        result
    }

    async fn due(&self, now: Time, limit: usize) -> Due {
        if self.is_away.load(Ordering::Relaxed) {
            return Due { failed: Some(StoreError::Unavailable), ..Due::default() };
        }
        self.store.due(now, limit).await
    }

    async fn leases(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        if self.is_away.load(Ordering::Relaxed) {
            return Listing { failed: Some(StoreError::Unavailable), ..Listing::default() };
        }
        self.store.leases(scope, now, limit).await
    }
}

impl Remote for Far {
    fn shard_of(&self, _conversation: &Conversation) -> usize {
        0
    }
    fn shards_of(&self, _scope: &Scope) -> std::ops::Range<usize> {
        0..1
    }
    fn follow(&self, _shard: usize) {}
    fn unfollow(&self, _shard: usize) {}
    fn hears(&self, _shard: usize) -> bool {
        true
    }
    fn is_behind(&self, _shard: usize) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }
}

struct Node {
    engine: Engine<NearStore<Far, Arc<Followers>>>,
    memory: Memory,
    followers: Arc<Followers>,
    is_away: Arc<AtomicBool>,
    is_behind: Arc<AtomicBool>,
    is_slow: Arc<AtomicBool>,
    asked: Arc<Mutex<usize>>,
}

fn node() -> Node {
    let followers = Arc::new(Followers::default());
    let memory = Arc::new(NodeMemory::new(1, 100, followers.clone()));
    let [is_away, is_behind, is_slow] = <[Arc<AtomicBool>; 3]>::default();
    let asked = Arc::<Mutex<usize>>::default();
    let store = MemoryStore::new(100, Hearing(memory.clone(), is_behind.clone()));
    let far = Far {
        store,
        is_away: is_away.clone(),
        is_behind: is_behind.clone(),
        is_slow: is_slow.clone(),
        asked: asked.clone(),
    };
    let near = NearStore::new(far, memory.clone(), Policy::default(), WhenAway::Serve);
    Node {
        engine: Engine::new(near, Policy::default()),
        memory,
        followers,
        is_away,
        is_behind,
        is_slow,
        asked,
    }
}

/// Nothing here waits.
fn now_or_never<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn at(millis: u64) -> Time {
    Time::from_millis(1_000_000 + millis)
}

fn side() -> Side {
    let conversation = Conversation::new("acme", "rcs", "support", User::new("+1"));
    Side { conversation, role: Role::Agent }
}

fn utterance(signal: Signal, source: Source) -> Utterance {
    let (origin, marks) = ("http".into(), Marks::default());
    Utterance { participant: None, name: None, signal, source, origin, marks }
}

impl Node {
    fn say(&self, signal: Signal, now: u64) -> Outcome {
        self.say_from(signal, Source::OneShot, now)
    }

    fn say_from(&self, signal: Signal, source: Source, now: u64) -> Outcome {
        now_or_never(self.engine.say(&side(), utterance(signal, source), at(now))).unwrap()
    }

    fn type_for(&self, seconds: u64, now: u64) -> Outcome {
        self.say(Signal::Composing { ttl: Duration::from_secs(seconds) }, now)
    }

    fn sweep(&self, now: u64) {
        let _ = now_or_never(self.engine.sweep(at(now)));
    }

    fn go_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn told(&self) -> Vec<ChangeKind> {
        std::mem::take(&mut self.followers.0.lock().unwrap())
    }

    fn listed(&self, now: u64) -> Vec<u64> {
        let listing = now_or_never(self.engine.leases(&Scope::tenant("acme"), at(now), 10));
        listing.leases.iter().map(|(_, lease)| lease.expires_at.as_millis() - 1_000_000).collect()
    }

    /// What the store has, without what the node adds.
    fn stored(&self, now: u64) -> Vec<u64> {
        let store = &self.engine.store().remote().store;
        let listing = now_or_never(store.leases(&Scope::tenant("acme"), at(now), 10));
        listing.leases.iter().map(|(_, lease)| lease.expires_at.as_millis() - 1_000_000).collect()
    }
}

#[test]
fn a_repeat_is_kept_back_until_the_guard() {
    let node = node();
    node.type_for(8, 0);
    assert_eq!(node.asked(), 1);
    let outcome = node.type_for(8, 3_000);
    assert_eq!((outcome.verdict, node.asked()), (Verdict::Extended, 0), "from memory");
    assert_eq!((node.listed(3_000), node.stored(3_000)), (vec![11_000], vec![8_000]));
    node.told();
    node.sweep(6_000);
    assert_eq!((node.told(), node.stored(6_000)), (vec![ChangeKind::Refreshed], vec![11_000]));
}

#[test]
fn a_claim_that_was_released_does_not_come_back() {
    let node = node();
    node.type_for(8, 0);
    let hold = Source::Hold { id: 7, continues: false };
    node.say_from(Signal::Composing { ttl: Duration::from_secs(20) }, hold, 1_000);
    now_or_never(node.engine.release(&side(), None, hold, StopReason::Paused, at(2_000))).unwrap();
    node.sweep(6_000);
    assert_eq!(node.listed(6_000), [8_000]);
    node.sweep(8_001);
    assert_eq!(node.listed(8_001), [0_u64; 0]);
}

#[test]
fn what_was_promised_alone_is_brought_when_the_store_is_back() {
    let node = node();
    node.type_for(4, 0);
    node.go_away(true);
    // In the guard, so that it cannot be answered from memory.
    assert!(node.type_for(9, 3_500).is_local);
    node.sweep(4_500);
    node.go_away(false);
    node.sweep(5_000);
    assert_eq!(node.stored(5_000), [12_500]);
}

#[test]
fn what_was_not_told_yet_begins_when_more_of_it_is_decided_alone() {
    let node = node();
    node.is_behind.store(true, Ordering::Relaxed);
    node.type_for(8, 0);
    assert_eq!(node.told(), [], "news of others before it are missing");
    node.go_away(true);
    assert!(node.type_for(8, 7_000).is_local);
    assert_eq!(node.told(), [ChangeKind::Started]);
}

#[test]
fn what_was_not_told_yet_begins_before_it_ends_alone() {
    let node = node();
    node.is_behind.store(true, Ordering::Relaxed);
    node.type_for(8, 0);
    node.go_away(true);
    assert!(node.say(Signal::Sent, 1_000).is_local);
    assert_eq!(node.told(), [ChangeKind::Started, ChangeKind::Stopped(StopReason::Sent)]);
}

#[test]
fn what_an_answer_promises_that_comes_after_something_was_decided_alone_does_not_lapse_here() {
    let node = node();
    node.type_for(4, 0);
    node.is_slow.store(true, Ordering::Relaxed);
    let said = utterance(Signal::Composing { ttl: Duration::from_secs(20) }, Source::OneShot);
    let side = side();
    let mut asked = pin!(node.engine.say(&side, said, at(3_500)));
    assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    node.go_away(true);
    assert!(node.type_for(2, 3_600).is_local);
    assert_eq!(now_or_never(asked).unwrap().verdict, Verdict::Extended);
    node.told();
    node.sweep(6_000);
    assert_eq!((node.told(), node.listed(6_000)), (vec![], vec![23_500]));
    node.go_away(false);
    node.sweep(7_000);
    assert_eq!((node.stored(7_000), node.listed(7_000)), (vec![23_500], vec![23_500]));
}

#[test]
fn what_ended_alone_ends_in_the_store_also_after_long() {
    let node = node();
    node.type_for(60, 0);
    node.go_away(true);
    assert!(node.say(Signal::Sent, 1_000).is_local);
    node.told();
    for now in (2_000..20_000).step_by(1_000) {
        node.sweep(now);
    }
    node.go_away(false);
    node.sweep(20_000);
    assert_eq!((node.stored(20_000), node.told()), (vec![], vec![]), "and is not told twice");
}

#[test]
fn an_end_that_time_brought_alone_is_not_told_twice() {
    let node = node();
    node.type_for(2, 0);
    node.told();
    node.go_away(true);
    node.sweep(2_000);
    node.sweep(4_000);
    assert_eq!(node.told(), [ChangeKind::Stopped(StopReason::Expired)]);
    node.go_away(false);
    node.sweep(5_000);
    node.sweep(8_000);
    assert_eq!((node.told(), node.stored(8_000)), (vec![], vec![]));
}

#[test]
fn what_this_node_vouches_for_is_brought_to_a_store_that_lost_everything() {
    let node = node();
    node.type_for(30, 0);
    now_or_never(node.engine.store().remote().store.update(&side(), at(1_000), |_| Decision {
        next: SideState::default(),
        outcome: Outcome { verdict: Verdict::Ended, lease: None, last_turn: None, is_local: false },
        changes: typingd_core::transition::Changes::new(),
    }))
    .unwrap();
    assert_eq!(node.stored(1_000), [0_u64; 0]);
    node.memory.lost(0, Loss::Everything);
    node.sweep(1_500);
    assert_eq!(node.stored(1_500), [30_000]);
}
