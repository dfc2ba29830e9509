//! The suite that every store must pass: what the engine relies on, and no more.
//!
//! A store's own tests give a [`Harness`] and call [`run`].

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use crate::conversation::{Conversation, Role, Scope, Side, User};
use crate::lease::{LeaseView, SideState};
use crate::policy::Policy;
use crate::signal::{Marks, Signal, Source, Utterance};
use crate::store::{Commit, Presence, Store, StoreError};
use crate::time::Time;
use crate::transition::{ChangeKind, Input, Outcome, StopReason, Verdict, transition};

/// A fresh, empty store with room for [`CAPACITY`] sides, and an ear at its feed.
pub trait Harness {
    /// The store under test.
    type Store: Store;

    /// The store.
    fn store(&self) -> &Self::Store;

    /// What was published since the last call, once all that was committed has arrived.
    fn published(&self) -> impl Future<Output = Vec<Commit>>;

    /// Whether it takes [`CAPACITY`] sides whichever they are. A store with a bound for each of several parts does not.
    fn fills_evenly(&self) -> bool {
        true
    }
}

/// How many sides the store under test must have room for, and no more.
pub const CAPACITY: usize = 100;

/// Runs the suite. `fresh` is called once for each part of it.
///
/// # Panics
/// Where the store breaks the contract.
pub async fn run<H: Harness>(fresh: impl AsyncFn() -> H) {
    an_update_is_kept_and_published(&fresh().await).await;
    a_commit_says_whether_the_side_is_remembered(&fresh().await).await;
    commits_of_a_side_are_published_in_order(&fresh().await).await;
    a_side_is_due_at_its_deadline_and_not_before(&fresh().await).await;
    a_deadline_that_moves_is_followed(&fresh().await).await;
    a_limit_leaves_the_rest_for_the_next_call(&fresh().await).await;
    a_scope_lists_what_it_covers(&fresh().await).await;
    a_listing_says_when_it_was_cut(&fresh().await).await;
    a_listing_knows_what_it_has_seen(&fresh().await).await;
    a_lapsed_lease_is_not_listed(&fresh().await).await;
    let bounded = fresh().await;
    if bounded.fills_evenly() {
        a_full_store_takes_no_new_side(&bounded).await;
    }
    a_storm_of_starts_and_stops_changes_nothing_for_the_others(&fresh().await).await;
    random_operations_agree_with_a_map(&fresh().await).await;
}

async fn an_update_is_kept_and_published<H: Harness>(harness: &H) {
    let side = side("acme", "rcs", "bot", "+1");
    assert_eq!(say(harness, &side, composing(20_000), 0).await.verdict, Verdict::Started);
    assert_eq!(say(harness, &side, composing(20_000), 1_000).await.verdict, Verdict::Extended);
    assert_eq!(say(harness, &side, sent(), 2_000).await.verdict, Verdict::Ended);
    let told: Vec<_> = changes(&harness.published().await);
    assert_eq!(told, [(side.clone(), ChangeKind::Started), (side, ChangeKind::Stopped(StopReason::Sent))]);
}

async fn a_commit_says_whether_the_side_is_remembered<H: Harness>(harness: &H) {
    let side = side("acme", "rcs", "bot", "+1");
    for (utterance, at) in [(sent(), 0), (composing(20_000), 0), (composing(20_000), 1), (sent(), 2)] {
        say(harness, &side, utterance, at).await;
    }
    let commits = harness.published().await;
    let told: Vec<_> =
        commits.iter().map(|commit| commit.presence).filter(|p| *p != Presence::Unchanged).collect();
    assert_eq!(told, [Presence::Appeared, Presence::Vanished]);
}

async fn commits_of_a_side_are_published_in_order<H: Harness>(harness: &H) {
    let side = side("acme", "rcs", "bot", "+1");
    for at in 0..50 {
        say(harness, &side, if at % 2 == 0 { composing(20_000) } else { sent() }, at).await;
    }
    let commits = harness.published().await;
    let positions: Vec<_> = commits.iter().filter(|c| !c.changes.is_empty()).map(|c| c.position).collect();
    assert_eq!(positions.len(), 50);
    assert!(
        positions.windows(2).all(|two| two[0].shard == two[1].shard && two[0].sequence < two[1].sequence)
    );
}

