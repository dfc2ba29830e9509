//! One call to a provider, from its beginning to its verdict; and one that was due and not made.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use typingd_core::pacing::{BreakerState, Call, DroppedSend, Verb, Verdict};
use typingd_core::{Side, Time};

use super::Relay;
use super::account::{Account, No};
use crate::gateway::Gateway;
use crate::history::{Called, Fate, History};

/// A call that is to be made.
#[derive(Debug)]
pub(super) struct Flight {
    call: Call,
    account: Arc<Account>,
    cancelled: CancellationToken,
}

/// Lands its call when it is dropped, whatever became of it: pacing waits for that.
struct Landing {
    relay: Arc<Relay>,
    flight: Flight,
    began: Duration,
    told: Option<Result<(), No>>,
}

impl Flight {
    pub(super) fn new(call: Call, account: Arc<Account>, cancelled: CancellationToken) -> Self {
        Self { call, account, cancelled }
    }

    /// Makes the call, as a task of its own.
    pub(super) fn start(self, gateway: Arc<Gateway>) {
        let (account, cancelled, until) =
            (self.account.clone(), self.cancelled.clone(), self.call.shows_until);
        let relay = gateway.relay.clone();
        let mut landing = Landing { began: relay.clock.elapsed(), relay, flight: self, told: None };
        tokio::spawn(async move {
            let (side, verb) = (landing.flight.call.side.clone(), landing.flight.call.verb);
            let sides = gateway.engine.store();
            if verb == Verb::Type {
                sides.note_told(account.name(), &side, until).await;
            }
            landing.told = cancelled.run_until_cancelled(account.tell(&side, verb)).await;
            let has_no_dots = match &landing.told {
                Some(Ok(())) => verb == Verb::Stop,
                Some(Err(no)) => verb == Verb::Type && no.kind().is_some(),
                None => false,
            };
            let upstream = landing.flight.call.upstream;
            drop(landing);
            if has_no_dots {
                // Those of an earlier call may show still.
                match gateway.relay.shows_until(upstream, &side) {
                    Some(until) => sides.note_told(account.name(), &side, until).await,
                    None => sides.forget_told(account.name(), &side).await,
                }
            }
        });
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let Self { relay, flight: Flight { call, account, .. }, began, told } = self;
        let (now, took) = (relay.clock.now(), relay.clock.elapsed().saturating_sub(*began));
        let verdict = match told {
            Some(Ok(())) => Verdict::Accepted,
            Some(Err(no)) => no.verdict(),
            None => Verdict::Unanswered,
        };
        let took_ms = took.as_millis();
        let fate = match &told {
            Some(Ok(())) => Fate::Accepted { took },
            Some(Err(no)) => match no.kind() {
                Some(kind) => Fate::Refused { kind, detail: no.detail().into(), took },
                None => Fate::Unanswered { took },
            },
            None => Fate::Unanswered { took },
        };
        let detail = told.as_ref().and_then(|told| told.as_ref().err()).map(No::detail);
        let mut state = relay.lock();
        // What a reload took away meanwhile leaves no trace.
        let is_known = state.account(call.upstream).is_some_and(|known| Arc::ptr_eq(known, account));
        let breaker = state.land(call, verdict, told.as_ref(), now);
        drop(state);
        if is_known {
            remember(&relay.history, account, &call.side, call.verb, fate, now);
        }
        relay.rings.notify_one();

        let (tenant, upstream, provider) = (account.tenant(), account.name(), account.provider());
        debug!(%tenant, %upstream, provider, ?verdict, detail, took_ms, "a provider was told");
        match breaker {
            [Some(BreakerState::Unproven | BreakerState::Closed), Some(BreakerState::Open { .. })] => {
                warn!(%tenant, %upstream, provider, detail, "the credential is refused: it is tried again every 5 minutes");
            }
            [Some(BreakerState::Probing), Some(BreakerState::Closed)] => {
                info!(%tenant, %upstream, provider, "the credential works again");
            }
            _ => {}
        }
    }
}

/// A call that was due and is not made.
#[derive(Debug)]
pub(super) struct Unsaid {
    dropped: DroppedSend,
    account: Arc<Account>,
}

impl Unsaid {
    pub(super) fn new(dropped: DroppedSend, account: Arc<Account>) -> Self {
        Self { dropped, account }
    }

    /// Remembers it.
    pub(super) fn note(&self, history: &History, now: Time) {
        let Self { dropped: DroppedSend { side, verb, reason, .. }, account } = self;
        remember(history, account, side, *verb, Fate::Dropped(*reason), now);
        let (tenant, upstream, provider) = (account.tenant(), account.name(), account.provider());
        debug!(%tenant, %upstream, provider, reason = reason.as_str(), "a provider was not told");
    }
}

fn remember(history: &History, account: &Account, side: &Side, verb: Verb, fate: Fate, now: Time) {
    let (upstream, provider) = (account.name().clone(), account.provider());
    history.note_call(side, Called { upstream, provider, verb, fate }, now);
}
