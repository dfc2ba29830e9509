//! Random schedules of everything that can happen to a side, with a subscriber who believes what it is told.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use typingd_core::lease::SideState;
use typingd_core::transition::{Decision, Input, transition};
use typingd_core::{ChangeKind, Marks, Name, Policy, Signal, Source, StopReason, Time, Utterance, Verdict};

/// One step of a schedule.
#[derive(Clone, Debug)]
enum Step {
    Say(Utterance),
    /// Something said before is delivered again, word for word.
    Replay(prop::sample::Index),
    Close {
        participant: Option<Name>,
        source: Source,
    },
    Extend {
        participant: Option<Name>,
        source: Source,
        millis: u64,
    },
    Wait(u64),
}

fn schedules() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(
        prop_oneof![
            5 => utterances().prop_map(Step::Say),
            2 => any::<prop::sample::Index>().prop_map(Step::Replay),
            1 => (participants(), 0_u64..3).prop_map(|(participant, id)| Step::Close { participant, source: Source::Socket(id) }),
            1 => (participants(), 0_u64..2).prop_map(|(participant, id)| Step::Close { participant, source: Source::Hold { id, continues: false } }),
            1 => (participants(), 0_u64..2, 0_u64..30_000).prop_map(|(participant, id, millis)| Step::Extend { participant, source: Source::Hold { id, continues: false }, millis }),
            5 => (0_u64..9_000).prop_map(Step::Wait),
        ],
        1..14,
    )
}

fn participants() -> impl Strategy<Value = Option<Name>> {
    prop_oneof![Just(None), Just(Some("anna".into())), Just(Some("bo".into()))]
}

fn utterances() -> impl Strategy<Value = Utterance> {
    let signal = prop_oneof![
        4 => (1_000_u64..30_000).prop_map(|ms| Signal::Composing { ttl: Duration::from_millis(ms) }),
        1 => Just(Signal::Paused),
        2 => Just(Signal::Sent),
    ];
    let source = prop_oneof![
        3 => Just(Source::OneShot),
        1 => (0_u64..3).prop_map(Source::Socket),
        1 => (0_u64..2, any::<bool>()).prop_map(|(id, continues)| Source::Hold { id, continues }),
    ];
    let marks = prop_oneof![
        1 => Just(Marks::default()),
        1 => (0_u64..4).prop_map(|turn| Marks { turn: Some(turn), payload_id: None }),
        1 => (0_u32..1_000).prop_map(|id| Marks { turn: None, payload_id: Some(format!("{id}").into()) }),
    ];
    (participants(), signal, source, marks).prop_map(|(participant, signal, source, marks)| Utterance {
        participant,
        name: None,
        signal,
        source,
        origin: "test".into(),
        marks,
    })
}

/// A side, the clock, and what a subscriber was told.
struct World {
    policy: Policy,
    now: Time,
    side: SideState,
    told: BTreeMap<Option<Name>, Time>,
    said: Vec<(Utterance, Verdict)>,
}

impl World {
    fn apply(&mut self, input: &Input) -> Decision {
        let decision = transition(self.side.clone(), input, self.now, &self.policy);
        self.side = decision.next.clone();
        for change in &decision.changes {
            let who = change.lease.participant.clone();
            let until = change.lease.expires_at;
            match change.kind {
                ChangeKind::Started => assert_eq!(self.told.insert(who, until), None, "started twice"),
                ChangeKind::Refreshed => {
                    assert!(self.told.insert(who, until).is_some(), "refreshed before it started")
                }
                ChangeKind::Stopped(_) => assert!(self.told.remove(&who).is_some(), "stopped twice"),
            }
        }
        self.check();
        decision
    }

    /// The subscriber knows exactly the live leases, and is never dark.
    fn check(&self) {
        let live: Vec<_> = self.side.leases.iter().map(|lease| &lease.participant).collect();
        assert_eq!(live.len(), self.told.len(), "what lives is what was told");
        for lease in &self.side.leases {
            assert_eq!(self.told.get(&lease.participant), Some(&lease.announced_until), "told is told");
            assert!(self.now < lease.announced_until, "dark: {lease:?} at {:?}", self.now);
            assert!(lease.announced_until <= lease.expires_at(), "told longer than it lasts");
            assert!(!lease.claims.is_empty(), "no reason for it");
        }
        assert!(self.side.deadline().is_none_or(|deadline| deadline > self.now), "nothing due is left");
    }

    fn wait(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(deadline) = self.side.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline;
            self.apply(&Input::Lapse);
        }
        self.now = end;
        self.check();
    }

    fn say(&mut self, said: Utterance) {
        let before = self.said.clone();
        let verdict = self.apply(&Input::Say(said.clone())).outcome.verdict;
        let is_composing = matches!(said.signal, Signal::Composing { .. });
        // Within the fence's minute (a schedule is shorter), what a message ended stays ended.
        if let (true, Some(turn)) = (is_composing, said.marks.turn) {
            let is_over =
                before.iter().any(|(old, _)| old.signal == Signal::Sent && old.marks.turn >= Some(turn));
            assert!(!is_over || matches!(verdict, Verdict::Ignored(_)), "turn {turn} is over");
        }
        if let Some(id) = &said.marks.payload_id {
            let is_known = before.iter().any(|(old, _)| old.marks.payload_id.as_ref() == Some(id));
            assert!(!is_known || matches!(verdict, Verdict::Ignored(_)), "payload {id} was seen");
        }
        if said.signal == Signal::Sent && !matches!(verdict, Verdict::Ignored(_)) {
            let remains = self.side.leases.iter().filter(|lease| {
                let is_meant = said.participant.is_none()
                    || lease.participant.is_none()
                    || lease.participant == said.participant;
                is_meant && lease.started_at < self.now
            });
            for lease in remains {
                assert!(said.marks.turn.is_some() && lease.turn > said.marks.turn, "live after the message");
            }
        }
        self.said.push((said, verdict));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_subscriber_knows(steps in schedules()) {
        // A fence that outlasts the schedule, so that what is said of it holds to the end.
        let policy = Policy { fence: Duration::from_secs(300), ..Policy::default() };
        let mut world = World { policy, now: Time::ZERO, side: SideState::default(), told: BTreeMap::new(), said: Vec::new() };
        for step in steps {
            match step {
                Step::Say(said) => world.say(said),
                Step::Replay(which) if !world.said.is_empty() => {
                    let said = which.get(&world.said).0.clone();
                    world.say(said);
                }
                Step::Replay(_) => {}
                Step::Close { participant, source } => drop(world.apply(&Input::Release {
                    participant,
                    source,
                    reason: StopReason::Revoked,
                })),
                Step::Extend { participant, source, millis } => {
                    let before = world.side.leases.len();
                    let ttl = Duration::from_millis(millis);
                    let decision = world.apply(&Input::Extend { participant, source, ttl });
                    assert!(decision.next.leases.len() <= before, "a beat begins nothing");
                }
                Step::Wait(millis) => world.wait(millis),
            }
        }
        world.wait(400_000);
        prop_assert!(world.side.is_empty(), "after quiet nothing is on");
        prop_assert!(world.told.is_empty());
    }
}
