//! A side that goes from one pacer to another, and back, at random times.

use std::collections::BTreeMap;
use std::time::Duration;

use typingd_core::pacing::{Call, CallId, Pacer, Profile, UpstreamId, Verb, Verdict};
use typingd_core::{StopReason, Time};

use crate::pacing::handset::Handset;
use crate::pacing::network::Chance;
use crate::pacing::profiles::{forbidden, seven_seconds, twenty_seconds, unlimited, with_stop};
use crate::pacing::world::side;

/// What a round trip is taken for before one was measured.
const UNMEASURED: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Event {
    Compose(Duration),
    Stop,
    Lapse,
    Leave,
    Adopt(usize),
    Arrive(Verb),
    Answer(usize, CallId),
}

/// Two nodes, one side, and what both can read.
struct Fleet {
    nodes: [(Pacer, UpstreamId); 2],
    owner: Option<usize>,
    noted: Option<Time>,
    profile: Profile,
    round_trip: Duration,
    chance: Chance,
    handset: Handset,
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
    now: Time,
    calls: Vec<(Time, Verb)>,
    /// Stops since the lease ended.
    stops: u32,
    /// How long it is dark, or lit for nobody, and how much of that there was no owner.
    wrong: Duration,
    excused: Duration,
    accounted_to: Time,
    accounted: (u64, u64),
    most_wrong: Duration,
}

impl Fleet {
    fn new(profile: Profile, round_trip: Duration, seed: u64) -> Self {
        let node = |seed| {
            let mut pacer = Pacer::new(10, seed);
            let upstream = pacer.add(profile.clone(), &unlimited());
            (pacer, upstream)
        };
        Self {
            nodes: [node(seed), node(seed + 1)],
            owner: Some(0),
            noted: None,
            round_trip,
            chance: Chance::new(seed ^ 0x5eed),
            handset: Handset::default(),
            events: BTreeMap::new(),
            count: 0,
            now: Time::ZERO,
            calls: Vec::new(),
            stops: 0,
            wrong: Duration::ZERO,
            excused: Duration::ZERO,
            accounted_to: Time::ZERO,
            accounted: (0, 0),
            most_wrong: Duration::ZERO,
            profile,
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
            self.account();
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.happen(event);
            }
            for node in 0..self.nodes.len() {
                let due = self.nodes[node].0.due(self.now);
                assert!(due.dropped.is_empty());
                due.calls.iter().for_each(|call| self.start(node, call));
            }
        }
        self.now = end;
        self.account();
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Compose(ttl) => {
                let live = self.handset.live.filter(|(_, until)| now < *until);
                let until = live.map_or(now + ttl, |(_, until)| until.max(now + ttl));
                self.schedule(until, Event::Lapse);
                match live {
                    Some((since, _)) => self.handset.live = Some((since, until)),
                    None => {
                        self.handset.begin(now, until);
                        self.stops = 0;
                    }
                }
                let since = live.map_or(now, |(since, _)| since);
                self.tell(|pacer, upstream| pacer.begin(upstream, &side(0), since, until, now));
            }
            Event::Stop => self.end(StopReason::Paused),
            Event::Lapse if self.handset.is_live(now) => {}
            Event::Lapse => self.end(StopReason::Expired),
            Event::Leave => {
                if let Some(owner) = self.owner.take() {
                    self.nodes[owner].0.leave(&side(0));
                }
            }
            Event::Adopt(node) => {
                assert_eq!(self.owner.replace(node), None);
                let lease = self.handset.live;
                let (since, until) = (lease.map_or(now, |(since, _)| since), lease.map(|(_, until)| until));
                let noted = self.noted;
                self.tell(|pacer, upstream| pacer.adopt(upstream, &side(0), since, until, noted, now));
            }
            Event::Arrive(verb) => self.handset.hear(&self.profile, verb, now),
            Event::Answer(node, call) => self.nodes[node].0.answered(call, Verdict::Accepted, now),
        }
    }

    fn end(&mut self, reason: StopReason) {
        let now = self.now;
        if self.handset.live.is_some() {
            self.handset.end(now);
            self.tell(|pacer, upstream| pacer.end(upstream, &side(0), reason, now, now));
        }
    }

    fn tell(&mut self, word: impl FnOnce(&mut Pacer, UpstreamId)) {
        if let Some(owner) = self.owner {
            let (pacer, upstream) = &mut self.nodes[owner];
            word(pacer, *upstream);
        }
    }

    fn start(&mut self, node: usize, call: &Call) {
        let now = self.now;
        assert_eq!(Some(node), self.owner, "who is not the owner says nothing");
        self.noted = Some(call.shows_until);
        if let Some((last, verb)) = self.calls.last() {
            assert!(now >= *last + self.profile.floor, "below the floor");
            if call.verb == Verb::Type && *verb == Verb::Type {
                let quiet = self.profile.display * 3 / 4;
                assert!(now >= *last + quiet, "they show since {last:?}, at {now:?}");
            }
        }
        match call.verb {
            Verb::Type => assert!(self.handset.is_live(now), "typing without a lease"),
            Verb::Stop => {
                assert!(self.profile.has_stop && self.handset.live.is_none());
                self.stops += 1;
                assert_eq!(self.stops, 1, "one stop is enough");
            }
        }
        self.calls.push((now, call.verb));
        // Sooner or later on its way; the answer takes the rest.
        let out = self.chance.millis(u64::try_from(self.round_trip.as_millis()).unwrap() + 1);
        self.schedule(now + out, Event::Arrive(call.verb));
        self.schedule(now + self.round_trip, Event::Answer(node, call.id));
    }

    /// Takes note of what is wrong since the last time, and whether nobody was there to help it.
    fn account(&mut self) {
        self.handset.pass_to(self.now);
        let passed = self.now.since(self.accounted_to);
        self.accounted_to = self.now;
        let Handset { gap_ms, ghost_ms, .. } = self.handset;
        let (gap_before, ghost_before) = std::mem::replace(&mut self.accounted, (gap_ms, ghost_ms));
        let ghost = if self.profile.has_stop { ghost_ms - ghost_before } else { 0 };
        let wrong = Duration::from_millis((gap_ms - gap_before).max(ghost));
        // What is wrong is so at the end of a span: it goes on from one to the next.
        if wrong.is_zero() && !passed.is_zero() {
            (self.wrong, self.excused) = (Duration::ZERO, Duration::ZERO);
        }
        self.wrong += wrong;
        if self.owner.is_none() {
            self.excused += wrong;
        }
        self.most_wrong = self.most_wrong.max(self.wrong.saturating_sub(self.excused));
    }
}

