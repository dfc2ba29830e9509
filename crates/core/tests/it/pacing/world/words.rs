//! What people and their clients do in the world.

use std::time::Duration;

use typingd_core::pacing::Gate;
use typingd_core::{StopReason, Time};

use super::{Event, World, side};

#[derive(Clone, Copy, Debug)]
pub(in crate::pacing) enum Word {
    /// Somebody types for this long, or goes on doing so.
    Compose(Duration),
    /// A claim was released: the lease ends this soon, if it lasts longer.
    Shorten(Duration),
    Stop(StopReason),
    /// A message goes out through the gateway, answered at once or with the provider's verdict.
    Message {
        at_once: bool,
        is_accepted: bool,
    },
}

impl World {
    pub(super) fn say(&mut self, number: usize, word: Word) {
        let now = self.now;
        let handset = &mut self.parties[number].handset;
        match word {
            Word::Compose(ttl) => {
                let live = handset.live.filter(|(_, until)| now < *until);
                let until = live.map_or(now + ttl, |(_, until)| until.max(now + ttl));
                self.schedule(until, Event::Lapse(number));
                let handset = &mut self.parties[number].handset;
                match live {
                    Some((since, _)) => {
                        handset.pass_to(now);
                        handset.live = Some((since, until));
                        if !self.is_silent {
                            self.tell(number, Event::Moved(number, until));
                        }
                    }
                    None => {
                        handset.begin(now, until);
                        self.tell(number, Event::Began(number, now, until));
                    }
                }
            }
            Word::Shorten(rest) => {
                if let Some((since, until)) = handset.live.filter(|(_, until)| now + rest < *until) {
                    handset.pass_to(now);
                    let until = until.min(now + rest);
                    handset.live = Some((since, until));
                    self.schedule(until, Event::Lapse(number));
                    self.tell(number, Event::Moved(number, until));
                }
            }
            Word::Stop(reason) => self.end_lease(number, reason, now),
            // One message at a time: a client waits for its answer.
            Word::Message { .. } if self.parties[number].messages > 0 => {}
            Word::Message { .. } => self.send_message(number, word),
        }
    }

    pub(super) fn end_lease(&mut self, number: usize, reason: StopReason, at: Time) {
        let now = self.now;
        let handset = &mut self.parties[number].handset;
        if handset.live.is_some() {
            handset.end(now);
            self.tell(number, Event::Ended(number, reason, at));
        }
    }

    fn send_message(&mut self, number: usize, word: Word) {
        let now = self.now;
        self.parties[number].messages += 1;
        match self.pacer.before_message(self.upstream, &side(number), now) {
            Gate::Open => {
                assert!(self.parties[number].in_flight.is_none(), "the gate is open on a call in flight");
                self.forward(number, word);
            }
            Gate::Wait { call, until } => {
                assert_eq!(self.parties[number].in_flight, Some(call));
                assert_eq!(until, now + Duration::from_millis(250));
                self.count += 1;
                let message = self.count;
                self.parties[number].waiting = Some((message, word));
                self.schedule(until, Event::LosePatience(number, message));
            }
        }
    }

    pub(super) fn forward(&mut self, number: usize, word: Word) {
        let Word::Message { at_once, is_accepted } = word else { return };
        let (now, out, back) = (self.now, self.chance.millis(1_500), self.chance.millis(1_500));
        let is_accepted = is_accepted || at_once;
        if is_accepted {
            // It takes the dots away, so that they may be shown again.
            self.parties[number].accepted_until = now;
            let leases = self.parties[number].handset.leases;
            self.schedule(now + out, Event::MessageArrives(number, leases));
        }
        if at_once {
            self.message_is_over(number, true);
        } else {
            self.schedule(now + out + back, Event::MessageAnswered(number, is_accepted));
        }
    }

    /// The engine hears `Sent`, and pacing that the message is over.
    pub(super) fn message_is_over(&mut self, number: usize, is_accepted: bool) {
        self.parties[number].messages -= 1;
        self.pacer.after_message(self.upstream, &side(number), is_accepted, self.now);
        if is_accepted {
            let was_told = self.parties[number].handset.live.is_some();
            self.end_lease(number, StopReason::Sent, self.now);
            // What the message ended already, the engine tells now.
            if !was_told {
                self.tell(number, Event::Ended(number, StopReason::Sent, self.now));
            }
        }
    }
}
