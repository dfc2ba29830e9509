//! The providers' webhooks: what they tell us that a user does.
//!
//! An address is `/webhooks/{token}`, and the token alone says whose it is. The codec knows whether a call is the
//! provider's and what it says; this knows whose conversation an event belongs to, and whether it came before.

mod seen;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use typingd_core::{
    Conversation, IgnoreReason, Marks, Name, Outcome, Role, Side, Signal, Source, Utterance, Verdict,
};
use typingd_providers::kaleyra::KaleyraWebhook;
use typingd_providers::pinnacle::PinnacleWebhook;
use typingd_providers::rbm::RbmWebhook;
use typingd_providers::webhook::BODY_LIMIT;
use typingd_providers::{ChannelKind, ChatState, KeyHasher, KeyRing, Rejection, UserSignal, Webhook};

use crate::api::problem::Problem;
use crate::config::{Proof, WebhookConfig};
use crate::directory::{Contradiction, Directory, TenantInfo};
use crate::gateway::Gateway;
use crate::hmac::HmacKey;
use crate::listener::{RequestBody, Response};
use crate::metrics::EventOutcome;
use crate::tenants::ByTenant;
use crate::{body, wire};
use seen::{Again, Seen};

/// The webhooks' name among the doors.
pub const WEBHOOK: &str = "webhook";

/// What every address begins with.
const PREFIX: &str = "/webhooks/";

/// The providers that have one, and the origins of the leases that it starts.
const ORIGINS: [(&str, &str); 3] =
    [("kaleyra", "kaleyra-webhook"), ("pinnacle", "pinnacle-webhook"), ("rbm", "rbm-webhook")];

/// The origin of leases that a provider's webhook starts, by which they are told from what its door starts.
#[must_use]
pub fn origin_of(provider: &str) -> Name {
    let known = ORIGINS.into_iter().find(|(name, _)| *name == provider);
    known.map_or(WEBHOOK, |(_, origin)| origin).into()
}

