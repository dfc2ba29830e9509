//! `typingd hold -- COMMAND`: dots for as long as a command runs, and never in its way.
//!
//! The command is started first, and what it does, says and returns is its own. Beside it `keeper` keeps a hold at the
//! gateway, by `link`'s calls; whatever goes wrong there is a line on standard error and nothing more.

mod child;
mod events;
mod keeper;
mod link;

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::sync::oneshot;
use typingd_providers::Secret;

use self::child::Child;
use self::keeper::Keeper;
use self::link::{BaseUrl, Link, Wish};

/// Without the connection that keeps it, a hold is to last no longer than this, in milliseconds.
const IDLE_MS: u64 = 30_000;

/// Where no such program is, as shells have it.
const NOT_FOUND: u8 = 127;
/// Where it is one that cannot be run.
const NOT_EXECUTABLE: u8 = 126;
/// And what they add to the number of the signal that ended a command.
const BY_SIGNAL: i32 = 128;

const AFTER_HELP: &str = "\
The exit code is the command's: 128+N where signal N ended it, 127 where it was not found, 126 where it could not be
run. SIGINT, SIGTERM and SIGHUP are passed on to it. A gateway that is away, slow or refuses costs a line of warning and
nothing else. Should `typingd hold` itself be killed, the dots end at once and the command goes on.

  export TYPINGD_URL=http://127.0.0.1:8080 TYPINGD_API_KEY=dev-api-key
  typingd hold --channel pinnacle --agent agent_x --user +14155550123 -- ./answer";

/// What to run, and whose dots to show meanwhile.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub struct Settings {
    /// The gateway: http or https, with a path where it has one
    #[arg(long, env = "TYPINGD_URL")]
    url: BaseUrl,
    /// Its native API key. Better by the variable: `ps` shows arguments to everybody
    #[arg(long, env = "TYPINGD_API_KEY", hide_env_values = true, value_name = "KEY", value_parser = key)]
    api_key: Secret,
    /// The conversation's channel
    #[arg(long, env = "TYPINGD_CHANNEL")]
    channel: String,
    /// Its agent
    #[arg(long, env = "TYPINGD_AGENT")]
    agent: String,
    /// Its end user
    #[arg(long, env = "TYPINGD_USER", hide_env_values = true)]
    user: String,
    /// Who of the two types
    #[arg(long, env = "TYPINGD_COMPOSER", default_value = "agent")]
    composer: Composer,
    /// Which of several on that side
    #[arg(long, env = "TYPINGD_PARTICIPANT")]
    participant: Option<String>,
    /// What people call them
    #[arg(long, env = "TYPINGD_NAME")]
    name: Option<String>,
    /// What the work is, for `explain`
    #[arg(long, env = "TYPINGD_NOTE")]
    note: Option<String>,
    /// How long the dots last where the connection that keeps them never came about
    #[arg(long, env = "TYPINGD_IDLE_MS", default_value_t = IDLE_MS)]
    idle_ms: u64,
    /// How long they last in any case; by default 15 minutes
    #[arg(long, env = "TYPINGD_MAX_MS")]
    max_ms: Option<u64>,
    /// How long they wait, so that a fast command shows none; by default not at all
    #[arg(long, env = "TYPINGD_START_DELAY_MS")]
    start_delay_ms: Option<u64>,
    /// Go on after a message, for an answer in several
    #[arg(long = "continue", env = "TYPINGD_CONTINUE", value_parser = FalseyValueParser::new())]
    continues: bool,
    /// What to say at the end of a command that succeeds; of one that fails it is `paused`
    #[arg(long, env = "TYPINGD_ON_SUCCESS", default_value = "paused")]
    on_success: Reason,
    /// The command, with its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Who types.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Composer {
    /// The business
    Agent,
    /// The end user
    User,
}

/// How a hold is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
enum Reason {
    /// The message went out: the command itself sent it, or its success means that
    Sent,
    /// There was none, for now
    Paused,
    /// There will be none
    NothingToSay,
}

/// Runs the command with its dots, and says what it exited with.
///
/// # Errors
/// Where signals cannot be listened for.
pub async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let (program, arguments) = settings.command.split_first().expect("one is required");
    let signals = child::Signals::listen()?;
    let mut child = match Child::start(program, arguments, signals) {
        Ok(child) => child,
        Err(error) => {
            warn(&format!("cannot run {}: {error}", program.display()));
            let is_missing = error.kind() == ErrorKind::NotFound;
            return Ok(if is_missing { NOT_FOUND } else { NOT_EXECUTABLE }.into());
        }
    };
    let (over, is_over) = oneshot::channel();
    let on_success = settings.on_success;
    let wait = async {
        let status = child.wait().await;
        let is_success = status.as_ref().is_ok_and(ExitStatus::success);
        // Nobody listens where the dots are over already.
        let _ = over.send(if is_success { on_success } else { Reason::Paused });
        status
    };
    let dots = async {
        match Link::new(&settings.url, &settings.api_key, &settings.user) {
            Ok(link) => Keeper::new(link, settings.wish()).keep(is_over).await,
            Err(why) => warn(&format!("no dots: {why}")),
        }
    };
    let (status, ()) = tokio::join!(wait, dots);
    Ok(code(status?))
}

impl Settings {
    fn wish(&self) -> Wish {
        Wish {
            channel: self.channel.clone(),
            agent: self.agent.clone(),
            user: self.user.clone(),
            composer: self.composer,
            participant: self.participant.clone(),
            name: self.name.clone(),
            note: self.note.clone(),
            idle_ms: self.idle_ms,
            max_ms: self.max_ms,
            start_delay_ms: self.start_delay_ms,
            continues: self.continues,
        }
    }
}

/// Any text will do here: to say that one will not would be to print it.
fn key(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| BY_SIGNAL + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// One line on standard error.
fn warn(what: &str) {
    let _ = writeln!(io::stderr(), "typingd hold: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_commands() {
        for (raw, expected) in [(0, 0), (7 << 8, 7), (255 << 8, 255), (15, 143), (9, 137), (6 | 0x80, 134)] {
            assert_eq!(code(ExitStatus::from_raw(raw)), ExitCode::from(expected), "{raw}");
        }
    }
}
