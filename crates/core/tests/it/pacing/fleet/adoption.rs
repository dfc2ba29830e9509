//! Single steps of a side that changes hands.

use std::num::NonZeroU32;
use std::time::Duration;

use typingd_core::Time;
use typingd_core::pacing::{
    BreakerState, Limits, Pacer, Profile, Refresh, Refusal, UpstreamId, Verb, Verdict,
};

use crate::pacing::profiles::{forbidden, twenty_seconds, unlimited, with_stop};
use crate::pacing::world::side;

const LONG: u64 = 600_000;

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// A pacer that takes a side over at 100 s, with these facts.
fn adopted(profile: Profile, until: Option<u64>, shown_until: Option<u64>) -> Pacer {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(profile, &unlimited());
    pacer.adopt(upstream, &side(0), ms(90_000), until.map(ms), shown_until.map(ms), ms(100_000));
    pacer
}

/// The first call it makes within a minute, if any.
fn first_call(pacer: &mut Pacer) -> Option<(Time, Verb)> {
    let mut now = ms(100_000);
    loop {
        if let Some(call) = pacer.due(now).calls.first() {
            return Some((now, call.verb));
        }
        now = pacer.deadline().filter(|at| *at <= ms(160_000))?;
    }
}

#[test]
fn what_a_new_owner_says_first_and_when() {
    let forbidden_with_stop = Profile { has_stop: true, ..forbidden() };
    // A round trip was never measured: a second, and one of slack.
    let refresh = (107_500..=108_000, Verb::Type);
    #[rustfmt::skip]
    let rows = [
        // display, the lease's end, noted, said
        (twenty_seconds(), Some(LONG), Some(110_000), Some(refresh.clone())),
        (with_stop(), Some(LONG), Some(110_000), Some(refresh)),
        (forbidden(), Some(LONG), Some(110_000), Some((111_000..=111_000, Verb::Type))),
        (twenty_seconds(), Some(109_000), Some(110_000), None),
        (twenty_seconds(), Some(LONG), None, Some((100_000..=100_000, Verb::Type))),
        (twenty_seconds(), Some(LONG), Some(100_000), Some((100_000..=100_000, Verb::Type))),
        (twenty_seconds(), Some(LONG), Some(101_000), Some((100_000..=100_000, Verb::Type))),
        (forbidden(), Some(LONG), None, Some((100_000..=100_000, Verb::Type))),
        // What was accepted late shows a little longer than was noted.
        (forbidden(), Some(LONG), Some(99_500), Some((100_500..=100_500, Verb::Type))),
        (forbidden(), Some(LONG), Some(98_000), Some((100_000..=100_000, Verb::Type))),
        (with_stop(), None, Some(110_000), Some((100_000..=100_000, Verb::Stop))),
        (forbidden_with_stop, None, Some(110_000), Some((100_000..=100_000, Verb::Stop))),
        (with_stop(), Some(95_000), Some(110_000), Some((100_000..=100_000, Verb::Stop))),
        (with_stop(), None, Some(100_000), None),
        (with_stop(), None, None, None),
        // What was noted may have been a stop, a moment ago.
        (with_stop(), Some(LONG), Some(99_900), Some((100_900..=100_900, Verb::Type))),
        (with_stop(), Some(LONG), Some(99_000), Some((100_000..=100_000, Verb::Type))),
        (twenty_seconds(), None, Some(110_000), None),
        // The last call was half a second ago.
        (with_stop(), None, Some(119_500), Some((100_500..=100_500, Verb::Stop))),
    ];
    for (profile, until, shown_until, said) in rows {
        let row = format!("lease until {until:?}, dots until {shown_until:?}, {profile:?}");
        let first = first_call(&mut adopted(profile, until, shown_until));
        assert_eq!(first.map(|(_, verb)| verb), said.as_ref().map(|(_, verb)| *verb), "{row}");
        if let (Some((at, _)), Some((within, _))) = (first, said) {
            assert!(within.contains(&at.as_millis()), "at {at:?}, {row}");
        }
    }
}

/// The stop that is due at once is taken as one.
#[test]
fn a_new_owner_stops_once() {
    let mut pacer = adopted(with_stop(), None, Some(110_000));
    let call = pacer.due(ms(100_000)).calls.remove(0);
    pacer.answered(call.id, Verdict::Accepted, ms(100_080));
    assert_eq!(first_call(&mut pacer), None);
    assert_eq!(pacer.streams(), 0, "nothing is left to remember");
}

