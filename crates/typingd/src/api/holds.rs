//! `/typing/v1/holds`: one call for an answer that takes its time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use bytes::Bytes;
use http::StatusCode;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use typingd_core::{Name, Outcome, Scope, Side, Source, Time};
use typingd_providers::json::{self, Fields};
use typingd_providers::{FaultKind, Faults, Rejection, head};
use uuid::Uuid;

use super::problem::Problem;
use super::{BODY_LIMIT, authenticate, fields, tenant};
use crate::body;
use crate::config::millis;
use crate::directory::{Channels, Login};
use crate::gateway::Gateway;
use crate::holds::{Ended, Hold};
use crate::ids;
use crate::listener::Response;
use crate::subscribe::attach;
use crate::wire::{self, DecisionBody};

/// Without evidence of work, a hold lasts this long unless it says otherwise.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// And this long in all.
const MAX: Duration = Duration::from_secs(15 * 60);

const LEAST: Duration = Duration::from_secs(1);
const MOST_IDLE: Duration = Duration::from_secs(60 * 60);
const MOST: Duration = Duration::from_secs(24 * 60 * 60);
const MOST_DELAY: Duration = Duration::from_secs(60);

/// Longer notes are nobody's, in bytes.
const NOTE_LIMIT: usize = 200;

const FIELDS: [&str; 11] = [
    "channel",
    "agent",
    "user",
    "composer",
    "participant",
    "name",
    "idle_ms",
    "max_ms",
    "start_delay_ms",
    "continue",
    "note",
];

/// `POST /typing/v1/holds`: begins one.
pub(super) async fn post(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct Begun<'a> {
        id: String,
        idle_ms: u64,
        max_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        starts_in_ms: Option<u64>,
        #[serde(flatten)]
        decision: Option<DecisionBody<'a>>,
    }
    let directory = gateway.directory.load_full();
    let login = authenticate(&gateway, &directory, &request)?;
    let info = tenant(&directory, &login)?;
    let body = read_body(&gateway, request).await?;
    let now = gateway.clock.now();
    let Wish { mut hold, max, delay } = read(&body, &login.tenant, &info.channels)?;
    hold.ends_by = now + max;
    let (idle_ms, max_ms) = (millis(hold.idle), millis(max));
    let begun = gateway.holds.begin(hold.clone(), info.quota.leases, now);
    let id = begun.ok_or(Rejection::TooMany { retry_after_s: 1 })?;
    let is_shared = gateway.share_hold(id, &hold, now).await;
    let mut response = if delay.is_zero() {
        let outcome = gateway.begin_hold(id, &hold, now).await?;
        let decision = DecisionBody::new(&hold.side, &outcome, None, now, &gateway.clock);
        let begun =
            Begun { id: id.to_string(), idle_ms, max_ms, starts_in_ms: None, decision: Some(decision) };
        let mut response = super::json(&begun);
        wire::add_decision(response.headers_mut(), &outcome, now);
        response
    } else {
        gateway.clone().begin_hold_later(id, hold, now + delay, is_shared);
        let starts_in_ms = Some(millis(delay));
        super::json(&Begun { id: id.to_string(), idle_ms, max_ms, starts_in_ms, decision: None })
    };
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// `POST /typing/v1/holds/{id}/beats`: there is evidence of work.
pub(super) async fn beat(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (id, hold, _) = find(&gateway, known(&gateway, &id, &request)?).await?;
    let now = gateway.clock.now();
    let outcome = gateway.beat(id, &hold, now).await?;
    Ok(decided(&gateway, &hold, &outcome, now))
}

/// `POST /typing/v1/holds/{id}/end`: the work is done, one way or another.
pub(super) async fn end(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (id, hold, _) = find(&gateway, known(&gateway, &id, &request)?).await?;
    let body = read_body(&gateway, request).await?;
    let reason = read_end(&body)?;
    let now = gateway.clock.now();
    let outcome = gateway.end_hold(id, &hold, reason, now).await?;
    Ok(decided(&gateway, &hold, &outcome, now))
}

/// `GET /typing/v1/holds/{id}/attach`: the hold lives exactly as long as this connection, up to its cap.
pub(super) async fn attach(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (id, hold, login) = find(&gateway, known(&gateway, &id, &request)?).await?;
    attach::stream(gateway, id, hold, &login)
}

