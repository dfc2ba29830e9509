//! `POST /typing/v1/signals`: a composer says what it does.

use std::sync::Arc;

use axum::extract::{self, Request};
use bytes::Bytes;
use typingd_core::{Marks, Name, Policy, Scope, Side, Source, Utterance};
use typingd_providers::json::{self, Fields};
use typingd_providers::{Faults, Rejection, head};

use super::fields::{self, Said, State};
use super::problem::Problem;
use super::{BODY_LIMIT, NATIVE, authenticate, tenant};
use crate::directory::Channels;
use crate::gateway::Gateway;
use crate::listener::Response;
use crate::wire::DecisionBody;
use crate::{body, wire};

const FIELDS: [&str; 9] =
    ["channel", "agent", "user", "composer", "participant", "name", "state", "ttl_ms", "turn"];

pub(super) async fn post(
    extract::State(gateway): extract::State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, Problem> {
    let directory = gateway.directory.load_full();
    let login = authenticate(&gateway, &directory, &request)?;
    let channels = &tenant(&directory, &login)?.channels;
    let (head, body) = request.into_parts();
    if !head::is_media_type(&head.headers, "application/json") {
        return Err(Rejection::UnsupportedMediaType.into());
    }
    let body = body::read(&head.headers, body, BODY_LIMIT, gateway.limits.body_timeout).await?;
    let spoken = Spoken::read(&body, &login.tenant, channels, gateway.engine.policy())?;
    let now = gateway.clock.now();
    let outcome = gateway.hear(NATIVE, &spoken.side, spoken.utterance, now).await?;
    let decision = DecisionBody::new(&spoken.side, &outcome, spoken.clamped_ttl_ms, now, &gateway.clock);
    let mut response = super::json(&decision);
    wire::add_decision(response.headers_mut(), &outcome, now);
    Ok(response)
}

/// A signal as this API reads it.
struct Spoken {
    side: Side,
    utterance: Utterance,
    clamped_ttl_ms: Option<u64>,
}

impl Spoken {
    fn read(body: &Bytes, tenant: &Name, channels: &Channels, policy: &Policy) -> Result<Self, Rejection> {
        let body = json::parse(body)?;
        let fields = Fields::of_body(&body)?;
        let mut faults = Faults::default();
        let within = Scope::tenant(tenant.clone());
        let conversation = fields::conversation(&fields, &mut faults, &within, channels);
        let role = fields::word(&fields, &mut faults, "composer", &fields::ROLES, fields::ROLE);
        let participant = fields::name(&fields, &mut faults, "participant", false);
        let name = fields::name(&fields, &mut faults, "name", false);
        let expected = "`composing`, `paused` or `sent`";
        let state = fields::word(&fields, &mut faults, "state", &State::WORDS, expected);
        let channel_ttl = conversation.as_ref().map(|(_, channel)| channel.ttl).unwrap_or_default();
        let said = Said::read(&fields, &mut faults, state.unwrap_or(State::Paused), channel_ttl, policy);
        fields.only(&mut faults, &FIELDS, "one of the documented fields");
        faults.none()?;
        let (Some((conversation, _)), Some(role)) = (conversation, role) else {
            unreachable!("a required field that could not be read is a fault");
        };
        Ok(Self {
            side: Side { conversation, role },
            utterance: Utterance {
                participant: participant.map(Into::into),
                name: name.map(Into::into),
                signal: said.signal,
                source: Source::OneShot,
                origin: NATIVE.into(),
                marks: Marks { turn: said.turn, payload_id: None },
            },
            clamped_ttl_ms: said.clamped_ttl_ms,
        })
    }
}
