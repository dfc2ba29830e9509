//! Ten thousand random schedules against a network that delays, loses and refuses.

use std::time::Duration;

use typingd_core::pacing::{Profile, Refusal, Verb, Verdict};
use typingd_core::{StopReason, Time};

use super::network::{Chance, Fate};
use super::profiles::{
    five_seconds, forbidden, seven_seconds, survives_message, twenty_seconds, unlimited, unordered, with_stop,
};
use super::world::{Word, World};

/// Up to 3 s there and back, and one in five goes wrong somehow.
fn rough(_: &typingd_core::pacing::Call, _: Time, chance: &mut Chance) -> Fate {
    let fate =
        Fate { out: chance.millis(1_500), back: chance.millis(1_500), ..Fate::accepted(Duration::ZERO) };
    let retry_after = chance.percent(50).then(|| chance.millis(7_000));
    match chance.below(20) {
        0 => Fate { arrives: false, verdict: None, ..fate },
        1 => Fate { verdict: None, ..fate },
        2 => Fate { out: fate.out + Duration::from_secs(3), ..fate },
        3 => {
            let refusal = Verdict::Refused(Refusal::Transient { retry_after });
            Fate { arrives: false, verdict: Some(refusal), ..fate }
        }
        _ => fate,
    }
}

/// One side over up to two minutes, with everything that can happen to it.
fn schedule(profile: &Profile, seed: u64) -> World {
    let mut chance = Chance::new(seed ^ 0x5eed);
    let mut world = World::new(profile.clone(), &unlimited(), 1, seed, rough);
    world.news_delay_ms = [0, 0, 5, 200][usize::try_from(chance.below(4)).unwrap()];
    world.is_silent = chance.percent(20);
    let mut at = Time::ZERO;
    for _ in 0..2 + chance.below(12) {
        let word = match chance.below(10) {
            0..5 => Word::Compose(Duration::from_secs(1) + chance.millis(40_000)),
            5 => Word::Stop(StopReason::Paused),
            6 => Word::Stop(StopReason::Revoked),
            7 => Word::Shorten(chance.millis(10_000)),
            _ => Word::Message { at_once: chance.percent(50), is_accepted: chance.percent(90) },
        };
        world.say_at(at, 0, word);
        at = at + if chance.percent(30) { chance.millis(300) } else { chance.millis(15_000) };
    }
    world.run_until(at + Duration::from_secs(240));
    world
}

#[derive(Default)]
struct Sums {
    calls: usize,
    stops: usize,
    live_ms: u64,
    gap_ms: u64,
    ghost_ms: u64,
    ghost_after_message_ms: u64,
    counted_ghost_ms: u64,
    lost: u64,
}

fn run(profile: &Profile, schedules: u64, first_seed: u64) -> Sums {
    let mut sums = Sums::default();
    for seed in first_seed..first_seed + schedules {
        let world = schedule(profile, seed);
        if profile.cleared_by_message && profile.order == typingd_core::pacing::Order::ByArrival {
            assert_eq!(world.handset(0).ghost_after_message_ms, 0, "seed {seed}, {profile:?}");
        }
        assert_eq!(world.pacer.streams(), 0, "after quiet nothing is remembered, seed {seed}");
        assert_eq!(world.pacer.credential(world.upstream).unwrap().in_flight(), 0, "seed {seed}");
        sums.calls += world.calls.len();
        sums.stops += world.calls.iter().filter(|(_, _, verb)| *verb == Verb::Stop).count();
        sums.live_ms += world.sum(|handset| handset.live_ms);
        sums.gap_ms += world.sum(|handset| handset.gap_ms);
        sums.ghost_ms += world.sum(|handset| handset.ghost_ms);
        sums.ghost_after_message_ms += world.sum(|handset| handset.ghost_after_message_ms);
        sums.counted_ghost_ms += world.counters().tally.ghost_ms;
        sums.lost += world.sum(|handset| handset.lost);
    }
    sums
}

fn tell(name: &str, sums: &Sums) {
    super::hold::println_for_people(&format!(
        "{name}: {} calls ({} stops), live {} s, gap {} s, ghost {} s (after a message {} s, by the model {} s), lost {}",
        sums.calls,
        sums.stops,
        sums.live_ms / 1_000,
        sums.gap_ms / 1_000,
        sums.ghost_ms / 1_000,
        sums.ghost_after_message_ms / 1_000,
        sums.counted_ghost_ms / 1_000,
        sums.lost,
    ));
}

#[test]
fn nothing_shows_after_the_message_where_calls_take_effect_as_they_arrive() {
    let profiles = [
        ("20 s", twenty_seconds()),
        ("20 s, stop", with_stop()),
        ("7 s, stop", seven_seconds()),
        ("5 s", five_seconds()),
        ("25 s, forbidden", forbidden()),
    ];
    for (number, (name, profile)) in (0..).zip(profiles) {
        let sums = run(&profile, 2_000, number * 1_000_000);
        tell(name, &sums);
        assert!(sums.calls > 2_000);
        assert_eq!(sums.stops > 0, profile.has_stop);
    }
}

#[test]
fn what_shows_after_the_message_is_counted_where_it_cannot_be_helped() {
    for (name, profile) in [("unordered", unordered()), ("survives the message", survives_message())] {
        let sums = run(&profile, 1_000, 9_000_000);
        tell(name, &sums);
        assert!(sums.ghost_after_message_ms > 0, "{name}: the network is rough enough to show it");
        assert!(sums.counted_ghost_ms > 0, "{name}");
    }
}

#[test]
fn a_stop_leaves_less_behind_than_silence() {
    let (silent, stopped) = (run(&twenty_seconds(), 500, 77), run(&with_stop(), 500, 77));
    assert!(stopped.ghost_ms * 2 < silent.ghost_ms, "{} of {}", stopped.ghost_ms, silent.ghost_ms);
}
