//! Programs that are measured: started on their own core, watched, and ended.

use std::fs::File;
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

/// A program under measurement. It ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start to its first open port.
    pub(crate) ready_after: Duration,
}

impl Server {
    /// Starts a program on the servers' core and waits until it listens at `address`. What it prints is in
    /// `target/bench/NAME.log`.
    pub(crate) fn start(name: &str, command: &mut Command, address: SocketAddr) -> Result<Self> {
        let log = directory()?.join(format!("{name}.log"));
        let log = File::create(&log).with_context(|| format!("{} cannot be made", log.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        cpu::pin(cpu::SERVER)?;
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("{name} cannot be started"));
        cpu::pin(cpu::LOAD)?;
        let mut server = Self { child: child?, address, ready_after: Duration::ZERO };
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
    std::fs::create_dir_all(&directory).context("target/bench cannot be made")?;
    Ok(directory)
}
