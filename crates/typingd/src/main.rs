//! The command line.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use typingd::dev;

/// The typing-indicator gateway for business messaging
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    dev: dev::Settings,
    /// What to log to standard error: off, error, warn, info, debug or trace, for all or by module
    #[arg(long, global = true, env = "TYPINGD_LOG", default_value = "info")]
    log: EnvFilter,
}

#[derive(Subcommand)]
enum Command {
    /// Serve on this machine only, in memory, with known credentials (the default)
    Dev(dev::Settings),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "typingd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt().with_env_filter(cli.log).with_writer(io::stderr);
    log.with_ansi(io::stderr().is_terminal()).init();
    let shutdown = shutdown_on_signal()?;
    let Command::Dev(settings) = cli.command.unwrap_or(Command::Dev(cli.dev));
    dev::run(settings, shutdown).await
}

/// Cancelled by the first `SIGTERM` or ctrl-c.
fn shutdown_on_signal() -> anyhow::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let cancel = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(shutdown)
}
