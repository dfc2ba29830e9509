//! A hold of ten minutes: dots without a gap, for hardly more calls than it takes.

use std::time::Duration;

use typingd_core::Time;
use typingd_core::pacing::{Profile, Verb};

use super::network::{Chance, Fate};
use super::profiles::{five_seconds, forbidden, seven_seconds, twenty_seconds, unlimited, with_stop};
use super::world::{Word, World};

const HOLD: Duration = Duration::from_secs(600);

struct Held {
    calls: u64,
    gap_ms: u64,
    world: World,
}

fn hold(profile: &Profile, round_trip: impl Fn(&mut Chance) -> Duration + 'static) -> Held {
    let fate = move |_: &_, _, chance: &mut Chance| Fate::accepted(round_trip(chance));
    let mut world = World::new(profile.clone(), &unlimited(), 1, 7, fate);
    world.say_at(Time::ZERO, 0, Word::Compose(HOLD));
    world.run_until(Time::ZERO + HOLD + Duration::from_secs(60));
    let calls = world.calls.iter().filter(|(_, _, verb)| *verb == Verb::Type).count();
    Held { calls: u64::try_from(calls).unwrap(), gap_ms: world.handset(0).gap_ms, world }
}

#[test]
fn ten_minutes_show_without_a_gap_for_hardly_more_calls_than_it_takes() {
    let profiles = [
        ("20 s", twenty_seconds()),
        ("20 s, stop", with_stop()),
        ("7 s, stop", seven_seconds()),
        ("5 s", five_seconds()),
    ];
    for (name, profile) in profiles {
        let fewest = profile.fewest_calls(HOLD);
        let up_to_100_ms = hold(&profile, |chance| chance.millis(101));
        let three_seconds = hold(&profile, |_| Duration::from_secs(3));
        let up_to_3_s = hold(&profile, |chance| chance.millis(3_001));
        // The model does not know of a call that is in flight when the lease ends: half a round trip at most.
        let rows = [
            ("≤ 100 ms", up_to_100_ms, 115, 50),
            ("3 s", three_seconds, 135, 1_500),
            ("≤ 3 s", up_to_3_s, 135, 1_500),
        ];
        for (latency, held, percent, error_ms) in rows {
            let Held { calls, gap_ms, world } = held;
            let measured = format!("{name} at {latency}: {calls} calls of {fewest}, gap {gap_ms} ms");
            println_for_people(&measured);
            assert_eq!(world.handset(0).live_ms, 600_000);
            assert!(gap_ms <= 6_000, "{measured}");
            assert!(calls * 100 <= fewest * percent, "{measured}");
            assert_eq!(world.counters().tally.fewest_calls, fewest);
            let (tally, ghost_ms) = (world.counters().tally, world.handset(0).ghost_ms);
            assert!(tally.gap_ms.abs_diff(gap_ms) <= error_ms, "{measured}: {tally:?}");
            assert!(
                tally.ghost_ms.abs_diff(ghost_ms) <= error_ms,
                "{measured}: {tally:?}, in truth {ghost_ms}"
            );
        }
    }
}

/// Where an early call is lost, the next one waits for certainty: a gap of one round trip in each display.
#[test]
fn where_a_refresh_is_forbidden_the_gap_is_a_round_trip_in_each_display() {
    for (round_trip, most_calls, gap_permille) in [(100, 24, 10), (3_000, 22, 120)] {
        let profile = forbidden();
        let Held { calls, gap_ms, world } = hold(&profile, move |_| Duration::from_millis(round_trip));
        println_for_people(&format!("25 s, forbidden at {round_trip} ms: {calls} calls, gap {gap_ms} ms"));
        assert_eq!(world.handset(0).lost, 0);
        assert!(calls <= most_calls, "{calls}");
        assert!(gap_ms <= 600 * gap_permille, "{gap_ms}");
    }
    let jittery = hold(&forbidden(), |chance| chance.millis(3_001));
    assert_eq!(jittery.world.handset(0).lost, 0, "none came too early, whatever the round trips");
}

/// Extensions are silent until they matter to subscribers, which may be too late for the dots.
#[test]
fn pacing_looks_how_long_the_lease_lasts_when_the_dots_are_about_to_fade() {
    for (extended_to, calls) in [(None, 1), (Some(19_900), 1), (Some(29_500), 2), (Some(38_000), 2)] {
        let fate = |_: &_, _, chance: &mut Chance| Fate::accepted(chance.millis(101));
        let mut world = World::new(twenty_seconds(), &unlimited(), 1, 3, fate);
        world.is_silent = true;
        world.say_at(Time::ZERO, 0, Word::Compose(Duration::from_millis(19_500)));
        if let Some(until) = extended_to {
            world.say_at(Time::from_millis(10_000), 0, Word::Compose(Duration::from_millis(until - 10_000)));
        }
        world.run_until(Time::from_millis(38_000));
        assert_eq!(world.calls.len(), calls, "extended to {extended_to:?}");
        assert!(world.handset(0).gap_ms <= 100, "extended to {extended_to:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_calls() {
    let run = |seed: u64| {
        let fate = |_: &_, _, chance: &mut Chance| Fate::accepted(chance.millis(3_000));
        let mut world = World::new(twenty_seconds(), &unlimited(), 20, seed, fate);
        for side in 0..20 {
            world.say_at(Time::from_millis(7 * side), usize::try_from(side).unwrap(), Word::Compose(HOLD));
        }
        world.run_until(Time::ZERO + HOLD);
        world.calls
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// Ten thousand who begin at once do not come back at once for ever.
#[test]
fn chance_keeps_a_crowd_apart() {
    let fate = |_: &_, _, _: &mut Chance| Fate::accepted(Duration::from_millis(50));
    let mut world = World::new(twenty_seconds(), &unlimited(), 1_000, 5, fate);
    for side in 0..1_000 {
        world.say_at(Time::ZERO, side, Word::Compose(HOLD));
    }
    world.run_until(Time::from_millis(25_000));
    let second_round =
        world.calls.iter().filter(|(at, ..)| *at > Time::from_millis(1_000)).map(|(at, ..)| *at);
    let mut per_ms = std::collections::BTreeMap::<Time, u64>::new();
    second_round.for_each(|at| *per_ms.entry(at).or_default() += 1);
    let (first, last) = (per_ms.first_key_value().unwrap().0, per_ms.last_key_value().unwrap().0);
    assert!(*per_ms.values().max().unwrap() < 20, "a thousand over half a second");
    assert!(last.since(*first) <= Duration::from_millis(500), "at most half a second early");
}

pub(super) fn println_for_people(measured: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{measured}");
}
