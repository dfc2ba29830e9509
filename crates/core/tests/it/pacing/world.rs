//! One pacer, one provider, many sides, and the network between.

mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use typingd_core::pacing::{
    Call, CallId, Counters, Dropped, Limits, Order, Pacer, Profile, UpstreamId, Verb, Verdict,
};
use typingd_core::{Conversation, Role, Side, StopReason, Time, User};

use super::handset::Handset;
use super::network::{Chance, Fate};
pub(super) use words::Word;

/// When a call is given up on.
const TIMEOUT: Duration = Duration::from_secs(4);

type Provider = Box<dyn FnMut(&Call, Time, &mut Chance) -> Fate>;

#[derive(Debug)]
enum Event {
    Say(usize, Word),
    Lapse(usize),
    /// News of a lease, as pacing hears of it.
    Began(usize, Time, Time),
    Moved(usize, Time),
    Ended(usize, StopReason, Time),
    Arrive(CallId),
    Answer(CallId, Verdict),
    TimeOut(CallId),
    LosePatience(usize, u64),
    MessageArrives(usize, u64),
    MessageAnswered(usize, bool),
}

struct Flying {
    side: usize,
    verb: Verb,
    is_over: bool,
    arrives: bool,
}

#[derive(Default)]
struct Party {
    handset: Handset,
    in_flight: Option<CallId>,
    last_start: Option<Time>,
    /// The end of what was accepted for certain.
    accepted_until: Time,
    /// Messages between setting out and their end.
    messages: u64,
    /// The message that waits for the call in flight, by its number, with its fate.
    waiting: Option<(u64, Word)>,
    news_at: Time,
}

/// Runs the events in order, and checks every call.
pub(super) struct World {
    pub(super) pacer: Pacer,
    pub(super) upstream: UpstreamId,
    pub(super) now: Time,
    pub(super) calls: Vec<(Time, usize, Verb)>,
    pub(super) dropped: Vec<(Time, usize, Dropped)>,
    /// The longest that news of a lease take.
    pub(super) news_delay_ms: u64,
    /// Whether extensions come to pacing only when it looks.
    pub(super) is_silent: bool,
    profile: Profile,
    provider: Provider,
    chance: Chance,
    parties: Vec<Party>,
    flying: BTreeMap<CallId, Flying>,
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
}

pub(super) fn side(number: usize) -> Side {
    let user = User::new(format!("+49{number:08}"));
    Side {
        conversation: Conversation::new("t", "rcs", format!("agent{}", number % 10), user),
        role: Role::Agent,
    }
}

impl World {
    pub(super) fn new(
        profile: Profile,
        limits: &Limits,
        sides: usize,
        seed: u64,
        provider: impl FnMut(&Call, Time, &mut Chance) -> Fate + 'static,
    ) -> Self {
        let mut pacer = Pacer::new(sides, seed);
        let upstream = pacer.add(profile.clone(), limits);
        Self {
            pacer,
            upstream,
            now: Time::ZERO,
            calls: Vec::new(),
            dropped: Vec::new(),
            news_delay_ms: 0,
            is_silent: false,
            profile,
            provider: Box::new(provider),
            chance: Chance::new(seed),
            parties: (0..sides).map(|_| Party::default()).collect(),
            flying: BTreeMap::new(),
            events: BTreeMap::new(),
            count: 0,
        }
    }

    pub(super) fn say_at(&mut self, at: Time, side: usize, word: Word) {
        self.schedule(at, Event::Say(side, word));
    }

    /// Lets time pass, with everything that happens in it.
    pub(super) fn run_until(&mut self, end: Time) {
        loop {
            let event_at = self.events.first_key_value().map(|((at, _), _)| *at);
            let next = [event_at, self.pacer.deadline()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.happen(event);
            }
            self.take_due();
        }
        self.now = end;
        for party in &mut self.parties {
            party.handset.pass_to(end);
        }
    }

    pub(super) fn handset(&self, side: usize) -> &Handset {
        &self.parties[side].handset
    }

    pub(super) fn sum(&self, of: impl Fn(&Handset) -> u64) -> u64 {
        self.parties.iter().map(|party| of(&party.handset)).sum()
    }

