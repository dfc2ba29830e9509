//! An exchange at a provider's door: what is asked, in the order that every door keeps, and what comes of it, here or at
//! the provider.
//!
//! What seldom comes and waits long is boxed where it is waited for: each request is moved about as a whole, and takes as
//! much room as the longest way that it may go.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http_body_util::Limited;
use typingd_core::{
    IgnoreReason, Marks, Outcome, Side, Signal, Source, StopReason, Time, Utterance, Verdict,
};
use typingd_providers::account::Answered;
use typingd_providers::upstream::is_path;
use typingd_providers::{Account, Call, Caller, Provider, Receipt, Refusal, Rejection};
use uuid::Uuid;

use crate::console::Speaker;
use crate::directory::Directory;
use crate::gateway::Gateway;
use crate::listener::{RequestBody, Response};
use crate::relay::{Account as Upstream, Expectation, Parcel};
use crate::through::Through;
use crate::{body, ids, wire};

/// The largest body that goes through on a path of which nothing is known here, in bytes.
const PASSED: usize = 128 * 1024 * 1024;

/// A request at a provider's door.
pub(crate) struct Exchange<'a> {
    pub(crate) gateway: &'a Arc<Gateway>,
    pub(crate) directory: &'a Directory,
    pub(crate) door: &'a dyn Provider,
    pub(crate) head: &'a Parts,
    pub(crate) address: IpAddr,
}

