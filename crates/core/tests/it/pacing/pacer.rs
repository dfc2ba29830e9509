//! Single steps of a pacer: what is dropped, what is counted.

use std::num::NonZeroU32;
use std::time::Duration;

use typingd_core::pacing::{Dropped, Limits, Pacer, Refusal, Verdict};
use typingd_core::{StopReason, Time};

use super::network::Fate;
use super::profiles::{twenty_seconds, unlimited, with_stop};
use super::world::{Word, World, side};

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

#[test]
fn words_that_need_no_call_are_counted_as_coalesced() {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(twenty_seconds(), &unlimited());
    for (now, until) in [(0, 30_000), (1_000, 31_000), (2_000, 32_000)] {
        pacer.begin(upstream, &side(0), ms(0), ms(until), ms(now));
        pacer.due(ms(now)).calls.iter().for_each(|call| pacer.answered(call.id, Verdict::Accepted, ms(now)));
    }
    pacer.extend(upstream, &side(0), ms(40_000), ms(3_000));
    let counters = pacer.counters(upstream).unwrap();
    assert_eq!((counters.sends(), counters.dropped(Dropped::Coalesced)), (1, 3));
}

#[test]
fn one_stream_too_many_is_the_one_that_loses() {
    let mut pacer = Pacer::new(2, 1);
    let upstream = pacer.add(twenty_seconds(), &unlimited());
    for number in 0..3 {
        pacer.begin(upstream, &side(number), ms(0), ms(30_000), ms(0));
    }
    let due = pacer.due(ms(0));
    assert_eq!(due.calls.len(), 2);
    assert_eq!((&due.dropped[0].side, due.dropped[0].reason), (&side(2), Dropped::Limit));
}

/// The provider is slow and takes one call at a time: the third cannot begin while it is fresh.
#[test]
fn a_call_that_waits_for_others_in_flight_is_dropped_when_it_is_stale() {
    let mut limits = unlimited();
    limits.concurrency = NonZeroU32::MIN;
    let slow = |_: &_, _, _: &mut _| Fate::accepted(Duration::from_secs(3));
    let mut world = World::new(twenty_seconds(), &limits, 3, 1, slow);
    (0..3).for_each(|number| world.say_at(Time::ZERO, number, Word::Compose(Duration::from_secs(60))));
    world.run_until(ms(9_999));
    assert_eq!(world.dropped, [(ms(5_001), 2, Dropped::Stale)]);
    assert_eq!(world.calls.len(), 2);
    world.run_until(ms(10_100));
    assert_eq!(world.calls.len(), 3, "after a rest it is due again: somebody types still");
}

#[test]
fn a_stop_that_is_dropped_is_not_owed_any_more() {
    let mut world = World::new(with_stop(), &unlimited(), 2, 1, |call, _, _| {
        let refused = Verdict::Refused(Refusal::Credential);
        let verdict = if call.side == side(0) { Verdict::Accepted } else { refused };
        Fate { verdict: Some(verdict), ..Fate::accepted(Duration::from_millis(50)) }
    });
    world.say_at(ms(0), 0, Word::Compose(Duration::from_secs(60)));
    world.say_at(ms(1_000), 1, Word::Compose(Duration::from_secs(5)));
    world.say_at(ms(3_000), 0, Word::Stop(StopReason::Paused));
    world.run_until(ms(60_000));
    // The refused one would be tried again once the floor lets it.
    assert_eq!(world.dropped, [(ms(2_000), 1, Dropped::Breaker), (ms(3_000), 0, Dropped::Breaker)]);
    assert_eq!(world.pacer.streams(), 0);
}

/// A caller that cancels a call too late, or answers twice, changes nothing.
#[test]
fn an_answer_counts_once() {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(twenty_seconds(), &Limits::default());
    pacer.begin(upstream, &side(0), ms(0), ms(30_000), ms(0));
    let call = pacer.due(ms(0)).calls[0].id;
    pacer.answered(call, Verdict::Accepted, ms(50));
    pacer.answered(call, Verdict::Refused(Refusal::Credential), ms(60));
    let counters = pacer.counters(upstream).unwrap();
    assert_eq!((counters.accepted, counters.refused, counters.unanswered), (1, 0, 0));
    assert_eq!(pacer.credential(upstream).unwrap().in_flight(), 0);
}
