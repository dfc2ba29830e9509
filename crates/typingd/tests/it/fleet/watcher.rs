//! Somebody who watches, remembers all that they are told and when, and comes back where they lose a node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use typingd::clock::Clock;

use crate::load::client::KEY;
use crate::support::{Event, Wire};

/// Something that was told.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Duration,
    pub event: Event,
}

impl Seen {
    /// Whom it is about, where it is a change.
    pub fn user(&self) -> Option<&str> {
        self.event.data["user"].as_str()
    }

    /// When it was said to end.
    pub fn ends_at(&self) -> Duration {
        self.at + Duration::from_millis(self.event.remaining_ms())
    }
}

#[derive(Default)]
struct Known {
    seen: Vec<Seen>,
    view: BTreeSet<String>,
    /// After how long to come back, as told by each stream.
    hints: Vec<u64>,
}

pub struct Watcher {
    known: Arc<Mutex<Known>>,
    changes: Arc<Notify>,
    clock: Clock,
    _reading: JoinSet<()>,
}

impl Watcher {
    /// Watches at the first of these nodes and, when that stream ends, at the next one.
    pub async fn start(clock: Clock, nodes: Vec<SocketAddr>, query: &str) -> Self {
        let (known, changes) = (Arc::<Mutex<Known>>::default(), Arc::<Notify>::default());
        let mut reading = JoinSet::new();
        reading.spawn(read(clock, nodes, query.to_owned(), known.clone(), changes.clone()));
        let watcher = Self { known, changes, clock, _reading: reading };
        watcher.until(Duration::from_secs(10), "a snapshot", |seen| !seen.is_empty()).await;
        watcher
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.known.lock().unwrap().seen.clone()
    }

    /// Who types, as far as was told.
    pub fn view(&self) -> BTreeSet<String> {
        self.known.lock().unwrap().view.clone()
    }

    pub fn hints(&self) -> Vec<u64> {
        self.known.lock().unwrap().hints.clone()
    }

    /// Waits until what was told is such, and says how long that took.
    pub async fn until(&self, within: Duration, what: &str, is_such: impl Fn(&[Seen]) -> bool) -> Duration {
        self.wait(within, what, |known| is_such(&known.seen)).await
    }

    /// Waits until these are seen to type and nobody else, and says how long that took.
    pub async fn until_view(&self, within: Duration, users: &BTreeSet<String>) -> Duration {
        self.wait(within, "the view", |known| known.view == *users).await
    }

    async fn wait(&self, within: Duration, what: &str, is_such: impl Fn(&Known) -> bool) -> Duration {
        let begun = self.clock.elapsed();
        let waiting = async {
            loop {
                let changed = self.changes.notified();
                if is_such(&self.known.lock().unwrap()) {
                    return;
                }
                changed.await;
            }
        };
        if timeout(within, waiting).await.is_err() {
            panic!("{what}: not within {within:?}; the view is {:?}", self.view());
        }
        self.clock.elapsed() - begun
    }
}

async fn read(
    clock: Clock,
    nodes: Vec<SocketAddr>,
    query: String,
    known: Arc<Mutex<Known>>,
    changes: Arc<Notify>,
) {
    for node in nodes.iter().cycle() {
        let Ok(socket) = TcpStream::connect(node).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut events = Wire::new(socket).stream(&query, KEY).await;
        while let Some(event) = events.next().await {
            let mut known = known.lock().unwrap();
            known.apply(&event);
            known.seen.push(Seen { at: clock.elapsed(), event });
            drop(known);
            changes.notify_waiters();
        }
        let hint = events.retry_ms.unwrap_or_default();
        known.lock().unwrap().hints.push(hint);
        sleep(Duration::from_millis(hint)).await;
    }
}

impl Known {
    fn apply(&mut self, event: &Event) {
        let user = |of: &serde_json::Value| of["user"].as_str().unwrap_or_default().to_owned();
        match event.name.as_str() {
            "snapshot" => self.view = event.data["leases"].as_array().unwrap().iter().map(user).collect(),
            "started" => _ = self.view.insert(user(&event.data)),
            "stopped" => _ = self.view.remove(&user(&event.data)),
            _ => {}
        }
    }
}

/// What of each user was told, in its order, with the reasons.
pub fn histories(seen: &[Seen]) -> BTreeMap<String, Vec<String>> {
    let mut histories = BTreeMap::<String, Vec<String>>::new();
    for one in seen {
        if let Some(user) = one.user() {
            histories.entry(user.to_owned()).or_default().push(one.event.what());
        }
    }
    histories
}

/// What does not follow from what was told before: a start of who is there, and a refresh or a stop of who is not. Where
/// the store was away, that does no harm.
pub fn disorder(seen: &[Seen]) -> Vec<String> {
    let mut known = Known::default();
    let mut wrong = Vec::new();
    for one in seen {
        let is_there = one.user().is_some_and(|user| known.view.contains(user));
        let is_wrong = match one.event.name.as_str() {
            "started" => is_there,
            "refreshed" | "stopped" => !is_there,
            _ => false,
        };
        if is_wrong {
            wrong.push(format!("{} of {}", one.event.what(), one.user().unwrap_or_default()));
        }
        known.apply(&one.event);
    }
    wrong
}
