//! Servers of a test's own, on loopback, keeping nothing. They end with it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::Notify;
use typingd_redis::Servers;

pub(crate) struct Server {
    program: PathBuf,
    port: u16,
    arguments: Vec<String>,
    child: Child,
    folder: PathBuf,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn launch(program: &Path, port: u16, arguments: &[String], folder: &Path) -> Child {
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--dir", folder.to_str().unwrap()])
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("./test installs what is needed; Debian has redis-server in the package of that name")
}

impl Server {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_program("redis-server".into(), arguments).await
    }

    pub(crate) async fn start_valkey() -> Self {
        let program = std::env::var_os("TYPINGD_VALKEY_SERVER");
        let program =
            program.expect("set TYPINGD_VALKEY_SERVER to a valkey-server, or run ./test, which does");
        Self::start_program(program.into(), &[]).await
    }

    async fn start_program(program: PathBuf, arguments: &[&str]) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("typingd-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let child = launch(&program, port, &arguments, &folder);
        let server = Self { program, port, arguments, child, folder };
        server.is_up().await;
        server
    }

    async fn is_up(&self) {
        for _ in 0..1_000 {
            match self.try_ask(&["PING"]).await {
                Err(error) if error.code() != Some("NOAUTH") => {}
                _ => return,
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not start");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn servers(&self) -> Servers {
        Servers::Single(self.url())
    }

    /// Kills it; what it had is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, empty.
    pub(crate) async fn restart(&mut self) {
        self.child = launch(&self.program, self.port, &self.arguments, &self.folder);
        self.is_up().await;
    }

    pub(crate) fn stop(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    pub(crate) fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    async fn try_ask(&self, words: &[&str]) -> redis::RedisResult<Value> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await
    }

    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        redis::from_redis_value(self.try_ask(words).await.unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Three servers in charge of a third of the slots each, and one that follows the first.
pub(crate) struct Cluster {
    pub(crate) masters: Vec<Server>,
    pub(crate) replica: Server,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let mut all = Vec::new();
        for _ in 0..4 {
            let bus = free_port().to_string();
            let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            let arguments = [&arguments[..], &["--cluster-node-timeout", "1000"]].concat();
            all.push((Server::start(&arguments).await, bus));
        }
        for (number, (server, _)) in all.iter().take(3).enumerate() {
            let (first, last) = (number * 16_384 / 3, (number + 1) * 16_384 / 3 - 1);
            let range = [first.to_string(), last.to_string()];
            let _: () = server.ask(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]).await;
            let _: () = server.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]).await;
        }
        for (server, bus) in &all[1..] {
            let port = server.port.to_string();
            let _: () = all[0].0.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await;
        }
        let replica = all.pop().unwrap().0;
        let masters: Vec<Server> = all.into_iter().map(|(server, _)| server).collect();
        let cluster = Self { masters, replica };
        let first: String = cluster.masters[0].ask(&["CLUSTER", "MYID"]).await;
        while cluster.replica.try_ask(&["CLUSTER", "REPLICATE", &first]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        cluster.is_well().await;
        cluster
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Server> {
        self.masters.iter_mut().chain([&mut self.replica])
    }

    pub(crate) async fn is_well(&self) {
        for server in self.masters.iter().chain([&self.replica]) {
            loop {
                let info: String = server.ask(&["CLUSTER", "INFO"]).await;
                let nodes: String = server.ask(&["CLUSTER", "NODES"]).await;
                let is_followed =
                    nodes.lines().any(|line| line.contains("slave") && line.contains(" connected"));
                if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:4") && is_followed
                {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while !self.replica.ask::<String>(&["INFO", "replication"]).await.contains("master_link_status:up") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn servers(&self) -> Servers {
        Servers::Cluster(self.masters.iter().map(Server::url).collect())
    }
}

/// Passes on what is said to a server, until it falls silent: then whoever is connected hears nothing any more, and is not
/// told. Whoever comes later does not notice.
pub(crate) struct Passage {
    port: u16,
    silence: Arc<Notify>,
}

impl Passage {
    pub(crate) async fn to(server: &Server) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, to) = (listener.local_addr().unwrap().port(), server.port);
        let silence = Arc::new(Notify::new());
        let silenced = silence.clone();
        tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                let silenced = silenced.clone();
                tokio::spawn(async move {
                    let mut there = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut here, &mut there) => {}
                        () = silenced.notified() => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, silence }
    }

    pub(crate) fn fall_silent(&self) {
        self.silence.notify_waiters();
    }

    pub(crate) fn servers(&self) -> Servers {
        Servers::Single(format!("redis://127.0.0.1:{}/", self.port))
    }
}
