use std::sync::Mutex;

use typingd_core::store::remote::Unreadable;
use typingd_core::store::{Feed, Presence};
use typingd_core::transition::Changes;
use typingd_core::{Conversation, Role, Side, User};

use super::*;
use crate::state::write_news;

/// A commit at some place, and whether it is this node's; or a loss.
#[derive(Debug, PartialEq)]
enum Said {
    Commit(u64, bool),
    Lost(Loss),
}

use Said::{Commit as At, Lost};

#[derive(Default)]
struct Told(Mutex<Vec<Said>>);

impl Feed for Told {
    fn publish(&self, commit: Commit) {
        self.0.lock().unwrap().push(At(commit.position.sequence, commit.is_ours));
    }
}

impl Audience for Told {
    fn lost(&self, _: usize, loss: Loss) {
        self.0.lock().unwrap().push(Lost(loss));
    }

    fn unreadable(&self, _: usize, _: Unreadable) {}
}

impl Told {
    fn take(&self) -> Vec<Said> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

const OWN: bool = true;
const HEARD: bool = false;

fn own(sequence: u64) -> Commit {
    let conversation = Conversation::new("acme", "rcs", "bot", User::new("+1"));
    let side = Side { conversation, role: Role::Agent };
    let position = Position { shard: 0, sequence };
    let (changes, presence) = (Changes::new(), Presence::Unchanged);
    Commit { side, changes, position, deadline: None, presence, is_ours: true }
}

/// Of another node, or of this one before it knows.
fn message(sequence: u64, is_own: bool) -> Message {
    let side = own(0).side;
    let news = News { side, changes: Changes::new(), deadline: None, presence: Presence::Unchanged };
    Message { sequence, is_own, payload: write_news(&news, Shift::default()) }
}

fn hear(order: &mut Order, sequence: u64, told: &Told) {
    order.hear(0, message(sequence, HEARD), Some(Shift::default()), told);
}

fn hear_own(order: &mut Order, sequence: u64, told: &Told) {
    order.hear(0, message(sequence, OWN), Some(Shift::default()), told);
}

const fn reached(sequence: u64) -> Reached {
    Reached { sequence, at: 10_000 }
}

fn following(told: &Told) -> Order {
    let mut order = Order::default();
    order.begin();
    order.follow(0, reached(10), Shift::default(), told);
    order
}

#[test]
fn an_own_commit_is_told_at_once_and_not_again_when_it_comes_back() {
    let told = Told::default();
    let mut order = following(&told);
    order.tell_own(own(11), &told);
    assert_eq!(told.take(), [At(11, OWN)]);
    hear_own(&mut order, 11, &told);
    assert_eq!(told.take(), []);
}

#[test]
fn an_own_commit_that_comes_back_before_the_answer_waits_for_it() {
    let told = Told::default();
    let mut order = following(&told);
    order.ask();
    hear(&mut order, 11, &told);
    assert_eq!(told.take(), [At(11, HEARD)], "another's does not");
    hear_own(&mut order, 12, &told);
    hear(&mut order, 13, &told);
    assert_eq!(told.take(), []);
    order.tell_own(own(12), &told);
    assert_eq!(told.take(), [At(12, OWN), At(13, HEARD)]);
    hear(&mut order, 14, &told);
    assert_eq!(told.take(), [At(14, HEARD)], "nothing waits any more");
}

#[test]
fn an_own_commit_whose_answer_never_comes_is_as_another_nodes() {
    let told = Told::default();
    let mut order = following(&told);
    order.ask();
    hear_own(&mut order, 11, &told);
    order.answered(0, &told);
    assert_eq!(told.take(), [At(11, HEARD)]);
    hear_own(&mut order, 12, &told);
    assert_eq!(told.take(), [At(12, HEARD)], "nor does it wait where nothing is asked");
    order.ask();
    hear_own(&mut order, 13, &told);
    order.deafen(0, false, &told);
    assert_eq!(told.take(), [At(13, HEARD)]);
}

#[test]
fn a_first_attempt_that_fails_loses_nothing() {
    let told = Told::default();
    let mut order = Order::default();
    order.begin();
    order.deafen(0, false, &told);
    order.begin();
    order.follow(0, reached(10), Shift::default(), &told);
    assert_eq!(told.take(), []);
}

#[test]
fn a_sequence_that_began_anew_or_fell_back_has_lost_everything() {
    for (sequence, loss) in
        [(10, Loss::Commits), (9_999, Loss::Commits), (10_000, Loss::Everything), (9, Loss::Everything)]
    {
        let told = Told::default();
        let mut order = following(&told);
        order.deafen(0, false, &told);
        order.begin();
        order.follow(0, Reached { sequence, at: 90_000 }, Shift::default(), &told);
        assert_eq!(told.take(), [Lost(loss)], "{sequence}");
    }
    let told = Told::default();
    let mut order = following(&told);
    hear(&mut order, 10_000, &told);
    assert_eq!(told.take(), [Lost(Loss::Everything), At(10_000, HEARD)], "without a disconnection");
}

#[test]
fn a_look_says_that_the_sequence_is_the_same_still() {
    let told = Told::default();
    let mut order = following(&told);
    order.is_late(10, 20_000, Duration::ZERO);
    order.is_late(30_000, 40_000, Duration::ZERO);
    hear(&mut order, 19_999, &told);
    assert_eq!(told.take(), [Lost(Loss::Commits), At(19_999, HEARD)]);
    hear(&mut order, 30_000, &told);
    assert_eq!(told.take(), [Lost(Loss::Everything), At(30_000, HEARD)], "not where it is another one");
}

#[test]
fn an_own_commit_waits_for_those_before_it() {
    let told = Told::default();
    let mut order = following(&told);
    order.tell_own(own(13), &told);
    assert_eq!((told.take(), order.is_behind()), (vec![], true));
    hear(&mut order, 11, &told);
    hear(&mut order, 12, &told);
    assert_eq!(told.take(), [At(11, HEARD), At(12, HEARD), At(13, OWN)]);
    assert!(!order.is_behind());
}

#[test]
fn what_nobody_is_told_shows_what_is_not_heard_yet() {
    let told = Told::default();
    let mut order = following(&told);
    order.note_answer(11);
    assert!(order.is_behind());
    hear(&mut order, 11, &told);
    assert!(!order.is_behind());
}

#[test]
fn a_hole_is_a_loss_and_what_waited_is_told_in_its_place() {
    let told = Told::default();
    let mut order = following(&told);
    order.tell_own(own(12), &told);
    hear(&mut order, 14, &told);
    assert_eq!(told.take(), [At(12, OWN), Lost(Loss::Commits), At(14, HEARD)]);
    hear(&mut order, 13, &told);
    assert_eq!(told.take(), [], "what comes after all was told as lost");
}

#[test]
fn what_is_heard_before_it_is_known_where_it_begins_is_kept() {
    let told = Told::default();
    let mut order = Order::default();
    hear(&mut order, 9, &told);
    order.begin();
    (10..=12).for_each(|sequence| hear(&mut order, sequence, &told));
    assert_eq!(told.take(), []);
    order.follow(0, reached(11), Shift::default(), &told);
    assert_eq!(told.take(), [At(12, HEARD)]);
}

#[test]
fn whoever_goes_deaf_is_told_what_waits_and_later_that_something_may_be_missing() {
    let told = Told::default();
    let mut order = following(&told);
    order.tell_own(own(12), &told);
    order.deafen(0, false, &told);
    order.tell_own(own(13), &told);
    assert_eq!(told.take(), [At(12, OWN), At(13, OWN)]);
    order.begin();
    order.deafen(0, false, &told);
    order.begin();
    order.follow(0, reached(20), Shift::default(), &told);
    assert_eq!(told.take(), [Lost(Loss::Commits)], "once it hears again");
    order.deafen(0, true, &told);
    order.begin();
    order.follow(0, reached(30), Shift::default(), &told);
    assert_eq!(told.take(), [], "but not who had left");
}

#[test]
fn an_own_commit_that_waits_for_ever_comes_out_in_the_end() {
    let told = Told::default();
    let mut order = following(&told);
    for sequence in 12..=12 + WAITING as u64 {
        order.tell_own(own(sequence), &told);
    }
    assert!(told.take().contains(&Lost(Loss::Commits)));
}

#[test]
fn what_should_have_been_heard_a_second_ago_is_late() {
    let (told, ms) = (Told::default(), Duration::from_millis);
    let mut order = following(&told);
    assert!(!order.is_late(11, 0, ms(0)) && !order.is_late(12, 0, ms(999)));
    hear(&mut order, 11, &told);
    assert!(!order.is_late(12, 0, ms(1_000)), "it came");
    assert!(!order.is_late(12, 0, ms(1_999)));
    assert!(order.is_late(12, 0, ms(2_000)));
    assert!(!following(&told).is_late(10, 0, ms(9_000)));
}
