//! What accounts at providers were asked. Pacing counts; this only shows it.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use typingd_core::pacing::{BreakerState, Dropped};

use crate::relay::Activity;

/// One account's labels: names that an operator chose.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Account {
    tenant: String,
    upstream: String,
    provider: &'static str,
}

/// The same, with one thing that is counted apart.
macro_rules! labels {
    ($name:ident, $label:ident) => {
        #[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
        struct $name {
            tenant: String,
            upstream: String,
            provider: &'static str,
            $label: &'static str,
        }

        impl $name {
            fn new(account: &Account, $label: &'static str) -> Self {
                let Account { tenant, upstream, provider } = account.clone();
                Self { tenant, upstream, provider, $label }
            }
        }
    };
}

labels!(Said, says);
labels!(Answered, verdict);
labels!(Unsaid, reason);
labels!(Credential, state);

type Seconds = Counter<f64>;

/// What is shown of all accounts.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    calls: Family<Said, Counter>,
    answers: Family<Answered, Counter>,
    drops: Family<Unsaid, Counter>,
    fewest_calls: Family<Account, Counter>,
    gaps: Family<Account, Seconds>,
    ghosts: Family<Account, Seconds>,
    credentials: Family<Credential, Gauge>,
    in_flight: Family<Account, Gauge>,
    waiting: Family<Account, Gauge>,
    round_trips: Family<Account, Gauge<f64, std::sync::atomic::AtomicU64>>,
}

impl Upstreams {
    pub(super) fn register(&self, registry: &mut Registry) {
        let Self { calls, answers, drops, .. } = self;
        registry.register("upstream_calls", "Calls to providers, by what they say", calls.clone());
        registry.register("upstream_answers", "What became of calls to providers", answers.clone());
        let help = "Calls to providers that were due and not made, by reason";
        registry.register("upstream_drops", help, drops.clone());
        let help = "The fewest calls that could have shown the dots";
        registry.register("upstream_fewest_calls", help, self.fewest_calls.clone());
        let help = "Time with a lease and, by the model of the display, no dots";
        registry.register_with_unit("upstream_gap", help, Unit::Seconds, self.gaps.clone());
        let help = "Time with dots, by the model of the display, and no lease";
        registry.register_with_unit("upstream_ghost", help, Unit::Seconds, self.ghosts.clone());
        let help = "What is known of the credential: 1 for the state it is in";
        registry.register("upstream_credential", help, self.credentials.clone());
        registry.register("upstream_in_flight", "Calls being made", self.in_flight.clone());
        registry.register("upstream_waiting", "Calls that are due and wait", self.waiting.clone());
        let help = "The 99th percentile of the last round trips";
        registry.register_with_unit("upstream_round_trip_p99", help, Unit::Seconds, self.round_trips.clone());
    }

    /// Shows these, and forgets accounts that are not among them.
    pub(super) fn set(&self, activity: &[Activity]) {
        self.clear();
        for Activity { standing, counters, in_flight, waiting, round_trip } in activity {
            let account = Account {
                tenant: standing.tenant.to_string(),
                upstream: standing.upstream.to_string(),
                provider: standing.provider,
            };
            let count = |counter: &Counter, value: u64| counter.inner().store(value, Ordering::Relaxed);
            for (says, value) in [("composing", counters.types), ("paused", counters.stops)] {
                count(&self.calls.get_or_create(&Said::new(&account, says)), value);
            }
            for (verdict, value) in [
                ("accepted", counters.accepted),
                ("refused", counters.refused),
                ("unanswered", counters.unanswered),
            ] {
                count(&self.answers.get_or_create(&Answered::new(&account, verdict)), value);
            }
            for reason in Dropped::ALL {
                let value = counters.dropped(reason);
                count(&self.drops.get_or_create(&Unsaid::new(&account, reason.as_str())), value);
            }
            count(&self.fewest_calls.get_or_create(&account), counters.tally.fewest_calls);
            for (family, millis) in
                [(&self.gaps, counters.tally.gap_ms), (&self.ghosts, counters.tally.ghost_ms)]
            {
                let seconds = millis as f64 / 1_000.0;
                family.get_or_create(&account).inner().store(seconds.to_bits(), Ordering::Relaxed);
            }
            for state in STATES {
                let is_it = state == state_of(standing.breaker);
                self.credentials.get_or_create(&Credential::new(&account, state)).set(is_it.into());
            }
            self.in_flight.get_or_create(&account).set((*in_flight).into());
            self.waiting.get_or_create(&account).set(i64::try_from(*waiting).unwrap_or(i64::MAX));
            self.round_trips.get_or_create(&account).set(round_trip.as_secs_f64());
        }
    }

    fn clear(&self) {
        self.calls.clear();
        self.answers.clear();
        self.drops.clear();
        self.fewest_calls.clear();
        self.gaps.clear();
        self.ghosts.clear();
        self.credentials.clear();
        self.in_flight.clear();
        self.waiting.clear();
        self.round_trips.clear();
    }
}

const STATES: [&str; 4] = ["unproven", "accepted", "refused", "probing"];

fn state_of(breaker: BreakerState) -> &'static str {
    match breaker {
        BreakerState::Unproven => "unproven",
        BreakerState::Closed => "accepted",
        BreakerState::Open { .. } => "refused",
        BreakerState::Probing => "probing",
    }
}
