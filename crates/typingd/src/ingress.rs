//! A signal's way in: which face a request is for, and an exchange at a provider's door.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use http::StatusCode;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use tower::ServiceExt;
use tracing::{Instrument, debug, debug_span, error};
use typingd_core::{
    Conversation, IgnoreReason, Marks, Outcome, Side, Signal, Source, Time, Utterance, Verdict,
};
use typingd_providers::{Call, Caller, Provider, Receipt, Refusal, Rejection, head};

use crate::api::NATIVE;
use crate::api::problem::Problem;
use crate::console::{CONSOLE, Speaker};
use crate::directory::Directory;
use crate::gateway::Gateway;
use crate::listener::{Framing, Request, RequestBody, Response};
use crate::webhooks::{self, WEBHOOK};
use crate::{body, ids, wire};

/// The caller behind a request, for those who look at it later.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub IpAddr);

/// Serves one request: at the door that its path belongs to, or on the native API.
pub async fn serve(
    gateway: Arc<Gateway>,
    native: Router,
    peer: IpAddr,
    mut request: Request,
    framing: Framing,
) -> Response {
    let began = gateway.clock.elapsed();
    // Some load balancers add a line of their own behind the caller's.
    let forwarded_for = request.headers().get_all("x-forwarded-for").iter();
    let forwarded_for: Vec<&str> = forwarded_for.map(|line| line.to_str().unwrap_or_default()).collect();
    let address = gateway.caller(peer, &forwarded_for.join(","));
    request.extensions_mut().insert(Address(address));
    let id = ids::of_request(head::single(request.headers(), ids::REQUEST_ID));
    let directory = gateway.directory.load_full();
    // Whose credential came as a name gets it back as ever, so that nothing can be learned from it.
    let logged_id = if directory.is_credential(&id) { ids::unique().to_string() } else { id.clone() };
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let is_webhook = webhooks::owns(path);
    let door = directory.doors.iter().find(|door| !is_webhook && door.owns(path)).map(AsRef::as_ref);
    let name = match door {
        Some(door) => door.name(),
        None if is_webhook => WEBHOOK,
        None if gateway.console.owns(path) => CONSOLE,
        None => NATIVE,
    };

    let is_sound = framing.is_ok();
    let scheme = gateway.scheme(peer, head::single(&head.headers, "x-forwarded-proto"));
    // The console lets links from anywhere lead to its page.
    let is_of_own_site =
        if name == CONSOLE { Ok(()) } else { gateway.origins.check_site(&head.headers, scheme) };
    let bar = gateway.origins.check_name(&head.headers).and(is_of_own_site);
    let answer = async {
        match (door, framing, bar) {
            (Some(door), framing, bar) => {
                let is_fit = framing.and(bar).map_err(|why| Rejection::Malformed { why: why.into() });
                let exchange =
                    Exchange { gateway: &gateway, directory: &directory, door, head: &head, address };
                exchange.run(body, is_fit).await.map(Body::from)
            }
            (None, Err(why), _) => Problem::from(Rejection::Malformed { why: why.into() }).into(),
            (None, Ok(()), Err(why)) => Problem::forbidden(why).into(),
            (None, Ok(()), Ok(())) if is_webhook => {
                webhooks::serve(&gateway, &directory, &head, body, address).await
            }
            (None, Ok(()), Ok(())) => {
                let mut head = head.clone();
                if let Some(scheme) = scheme {
                    head.extensions.insert(scheme);
                }
                let request = http::Request::from_parts(head, Body::new(body));
                native.oneshot(request).await.unwrap_or_else(|never| match never {})
            }
        }
    };
    let answer = AssertUnwindSafe(answer)
        .catch_unwind()
        .instrument(debug_span!("request", id = logged_id, door = name))
        .await;
    let mut response = answer.unwrap_or_else(|_| {
        error!(id = logged_id, door = name, "a request could not be served: this is a bug");
        let refusal = Refusal::from(Rejection::Internal);
        door.map_or_else(
            || Problem::from(Rejection::Internal).into(),
            |door| door.refuse(&head, &refusal).map(Body::from),
        )
    });

    let status = response.status().as_u16();
    let took = gateway.clock.elapsed().saturating_sub(began);
    gateway.metrics.answered(name, status, took);
    debug!(id = logged_id, door = name, status, took_us = took.as_micros(), "answered");
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(ids::REQUEST_ID, id);
    }
    // Who keeps its connection while the gateway goes away sends the next request to nobody.
    let stays_http = status != StatusCode::SWITCHING_PROTOCOLS;
    if stays_http && (!is_sound || gateway.is_leaving.load(Ordering::Relaxed)) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request at a provider's door.
