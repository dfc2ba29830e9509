//! Single steps of one stream.

use std::time::Duration;

use typingd_core::pacing::{Action, Profile, Refusal, Stream, Timing, Verb, Verdict};
use typingd_core::{StopReason, Time};

use super::profiles::{forbidden, seven_seconds, survives_message, twenty_seconds, unordered, with_stop};

const P99: Duration = Duration::from_millis(400);
const JITTER: Duration = Duration::from_millis(300);

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// A stream with its profile.
struct Line {
    stream: Stream,
    profile: Profile,
}

impl Line {
    fn new(profile: Profile) -> Self {
        Self { stream: Stream::default(), profile }
    }

    /// With a lease from 0 until `until`, and a first call accepted at 100 ms.
    fn typing(profile: Profile, until: u64) -> Self {
        let mut line = Self::new(profile);
        line.begin(0, until, 0);
        assert_eq!(line.start(0), Verb::Type);
        line.answer(Verdict::Accepted, 100);
        line
    }

    fn begin(&mut self, since: u64, until: u64, now: u64) -> bool {
        self.stream.begin(&self.profile, ms(since), ms(until), ms(now))
    }

    fn end(&mut self, reason: StopReason, now: u64) {
        self.stream.end(&self.profile, reason, ms(now), ms(now));
    }

    fn next(&mut self, now: u64) -> Action {
        self.stream.next(&self.profile, ms(now))
    }

    fn start(&mut self, now: u64) -> Verb {
        let action = self.next(now);
        let Action::Send { verb, slot } = action else { panic!("nothing to send at {now}: {action:?}") };
        self.stream.started(verb, slot, ms(now));
        verb
    }

    fn answer(&mut self, verdict: Verdict, now: u64) {
        self.stream.answered(&self.profile, verdict, &Timing { p99: P99, jitter: JITTER }, ms(now));
    }
}

#[test]
fn a_refresh_comes_a_round_trip_and_a_second_and_some_chance_before_the_dots_fade() {
    let mut line = Line::typing(twenty_seconds(), 600_000);
    let refresh_at = 20_000 - (400 + 1_000) - 300;
    assert_eq!(line.next(100), Action::Wait(ms(refresh_at)));
    assert!(matches!(line.next(refresh_at), Action::Send { verb: Verb::Type, .. }));
    // Counted from the answer where an early call is lost.
    let mut line = Line::typing(forbidden(), 600_000);
    assert_eq!(line.next(100), Action::Wait(ms(25_100)));
}

#[test]
fn slack_and_chance_shrink_with_a_display_under_twenty_seconds() {
    #[rustfmt::skip]
    let rows = [
        // display, p99, lead, most jitter
        (120_000, 400, 1_400, 500),
        ( 20_000, 400, 1_400, 500),
        ( 20_000, 3_000, 4_000, 500),
        ( 20_000, 9_000, 4_500, 500),
        (  7_000, 100, 450, 175),
        (  7_000, 3_000, 1_575, 175),
    ];
    for (display, p99, lead, jitter) in rows {
        let profile = Profile { display: Duration::from_millis(display), ..twenty_seconds() };
        assert_eq!(profile.lead(Duration::from_millis(p99)).as_millis(), lead, "{display} ms, p99 {p99} ms");
        assert_eq!(profile.max_jitter().as_millis(), jitter);
    }
}

#[test]
fn a_lease_that_ends_before_the_dots_fade_takes_one_call() {
    let mut line = Line::typing(twenty_seconds(), 19_900);
    assert_eq!(line.next(18_300), Action::Look, "unless it lasts longer than was said");
    line.stream.looked();
    assert_eq!(line.next(18_300), Action::Wait(ms(19_900)));
    assert_eq!(line.next(19_900), Action::Wait(ms(21_900)), "remembered as long as news may be late");
    assert_eq!(line.next(21_900), Action::Nothing);
    assert!(line.stream.is_over(&line.profile, ms(21_900)));
}

