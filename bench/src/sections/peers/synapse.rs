//! Matrix Synapse: `PUT …/typing/…`, seen by a `sync` that waits.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::peer::{Measured, Peer, Size, Task, since};
use crate::http::{self, Connection, histogram};
use crate::relay::Passed;
use crate::server::{self, Server};
use crate::wire;

/// All that a client of this kind wants to see.
const FILTER: &str = r#"{"presence":{"not_types":["*"]},"account_data":{"not_types":["*"]},"room":{"timeline":{"not_types":["*"]},"state":{"not_types":["*"]},"account_data":{"not_types":["*"]},"ephemeral":{"types":["m.typing"]}}}"#;

/// What Synapse says of a room in which one types, and in which none does.
const SEEN: [&str; 2] = [r#""user_ids":["@"#, r#""user_ids":[]"#];

pub(super) struct Synapse {
    server: Server,
    pairs: Vec<Pair>,
}

/// Two users who share a room.
#[derive(Clone)]
struct Pair {
    /// To say that one types, and that it does not.
    signals: [Vec<u8>; 2],
    /// What `sync` is asked with, before and after where it goes on.
    sync: [String; 2],
    /// Where `sync` goes on.
    since: String,
}

impl Synapse {
    pub(super) fn start(pairs: usize) -> Result<Self> {
        let address = server::free_address()?;
        let directory = fs::canonicalize(server::directory()?)?;
        let (python, directory) = (directory.join("synapse/bin/python"), directory.join("synapse-data"));
        // Users and rooms of another run are in the way.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("homeserver.yaml"), configuration(address.port()))?;
        fs::write(directory.join("log.yaml"), "version: 1\nroot: { level: ERROR }\n")?;
        let homeserver = |more: &str| {
            let mut command = Command::new(&python);
            command.args(["-m", "synapse.app.homeserver", "--config-path", "homeserver.yaml"]);
            command.args((!more.is_empty()).then_some(more)).current_dir(&directory);
            command
        };
        let keys =
            homeserver("--generate-keys").output().context("Synapse is missing: bench/run installs it")?;
        anyhow::ensure!(keys.status.success(), "{}", String::from_utf8_lossy(&keys.stderr));
        let server = Server::start("synapse", &mut homeserver(""), address)?;
        let pairs = http::run(async move {
            let mut all = Vec::new();
            for at in 0..pairs {
                all.push(Pair::new(address, at).await.with_context(|| format!("pair {at}"))?);
            }
            Ok(all)
        })?;
        Ok(Self { server, pairs })
    }

    /// Has some of the pairs say their signals, each with one on its way; where nothing is seen, answers are counted.
    fn turn(
        &mut self,
        who: std::ops::Range<usize>,
        signals: &'static [usize],
        is_seen: bool,
        until: Until,
    ) -> Result<Passed> {
        let address = self.server.address;
        let pairs = self.pairs[who.clone()].to_vec();
        let (passed, sinces) = http::run(async move {
            let began = Instant::now();
            let mut workers = JoinSet::new();
            for (at, pair) in pairs.into_iter().enumerate() {
                let connections = (Connection::open(address).await?, Connection::open(address).await?);
                workers.spawn_local(async move {
                    anyhow::Ok((at, pair.run(connections, signals, is_seen, until).await?))
                });
            }
            let (mut latency, mut sinces) = (histogram(), vec![String::new(); workers.len()]);
            while let Some(done) = workers.join_next().await {
                let (at, (of_one, since)) = done??;
                latency.add(of_one)?;
                sinces[at] = since;
            }
            Ok((Passed { signals: latency.len(), wall: began.elapsed(), latency }, sinces))
        })?;
        for (pair, since) in self.pairs[who].iter_mut().zip(sinces) {
            pair.since = since;
        }
        Ok(passed)
    }
}

#[derive(Clone, Copy)]
enum Until {
    /// So many signals of each pair.
    Each(u64),
    /// Whatever is begun by then.
    Time(Instant),
}

impl Peer for Synapse {
    fn name(&self) -> &'static str {
        "Synapse"
    }

    fn measure(&mut self, task: Task, size: Size) -> Result<Option<Measured>> {
        const EDGES: &[usize] = &[0, 1];
        let all = 0..self.pairs.len();
        let (signals, is_seen) = match task {
            Task::Relay { window: 1 } | Task::Alone => (EDGES, true),
            Task::Repeats { window: 1 } => (&EDGES[..1], false),
            _ => return Ok(None),
        };
        let before = self.server.cpu();
        if task == Task::Alone {
            let passed = self.turn(0..1, EDGES, true, Until::Each((size.alone / 10).next_multiple_of(2)))?;
            return Ok(Some(Measured::new(&passed, self.server.cpu() - before)));
        }
        if !is_seen {
            self.turn(all.clone(), signals, true, Until::Each(1))?;
        }
        let before = self.server.cpu();
        // It takes that long until it does something often enough to be measured.
        let passed =
            self.turn(all.clone(), signals, is_seen, Until::Time(Instant::now() + 2 * size.lasts))?;
        let took = self.server.cpu() - before;
        if !is_seen {
            self.turn(all, &EDGES[1..], true, Until::Each(1))?;
        }
        Ok(Some(Measured::new(&passed, took)))
    }
}