/// Whether a path is for webhooks, known or not.
#[must_use]
pub fn owns(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// All webhooks, by their tokens.
#[derive(Debug)]
pub struct Webhooks {
    by_token: KeyRing<Arc<Hook>>,
    /// What each remembers, by its tenant and its name.
    seen: HashMap<(Name, Name), Arc<Seen>>,
}

/// One webhook.
#[derive(Debug)]
pub struct Hook {
    tenant: Name,
    channel: Name,
    agents: BTreeMap<Name, Name>,
    ttl: Duration,
    codec: Box<dyn Webhook>,
    seen: Arc<Seen>,
}

impl Webhooks {
    /// None at all.
    #[must_use]
    pub fn none(hasher: &KeyHasher) -> Self {
        Self { by_token: KeyRing::new(hasher), seen: HashMap::new() }
    }

    /// The webhooks of these tenants. Those that were there `before` go on with what they remember.
    ///
    /// # Errors
    /// Says what contradicts what.
    pub fn new(
        configured: Vec<WebhookConfig>,
        tenants: &ByTenant<TenantInfo>,
        hasher: &KeyHasher,
        before: Option<&Self>,
    ) -> Result<Self, Contradiction> {
        let mut webhooks = Self::none(hasher);
        for (place, webhook) in configured.into_iter().enumerate() {
            let wrong = |(key, why)| Contradiction { door: WEBHOOK, place, key: Some(key), why };
            webhooks.add(webhook, tenants, hasher, before).map_err(wrong)?;
        }
        Ok(webhooks)
    }

    fn add(
        &mut self,
        webhook: WebhookConfig,
        tenants: &ByTenant<TenantInfo>,
        hasher: &KeyHasher,
        before: Option<&Self>,
    ) -> Result<(), (&'static str, String)> {
        let codec = codec(&webhook, hasher)?;
        let WebhookConfig { tenant, name, path_tokens, channel, agents, ttl, .. } = webhook;
        let channels = tenants.get(&tenant).map(|info| &info.channels);
        match channels.and_then(|channels| channels.get(&channel)).map(|channel| channel.kind) {
            Some(ChannelKind::Rcs) => {}
            Some(ChannelKind::Opaque) => {
                return Err(("channel", format!("the channel {channel} does not hold phone numbers")));
            }
            None => return Err(("channel", format!("no account of the tenant has the channel {channel}"))),
        }
        let key = (tenant.clone(), name);
        if self.seen.contains_key(&key) {
            return Err(("name", format!("two webhooks of the tenant are called `{}`", key.1)));
        }
        let known = before.and_then(|before| before.seen.get(&key)).cloned();
        let seen = known.unwrap_or_else(|| Arc::new(Seen::new(seen::BOUND)));
        self.seen.insert(key, seen.clone());
        let hook = Arc::new(Hook { tenant, channel, agents, ttl, codec, seen });
        for token in &path_tokens {
            if !self.by_token.insert(token, hook.clone()) {
                return Err(("path_tokens", "the same token of a path is claimed twice".to_owned()));
            }
        }
        Ok(())
    }

    /// The webhook at a path. Known or not, the same work is done.
    fn find(&self, path: &str) -> Option<&Arc<Hook>> {
        let token = path.strip_prefix(PREFIX).unwrap_or_default();
        self.by_token.get(token.as_bytes()).filter(|_| !token.is_empty())
    }
}

fn codec(webhook: &WebhookConfig, hasher: &KeyHasher) -> Result<Box<dyn Webhook>, (&'static str, String)> {
    let max_age = webhook.max_age;
    Ok(match &webhook.proof {
        Proof::Kaleyra => Box::new(KaleyraWebhook::new(&webhook.path_tokens, max_age, hasher)),
        Proof::Pinnacle { signing_secrets } => {
            Box::new(PinnacleWebhook::new(signing_secrets, max_age, hasher))
        }
        Proof::Rbm { client_token } => {
            let clear = client_token.clear().filter(|clear| !clear.is_empty());
            let why = "expected the client token in clear: a digest verifies no signature";
            let mac = HmacKey::new(clear.ok_or(("client_token", why.to_owned()))?.as_bytes());
            Box::new(RbmWebhook::new(client_token, Arc::new(mac), max_age, hasher))
        }
    })
}

/// Serves a call on a path of webhooks.
pub(crate) async fn serve(
    gateway: &Gateway,
    directory: &Directory,
    head: &Parts,
    body: RequestBody,
    address: IpAddr,
) -> Response {
    let answer = exchange(gateway, directory, head, body, address).await;
    answer.map_or_else(|rejection| Problem::from(rejection).into(), |answer| answer.map(Body::from))
}

async fn exchange(
    gateway: &Gateway,
    directory: &Directory,
    head: &Parts,
    body: RequestBody,
    address: IpAddr,
) -> Result<http::Response<Bytes>, Rejection> {
    let now = gateway.clock.now();
    gateway.failures.check(address, now)?;
    // Whoever guesses an address is as wrong as whoever guesses a key.
    let hook = directory.webhooks.find(head.uri.path());
    let noting = |rejection| {
        if matches!(rejection, Rejection::Unauthenticated | Rejection::UnknownPath) {
            gateway.note_failure(WEBHOOK, address, now);
        }
        rejection
    };
    let hook = hook.ok_or(Rejection::UnknownPath).map_err(noting)?;
    hook.codec.admit(head).map_err(noting)?;
    directory.tenant(&hook.tenant).ok_or(Rejection::UnknownPath)?.rate.spend()?;
    let body = body::read(&head.headers, body, BODY_LIMIT, gateway.limits.body_timeout).await?;
    let wall = gateway.clock.wall(gateway.clock.now());
    let delivery = hook.codec.decode(head, &body, wall).map_err(noting)?;
    if gateway.is_draining.load(Ordering::SeqCst) {
        // It is told again, to whoever is here then.
        return Err(Rejection::Unavailable);
    }
    gateway.metrics.events_told(hook.codec.name(), EventOutcome::TooOld, delivery.too_old);
    let mut outcomes = Vec::with_capacity(delivery.signals.len());
    for signal in delivery.signals {
        // What comes after one that is not taken comes again with it, so that their order stays.
        outcomes.push(hook.hear(gateway, signal).await?);
    }
    let mut answer = delivery.answer;
    match outcomes.as_slice() {
        [] => {}
        [outcome] => wire::add_decision(answer.headers_mut(), outcome, gateway.clock.now()),
        several => wire::add_accepted(answer.headers_mut(), several.len(), several),
    }
    Ok(answer)
}

impl Hook {
    /// Hears what a user did, unless it was heard before.
    async fn hear(&self, gateway: &Gateway, told: UserSignal) -> Result<Outcome, Rejection> {
        const DUPLICATE: Outcome = Outcome {
            verdict: Verdict::Ignored(IgnoreReason::Duplicate),
            lease: None,
            last_turn: None,
            is_local: false,
        };
        let count = |outcome| gateway.metrics.events_told(self.codec.name(), outcome, 1);
        let id = seen::id_of(&told, &gateway.keys.hasher);
        let pending = match id.map(|id| self.seen.begin(id)).transpose() {
            Ok(pending) => pending,
            Err(Again::Taken) => {
                count(EventOutcome::Duplicate);
                return Ok(DUPLICATE);
            }
            Err(Again::InHand) => return Err(Rejection::Unavailable),
        };
        let agent = self.agents.get(&told.agent).cloned().unwrap_or(told.agent);
        let conversation = Conversation::new(self.tenant.clone(), self.channel.clone(), agent, told.user);
        let utterance = Utterance {
            participant: None,
            name: None,
            signal: match told.signal {
                ChatState::Composing => Signal::Composing { ttl: self.ttl },
                ChatState::Paused => Signal::Paused,
                ChatState::Sent => Signal::Sent,
            },
            source: Source::OneShot,
            origin: origin_of(self.codec.name()),
            marks: Marks::default(),
        };
        let side = Side { conversation, role: Role::User };
        let outcome = gateway.hear(WEBHOOK, &side, utterance, gateway.clock.now()).await?;
        if let Some(pending) = pending {
            pending.take();
        }
        count(match outcome.verdict {
            Verdict::Ignored(_) => EventOutcome::Ignored,
            _ => EventOutcome::Heard,
        });
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use typingd_providers::Secret;

    #[test]
    fn every_webhook_has_an_origin_that_is_no_doors() {
        let hasher = KeyHasher::new([7; 32]);
        let proofs = [
            Proof::Kaleyra,
            Proof::Pinnacle { signing_secrets: vec![Secret::new("a")] },
            Proof::Rbm { client_token: Secret::new("a") },
        ];
        let origins = proofs.map(|proof| {
            let webhook = WebhookConfig {
                tenant: "acme".into(),
                name: "a".into(),
                path_tokens: Vec::new(),
                proof,
                channel: "rcs".into(),
                agents: BTreeMap::new(),
                ttl: Duration::ZERO,
                max_age: Duration::ZERO,
            };
            let name = codec(&webhook, &hasher).unwrap().name();
            assert_eq!(origin_of(name), format!("{name}-webhook"));
            name
        });
        assert_eq!(origins, ORIGINS.map(|(provider, _)| provider));
    }

    #[test]
    fn only_what_lies_under_the_prefix_is_a_webhooks() {
        for (path, is_one) in [
            ("/webhooks/x", true),
            ("/webhooks/", true),
            ("/webhooks/x/y", true),
            ("/webhooks", false),
            ("/webhooksx", false),
            ("/x/webhooks/y", false),
        ] {
            assert_eq!(owns(path), is_one, "{path}");
        }
    }
}