fn decided(gateway: &Gateway, hold: &Hold, outcome: &Outcome, now: Time) -> Response {
    let mut response = super::json(&DecisionBody::new(&hold.side, outcome, None, now, &gateway.clock));
    wire::add_decision(response.headers_mut(), outcome, now);
    response
}

/// Whose hold is asked for, and which.
fn known(gateway: &Gateway, id: &str, request: &Request) -> Result<(Uuid, Arc<Login>), Rejection> {
    let directory = gateway.directory.load_full();
    let login = authenticate(gateway, &directory, request)?;
    let id = Uuid::try_parse(id).map_err(|_| Rejection::UnknownPath)?;
    Ok((id, login))
}

async fn find(
    gateway: &Gateway,
    (id, login): (Uuid, Arc<Login>),
) -> Result<(Uuid, Hold, Arc<Login>), Rejection> {
    // One that has ended and one that never was, or is another tenant's, are the same.
    let hold = gateway.find_hold(id, &login.tenant, gateway.clock.now()).await;
    Ok((id, hold.ok_or(Rejection::UnknownPath)?, login))
}

async fn read_body(gateway: &Gateway, request: Request) -> Result<Bytes, Rejection> {
    let (head, body) = request.into_parts();
    if !head::is_media_type(&head.headers, "application/json") {
        return Err(Rejection::UnsupportedMediaType);
    }
    body::read(&head.headers, body, BODY_LIMIT, gateway.limits.body_timeout).await
}

/// What somebody wishes for.
struct Wish {
    hold: Hold,
    max: Duration,
    delay: Duration,
}

fn read(body: &Bytes, tenant: &Name, channels: &Channels) -> Result<Wish, Rejection> {
    let body = json::parse(body)?;
    let fields = Fields::of_body(&body)?;
    let mut faults = Faults::default();
    let conversation = fields::conversation(&fields, &mut faults, &Scope::tenant(tenant.clone()), channels);
    let role = fields::word(&fields, &mut faults, "composer", &fields::ROLES, fields::ROLE);
    let participant = fields::name(&fields, &mut faults, "participant", false).map(Name::from);
    let name = fields::name(&fields, &mut faults, "name", false).map(Name::from);
    let max = span(&fields, &mut faults, "max_ms", MAX).clamp(LEAST, MOST);
    let idle = span(&fields, &mut faults, "idle_ms", IDLE).clamp(LEAST, MOST_IDLE).min(max);
    let delay = span(&fields, &mut faults, "start_delay_ms", Duration::ZERO).min(MOST_DELAY);
    let continues = fields.optional(&mut faults, "continue", "true or false", |value| value.as_bool());
    const NOTE: &str = "a text of up to 200 bytes";
    let note = fields.optional(&mut faults, "note", NOTE, |value| value.as_str());
    if note.is_some_and(|note| note.len() > NOTE_LIMIT) {
        fields.fault(&mut faults, "note", FaultKind::TooLong, NOTE);
    }
    fields.only(&mut faults, &FIELDS, "one of the documented fields");
    faults.none()?;
    let (Some((conversation, _)), Some(role)) = (conversation, role) else {
        unreachable!("a required field that could not be read is a fault");
    };
    let hold = Hold {
        side: Side { conversation, role },
        participant,
        name,
        note: note.map(str::to_owned),
        source: Source::Hold { id: ids::number(), continues: continues.unwrap_or(false) },
        idle,
        ends_by: Time::ZERO,
        has_begun: false,
        is_over: CancellationToken::new(),
        why: Arc::default(),
    };
    Ok(Wish { hold, max, delay })
}

fn span(fields: &Fields<'_, '_>, faults: &mut Faults, field: &str, default: Duration) -> Duration {
    let expected = "a whole number of milliseconds";
    fields.optional(faults, field, expected, |value| value.as_u64()).map_or(default, Duration::from_millis)
}

fn read_end(body: &Bytes) -> Result<Ended, Rejection> {
    let body = json::parse(body)?;
    let fields = Fields::of_body(&body)?;
    let mut faults = Faults::default();
    let reasons = [("sent", Ended::Sent), ("paused", Ended::Paused), ("nothing_to_say", Ended::Paused)];
    let expected = "`sent`, `paused` or `nothing_to_say`";
    let reason = fields::word(&fields, &mut faults, "reason", &reasons, expected);
    fields.only(&mut faults, &["reason"], "one of the documented fields");
    faults.none()?;
    Ok(reason.expect("what could not be read left a fault"))
}
