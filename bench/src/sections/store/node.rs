//! A node without its doors: the engine over a shared store, in this process.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use typingd_core::store::near::{NearStore, NodeMemory, WhenAway};
use typingd_core::store::remote::{Audience, Loss, Remote, Unreadable};
use typingd_core::store::{Commit, Feed};
use typingd_core::{
    Conversation, Engine, Marks, Policy, Role, Side, Signal, Source, Time, User, Utterance, Verdict,
};
use typingd_redis::{Config, RedisStore, Servers};

use crate::http;

/// How long a repeat lasts. A later end is told after three quarters of that: far more often than with the default of 20 s.
const TTL: Duration = Duration::from_secs(2);

/// How long lasts what is beside.
const LIVES: Duration = Duration::from_secs(3_600);

/// The first of the users with whom something starts and stops, is repeated, or just goes on.
const EDGES: u64 = 14_155_560_000;
const STORM: u64 = 14_155_570_000;
const LIVING: u64 = 14_155_580_000;

/// How long it may take until all is heard.
const HEARING: Duration = Duration::from_secs(30);

/// How often sides are looked for whose time has come.
const SWEEP: Duration = Duration::from_millis(25);

/// Counts what it is told.
#[derive(Default)]
pub(super) struct Listener {
    changes: AtomicU64,
}

impl Feed for Listener {
    fn publish(&self, commit: Commit) {
        self.changes.fetch_add(commit.changes.len() as u64, Ordering::Relaxed);
    }
}

impl Audience for Listener {
    fn lost(&self, _: usize, _: Loss) {}

    fn unreadable(&self, _: usize, _: Unreadable) {}
}

type Store = NearStore<RedisStore<Arc<NodeMemory<Arc<Listener>>>>, Arc<Listener>>;

/// What a node is to do.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// Starts and stops in turn, one on its way in each of so many conversations.
    Edges {
        conversations: usize,
        lasts: Duration,
    },
    /// Repeats in so many conversations, as fast as may be, between their starts and their stops.
    StormBegins {
        conversations: usize,
    },
    Storm {
        conversations: usize,
        lasts: Duration,
    },
    StormEnds {
        conversations: usize,
    },
}

type Done = Result<(u64, Duration)>;

/// A node on a thread of its own, where it is never kept from what it does beside.
pub(super) struct Running(mpsc::UnboundedSender<(Work, std::sync::mpsc::Sender<Done>)>);

impl Running {
    /// A node over this server, with so much that goes on beside.
    pub(super) fn start(server: SocketAddr, shards: usize, living: usize) -> Result<Self> {
        let (sender, mut work) = mpsc::unbounded_channel::<(Work, std::sync::mpsc::Sender<Done>)>();
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            http::run(async move {
                let node = Node::start(server, shards).await?;
                ready.send(node.live(living).await)?;
                while let Some((work, done)) = work.recv().await {
                    done.send(node.work(work).await)?;
                }
                Ok(())
            })
        });
        is_ready.recv()??;
        Ok(Self(sender))
    }

    /// Has it do something. Gives how many signals there were, and in what time.
    pub(super) fn work(&self, work: Work) -> Done {
        let (done, is_done) = std::sync::mpsc::channel();
        self.0.send((work, done)).context("the node has gone")?;
        is_done.recv()?
    }
}

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
        let store = NearStore::new(remote, memory, policy.clone(), WhenAway::Serve);
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

    /// Says something. Gives 1 where that came to what it should and the store had its part in it: on a machine that others
    /// use, too, it is late now and then.
    async fn say(&self, side: &Side, signal: Signal, verdict: Verdict) -> Result<u64> {
        let utterance = Utterance {
            participant: None,
            name: None,
            signal,
            source: Source::OneShot,
            origin: "native".into(),
            marks: Marks { turn: None, payload_id: None },
        };
        let outcome = self.engine.say(side, utterance, self.now()).await?;
        Ok(u64::from(outcome.verdict == verdict && !outcome.is_local))
    }

    async fn work(self: &Rc<Self>, work: Work) -> Done {
        let nothing = (0, Duration::ZERO);
        match work {
            Work::Edges { conversations, lasts } => self.edges(conversations, u64::MAX, lasts).await,
            Work::StormBegins { conversations } => self.storm_begins(conversations).await.map(|()| nothing),
            Work::Storm { conversations, lasts } => self.storm(conversations, lasts).await,
            Work::StormEnds { conversations } => self.storm_ends(conversations).await.map(|()| nothing),
        }
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
        let mut workers: JoinSet<Result<u64>> = JoinSet::new();
        for at in 0..conversations {
            let node = self.clone();
            workers.spawn_local(async move {
                let (side, mut said) = (side(EDGES, at), 0);
                while said < each && began.elapsed() < lasts {
                    said += node.say(&side, Signal::Composing { ttl: TTL }, Verdict::Started).await?;
                    said += node.say(&side, Signal::Paused, Verdict::Ended).await?;
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
        Ok((said, wall))
    }

    /// Starts something in so many more conversations, which goes on for as long as the node is there.
    pub(super) async fn live(&self, conversations: usize) -> Result<()> {
        let mut shards = BTreeSet::new();
        for at in 0..conversations {
            let side = side(LIVING, at);
            self.say(&side, Signal::Composing { ttl: LIVES }, Verdict::Started).await?;
            shards.insert(self.engine.store().shard_of(&side.conversation));
        }
        // All that is committed there is heard from here on.
        let heard = self.engine.store().remote().heard(shards);
        Ok(tokio::time::timeout(HEARING, heard).await?)
    }

    /// Starts something in so many conversations, to be repeated.
    async fn storm_begins(&self, conversations: usize) -> Result<()> {
        for at in 0..conversations {
            self.say(&side(STORM, at), Signal::Composing { ttl: TTL }, Verdict::Started).await?;
        }
        Ok(())
    }

    /// Repeats it, as fast as may be. Gives how many there were, and in what time.
    async fn storm(&self, conversations: usize, lasts: Duration) -> Result<(u64, Duration)> {
        let sides: Vec<Side> = (0..conversations).map(|at| side(STORM, at)).collect();
        let (began, mut said, mut tries) = (Instant::now(), 0, 0_u64);
        while began.elapsed() < lasts {
            for side in &sides {
                said += self.say(side, Signal::Composing { ttl: TTL }, Verdict::Extended).await?;
                tries += 1;
                if tries % 64 == 0 {
                    // Whatever else there is to do has its turn, too.
                    yield_now().await;
                }
            }
        }
        Ok((said, began.elapsed()))
    }

    async fn storm_ends(&self, conversations: usize) -> Result<()> {
        for at in 0..conversations {
            self.say(&side(STORM, at), Signal::Paused, Verdict::Ended).await?;
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