#[test]
fn how_a_lease_ends_and_whether_a_stop_follows() {
    use StopReason::{Expired, Paused, Revoked, Sent};
    let rows = [
        (with_stop(), Paused, true),
        (with_stop(), Expired, true),
        (with_stop(), Revoked, true),
        (with_stop(), Sent, false),
        (survives_message(), Sent, true),
        (survives_message(), Paused, true),
        (twenty_seconds(), Paused, false),
        (twenty_seconds(), Sent, false),
        (unordered(), Sent, false),
    ];
    for (profile, reason, stops) in rows {
        let mut line = Line::typing(profile, 600_000);
        line.end(reason, 5_000);
        let action = line.next(5_000);
        let is_stop = matches!(action, Action::Send { verb: Verb::Stop, .. });
        assert_eq!(is_stop, stops, "{reason:?}: {action:?} with {:?}", line.profile);
        if is_stop {
            line.start(5_000);
            line.answer(Verdict::Accepted, 5_100);
            assert!(!matches!(line.next(6_100), Action::Send { .. }), "one is enough");
        }
    }
}

/// It ends by itself where nobody says so.
#[test]
fn a_lease_that_lapses_untold_is_stopped_as_well() {
    let mut line = Line::typing(with_stop(), 5_000);
    assert_eq!(line.next(100), Action::Wait(ms(5_000)));
    assert_eq!(line.start(5_000), Verb::Stop);
}

#[test]
fn that_a_lease_lasts_longer_may_be_heard_when_it_seems_to_be_over() {
    let lapsed = || {
        let mut line = Line::typing(with_stop(), 5_000);
        assert_eq!(line.start(5_000), Verb::Stop);
        line
    };
    let mut line = lapsed();
    assert!(line.stream.extend(&line.profile, ms(600_000), ms(5_010)));
    line.answer(Verdict::Accepted, 5_100);
    assert_eq!(line.next(5_100), Action::Wait(ms(6_000)), "the floor");
    assert_eq!(line.start(6_000), Verb::Type);

    // What is over by what was said of it, or by a message, stays so.
    let mut told = lapsed();
    told.end(StopReason::Expired, 5_010);
    assert!(!told.stream.extend(&told.profile, ms(600_000), ms(5_020)));
    let mut sent = lapsed();
    sent.stream.before_message(ms(5_010));
    sent.stream.after_message(&sent.profile, true, ms(5_020));
    assert!(!sent.stream.extend(&sent.profile, ms(600_000), ms(5_030)));
    // Where no dots are to be remembered, the lease still is for a while.
    let mut dark = Line::new(with_stop());
    dark.begin(0, 5_000, 0);
    dark.start(0);
    dark.answer(Verdict::Refused(Refusal::Recipient), 100);
    dark.next(5_000);
    assert!(!dark.stream.is_over(&dark.profile, ms(6_900)) && dark.stream.is_over(&dark.profile, ms(7_000)));
}

#[test]
fn who_types_past_the_message_of_another_begins_again_where_a_listing_shows_them() {
    let lapsed = || {
        let mut line = Line::typing(with_stop(), 60_000);
        line.end(StopReason::Sent, 1_000);
        assert!(line.begin(1_000, 5_000, 1_000), "they began at 0, and go on");
        assert_eq!(line.start(1_000), Verb::Type);
        line.answer(Verdict::Accepted, 1_100);
        assert_eq!(line.start(5_000), Verb::Stop, "that it lasts longer was not heard");
        line.answer(Verdict::Accepted, 5_100);
        line
    };
    let resume = |line: &mut Line, asked: u64| {
        line.stream.resume(&line.profile, ms(0), ms(60_000), ms(asked), ms(6_000))
    };
    let mut line = lapsed();
    assert!(!resume(&mut line, 900), "the listing may be older than the message");
    assert!(resume(&mut line, 5_500));
    assert_eq!(line.start(6_000), Verb::Type);

    let mut sent = lapsed();
    sent.stream.before_message(ms(5_200));
    sent.stream.after_message(&sent.profile, true, ms(5_300));
    assert!(!resume(&mut sent, 5_500), "of this message the store may not know");
}

#[test]
fn what_is_told_after_a_message_began_after_it_whatever_the_clocks_say() {
    let sent = || {
        let mut line = Line::new(with_stop());
        line.end(StopReason::Sent, 10_000);
        line
    };
    let mut line = sent();
    assert!(line.begin(9_700, 60_000, 10_010), "at a node whose clock is behind");
    assert_eq!(line.start(10_010), Verb::Type);
    assert!(!sent().begin(8_900, 60_000, 10_010), "no clock is that far behind");

    let mut carried = Line::new(with_stop());
    carried.stream.before_message(ms(9_900));
    carried.stream.after_message(&carried.profile, true, ms(10_000));
    assert!(!carried.begin(9_700, 60_000, 10_010), "of this message the news have not told");
}

