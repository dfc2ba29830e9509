//! What lies under the relay's lock: who types where routes lead from, and what every provider is to be told of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use typingd_core::fleet::GROUPS;
use typingd_core::pacing::{BreakerState, Call, CallId, DroppedSend, Due, Pacer, UpstreamId, Verb, Verdict};
use typingd_core::transition::Change;
use typingd_core::{LeaseView, Name, Side, StopReason, Time};
use typingd_providers::KeyHasher;

use super::account::{Account, No};
use super::call::{Flight, Unsaid};
use super::charge::Charge;
use super::expectations::Expectations;
use super::refusals::Refusals;
use super::routes::Routes;
use super::sides::{Leases, Word};
use super::standing::Standing;
use crate::client::Client;
use crate::clock::Clock;
use crate::config::UpstreamAccount;
use crate::ids;

/// How many sides are told of at a time; the dots of one more are not shown.
const STREAMS: usize = 1_000_000;

/// An account, with what callers are told of its refusals.
#[derive(Debug)]
struct Known {
    account: Arc<Account>,
    refusals: Refusals,
}

/// A call that is being made.
#[derive(Clone, Debug, Default)]
pub(super) struct Aloft {
    /// Ends it.
    pub(super) cancelled: CancellationToken,
    /// Told when it has ended.
    pub(super) landed: CancellationToken,
    /// How many callers had come by its beginning that wait for verdicts: it is not about those who came later.
    expected: u64,
}

/// What lies under the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) pacer: Pacer,
    accounts: HashMap<UpstreamId, Known>,
    sides: HashMap<Side, Leases>,
    /// Calls that are being made.
    flights: HashMap<CallId, Aloft>,
    pub(super) expectations: Expectations,
    /// Sides with messages that are on their way, and how many.
    pub(super) departing: HashMap<Side, u32>,
    /// What of all that is this node's to tell.
    pub(super) charge: Charge,
    /// What accounts were told is over, with nothing to be said.
    pub(super) over: Vec<(Arc<Account>, Side)>,
}

impl State {
    pub(super) fn new(is_shared: bool) -> Self {
        let mut pacer = Pacer::new(STREAMS, ids::number());
        if is_shared {
            pacer = pacer.among_others();
            pacer.set_share(0, 1, Time::ZERO);
        }
        Self {
            pacer,
            accounts: HashMap::new(),
            sides: HashMap::new(),
            flights: HashMap::new(),
            expectations: Expectations::default(),
            departing: HashMap::new(),
            charge: if is_shared { Charge::of_none() } else { Charge::of_all() },
            over: Vec::new(),
        }
    }