impl Exchange<'_> {
    /// Serves it, with whatever the listener has against it.
    pub(crate) async fn run(&self, body: RequestBody, is_fit: Result<(), Rejection>) -> Response {
        let answer = self.exchange(body, is_fit).await;
        answer.unwrap_or_else(|refusal| self.door.refuse(self.head, &refusal).map(Body::from))
    }

    /// Judges and reads a request, in the order that every door keeps, and does what it says, here or at the provider.
    async fn exchange(&self, body: RequestBody, is_fit: Result<(), Rejection>) -> Result<Response, Refusal> {
        let Self { gateway, directory, door, head, address } = self;
        is_fit?;
        let now = gateway.clock.now();
        let wall = gateway.clock.wall(now);
        gateway.failures.check(*address, now)?;
        let caller = match self.check(door.admit(head, wall), now) {
            Err(other @ (Rejection::UnknownPath | Rejection::MethodNotAllowed { .. }))
                if gateway.relay.leads_through(door.name()) =>
            {
                return Ok(Box::pin(self.pass(body, other, now)).await?);
            }
            caller => caller?,
        };
        directory.spend_for(*door, caller)?;
        let (lead, rest) = self.read(caller, body).await?;
        let call = match &rest {
            None => door.decode(caller, head, &lead, wall),
            Some(_) => door.decode_lead(caller, head, &lead, wall),
        };
        if caller == Caller::Nobody && call.is_err() {
            // Whoever asks for credentials shows some in the body.
            gateway.note_failure(door.name(), *address, now);
        }
        let call = call?;
        if let Some((sender, upstream)) = self.through(caller, &call) {
            let reference = call.reference.clone();
            let through = self.letting(upstream, self.parcel(caller, sender, lead), rest.map(Body::new));
            return Box::pin(through.call(call)).await.map_err(|rejection| Refusal { rejection, reference });
        }
        let is_kept = gateway.console.transcript.is_some() && call.signal == Some(Signal::Sent);
        let text = if is_kept { door.message_text(head, &lead) } else { None };
        Ok(self.answer(caller, call, text).await?.map(Body::from))
    }

    /// Takes note where credentials are wrong.
    fn check<T>(&self, judged: Result<T, Rejection>, now: Time) -> Result<T, Rejection> {
        if matches!(judged, Err(Rejection::Unauthenticated)) {
            self.gateway.note_failure(self.door.name(), self.address, now);
        }
        judged
    }

    /// The body: whole or, where it may go through, as much as it takes to know what it says.
    async fn read(
        &self,
        caller: Caller,
        body: RequestBody,
    ) -> Result<(Bytes, Option<Limited<RequestBody>>), Rejection> {
        let Self { gateway, door, head, .. } = self;
        let (limit, time) = (door.body_limit(caller), gateway.limits.body_timeout);
        let may_go_through = self
            .account(caller)
            .is_some_and(|account| gateway.relay.through(door.name(), account, None).is_some());
        if may_go_through {
            body::read_lead(&head.headers, body, limit, time, |so_far| door.is_lead(head, so_far)).await
        } else {
            Ok((body::read(&head.headers, body, limit, time).await?, None))
        }
    }

    /// Where a call goes through to, and whose it is: all but typing, whose pace is kept here.
    fn through(&self, caller: Caller, call: &Call) -> Option<(&Account, Arc<Upstream>)> {
        let is_typing = matches!(call.signal, Some(Signal::Composing { .. } | Signal::Paused));
        let account = self.account(caller).filter(|_| !is_typing)?;
        let agent = call.conversations.first().map(|conversation| conversation.agent().as_str());
        Some((account, self.gateway.relay.through(self.door.name(), account, agent)?))
    }

    /// Lets a request through of which nothing more is known here than whose it is.
    async fn pass(&self, body: RequestBody, otherwise: Rejection, now: Time) -> Result<Response, Rejection> {
        let Self { gateway, directory, door, head, .. } = self;
        if !is_path(head.uri.path()) || self.is_known_otherwise_spelled(now) {
            return Err(otherwise);
        }
        let caller = self.check(door.identify(head, gateway.clock.wall(now)), now).map(Caller::Account)?;
        directory.spend_for(*door, caller)?;
        let account = self.account(caller).ok_or(Rejection::Unauthenticated)?;
        let Some(upstream) = gateway.relay.through(door.name(), account, None) else { return Err(otherwise) };
        let parcel = self.parcel(caller, account, Bytes::new());
        self.letting(upstream, parcel, Some(Body::new(Limited::new(body, PASSED)))).plain().await
    }

    /// Whether the path is one of the door's own with a slash at its end: what is checked there must not go unchecked
    /// by it.
    fn is_known_otherwise_spelled(&self, now: Time) -> bool {
        let Some(known) = self.head.uri.path().strip_suffix('/') else { return false };
        let mut head = self.head.clone();
        head.uri = known.parse().unwrap_or_default();
        self.door.admit(&head, self.gateway.clock.wall(now)) != Err(Rejection::UnknownPath)
    }

    fn account(&self, caller: Caller) -> Option<&Account> {
        let Caller::Account(id) = caller else { return None };
        self.door.account(id)
    }

    fn letting(&self, account: Arc<Upstream>, parcel: Parcel, rest: Option<Body>) -> Through {
        Through { gateway: Arc::clone(self.gateway), account, door: self.door.name(), parcel, rest }
    }

    fn parcel(&self, caller: Caller, sender: &Account, lead: Bytes) -> Parcel {
        let path = self.head.uri.path();
        let path = match caller {
            Caller::Account(id) => self.door.path_inside(id, path),
            Caller::Nobody => path,
        };
        Parcel { head: self.head.clone(), path: path.to_owned(), lead, sender: sender.clone() }
    }

    /// Does what a call says, and answers it.
    async fn answer(
        &self,
        caller: Caller,
        call: Call,
        text: Option<String>,
    ) -> Result<http::Response<Bytes>, Refusal> {
        let Call { conversations, role, signal, marks, reference, reply, .. } = call;
        let Call { opens_conversation, names_conversation, .. } = call;
        let Self { gateway, door, .. } = self;
        let now = gateway.clock.now();
        let payload_id = marks.payload_id.map(|id| ids::of_payload(&id));
        let marks = Marks { payload_id, ..marks };
        let mut outcomes = Vec::with_capacity(conversations.len());
        if let Some(signal) = signal {
            for conversation in &conversations {
                let side = Side { conversation: conversation.clone(), role };
                let verdict = self.expect(caller, &side, signal);
                let origin = door.name().into();
                // Where the provider may still refuse it, the same is news when it comes again.
                let payload_id = marks.payload_id.clone().filter(|_| verdict.is_none());
                let utterance = Utterance {
                    participant: None,
                    name: None,
                    signal,
                    source: Source::OneShot,
                    origin,
                    marks: Marks { payload_id, ..marks.clone() },
                };
                let heard = gateway.hear(door.name(), &side, utterance, now).await;
                let heard = match (verdict, heard) {
                    // What was ignored is told to nobody.
                    (Some(expected), Ok(outcome)) if !matches!(outcome.verdict, Verdict::Ignored(_)) => {
                        Box::pin(self.stand_by(expected, &side)).await.map(|()| outcome)
                    }
                    (_, heard) => heard,
                };
                match heard {
                    Ok(outcome) => outcomes.push(outcome),
                    Err(rejection) => return Err(Refusal { rejection, reference }),
                }
            }
        }
        if let Some((transcript, text)) = gateway.console.transcript.as_ref().zip(text) {
            let is_new = |outcome: &Outcome| outcome.verdict != Verdict::Ignored(IgnoreReason::Duplicate);
            let heard = conversations.iter().zip(&outcomes).filter(|(_, outcome)| is_new(outcome));
            heard.for_each(|(to, _)| transcript.add(to, Speaker::only(role), &text, now));
        }
        if opens_conversation {
            conversations.iter().for_each(|conversation| gateway.opened.open(conversation));
        }
        let open = conversations.iter().filter(|_| names_conversation);
        let conversation_id = open.filter_map(|conversation| gateway.opened.name_of(conversation)).next();
        let mut response = reply(&receipt(gateway, conversation_id, &outcomes, now));
        match (conversations.len(), outcomes.as_slice()) {
            (0, _) => {}
            (_, [outcome]) => wire::add_decision(response.headers_mut(), outcome, now),
            (recipients, _) => wire::add_accepted(response.headers_mut(), recipients, &outcomes),
        }
        Ok(response)
    }
}

