//! This node as one of several: what it answers for, what all know of credentials, and whether the store is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};
use typingd_core::Side;
use typingd_core::fleet::Groups;
use typingd_core::pacing::{News, UpstreamId};
use typingd_core::store::near::NodeMemory;
use typingd_redis::{Credential, Credentials, Fleet as Registry, TICK, Ticked};

use crate::commits::Commits;
use crate::gateway::Gateway;
use crate::ids;
use crate::relay::Account;

/// How long one node alone may try a credential of which nothing is known.
const TRIAL: Duration = Duration::from_secs(5);

/// How many ticks in a row fail before those who watch are told: one may be slow.
const FAILURES: u32 = 2;

/// This node's place among the others.
pub struct Fleet {
    registry: Arc<Registry<Arc<NodeMemory<Commits>>>>,
    is_away: AtomicBool,
    /// Rings with each tick.
    catches_up: Notify,
    /// Held while it ticks; true when it ticks no more.
    is_leaving: Mutex<bool>,
}

impl Fleet {
    /// A place under a name that nobody else has.
    #[must_use]
    pub fn new(store: &crate::store::Shared) -> Self {
        let registry = Arc::new(store.remote().fleet(ids::unique().simple().to_string()));
        Self {
            registry,
            is_away: AtomicBool::new(false),
            catches_up: Notify::new(),
            is_leaving: Mutex::default(),
        }
    }

    /// Whether the store is out of reach, so that this node does not know of what others do.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    /// What is wrong with the store, for people.
    #[must_use]
    pub fn trouble(&self, gateway: &Gateway) -> Option<String> {
        let why = self.is_away().then(|| gateway.engine.store().trouble().unwrap_or_default())?;
        let what = match gateway.engine.store().serves_when_away() {
            true => "this node goes on alone",
            false => "signals are refused",
        };
        Some(format!("store: out of reach, {what} ({why})"))
    }

    /// Keeps the place, for ever.
    pub async fn run(&self, gateway: &Gateway) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut give_back, mut failures, mut known) = (Groups::default(), 0, Credentials::new());
        loop {
            ticks.tick().await;
            let is_leaving = self.is_leaving.lock().await;
            if *is_leaving {
                return std::future::pending().await;
            }
            match self.registry.tick(give_back).await {
                Ok(Ticked { tenure, excess, credentials }) => {
                    failures = 0;
                    give_back = excess;
                    let groups = tenure.groups.without(excess);
                    if let Some(shared) = gateway.engine.store().as_shared() {
                        shared.remote().look_after(groups);
                    }
                    let now = gateway.clock.now();
                    gateway.relay.take_charge(groups, tenure.until, gateway.engine.store(), now);
                    if let Some(credentials) = credentials {
                        hear(gateway, &known, &credentials);
                        known = credentials;
                    }
                    self.catches_up.notify_one();
                }
                Err(_) => {
                    failures += 1;
                    if failures >= FAILURES {
                        gateway.relay.go_blind();
                    }
                }
            }
            drop(is_leaving);
            self.note_away(failures >= FAILURES, gateway).await;
            if gateway.engine.store().trouble().is_none() {
                gateway.hub.pay_debts();
            }
        }
    }

    /// Finds out what is to be told where this node has begun to answer for it, for ever. It may take longer than a tick.
    pub async fn catch_up(&self, gateway: &Gateway) {
        loop {
            self.catches_up.notified().await;
            if let Err(error) = gateway.relay.catch_up(gateway).await {
                debug!(%error, "what is to be told is looked up again");
            }
        }
    }

    /// Takes nothing more to answer for.
    pub async fn stop(&self) {
        *self.is_leaving.lock().await = true;
    }

    async fn note_away(&self, is_away: bool, gateway: &Gateway) {
        if self.is_away.swap(is_away, Ordering::Relaxed) == is_away {
            return;
        }
        gateway.metrics.store_is_away.set(i64::from(is_away));
        if is_away {
            let why = gateway.engine.store().trouble().unwrap_or_default();
            warn!(why, "the store is out of reach: this node goes on alone");
            gateway.hub.tell_degraded().await;
        } else {
            info!("the store is there again");
            gateway.hub.tell_recovered();
        }
    }

    /// Gives up what it answers for, so that others take it at once.
    pub async fn leave(&self) {
        if self.registry.leave().await.is_err() {
            warn!("the other nodes could not be told that this one leaves");
        }
    }

    /// Asks for an account's credential to be this node's to try.
    pub(crate) fn ask_to_try(&self, gateway: &Arc<Gateway>, upstream: UpstreamId, mark: String) {
        let (registry, gateway) = (self.registry.clone(), gateway.clone());
        tokio::spawn(async move {
            let asked_at = gateway.clock.now();
            // Where nobody can be asked, nobody is waited for.
            if registry.try_first(&mark, TRIAL).await.unwrap_or(true) {
                gateway.relay.permit(upstream, asked_at + TRIAL);
            }
        });
    }

    /// Tells the others what was learned of a credential.
    pub(crate) fn tell_of_credential(&self, mark: String, news: News) {
        let registry = self.registry.clone();
        tokio::spawn(async move {
            let known = match news {
                News::Proven => Some(Credential::Proven),
                News::Refused { until } => Some(Credential::Refused { until }),
                News::Forgotten => None,
            };
            if registry.note_credential(&mark, known).await.is_err() {
                debug!("the other nodes could not be told of a credential");
            }
        });
    }

    /// Forgets what accounts were told that is over.
    pub(crate) fn forget_told(&self, gateway: &Arc<Gateway>, over: Vec<(Arc<Account>, Side)>) {
        if over.is_empty() {
            return;
        }
        let gateway = gateway.clone();
        tokio::spawn(async move {
            for (account, side) in over {
                gateway.engine.store().forget_told(account.name(), &side).await;
            }
        });
    }
}

/// Hears what others learned since the credentials were known like this.
fn hear(gateway: &Gateway, before: &Credentials, after: &Credentials) {
    for (mark, known) in after {
        let news = match known {
            Credential::Proven => News::Proven,
            Credential::Refused { until } => News::Refused { until: *until },
        };
        gateway.relay.hear_credential(mark, news);
    }
    let now = gateway.clock.now();
    for (mark, known) in before {
        let is_gone = !after.iter().any(|(other, _)| other == mark);
        // One whose time is over has not been forgiven: it is tried again.
        if is_gone && matches!(known, Credential::Refused { until } if *until > now) {
            gateway.relay.hear_credential(mark, News::Forgotten);
        }
    }
}