    pub(super) fn account(&self, id: UpstreamId) -> Option<&Arc<Account>> {
        self.accounts.get(&id).map(|known| &known.account)
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = (UpstreamId, &Arc<Account>)> {
        self.accounts.iter().map(|(id, known)| (*id, &known.account))
    }

    pub(super) fn sides(&self) -> impl Iterator<Item = &Side> {
        self.sides.keys()
    }

    /// Keeps the accounts that have these settings, with all that they are in the middle of, and lets go of the others.
    pub(super) fn keep(&mut self, upstreams: &[UpstreamAccount], now: Time) {
        let Self { pacer, accounts, expectations, .. } = self;
        accounts.retain(|id, known| {
            let is_kept = upstreams.iter().any(|settings| known.account.has(settings));
            if is_kept {
                // Whoever reloads says that it works.
                pacer.reset(*id, now);
                known.refusals = Refusals::default();
            } else {
                pacer.remove(*id);
                expectations.forget(*id);
            }
            is_kept
        });
    }

    /// Adds the accounts that are not there yet, and says what all are known by.
    pub(super) fn add_new(
        &mut self,
        upstreams: &[UpstreamAccount],
        client: impl Fn() -> Client,
        hasher: &KeyHasher,
        clock: Clock,
        now: Time,
    ) -> HashMap<(Name, Name), (UpstreamId, Arc<Account>)> {
        for settings in upstreams {
            if !self.accounts.values().any(|known| known.account.has(settings)) {
                let account = Arc::new(Account::new(settings.clone(), client().apart(), clock, hasher));
                let id = self.pacer.add(account.profile(), &account.limits().pacing);
                // Messages that are on their way keep typing behind them here, too.
                for (side, count) in &self.departing {
                    (0..*count).for_each(|_| _ = self.pacer.before_message(id, side, now));
                }
                self.accounts.insert(id, Known { account, refusals: Refusals::default() });
            }
        }
        let by_name = |(id, account): (UpstreamId, &Arc<Account>)| {
            ((account.tenant().clone(), account.name().clone()), (id, account.clone()))
        };
        self.accounts().map(by_name).collect()
    }

    /// Applies a commit's changes.
    pub(super) fn apply(&mut self, routes: &Routes, side: &Side, changes: &[Change], now: Time) {
        let Self { pacer, sides, over, .. } = self;
        let leases = sides.entry(side.clone()).or_default();
        let before = leases.clone();
        leases.apply(changes);
        for way in routes.of(side) {
            for word in leases.words(&before, changes, way.account.provider()) {
                let is_sent = matches!(word, Word::End { reason: StopReason::Sent, .. });
                if is_sent && way.account.profile().cleared_by_message {
                    over.push((way.account.clone(), side.clone()));
                }
                say(pacer, way.upstream, side, word, now);
            }
        }
        if leases.is_empty() {
            sides.remove(side);
        }
    }

    /// Takes what lives on a side, as an answer says to what was asked at `asked`, in place of what was known: for every
    /// account, whether a route leads to it or not.
    pub(super) fn take_over(
        &mut self,
        routes: &Routes,
        side: &Side,
        leases: &[LeaseView],
        asked: Time,
        now: Time,
    ) {
        let mut known = Leases::default();
        known.replace(leases);
        for (id, account) in &self.accounts {
            let is_told = routes.of(side).any(|way| way.upstream == *id);
            match known.anew(account.account.provider()).filter(|_| is_told) {
                Some((since, until)) => self.pacer.resume(*id, side, since, until, asked, now),
                None => self.pacer.end(*id, side, StopReason::Revoked, now, now),
            }
        }
        if known.is_empty() || routes.of(side).next().is_none() {
            self.sides.remove(side);
        } else {
            self.sides.insert(side.clone(), known);
        }
    }

    /// Takes over a side from another node, with what that noted to have told.
    pub(super) fn adopt(
        &mut self,
        routes: &Routes,
        side: &Side,
        leases: &[LeaseView],
        told: impl Fn(&Name, &Side) -> Option<Time>,
        asked: Time,
        now: Time,
    ) {
        if self.sides.contains_key(side) {
            return self.take_over(routes, side, leases, asked, now);
        }
        let mut known = Leases::default();
        known.replace(leases);
        for way in routes.of(side) {
            let (since, until) = known.anew(way.account.provider()).unzip();
            let shown_until = told(way.account.name(), side);
            if until.is_some() || shown_until.is_some() {
                self.pacer.adopt(way.upstream, side, since.unwrap_or(now), until, shown_until, now);
            }
        }
        if !known.is_empty() && routes.of(side).next().is_some() {
            self.sides.insert(side.clone(), known);
        }
    }

    /// So many groups' part of what may be asked is this node's.
    pub(super) fn set_share(&mut self, groups: usize, now: Time) {
        let as_number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        self.pacer.set_share(as_number(groups), as_number(GROUPS), now);
    }

    /// Leaves such sides to other nodes. Calls about them that are in flight end by themselves.
    pub(super) fn leave(&mut self, is_left: impl Fn(&Side) -> bool) {
        let Self { pacer, sides, .. } = self;
        sides.retain(|side, _| {
            let is_left = is_left(side);
            if is_left {
                pacer.leave(side);
            }
            !is_left
        });
    }

    /// Takes note of how long a side's leases last by now.
    pub(super) fn look(&mut self, upstream: UpstreamId, side: &Side, leases: &[LeaseView], now: Time) {
        // Where it is not there any more, its end has been told.
        let (Some(known), Some(account)) = (self.sides.get_mut(side), self.accounts.get(&upstream)) else {
            return;
        };
        known.prolong(leases);
        if let Some(until) = known.until(account.account.provider()) {
            self.pacer.extend(upstream, side, until, now);
        }
    }

    /// A message passed, and whoever types on this side goes on: what it took away is shown again.
    pub(super) fn go_on(&mut self, routes: &Routes, side: &Side, now: Time) {
        let Some(known) = self.sides.get(side) else { return };
        for way in routes.of(side) {
            if let Some(until) = known.until(way.account.provider()) {
                // What began in the message's own millisecond would pass for what it ended.
                let since = now + Duration::from_millis(1);
                self.pacer.begin(way.upstream, side, since, until, now);
            }
        }
    }

    /// What is to be done now; and tells those who wait what has become of it.
    pub(super) fn due(&mut self, now: Time) -> Due {
        let due = self.pacer.due(now);
        for DroppedSend { upstream, side, reason, verb } in &due.dropped {
            if *verb == Verb::Stop {
                continue;
            }
            let Some(known) = self.accounts.get(upstream) else { continue };
            let waits = self.pacer.credential(*upstream).map(|credential| credential.not_before().since(now));
            let why = known.refusals.of_dropped(*reason, &side.conversation, waits.unwrap_or_default());
            self.expectations.meet(*upstream, side, u64::MAX, &Err(why));
        }
        let Self { pacer, accounts, expectations, .. } = self;
        expectations.meet_known(|upstream, side| {
            if pacer.is_pending(upstream, side) {
                return None;
            }
            // What shows already, or is over meanwhile, needs no call; what was refused a moment ago gets none.
            if pacer.is_shown(upstream, side, now) || !pacer.is_live(upstream, side) {
                return Some(Ok(()));
            }
            accounts.get(&upstream)?.refusals.of(&side.conversation).map(Err)
        });
        due
    }

    /// How an account stands.
    pub(super) fn standing(&self, upstream: UpstreamId) -> Option<Standing> {
        let (account, credential) = (self.account(upstream)?, self.pacer.credential(upstream)?);
        Some(Standing {
            tenant: account.tenant().clone(),
            upstream: account.name().clone(),
            provider: account.provider(),
            role: account.role(),
            breaker: credential.breaker(),
            not_before: credential.not_before(),
            dots_until: None,
        })
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.pacer.deadline()
    }

    /// A call that begins; `None` where its account was taken away a moment ago.
    pub(super) fn begin(&mut self, call: Call) -> Option<Flight> {
        let account = self.account(call.upstream)?.clone();
        let aloft = Aloft { expected: self.expectations.count(), ..Aloft::default() };
        self.flights.insert(call.id, aloft.clone());
        Some(Flight::new(call, account, aloft.cancelled))
    }

    /// What was not said, for the history and the log.
    pub(super) fn unsaid(&self, dropped: DroppedSend) -> Option<Unsaid> {
        let account = self.account(dropped.upstream)?.clone();
        Some(Unsaid::new(dropped, account))
    }

    /// A call that is being made.
    pub(super) fn flight(&self, call: CallId) -> Option<Aloft> {
        self.flights.get(&call).cloned()
    }

    /// A call has ended. Gives the state of its credential's breaker before and after.
    pub(super) fn land(
        &mut self,
        call: &Call,
        verdict: Verdict,
        told: Option<&Result<(), No>>,
        now: Time,
    ) -> [Option<BreakerState>; 2] {
        let aloft = self.flights.remove(&call.id).unwrap_or_default();
        aloft.landed.cancel();
        let before = self.breaker(call.upstream);
        self.pacer.answered(call.id, verdict, now);
        if let (Some(known), Some(told)) = (self.accounts.get_mut(&call.upstream), told) {
            let told = told.as_ref().map_err(No::rejection).copied();
            known.refusals.note(verdict, &call.side.conversation, told.as_ref().err());
            if call.verb == Verb::Type {
                self.expectations.meet(call.upstream, &call.side, aloft.expected, &told);
            }
        }
        [before, self.breaker(call.upstream)]
    }

    fn breaker(&self, upstream: UpstreamId) -> Option<BreakerState> {
        self.pacer.credential(upstream).map(|credential| credential.breaker())
    }

    /// Whether nothing is being said, nor due until then.
    pub(super) fn is_settled(&self, until: Time) -> bool {
        self.flights.is_empty() && self.deadline().is_none_or(|deadline| deadline > until)
    }
}

fn say(pacer: &mut Pacer, upstream: UpstreamId, side: &Side, word: Word, now: Time) {
    match word {
        Word::Begin { since, until } => pacer.begin(upstream, side, since, until, now),
        Word::Extend { until } => pacer.extend(upstream, side, until, now),
        Word::End { reason, at } => pacer.end(upstream, side, reason, at, now),
    }
}