impl Exchange<'_> {
    /// The provider's verdict on typing that is about to be said, where the account's callers wait for it.
    fn expect(&self, caller: Caller, side: &Side, signal: Signal) -> Option<Expectation> {
        let is_start = matches!(signal, Signal::Composing { .. });
        let waits = self.account(caller).is_some_and(|account| account.answer == Answered::ByUpstream);
        // Another node's call is not waited for.
        let gateway = self.gateway;
        let is_ours = || gateway.relay.answers_for(gateway.engine.store().shard_of(side));
        if is_start && waits && is_ours() { gateway.relay.expect(side) } else { None }
    }

    /// Waits for the verdict, and takes back what was said where it is a no: a call that failed has changed nothing,
    /// whether or not its caller is still there to hear it.
    async fn stand_by(&self, expected: Expectation, side: &Side) -> Result<(), Rejection> {
        let (gateway, side) = (Arc::clone(self.gateway), side.clone());
        let standing_by = tokio::spawn(async move {
            let told = expected.verdict().await;
            if told.is_err() {
                let Gateway { engine, clock, .. } = &*gateway;
                let (source, reason) = (Source::OneShot, StopReason::Revoked);
                // What cannot be taken back lapses.
                let _ = engine.release(&side, None, source, reason, clock.now()).await;
            }
            told
        });
        standing_by.await.unwrap_or(Err(Rejection::Internal))
    }
}

fn receipt(gateway: &Gateway, conversation_id: Option<Uuid>, outcomes: &[Outcome], now: Time) -> Receipt {
    let lease = outcomes.iter().find_map(|outcome| outcome.lease.as_ref());
    let (started_at, ends_at) = lease.map_or((now, now), |lease| (lease.started_at, lease.expires_at));
    Receipt {
        request_id: ids::unique(),
        message_id: ids::unique(),
        started_at: gateway.clock.wall(started_at),
        ends_at: gateway.clock.wall(ends_at),
        conversation_id,
    }
}
