//! The command line.

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
}

#[derive(Subcommand)]
enum Command {
    /// Serve on this machine only, in memory, with known credentials (the default)
    Dev(dev::Settings),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("TYPINGD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let cli = Cli::parse();
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
