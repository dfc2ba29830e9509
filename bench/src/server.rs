//! Programs that are measured: started on their own core, watched, and ended.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cpu;

/// How long a program may take until it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has a program end with whoever started it, however that one ends.
const MORTAL: &str = "setpriv";

/// A program under measurement. It ends when this is dropped, or when the measuring is killed.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its first instruction to its first open port.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts a program on the servers' core and waits until it listens at `address`. What it prints is in
    /// `target/bench/NAME.log`.
    pub(crate) fn start(name: &str, command: &mut Command, address: SocketAddr) -> Result<Self> {
        let log = directory()?.join(format!("{name}.log"));
        let log = File::create(&log).with_context(|| format!("{} cannot be made", log.display()))?;
        let mut command = mortal(command);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        cpu::pin(cpu::SERVER)?;
        let child = command.spawn().with_context(|| format!("{name} cannot be started"));
        cpu::pin(cpu::LOAD)?;
        let mut server = Self { child: child?, address, ready_after: Duration::ZERO };
        while server.is_named(MORTAL) {}
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{name} ended at its start, {status}: see target/bench/{name}.log");
            }
            if started.elapsed() > PATIENCE {
                bail!("{name} does not listen at {address}: see target/bench/{name}.log");
            }
            sleep(Duration::from_micros(200));
        }
        server.ready_after = started.elapsed();
        Ok(server)
    }

    /// Whether it is a program of this name.
    fn is_named(&self, name: &str) -> bool {
        fs::read_link(format!("/proc/{}/exe", self.id())).is_ok_and(|program| program.ends_with(name))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time it took up to now.
    pub(crate) fn cpu(&self) -> Duration {
        cpu::of(self.id())
    }

    /// Its memory in RAM, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        cpu::resident(self.id())
    }
}

impl Server {
    /// Ends it, and waits until it has left behind all that it leaves.
    pub(crate) fn stop(mut self) -> Result<()> {
        if self.ends_within(PATIENCE) { Ok(()) } else { bail!("a server does not end") }
    }

    fn ends_within(&mut self, patience: Duration) -> bool {
        if let Some(id) = i32::try_from(self.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::TERM);
        }
        let asked = Instant::now();
        while asked.elapsed() < patience {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) || self.ends_within(Duration::from_secs(5)) {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that does the same, and is asked to end when the thread that starts it has.
fn mortal(command: &Command) -> Command {
    let mut mortal = Command::new(MORTAL);
    mortal.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
    mortal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = command.get_current_dir() {
        mortal.current_dir(directory);
    }
    mortal
}

/// A port of this machine that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").context("no port is free")?.local_addr()?)
}

/// Where what is measured is: the programs that `bench/run` has built.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name(name);
    if !beside.exists() {
        bail!("{} is missing: bench/run builds it", beside.display());
    }
    Ok(beside)
}

/// One of the programs that `bench/run` has built, to be started: plainly, or with its instructions counted into a file.
pub(crate) fn command(name: &str, counts: Option<&Path>) -> Result<Command> {
    let program = program(name)?;
    let Some(counts) = counts else { return Ok(Command::new(program)) };
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", counts.display())).arg(program);
    Ok(command)
}

/// Where files of a run are put.
pub(crate) fn directory() -> Result<PathBuf> {
    let directory = PathBuf::from("target/bench");
    fs::create_dir_all(&directory).context("target/bench cannot be made")?;
    Ok(directory)
}