#[test]
fn nothing_is_stopped_that_does_not_show() {
    let mut refused = Line::new(with_stop());
    refused.begin(0, 600_000, 0);
    refused.start(0);
    refused.answer(Verdict::Refused(Refusal::Recipient), 100);
    refused.end(StopReason::Paused, 200);
    assert!(!matches!(refused.next(1_500), Action::Send { .. }));
    // What has no answer may show.
    let mut unanswered = Line::new(with_stop());
    unanswered.begin(0, 600_000, 0);
    unanswered.start(0);
    unanswered.answer(Verdict::Unanswered, 4_000);
    unanswered.end(StopReason::Paused, 4_100);
    assert_eq!(unanswered.start(4_100), Verb::Stop);
    // What has faded does not.
    let mut faded = Line::typing(with_stop(), 600_000);
    faded.end(StopReason::Paused, 20_100);
    assert!(!matches!(faded.next(20_100), Action::Send { .. }));
}

#[test]
fn what_is_said_while_a_call_is_in_flight_is_one_wish() {
    let mut line = Line::new(with_stop());
    line.begin(0, 5_000, 0);
    line.start(0);
    line.end(StopReason::Paused, 100);
    assert!(line.begin(200, 9_000, 200));
    assert!(!line.begin(200, 30_000, 300), "an extension");
    line.end(StopReason::Revoked, 400);
    assert!(line.begin(500, 40_000, 500));
    assert_eq!(line.next(600), Action::Nothing);
    line.answer(Verdict::Accepted, 700);
    // Somebody types, and the dots show: nothing is to be said before they fade.
    assert_eq!(line.next(700), Action::Wait(ms(18_300)));
}

#[test]
fn who_types_again_before_the_stop_began_needs_none() {
    let mut line = Line::typing(with_stop(), 600_000);
    line.end(StopReason::Paused, 500);
    assert_eq!(line.next(500), Action::Wait(ms(1_000)), "the stop keeps the floor as well");
    line.begin(800, 600_000, 800);
    assert_eq!(line.next(1_000), Action::Wait(ms(18_300)));
    // Once it began, the dots must be shown anew.
    line.end(StopReason::Paused, 2_000);
    assert_eq!(line.start(2_000), Verb::Stop);
    line.begin(2_100, 600_000, 2_100);
    line.answer(Verdict::Accepted, 2_200);
    assert_eq!(line.next(2_200), Action::Wait(ms(3_000)));
    assert_eq!(line.start(3_000), Verb::Type);
}

#[test]
fn most_extensions_are_only_noted() {
    let mut line = Line::typing(twenty_seconds(), 30_000);
    assert!(!line.stream.extend(&line.profile, ms(40_000), ms(5_000)));
    assert!(line.stream.extend(&line.profile, ms(10_000), ms(6_000)), "a shorter end may need less");
    assert!(line.stream.extend(&line.profile, ms(50_000), ms(7_000)), "a longer one may need more");
    assert!(!line.stream.extend(&line.profile, ms(60_000), ms(8_000)));
}

/// The need for a call is as old as the word or the answer that brought it about.
#[test]
fn what_could_not_be_wanted_before_is_not_stale() {
    let brief = Profile { freshness: Duration::from_millis(500), ..with_stop() };
    let mut line = Line::typing(brief.clone(), 19_900);
    line.stream.extend(&line.profile, ms(60_000), ms(19_500));
    let Action::Send { slot, .. } = line.next(19_500) else { panic!("it is due") };
    assert_eq!(
        (slot.due, slot.not_after),
        (ms(19_500), ms(20_000)),
        "long after the refresh would have been due"
    );
    let mut line = Line::typing(brief, 600_000);
    line.end(StopReason::Paused, 2_000);
    assert_eq!(line.start(2_000), Verb::Stop);
    line.begin(2_100, 600_000, 2_100);
    line.answer(Verdict::Accepted, 6_000);
    let Action::Send { slot, .. } = line.next(6_000) else { panic!("it is due") };
    assert_eq!(slot.due, ms(6_000), "the stop was in flight until now");
}

