//! The way of all news to those who follow a node: nothing is told that they know already.

use super::entry::Entry;
use super::memory::NodeMemory;
use crate::conversation::Side;
use crate::lease::SideState;
use crate::store::remote::{Audience, Loss, Unreadable};
use crate::store::{Commit, Feed, Presence};
use crate::time::Time;

impl<A: Audience> Feed for NodeMemory<A> {
    fn publish(&self, mut commit: Commit) {
        let Commit { side, changes, position, is_ours, presence, .. } = &mut commit;
        let mut table = self.lock(position.shard);
        if !changes.is_empty() || *presence != Presence::Unchanged {
            let is_new = table.reach(position.sequence, *is_ours);
            if !is_new {
                changes.clear();
            } else if table.is_torn {
                table.get(side).unwrap_or(&Entry::default()).mend(changes);
            }
        }
        table.heard += u64::from(!*is_ours);
        let heard = table.heard;
        let has_room = table.get(side).is_some() || !*is_ours && table.len() < self.room();
        if *is_ours && table.get(side).is_some() {
            self.change(&mut table, side, |entry| entry.as_of = entry.as_of.max(position.sequence));
        }
        if !changes.is_empty() && has_room {
            self.change(&mut table, side, |entry| {
                if !*is_ours && position.sequence > entry.as_of {
                    (entry.heard, entry.last_heard) = (heard, position.sequence);
                }
                entry.hear(changes, position.sequence, *is_ours);
            });
        }
        self.audience().publish(commit);
    }
}

impl<A: Audience> Audience for NodeMemory<A> {
    fn lost(&self, shard: usize, loss: Loss) {
        let mut table = self.lock(shard);
        table.heard += 1;
        (table.told, table.is_torn) = (None, false);
        let heard = table.heard;
        let known: Vec<Side> = table.iter().map(|(side, _)| side.clone()).collect();
        for side in known {
            self.change(&mut table, &side, |entry| {
                entry.is_exact = false;
                (entry.may_be_untold, entry.as_of, entry.last_heard) = (true, 0, u64::MAX);
                entry.heard = heard;
                match loss {
                    Loss::Everything if !entry.ours.is_empty() || entry.aside.is_some() => {
                        // A store that lost everything is told again what this node vouches for.
                        entry.state = entry.here(Time::ZERO);
                        entry.pending.clear();
                        let ours = &entry.ours;
                        entry.state.leases.retain(|lease| ours.contains(&lease.participant));
                        entry.set_aside().base = SideState::default();
                    }
                    Loss::Commits if !entry.ours.is_empty() || entry.aside.is_some() => {}
                    Loss::Everything | Loss::Commits => {
                        entry.state = SideState::default();
                        entry.pending.clear();
                    }
                }
            });
        }
        self.audience().lost(shard, loss);
    }

    fn unreadable(&self, shard: usize, error: Unreadable) {
        self.audience().unreadable(shard, error);
    }
}
