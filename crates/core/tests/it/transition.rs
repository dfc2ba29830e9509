//! Single sides, step by step: what was said when, what was told when, and what the last speaker was answered.
//!
//! A step is `SECONDS WORD…`; a word `c20` composes for 20 s, `paused`, `sent`, `revoke` and `close` speak for
//! themselves. `by ANNA` names a participant, `turn 3` and `id X` mark the signal, `on S1` and `on H1` say that a socket
//! or a hold vouches (`H1+`: one that continues after a message). What is told is `SECONDS KIND`, with the new end.
//! Between the steps the deadlines are kept, as a sweeper does.

use std::fmt::Write;
use std::time::Duration;

use typingd_core::lease::SideState;
use typingd_core::transition::{Change, Input, transition};
use typingd_core::{
    ChangeKind, IgnoreReason, Marks, Policy, Signal, Source, StopReason, Time, Utterance, Verdict,
};

#[test]
fn the_rules_hold_row_by_row() {
    #[rustfmt::skip]
    let table = [
        // name, what is said, what is told, the last answer
        ("a first composing starts", "0 c20", "0 started..20", "started 20"),
        ("it lapses at its end", "0 c20, 20 look", "0 started..20, 20 expired", "-"),
        ("not a moment before", "0 c20, 19.999 look", "0 started..20", "-"),
        ("a repeat is silent", "0 c20, 4 c20", "0 started..20", "extended 24"),
        ("a repeat keeps the start", "0 c20, 4 c20, 5 sent", "0 started..20, 5 sent", "ended"),
        ("the documented example", "0 c20, 4 c20, 9 c20, 60 look", "0 started..20, 15 refreshed..29, 29 expired", "-"),
        ("an extension inside the guard is told at once", "0 c20, 16 c20", "0 started..20, 16 refreshed..36", "extended 36"),
        ("a signal never shortens", "0 c20, 1 c2, 10 look", "0 started..20", "-"),
        ("a short ttl has a short guard", "0 c4, 2 c4, 9 look", "0 started..4, 3 refreshed..6, 6 expired", "-"),
        ("a storm is told once a span", "0 c20, 1 c20, 2 c20, 3 c20, 14 c20, 20 look", "0 started..20, 15 refreshed..34", "-"),
        ("a message ends composing", "0 c20, 3 sent", "0 started..20, 3 sent", "ended"),
        ("a pause ends composing", "0 c20, 3 paused", "0 started..20, 3 paused", "ended"),
        ("a pause where nothing lives is ignored", "0 paused", "", "ignored nothing_live"),
        ("a repeated message is ignored", "0 c20, 3 sent, 4 sent", "0 started..20, 3 sent", "ignored nothing_live"),
        ("composing after a message starts anew", "0 c20, 3 sent, 4 c20", "0 started..20, 3 sent, 4 started..24", "started 24"),
        ("a late sweep is settled first", "0 c20, 30 c20 unswept", "0 started..20, 30 expired, 30 started..50", "started 50"),
        ("revoked", "0 c20, 0 c20 by ANNA, 1 revoke", "0 started..20, 0 started..20, 1 revoked, 1 revoked", "ended"),
        // Several on one side.
        ("each has a lease", "0 c20 by ANNA, 1 c20 by BO", "0 started..20, 1 started..21", "started 21"),
        ("one pauses, the other goes on", "0 c20 by ANNA, 1 c20 by BO, 2 paused by ANNA", "0 started..20, 1 started..21, 2 paused", "ended"),
        ("a named message ends the anonymous lease too", "0 c20, 0 c20 by ANNA, 0 c20 by BO, 2 sent by ANNA", "0 started..20, 0 started..20, 0 started..20, 2 sent, 2 sent", "ended"),
        ("an anonymous message ends all", "0 c20 by ANNA, 1 c20 by BO, 2 sent", "0 started..20, 1 started..21, 2 sent, 2 sent", "ended"),
        // Claims.
        ("the lease lasts as long as the latest claim", "0 c20, 1 c5 on S1, 2 close S1", "0 started..20", "ignored held 20"),
        ("a closed socket shortens, and it is told", "0 c10, 1 c20 on S1, 8 close S1, 10 look", "0 started..10, 5 refreshed..21, 8 refreshed..10, 10 expired", "-"),
        ("a shorter end is told though the longer one was not", "0 c20, 1 c10 on S1, 12 c20 on S1, 13 close S1", "0 started..20, 13 refreshed..20", "ignored held 20"),
        ("a closed socket ends what it alone held", "0 c20 on S1, 2 close S1", "0 started..20, 2 revoked", "ended"),
        ("of two sockets the last one out ends it", "0 c20 on S1, 1 c20 on S2, 2 close S1, 3 close S2", "0 started..20, 3 revoked", "ended"),
        ("closing what holds nothing is ignored", "0 close S1", "", "ignored nothing_live"),
        ("a message ends the hold too", "0 c60 on H1, 5 sent", "0 started..60, 5 sent", "ended"),
        ("a hold that continues begins anew", "0 c60 on H1+, 5 sent", "0 started..60, 5 sent, 5 started..60", "ended 60"),
        ("but not after a pause", "0 c60 on H1+, 5 paused", "0 started..60, 5 paused", "ended"),
        ("an ended hold ends what it alone held, as paused", "0 c60 on H1, 5 end H1", "0 started..60, 5 paused", "ended"),
        ("of two holds the last one out ends it", "0 c60 on H1, 1 c90 on H2, 5 end H2, 6 end H1", "0 started..60, 5 refreshed..60, 6 paused", "ended"),
        ("a beat extends a hold in silence", "0 c20 on H1, 4 extend H1 c60", "0 started..20", "extended 64"),
        ("and is told before the end that was told", "0 c20 on H1, 4 extend H1 c60, 60 look", "0 started..20, 15 refreshed..64", "-"),
        ("a beat never shortens", "0 c60 on H1, 4 extend H1 c10", "0 started..60", "extended 60"),
        ("a beat after the message begins nothing", "0 c60 on H1, 4 sent, 5 extend H1 c60", "0 started..60, 4 sent", "ignored nothing_live"),
        ("a beat of a hold that has lapsed begins nothing", "0 c20 on H1, 5 c60, 30 extend H1 c60", "0 started..20, 15 refreshed..65", "ignored nothing_live 65"),
        ("a beat after the message holds on where it continues", "0 c60 on H1+, 4 sent, 5 extend H1 c60", "0 started..60, 4 sent, 4 started..60", "extended 65"),
        // Fences.
        ("a straggler of the sent turn is fenced", "0 c20 turn 1, 3 sent turn 1, 4 c20 turn 1", "0 started..20, 3 sent", "ignored fenced"),
        ("the next turn is not", "0 c20 turn 1, 3 sent turn 1, 4 c20 turn 2", "0 started..20, 3 sent, 4 started..24", "started 24"),
        ("the message may come first", "0 sent turn 1, 1 c20 turn 1", "", "ignored fenced"),
        ("a message without a turn fences the one it ended", "0 c20 turn 7, 3 sent, 4 c20 turn 7", "0 started..20, 3 sent", "ignored fenced"),
        ("a pause fences nothing", "0 c20 turn 1, 3 paused turn 1, 4 c20 turn 1", "0 started..20, 3 paused, 4 started..24", "started 24"),
        ("a late message leaves the next turn", "0 c20 turn 2, 1 sent turn 1, 2 look", "0 started..20", "-"),
        ("a late pause leaves the next turn", "0 c20 turn 2, 1 paused turn 1", "0 started..20", "ignored fenced 20"),
        ("a fence holds 60 s", "0 c20 turn 1, 3 sent turn 1, 62.999 c20 turn 1", "0 started..20, 3 sent", "ignored fenced"),
        ("and no longer", "0 c20 turn 1, 3 sent turn 1, 63 c20 turn 1", "0 started..20, 3 sent, 63 started..83", "started 83"),
        ("a fence outlives a lease that ran after it", "0 sent turn 1, 50 c20 turn 2, 71 c20 turn 1", "50 started..70, 70 expired", "ignored fenced"),
        ("without a turn the newest wins", "0 c20, 3 sent, 3 c20", "0 started..20, 3 sent, 3 started..23", "started 23"),
        ("a payload seen before is a duplicate", "0 c7 id A, 1 c7 id A", "0 started..7", "ignored duplicate 7"),
        ("a duplicate after the message starts nothing", "0 c7 id A, 1 sent id B, 2 c7 id A", "0 started..7, 1 sent", "ignored duplicate"),
        ("a duplicate is no renewal", "0 c7 id A, 5 c7 id A, 9 look", "0 started..7, 7 expired", "-"),
    ];
    for (name, said, told, answer) in table {
        assert_eq!(play(said), (told.to_owned(), answer.to_owned()), "{name}: {said}");
    }
}

