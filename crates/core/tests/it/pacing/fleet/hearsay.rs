//! Single steps of a pacer that hears what others learned.

use std::time::Duration;

use typingd_core::pacing::{BreakerState, Dropped, Due, News, Pacer, Refusal, UpstreamId, Verdict};
use typingd_core::{StopReason, Time};

use crate::pacing::profiles::{twenty_seconds, unlimited};
use crate::pacing::world::side;

const REFUSED: Verdict = Verdict::Refused(Refusal::Credential);

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// A pacer with this many sides that want to be told of.
fn pacer(sides: usize) -> (Pacer, UpstreamId) {
    let mut pacer = Pacer::new(100, 1).among_others();
    let upstream = pacer.add(twenty_seconds(), &unlimited());
    for number in 0..sides {
        pacer.begin(upstream, &side(number), ms(0), ms(3_600_000), ms(0));
    }
    (pacer, upstream)
}

fn breaker(pacer: &Pacer, upstream: UpstreamId) -> BreakerState {
    pacer.credential(upstream).unwrap().breaker()
}

#[test]
fn who_waits_for_permission_is_named() {
    let (mut pacer, upstream) = pacer(5);
    let due = pacer.due(ms(0));
    assert_eq!((due.calls.len(), due.permits), (0, vec![upstream]));
    assert!(pacer.due(ms(999)).permits.is_empty(), "not twice in a second");
    assert_eq!(pacer.deadline(), Some(ms(1_000)));
    assert_eq!(pacer.due(ms(1_000)).permits, [upstream]);
    pacer.permit(upstream, ms(11_000));
    let Due { calls, permits, .. } = pacer.due(ms(1_000));
    assert_eq!((calls.len(), permits.len()), (3, 0));
    assert!((1_001..10_000).all(|now| pacer.due(ms(now)).permits.is_empty()), "it has it");
    assert_eq!(pacer.due(ms(10_000)).permits, [upstream], "calls are in flight, and it ends soon");
}

#[test]
fn who_has_nothing_to_say_asks_for_nothing() {
    let (mut pacer, upstream) = pacer(1);
    pacer.end(upstream, &side(0), StopReason::Paused, ms(0), ms(0));
    assert!(pacer.due(ms(0)).permits.is_empty());
    assert_eq!(pacer.deadline(), None);
    pacer.hear(upstream, News::Refused { until: ms(100) }, ms(0));
    assert!(pacer.due(ms(200)).permits.is_empty());
    assert_eq!(pacer.deadline(), None);
}

/// Some had to give up for want of permission, and rest.
#[test]
fn who_rests_is_due_when_another_node_proves_it() {
    let (mut pacer, upstream) = pacer(5);
    pacer.due(ms(0));
    let dropped = pacer.due(ms(5_001)).dropped;
    assert!(dropped.len() == 5 && dropped.iter().all(|dropped| dropped.reason == Dropped::Stale));
    pacer.hear(upstream, News::Proven, ms(5_500));
    assert_eq!(pacer.due(ms(5_500)).calls.len(), 5);
}

/// A permission that is over is none.
#[test]
fn a_permission_ends() {
    let (mut pacer, upstream) = pacer(5);
    pacer.permit(upstream, ms(100));
    let calls = pacer.due(ms(99)).calls;
    assert_eq!(calls.len(), 3);
    pacer.answered(calls[0].id, Verdict::Unanswered, ms(100));
    assert!(pacer.due(ms(100)).calls.is_empty());
    // A probe needs one as well.
    pacer.hear(upstream, News::Refused { until: ms(2_000) }, ms(200));
    assert!(pacer.due(ms(2_000)).calls.is_empty());
    pacer.permit(upstream, ms(2_100));
    assert!(pacer.due(ms(2_100)).calls.is_empty(), "it came too late");
    assert!(pacer.deadline() > Some(ms(2_100)));
    pacer.permit(upstream, ms(9_000));
    assert_eq!(pacer.due(ms(2_200)).calls.len(), 1, "one is all it takes");
    assert_eq!(breaker(&pacer, upstream), BreakerState::Probing);
}

/// What permission was given for a new credential is not one for the probe five minutes later.
#[test]
fn a_refusal_uses_up_the_permission() {
    let (mut pacer, upstream) = pacer(5);
    pacer.permit(upstream, ms(900_000));
    let call = pacer.due(ms(0)).calls.remove(0);
    pacer.answered(call.id, REFUSED, ms(50));
    let due = loop {
        let now = pacer.deadline().unwrap();
        let due = pacer.due(now);
        assert!(due.calls.is_empty());
        if !due.permits.is_empty() {
            assert_eq!(now, ms(300_050));
            break due;
        }
    };
    assert_eq!(due.permits, [upstream]);
}

#[test]
fn what_is_heard_twice_counts_once_and_is_not_said() {
    let until = ms(300_000);
    for (news, state) in [
        (News::Proven, BreakerState::Closed),
        (News::Refused { until }, BreakerState::Open { probe_at: until }),
        (News::Forgotten, BreakerState::Unproven),
    ] {
        let (mut pacer, upstream) = pacer(5);
        pacer.hear(upstream, news, ms(10));
        let first = pacer.due(ms(10));
        assert_eq!(breaker(&pacer, upstream), state, "{news:?}");
        assert_eq!(first.calls.len(), if news == News::Proven { 5 } else { 0 }, "{news:?}");
        let before = (pacer.counters(upstream).cloned(), pacer.deadline());
        pacer.hear(upstream, news, ms(10));
        let again = pacer.due(ms(10));
        assert_eq!(breaker(&pacer, upstream), state, "{news:?}");
        assert!(again.calls.is_empty() && again.dropped.is_empty(), "{news:?}");
        assert!(first.news.is_empty() && again.news.is_empty(), "{news:?}");
        assert_eq!((pacer.counters(upstream).cloned(), pacer.deadline()), before, "{news:?}");
    }
}