struct Exchange<'a> {
    gateway: &'a Gateway,
    directory: &'a Directory,
    door: &'a dyn Provider,
    head: &'a Parts,
    address: IpAddr,
}

impl Exchange<'_> {
    async fn run(&self, body: RequestBody, is_fit: Result<(), Rejection>) -> http::Response<Bytes> {
        let answer = match self.understand(body, is_fit).await {
            Ok((call, text)) => self.answer(call, text).await,
            Err(refusal) => Err(refusal),
        };
        answer.unwrap_or_else(|refusal| self.door.refuse(self.head, &refusal))
    }

    /// Judges and reads a request, in the order that every door keeps. Says what its message says, where that is kept.
    async fn understand(
        &self,
        body: RequestBody,
        is_fit: Result<(), Rejection>,
    ) -> Result<(Call, Option<String>), Refusal> {
        let Self { gateway, directory, door, head, address } = self;
        is_fit?;
        let now = gateway.clock.now();
        let wall = gateway.clock.wall(now);
        gateway.failures.check(*address, now)?;
        let caller = door.admit(head, wall);
        if caller == Err(Rejection::Unauthenticated) {
            gateway.note_failure(door.name(), *address, now);
        }
        let caller = caller?;
        directory.spend_for(*door, caller)?;
        let body =
            body::read(&head.headers, body, door.body_limit(caller), gateway.limits.body_timeout).await?;
        let call = door.decode(caller, head, &body, wall);
        if caller == Caller::Nobody && call.is_err() {
            // Whoever asks for credentials shows some in the body.
            gateway.note_failure(door.name(), *address, now);
        }
        let call = call?;
        let is_kept = gateway.console.transcript.is_some() && call.signal == Some(Signal::Sent);
        let text = if is_kept { door.message_text(head, &body) } else { None };
        Ok((call, text))
    }

    /// Does what a call says, and answers it.
    async fn answer(&self, call: Call, text: Option<String>) -> Result<http::Response<Bytes>, Refusal> {
        let Call { conversations, role, signal, marks, opens_conversation, reference, reply } = call;
        let Self { gateway, door, .. } = self;
        let now = gateway.clock.now();
        let payload_id = marks.payload_id.map(|id| ids::of_payload(&id).into());
        let marks = Marks { payload_id, ..marks };
        let mut outcomes = Vec::with_capacity(conversations.len());
        if let Some(signal) = signal {
            for conversation in &conversations {
                let side = Side { conversation: conversation.clone(), role };
                let origin = door.name().into();
                let utterance = Utterance {
                    participant: None,
                    name: None,
                    signal,
                    source: Source::OneShot,
                    origin,
                    marks: marks.clone(),
                };
                match gateway.hear(door.name(), &side, utterance, now).await {
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
        let mut response = reply(&receipt(gateway, &conversations, &outcomes, now));
        match (conversations.len(), outcomes.as_slice()) {
            (0, _) => {}
            (_, [outcome]) => wire::add_decision(response.headers_mut(), outcome, now),
            (recipients, _) => wire::add_accepted(response.headers_mut(), recipients),
        }
        Ok(response)
    }
}

fn receipt(gateway: &Gateway, conversations: &[Conversation], outcomes: &[Outcome], now: Time) -> Receipt {
    let lease = outcomes.iter().find_map(|outcome| outcome.lease.as_ref());
    let (started_at, ends_at) = lease.map_or((now, now), |lease| (lease.started_at, lease.expires_at));
    Receipt {
        request_id: ids::unique(),
        message_id: ids::unique(),
        started_at: gateway.clock.wall(started_at),
        ends_at: gateway.clock.wall(ends_at),
        conversation_id: conversations.iter().find_map(|conversation| gateway.opened.name_of(conversation)),
    }
}