#[test]
fn a_message_waits_for_the_call_in_flight_and_nothing_starts_after_it() {
    let mut line = Line::new(twenty_seconds());
    line.begin(0, 600_000, 0);
    line.start(0);
    assert_eq!(line.stream.before_message(ms(1_000)), Some(ms(1_250)));
    line.answer(Verdict::Unanswered, 1_250);
    assert!(!matches!(line.next(9_000), Action::Send { .. }), "cancelled, and not tried again");
    line.stream.after_message(&line.profile, true, ms(2_000));
    // News that are late: the old lease, once more.
    assert!(!line.begin(0, 600_000, 2_010));
    assert!(!line.begin(2_000, 600_000, 2_010), "begun in the message's millisecond");
    assert!(!matches!(line.next(2_010), Action::Send { .. }));
    assert!(line.begin(2_500, 600_000, 2_500));
    assert_eq!(line.start(2_500), Verb::Type);
}

/// The dots went off with the message: a hold that outlives it shows them again.
#[test]
fn a_hold_that_continues_begins_anew() {
    let mut line = Line::typing(twenty_seconds(), 600_000);
    assert_eq!(line.stream.before_message(ms(5_000)), None);
    line.stream.after_message(&line.profile, true, ms(5_000));
    line.end(StopReason::Sent, 5_000);
    assert!(line.begin(5_000, 600_000, 5_000));
    assert_eq!(line.start(5_000), Verb::Type);
}

#[test]
fn after_a_message_that_is_refused_the_lease_goes_on() {
    let mut line = Line::typing(twenty_seconds(), 600_000);
    line.stream.before_message(ms(15_000));
    assert!(!matches!(line.next(19_000), Action::Send { .. }));
    line.stream.after_message(&line.profile, false, ms(26_000));
    let Action::Send { slot, .. } = line.next(26_000) else { panic!("it is due") };
    assert_eq!(slot.due, ms(26_000), "what was put off is fresh");
}

#[test]
fn a_message_whose_end_is_never_told_holds_up_no_later_lease_for_long() {
    let mut line = Line::typing(twenty_seconds(), 600_000);
    line.stream.before_message(ms(5_000));
    assert!(
        !matches!(line.next(40_000), Action::Send { .. }),
        "the old lease is over, for all anybody knows"
    );
    line.end(StopReason::Paused, 41_000);
    line.begin(42_000, 600_000, 42_000);
    assert_eq!(line.start(42_000), Verb::Type);
}

/// A call that was cancelled may take effect after the message all the same: it is stopped where it can be.
#[test]
fn what_may_come_back_after_the_message_is_stopped_where_calls_have_no_order() {
    for (has_stop, stops) in [(true, true), (false, false)] {
        let mut line = Line::new(Profile { has_stop, ..unordered() });
        line.begin(0, 600_000, 0);
        line.start(0);
        line.stream.before_message(ms(1_000));
        line.answer(Verdict::Unanswered, 1_250);
        line.stream.after_message(&line.profile, true, ms(1_500));
        assert_eq!(matches!(line.next(1_500), Action::Send { verb: Verb::Stop, .. }), stops);
        let _ = line.next(30_000);
        assert_eq!(line.stream.take_tally().ghost_ms, 21_250 - 1_500, "taken to show until it would fade");
    }
}

#[test]
fn a_call_that_cannot_begin_while_it_is_fresh_keeps_its_place_in_the_queue() {
    let mut line = Line::new(seven_seconds());
    line.begin(0, 600_000, 1_000);
    let Action::Send { verb, slot } = line.next(1_000) else { panic!("it is due") };
    assert_eq!((slot.due, slot.not_after, slot.waits_since), (ms(1_000), ms(6_000), ms(1_000)));
    line.stream.dropped(verb, slot, ms(9_000));
    assert_eq!(line.next(6_001), Action::Wait(ms(9_000)));
    let Action::Send { slot, .. } = line.next(9_000) else { panic!("it is due anew") };
    assert_eq!((slot.due, slot.not_after, slot.waits_since), (ms(9_000), ms(14_000), ms(1_000)));
}
