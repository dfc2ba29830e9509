//! `POST /console/messages`: what somebody said in dev mode's console.

use std::sync::Arc;

use axum::extract::{Request, State};
use bytes::Bytes;
use http::StatusCode;
use typingd_core::{Conversation, Name, Scope};
use typingd_providers::json::{self, Fields};
use typingd_providers::{FaultKind, Faults, Rejection, head};

use super::transcript::{Speaker, Transcript};
use crate::api::problem::Problem;
use crate::api::{BODY_LIMIT, fields, tenant};
use crate::body;
use crate::directory::Channels;
use crate::gateway::Gateway;
use crate::listener::Response;

const FIELDS: [&str; 7] = ["channel", "agent", "user", "composer", "participant", "name", "text"];
const TEXT: &str = "a text that is not empty";

pub(super) async fn post(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    let Some(transcript) = &gateway.console.transcript else { return Err(Rejection::UnknownPath.into()) };
    let directory = gateway.directory.load_full();
    let login = gateway.viewer(&directory, request.headers())?;
    let channels = &tenant(&directory, &login)?.channels;
    let (head, body) = request.into_parts();
    if !head::is_media_type(&head.headers, "application/json") {
        return Err(Rejection::UnsupportedMediaType.into());
    }
    let body = body::read(&head.headers, body, BODY_LIMIT, gateway.limits.body_timeout).await?;
    keep(&gateway, transcript, read(&body, &login.tenant, channels)?);
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

pub(super) struct Said {
    pub(super) conversation: Conversation,
    pub(super) speaker: Speaker,
    pub(super) text: String,
}

/// Keeps what was said. Its conversation is on the list before it is counted: see [`super::feed`].
pub(super) fn keep(gateway: &Gateway, transcript: &Transcript, said: Said) {
    let now = gateway.clock.now();
    gateway.history.touch(&said.conversation, now);
    transcript.add(&said.conversation, said.speaker, &said.text, now);
}

fn read(body: &Bytes, tenant: &Name, channels: &Channels) -> Result<Said, Rejection> {
    let body = json::parse(body)?;
    let fields = Fields::of_body(&body)?;
    let mut faults = Faults::default();
    let within = Scope::tenant(tenant.clone());
    let conversation = fields::conversation(&fields, &mut faults, &within, channels);
    let role = fields::word(&fields, &mut faults, "composer", &fields::ROLES, fields::ROLE);
    let participant = fields::name(&fields, &mut faults, "participant", false);
    let name = fields::name(&fields, &mut faults, "name", false);
    let text = fields.required(&mut faults, "text", TEXT, |value| value.as_str());
    if text.is_some_and(str::is_empty) {
        fields.fault(&mut faults, "text", FaultKind::Empty, TEXT);
    }
    fields.only(&mut faults, &FIELDS, "one of the documented fields");
    faults.none()?;
    let (Some((conversation, _)), Some(role), Some(text)) = (conversation, role, text) else {
        unreachable!("a required field that could not be read is a fault");
    };
    let speaker = Speaker { role, participant: participant.map(Into::into), name: name.map(Into::into) };
    Ok(Said { conversation, speaker, text: text.to_owned() })
}
