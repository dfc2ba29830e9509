//! A node without its doors: the engine over a shared store, in this process.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::{JoinSet, yield_now};
use typingd_core::store::near::{NearStore, NodeMemory, WhenAway};
use typingd_core::store::remote::{Audience, Loss, Unreadable};
use typingd_core::store::{Commit, Feed};
use typingd_core::{
    Conversation, Engine, Marks, Outcome, Policy, Role, Side, Signal, Source, Time, User, Utterance, Verdict,
};
use typingd_redis::{Config, RedisStore, Servers};

/// How long a repeat lasts. A later end is told after three quarters of that: far more often than with the default of 20 s.
const TTL: Duration = Duration::from_secs(2);

/// How long lasts what is beside.
const LIVES: Duration = Duration::from_secs(3_600);

/// The first of the users with whom something starts and stops, is repeated, or just goes on.
const EDGES: u64 = 14_155_560_000;
const STORM: u64 = 14_155_570_000;
const LIVING: u64 = 14_155_580_000;

/// How often sides are looked for whose time has come.
const SWEEP: Duration = Duration::from_millis(25);

/// Counts what it is told.
#[derive(Default)]
pub(super) struct Listener {
    changes: AtomicU64,
    losses: AtomicU64,
}

impl Feed for Listener {
    fn publish(&self, commit: Commit) {
        self.changes.fetch_add(commit.changes.len() as u64, Ordering::Relaxed);
    }
}

impl Audience for Listener {
    fn lost(&self, _: usize, _: Loss) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }

    fn unreadable(&self, _: usize, _: Unreadable) {
        self.losses.fetch_add(1, Ordering::Relaxed);
    }
}

type Store = NearStore<RedisStore<Arc<NodeMemory<Arc<Listener>>>>, Arc<Listener>>;

pub(super) struct Node {
    engine: Engine<Store>,
    started: Instant,
    listener: Arc<Listener>,
}

impl Node {
    /// Within a runtime, on which it does what it does beside.
    pub(super) async fn start(server: SocketAddr, shards: usize) -> Result<Rc<Self>> {
        let config = Config { shards, ..Config::new(Servers::Single(format!("redis://{server}/"))) };
        let listener = Arc::new(Listener::default());
        let memory = Arc::new(NodeMemory::new(config.shards, config.capacity, listener.clone()));
        let started = Instant::now();
        let remote = RedisStore::connect(config, move || since(started), memory.clone())?;
        let policy = Policy::default();
        let store = NearStore::new(remote, memory, policy.clone(), WhenAway::Refuse);
        let node = Rc::new(Self { engine: Engine::new(store, policy), started, listener });
        let sweeping = node.clone();
        tokio::task::spawn_local(async move {
            loop {
                let _ = sweeping.engine.sweep(sweeping.now()).await;
                tokio::time::sleep(SWEEP).await;
            }
        });
        Ok(node)
    }

    fn now(&self) -> Time {
        Time::from_millis(u64::try_from(since(self.started).as_millis()).unwrap_or(u64::MAX))
    }

    async fn say(&self, side: &Side, signal: Signal) -> Result<Outcome> {
        let utterance = Utterance {
            participant: None,
            name: None,
            signal,
            source: Source::OneShot,
            origin: "native".into(),
            marks: Marks { turn: None, payload_id: None },
        };
        Ok(self.engine.say(side, utterance, self.now()).await?)
    }

    /// Starts and stops in turn, one on its way in each of so many conversations. Gives how many there were, and in what
    /// time.
    pub(super) async fn edges(
        self: &Rc<Self>,
        conversations: usize,
        each: u64,
        lasts: Duration,
    ) -> Result<(u64, Duration)> {
        let before = self.listener.changes.load(Ordering::Relaxed);
        let began = Instant::now();
        let mut workers = JoinSet::new();
        for at in 0..conversations {
            let node = self.clone();
            workers.spawn_local(async move {
                let (side, mut said) = (side(EDGES, at), 0);
                while said < each && began.elapsed() < lasts {
                    let started = node.say(&side, Signal::Composing { ttl: TTL }).await?;
                    ensure!(started.verdict == Verdict::Started, "{:?}", started.verdict);
                    let ended = node.say(&side, Signal::Paused).await?;
                    ensure!(ended.verdict == Verdict::Ended, "{:?}", ended.verdict);
                    said += 2;
                }
                Ok(said)
            });
        }
        let mut said = 0;
        while let Some(of_one) = workers.join_next().await {
            said += of_one??;
        }
        let wall = began.elapsed();
        let told = self.listener.changes.load(Ordering::Relaxed) - before;
        ensure!(told >= said, "{told} changes were told of {said}");
        ensure!(self.listener.losses.load(Ordering::Relaxed) == 0, "something was lost");
        Ok((said, wall))
    }

    /// Starts something in so many more conversations, which goes on for as long as the node is there.
    pub(super) async fn live(&self, conversations: usize) -> Result<()> {
        for at in 0..conversations {
            let side = side(LIVING, at);
            let mut tries = 0;
            // While it begins to follow all shards, a call may come too late.
            while let Err(error) = self.say(&side, Signal::Composing { ttl: LIVES }).await {
                ensure!(tries < 100, "{error}");
                tries += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Starts something in so many conversations, to be repeated.
    pub(super) async fn storm_begins(&self, conversations: usize) -> Result<()> {
        for at in 0..conversations {
            self.say(&side(STORM, at), Signal::Composing { ttl: TTL }).await?;
        }
        Ok(())
    }

    /// Repeats it, as fast as may be. Gives how many there were, and in what time.
    pub(super) async fn storm(&self, conversations: usize, lasts: Duration) -> Result<(u64, Duration)> {
        let sides: Vec<Side> = (0..conversations).map(|at| side(STORM, at)).collect();
        let (began, mut said) = (Instant::now(), 0);
        while began.elapsed() < lasts {
            for side in &sides {
                let outcome = self.say(side, Signal::Composing { ttl: TTL }).await?;
                ensure!(outcome.verdict == Verdict::Extended, "{:?}", outcome.verdict);
                said += 1;
                if said % 64 == 0 {
                    // Whatever else there is to do has its turn, too.
                    yield_now().await;
                }
            }
        }
        Ok((said, began.elapsed()))
    }

    pub(super) async fn storm_ends(&self, conversations: usize) -> Result<()> {
        for at in 0..conversations {
            self.say(&side(STORM, at), Signal::Paused).await?;
        }
        Ok(())
    }
}

/// Time that began long ago: what is in the store may be older than the node.
fn since(started: Instant) -> Duration {
    Duration::from_secs(365 * 86_400) + started.elapsed()
}

fn side(first: u64, at: usize) -> Side {
    let user = User::new(format!("+{}", first + at as u64));
    Side { conversation: Conversation::new("bench", "pinnacle", "agent_store", user), role: Role::Agent }
}