#[test]
fn what_shows_is_known_to_the_new_owner() {
    let pacer = adopted(twenty_seconds(), Some(LONG), Some(110_000));
    let upstream = first_upstream();
    assert!(pacer.is_live(upstream, &side(0)));
    assert!(pacer.is_shown(upstream, &side(0), ms(109_999)));
    assert_eq!(pacer.shows_until(upstream, &side(0), ms(100_000)), Some(ms(111_000)));
}

/// Its clock began later than the dots that it takes over.
#[test]
fn a_young_node_takes_over_old_dots() {
    for (profile, refresh_at) in [(twenty_seconds(), 3_000), (forbidden(), 6_000)] {
        let mut pacer = Pacer::new(10, 1);
        let upstream = pacer.add(profile.clone(), &unlimited());
        pacer.adopt(upstream, &side(0), ms(0), Some(ms(LONG)), Some(ms(5_000)), ms(100));
        assert!(pacer.due(ms(100)).calls.is_empty());
        let due_at = pacer.deadline().unwrap();
        assert!((refresh_at - 500..=refresh_at).contains(&due_at.as_millis()), "{due_at:?}, {profile:?}");
        assert_eq!(pacer.due(due_at).calls.len(), 1);
    }
}

#[test]
fn a_young_node_takes_over_what_was_never_told() {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(with_stop(), &unlimited());
    pacer.adopt(upstream, &side(0), ms(0), Some(ms(LONG)), None, ms(100));
    assert_eq!(pacer.due(ms(100)).calls.len(), 1);
}

/// What was before it took over is in another node's tally.
#[test]
fn a_tally_begins_with_the_adoption() {
    let mut pacer = adopted(twenty_seconds(), None, Some(110_000));
    assert_eq!(first_call(&mut pacer), None);
    pacer.due(ms(160_000));
    let ghost_ms = pacer.counters(first_upstream()).unwrap().tally.ghost_ms;
    assert_eq!(ghost_ms, 10_500, "half a round trip longer than was noted");
}

#[test]
fn a_call_says_until_when_dots_may_show() {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(with_stop(), &unlimited());
    pacer.begin(upstream, &side(0), ms(0), ms(5_000), ms(0));
    let call = pacer.due(ms(7)).calls.remove(0);
    assert_eq!((call.verb, call.shows_until), (Verb::Type, ms(20_007)));
    pacer.answered(call.id, Verdict::Accepted, ms(100));
    let call = pacer.due(ms(5_000)).calls.remove(0);
    assert_eq!((call.verb, call.shows_until), (Verb::Stop, ms(5_000)));
}

#[test]
fn of_a_side_that_was_left_nothing_is_known() {
    let mut pacer = Pacer::new(10, 1);
    let [one, other] = [with_stop(), Profile { refresh: Refresh::Forbidden, ..with_stop() }]
        .map(|profile| pacer.add(profile, &unlimited()));
    for upstream in [one, other] {
        pacer.begin(upstream, &side(0), ms(0), ms(LONG), ms(0));
    }
    pacer.begin(one, &side(1), ms(0), ms(LONG), ms(0));
    let calls = pacer.due(ms(0)).calls;
    let in_flight = pacer.leave(&side(0));
    let about_it = calls.iter().filter(|call| call.side == side(0)).map(|call| call.id);
    assert_eq!(in_flight, about_it.collect::<Vec<_>>());
    assert_eq!(pacer.streams(), 1);
    assert!(!pacer.is_live(one, &side(0)) && !pacer.is_pending(one, &side(0)));

    assert!(pacer.leave(&side(0)).is_empty(), "it is left already");
    for call in &calls {
        pacer.answered(call.id, Verdict::Accepted, ms(80));
        // And once more: it counts once.
        pacer.answered(call.id, Verdict::Accepted, ms(90));
    }
    assert_eq!(pacer.shows_until(one, &side(0), ms(100)), None);
    for (upstream, accepted) in [(one, 2), (other, 1)] {
        assert_eq!(pacer.credential(upstream).unwrap().in_flight(), 0);
        assert_eq!(pacer.counters(upstream).unwrap().accepted, accepted);
        assert_eq!(pacer.credential(upstream).unwrap().breaker(), BreakerState::Closed);
    }
    // Where nothing is in flight, and where a timer is all there is.
    assert!(pacer.leave(&side(1)).is_empty());
    assert_eq!((pacer.streams(), pacer.deadline()), (0, None));
}

