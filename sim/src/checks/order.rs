//! Nothing stops twice, and nothing is refreshed before it started: for each who follows, counting a snapshot as a new
//! beginning. What a snapshot left out because it had lapsed may stop once.
//!
//! Excused: after a snapshot that the store had no part in, since that leaves out what the node does not know, a refresh
//! is a beginning; for a second after the store began anew, since what waits from its former life stands at later places
//! than a snapshot of the new one; and where clocks jumped, since what has lapsed by one may live by another.

use std::collections::{BTreeMap, BTreeSet};

use typingd_core::ChangeKind;

use super::Key;
use crate::plan::{Fault, Plan};

pub(crate) const NAME: &str = "nothing stops twice or is refreshed before it started";

#[derive(Default)]
pub(crate) struct Order {
    live: BTreeMap<(usize, Key), bool>,
    /// Those whose snapshot leaves something out.
    partial: BTreeSet<usize>,
}

impl Order {
    pub(crate) const NAME: &str = NAME;

    /// Somebody has a new snapshot.
    pub(crate) fn snapshot<'k>(&mut self, who: usize, live: impl Iterator<Item = &'k Key>, is_whole: bool) {
        self.live.retain(|(other, _), _| *other != who);
        self.partial.remove(&who);
        self.partial.extend((!is_whole).then_some(who));
        self.live.extend(live.map(|key| ((who, key.clone()), true)));
    }

    /// Somebody is told of a change.
    pub(crate) fn told(
        &mut self,
        who: usize,
        key: &Key,
        kind: ChangeKind,
        plan: &Plan,
        now: u64,
    ) -> Result<(), String> {
        let was_live = self.live.insert((who, key.clone()), !matches!(kind, ChangeKind::Stopped(_)));
        match (kind, was_live) {
            (ChangeKind::Stopped(reason), Some(false)) => {
                Err(format!("subscriber {who} is told {reason:?} twice of {}", super::promises::name(key)))
            }
            (ChangeKind::Refreshed, None)
                if self.partial.contains(&who)
                    || plan.had(&[Fault::Restart], now.saturating_sub(1_000), now)
                    || plan.had(&Fault::CLOCK, 0, now) =>
            {
                Ok(())
            }
            (ChangeKind::Refreshed, None | Some(false)) => Err(format!(
                "subscriber {who} hears of more of {}, which is not there",
                super::promises::name(key)
            )),
            _ => Ok(()),
        }
    }
}