impl Pair {
    async fn new(address: SocketAddr, at: usize) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        let (says, sees) = (format!("says{at}"), format!("sees{at}"));
        let (token, watcher) =
            (register(&mut connection, &says).await?, register(&mut connection, &sees).await?);
        let mut ask = async |method: &str, path: &str, token: &str, body: &str| {
            let request = wire::request(method, &format!("/_matrix/client/v3/{path}"), &bearer(token), body);
            let answer = connection.get(&request).await?;
            anyhow::Ok(String::from_utf8_lossy(answer).into_owned())
        };
        let room = ask("POST", "createRoom", &token, r#"{"preset":"public_chat"}"#).await?;
        let room = wire::between(&room, "\"room_id\":\"", "\"")?;
        ask("POST", &format!("join/{room}"), &watcher, "{}").await?;
        let filter = ask("POST", &format!("user/@{sees}:localhost/filter"), &watcher, FILTER).await?;
        let filter = wire::between(&filter, "\"filter_id\":\"", "\"")?;
        let typing = format!("/_matrix/client/v3/rooms/{room}/typing/@{says}:localhost");
        let say = |body| wire::request("PUT", &typing, &bearer(&token), body);
        let path = format!("GET /_matrix/client/v3/sync?filter={filter}&set_presence=offline&timeout=");
        let rest = format!(" HTTP/1.1\r\nHost: bench\r\n{}\r\n", bearer(&watcher));
        let first = format!("{path}0{rest}");
        let first = connection.get(first.as_bytes()).await?;
        let since = wire::between(std::str::from_utf8(first)?, "\"next_batch\":\"", "\"")?.to_owned();
        Ok(Self {
            signals: [say(r#"{"typing":true,"timeout":30000}"#), say(r#"{"typing":false}"#)],
            sync: [format!("{path}30000&since="), rest],
            since,
        })
    }

    /// Says signals in turn. Gives how long each took, and where `sync` goes on.
    async fn run(
        mut self,
        (mut says, mut sees): (Connection, Connection),
        signals: &[usize],
        is_seen: bool,
        until: Until,
    ) -> Result<(hdrhistogram::Histogram<u64>, String)> {
        let mut latency = histogram();
        loop {
            let is_over = match until {
                Until::Each(count) => latency.len() >= count,
                Until::Time(time) => Instant::now() >= time,
            };
            if is_over {
                return Ok((latency, self.since));
            }
            for &signal in signals {
                let began = Instant::now();
                if is_seen {
                    let see = async {
                        let goes_on = see(&self.sync, &mut sees, &self.since, SEEN[signal]).await;
                        anyhow::Ok((goes_on?, since(began)))
                    };
                    let (said, seen) = tokio::join!(says.ask(&self.signals[signal]), see);
                    said?;
                    let (goes_on, took) = seen?;
                    self.since = goes_on;
                    latency.record(took)?;
                } else {
                    says.ask(&self.signals[signal]).await?;
                    latency.record(since(began))?;
                }
            }
        }
    }
}

/// Asks until something is seen. Gives where to go on.
async fn see(sync: &[String; 2], sees: &mut Connection, since: &str, what: &str) -> Result<String> {
    let mut since = since.to_owned();
    let began = Instant::now();
    loop {
        let answer = sees.get(format!("{}{since}{}", sync[0], sync[1]).as_bytes()).await?;
        let answer = std::str::from_utf8(answer)?;
        since = wire::between(answer, "\"next_batch\":\"", "\"")?.to_owned();
        if answer.contains(what) {
            return Ok(since);
        }
        anyhow::ensure!(began.elapsed() < Duration::from_secs(20), "{what} is not seen: {answer}");
    }
}

/// A user of this name, and the token to come in with.
async fn register(connection: &mut Connection, name: &str) -> Result<String> {
    let body =
        format!(r#"{{"username":"{name}","password":"bench-{name}","auth":{{"type":"m.login.dummy"}}}}"#);
    let answer = connection.get(&wire::request("POST", "/_matrix/client/v3/register", "", &body)).await?;
    Ok(wire::between(std::str::from_utf8(answer)?, "\"access_token\":\"", "\"")?.to_owned())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Neither presence, nor federation, nor limits, and nothing logged but errors.
fn configuration(port: u16) -> String {
    let many = "{ per_second: 1000000, burst_count: 1000000 }";
    format!(
        "server_name: localhost
listeners:
  - port: {port}
    bind_addresses: [127.0.0.1]
    type: http
    resources: [{{ names: [client], compress: false }}]
database: {{ name: sqlite3, args: {{ database: homeserver.db }} }}
log_config: log.yaml
media_store_path: media
signing_key_path: signing.key
pid_file: homeserver.pid
macaroon_secret_key: bench
form_secret: bench
report_stats: false
trusted_key_servers: []
presence: {{ enabled: false }}
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
rc_registration: {many}
rc_message: {many}
rc_login: {{ address: {many}, account: {many} }}
rc_joins: {{ local: {many}, remote: {many} }}
rc_joins_per_room: {many}
rc_room_creation: {many}
"
    )
}
