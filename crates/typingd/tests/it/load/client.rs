//! Those who load it: busy posters, and people who watch.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Events, Wire, signal};

pub const KEY: &str = "acme-key";

/// What posters have seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// How many answers of which status.
    pub statuses: BTreeMap<u16, usize>,
    /// The users for whom a start was answered 200.
    pub started: BTreeSet<String>,
    /// The users for whom a start was answered, whatever was said.
    pub answered: BTreeSet<String>,
    /// Requests whose connection ended before the first byte of an answer.
    pub unanswered: usize,
    /// Requests without a whole answer on a connection that had brought one before.
    pub forsaken: usize,
    /// Requests whose connection ended within an answer.
    pub halved: usize,
    /// Connections that were made.
    pub connections: usize,
}

impl Seen {
    pub fn count(&self) -> usize {
        self.statuses.values().sum()
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.started.extend(other.started);
        self.answered.extend(other.answered);
        self.unanswered += other.unanswered;
        self.forsaken += other.forsaken;
        self.halved += other.halved;
        self.connections += other.connections;
    }
}

/// Posters that start and end one indicator after another, each for a user of its own, on a connection that they keep.
pub struct Posters {
    posters: JoinSet<Seen>,
    have_enough: Arc<AtomicBool>,
}

impl Posters {
    /// So many of them, each as the `agent`, with a rest between two requests.
    pub fn start(address: SocketAddr, count: usize, agent: &'static str, rest: Duration) -> Self {
        let have_enough = Arc::new(AtomicBool::new(false));
        let mut posters = JoinSet::new();
        for poster in 0..count {
            posters.spawn(post(address, agent, poster, rest, have_enough.clone()));
        }
        Self { posters, have_enough }
    }

    /// Lets them finish what they began, and says what they have seen. Each gives up by itself when it gets no answer.
    pub async fn stop(mut self) -> Seen {
        self.have_enough.store(true, Ordering::Relaxed);
        let mut seen = Seen::default();
        while let Some(one) = self.posters.join_next().await {
            seen.add(one.unwrap());
        }
        seen
    }
}

/// A native signal about somebody at the Pinnacle channel.
pub fn state(agent: &str, user: &str, state: &str) -> Vec<u8> {
    signal(&format!(
        r#"{{"channel":"pinnacle","agent":"{agent}","user":"{user}","composer":"agent","state":"{state}"}}"#
    ))
}

async fn post(
    address: SocketAddr,
    agent: &'static str,
    poster: usize,
    rest: Duration,
    has_enough: Arc<AtomicBool>,
) -> Seen {
    let mut seen = Seen::default();
    let mut begun = None;
    let mut users = (0..).map(|number| format!("+1415{poster:03}{number:06}"));
    while !has_enough.load(Ordering::Relaxed) {
        let Ok(mut socket) = TcpStream::connect(address).await else { break };
        seen.connections += 1;
        let before = seen.count();
        let mut is_open = true;
        while is_open && !has_enough.load(Ordering::Relaxed) {
            // Both of a user's requests come, be it on two connections.
            let (user, said) = match begun.take() {
                Some(user) => (user, "sent"),
                None => (users.next().unwrap(), "composing"),
            };
            let reply = exchange(&mut socket, &state(agent, &user, said), &mut seen).await;
            let Some(reply) = reply else {
                seen.forsaken += usize::from(seen.count() > before);
                return seen;
            };
            is_open = !reply.is_last;
            if said == "composing" {
                seen.answered.insert(user.clone());
                if reply.status == 200 {
                    seen.started.insert(user.clone());
                    begun = Some(user);
                }
            }
            tokio::time::sleep(rest).await;
        }
    }
    seen
}

#[derive(Clone, Copy)]
struct Reply {
    status: u16,
    /// Whether the connection ends with it.
    is_last: bool,
}

/// Sends a request and notes what comes of it; `None` where that is no whole answer.
async fn exchange(socket: &mut TcpStream, request: &[u8], seen: &mut Seen) -> Option<Reply> {
    let mut bytes = Vec::new();
    // Whether it could be sent shows in what comes back.
    let _ = socket.write_all(request).await;
    loop {
        if let Some(reply) = whole(&bytes) {
            *seen.statuses.entry(reply.status).or_default() += 1;
            return Some(reply);
        }
        match socket.read_buf(&mut bytes).await {
            Ok(1..) => {}
            _ if bytes.is_empty() => {
                seen.unanswered += 1;
                return None;
            }
            _ => {
                seen.halved += 1;
                return None;
            }
        }
    }
}

/// The response that these bytes are, if they are all of it.
fn whole(bytes: &[u8]) -> Option<Reply> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: usize = field("content-length:").unwrap().parse().unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (body.len() == length).then_some(Reply { status, is_last: field("connection:") == Some("close") })
}

/// A stream of what happens in a scope.
pub async fn watch(address: SocketAddr, query: &str) -> Events<TcpStream> {
    Wire::new(TcpStream::connect(address).await.unwrap()).stream(query, KEY).await
}

/// So many streams, at once, each of which has its snapshot.
pub async fn watch_all(address: SocketAddr, count: usize, query: &'static str) -> Vec<Events<TcpStream>> {
    let mut watching = JoinSet::new();
    for _ in 0..count {
        watching.spawn(async move {
            let mut events = watch(address, query).await;
            assert_eq!(events.whats(1).await, ["snapshot"]);
            events
        });
    }
    watching.join_all().await
}

/// The value below which `percent` of the values lie.
pub fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    values[(values.len() - 1) * percent / 100]
}
