//! Those who type: now at this node, now at that one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use typingd::clock::Clock;

use crate::support::{Answer, Wire, post, signal};

const KEY: &str = "Authorization: Bearer acme-key\r\n";

/// What a client said, and how it was answered.
#[derive(Clone, Debug)]
pub struct Said {
    pub user: String,
    pub state: &'static str,
    pub at: Duration,
    pub took: Duration,
    pub answer: Answer,
}

impl Said {
    /// Whether the node decided alone.
    pub fn is_local(&self) -> bool {
        self.answer.header("typing-store") == Some("local")
    }
}

/// A client of several nodes, with a connection to each.
pub struct Client {
    clock: Clock,
    nodes: Vec<SocketAddr>,
    wires: Vec<Option<Wire<TcpStream>>>,
}

impl Client {
    pub fn new(clock: Clock, nodes: Vec<SocketAddr>) -> Self {
        let wires = nodes.iter().map(|_| None).collect();
        Self { clock, nodes, wires }
    }

    /// Asks this node or, where it does not answer, the next one that does. Says which it was.
    pub async fn ask(&mut self, first: usize, request: &[u8]) -> (usize, Answer) {
        for node in (0..self.nodes.len()).cycle().skip(first % self.nodes.len()).take(1_000) {
            if self.wires[node].is_none() {
                let socket = TcpStream::connect(self.nodes[node]).await;
                let Ok(socket) = socket else {
                    sleep(Duration::from_millis(5)).await;
                    continue;
                };
                socket.set_nodelay(true).unwrap();
                self.wires[node] = Some(Wire::new(socket));
            }
            let wire = self.wires[node].as_mut().unwrap();
            wire.send(request).await;
            let Some(answer) = wire.answer().await else {
                self.wires[node] = None;
                continue;
            };
            if answer.header("connection") == Some("close") {
                self.wires[node] = None;
            }
            return (node, answer);
        }
        panic!("no node answers");
    }

    /// Says something natively about somebody whom the agent writes to.
    pub async fn say(&mut self, node: usize, user: &str, state: &'static str, ttl_ms: u64) -> Said {
        let request = native("pinnacle", "agent_pinnacle", user, "agent", state, ttl_ms);
        self.say_so(node, user, state, &request).await
    }

    pub async fn say_so(&mut self, node: usize, user: &str, state: &'static str, request: &[u8]) -> Said {
        let at = self.clock.elapsed();
        let (_, answer) = self.ask(node, request).await;
        Said { user: user.to_owned(), state, at, took: self.clock.elapsed() - at, answer }
    }
}

/// A native signal.
pub fn native(channel: &str, agent: &str, user: &str, composer: &str, state: &str, ttl_ms: u64) -> Vec<u8> {
    let ttl = if state == "composing" { format!(r#","ttl_ms":{ttl_ms}"#) } else { String::new() };
    let body = format!(
        r#"{{"channel":"{channel}","agent":"{agent}","user":"{user}","composer":"{composer}","state":"{state}"{ttl}}}"#
    );
    signal(&body)
}

/// Somebody whom the agent writes to.
pub fn user(group: usize, number: usize) -> String {
    format!("+1415{group:03}{number:05}")
}

/// Begins a hold at a node, and gives its id.
pub async fn hold(client: &mut Client, node: usize, user: &str, idle_ms: u64) -> String {
    let body = format!(
        r#"{{"channel":"pinnacle","agent":"agent_pinnacle","user":"{user}","composer":"agent","idle_ms":{idle_ms}}}"#
    );
    let (_, answer) = client.ask(node, &post("/typing/v1/holds", KEY, &body)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Ends one.
pub async fn end_hold(client: &mut Client, node: usize, id: &str) {
    let path = format!("/typing/v1/holds/{id}/end");
    let (_, answer) = client.ask(node, &post(&path, KEY, r#"{"reason":"paused"}"#)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Many clients at work.
pub struct Clients {
    tasks: JoinSet<Vec<Said>>,
    have_enough: Arc<AtomicBool>,
}

/// The time between two signals about a conversation.
const REST: Duration = Duration::from_millis(300);

impl Clients {
    fn none() -> Self {
        Self { tasks: JoinSet::new(), have_enough: Arc::default() }
    }

    /// So many that begin one conversation after another, up to `most` each, which are 100 at most: a start, some repeats, and a pause, a
    /// message or nothing at all, each said to another node than the one before.
    pub fn spray(clock: Clock, nodes: &[SocketAddr], group: usize, count: usize, most: usize) -> Self {
        let mut clients = Self::none();
        for number in 0..count {
            let (mut client, enough) = (Client::new(clock, nodes.to_vec()), clients.have_enough.clone());
            clients.tasks.spawn(async move {
                let mut said = Vec::new();
                for talk in 0..most {
                    let user = user(group, number * 100 + talk);
                    let end = [Some("paused"), Some("sent"), None][(number + talk) % 3];
                    let starts = (number * 3 + talk) % 7;
                    let says = [&["composing"].repeat(starts + 1)[..], end.as_slice()].concat();
                    for (node, state) in (number + talk..).zip(says) {
                        if enough.load(Ordering::Relaxed) {
                            return said;
                        }
                        said.push(client.say(node, &user, state, 1_000).await);
                        sleep(REST).await;
                    }
                }
                said
            });
        }
        clients
    }

    /// So many that type all the time, half of them always at the same node. Each says so by `request`.
    pub fn typists(
        clock: Clock,
        nodes: &[SocketAddr],
        users: impl IntoIterator<Item = String>,
        request: impl Fn(&str) -> Vec<u8>,
    ) -> Self {
        let mut clients = Self::none();
        for (number, user) in users.into_iter().enumerate() {
            let (mut client, enough) = (Client::new(clock, nodes.to_vec()), clients.have_enough.clone());
            let request = request(&user);
            clients.tasks.spawn(async move {
                let (mut said, mut node) = (Vec::new(), number / 2);
                while !enough.load(Ordering::Relaxed) {
                    said.push(client.say_so(node, &user, "composing", &request).await);
                    node += number % 2;
                    sleep(REST).await;
                }
                said
            });
        }
        clients
    }

    /// Has them stop where they are, and says what they have said.
    pub async fn stop(self) -> Vec<Said> {
        self.have_enough.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until they have nothing more to say.
    pub async fn finish(self) -> Vec<Said> {
        let mut said: Vec<Said> = self.tasks.join_all().await.into_iter().flatten().collect();
        said.sort_by_key(|said| said.at);
        said
    }
}