#[test]
fn a_side_has_a_bound_and_the_newest_is_refused() {
    let policy = Policy { leases_per_side: 2, claims_per_lease: 2, ..Policy::default() };
    let mut side = Player::new(policy);
    for (said, answer) in [
        ("0 c20 by A", "started 20"),
        ("0 c20 by B", "started 20"),
        ("0 c20 by C id X", "ignored full"),
        ("0 c20 by A on S1", "extended 20"),
        ("0 c20 by A on S2", "ignored full 20"),
        ("0 paused by B", "ended"),
        ("0 c20 by C id X", "started 20"),
    ] {
        side.step(said);
        assert_eq!(side.answer, answer, "{said}");
    }
}

#[test]
fn a_fence_forgets_the_oldest_payload_first() {
    let mut side = Player::new(Policy { payload_ids: 2, ..Policy::default() });
    for said in ["0 sent id A", "0 sent id B", "0 sent id C", "1 c7 id B"] {
        side.step(said);
    }
    assert_eq!(side.answer, "ignored duplicate");
    side.step("1 c7 id A");
    assert_eq!(side.answer, "started 8");
}

fn play(said: &str) -> (String, String) {
    let mut player = Player::new(Policy::default());
    said.split(", ").for_each(|step| player.step(step));
    (player.told.join(", "), player.answer)
}

