//! Puts the commits of a shard into one order: the node's own, and those it hears of. A hole in what is heard is a loss.

use std::collections::BTreeMap;

use typingd_core::Time;
use typingd_core::store::remote::{Audience, Loss};
use typingd_core::store::{Commit, Position};

use super::offset::Shift;
use crate::server::News;

/// How long something may be known to be committed and not be heard, in milliseconds.
const LATE: u64 = 1_000;

/// Whether a shard is followed, and how far it was told.
#[derive(Default)]
pub(super) enum Order {
    /// Nobody asked.
    #[default]
    Alone,
    /// It was followed, and nothing is heard of it any more.
    Deaf,
    /// Subscribed: what is heard is kept until it is known where it begins.
    Beginning { was_followed: bool, heard: Vec<(u64, News)> },
    /// All up to `told` was told, and all up to `answered` is committed, as answers to this node say. Own commits wait
    /// for those before them.
    Following { told: u64, answered: u64, own: BTreeMap<u64, Commit>, late: Option<(u64, u64)> },
}

/// Who is told, and how.
pub(super) struct Teller<'a, A> {
    pub(super) shard: usize,
    pub(super) shift: Shift,
    pub(super) audience: &'a A,
}

impl Order {
    pub(super) fn is_following(&self) -> bool {
        matches!(self, Self::Following { .. })
    }

    pub(super) fn begin(&mut self) {
        let was_followed = !matches!(self, Self::Alone);
        *self = Self::Beginning { was_followed, heard: Vec::new() };
    }

    pub(super) fn follow<A: Audience>(&mut self, told: u64, loss: Loss, teller: &Teller<'_, A>) {
        let Self::Beginning { was_followed, heard } = std::mem::take(self) else { return };
        *self = Self::Following { told, answered: told, own: BTreeMap::new(), late: None };
        if was_followed {
            teller.audience.lost(teller.shard, loss);
        }
        for (sequence, news) in heard {
            self.hear(sequence, &news, teller);
        }
    }

    pub(super) fn deafen<A: Audience>(&mut self, forget: bool, audience: &A) {
        let before = std::mem::take(self);
        *self = if forget || matches!(before, Self::Alone) { Self::Alone } else { Self::Deaf };
        if let Self::Following { own, .. } = before {
            own.into_values().for_each(|commit| audience.publish(commit));
        }
    }

    /// What was committed that nobody is told stands behind all up to `sequence`.
    pub(super) fn note_answer(&mut self, sequence: u64) {
        if let Self::Following { answered, .. } = self {
            *answered = sequence.max(*answered);
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        matches!(self, Self::Following { told, answered, .. } if told < answered)
    }

    pub(super) fn tell_own<A: Audience>(&mut self, commit: Commit, audience: &A) {
        self.note_answer(commit.position.sequence);
        let Self::Following { told, own, .. } = self else { return audience.publish(commit) };
        if commit.position.sequence <= *told {
            return;
        }
        own.insert(commit.position.sequence, commit);
        tell_what_follows(told, own, audience);
    }

    pub(super) fn hear<A: Audience>(&mut self, sequence: u64, news: &News, teller: &Teller<'_, A>) {
        let (told, own) = match self {
            Self::Alone | Self::Deaf => return,
            Self::Beginning { heard, .. } => return heard.push((sequence, news.clone())),
            Self::Following { told, own, .. } => (told, own),
        };
        if sequence <= *told {
            return;
        }
        if sequence != *told + 1 {
            while let Some(first) = own.first_entry().filter(|first| *first.key() < sequence) {
                teller.audience.publish(first.remove());
            }
            teller.audience.lost(teller.shard, Loss::Commits);
        }
        *told = sequence;
        let heard = own.remove(&sequence).unwrap_or_else(|| Commit {
            side: news.side.clone(),
            changes: teller.shift.changes_to_node(&news.changes),
            position: Position { shard: teller.shard, sequence },
            deadline: news.deadline.map(|deadline| teller.shift.to_node(Time::from_millis(deadline))),
            presence: news.presence,
            is_ours: false,
        });
        teller.audience.publish(heard);
        tell_what_follows(told, own, teller.audience);
    }

    /// The store says that all up to `sequence` is committed. Whether that should have been heard by now.
    pub(super) fn is_late(&mut self, sequence: u64, now: u64) -> bool {
        let Self::Following { told, late, .. } = self else { return false };
        match *late {
            Some((expected, since)) if *told < expected => now.saturating_sub(since) >= LATE,
            _ => {
                *late = (*told < sequence).then_some((sequence, now));
                false
            }
        }
    }
}

fn tell_what_follows<A: Audience>(told: &mut u64, own: &mut BTreeMap<u64, Commit>, audience: &A) {
    while let Some(next) = own.remove(&(*told + 1)) {
        *told += 1;
        audience.publish(next);
    }
}
