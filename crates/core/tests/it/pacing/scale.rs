//! A hundred thousand at a time.

use std::time::Duration;

use typingd_core::pacing::{Pacer, Verdict};
use typingd_core::{StopReason, Time};

use super::profiles::{twenty_seconds, unlimited};
use super::world::side;

#[test]
fn a_hundred_thousand_streams_cost_no_scan() {
    const STREAMS: usize = 100_000;
    let mut pacer = Pacer::new(STREAMS, 23);
    let upstream = pacer.add(twenty_seconds(), &unlimited());
    let until = Time::from_millis(120_000);
    let sides: Vec<_> = (0..STREAMS).map(side).collect();
    let mut begun = sides.iter().enumerate();
    let (mut calls, mut steps) = (0, 0_u64);
    let mut answers = std::collections::VecDeque::new();
    let mut now = Time::ZERO;
    // Over the first twenty seconds they begin, five in a millisecond; then time jumps from deadline to deadline.
    while now < until {
        for (_, side) in begun.by_ref().take(5) {
            pacer.begin(upstream, side, now, until, now);
        }
        while let Some((at, call)) = answers.front().copied()
            && at <= now
        {
            answers.pop_front();
            pacer.answered(call, Verdict::Accepted, now);
        }
        for call in pacer.due(now).calls {
            calls += 1;
            answers.push_back((now + Duration::from_millis(50), call.id));
        }
        steps += 1;
        let next = [pacer.deadline(), answers.front().map(|(at, _)| *at)].into_iter().flatten().min();
        let tick = now + Duration::from_millis(1);
        now = if begun.len() > 0 { tick } else { next.unwrap_or(until).max(tick) };
    }
    assert!((550_000..650_000).contains(&calls), "{calls} calls in {steps} steps");
    for side in &sides {
        pacer.end(upstream, side, StopReason::Sent, until, until);
    }
    assert_eq!(pacer.due(until + Duration::from_secs(30)).calls.len(), 0);
}