async fn a_side_is_due_at_its_deadline_and_not_before<H: Harness>(harness: &H) {
    let side = side("acme", "rcs", "bot", "+1");
    say(harness, &side, composing(20_000), 0).await;
    let early = harness.store().due(at(19_999), 10).await;
    assert!(early.sides.is_empty());
    assert!(early.next.is_some_and(|next| next <= at(20_000)), "something is known to come");
    assert_eq!(harness.store().due(at(20_000), 10).await.sides, std::slice::from_ref(&side));
    lapse(harness, &side, 20_000).await;
    let told = changes(&harness.published().await);
    assert_eq!(told.last(), Some(&(side, ChangeKind::Stopped(StopReason::Expired))));
    let after = harness.store().due(at(90_000), 10).await;
    assert!(after.sides.is_empty() && after.next.is_none(), "nothing is left to come");
}

async fn a_deadline_that_moves_is_followed<H: Harness>(harness: &H) {
    let side = side("acme", "rcs", "bot", "+1");
    say(harness, &side, composing(20_000), 0).await;
    // Earlier: a later end must be told at 15 s.
    say(harness, &side, composing(20_000), 9_000).await;
    assert!(harness.store().due(at(14_999), 10).await.sides.is_empty());
    assert_eq!(harness.store().due(at(15_000), 10).await.sides, std::slice::from_ref(&side));
    lapse(harness, &side, 15_000).await;
    // Later: told, it is due at its end.
    assert!(harness.store().due(at(28_999), 10).await.sides.is_empty());
    assert_eq!(harness.store().due(at(29_000), 10).await.sides, [side]);
}

async fn a_limit_leaves_the_rest_for_the_next_call<H: Harness>(harness: &H) {
    for user in 0..10 {
        say(harness, &side("acme", "rcs", "bot", &format!("+{user}")), composing(1_000), 0).await;
    }
    let mut taken = Vec::new();
    for _ in 0..10 {
        let due = harness.store().due(at(1_000), 3).await;
        assert!(due.sides.len() <= 3);
        assert!(due.cut || taken.len() + due.sides.len() == 10, "it says when it left some behind");
        for side in due.sides {
            lapse(harness, &side, 1_000).await;
            taken.push(side);
        }
    }
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 10);
}

async fn a_scope_lists_what_it_covers<H: Harness>(harness: &H) {
    for (tenant, channel, agent, user) in [
        ("acme", "rcs", "bot", "+1"),
        ("acme", "rcs", "bot", "+2"),
        ("acme", "sf", "desk", "+1"),
        ("other", "rcs", "bot", "+1"),
    ] {
        say(harness, &side(tenant, channel, agent, user), composing(20_000), 0).await;
    }
    let user_side = Side { role: Role::User, ..side("acme", "rcs", "bot", "+1") };
    say(harness, &user_side, composing(7_000), 0).await;
    let counts = [
        (scope(None, None, None), 4),
        (scope(Some("rcs"), None, None), 3),
        (scope(None, Some("bot"), None), 3),
        (scope(None, None, Some("+1")), 3),
        (scope(Some("sf"), None, Some("+1")), 1),
        (scope(None, Some("bot"), Some("+1")), 2),
        (scope(Some("rcs"), Some("bot"), Some("+1")), 2),
        (scope(Some("sf"), Some("bot"), Some("+1")), 0),
        (Scope::tenant("nobody"), 0),
    ];
    for (scope, count) in counts {
        let listing = harness.store().leases(&scope, at(1), 10).await;
        assert_eq!(listing.leases.len(), count, "{scope:?}");
        assert!(listing.leases.iter().all(|(side, _)| scope.covers(&side.conversation)));
        assert!(!listing.cut);
    }
    say(harness, &side("acme", "rcs", "bot", "+1"), sent(), 2).await;
    let listing = harness.store().leases(&scope(None, None, Some("+1")), at(2), 10).await;
    assert_eq!(listing.leases.len(), 2, "what ended is not listed");
}

async fn a_listing_says_when_it_was_cut<H: Harness>(harness: &H) {
    for user in 0..5 {
        say(harness, &side("acme", "rcs", "bot", &format!("+{user}")), composing(20_000), 0).await;
    }
    let exact = harness.store().leases(&Scope::tenant("acme"), at(1), 5).await;
    assert!(exact.leases.len() == 5 && !exact.cut);
    let cut = harness.store().leases(&Scope::tenant("acme"), at(1), 4).await;
    assert!(cut.leases.len() == 4 && cut.cut);
}

