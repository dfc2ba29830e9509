//! No dark gap: while a lease lives, an upstream's dots are not off for longer than it takes to adopt a side (2 s) and to
//! call twice. Where a node died, what it had claimed to tell comes as much later as a claim lasts, and a poll.
//!
//! Excused where the store, the feed or the provider failed in the last eight seconds, where a clock jumped, and for as
//! long as dots would show after a message that crossed a call: only who carries it knows which of them came first. Just
//! as long after a message whose composer had no lease, while another one types on: it ends nothing, so nothing is
//! committed of it, and who tells the upstream does not hear that it took the dots away. They come back when they are
//! to be refreshed.

use std::collections::BTreeMap;

use typingd_core::Side;

use crate::plan::{Fault, Plan};
use crate::provider::CALL;
use crate::run::LOOK;

/// How long a side may go untold of when it changes hands.
const ADOPTION: u64 = 2_000;

/// How much later a dead node's words come: its claim, and the poll.
const CLAIMED: u64 = 3_000;

/// What is to be seen of a side at one upstream.
pub(crate) struct Sight {
    pub(crate) upstream: usize,
    pub(crate) side: Side,
    pub(crate) lives: bool,
    pub(crate) shows: bool,
}

#[derive(Default)]
pub(crate) struct Gaps(BTreeMap<(usize, Side), (u64, u64)>);

impl Gaps {
    pub(crate) const NAME: &str = "no dark gap";

    pub(crate) fn look(&mut self, sight: &Sight, plan: &Plan, now: u64) -> Result<(), String> {
        let faults: Vec<Fault> = [&Fault::STORE[..], &Fault::FEED, &[Fault::ProviderMute]].concat();
        let key = (sight.upstream, sight.side.clone());
        let jumped = plan.had(&Fault::CLOCK, 0, now);
        if !sight.lives || sight.shows || jumped || plan.had(&faults, now.saturating_sub(8_000), now) {
            self.0.remove(&key);
            return Ok(());
        }
        let (since, seen) = self.0.entry(key).or_insert((now, now));
        if *seen + 2 * LOOK < now {
            // There was nothing to look at meanwhile.
            *since = now;
        }
        *seen = now;
        let since = *since;
        let died = plan.had(&[Fault::Death], now.saturating_sub(8_000), now);
        let bound = ADOPTION + 2 * CALL + if died { CLAIMED } else { 0 };
        if now <= since + bound {
            return Ok(());
        }
        let name = crate::server::name_of(&sight.side, &None);
        Err(format!("{name} is dark at upstream {} since {since}", sight.upstream))
    }
}