struct Player {
    side: SideState,
    policy: Policy,
    told: Vec<String>,
    answer: String,
}

impl Player {
    fn new(policy: Policy) -> Self {
        Self { side: SideState::default(), policy, told: Vec::new(), answer: String::new() }
    }

    fn step(&mut self, step: &str) {
        let words: Vec<&str> = step.split(' ').collect();
        let now = Time::from_millis((words[0].parse::<f64>().unwrap() * 1_000.0).round() as u64);
        while let Some(deadline) = self.side.deadline().filter(|d| *d <= now && !words.contains(&"unswept")) {
            self.apply(&Input::Lapse, deadline);
        }
        self.answer = match words[1] {
            "look" => "-".to_owned(),
            _ => self.apply(&input(&words), now),
        };
    }

    fn apply(&mut self, input: &Input, now: Time) -> String {
        let decision = transition(self.side.clone(), input, now, &self.policy);
        self.told.extend(decision.changes.iter().map(|change| telling(change, now)));
        self.side = decision.next;
        let mut answer = match decision.outcome.verdict {
            Verdict::Started => "started".to_owned(),
            Verdict::Extended => "extended".to_owned(),
            Verdict::Ended => "ended".to_owned(),
            Verdict::Ignored(IgnoreReason::NothingLive) => "ignored nothing_live".to_owned(),
            Verdict::Ignored(IgnoreReason::Fenced) => "ignored fenced".to_owned(),
            Verdict::Ignored(IgnoreReason::Duplicate) => "ignored duplicate".to_owned(),
            Verdict::Ignored(IgnoreReason::Full) => "ignored full".to_owned(),
            Verdict::Ignored(IgnoreReason::Held) => "ignored held".to_owned(),
        };
        if let Some(lease) = decision.outcome.lease {
            write!(answer, " {}", seconds(lease.expires_at)).unwrap();
        }
        answer
    }
}

fn input(words: &[&str]) -> Input {
    let after = |word: &str| words.iter().position(|w| *w == word).map(|at| words[at + 1]);
    let participant = after("by").map(Into::into);
    let source = |name: &str| {
        let id = name.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
        match name.as_bytes()[0] {
            b'S' => Source::Socket(id),
            _ => Source::Hold { id, continues: name.ends_with('+') },
        }
    };
    let signal = match words[1] {
        "revoke" => return Input::Revoke,
        "close" => {
            return Input::Release { participant, source: source(words[2]), reason: StopReason::Revoked };
        }
        "end" => return Input::Release { participant, source: source(words[2]), reason: StopReason::Paused },
        "extend" => {
            let ttl = Duration::from_secs(words[3][1..].parse().unwrap());
            return Input::Extend { participant, source: source(words[2]), ttl };
        }
        "paused" => Signal::Paused,
        "sent" => Signal::Sent,
        composing => Signal::Composing { ttl: Duration::from_secs(composing[1..].parse().unwrap()) },
    };
    Input::Say(Utterance {
        participant,
        name: None,
        signal,
        source: after("on").map_or(Source::OneShot, source),
        origin: "test".into(),
        marks: Marks {
            turn: after("turn").map(|turn| turn.parse().unwrap()),
            payload_id: after("id").map(Into::into),
        },
    })
}

fn telling(change: &Change, now: Time) -> String {
    let at = seconds(now);
    let end = seconds(change.lease.expires_at);
    match change.kind {
        ChangeKind::Started => format!("{at} started..{end}"),
        ChangeKind::Refreshed => format!("{at} refreshed..{end}"),
        ChangeKind::Stopped(reason) => {
            let ended_at = if reason == StopReason::Expired { change.lease.expires_at.min(now) } else { now };
            assert_eq!(change.lease.expires_at, ended_at, "what stopped says when");
            let reason = match reason {
                StopReason::Paused => "paused",
                StopReason::Sent => "sent",
                StopReason::Expired => "expired",
                StopReason::Revoked => "revoked",
            };
            format!("{at} {reason}")
        }
    }
}

fn seconds(time: Time) -> f64 {
    time.as_millis() as f64 / 1_000.0
}
