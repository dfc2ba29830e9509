//! Single steps of one credential.

use std::num::NonZeroU32;
use std::time::Duration;

use typingd_core::Time;
use typingd_core::pacing::{Admission, BreakerState, Credential, Limits, Rate, Refusal, RoundTrips, Verdict};

use super::profiles::unlimited;
use super::world::side;

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

#[test]
fn the_99th_percentile_is_the_second_longest_of_the_last_hundred() {
    let mut round_trips = RoundTrips::default();
    assert_eq!(round_trips.p99(), Duration::from_secs(1), "unmeasured");
    for millis in [70, 900, 80] {
        round_trips.record(Duration::from_millis(millis));
    }
    assert_eq!(round_trips.p99(), Duration::from_millis(900), "the longest of a few");
    for millis in 100..200 {
        round_trips.record(Duration::from_millis(millis));
    }
    assert_eq!(round_trips.p99(), Duration::from_millis(198), "what is long ago is forgotten");
}

#[test]
fn a_credential_leaves_only_so_many_in_peace() {
    let mut credential = Credential::new(&Limits { quiet: 2, ..unlimited() });
    for number in 0..3 {
        let about = side(number).conversation;
        let ticket = credential.started(Time::ZERO);
        credential.answered(ticket, &about, Verdict::Refused(Refusal::Recipient), Time::ZERO);
    }
    let admitted = [0, 1, 2].map(|number| credential.admit(&side(number).conversation, ms(1)));
    let quiet = Admission::Quiet(ms(600_000));
    assert_eq!(admitted, [Admission::Go, quiet, quiet], "the oldest leaves early");
    assert_eq!(credential.admit(&side(1).conversation, ms(600_000)), Admission::Go);
}

#[test]
fn a_credential_keeps_its_rate_and_its_concurrency() {
    let [calls, burst, concurrency] = [10, 3, 5].map(|n| NonZeroU32::new(n).unwrap());
    let rate = Rate { calls, per: Duration::from_secs(1), burst };
    let mut credential = Credential::new(&Limits { rate, concurrency, ..unlimited() });
    let about = side(0).conversation;
    let first = credential.started(Time::ZERO);
    credential.answered(first, &about, Verdict::Accepted, Time::ZERO);
    for _ in 0..2 {
        assert_eq!(credential.admit(&about, Time::ZERO), Admission::Go);
        credential.started(Time::ZERO);
    }
    assert_eq!(credential.admit(&about, Time::ZERO), Admission::Wait(ms(100)));
    for now in [100, 200, 300] {
        assert_eq!(credential.admit(&about, ms(now)), Admission::Go);
        credential.started(ms(now));
    }
    assert_eq!(credential.admit(&about, ms(1_000)), Admission::Busy, "five are in flight");
}

/// The answers to a credential's calls say nothing about the one that took its place.
#[test]
fn a_late_refusal_of_the_old_credential_does_not_stop_the_new_one() {
    let mut credential = Credential::new(&unlimited());
    let about = side(0).conversation;
    let old = credential.started(Time::ZERO);
    credential.reset();
    credential.answered(old, &about, Verdict::Refused(Refusal::Credential), ms(100));
    assert_eq!(credential.admit(&about, ms(100)), Admission::Go);
    assert_eq!(credential.in_flight(), 0);
}

/// What began before the refusal is older news than the refusal.
#[test]
fn only_the_call_that_tries_again_closes_the_breaker() {
    let mut credential = Credential::new(&unlimited());
    let about = side(0).conversation;
    let [first, refused, late, later] = [0; 4].map(|_| credential.started(Time::ZERO));
    credential.answered(first, &about, Verdict::Accepted, ms(50));
    credential.answered(refused, &about, Verdict::Refused(Refusal::Credential), ms(100));
    assert!(!credential.answered(late, &about, Verdict::Accepted, ms(150)));
    assert_eq!(credential.breaker(), BreakerState::Open { probe_at: ms(300_100) });
    assert_eq!(credential.admit(&about, ms(300_099)), Admission::Refused);
    assert_eq!(credential.admit(&about, ms(300_100)), Admission::Go);
    let probe = credential.started(ms(300_100));
    assert!(!credential.answered(later, &about, Verdict::Accepted, ms(300_150)));
    assert_eq!(credential.breaker(), BreakerState::Probing);
    assert!(credential.answered(probe, &about, Verdict::Accepted, ms(300_200)), "it works again");
}
