//! What the tests have in common: who listens, clocks, and things to say.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;
use typingd_core::store::remote::{Audience, Loss, Remote, Unreadable};
use typingd_core::store::{Commit, Feed, Presence, StoreError};
use typingd_core::transition::{ChangeKind, Input, Outcome, transition};
use typingd_core::{Conversation, Marks, Policy, Role, Side, Signal, Source, Store, Time, User, Utterance};
use typingd_redis::{Config, RedisStore, Servers};

#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) commits: Mutex<Vec<Commit>>,
    pub(crate) lost: Mutex<Vec<(usize, Loss)>>,
    pub(crate) unreadable: Mutex<Vec<usize>>,
}

impl Feed for Recorder {
    fn publish(&self, commit: Commit) {
        self.commits.lock().unwrap().push(commit);
    }
}

impl Audience for Recorder {
    fn lost(&self, shard: usize, loss: Loss) {
        self.lost.lock().unwrap().push((shard, loss));
    }

    fn unreadable(&self, shard: usize, _: Unreadable) {
        self.unreadable.lock().unwrap().push(shard);
    }
}

/// What all nodes are told alike of a commit.
pub(crate) type Told = (usize, u64, Side, Vec<ChangeKind>, Presence);

impl Recorder {
    /// What was told to all, by shard and in its order.
    pub(crate) fn told(&self) -> Vec<Told> {
        let commits = self.commits.lock().unwrap();
        let of_all = commits.iter().filter(|c| !c.changes.is_empty() || c.presence != Presence::Unchanged);
        let mut told: Vec<Told> = of_all
            .map(|commit| {
                let kinds = commit.changes.iter().map(|change| change.kind).collect();
                let position = commit.position;
                (position.shard, position.sequence, commit.side.clone(), kinds, commit.presence)
            })
            .collect();
        told.sort_by_key(|told| told.0);
        told
    }

    pub(crate) fn clear(&self) {
        self.commits.lock().unwrap().clear();
        self.lost.lock().unwrap().clear();
    }
}

pub(crate) type Listener = Arc<Recorder>;
pub(crate) type Redis = RedisStore<Listener>;

/// A gateway's store, its clock, and who listens.
pub(crate) struct Node {
    pub(crate) store: Redis,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) clock: Clock,
}

/// Real time, counted from some day.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    days: u64,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "what servers do takes real time")]
    pub(crate) fn start(days: u64) -> Self {
        Self { started: Instant::now(), days }
    }

    pub(crate) fn read(&self) -> Duration {
        Duration::from_secs(self.days * 86_400) + self.started.elapsed()
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.read().as_millis()).unwrap())
    }
}

pub(crate) fn config(servers: Servers, shards: usize) -> Config {
    Config { shards, ..Config::new(servers) }
}

/// A store with a clock that stands, for tests that hand in times of their own.
pub(crate) fn still(config: Config) -> (Redis, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    (RedisStore::connect(config, || Duration::ZERO, recorder.clone()).unwrap(), recorder)
}

impl Node {
    pub(crate) fn start(config: Config, days: u64) -> Self {
        let clock = Clock::start(days);
        let recorder = Arc::new(Recorder::default());
        let store = RedisStore::connect(config, move || clock.read(), recorder.clone()).unwrap();
        Self { store, recorder, clock }
    }

    /// Follows these shards, and waits until they are heard.
    pub(crate) async fn watch(&self, shards: impl IntoIterator<Item = usize>) {
        watch(&self.store, shards).await;
    }

    pub(crate) fn lost(&self) -> Vec<(usize, Loss)> {
        self.recorder.lost.lock().unwrap().clone()
    }

    pub(crate) async fn say(&self, side: &Side, said: Utterance) -> Result<Outcome, StoreError> {
        self.input(side, Input::Say(said)).await
    }

    pub(crate) async fn input(&self, side: &Side, input: Input) -> Result<Outcome, StoreError> {
        update(&self.store, side, &input, self.clock.now()).await
    }

    /// Says it until it is taken.
    pub(crate) async fn insist(&self, side: &Side, said: Utterance) -> Outcome {
        within(15, async || self.say(side, said.clone()).await.ok()).await
    }
}

pub(crate) async fn watch(store: &Redis, shards: impl IntoIterator<Item = usize>) {
    let shards: Vec<usize> = shards.into_iter().collect();
    shards.iter().for_each(|&shard| store.follow(shard));
    let heard = tokio::time::timeout(Duration::from_secs(15), store.heard(shards)).await;
    heard.expect("they are not heard");
}

pub(crate) async fn update<S: Store>(
    store: &S,
    side: &Side,
    input: &Input,
    now: Time,
) -> Result<Outcome, StoreError> {
    let policy = Policy::default();
    store.update(side, now, |state| transition(state, input, now, &policy)).await
}

/// Asks again and again until there is an answer.
pub(crate) async fn within<T>(seconds: u64, mut asked: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = asked().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(seconds), asking).await.expect("it does not come")
}

pub(crate) fn side(user: &str) -> Side {
    Side { conversation: Conversation::new("acme", "rcs", "bot", User::new(user)), role: Role::Agent }
}

pub(crate) fn composing(ttl_ms: u64) -> Utterance {
    say(Signal::Composing { ttl: Duration::from_millis(ttl_ms) })
}

pub(crate) fn sent() -> Utterance {
    say(Signal::Sent)
}

fn say(signal: Signal) -> Utterance {
    Utterance {
        participant: None,
        name: None,
        signal,
        source: Source::OneShot,
        origin: "test".into(),
        marks: Marks::default(),
    }
}
