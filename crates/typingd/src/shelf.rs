//! What one node issued and another is shown: tickets and holds, put down in the store for as long as they are good.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use typingd_core::store::StoreError;
use typingd_core::{Conversation, Name, Role, Scope, Side, Source, Time, User};
use typingd_providers::KeyHasher;
use uuid::Uuid;

use crate::directory::Login;
use crate::gateway::Gateway;
use crate::holds::Hold;
use crate::tickets::{LIFETIME, Ticket};

/// How long it is known that a side ended something: longer than any hold waits before it begins.
const END_STANDS: Duration = Duration::from_secs(90);

/// For everybody of a side, and for whoever has no name. No participant is called so: names have no control characters.
const ALL: &str = "\0all";
const NAMELESS: &str = "\0nameless";

#[derive(Deserialize, Serialize)]
struct TicketRecord {
    tenant: String,
    /// The digest of the credential it was issued by.
    key: String,
    channel: Option<String>,
    agent: Option<String>,
    user: Option<String>,
    is_agent: bool,
    participant: Option<String>,
    name: Option<String>,
    may_write: bool,
}

#[derive(Deserialize, Serialize)]
struct HoldRecord {
    tenant: String,
    channel: String,
    agent: String,
    user: String,
    is_agent: bool,
    participant: Option<String>,
    name: Option<String>,
    note: Option<String>,
    id: u64,
    continues: bool,
    idle_ms: u64,
}

impl Gateway {
    /// Lets other nodes take in a ticket, too. One of the console's is good where the console's session is.
    pub(crate) async fn share_ticket(&self, text: &str, ticket: &Ticket) {
        let Some(shared) = self.engine.store().as_shared() else { return };
        if ticket.login.session.is_some() {
            return;
        }
        let record = TicketRecord {
            tenant: ticket.login.tenant.to_string(),
            key: ticket.login.key.to_hex().to_string(),
            channel: owned(ticket.scope.channel.as_ref()),
            agent: owned(ticket.scope.agent.as_ref()),
            user: ticket.scope.user.as_ref().map(|user| user.as_str().to_owned()),
            is_agent: ticket.role == Role::Agent,
            participant: owned(ticket.participant.as_ref()),
            name: owned(ticket.name.as_ref()),
            may_write: ticket.may_write,
        };
        let record = serde_json::to_vec(&record).expect("texts and flags can always be written");
        if shared.remote().put(&name_of_ticket(&self.keys.hasher, text), &record, LIFETIME).await.is_err() {
            debug!("a ticket is good at this node alone");
        }
    }

    /// Takes a ticket in, whichever node issued it. It is not good again, at any node that reaches the store.
    pub(crate) async fn redeem_ticket(&self, text: &str, now: Time) -> Option<Ticket> {
        let here = self.tickets.redeem(text, now);
        let Some(shared) = self.engine.store().as_shared() else { return here };
        if here.as_ref().is_some_and(|ticket| ticket.login.session.is_some()) {
            return here;
        }
        match shared.remote().take(&name_of_ticket(&self.keys.hasher, text)).await {
            Ok(record) => read_ticket(&record?),
            Err(_) => here,
        }
    }

    /// Lets other nodes prolong and end a hold, too. Says whether they can.
    pub(crate) async fn share_hold(&self, id: Uuid, hold: &Hold, now: Time) -> bool {
        let Some(shared) = self.engine.store().as_shared() else { return false };
        let Source::Hold { id: source, continues } = hold.source else { return false };
        let conversation = &hold.side.conversation;
        let record = HoldRecord {
            tenant: conversation.tenant().to_string(),
            channel: conversation.channel().to_string(),
            agent: conversation.agent().to_string(),
            user: conversation.user().as_str().to_owned(),
            is_agent: hold.side.role == Role::Agent,
            participant: owned(hold.participant.as_ref()),
            name: owned(hold.name.as_ref()),
            note: hold.note.clone(),
            id: source,
            continues,
            idle_ms: crate::config::millis(hold.idle),
        };
        let record = serde_json::to_vec(&record).expect("texts and numbers can always be written");
        let put = shared.remote().put(&name_of_hold(id), &record, hold.ends_by.since(now)).await;
        if put.is_err() {
            debug!("a hold is known at this node alone");
        }
        put.is_ok()
    }

