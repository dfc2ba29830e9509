//! Servers that the nodes keep their leases on. They keep nothing, and end with the test.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;
use typingd::clock::Clock;

use crate::load::program::{PATIENCE, free_address};

/// How long until it is asked again whether something is so.
const AGAIN: Duration = Duration::from_millis(20);

/// A server in a process of its own.
pub struct Redis {
    pub address: SocketAddr,
    arguments: Vec<String>,
    folder: PathBuf,
    child: Child,
}

impl Redis {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(arguments: &[&str]) -> Self {
        let address = free_address();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-{}", address.port()));
        // What a test left that failed is another cluster's.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let child = spawn(address, &arguments, &folder);
        let redis = Self { address, arguments, folder, child };
        redis.until("PING", |answer| answer == "PONG").await;
        redis
    }

    /// What a configuration says of it.
    pub fn section(&self) -> String {
        section(&[self], "")
    }

    /// Kills it; what it had is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again, empty.
    pub async fn start_again(&mut self) {
        self.child = spawn(self.address, &self.arguments, &self.folder);
        self.until("PING", |answer| answer == "PONG").await;
    }

    pub async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap().success());
    }

    /// What it answers; `None` where that is an error, or nothing.
    async fn ask(&self, words: &str) -> Option<String> {
        let mut io = BufReader::new(TcpStream::connect(self.address).await.ok()?);
        io.write_all(format!("{words}\r\n").as_bytes()).await.ok()?;
        let mut line = String::new();
        io.read_line(&mut line).await.ok()?;
        let line = line.trim_end();
        match line.split_at_checked(1)? {
            ("+", text) => Some(text.to_owned()),
            ("$", length) => {
                let mut text = vec![0; length.parse().ok()?];
                io.read_exact(&mut text).await.ok()?;
                String::from_utf8(text).ok()
            }
            _ => None,
        }
    }

    async fn until(&self, words: &str, is_such: impl Fn(&str) -> bool) -> String {
        let clock = Clock::start();
        loop {
            let answer = self.ask(words).await;
            if let Some(answer) = answer.filter(|answer| is_such(answer)) {
                return answer;
            }
            assert!(clock.elapsed() < PATIENCE, "{words} is not answered so");
            sleep(AGAIN).await;
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(address: SocketAddr, arguments: &[String], folder: &Path) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &address.port().to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("redis-server: install it, or run ./test, which does")
}

/// What a configuration says of such servers.
fn section(servers: &[&Redis], more: &str) -> String {
    let urls: Vec<_> = servers.iter().map(|server| format!("redis://{}", server.address)).collect();
    format!("[store]\nurls = {urls:?}\n{more}\n")
}

/// Three servers in charge of a third of the slots each, and one that follows the first.
pub struct Cluster {
    pub masters: Vec<Redis>,
    _replica: Redis,
}

impl Cluster {
    pub async fn start() -> Self {
        let mut all = Vec::new();
        for _ in 0..4 {
            let bus = free_address().port().to_string();
            let arguments = [
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-node-timeout", "1000"],
                // The slots that have a master are served all the while.
                ["--cluster-require-full-coverage", "no"],
            ];
            let arguments = arguments.concat();
            all.push((Redis::start_with(&arguments).await, bus));
        }
        for (number, (master, _)) in all.iter().take(3).enumerate() {
            let (first, last) = (number * 16_384 / 3, (number + 1) * 16_384 / 3 - 1);
            master.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await.unwrap();
            master.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)).await.unwrap();
        }
        for (server, bus) in &all[1..] {
            let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", server.address.port());
            all[0].0.ask(&meet).await.unwrap();
        }
        let mut servers: Vec<Redis> = all.into_iter().map(|(server, _)| server).collect();
        let replica = servers.pop().unwrap();
        let first = servers[0].ask("CLUSTER MYID").await.unwrap();
        replica.until(&format!("CLUSTER REPLICATE {first}"), |answer| answer == "OK").await;
        for server in servers.iter().chain([&replica]) {
            server.until("CLUSTER NODES", |nodes| nodes.contains("slave")).await;
            let is_well =
                |info: &str| info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:4");
            server.until("CLUSTER INFO", is_well).await;
        }
        replica.until("INFO replication", |info| info.contains("master_link_status:up")).await;
        Self { masters: servers, _replica: replica }
    }

    /// What a configuration says of it.
    pub fn section(&self) -> String {
        section(&self.masters.iter().collect::<Vec<_>>(), "cluster = true")
    }
}
