//! A credential that several pacers use, and one permission at a time to try it.

use std::collections::BTreeMap;
use std::time::Duration;

use typingd_core::Time;
use typingd_core::pacing::{BreakerState, CallId, News, Pacer, Refusal, UpstreamId, Verdict};

use crate::pacing::profiles::{twenty_seconds, unlimited};
use crate::pacing::world::side;

const SIDES: usize = 1_000;
const NEWS_TAKE: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(7_200);

fn at(seconds: u64) -> Time {
    Time::from_millis(seconds * 1_000)
}

enum Event {
    Answer(usize, CallId, Verdict),
    Hear(usize, News),
}

/// Three nodes, a provider, and whoever gives permission.
struct Fleet {
    nodes: Vec<(Pacer, UpstreamId)>,
    provider: Box<dyn Fn(Time) -> (Duration, Verdict)>,
    /// For how long permission is given.
    term: Duration,
    holder: Option<(usize, Time)>,
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
    now: Time,
    calls: Vec<(Time, usize)>,
    asked: Vec<(Time, usize)>,
    news: Vec<News>,
    in_flight: usize,
    most_in_flight: usize,
}

impl Fleet {
    /// Everybody types from the beginning.
    fn new(term: Duration, provider: impl Fn(Time) -> (Duration, Verdict) + 'static) -> Self {
        let node = |seed| {
            let mut pacer = Pacer::new(SIDES, seed).among_others();
            let upstream = pacer.add(twenty_seconds(), &unlimited());
            (pacer, upstream)
        };
        let mut nodes: Vec<_> = (0..3).map(node).collect();
        for number in 0..SIDES {
            let (pacer, upstream) = &mut nodes[number % 3];
            pacer.begin(*upstream, &side(number), Time::ZERO, Time::ZERO + LONG, Time::ZERO);
        }
        Self {
            nodes,
            provider: Box::new(provider),
            term,
            holder: None,
            events: BTreeMap::new(),
            count: 0,
            now: Time::ZERO,
            calls: Vec::new(),
            asked: Vec::new(),
            news: Vec::new(),
            in_flight: 0,
            most_in_flight: 0,
        }
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    fn run_until(&mut self, end: Time) {
        loop {
            let event_at = self.events.first_key_value().map(|((at, _), _)| *at);
            let deadlines = self.nodes.iter().filter_map(|(pacer, _)| pacer.deadline());
            let Some(next) = event_at.into_iter().chain(deadlines).min().filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.happen(event);
            }
            for node in 0..self.nodes.len() {
                self.take_due(node);
            }
            let late = self.nodes.iter().find(|(pacer, _)| pacer.deadline().is_some_and(|at| at <= self.now));
            assert!(late.is_none(), "all that was due is done at {:?}", self.now);
        }
        self.now = end;
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Answer(node, call, verdict) => {
                self.in_flight -= 1;
                self.nodes[node].0.answered(call, verdict, now);
            }
            Event::Hear(node, news) => {
                let (pacer, upstream) = &mut self.nodes[node];
                pacer.hear(*upstream, news, now);
                // Twice is as good as once.
                pacer.hear(*upstream, news, now);
            }
        }
    }

    fn take_due(&mut self, node: usize) {
        let now = self.now;
        let due = self.nodes[node].0.due(now);
        for call in due.calls {
            self.calls.push((now, node));
            self.in_flight += 1;
            self.most_in_flight = self.most_in_flight.max(self.in_flight);
            let (takes, verdict) = (self.provider)(now);
            self.schedule(now + takes, Event::Answer(node, call.id, verdict));
        }
        for (_, news) in due.news {
            self.news.push(news);
            for other in (0..self.nodes.len()).filter(|other| *other != node) {
                self.schedule(now + NEWS_TAKE, Event::Hear(other, news));
            }
        }
        for upstream in due.permits {
            self.asked.push((now, node));
            if self.holder.is_none_or(|(holder, until)| holder == node || until <= now)
                && !self.term.is_zero()
            {
                let until = now + self.term;
                self.holder = Some((node, until));
                self.nodes[node].0.permit(upstream, until);
                self.take_due(node);
            }
        }
    }

    fn breakers(&self) -> Vec<BreakerState> {
        let of = |(pacer, upstream): &(Pacer, UpstreamId)| pacer.credential(*upstream).unwrap().breaker();
        self.nodes.iter().map(of).collect()
    }
}