    pub(super) fn counters(&self) -> &Counters {
        self.pacer.counters(self.upstream).unwrap()
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// News of one side come in order, some time later.
    fn tell(&mut self, side: usize, event: Event) {
        let delay = self.chance.millis(self.news_delay_ms + 1);
        let at = self.parties[side].news_at.max(self.now + delay);
        self.parties[side].news_at = at;
        self.schedule(at, event);
    }

    fn happen(&mut self, event: Event) {
        let (now, upstream) = (self.now, self.upstream);
        match event {
            Event::Say(number, word) => self.say(number, word),
            Event::Lapse(number) => {
                let lapsed = self.parties[number].handset.live.filter(|(_, until)| *until <= now);
                if let Some((_, until)) = lapsed {
                    self.end_lease(number, StopReason::Expired, until);
                }
            }
            Event::Began(number, since, until) => {
                self.pacer.begin(upstream, &side(number), since, until, now);
            }
            Event::Moved(number, until) => self.pacer.extend(upstream, &side(number), until, now),
            Event::Ended(number, reason, at) => self.pacer.end(upstream, &side(number), reason, at, now),
            Event::Arrive(call) => {
                let flying = &self.flying[&call];
                let is_lost = flying.is_over && self.profile.order == Order::ByArrival;
                if flying.arrives && !is_lost {
                    self.parties[flying.side].handset.hear(&self.profile, flying.verb, now);
                }
            }
            Event::Answer(call, verdict) => self.answer(call, verdict),
            Event::TimeOut(call) => self.answer(call, Verdict::Unanswered),
            Event::LosePatience(number, message) => {
                // What is in flight is cancelled, and the message goes.
                if self.parties[number].waiting.is_some_and(|(waiting, _)| waiting == message)
                    && let Some(call) = self.parties[number].in_flight
                {
                    self.answer(call, Verdict::Unanswered);
                }
            }
            Event::MessageArrives(number, leases) => {
                self.parties[number].handset.receive(&self.profile, leases, now);
            }
            Event::MessageAnswered(number, is_accepted) => self.message_is_over(number, is_accepted),
        }
    }

    fn take_due(&mut self) {
        let due = self.pacer.due(self.now);
        for (_, looked_at) in due.looks {
            let number = number_of(&looked_at);
            if let Some((_, until)) = self.parties[number].handset.live {
                self.pacer.extend(self.upstream, &looked_at, until, self.now);
            }
        }
        for dropped in due.dropped {
            self.dropped.push((self.now, number_of(&dropped.side), dropped.reason));
        }
        for call in due.calls {
            self.start(&call);
        }
    }

    fn start(&mut self, call: &Call) {
        let (now, number) = (self.now, number_of(&call.side));
        let fate = (self.provider)(call, now, &mut self.chance);
        let party = &mut self.parties[number];
        assert_eq!(party.in_flight.replace(call.id), None, "two calls in flight");
        assert_eq!(party.messages, 0, "a call starts while a message is on its way");
        assert!(
            now >= call.due && now.since(call.due) <= self.profile.freshness,
            "stale: {call:?} at {now:?}"
        );
        if let Some(last_start) = party.last_start.replace(now) {
            assert!(now >= last_start + self.profile.floor, "below the floor");
        }
        match call.verb {
            Verb::Type if self.news_delay_ms == 0 => {
                assert!(party.handset.is_live(now), "typing without a lease at {now:?}");
            }
            Verb::Type => {}
            Verb::Stop => assert!(self.profile.has_stop, "there is no stop"),
        }
        if call.verb == Verb::Type && self.profile.refresh == typingd_core::pacing::Refresh::Forbidden {
            assert!(now >= party.accepted_until, "forbidden: accepted until {:?}", party.accepted_until);
        }
        self.calls.push((now, number, call.verb));
        let flying = Flying { side: number, verb: call.verb, is_over: false, arrives: fate.arrives };
        self.flying.insert(call.id, flying);
        let disorder = match self.profile.order {
            Order::ByArrival => Duration::ZERO,
            Order::Unordered => self.chance.millis(2_000),
        };
        self.schedule(now + fate.out + disorder, Event::Arrive(call.id));
        match fate.verdict {
            Some(verdict) if fate.out + fate.back < TIMEOUT => {
                self.schedule(now + fate.out + fate.back, Event::Answer(call.id, verdict));
            }
            _ => self.schedule(now + TIMEOUT, Event::TimeOut(call.id)),
        }
    }

    fn answer(&mut self, call: CallId, verdict: Verdict) {
        let now = self.now;
        let flying = self.flying.get_mut(&call).unwrap();
        if std::mem::replace(&mut flying.is_over, true) {
            return;
        }
        let (number, verb) = (flying.side, flying.verb);
        let party = &mut self.parties[number];
        party.in_flight = None;
        if verdict == Verdict::Accepted {
            let is_type = verb == Verb::Type;
            party.accepted_until =
                if is_type { party.last_start.unwrap() + self.profile.display } else { now };
        }
        self.pacer.answered(call, verdict, now);
        if let Some((_, word)) = self.parties[number].waiting.take() {
            self.forward(number, word);
        }
    }
}

fn number_of(side: &Side) -> usize {
    side.conversation.user().as_str()[3..].parse().unwrap()
}
