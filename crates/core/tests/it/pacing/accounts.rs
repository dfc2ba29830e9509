//! Accounts that come and go while calls are made.

use std::time::Duration;

use typingd_core::pacing::{Limits, Pacer, Verb, Verdict};
use typingd_core::{StopReason, Time};

use super::profiles::{twenty_seconds, unlimited};
use super::world::side;

const MINUTE: Duration = Duration::from_secs(60);

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

#[test]
fn of_an_account_that_was_taken_away_nothing_is_known() {
    let mut pacer = Pacer::new(10, 1);
    let (gone, stays) =
        (pacer.add(twenty_seconds(), &unlimited()), pacer.add(twenty_seconds(), &unlimited()));
    for number in 0..3 {
        pacer.begin(gone, &side(number), at(0), at(0) + MINUTE, at(0));
    }
    pacer.begin(stays, &side(0), at(0), at(0) + MINUTE, at(0));
    let calls = pacer.due(at(0)).calls;
    assert_eq!(calls.len(), 4);
    pacer.begin(gone, &side(3), at(1), at(1) + MINUTE, at(1));
    pacer.remove(gone);

    assert_eq!(pacer.streams(), 1);
    assert!(pacer.credential(gone).is_none() && pacer.counters(gone).is_none());
    assert!(pacer.due(at(1)).calls.is_empty(), "what was due of it is not");
    // Its answers come in, and its leases' news: they are nobody's.
    calls.iter().for_each(|call| pacer.answered(call.id, Verdict::Accepted, at(80)));
    pacer.extend(gone, &side(0), at(90_000), at(80));
    pacer.end(gone, &side(0), StopReason::Paused, at(80), at(80));
    pacer.after_message(gone, &side(0), true, at(80));
    pacer.reset(gone, at(80));
    pacer.remove(gone);
    assert_eq!(pacer.counters(stays).map(|counters| counters.accepted), Some(1));
    assert!(pacer.due(at(80)).calls.is_empty());
    let refresh_at = pacer.deadline().expect("the other's dots are to be refreshed");
    let due = pacer.due(refresh_at);
    assert!(due.calls.iter().all(|call| call.upstream == stays) && due.calls.len() == 1);
}

#[test]
fn an_account_in_anothers_place_begins_anew() {
    let mut pacer = Pacer::new(10, 1);
    let old = pacer.add(twenty_seconds(), &unlimited());
    pacer.begin(old, &side(0), at(0), at(0) + MINUTE, at(0));
    let of_old = pacer.due(at(0)).calls.remove(0);
    pacer.remove(old);
    let new = pacer.add(twenty_seconds(), &Limits::default());
    pacer.begin(new, &side(0), at(0), at(0) + MINUTE, at(10));
    let of_new = pacer.due(at(10)).calls.remove(0);
    assert_eq!((of_new.upstream, of_new.verb), (new, Verb::Type));
    // The old one's answer is not taken for the new one's.
    pacer.answered(of_old.id, Verdict::Accepted, at(20));
    assert_eq!(pacer.counters(new).map(|counters| counters.accepted), Some(0));
    assert!(pacer.is_pending(new, &side(0)));
}

#[test]
fn a_call_is_pending_from_its_turn_to_its_answer() {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(twenty_seconds(), &unlimited());
    assert!(!pacer.is_pending(upstream, &side(0)));
    assert_eq!(pacer.shows_until(upstream, &side(0), at(0)), None);
    pacer.begin(upstream, &side(0), at(0), at(0) + MINUTE, at(0));
    let call = pacer.due(at(0)).calls.remove(0);
    assert!(pacer.is_pending(upstream, &side(0)));
    assert_eq!(pacer.shows_until(upstream, &side(0), at(50)), None);
    pacer.answered(call.id, Verdict::Accepted, at(100));
    assert!(!pacer.is_pending(upstream, &side(0)));
    assert_eq!(pacer.shows_until(upstream, &side(0), at(100)), Some(at(20_100)));
    assert_eq!(pacer.shows_until(upstream, &side(0), at(20_100)), None);
}

#[test]
fn a_call_that_waits_for_a_place_is_pending() {
    let mut pacer = Pacer::new(10, 1);
    // Nothing was accepted yet: three are in flight at most.
    let upstream = pacer.add(twenty_seconds(), &unlimited());
    for number in 0..4 {
        pacer.begin(upstream, &side(number), at(0), at(0) + MINUTE, at(0));
    }
    assert_eq!(pacer.due(at(0)).calls.len(), 3);
    assert!((0..4).all(|number| pacer.is_pending(upstream, &side(number))));
}
