//! A door's request that goes through to the door's own provider: a message, which ends typing once it is there, and
//! every call that says nothing about typing.

use std::sync::Arc;

use axum::body::Body;
use http::Response;
use http::header::ACCEPT_ENCODING;
use tokio::time::timeout;
use typingd_core::{Conversation, Marks, Outcome, Role, Side, Signal, Source, Utterance};
use typingd_providers::{Call, Rejection};

use crate::gateway::Gateway;
use crate::relay::{Account, Parcel};
use crate::{ids, wire};

/// A call that is understood, on its way through.
pub(crate) struct Through {
    pub(crate) gateway: Arc<Gateway>,
    /// Where it goes.
    pub(crate) account: Arc<Account>,
    /// By which door it came.
    pub(crate) door: &'static str,
    pub(crate) parcel: Parcel,
    /// What was not read of its body.
    pub(crate) rest: Option<Body>,
}

impl Through {
    /// Lets a request through that is about nobody in particular.
    ///
    /// # Errors
    /// What the caller is to be told where there is no answer.
    pub(crate) async fn plain(self) -> Result<Response<Body>, Rejection> {
        Ok(self.account.pass(self.parcel, self.rest).await?.into_response(bytes::Bytes::new()))
    }

    /// Lets a call through that is no typing: what types is waited for, and ends with it. A caller that goes away
    /// meanwhile changes nothing.
    ///
    /// # Errors
    /// What the caller is to be told where there is no answer.
    pub(crate) async fn call(self, call: Call) -> Result<Response<Body>, Rejection> {
        let Call { conversations, role, signal, marks, .. } = call;
        let carried = tokio::spawn(self.carry(conversations, role, signal, marks));
        carried.await.unwrap_or(Err(Rejection::Internal))
    }

    async fn carry(
        self,
        conversations: Vec<Conversation>,
        role: Role,
        signal: Option<Signal>,
        marks: Marks,
    ) -> Result<Response<Body>, Rejection> {
        let Self { gateway, account, door, mut parcel, rest } = self;
        let Some(signal) = signal else {
            return Ok(account.pass(parcel, rest).await?.into_response(bytes::Bytes::new()));
        };
        let side = |conversation: &Conversation| Side { conversation: conversation.clone(), role };
        let sides: Vec<Side> = conversations.iter().map(side).collect();
        // What the provider makes of it must be read here.
        parcel.head.headers.remove(ACCEPT_ENCODING);
        let mut departure = gateway.relay.depart(&sides).await;
        departure.leave();
        let exchange = async { account.judge(account.pass(parcel, rest).await?).await };
        let returned = timeout(account.patience(), exchange).await.unwrap_or(Err(Rejection::UpstreamTimeout));
        let (mut response, verdict) = match returned {
            Ok(returned) => returned,
            Err(rejection) if is_certainly_not_there(&rejection) => {
                departure.turn_back();
                return Err(rejection);
            }
            Err(rejection) => {
                drop(departure);
                hear(&gateway, door, &sides, signal, &marks).await;
                return Err(rejection);
            }
        };
        if verdict.is_err() {
            departure.turn_back();
            return Ok(response);
        }
        // It has passed before the leases' own news of it: what these say lives on has begun after it.
        drop(departure);
        let outcomes = hear(&gateway, door, &sides, signal, &marks).await;
        match outcomes.as_slice() {
            [outcome] => wire::add_decision(response.headers_mut(), outcome, gateway.clock.now()),
            _ => wire::add_accepted(response.headers_mut(), sides.len(), &outcomes),
        }
        Ok(response)
    }
}

/// Whether a message that was not answered was not even sent.
fn is_certainly_not_there(rejection: &Rejection) -> bool {
    !matches!(rejection, Rejection::UpstreamTimeout)
}

/// Tells the engine what the provider has taken. That there is no room for it does not take the message back.
async fn hear(
    gateway: &Gateway,
    door: &'static str,
    sides: &[Side],
    signal: Signal,
    marks: &Marks,
) -> Vec<Outcome> {
    let now = gateway.clock.now();
    let payload_id = marks.payload_id.as_ref().map(|id| ids::of_payload(id));
    let mut outcomes = Vec::with_capacity(sides.len());
    for side in sides {
        let utterance = Utterance {
            participant: None,
            name: None,
            signal,
            source: Source::OneShot,
            origin: door.into(),
            marks: Marks { payload_id: payload_id.clone(), ..marks.clone() },
        };
        let outcome = gateway.hear(door, side, utterance, now).await.ok();
        if outcome.as_ref().is_none_or(|outcome| outcome.lease.is_some()) {
            // One that came before, or is nobody's end here: it took the dots away all the same.
            gateway.relay.go_on(side);
        }
        outcomes.extend(outcome);
    }
    outcomes
}