fn refuses() -> Verdict {
    Verdict::Refused(Refusal::Credential)
}

#[test]
fn a_new_credential_that_is_refused_is_used_three_times_in_the_whole_fleet() {
    for takes in [10, 80, 900] {
        let takes = Duration::from_millis(takes);
        let mut fleet = Fleet::new(Duration::from_secs(5), move |_| (takes, refuses()));
        fleet.run_until(at(299));
        assert_eq!(fleet.calls.len(), 3, "{takes:?}");
        assert!(fleet.breakers().iter().all(|state| matches!(state, BreakerState::Open { .. })));
        fleet.run_until(at(300 * 6));
        assert_eq!(fleet.calls.len(), 3 + 5, "and then once in five minutes");
        assert!(
            fleet.calls[3..].windows(2).all(|pair| pair[1].0.since(pair[0].0) >= Duration::from_secs(300))
        );
        assert!(fleet.news.iter().all(|news| matches!(news, News::Refused { .. })));
        assert_eq!(fleet.news.len(), 1 + 5, "what is heard is not said again");
    }
}

#[test]
fn one_finds_out_for_all_that_a_new_credential_works() {
    let takes = Duration::from_millis(80);
    let mut fleet = Fleet::new(Duration::from_secs(5), move |_| (takes, Verdict::Accepted));
    fleet.run_until(Time::from_millis(79));
    assert_eq!(fleet.calls.len(), 3);
    fleet.run_until(Time::from_millis(80));
    assert!(fleet.calls.iter().all(|(_, node)| *node == fleet.calls[0].1), "the others were not told yet");
    fleet.run_until(Time::from_millis(100));
    assert_eq!(fleet.calls.len(), SIDES);
    assert_eq!(fleet.breakers(), [BreakerState::Closed; 3]);
    assert_eq!(fleet.news, [News::Proven]);
}

#[test]
fn one_finds_out_for_all_that_it_works_again() {
    let takes = Duration::from_millis(80);
    let mut fleet = Fleet::new(Duration::from_secs(5), move |now| {
        (takes, if now < at(400) { refuses() } else { Verdict::Accepted })
    });
    fleet.run_until(at(600));
    assert_eq!(fleet.calls.len(), 4);
    fleet.run_until(at(602));
    assert_eq!(fleet.calls.len(), 4 + SIDES, "those who waited are due at once");
    assert_eq!(fleet.news.last(), Some(&News::Proven));
    assert_eq!(fleet.news.len(), 3);
}

/// Calls hang for longer than a permission lasts: whoever has it keeps it meanwhile.
#[test]
fn three_are_in_flight_in_the_whole_fleet_even_if_none_is_answered() {
    for term in [1_500, 3_000, 20_000] {
        let hang = |now: Time| (Duration::from_secs(4 + now.as_millis() % 7), Verdict::Unanswered);
        let mut fleet = Fleet::new(Duration::from_millis(term), hang);
        fleet.run_until(at(120));
        assert_eq!(fleet.most_in_flight, 3, "{term} ms");
        assert!(fleet.calls.len() > 20, "{} calls, {term} ms", fleet.calls.len());
    }
}

/// A probe hangs for longer than its permission lasts: no other node tries meanwhile.
#[test]
fn a_probe_that_hangs_is_the_only_one() {
    let mut fleet = Fleet::new(Duration::from_millis(1_500), |now| {
        (Duration::from_millis(if now < at(200) { 80 } else { 10_000 }), refuses())
    });
    fleet.run_until(at(320));
    assert_eq!(fleet.calls.len(), 4);
}

#[test]
fn without_permission_nothing_is_tried() {
    let mut fleet = Fleet::new(Duration::ZERO, |_| (Duration::ZERO, Verdict::Accepted));
    fleet.run_until(at(20));
    assert!(fleet.calls.is_empty());
    for node in 0..3 {
        let asked: Vec<_> = fleet.asked.iter().filter(|(_, who)| *who == node).map(|(at, _)| *at).collect();
        // For five seconds they wait, for five they rest.
        assert!((10..=12).contains(&asked.len()), "about once a second: {}", asked.len());
        assert!(asked.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_secs(1)));
    }
}
