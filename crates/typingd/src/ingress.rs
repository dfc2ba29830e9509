//! A signal's way in: which face a request is for, and an exchange at a provider's door.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use tower::ServiceExt;
use tracing::debug;
use typingd_core::{Conversation, Outcome, Side, Source, Time, Utterance};
use typingd_providers::{Call, Provider, Receipt, Refusal, Rejection};

use crate::api::problem::Problem;
use crate::gateway::Gateway;
use crate::listener::{Framing, Request, RequestBody, Response};
use crate::{body, ids, wire};

/// Serves one request: at the door that its path belongs to, or on the native API.
pub async fn serve(gateway: Arc<Gateway>, native: Router, request: Request, framing: Framing) -> Response {
    let (head, body) = request.into_parts();
    let is_sound = framing.is_ok();
    let framing = framing.map_err(|why| Rejection::Malformed { why: why.into() });
    let door = gateway.doors.iter().find(|door| door.owns(head.uri.path()));
    let mut response = match (door, framing) {
        (Some(door), framing) => exchange(&gateway, door.as_ref(), head, body, framing).await.map(Body::from),
        (None, Err(rejection)) => Problem::from(rejection).into(),
        (None, Ok(())) => {
            let request = http::Request::from_parts(head, Body::new(body));
            native.oneshot(request).await.unwrap_or_else(|never| match never {})
        }
    };
    debug!(door = door.map_or("native", |door| door.name()), status = response.status().as_u16(), "answered");
    if !is_sound {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn exchange(
    gateway: &Gateway,
    door: &dyn Provider,
    head: Parts,
    body: RequestBody,
    framing: Result<(), Rejection>,
) -> http::Response<Bytes> {
    let answer = match understand(gateway, door, &head, body, framing).await {
        Ok(call) => answer(gateway, door, call).await,
        Err(refusal) => Err(refusal),
    };
    answer.unwrap_or_else(|refusal| door.refuse(&head, &refusal))
}

/// Judges and reads a request, in the order that every door keeps.
async fn understand(
    gateway: &Gateway,
    door: &dyn Provider,
    head: &Parts,
    body: RequestBody,
    framing: Result<(), Rejection>,
) -> Result<Call, Refusal> {
    framing?;
    let account = door.admit(head)?;
    let body = body::read(&head.headers, body, door.body_limit(), gateway.limits.body_timeout).await?;
    door.decode(account, head, &body)
}

/// Does what a call says, and answers it.
async fn answer(
    gateway: &Gateway,
    door: &dyn Provider,
    call: Call,
) -> Result<http::Response<Bytes>, Refusal> {
    let Call { conversations, role, signal, marks, opens_conversation, reference, reply } = call;
    let now = gateway.clock.now();
    let mut outcomes = Vec::with_capacity(conversations.len());
    if let Some(signal) = signal {
        for conversation in &conversations {
            let side = Side { conversation: conversation.clone(), role };
            let origin = door.name().into();
            let utterance = Utterance {
                participant: None,
                signal,
                source: Source::OneShot,
                origin,
                marks: marks.clone(),
            };
            match gateway.hear(&side, utterance, now).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(rejection) => return Err(Refusal { rejection, reference }),
            }
        }
    }
    if opens_conversation {
        conversations.iter().for_each(|conversation| gateway.opened.open(conversation));
    }
    let mut response = reply(&receipt(gateway, &conversations, &outcomes, now));
    match outcomes.as_slice() {
        [outcome] => wire::add_decision(response.headers_mut(), outcome, now),
        _ => wire::add_accepted(response.headers_mut(), conversations.len()),
    }
    Ok(response)
}

fn receipt(gateway: &Gateway, conversations: &[Conversation], outcomes: &[Outcome], now: Time) -> Receipt {
    let lease = outcomes.iter().find_map(|outcome| outcome.lease.as_ref());
    let (started_at, ends_at) = lease.map_or((now, now), |lease| (lease.started_at, lease.expires_at));
    let opened = conversations.iter().find(|conversation| gateway.opened.is_open(conversation));
    Receipt {
        request_id: ids::unique(),
        message_id: ids::unique(),
        started_at: gateway.clock.wall(started_at),
        ends_at: gateway.clock.wall(ends_at),
        conversation_id: opened.map(ids::of_conversation),
    }
}
