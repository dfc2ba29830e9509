//! What a provider refuses: the credential, an agent, a recipient, or too much at once.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use typingd_core::Time;
use typingd_core::pacing::{BreakerState, Dropped, Limits, Rate, Refusal, Verdict};

use super::network::Fate;
use super::profiles::{twenty_seconds, unlimited};
use super::world::{Word, World, side};

const ROUND_TRIP: Duration = Duration::from_millis(80);
const LONG: Duration = Duration::from_secs(3_600);

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1_000)
}

/// A provider that accepts while this says so, and refuses the credential otherwise.
fn revocable(sides: usize, works: bool) -> (World, Rc<Cell<bool>>) {
    let switch = Rc::new(Cell::new(works));
    let works = Rc::clone(&switch);
    let world = World::new(twenty_seconds(), &unlimited(), sides, 11, move |_, _, _| match works.get() {
        true => Fate::accepted(ROUND_TRIP),
        false => Fate::refused(ROUND_TRIP, Verdict::Refused(Refusal::Credential)),
    });
    (world, switch)
}

fn hold_all(world: &mut World, sides: usize, over: Duration) {
    for side in 0..sides {
        let at = Time::ZERO + over * u32::try_from(side).unwrap() / u32::try_from(sides).unwrap();
        world.say_at(at, side, Word::Compose(LONG));
    }
}

#[test]
fn a_new_credential_that_is_refused_is_used_three_times() {
    for over in [Duration::ZERO, Duration::from_secs(2)] {
        let (mut world, _) = revocable(1_000, false);
        hold_all(&mut world, 1_000, over);
        world.run_until(at(299));
        assert!(world.calls.len() <= 3, "{} calls", world.calls.len());
        assert!(world.dropped.iter().all(|(_, _, reason)| *reason == Dropped::Breaker));
    }
}

#[test]
fn before_the_first_acceptance_three_are_in_flight() {
    let (mut world, _) = revocable(1_000, true);
    hold_all(&mut world, 1_000, Duration::ZERO);
    world.run_until(Time::from_millis(79));
    assert_eq!(world.calls.len(), 3);
    world.run_until(Time::from_millis(81));
    assert_eq!(world.calls.len(), 1_000);
}

#[test]
fn a_working_credential_that_is_revoked_is_not_used_beyond_what_is_in_flight() {
    let (mut world, works) = revocable(1_000, true);
    hold_all(&mut world, 1_000, Duration::from_secs(15));
    world.run_until(at(60));
    works.set(false);
    let before = world.calls.len();
    world.run_until(at(65));
    let after = world.calls.split_off(before);
    let first = after.first().unwrap().0;
    // One is refused a round trip after it began; those begun meanwhile are in flight.
    assert!(after.iter().all(|(started, ..)| *started <= first + ROUND_TRIP), "{after:?}");
    world.run_until(at(355));
    assert_eq!(world.calls.len(), before, "none until it is tried again");
    assert_eq!(world.dropped.iter().filter(|(_, _, reason)| *reason == Dropped::Breaker).count(), 1_000);
}

#[test]
fn one_call_every_five_minutes_finds_out_that_it_works_again() {
    let (mut world, works) = revocable(200, false);
    hold_all(&mut world, 200, Duration::ZERO);
    world.run_until(at(299));
    assert_eq!(world.calls.len(), 3);
    world.run_until(at(599));
    assert_eq!(world.calls.len(), 4, "one try, refused");
    works.set(true);
    world.run_until(at(605));
    let served: std::collections::BTreeSet<_> = world.calls[4..].iter().map(|(_, side, _)| *side).collect();
    assert_eq!(served.len(), 200, "everybody is served at once");
    assert_eq!(world.pacer.credential(world.upstream).unwrap().breaker(), BreakerState::Closed);
}