#[test]
fn a_refusal_that_is_heard_lets_what_is_in_flight_go_on() {
    let (mut pacer, upstream) = pacer(5);
    pacer.permit(upstream, ms(10_000));
    let calls = pacer.due(ms(0)).calls;
    pacer.hear(upstream, News::Refused { until: ms(300_000) }, ms(50));
    let due = pacer.due(ms(50));
    assert!(due.calls.is_empty());
    assert!(due.dropped.iter().all(|dropped| dropped.reason == Dropped::Breaker));
    assert_eq!(due.dropped.len(), 2);
    // What began before the refusal proves nothing, and is shown all the same.
    calls.iter().for_each(|call| pacer.answered(call.id, Verdict::Accepted, ms(80)));
    assert_eq!(breaker(&pacer, upstream), BreakerState::Open { probe_at: ms(300_000) });
    assert!(pacer.is_shown(upstream, &calls[0].side, ms(80)));
    assert!(pacer.due(ms(80)).news.is_empty());
    // Another node tried in vain meanwhile. What was said before that is old.
    for (until, probe_at) in [(600_000, 600_000), (300_000, 600_000)] {
        pacer.hear(upstream, News::Refused { until: ms(until) }, ms(299_000));
        assert_eq!(breaker(&pacer, upstream), BreakerState::Open { probe_at: ms(probe_at) });
    }
    assert!(pacer.due(ms(300_000)).permits.is_empty());
    assert_eq!(pacer.due(ms(600_000)).permits, [upstream]);
    pacer.hear(upstream, News::Proven, ms(600_050));
    assert_eq!(pacer.due(ms(600_050)).calls.len(), 5);
}

#[test]
fn what_worked_here_is_refused_elsewhere() {
    let (mut pacer, upstream) = pacer(5);
    pacer.permit(upstream, ms(10_000));
    let call = pacer.due(ms(0)).calls.remove(0);
    pacer.answered(call.id, Verdict::Accepted, ms(50));
    let due = pacer.due(ms(50));
    assert_eq!((due.calls.len(), due.news), (2, vec![(upstream, News::Proven)]));
    pacer.hear(upstream, News::Refused { until: ms(300_000) }, ms(60));
    assert_eq!(breaker(&pacer, upstream), BreakerState::Open { probe_at: ms(300_000) });
    pacer.begin(upstream, &side(9), ms(60), ms(3_600_000), ms(60));
    let due = pacer.due(ms(60));
    assert!(due.calls.is_empty() && due.dropped[0].reason == Dropped::Breaker && due.news.is_empty());
}

/// The probe that is in flight here is the latest there is.
#[test]
fn a_probe_in_flight_decides() {
    for (verdict, news) in [
        (Verdict::Accepted, News::Proven),
        (REFUSED, News::Refused { until: ms(300_900) }),
        (Verdict::Unanswered, News::Refused { until: ms(300_900) }),
    ] {
        let (mut pacer, upstream) = pacer(5);
        pacer.hear(upstream, News::Refused { until: ms(500) }, ms(0));
        pacer.due(ms(0));
        pacer.permit(upstream, ms(10_000));
        assert_eq!(pacer.deadline(), Some(ms(500)), "permission is there already");
        let probe = pacer.due(ms(500)).calls.remove(0);
        pacer.hear(upstream, News::Refused { until: ms(400_000) }, ms(600));
        assert_eq!(breaker(&pacer, upstream), BreakerState::Probing);
        pacer.answered(probe.id, verdict, ms(900));
        assert_eq!(pacer.due(ms(900)).news, [(upstream, news)]);
    }
}

#[test]
fn what_others_forget_is_forgotten_here() {
    let (mut pacer, upstream) = pacer(5);
    pacer.permit(upstream, ms(1_000));
    let calls = pacer.due(ms(0)).calls;
    pacer.answered(calls[0].id, REFUSED, ms(50));
    assert_eq!(pacer.due(ms(50)).news, [(upstream, News::Refused { until: ms(300_050) })]);
    pacer.hear(upstream, News::Forgotten, ms(2_000));
    assert_eq!(breaker(&pacer, upstream), BreakerState::Unproven);
    assert_eq!(pacer.due(ms(2_000)).permits, [upstream], "who was parked waits for permission");
    // The answers to the old credential say nothing of the new one.
    pacer.answered(calls[1].id, REFUSED, ms(2_100));
    pacer.answered(calls[2].id, Verdict::Accepted, ms(2_100));
    assert_eq!(breaker(&pacer, upstream), BreakerState::Unproven);
    assert!(pacer.due(ms(2_100)).news.is_empty());
}

/// A pacer that is alone asks nobody and tells nobody.
#[test]
fn who_is_alone_needs_no_permission() {
    let mut pacer = Pacer::new(10, 1);
    let upstream = pacer.add(twenty_seconds(), &unlimited());
    for number in 0..5 {
        pacer.begin(upstream, &side(number), ms(0), ms(3_600_000), ms(0));
    }
    pacer.permit(upstream, ms(1_000));
    let Due { calls, permits, .. } = pacer.due(ms(0));
    assert_eq!((calls.len(), permits.len()), (3, 0));
    pacer.answered(calls[0].id, REFUSED, ms(50));
    assert!(pacer.due(ms(50)).news.is_empty());
    let due = pacer.due(ms(50) + Duration::from_secs(300));
    assert_eq!((due.calls.len(), due.permits.len(), due.news.len()), (1, 0, 0));
}