async fn a_listing_knows_what_it_has_seen<H: Harness>(harness: &H) {
    let (first, second) = (side("acme", "rcs", "bot", "+1"), side("acme", "rcs", "bot", "+2"));
    say(harness, &first, composing(20_000), 0).await;
    let listings = [
        harness.store().leases(&Scope::tenant("acme"), at(1), 10).await,
        harness.store().leases(&scope(Some("rcs"), Some("bot"), Some("+1")), at(1), 10).await,
    ];
    say(harness, &first, sent(), 2).await;
    say(harness, &second, composing(20_000), 2).await;
    let commits = harness.published().await;
    for listing in listings {
        let new: Vec<_> = commits
            .iter()
            .filter(|commit| !commit.changes.is_empty() && !listing.as_of.includes(commit.position))
            .map(|commit| commit.side.clone())
            .collect();
        assert_eq!(new, [first.clone(), second.clone()]);
    }
}

async fn a_lapsed_lease_is_not_listed<H: Harness>(harness: &H) {
    say(harness, &side("acme", "rcs", "bot", "+1"), composing(20_000), 0).await;
    assert_eq!(harness.store().leases(&Scope::tenant("acme"), at(19_999), 10).await.leases.len(), 1);
    assert_eq!(harness.store().leases(&Scope::tenant("acme"), at(20_000), 10).await.leases.len(), 0);
}

async fn a_full_store_takes_no_new_side<H: Harness>(harness: &H) {
    let user = |n: usize| side("acme", "rcs", "bot", &format!("+{n}"));
    for n in 0..CAPACITY {
        say(harness, &user(n), composing(20_000), 0).await;
    }
    let update = |side, input: Input| {
        let policy = Policy::default();
        async move {
            harness.store().update(&side, at(1), |state| transition(state, &input, at(1), &policy)).await
        }
    };
    assert_eq!(update(user(CAPACITY), Input::Say(composing(20_000))).await, Err(StoreError::Full));
    assert!(update(user(0), Input::Say(composing(20_000))).await.is_ok(), "a known side is served");
    assert!(update(user(0), Input::Say(sent())).await.is_ok());
    assert!(update(user(CAPACITY), Input::Say(composing(20_000))).await.is_ok(), "there is room again");
}

async fn a_storm_of_starts_and_stops_changes_nothing_for_the_others<H: Harness>(harness: &H) {
    let (calm, busy) = (side("acme", "rcs", "bot", "+1"), side("acme", "rcs", "bot", "+2"));
    say(harness, &calm, composing(60_000), 0).await;
    for at in 0..20_000 {
        say(harness, &busy, composing(60_000), at).await;
        say(harness, &busy, sent(), at).await;
    }
    assert!(harness.store().due(at(59_999), 10).await.sides.is_empty(), "what stopped is not due");
    assert_eq!(harness.store().due(at(60_000), 10).await.sides, [calm]);
}

/// Many operations on few sides, each compared with a plain map that runs the same rules.
async fn random_operations_agree_with_a_map<H: Harness>(harness: &H) {
    let policy = Policy::default();
    let mut model: BTreeMap<Side, SideState> = BTreeMap::new();
    let mut random = Lcg(42);
    let mut now = 0;
    for _ in 0..5_000 {
        now += random.below(1_500);
        let due = harness.store().due(at(now), 1_000).await;
        let mut expected: Vec<_> = model
            .iter()
            .filter(|(_, state)| state.deadline() <= Some(at(now)))
            .map(|(side, _)| side.clone())
            .collect();
        let mut sides = due.sides;
        sides.sort();
        expected.sort();
        assert_eq!(sides, expected, "due at {now}");
        for side in sides {
            let outcome = lapse(harness, &side, now).await;
            assert_eq!(outcome, step(&mut model, &side, &Input::Lapse, now, &policy));
        }
        let user = ["+1", "+2", "+14155550123", "+3 4", "visitor"][random.below(5) as usize];
        let agent = ["bot", "ada"][random.below(2) as usize];
        let role = Role::BOTH[random.below(2) as usize];
        let side = Side { role, ..side(["acme", "other"][random.below(2) as usize], "rcs", agent, user) };
        let input = Input::Say(random.utterance());
        let outcome =
            harness.store().update(&side, at(now), |state| transition(state, &input, at(now), &policy)).await;
        assert_eq!(outcome, Ok(step(&mut model, &side, &input, now, &policy)));
        if random.below(5) == 0 {
            let narrow = |random: &mut Lcg, to: &'static str| (random.below(2) == 0).then_some(to);
            let scope = scope(None, narrow(&mut random, agent), narrow(&mut random, user));
            let listed = harness.store().leases(&scope, at(now), 1_000).await.leases;
            assert_eq!(sorted(listed), sorted(living(&model, &scope, now)), "in {scope:?} at {now}");
        }
    }
}