#[test]
fn while_the_one_call_tries_no_other_starts() {
    let slow = Duration::from_secs(3);
    let mut world =
        World::new(twenty_seconds(), &unlimited(), 100, 11, move |_, now, _| match now < at(10) {
            true => Fate::refused(ROUND_TRIP, Verdict::Refused(Refusal::Credential)),
            false => Fate::accepted(slow),
        });
    hold_all(&mut world, 100, Duration::ZERO);
    world.run_until(at(303));
    assert_eq!(world.calls.len(), 4);
    assert_eq!(world.pacer.credential(world.upstream).unwrap().breaker(), BreakerState::Probing);
    world.run_until(at(304));
    assert_eq!(world.calls.len(), 4 + 99);
}

#[test]
fn an_operator_closes_the_breaker_at_once() {
    let (mut world, works) = revocable(50, false);
    hold_all(&mut world, 50, Duration::ZERO);
    world.run_until(at(20));
    works.set(true);
    world.pacer.reset(world.upstream, world.now);
    world.run_until(at(21));
    assert_eq!(world.calls.len(), 3 + 50);
}

#[test]
fn retry_after_is_kept_and_nobody_starves() {
    let (calls, burst) = (NonZeroU32::new(40).unwrap(), NonZeroU32::new(200).unwrap());
    let limits = Limits { rate: Rate { calls, per: Duration::from_secs(1), burst }, ..unlimited() };
    let too_many = Verdict::Refused(Refusal::Transient { retry_after: Some(Duration::from_secs(7)) });
    let limited_at = Rc::new(Cell::new(None));
    let noted = Rc::clone(&limited_at);
    let mut world = World::new(twenty_seconds(), &limits, 200, 13, move |_, now, _| {
        let is_limited = now >= at(30) && noted.get().is_none_or(|first| now < first + ROUND_TRIP);
        if !is_limited {
            return Fate::accepted(ROUND_TRIP);
        }
        noted.set(noted.get().or(Some(now)));
        Fate::refused(ROUND_TRIP, too_many)
    });
    hold_all(&mut world, 200, Duration::ZERO);
    world.run_until(at(90));
    let told_at = limited_at.get().unwrap() + ROUND_TRIP;
    // The last that was refused was told a round trip after it began; from there it is seven seconds.
    let free_at = world.calls.iter().map(|(at, ..)| *at).filter(|at| *at > told_at).min().unwrap();
    assert!(free_at.since(told_at) >= Duration::from_secs(7), "{:?}", free_at.since(told_at));
    assert!(
        free_at.since(told_at) <= Duration::from_secs(7) + ROUND_TRIP * 2,
        "{:?}",
        free_at.since(told_at)
    );
    let served: std::collections::BTreeMap<_, _> = world
        .calls
        .iter()
        .rev()
        .filter(|(started, ..)| *started >= free_at)
        .map(|(started, side, _)| (*side, started.since(free_at)))
        .collect();
    assert_eq!(served.len(), 200, "everybody is served");
    let slowest = served.values().max().unwrap();
    super::hold::println_for_people(&format!("after Retry-After 7: all 200 served within {slowest:?}"));
    assert!(*slowest <= Duration::from_millis(5_200), "{slowest:?} at forty a second");
    // What comes back trickles in: no more than the rate gives, although the bucket is deep.
    let first_second =
        world.calls.iter().filter(|(at, ..)| *at >= free_at && at.since(free_at) < Duration::from_secs(1));
    assert!(first_second.count() <= 41);
}

/// Fewer calls than it takes: everybody gets a turn, who waited longest first.
#[test]
fn too_small_a_rate_starves_nobody() {
    let (calls, burst) = (NonZeroU32::new(4).unwrap(), NonZeroU32::new(1).unwrap());
    for queue in [1_000, 20] {
        let limits =
            Limits { rate: Rate { calls, per: Duration::from_secs(1), burst }, queue, ..unlimited() };
        let mut world = World::new(twenty_seconds(), &limits, 200, 13, |_, _, _| Fate::accepted(ROUND_TRIP));
        hold_all(&mut world, 200, Duration::ZERO);
        world.run_until(at(600));
        let mut turns = [0; 200];
        world.calls.iter().for_each(|(_, side, _)| turns[*side] += 1);
        let (least, most) = (turns.iter().min().unwrap(), turns.iter().max().unwrap());
        super::hold::println_for_people(&format!(
            "4/s for 200, queue of {queue}: {least} to {most} turns in 600 s"
        ));
        assert!(*least >= 8, "queue {queue}: of twelve turns each, one had {least}");
        assert!(world.calls.len() >= 2_300, "the rate is used: {}", world.calls.len());
        assert!(world.dropped.iter().any(|(_, _, reason)| *reason == Dropped::Limit) == (queue == 20));
    }
}

