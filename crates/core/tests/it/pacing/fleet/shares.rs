//! What several pacers ask together of an account.

use std::num::NonZeroU32;
use std::time::Duration;

use typingd_core::Time;
use typingd_core::pacing::{Limits, Pacer, Rate, Refusal, UpstreamId, Verdict};

use crate::pacing::hold::println_for_people;
use crate::pacing::network::Chance;
use crate::pacing::profiles::{twenty_seconds, unlimited};
use crate::pacing::world::side;

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn limits(calls: u32, burst: u32, concurrency: u32) -> Limits {
    let [calls, burst, concurrency] = [calls, burst, concurrency].map(|n| NonZeroU32::new(n).unwrap());
    Limits { rate: Rate { calls, per: Duration::from_secs(1), burst }, concurrency, ..unlimited() }
}

/// A node whose sides want more than the account gives.
struct Node {
    pacer: Pacer,
    upstream: UpstreamId,
    sides: usize,
}

impl Node {
    /// With a share from the beginning, and a credential that was accepted already where that is said.
    fn new(limits: &Limits, part: u32, of: u32) -> Self {
        let mut pacer = Pacer::new(100_000, 1);
        pacer.set_share(part, of, Time::ZERO);
        let upstream = pacer.add(twenty_seconds(), limits);
        Self { pacer, upstream, sides: 0 }
    }

    /// Somebody begins to type.
    fn crowd(&mut self, more: usize, now: Time) {
        for number in self.sides..self.sides + more {
            self.pacer.begin(self.upstream, &side(number), now, now + Duration::from_secs(3_600), now);
        }
        self.sides += more;
    }

    /// Makes what is due, answered at once. Gives how many.
    fn call(&mut self, now: Time) -> usize {
        let mut calls = 0;
        loop {
            let due = self.pacer.due(now).calls;
            if due.is_empty() {
                return calls;
            }
            calls += due.len();
            due.iter().for_each(|call| self.pacer.answered(call.id, Verdict::Accepted, now));
        }
    }
}

#[test]
fn a_share_is_of_the_burst_and_of_the_rate() {
    let mut node = Node::new(&limits(100, 40, 1_000), 1, 4);
    node.crowd(1_000, ms(0));
    assert_eq!(node.call(ms(0)), 10);
    assert_eq!(node.call(ms(39)), 0);
    assert_eq!((40..=1_040).map(|now| node.call(ms(now))).sum::<usize>(), 26, "25 in a second");
}

/// None may round its part up, down to a thousandth of a millisecond.
#[test]
fn a_rate_that_cannot_be_shared_evenly_is_rounded_down() {
    let mut node = Node::new(&limits(700_000, 3_000, 10_000), 1, 3);
    node.crowd(5_000, ms(0));
    assert_eq!(node.call(ms(0)), 1_000);
    let calls = node.call(ms(1));
    assert!((200..=233).contains(&calls), "a third of 700 in a millisecond: {calls}");
    let mut node = Node::new(&limits(7, 1, 1_000), 1, 3);
    node.crowd(1_000, ms(0));
    node.call(ms(0));
    // A third of 7 in 1 s: 428,571.4 µs each.
    assert_eq!((node.call(ms(428)), node.call(ms(429))), (0, 1));
}

#[test]
fn a_small_share_is_one_call_and_none_is_none() {
    let mut node = Node::new(&limits(100, 5, 3), 1, 64);
    node.crowd(10, ms(0));
    assert_eq!(node.pacer.due(ms(0)).calls.len(), 1, "a burst of one, and one in flight");
    assert!(node.pacer.due(ms(700)).calls.is_empty(), "it is in flight still");

    let mut node = Node::new(&limits(100, 5, 3), 0, 64);
    node.crowd(10, ms(0));
    assert_eq!((0..4_000).map(|now| node.call(ms(now))).sum::<usize>(), 0);
    node.pacer.set_share(1, 1, ms(4_000));
    assert_eq!(node.call(ms(4_000)), 0, "who had nothing has saved nothing");
    assert_eq!(node.call(ms(4_010)), 1);
    assert_eq!(node.call(ms(4_060)), 5);
}

#[test]
fn a_share_is_never_more_than_the_whole() {
    for (part, of) in [(9, 3), (1, 0), (5, 5)] {
        let mut node = Node::new(&limits(100, 40, 1_000), part, of);
        node.crowd(1_000, ms(0));
        assert_eq!(node.call(ms(0)), 40, "{part} of {of}");
        assert_eq!((1..=1_000).map(|now| node.call(ms(now))).sum::<usize>(), 100, "{part} of {of}");
    }
}

