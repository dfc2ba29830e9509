//! Nothing is live after the message: no lease that began before it, unless its composer typed on since.
//!
//! Where the store, the feed or a node failed shortly before or since, it may be longer. What a node brings back then was
//! said before the message, so its time is over when the longest ttl has passed since the message, and a sweep.

use std::collections::BTreeMap;

use typingd_core::lease::SideState;
use typingd_core::{Side, Time};

use super::{JUMP, Key, TOLERANCE};
use crate::clock::STORE_BEGINS;
use crate::composers::MAX_TTL;
use crate::plan::{Fault, Plan};

/// How long a message takes to everybody who may say something about its side.
const SPREADS: u64 = 1_000;

/// How long before the message a failure may have been that still matters.
const AFTERMATH: u64 = 15_000;

/// How long until what has lapsed is swept: a claim, and a poll for it, twice.
const SWEPT: u64 = 6_000;

struct Message {
    side: Side,
    participant: Option<typingd_core::Name>,
    turn: Option<u64>,
    at: u64,
}

#[derive(Default)]
pub(crate) struct Messages {
    sent: Vec<Message>,
    typed: BTreeMap<Key, u64>,
}

impl Messages {
    pub(crate) const NAME: &str = "nothing is live after the message";

    /// A composer typed.
    pub(crate) fn typed(&mut self, key: &Key, at: u64) {
        self.typed.insert(key.clone(), at);
    }

    /// A message went out.
    pub(crate) fn sent(&mut self, key: &Key, turn: Option<u64>, at: u64) {
        let (side, participant) = key.clone();
        self.sent.push(Message { side, participant, turn, at });
    }

    /// What the store has of a side.
    pub(crate) fn look(&self, side: &Side, state: &SideState, plan: &Plan, now: u64) -> Result<(), String> {
        for lease in &state.leases {
            let key = (side.clone(), lease.participant.clone());
            let typed = self.typed.get(&key).copied().unwrap_or_default();
            for message in self.sent.iter().filter(|message| message.side == *side) {
                let is_meant = message.participant.is_none()
                    || lease.participant.is_none()
                    || message.participant == lease.participant;
                let is_later = message.turn.is_some() && lease.turn > message.turn;
                let jumps = if plan.had(&Fault::CLOCK, 0, now) { 4 * JUMP } else { 0 };
                let before = message.at.saturating_sub(TOLERANCE + jumps);
                let began = lease.started_at < Time::from_millis(STORE_BEGINS + before);
                if !is_meant || is_later || !began || typed + TOLERANCE >= message.at {
                    continue;
                }
                let faults: Vec<Fault> =
                    [&Fault::STORE[..], &Fault::FEED, &Fault::CLOCK, &[Fault::Death]].concat();
                let is_excused = plan.had(&faults, message.at.saturating_sub(AFTERMATH), now);
                let bound = if is_excused { MAX_TTL + SWEPT } else { SPREADS };
                if now > message.at + bound {
                    let name = super::promises::name(&key);
                    let late = now - message.at;
                    return Err(format!("{name} lives {late} ms after the message of {}", message.at));
                }
            }
        }
        Ok(())
    }
}
