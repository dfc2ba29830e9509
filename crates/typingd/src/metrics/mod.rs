//! What operators count. No label ever carries an agent, a user or anything that a stranger chose.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use typingd_core::store::remote::Loss;
use typingd_core::transition::Change;
use typingd_core::{ChangeKind, StopReason, Time, Verdict};

use crate::relay::Activity;
use crate::wire;

mod members;
mod upstreams;

use members::Members;
use upstreams::Upstreams;

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    signals: Members<SignalLabels, Counter>,
    answers: Members<AnswerLabels, Counter>,
    durations: Members<DoorLabels, Histogram>,
    changes: Members<ChangeLabels, Counter>,
    lateness: Histogram,
    /// Live leases.
    pub leases: Gauge,
    /// Sides that are remembered, with a lease or a fence.
    pub sides: Gauge,
    /// Those who watch.
    pub subscribers: Gauge,
    /// Connections that are open.
    pub connections: Gauge,
    drops: Family<QueueLabels, Counter>,
    failures: Family<DoorLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    upstreams: Upstreams,
    events: Family<EventLabels, Counter>,
    losses: Family<LossLabels, Counter>,
    /// Decisions of this node alone, while the store was out of reach.
    pub local_decisions: Counter,
    /// Whether the store is out of reach.
    pub store_is_away: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct SignalLabels {
    door: &'static str,
    decision: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AnswerLabels {
    door: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DoorLabels {
    door: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ChangeLabels {
    change: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabels {
    queue: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReloadLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LossLabels {
    what: &'static str,
}

impl LossLabels {
    fn of(loss: Loss) -> Self {
        let what = match loss {
            Loss::Commits => "commits",
            Loss::Everything => "everything",
        };
        Self { what }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct EventLabels {
    provider: &'static str,
    outcome: &'static str,
}

/// What became of an event that a provider told.
#[derive(Clone, Copy, Debug)]
pub enum EventOutcome {
    /// It changed something.
    Heard,
    /// It was heard before.
    Duplicate,
    /// It was too old to be true.
    TooOld,
    /// There was nothing for it to change.
    Ignored,
}

/// A queue that may overflow.
#[derive(Clone, Copy, Debug)]
pub enum Queue {
    /// From the store to the hub.
    Feed,
    /// From the hub to one subscriber.
    Subscriber,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("typingd");
        let lateness = Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0]);
        let metrics = Self {
            registry: Registry::default(),
            signals: Members::default(),
            answers: Members::default(),
            durations: Members::new(Family::new_with_constructor(seconds)),
            changes: Members::default(),
            lateness: lateness.clone(),
            leases: Gauge::default(),
            sides: Gauge::default(),
            subscribers: Gauge::default(),
            connections: Gauge::default(),
            drops: Family::default(),
            failures: Family::default(),
            reloads: Family::default(),
            upstreams: Upstreams::default(),
            events: Family::default(),
            losses: Family::default(),
            local_decisions: Counter::default(),
            store_is_away: Gauge::default(),
        };
        metrics.upstreams.register(&mut registry);
        for loss in [Loss::Commits, Loss::Everything] {
            // Counted from zero on.
            drop(metrics.losses.get_or_create(&LossLabels::of(loss)));
        }
        registry.register("signals", "Signals heard, by door and decision", metrics.signals.family());
        registry.register("answers", "Requests answered, by door and status", metrics.answers.family());
        registry.register_with_unit(
            "request_duration",
            "From a request's head to its answer's",
            Unit::Seconds,
            metrics.durations.family(),
        );
        registry.register("changes", "Changes of leases, by reason", metrics.changes.family());
        registry.register_with_unit(
            "expiry_lateness",
            "From a lease's end to its being told",
            Unit::Seconds,
            lateness,
        );
        registry.register("leases", "Leases that live", metrics.leases.clone());
        registry.register(
            "sides",
            "Sides that are remembered, with a lease or a fence",
            metrics.sides.clone(),
        );
        registry.register("subscribers", "Streams that are open", metrics.subscribers.clone());
        registry.register("connections", "Connections that are open", metrics.connections.clone());
        registry.register("queue_drops", "What found no room in a queue", metrics.drops.clone());
        registry.register(
            "failed_authentications",
            "Requests with wrong credentials",
            metrics.failures.clone(),
        );
        registry.register("reloads", "Reloads of the configuration, by outcome", metrics.reloads.clone());
        registry.register(
            "webhook_events",
            "What providers told of users, by outcome",
            metrics.events.clone(),
        );
        registry.register("store_losses", "Shards of which something was not heard", metrics.losses.clone());
        registry.register(
            "local_decisions",
            "Signals decided while the store was out of reach",
            metrics.local_decisions.clone(),
        );
        registry.register(
            "store_is_away",
            "Whether the store is out of reach",
            metrics.store_is_away.clone(),
        );
        registry.register("build", "What runs here", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self { registry, ..metrics }
    }
}

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_1, 4.0, 9))
}

impl Metrics {
    /// A signal was heard.
    pub fn heard(&self, door: &'static str, verdict: Verdict) {
        let (decision, reason) = wire::words(verdict);
        self.signals.with(&SignalLabels { door, decision, reason: reason.unwrap_or("") }, Counter::inc);
    }

    /// A request was answered.
    pub fn answered(&self, door: &'static str, status: u16, took: std::time::Duration) {
        self.answers.with(&AnswerLabels { door, status }, Counter::inc);
        self.durations.with(&DoorLabels { door }, |durations| durations.observe(took.as_secs_f64()));
    }

    /// A request showed wrong credentials.
    pub fn failed(&self, door: &'static str) {
        self.failures.get_or_create(&DoorLabels { door }).inc();
    }

    /// A change was committed at `now`.
    pub fn changed(&self, change: &Change, now: Time) {
        let (word, reason) = wire::change_words(change.kind);
        self.changes.with(&ChangeLabels { change: word, reason: reason.unwrap_or("") }, Counter::inc);
        match change.kind {
            ChangeKind::Started => _ = self.leases.inc(),
            ChangeKind::Refreshed => {}
            ChangeKind::Stopped(_) => _ = self.leases.dec(),
        }
        if change.kind == ChangeKind::Stopped(StopReason::Expired) {
            self.lateness.observe(now.since(change.lease.expires_at).as_secs_f64());
        }
    }

    /// Something found no room.
    pub fn dropped(&self, queue: Queue) {
        let queue = match queue {
            Queue::Feed => "feed",
            Queue::Subscriber => "subscriber",
        };
        self.drops.get_or_create(&QueueLabels { queue }).inc();
    }

    /// Something that was committed elsewhere was not heard of.
    pub fn lost(&self, loss: Loss) {
        self.losses.get_or_create(&LossLabels::of(loss)).inc();
    }

    /// The configuration was read again.
    pub fn reloaded(&self, is_in_force: bool) {
        let outcome = if is_in_force { "in_force" } else { "refused" };
        self.reloads.get_or_create(&ReloadLabels { outcome }).inc();
    }

    /// What every account at a provider was asked so far.
    pub fn set_upstreams(&self, activity: &[Activity]) {
        self.upstreams.set(activity);
    }

    /// A provider told so many events that came to this.
    pub fn events_told(&self, provider: &'static str, outcome: EventOutcome, count: usize) {
        let outcome = match outcome {
            EventOutcome::Heard => "heard",
            EventOutcome::Duplicate => "duplicate",
            EventOutcome::TooOld => "too_old",
            EventOutcome::Ignored => "ignored",
        };
        if count > 0 {
            self.events.get_or_create(&EventLabels { provider, outcome }).inc_by(count as u64);
        }
    }

    /// All of it, in the text form that Prometheus scrapes.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a string takes all that is written");
        text
    }
}
