//! The log: structured, to standard error, and without anybody's secret or number at any level.

use std::io::{self, IsTerminal};
use std::panic;

use clap::{Args, ValueEnum};
use tracing::error;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// What to log, and how.
#[derive(Args, Debug)]
#[group(id = "log-settings")]
pub struct Settings {
    /// What to log to standard error: off, error, warn, info, debug or trace, for all or by module
    #[arg(long, global = true, display_order = 100, env = "TYPINGD_LOG", default_value = "info")]
    log: EnvFilter,
    /// In which form to log
    #[arg(long, global = true, display_order = 100, env = "TYPINGD_LOG_FORMAT", default_value = "pretty")]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For people
    Pretty,
    /// For programs: an object a line
    Json,
}

/// How many lines may wait to be written; one more is lost. Nobody who logs waits for whoever reads it, or does not.
const WAITING: usize = 4_096;

/// Starts logging, panics included: of those the place is logged and not the message, which may hold anything. When the
/// guard is dropped, what waits is still written, where somebody takes it.
pub fn start(settings: Settings) -> WorkerGuard {
    let (sink, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(WAITING).lossy(true).finish(io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(settings.log).with_writer(sink);
    match settings.log_format {
        Format::Pretty => log.with_ansi(io::stderr().is_terminal()).init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(place, "a panic: this is a bug");
    }));
    guard
}