/// Another side's call has the place of the one that was left: each is answered for itself.
#[test]
fn the_answers_of_a_side_that_was_left_are_not_taken_for_anothers() {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(twenty_seconds(), &unlimited());
    pacer.begin(upstream, &side(0), ms(0), ms(LONG), ms(0));
    let left = pacer.due(ms(0)).calls.remove(0).id;
    pacer.leave(&side(0));
    pacer.begin(upstream, &side(1), ms(1), ms(LONG), ms(1));
    let mine = pacer.due(ms(1)).calls.remove(0).id;
    pacer.answered(left, Verdict::Refused(Refusal::Recipient), ms(50));
    assert!(pacer.is_pending(upstream, &side(1)));
    assert_eq!(pacer.credential(upstream).unwrap().in_flight(), 1);
    pacer.answered(mine, Verdict::Accepted, ms(60));
    assert!(pacer.is_shown(upstream, &side(1), ms(60)));
    assert_eq!(pacer.credential(upstream).unwrap().in_flight(), 0);
}

#[test]
fn the_place_of_a_call_that_was_left_comes_back() {
    let limits = Limits { concurrency: NonZeroU32::MIN, ..unlimited() };
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(twenty_seconds(), &limits);
    for number in 0..3 {
        pacer.begin(upstream, &side(number), ms(0), ms(LONG), ms(0));
    }
    let first = pacer.due(ms(0)).calls.remove(0);
    assert_eq!(pacer.waiting(upstream), 2);
    // One that waits is left, and one that is in flight.
    assert!(pacer.leave(&side(1)).is_empty());
    assert_eq!(pacer.leave(&first.side), [first.id]);
    assert_eq!(pacer.waiting(upstream), 1);
    assert!(pacer.due(ms(10)).calls.is_empty(), "the place is taken until the answer");
    pacer.answered(first.id, Verdict::Unanswered, ms(20));
    let next = pacer.due(ms(20)).calls;
    assert_eq!((next.len(), &next[0].side), (1, &side(2)));
}

/// The call that tries whether a credential works again is about a side that is left meanwhile.
#[test]
fn a_probe_that_was_left_is_answered_all_the_same() {
    for (verdict, works) in [(Verdict::Accepted, true), (Verdict::Unanswered, false)] {
        let mut pacer = Pacer::new(10, 1);
        let upstream = pacer.add(twenty_seconds(), &unlimited());
        pacer.begin(upstream, &side(0), ms(0), ms(LONG), ms(0));
        let call = pacer.due(ms(0)).calls.remove(0);
        pacer.answered(call.id, Verdict::Refused(Refusal::Credential), ms(50));
        pacer.begin(upstream, &side(1), ms(60), ms(LONG), ms(60));
        pacer.due(ms(2_000));
        let probe = pacer.due(ms(300_050)).calls.remove(0);
        pacer.leave(&probe.side);
        pacer.answered(probe.id, verdict, ms(300_100));
        let served = pacer.due(ms(300_100)).calls;
        assert_eq!(served.len(), usize::from(works), "the other was parked");
        assert_eq!(pacer.credential(upstream).unwrap().breaker() == BreakerState::Closed, works);
    }
}

#[test]
fn an_account_that_was_taken_away_hears_of_no_answer() {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(twenty_seconds(), &unlimited());
    pacer.begin(upstream, &side(0), ms(0), ms(LONG), ms(0));
    let call = pacer.due(ms(0)).calls.remove(0);
    pacer.leave(&side(0));
    pacer.remove(upstream);
    pacer.answered(call.id, Verdict::Accepted, ms(10));
    pacer.adopt(upstream, &side(0), ms(0), Some(ms(LONG)), None, ms(10));
    assert_eq!((pacer.streams(), pacer.due(ms(10)).calls.len()), (0, 0));
}

/// The pacers here have one account.
fn first_upstream() -> UpstreamId {
    Pacer::new(1, 1).add(twenty_seconds(), &unlimited())
}

/// A side may come back: what it was told elsewhere is what counts.
#[test]
fn a_side_comes_back() {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(forbidden(), &unlimited());
    pacer.begin(upstream, &side(0), ms(0), ms(LONG), ms(0));
    let call = pacer.due(ms(0)).calls.remove(0);
    pacer.answered(call.id, Verdict::Accepted, ms(80));
    pacer.leave(&side(0));
    pacer.adopt(upstream, &side(0), ms(0), Some(ms(LONG)), Some(ms(50_000)), ms(30_000));
    assert!(pacer.due(ms(30_000)).calls.is_empty());
    assert_eq!(pacer.deadline(), Some(ms(50_080)), "by the round trip that was measured");
    let later = ms(50_080) + Duration::from_millis(1);
    assert_eq!(pacer.due(later).calls.len(), 1);
}
