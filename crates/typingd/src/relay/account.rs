//! An account at a provider, as it is called: its credentials, its tokens, and what its answers come to.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;
use typingd_core::pacing::{Order, Profile, Refresh, Refusal, Verb, Verdict};
use typingd_core::{Name, Role, Side, User};
use typingd_providers::upstream::{self, AccessToken, Change, Display, Fresh};
use typingd_providers::{ChatState, KeyHasher, RefusalKind, Refused, Rejection, Upstream};

use super::tokens::Tokens;
use crate::client::{self, Client, Failure};
use crate::clock::Clock;
use crate::config::{UpstreamAccount, UpstreamLimits};
use crate::ids;

/// How many requests go through to an account at a time; one more is answered 429.
const PASSAGES: usize = 256;

/// A user whom every provider can name.
const ANYBODY: &str = "+14155550100";

/// An account, ready to be called.
#[derive(Debug)]
pub(crate) struct Account {
    pub(super) settings: UpstreamAccount,
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) tokens: Tokens,
    /// For requests that go through at a time.
    pub(super) places: Arc<Semaphore>,
    mark: String,
}

/// Why a call had no success.
#[derive(Clone, Debug)]
pub(super) enum No {
    /// The provider refused, in the words in which a caller of ours is told.
    Refused(Refused, Rejection),
    /// There is no token to ask with, for this refusal.
    Tokenless(Refused),
    /// There was no answer.
    Failed(Failure),
    /// It could not be written in the provider's terms, for the sake of one of the two.
    Unsayable(RefusalKind),
}

impl Account {
    pub(super) fn new(settings: UpstreamAccount, client: Client, clock: Clock, hasher: &KeyHasher) -> Self {
        let places = Arc::new(Semaphore::new(PASSAGES));
        // Whoever reads it in the store can try no passwords by it.
        let mark = hasher.hash(settings.mark.as_bytes()).to_hex().to_string();
        Self { settings, client, clock, tokens: Tokens::default(), places, mark }
    }

    /// Whether it is the account of these settings, all of them.
    pub(super) fn has(&self, settings: &UpstreamAccount) -> bool {
        let UpstreamAccount { tenant, name, mark, .. } = &self.settings;
        (tenant, name, mark) == (&settings.tenant, &settings.name, &settings.mark)
    }

    pub(crate) fn tenant(&self) -> &Name {
        &self.settings.tenant
    }

    pub(crate) fn name(&self) -> &Name {
        &self.settings.name
    }

