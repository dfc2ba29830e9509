//! The command: its process, and the signals that are meant for it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::future::poll_fn;
use std::io;
use std::process::ExitStatus;
use std::task::Poll;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use tokio::process::{self, Command};
use tokio::signal::unix::{self, SignalKind};

/// A command that runs. It is never killed by us.
pub(super) struct Child {
    process: process::Child,
    signals: Signals,
}

impl Child {
    /// Starts it, with our standard input and output.
    ///
    /// # Errors
    /// Where there is no such program, or it cannot be run.
    pub(super) fn start(program: &OsStr, arguments: &[OsString], signals: Signals) -> io::Result<Self> {
        Ok(Self { process: Command::new(program).args(arguments).spawn()?, signals })
    }

    /// Waits for its end, and passes on the signals that come meanwhile.
    ///
    /// # Errors
    /// Where it cannot be waited for.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            tokio::select! {
                biased;
                signal = self.signals.next() => self.pass_on(signal),
                status = self.process.wait() => return status,
            }
        }
    }

    fn pass_on(&self, signal: Signal) {
        if signal == Signal::INT && is_in_foreground() {
            return;
        }
        // While it has an id it has not been waited for, so nobody else has that id.
        let id = self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = id {
            let _ = kill_process(id, signal);
        }
    }
}

/// Signals that would end us.
pub(super) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Listens for them. Those that are ignored, as under `nohup`, stay ignored, by the command too.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub(super) fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let kinds = [
            (Signal::HUP, SignalKind::hangup()),
            (Signal::INT, SignalKind::interrupt()),
            (Signal::TERM, SignalKind::terminate()),
        ];
        let heard = kinds.into_iter().filter(|(signal, _)| ignored >> (signal.as_raw() - 1) & 1 == 0);
        Ok(Self(heard.map(|(signal, kind)| Ok((signal, unix::signal(kind)?))).collect::<io::Result<_>>()?))
    }

    async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            let mut came = self.0.iter_mut().filter_map(|(signal, heard)| {
                matches!(heard.poll_recv(context), Poll::Ready(Some(()))).then_some(*signal)
            });
            came.next().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// The signals that this process ignores, a bit each.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Whether a terminal's ctrl-c reaches us, and so the command, which is of our process group.
fn is_in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp()))
}
