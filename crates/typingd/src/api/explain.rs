//! `GET /typing/v1/explain`: why the dots between an agent and a user are on, or not.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use http::Uri;
use serde::Serialize;
use typingd_core::{Conversation, Name, Role, Scope, Side, Time, User};
use typingd_providers::{FaultKind, Faults, Rejection};

use super::problem::Problem;
use super::upstreams::UpstreamBody;
use super::{authenticate, leases, scope};
use crate::clock::Clock;
use crate::gateway::Gateway;
use crate::history::{Called, Entry, Noted, What};
use crate::holds::Hold;
use crate::listener::Response;
use crate::wire::{self, LeaseBody};

pub(super) async fn get(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    let directory = gateway.directory.load_full();
    let login = authenticate(&gateway, &directory, &request)?;
    document(&gateway, &login.tenant, request.uri()).await
}

/// What a tenant is told, whose login is good: the leases that live within the query, and what led to them.
///
/// # Errors
/// Where the query is wrong, and where no history is kept.
pub(crate) async fn document(gateway: &Gateway, tenant: &Name, uri: &Uri) -> Result<Response, Problem> {
    let directory = gateway.directory.load_full();
    let info = directory.tenant(tenant).ok_or(Rejection::Unauthenticated)?;
    let scope = scope::parse(uri, &[], &Scope::tenant(tenant.clone()), &info.channels)?;
    let (agent, user) = between(&scope)?;
    let (now, clock) = (gateway.clock.now(), &gateway.clock);
    let timeline = gateway.history.explain(&scope, now)?;
    let mut listing = gateway.list(&scope, now).await?;
    leases::sort(&mut listing);
    let sides = sides(&scope, info.channels.keys());
    let holds: Vec<_> = sides.iter().flat_map(|side| gateway.holds.of(side, now)).collect();
    let told = |side: &Side| (side.conversation.channel().clone(), gateway.relay.told_of(side));
    let told: Vec<_> = sides.iter().map(told).collect();
    let upstreams = told.iter().flat_map(|(channel, standings)| {
        standings.iter().map(|standing| UpstreamBody::new(channel, standing, now))
    });
    let explained = Explained {
        agent,
        user: user.as_str(),
        as_of: wire::timestamp(clock.wall(now)),
        since_ms: gateway.history.span().as_millis(),
        leases: listing.leases.iter().map(|(side, lease)| LeaseBody::new(side, lease, now, clock)).collect(),
        holds: holds.iter().map(|(hold, left)| HoldBody::new(hold, *left, now)).collect(),
        upstreams: upstreams.collect(),
        timeline: timeline.iter().map(|noted| Told::new(noted, now, clock)).collect(),
    };
    let mut response = super::json(&explained);
    super::forbid_storing(&mut response);
    Ok(response)
}

/// The agent and the user, both of whom must be named.
fn between(scope: &Scope) -> Result<(&Name, &User), Rejection> {
    let mut faults = Faults::default();
    if scope.agent.is_none() {
        faults.add("agent", FaultKind::Missing, "the agent whose conversation is asked about");
    }
    if scope.user.is_none() {
        faults.add("user", FaultKind::Missing, "the user whose conversation is asked about");
    }
    faults.none()?;
    scope.agent.as_ref().zip(scope.user.as_ref()).ok_or(Rejection::Internal)
}

#[derive(Serialize)]
struct Explained<'a> {
    agent: &'a str,
    user: &'a str,
    as_of: String,
    /// How far back the timeline goes.
    since_ms: u128,
    leases: Vec<LeaseBody<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    holds: Vec<HoldBody<'a>>,
    /// Who else is told of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    upstreams: Vec<UpstreamBody<'a>>,
    timeline: Vec<Told<'a>>,
}

/// Both sides of an agent's and a user's conversations, over the channel of the scope or over all of them.
fn sides<'c>(scope: &Scope, channels: impl Iterator<Item = &'c Name>) -> Vec<Side> {
    let meant = channels.filter(|name| scope.channel.as_ref().is_none_or(|channel| channel == *name));
    let conversations =
        meant.filter_map(|name| Scope { channel: Some(name.clone()), ..scope.clone() }.as_conversation());
    let both =
        |conversation: Conversation| Role::BOTH.map(|role| Side { conversation: conversation.clone(), role });
    conversations.flat_map(both).collect()
}

/// A hold, without the id by which it could be ended.
#[derive(Serialize)]
struct HoldBody<'a> {
    channel: &'a str,
    composer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    /// Whether its dots show yet.
    has_begun: bool,
    /// Until it ends for want of a beat.
    idle_remaining_ms: u128,
    /// Until it ends in any case.
    max_remaining_ms: u128,
}

impl<'a> HoldBody<'a> {
    fn new(hold: &'a Hold, left: Duration, now: Time) -> Self {
        Self {
            channel: hold.side.conversation.channel(),
            composer: hold.side.role.as_str(),
            participant: hold.participant.as_deref(),
            note: hold.note.as_deref(),
            has_begun: hold.has_begun,
            idle_remaining_ms: left.as_millis(),
            max_remaining_ms: hold.ends_by.since(now).as_millis(),
        }
    }
}

/// An entry of the timeline.
#[derive(Serialize)]
struct Told<'a> {
    at: String,
    ago_ms: u128,
    channel: &'a str,
    composer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    participant: Option<&'a str>,
    #[serde(flatten)]
    what: Happened<'a>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Happened<'a> {
    Signal {
        signal: &'static str,
        door: &'static str,
        decision: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        times: u32,
        last_ago_ms: u128,
    },
    Change {
        change: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        remaining_ms: u128,
    },
    Call {
        upstream: &'a str,
        provider: &'static str,
        says: &'static str,
        verdict: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        took_ms: Option<u128>,
        times: u32,
        last_ago_ms: u128,
    },
}

impl<'a> Told<'a> {
    fn new(noted: &'a Noted, now: Time, clock: &Clock) -> Self {
        let Noted { channel, entry: Entry { at, role, participant, what } } = noted;
        let what = match what {
            &What::Signal { word, door, decision, times, last } => {
                let (decision, reason) = decision.words();
                let (signal, last_ago_ms) = (word.as_str(), now.since(last).as_millis());
                Happened::Signal { signal, door, decision, reason, times, last_ago_ms }
            }
            &What::Change { kind, until } => {
                let (change, reason) = wire::change_words(kind);
                Happened::Change { change, reason, remaining_ms: until.since(*at).as_millis() }
            }
            What::Call { called, times, last } => {
                let Called { upstream, provider, fate, .. } = &**called;
                let (verdict, reason) = fate.words();
                Happened::Call {
                    upstream,
                    provider,
                    says: called.says(),
                    verdict,
                    reason,
                    detail: fate.detail(),
                    took_ms: fate.took().map(|took| took.as_millis()),
                    times: *times,
                    last_ago_ms: now.since(*last).as_millis(),
                }
            }
        };
        Self {
            at: wire::timestamp(clock.wall(*at)),
            ago_ms: now.since(*at).as_millis(),
            channel,
            composer: role.as_str(),
            participant: participant.as_deref(),
            what,
        }
    }
}
