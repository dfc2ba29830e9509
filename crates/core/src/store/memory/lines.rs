//! Agents on their channels, each named once, and who of those they talk to is composing.

use std::collections::HashMap;

use slab::Slab;

use super::heads::Heads;
use crate::conversation::{Conversation, Name, Phone, Scope, User, hash_one};

/// An agent of a tenant on a channel: what a shard's conversations with it share.
pub(super) struct Line {
    /// As [`Conversation::line_hash`] has it.
    hash: u64,
    tenant_hash: u64,
    tenant: Name,
    channel: Name,
    agent: Name,
    /// The places of its sides that have leases.
    pub(super) composing: Vec<u32>,
    /// Where it stands under its tenant, and under its agent.
    places: [usize; 2],
}

/// The lines of a shard, found by hash, by tenant and by agent.
#[derive(Default)]
pub(super) struct Lines {
    lines: Slab<Line>,
    heads: Heads,
    /// By tenant, and by agent.
    indexes: [Index; 2],
}

/// A tenant, and one of its agents or none.
type Key = (Name, Name);

/// Lines under a key.
type Index = HashMap<Key, Vec<u32>>;

impl Line {
    pub(super) fn tenant(&self) -> &Name {
        &self.tenant
    }

    /// The tenant's name alone, hashed.
    pub(super) fn tenant_hash(&self) -> u64 {
        self.tenant_hash
    }

    /// Whether its conversations may lie in the scope.
    pub(super) fn is_in(&self, scope: &Scope) -> bool {
        self.tenant == scope.tenant
            && scope.channel.as_ref().is_none_or(|channel| *channel == self.channel)
            && scope.agent.as_ref().is_none_or(|agent| *agent == self.agent)
    }

    fn keys(&self) -> [Key; 2] {
        [(self.tenant.clone(), Name::default()), (self.tenant.clone(), self.agent.clone())]
    }
}

impl Lines {
    /// The conversation with a user, whose number this is, where it is one.
    pub(super) fn conversation(&self, line: u32, phone: Option<Phone>, user: User) -> Conversation {
        let Line { hash, tenant, channel, agent, .. } = self.get(line);
        Conversation::on_line(*hash, [tenant.clone(), channel.clone(), agent.clone()], phone, user)
    }

    pub(super) fn get(&self, line: u32) -> &Line {
        &self.lines[line as usize]
    }

    /// The line of a conversation, where one of its conversations is known.
    pub(super) fn find(&self, conversation: &Conversation) -> Option<u32> {
        self.heads.find(conversation.line_hash())
    }

    /// The line of a conversation that begins here.
    pub(super) fn hold(&mut self, conversation: &Conversation) -> u32 {
        let hash = conversation.line_hash();
        self.heads.hold(hash).unwrap_or_else(|| {
            let line = self.insert(hash, conversation);
            self.heads.insert(hash, line);
            line
        })
    }

    fn insert(&mut self, hash: u64, conversation: &Conversation) -> u32 {
        let [tenant, channel, agent] =
            [conversation.tenant(), conversation.channel(), conversation.agent()].map(Name::clone);
        let tenant_hash = hash_one(&tenant);
        let line = Line { hash, tenant_hash, tenant, channel, agent, composing: Vec::new(), places: [0; 2] };
        let keys = line.keys();
        let number = u32::try_from(self.lines.insert(line)).expect("a shard holds fewer than 2^32 sides");
        for (which, (index, key)) in self.indexes.iter_mut().zip(keys).enumerate() {
            let lines = index.entry(key).or_default();
            self.lines[number as usize].places[which] = lines.len();
            lines.push(number);
        }
        number
    }

    /// One of its conversations ends here.
    pub(super) fn release(&mut self, conversation: &Conversation) {
        let Some(number) = self.heads.release(conversation.line_hash()) else { return };
        let line = self.lines.remove(number as usize);
        for (which, (index, key)) in self.indexes.iter_mut().zip(line.keys()).enumerate() {
            let Some(lines) = index.get_mut(&key) else { continue };
            let place = line.places[which];
            lines.swap_remove(place);
            if let Some(&moved) = lines.get(place) {
                self.lines[moved as usize].places[which] = place;
            } else if lines.is_empty() {
                index.remove(&key);
            }
        }
    }

    /// Adds a side that has leases, and says where it stands.
    pub(super) fn list(&mut self, line: u32, side: u32) -> u32 {
        let composing = &mut self.lines[line as usize].composing;
        composing.push(side);
        u32::try_from(composing.len() - 1).expect("a shard holds fewer than 2^32 sides")
    }

    /// Takes out what stands at `place`, and says which side stands there now instead.
    pub(super) fn unlist(&mut self, line: u32, place: u32) -> Option<u32> {
        let composing = &mut self.lines[line as usize].composing;
        composing.swap_remove(place as usize);
        composing.get(place as usize).copied()
    }

    /// The side that stands at `place` is somewhere else now.
    pub(super) fn relist(&mut self, line: u32, place: u32, side: u32) {
        self.lines[line as usize].composing[place as usize] = side;
    }

    /// All sides are somewhere else now.
    pub(super) fn relist_all(&mut self, now_at: impl Fn(u32) -> u32) {
        for (_, line) in &mut self.lines {
            line.composing.iter_mut().for_each(|side| *side = now_at(*side));
        }
    }

    /// Those whose conversations may lie in the scope.
    pub(super) fn of(&self, scope: &Scope) -> impl Iterator<Item = &Line> {
        let key = (scope.tenant.clone(), scope.agent.clone().unwrap_or_default());
        let [by_tenant, by_agent] = &self.indexes;
        let index = if scope.agent.is_some() { by_agent } else { by_tenant };
        let lines = index.get(&key).into_iter().flatten().map(|&line| self.get(line));
        lines.filter(|line| line.is_in(scope))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.heads.is_empty() && self.indexes.iter().all(HashMap::is_empty)
    }

    /// Bytes taken by what the lines are called, and by what they are listed by.
    pub(super) fn footprint(&self) -> [usize; 2] {
        let long = |name: &Name| if name.is_heap_allocated() { name.capacity() } else { 0 };
        let names = |line: &Line| [&line.tenant, &line.channel, &line.agent].map(long).iter().sum::<usize>();
        let called = self.lines.iter().map(|(_, line)| names(line)).sum::<usize>();
        let composing = self.lines.iter().map(|(_, line)| line.composing.capacity() * size_of::<u32>());
        let index = |index: &Index| {
            let lists = index.values().map(|lines| lines.capacity() * size_of::<u32>());
            index.capacity() * size_of::<(Key, Vec<u32>)>() + lists.sum::<usize>()
        };
        [
            self.lines.capacity() * size_of::<Line>() + self.heads.footprint() + called,
            composing.sum::<usize>() + self.indexes.iter().map(index).sum::<usize>(),
        ]
    }
}