    /// Tells its credential from others, and nothing of it.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    pub(crate) fn provider(&self) -> &'static str {
        self.settings.upstream.name()
    }

    pub(super) fn role(&self) -> Role {
        self.settings.upstream.role()
    }

    pub(super) fn limits(&self) -> &UpstreamLimits {
        &self.settings.limits
    }

    /// How its dots behave.
    pub(super) fn profile(&self) -> Profile {
        let Display { display, refresh, floor, stop, cleared_by_message, in_order } =
            self.settings.upstream.display();
        Profile {
            display,
            refresh: match refresh {
                upstream::Refresh::Resets => Refresh::Resets,
                upstream::Refresh::Forbidden => Refresh::Forbidden,
            },
            floor,
            has_stop: stop,
            cleared_by_message,
            order: if in_order { Order::ByArrival } else { Order::Unordered },
            freshness: self.limits().freshness,
        }
    }

    /// Tells the provider about a side.
    ///
    /// # Errors
    /// Why that had no success.
    pub(super) async fn tell(&self, side: &Side, verb: Verb) -> Result<(), No> {
        let limit = self.limits().typing_timeout;
        let told = tokio::time::timeout(limit, self.try_to_tell(side, verb)).await;
        told.unwrap_or(Err(No::Failed(Failure::TimedOut)))
    }

    async fn try_to_tell(&self, side: &Side, verb: Verb) -> Result<(), No> {
        let conversation = &side.conversation;
        let signal = match verb {
            Verb::Type => ChatState::Composing,
            Verb::Stop => ChatState::Paused,
        };
        let change = Change { agent: conversation.agent(), user: conversation.user(), signal };
        let upstream: &dyn Upstream = &*self.settings.upstream;
        let mut is_second = false;
        loop {
            let token = self.token().await?;
            let fresh = self.fresh(token.as_ref());
            let request = upstream.forward(&change, &fresh).ok_or_else(|| {
                let anybody = User::new(ANYBODY);
                let is_of_user = upstream.forward(&Change { user: &anybody, ..change }, &fresh).is_some();
                No::Unsayable(if is_of_user { RefusalKind::Recipient } else { RefusalKind::Agent })
            })?;
            let answer =
                self.client.exchange(request, self.limits().typing_timeout).await.map_err(No::Failed)?;
            let verdict = self.verdict(answer.status, &answer.headers, &answer.body);
            let Err(refused) = verdict else { return Ok(()) };
            match token.filter(|_| refused.is_token_spent) {
                Some(spent) if !is_second => self.tokens.forget(&spent).await,
                _ => return Err(No::refused(refused, &answer)),
            }
            is_second = true;
        }
    }

    /// What it takes to authorize a request, where that is a token.
    pub(super) async fn token(&self) -> Result<Option<AccessToken>, No> {
        let Some(source) = self.settings.upstream.tokens() else { return Ok(None) };
        // The other half is for the call: it must not be cut off before it is known that there is no token.
        let limit = self.limits().typing_timeout / 2;
        self.tokens.get(source, &self.client, self.clock, limit).await.map(Some)
    }

    /// What is new in each request.
    pub(super) fn fresh<'t>(&self, token: Option<&'t AccessToken>) -> Fresh<'t> {
        Fresh { id: ids::unique(), now: self.clock.wall(self.clock.now()), token }
    }

    /// Whether an answer is a yes.
    pub(super) fn verdict(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), Refused> {
        let now = self.clock.wall(self.clock.now());
        self.settings.upstream.judge(&upstream::Answer { status, headers, body, now }).map(|_| ())
    }
}

impl No {
    pub(super) fn refused(refused: Refused, answer: &client::Answer) -> Self {
        let rejection = upstream::rejection(&refused, answer.status, &answer.body);
        Self::Refused(refused, rejection)
    }

    /// What it is to pacing.
    pub(super) fn verdict(&self) -> Verdict {
        let retry_after = match self {
            Self::Refused(refused, _) | Self::Tokenless(refused) => refused.retry_after,
            Self::Failed(_) | Self::Unsayable(_) => None,
        };
        self.kind().map_or(Verdict::Unanswered, |kind| {
            Verdict::Refused(match kind {
                RefusalKind::Credential => Refusal::Credential,
                RefusalKind::Agent => Refusal::Agent,
                RefusalKind::Recipient => Refusal::Recipient,
                RefusalKind::Transient => Refusal::Transient { retry_after },
            })
        })
    }

    /// Whom it concerns; `None` where nobody can tell, because it may have been taken all the same.
    pub(super) fn kind(&self) -> Option<RefusalKind> {
        match self {
            Self::Refused(refused, _) | Self::Tokenless(refused) => Some(refused.kind),
            Self::Failed(Failure::Unreachable) => Some(RefusalKind::Transient),
            Self::Failed(Failure::Broken | Failure::TimedOut) => None,
            Self::Unsayable(kind) => Some(*kind),
        }
    }

    /// What a caller is told that waits for the provider's verdict.
    pub(super) fn rejection(&self) -> Rejection {
        match self {
            Self::Refused(_, rejection) => rejection.clone(),
            Self::Failed(Failure::Broken | Failure::TimedOut) => Rejection::UpstreamTimeout,
            Self::Failed(Failure::Unreachable) | Self::Tokenless(_) | Self::Unsayable(_) => {
                Rejection::Unavailable
            }
        }
    }

    /// What people are told, without anything that a stranger wrote.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Refused(refused, _) => refused.detail.clone(),
            Self::Tokenless(refused) => format!("no token: {}", refused.detail),
            Self::Failed(failure) => failure.to_string(),
            Self::Unsayable(_) => "the provider has no words for it".to_owned(),
        }
    }
}

/// How long a caller waits for a verdict, at most.
pub(super) fn patience(limits: &UpstreamLimits) -> Duration {
    limits.freshness + limits.typing_timeout
}