/// Two minutes of typing and changing hands, with a minute of rest.
fn run(profile: &Profile, seed: u64) -> Fleet {
    let mut chance = Chance::new(seed);
    let round_trip = Duration::from_millis(20) + chance.millis(880);
    let mut fleet = Fleet::new(profile.clone(), round_trip, seed);
    let mut at = Time::ZERO;
    for _ in 0..4 + chance.below(12) {
        let is_stop = chance.percent(25);
        let ttl = Duration::from_secs(1) + chance.millis(45_000);
        fleet.schedule(at, if is_stop { Event::Stop } else { Event::Compose(ttl) });
        at = at + if chance.percent(30) { chance.millis(1_500) } else { chance.millis(15_000) };
    }
    let end = at;
    let (mut at, mut node) = (Time::ZERO, 0);
    loop {
        at = at + if chance.percent(30) { chance.millis(1_500) } else { chance.millis(12_000) };
        let ownerless = if chance.percent(50) { Duration::ZERO } else { chance.millis(3_000) };
        if at + ownerless > end {
            break;
        }
        // Mostly to the other, at times back.
        node = if chance.percent(80) { 1 - node } else { node };
        fleet.schedule(at, Event::Leave);
        fleet.schedule(at + ownerless, Event::Adopt(node));
        at = at + ownerless;
    }
    fleet.run_until(end + Duration::from_secs(120));
    fleet
}

#[test]
fn whoever_owns_it_the_dots_are_told_once() {
    let forbidden_with_stop = Profile { has_stop: true, ..forbidden() };
    for profile in [twenty_seconds(), with_stop(), seven_seconds(), forbidden(), forbidden_with_stop] {
        let (mut calls, mut stops) = (0, 0);
        for seed in 0..2_000 {
            let fleet = run(&profile, seed);
            assert_eq!(fleet.handset.lost, 0, "a call that was lost, seed {seed}, {profile:?}");
            // One call, after the shortest time between two, or after what the last one is thought to have taken.
            let most = fleet.round_trip + UNMEASURED.max(profile.floor);
            assert!(fleet.most_wrong <= most, "{:?} wrong, seed {seed}, {profile:?}", fleet.most_wrong);
            for (pacer, upstream) in &fleet.nodes {
                assert_eq!(pacer.streams(), 0, "after quiet nothing is remembered, seed {seed}");
                assert_eq!(pacer.credential(*upstream).unwrap().in_flight(), 0, "seed {seed}");
            }
            calls += fleet.calls.len();
            stops += fleet.calls.iter().filter(|(_, verb)| *verb == Verb::Stop).count();
        }
        assert!(calls > 4_000, "{calls}");
        assert_eq!(stops > 2_000, profile.has_stop, "{stops}");
    }
}