#[test]
fn calls_in_flight_keep_to_the_share() {
    let mut node = Node::new(&limits(1_000, 1_000, 8), 1, 2);
    node.crowd(1, ms(0));
    assert_eq!(node.call(ms(0)), 1, "the credential is accepted");
    node.crowd(20, ms(1));
    assert_eq!(node.pacer.due(ms(1)).calls.len(), 4);
    // More than the new share are in flight: nothing starts until they are fewer.
    node.pacer.set_share(1, 8, ms(2));
    assert!(node.pacer.due(ms(2)).calls.is_empty());
    node.pacer.set_share(1, 1, ms(3));
    assert_eq!(node.pacer.due(ms(3)).calls.len(), 4);
}

#[test]
fn what_is_spent_stays_spent_however_the_share_changes() {
    let mut node = Node::new(&limits(10, 60, 1_000), 1, 2);
    node.crowd(1_000, ms(0));
    assert_eq!(node.call(ms(0)), 30);
    for (part, of) in [(1, 1), (1, 3), (1, 1), (0, 1), (1, 2), (2, 2)] {
        node.pacer.set_share(part, of, ms(0));
        assert_eq!(node.call(ms(0)), 0, "{part} of {of}");
    }
    // What was not spent is there still, as far as the share has room for it.
    let mut node = Node::new(&limits(10, 60, 1_000), 1, 1);
    node.pacer.set_share(1, 2, ms(0));
    node.pacer.set_share(1, 1, ms(0));
    node.crowd(1_000, ms(0));
    assert_eq!(node.call(ms(0)), 30);
}

/// What a provider asked for stands, whatever the share.
#[test]
fn who_is_left_alone_is_left_alone_with_another_share() {
    let mut node = Node::new(&limits(10, 20, 1_000), 1, 2);
    node.crowd(1, ms(0));
    let call = node.pacer.due(ms(0)).calls.remove(0);
    let retry_after = Some(Duration::from_secs(4));
    node.pacer.answered(call.id, Verdict::Refused(Refusal::Transient { retry_after }), ms(100));
    node.pacer.set_share(1, 1, ms(200));
    node.crowd(20, ms(200));
    assert_eq!((200..4_100).map(|now| node.call(ms(now))).sum::<usize>(), 0);
    let trickle = (4_100..=4_600).map(|now| node.call(ms(now))).sum::<usize>();
    assert!((1..=7).contains(&trickle), "no burst: {trickle}");
}

/// Shares change hands all the time, and those who call want all they can get.
#[test]
fn a_fleet_never_asks_for_more_than_the_account_gives() {
    const BURST: u32 = 64;
    const GROUPS: u32 = 64;
    for (seed, calls_in_a_second, between_changes) in
        [(1, 50, 150), (2, 7, 1_000), (3, 333, 20), (4, 50, 1_000), (5, 1, 9_000)]
    {
        let mut chance = Chance::new(seed);
        let limits = limits(calls_in_a_second, BURST, 10_000);
        let mut fleet: Vec<_> = [(64, 64), (0, 64), (0, 64), (0, 64)]
            .map(|(part, of)| Node::new(&limits, part, of))
            .into_iter()
            .collect();
        let mut calls = Vec::new();
        for now in (0..60_000).map(ms) {
            if chance.below(between_changes) == 0 {
                let mut rest = GROUPS;
                for node in &mut fleet {
                    let part = u32::try_from(chance.below(u64::from(rest) + 1)).unwrap();
                    rest -= part;
                    node.pacer.set_share(part, GROUPS, now);
                }
                let last = usize::try_from(chance.below(4)).unwrap();
                fleet.rotate_left(last);
            }
            for node in &mut fleet {
                // Now everybody wants to, now nobody does.
                if now.as_millis() / 7_000 % 2 == 0 && node.pacer.waiting(node.upstream) < 100 {
                    node.crowd(100, now);
                }
                calls.extend(std::iter::repeat_n(now.as_millis(), node.call(now)));
            }
        }
        println_for_people(&format!("4 nodes at {calls_in_a_second}/s: {} calls in a minute", calls.len()));
        assert!(calls.len() > 64 + 10 * usize::try_from(calls_in_a_second).unwrap());
        assert_keeps_to(&calls, u64::from(calls_in_a_second), u64::from(BURST));
    }
}

/// In no window are there more than the burst and what the window's length allows.
fn assert_keeps_to(calls: &[u64], calls_in_a_second: u64, burst: u64) {
    // How much is in the bucket of somebody who watches all nodes, in thousandths of a call.
    let (mut level, mut last) = (burst * 1_000, 0);
    for &at in calls {
        level = (level + (at - last) * calls_in_a_second).min(burst * 1_000);
        last = at;
        assert!(level >= 1_000, "too much at {at} ms");
        level -= 1_000;
    }
}
