//! The way to the servers that all calls share: made in the background, and made anew where it fails.
//!
//! Nobody waits for it longer than a call may take, and a node starts without it. The client's own mending is not relied
//! on: a cluster's client was seen looking for a lost master long after the cluster had another one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::RedisError;
use tokio::sync::{Notify, watch};

use crate::config::{ConfigError, Servers};
use crate::server::{Client, Way};

/// The first wait before another attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// How many times as long as a call one attempt may take.
const PATIENCE: u32 = 4;

/// A way, and which one it is of those that were made.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) way: Way,
    number: u64,
}

pub(crate) struct Link {
    client: Client,
    timeout: Duration,
    made: watch::Sender<Option<Made>>,
    is_needed: Notify,
    reasons: Mutex<Reasons>,
}

/// What went wrong last, in words for operators.
#[derive(Default)]
struct Reasons {
    making: Option<String>,
    asking: Option<String>,
}

impl Link {
    pub(crate) fn new(servers: &Servers, timeout: Duration) -> Result<Self, ConfigError> {
        Ok(Self {
            client: Client::new(servers, timeout)?,
            timeout,
            made: watch::Sender::new(None),
            is_needed: Notify::new(),
            reasons: Mutex::default(),
        })
    }

    /// Makes a way whenever one is needed, for ever. Whoever gave up asking is told when there is one.
    pub(crate) async fn keep(&self, is_made: impl Fn()) {
        for number in 0.. {
            let way = self.make().await;
            self.reasons().making = None;
            self.made.send_replace(Some(Made { way, number }));
            is_made();
            tokio::time::sleep(PAUSES.1).await;
            self.is_needed.notified().await;
        }
    }

    async fn make(&self) -> Way {
        let mut pause = PAUSES.0;
        loop {
            let reason = match tokio::time::timeout(self.timeout * PATIENCE, self.client.connect()).await {
                Ok(Ok(way)) => return way,
                Ok(Err(error)) => words_for(&error),
                Err(_) => LATE.to_owned(),
            };
            self.reasons().making = Some(reason);
            tokio::time::sleep(pause).await;
            pause = PAUSES.1.min(pause * 2);
        }
    }

    /// The way there is, as soon as there is one.
    pub(crate) async fn made(&self) -> Option<Made> {
        if let Some(made) = self.made.borrow().clone() {
            return Some(made);
        }
        self.made.subscribe().wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Takes note of why a call failed. A connection that is lost is not offered to the next call.
    pub(crate) fn failed(&self, made: &Made, error: &RedisError) {
        self.reasons().asking = Some(words_for(error));
        let is_over = |current: &Option<Made>| current.as_ref().is_some_and(|it| it.number == made.number);
        if made.way.is_lost_by(error)
            && self.made.send_if_modified(|current| is_over(current) && current.take().is_some())
        {
            self.is_needed.notify_one();
        }
    }

    /// Calls fail again and again: another way may lead there.
    pub(crate) fn renew(&self) {
        self.is_needed.notify_one();
    }

    /// Why a call was not answered.
    pub(crate) fn why_unanswered(&self) -> String {
        self.reasons().making.clone().unwrap_or_else(|| LATE.to_owned())
    }

    /// Why a call failed.
    pub(crate) fn why_failed(&self) -> String {
        let reasons = self.reasons();
        reasons.asking.clone().unwrap_or_else(|| LATE.to_owned())
    }

    /// Why there is no way at all.
    pub(crate) fn why_missing(&self) -> Option<String> {
        self.made.borrow().is_none().then(|| self.reasons().making.clone()).flatten()
    }

    fn reasons(&self) -> std::sync::MutexGuard<'_, Reasons> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LATE: &str = "no answer in time";

/// The kind of an error. What an error says in full may name addresses and users.
fn words_for(error: &RedisError) -> String {
    let code = error.code().filter(|code| code.len() <= 16 && code.bytes().all(|b| b.is_ascii_uppercase()));
    match code {
        Some(code) => format!("the server says {code}"),
        None if error.is_timeout() => LATE.to_owned(),
        None if error.is_connection_refusal() => "connection refused".to_owned(),
        None if error.is_io_error() => "connection lost".to_owned(),
        None if error.kind() == redis::ErrorKind::AuthenticationFailed => "authentication failed".to_owned(),
        None if error.is_cluster_error() => "no such server in the cluster".to_owned(),
        None => "an answer that makes no sense".to_owned(),
    }
}