    /// A hold of a tenant's, whichever node it began at.
    pub(crate) async fn find_hold(&self, id: Uuid, tenant: &Name, now: Time) -> Option<Hold> {
        if let Some(hold) = self.holds.find(id, tenant) {
            return Some(hold);
        }
        let shared = self.engine.store().as_shared()?;
        let (record, lasts) = shared.remote().look_at(&name_of_hold(id)).await.ok()??;
        let record: HoldRecord =
            serde_json::from_slice(&record).ok().filter(|of: &HoldRecord| *tenant == of.tenant)?;
        let hold = Hold {
            side: Side {
                conversation: Conversation::new(
                    record.tenant,
                    record.channel,
                    record.agent,
                    User::new(record.user),
                ),
                role: role(record.is_agent),
            },
            participant: record.participant.map(Name::from),
            name: record.name.map(Name::from),
            note: record.note,
            source: Source::Hold { id: record.id, continues: record.continues },
            idle: Duration::from_millis(record.idle_ms),
            ends_by: now + lasts,
            has_begun: true,
            is_over: CancellationToken::new(),
            why: Arc::default(),
        };
        self.holds.adopt(id, hold.clone(), now);
        Some(hold)
    }

    /// Whether a hold that was to begin, and was asked for at `since`, was ended at another node meanwhile.
    pub(crate) async fn was_ended_elsewhere(&self, id: Uuid, hold: &Hold, since: Time) -> bool {
        let Some(shared) = self.engine.store().as_shared() else { return false };
        // Before they are asked for: what was said just before the hold must not seem to come after it.
        let (remote, now) = (shared.remote(), self.clock.now());
        let whose = hold.participant.as_deref().unwrap_or(NAMELESS);
        let [hold_name, all, own] =
            [name_of_hold(id), name_of_end(&hold.side, ALL), name_of_end(&hold.side, whose)];
        let (known, all, own) =
            tokio::join!(remote.look_at(&hold_name), remote.look_at(&all), remote.look_at(&own));
        let is_later = |end: Result<Option<(Vec<u8>, Duration)>, StoreError>| {
            let lasts = end.ok().flatten().map(|(_, lasts)| lasts);
            lasts.is_some_and(|lasts| now.before(END_STANDS.saturating_sub(lasts)) >= since)
        };
        matches!(known, Ok(None)) || is_later(all) || is_later(own)
    }

    /// A side's message went out, or it paused: what was to begin at other nodes does not. With a participant, theirs
    /// and the nameless ones are meant.
    pub(crate) async fn end_beginnings(&self, side: &Side, participant: Option<&Name>) {
        let Some(shared) = self.engine.store().as_shared() else { return };
        let end = async |whose: &str| shared.remote().put(&name_of_end(side, whose), b"", END_STANDS).await;
        // Where the store is out of reach, nobody can be told.
        match participant {
            None => _ = Box::pin(end(ALL)).await,
            Some(whose) => _ = tokio::join!(Box::pin(end(whose)), Box::pin(end(NAMELESS))),
        }
    }

    /// A hold has ended.
    pub(crate) async fn forget_hold(&self, id: Uuid) {
        if let Some(shared) = self.engine.store().as_shared() {
            // It ends by itself.
            let _ = shared.remote().take(&name_of_hold(id)).await;
        }
    }
}

fn owned(name: Option<&Name>) -> Option<String> {
    name.map(Name::to_string)
}

fn role(is_agent: bool) -> Role {
    if is_agent { Role::Agent } else { Role::User }
}

/// Whoever reads names in the store can take nothing in by them.
fn name_of_ticket(hasher: &KeyHasher, text: &str) -> String {
    format!("ticket:{}", hasher.hash(text.as_bytes()).to_hex())
}

fn name_of_end(side: &Side, whose: &str) -> String {
    let Side { conversation, role } = side;
    let mut name = blake3::Hasher::new();
    let texts = [conversation.tenant(), conversation.channel(), conversation.agent()].map(Name::as_str);
    for text in texts.into_iter().chain([conversation.user().as_str(), role.as_str(), whose]) {
        name.update(&text.len().to_le_bytes()).update(text.as_bytes());
    }
    format!("end:{}", name.finalize().to_hex())
}

fn name_of_hold(id: Uuid) -> String {
    format!("hold:{}", blake3::hash(id.as_bytes()).to_hex())
}

fn read_ticket(record: &[u8]) -> Option<Ticket> {
    let record: TicketRecord = serde_json::from_slice(record).ok()?;
    Some(Ticket {
        login: Arc::new(Login {
            tenant: record.tenant.as_str().into(),
            key: blake3::Hash::from_hex(record.key).ok()?,
            session: None,
        }),
        scope: Scope {
            tenant: record.tenant.into(),
            channel: record.channel.map(Name::from),
            agent: record.agent.map(Name::from),
            user: record.user.map(User::new),
        },
        role: role(record.is_agent),
        participant: record.participant.map(Name::from),
        name: record.name.map(Name::from),
        may_write: record.may_write,
    })
}
