//! The command line.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use mimalloc::MiMalloc;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use typingd::{dev, hold, keys, log, serve};

/// Of what a request costs, the system's takes a tenth, and this one half of that.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The typing-indicator gateway for business messaging
#[derive(Parser)]
#[command(version, after_help = "Without a command: dev, with its options.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: log::Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Serve on this machine only, in memory, with known credentials (the default)
    Dev(dev::Settings),
    /// Serve what a configuration file says
    Serve(ConfigFile),
    /// Show dots while a command runs
    Hold(hold::Settings),
    /// Look at a configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make keys
    #[command(subcommand)]
    Keys(KeysCommand),
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(long, env = "TYPINGD_CONFIG")]
    config: PathBuf,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say what is wrong with it, if anything
    Check(ConfigFile),
    /// Print all that is in force, with secrets left out
    Print(ConfigFile),
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Print a new pepper, or a new key to sign tokens with
    Secret,
    /// Print a new credential and its digest; or the digest of the credential on standard input
    New {
        /// The configuration file whose pepper to use
        #[command(flatten)]
        config: ConfigFile,
        /// Read the credential from standard input
        #[arg(long)]
        stdin: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(with_command(env::args_os()));
    let done = Runtime::new().context("cannot start").and_then(|runtime| {
        let done = runtime.block_on(act(cli));
        // A name that is still being looked up keeps nobody.
        runtime.shutdown_background();
        done
    });
    done.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "typingd: {error:#}");
        ExitCode::FAILURE
    })
}

/// The arguments, with `dev` as the command where they name none.
fn with_command(given: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = given.collect();
    let cli = Cli::command();
    let is_known = |argument: &OsString| {
        let is_command = cli.get_subcommands().any(|command| argument == command.get_name());
        is_command || ["help", "-h", "--help", "-V", "--version"].iter().any(|known| argument == known)
    };
    if !arguments.iter().skip(1).any(is_known) {
        arguments.insert(arguments.len().min(1), "dev".into());
    }
    arguments
}

async fn act(cli: Cli) -> anyhow::Result<ExitCode> {
    let _log = log::start(cli.log);
    let done = match cli.command {
        Command::Hold(settings) => return hold::run(settings).await,
        Command::Dev(settings) => run(|shutdown| dev::run(settings, shutdown)).await,
        Command::Serve(ConfigFile { config }) => run(|shutdown| serve::run(config, shutdown)).await,
        Command::Config(ConfigCommand::Check(ConfigFile { config })) => serve::check(&config),
        Command::Config(ConfigCommand::Print(ConfigFile { config })) => serve::print(&config).and_then(print),
        Command::Keys(command) => make_keys(command),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Runs a gateway until the first `SIGTERM` or ctrl-c.
async fn run<F>(gateway: impl FnOnce(CancellationToken) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
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
    gateway(shutdown).await
}

fn make_keys(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::Secret => print(keys::secret()),
        KeysCommand::New { config, stdin } => {
            let hasher =
                serve::load(&config.config)?.keys.pepper.context("the configuration has no `keys.pepper`")?;
            let given =
                if stdin { Some(io::read_to_string(io::stdin().lock().take(64 * 1024))?) } else { None };
            let given = given.as_deref().map(str::trim_end);
            anyhow::ensure!(given != Some(""), "there is no credential on standard input");
            print(keys::credential(&hasher, given))
        }
    }
}

fn print(text: String) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{}", text.trim_end()).context("cannot write to standard output")
}
