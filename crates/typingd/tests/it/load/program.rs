//! The program in a process of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};
use typingd::clock::Clock;

use crate::support::Wire;

/// Longer than the program takes for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the test with the most connections needs of descriptors.
const FILES: u64 = 12_000;

/// Waits until no other test of this module runs, and sees to it that there are descriptors enough.
pub async fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    // The program inherits what this process may have.
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let (soft, hard) = line["Max open files".len()..].trim().split_once(' ').unwrap();
    let hard = hard.split_whitespace().next().unwrap();
    assert!(hard.parse().is_ok_and(|hard: u64| hard >= FILES), "{FILES} open files are needed, not {hard}");
    if soft != hard {
        let own = std::process::id().to_string();
        let raised =
            Command::new("prlimit").args(["--pid", &own, &format!("--nofile={hard}:{hard}")]).status().await;
        assert!(raised.is_ok_and(|status| status.success()), "raise the limit of open files: `ulimit -n`");
    }
    turn
}

/// How to start it.
#[derive(Clone, Copy, Default)]
pub struct Setup<'a> {
    /// What its files are called.
    pub name: &'a str,
    /// What the configuration has under `[limits]`.
    pub limits: &'a str,
    /// The tenants that it has in place of `acme`.
    pub tenants: &'a str,
    /// What the shell does first.
    pub first: &'a str,
    /// Whether its log goes into a pipe, which is the test's to read, and then everything is logged.
    pub log_is_piped: bool,
}

/// The program, serving a configuration. It ends with the test.
pub struct Program {
    pub child: Child,
    pub address: SocketAddr,
    operators: SocketAddr,
    pub config: PathBuf,
    log: PathBuf,
    /// From its start until it said that it was ready.
    pub ready_after: Duration,
}

impl Program {
    /// Starts it, and waits until it is ready.
    pub async fn start(setup: Setup<'_>) -> Self {
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let (address, operators) = (free_address(), free_address());
        let config = directory.join(format!("load-{}-{}.toml", setup.name, address.port()));
        let log = config.with_extension("log");
        fs::write(&config, configuration(address, operators, &setup)).unwrap();
        let child = spawn(&setup, &config, &log);
        let mut program = Self { child, address, operators, config, log, ready_after: Duration::ZERO };
        program.wait_until_ready().await;
        program
    }

    /// Kills it and starts it again, at the same address.
    pub async fn restart(&mut self, setup: Setup<'_>) {
        self.child.kill().await.unwrap();
        self.start_again(setup).await;
    }

    /// Starts it again after its end, at the same address.
    pub async fn start_again(&mut self, setup: Setup<'_>) {
        self.child = spawn(&setup, &self.config, &self.log);
        self.wait_until_ready().await;
    }

    async fn wait_until_ready(&mut self) {
        let clock = Clock::start();
        while self.look("/readyz").await.is_none_or(|(status, _)| status != 200) {
            let is_alive = self.child.try_wait().unwrap().is_none();
            assert!(is_alive && clock.elapsed() < PATIENCE, "it is not ready: {}", self.said());
            sleep(Duration::from_millis(2)).await;
        }
        self.ready_after = clock.elapsed();
    }

    /// What operators see at a path; `None` where nobody answers.
    pub async fn look(&self, path: &str) -> Option<(u16, String)> {
        let mut wire = Wire::new(TcpStream::connect(self.operators).await.ok()?);
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).await;
        wire.answer().await.map(|answer| (answer.status, answer.body))
    }

    /// The sum of a metric's values.
    pub async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.look("/metrics").await.unwrap();
        let is_of = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
        };
        text.lines().filter(is_of).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Waits until a metric's values sum up to this, and says how long that took.
    pub async fn wait_for(&self, name: &str, value: f64) -> Duration {
        let clock = Clock::start();
        loop {
            let is = self.metric(name).await;
            if (is - value).abs() < 0.5 {
                return clock.elapsed();
            }
            assert!(clock.elapsed() < PATIENCE, "{name} is {is}, not {value}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().await.unwrap().success());
    }

    pub async fn exit(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.expect("its end, in time").unwrap()
    }

    /// What it holds of the machine's memory.
    pub fn resident_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// What it logged.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// How often it logged this.
    pub fn times_said(&self, what: &str) -> usize {
        self.said().lines().filter(|line| line.contains(what)).count()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.config);
        // What it said about a failure is of use.
        if !std::thread::panicking() {
            let _ = fs::remove_file(&self.log);
        }
    }
}

fn spawn(setup: &Setup<'_>, config: &PathBuf, log: &PathBuf) -> Child {
    let script = format!("{}\nexec \"$0\" serve --config \"$1\"", setup.first);
    let (sink, level) = if setup.log_is_piped {
        (Stdio::piped(), "trace")
    } else {
        (File::options().create(true).append(true).open(log).unwrap().into(), "warn")
    };
    Command::new("bash")
        .args(["-c", &script, env!("CARGO_BIN_EXE_typingd")])
        .arg(config)
        .env("TYPINGD_LOG", level)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(sink)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// An address that nobody listens on, below the ports that the kernel gives to those who connect: it is still free when
/// the program is started again.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 5_000).unwrap() * 2;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn configuration(address: SocketAddr, operators: SocketAddr, setup: &Setup<'_>) -> String {
    let Setup { limits, tenants, .. } = setup;
    let tenants = if tenants.is_empty() { ACME } else { tenants };
    format!(
        r#"
[listen]
address = "{address}"

[operators]
address = "{operators}"

[limits]
{limits}
{tenants}"#
    )
}

/// One tenant, `acme`, with an account at each provider and more than enough of everything.
pub const ACME: &str = r#"
[[tenants]]
name = "acme"
api_keys = ["acme-key"]
quota = { requests_per_second = 1000000, burst = 1000000, streams = 20000 }

[[tenants.kaleyra]]
sid = "XXXXX6913850XXXX"
basics = ["user:pass"]
api_keys = ["XXXXX3b8497f58a94e84b671aca43XXXX"]
agents = ["kio_rcs"]

[[tenants.pinnacle]]
api_keys = ["test_key"]
agents = ["agent_pinnacle"]

[[tenants.salesforce]]
org_id = "00Dxx0000000001"
tokens = ["00Dxx0000000001!AQEAQTESTTOKEN"]
addresses = ["b0ffeafe-*"]
contexts = { Partner1_ChannelDefinition1 = ["*"] }
"#;