#[test]
fn the_latest_due_loses_its_place_in_a_full_queue() {
    let one = NonZeroU32::MIN;
    let limits = Limits {
        rate: Rate { calls: one, per: Duration::from_secs(2), burst: one },
        queue: 2,
        ..unlimited()
    };
    let mut world = World::new(twenty_seconds(), &limits, 5, 13, |_, _, _| Fate::accepted(ROUND_TRIP));
    for number in 0..5 {
        world.say_at(Time::from_millis(10 * number), usize::try_from(number).unwrap(), Word::Compose(LONG));
    }
    world.run_until(at(1));
    let lost: Vec<_> = world.dropped.iter().map(|(_, side, reason)| (*side, *reason)).collect();
    assert_eq!(lost, [(3, Dropped::Limit), (4, Dropped::Limit)]);
}

#[test]
fn a_refused_recipient_is_left_in_peace_alone() {
    let mut world = World::new(twenty_seconds(), &unlimited(), 20, 17, |call, _, _| {
        if call.side == side(3) {
            Fate::refused(ROUND_TRIP, Verdict::Refused(Refusal::Recipient))
        } else {
            Fate::accepted(ROUND_TRIP)
        }
    });
    hold_all(&mut world, 20, Duration::ZERO);
    world.run_until(at(599));
    assert_eq!(world.calls.iter().filter(|(_, side, _)| *side == 3).count(), 1);
    assert!(world.calls.iter().filter(|(_, side, _)| *side == 13).count() >= 30, "the same agent goes on");
    world.run_until(at(602));
    assert_eq!(
        world.calls.iter().filter(|(_, side, _)| *side == 3).count(),
        2,
        "once more after ten minutes"
    );
}

#[test]
fn a_refused_agent_is_left_in_peace_with_all_its_recipients() {
    let mut world = World::new(twenty_seconds(), &unlimited(), 100, 17, |call, _, _| {
        if call.side.conversation.agent() == "agent3" {
            Fate::refused(ROUND_TRIP, Verdict::Refused(Refusal::Agent))
        } else {
            Fate::accepted(ROUND_TRIP)
        }
    });
    hold_all(&mut world, 100, Duration::from_secs(5));
    world.run_until(at(59));
    let of_agent = world.calls.iter().filter(|(_, side, _)| side % 10 == 3).count();
    assert_eq!(of_agent, 1, "one was refused, and the other nine were not tried");
    assert!(world.calls.iter().filter(|(_, side, _)| *side == 4).count() >= 3);
}

#[test]
fn a_transient_refusal_is_tried_three_times_while_it_is_fresh() {
    let transient = Verdict::Refused(Refusal::Transient { retry_after: None });
    let mut world = World::new(twenty_seconds(), &unlimited(), 1, 19, move |_, _, _| {
        Fate::refused(ROUND_TRIP, transient)
    });
    world.say_at(Time::ZERO, 0, Word::Compose(LONG));
    world.run_until(at(6));
    let started: Vec<_> = world.calls.iter().map(|(at, ..)| at.as_millis()).collect();
    // Half a second after the first failure and a second after the next, but never below the floor.
    assert_eq!(started, [0, 1_000, 2_080]);
    assert_eq!(world.dropped.len(), 1);
    assert_eq!(world.dropped[0].2, Dropped::Failed);
    world.run_until(at(8));
    assert_eq!(world.calls.len(), 4, "the lease lives, so after a rest it is due again");
}
