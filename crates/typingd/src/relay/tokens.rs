//! Access tokens: one at a time for each account, asked for once however many wait for it, and renewed before its end.

use std::time::Duration;

use tokio::sync::Mutex;
use typingd_core::Time;
use typingd_providers::upstream::{AccessToken, Answer, JwtBearer};
use typingd_providers::{RefusalKind, Refused};

use super::account::No;
use crate::client::Client;
use crate::clock::Clock;

/// How long a failure is remembered, so that those who wait do not each run into it.
const PAUSE: Duration = Duration::from_secs(1);

/// From which age on a token may be spent for all that is known.
const SETTLED: Duration = Duration::from_secs(10);

/// The token of one account.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<Option<Held>>);

#[derive(Debug)]
struct Held {
    token: Result<AccessToken, No>,
    since: Time,
    /// What is to be asked for anew from then on.
    until: Time,
}

impl Tokens {
    /// A token that is not spent.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn get(
        &self,
        source: &JwtBearer,
        client: &Client,
        clock: Clock,
        limit: Duration,
    ) -> Result<AccessToken, No> {
        let mut held = self.0.lock().await;
        if let Some(Held { token, until, .. }) = &*held
            && clock.now() < *until
        {
            return token.clone();
        }
        let token = ask(source, client, clock, limit).await;
        let lasts = token.as_ref().map_or(PAUSE, |token| token.renew_after);
        let now = clock.now();
        *held = Some(Held { token: token.clone(), since: now, until: now + lasts });
        token
    }

    /// A provider refused this token: another is asked for, unless that has happened already.
    pub(super) async fn forget(&self, spent: &AccessToken) {
        let mut held = self.0.lock().await;
        if held.as_ref().is_some_and(|held| held.token.as_ref().is_ok_and(|token| token == spent)) {
            *held = None;
        }
    }

    /// The same, of a token that is not quite new. Says whether another will be asked for.
    pub(super) async fn forget_old(&self, spent: &AccessToken, now: Time) -> bool {
        let is_new = self.0.lock().await.as_ref().is_some_and(|held| now < held.since + SETTLED);
        if !is_new {
            self.forget(spent).await;
        }
        !is_new
    }
}

async fn ask(source: &JwtBearer, client: &Client, clock: Clock, limit: Duration) -> Result<AccessToken, No> {
    let request = source.ask(clock.wall(clock.now())).ok_or(No::Unsayable(RefusalKind::Recipient))?;
    // Whatever became of this, what the token was for has not been asked.
    let answer = client.exchange(request, limit).await.map_err(|_| No::Tokenless(Refused::no_answer()))?;
    let now = clock.wall(clock.now());
    let read = Answer { status: answer.status, headers: &answer.headers, body: &answer.body, now };
    source.read(&read).map_err(No::Tokenless)
}