fn living(model: &BTreeMap<Side, SideState>, scope: &Scope, now: u64) -> Vec<(Side, LeaseView)> {
    let sides = model.iter().filter(|(side, _)| scope.covers(&side.conversation));
    let leases =
        sides.flat_map(|(side, state)| state.leases.iter().map(|lease| (side.clone(), lease.view())));
    leases.filter(|(_, lease)| lease.expires_at > at(now)).collect()
}

fn sorted(mut leases: Vec<(Side, LeaseView)>) -> Vec<(Side, LeaseView)> {
    leases.sort_by(|(side, lease), (other, of_other)| {
        side.cmp(other).then_with(|| lease.participant.cmp(&of_other.participant))
    });
    leases
}

fn step(
    model: &mut BTreeMap<Side, SideState>,
    side: &Side,
    input: &Input,
    now: u64,
    policy: &Policy,
) -> Outcome {
    let decision = transition(model.remove(side).unwrap_or_default(), input, at(now), policy);
    if !decision.next.is_empty() {
        model.insert(side.clone(), decision.next);
    }
    decision.outcome
}

/// A sequence that is the same every time.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn utterance(&mut self) -> Utterance {
        let signal = match self.below(5) {
            0 => Signal::Sent,
            1 => Signal::Paused,
            _ => Signal::Composing { ttl: Duration::from_millis(1_000 + self.below(20_000)) },
        };
        let marks = Marks {
            turn: (self.below(3) == 0).then(|| self.below(4)),
            payload_id: (self.below(3) == 0).then(|| format!("id-{}", self.below(30)).into()),
        };
        let participant = (self.below(3) == 0).then(|| format!("rep-{}", self.below(2)).into());
        Utterance {
            participant,
            name: None,
            signal,
            source: Source::OneShot,
            origin: "contract".into(),
            marks,
        }
    }
}

async fn say<H: Harness>(harness: &H, side: &Side, utterance: Utterance, now: u64) -> Outcome {
    update(harness, side, Input::Say(utterance), now).await
}

async fn lapse<H: Harness>(harness: &H, side: &Side, now: u64) -> Outcome {
    update(harness, side, Input::Lapse, now).await
}

async fn update<H: Harness>(harness: &H, side: &Side, input: Input, now: u64) -> Outcome {
    let policy = Policy::default();
    let outcome =
        harness.store().update(side, at(now), |state| transition(state, &input, at(now), &policy)).await;
    outcome.expect("there is room")
}

fn changes(commits: &[Commit]) -> Vec<(Side, ChangeKind)> {
    commits
        .iter()
        .flat_map(|commit| commit.changes.iter().map(|change| (commit.side.clone(), change.kind)))
        .collect()
}

fn composing(ttl_ms: u64) -> Utterance {
    utterance(Signal::Composing { ttl: Duration::from_millis(ttl_ms) })
}

fn sent() -> Utterance {
    utterance(Signal::Sent)
}

fn utterance(signal: Signal) -> Utterance {
    Utterance {
        participant: None,
        name: None,
        signal,
        source: Source::OneShot,
        origin: "contract".into(),
        marks: Marks::default(),
    }
}

fn side(tenant: &str, channel: &str, agent: &str, user: &str) -> Side {
    Side { conversation: Conversation::new(tenant, channel, agent, User::new(user)), role: Role::Agent }
}

fn scope(channel: Option<&str>, agent: Option<&str>, user: Option<&str>) -> Scope {
    Scope {
        tenant: "acme".into(),
        channel: channel.map(Into::into),
        agent: agent.map(Into::into),
        user: user.map(User::new),
    }
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}
