//! Agents on their channels, each named once, and who of those they talk to is composing.

use std::collections::HashMap;

use hashbrown::HashTable;
use slab::Slab;

use crate::conversation::{Conversation, Name, Scope, User, hash_one};

/// An agent of a tenant on a channel: what a shard's conversations with it share.
pub(super) struct Line {
    tenant_hash: u64,
    tenant: Name,
    channel: Name,
    agent: Name,
    /// The slots of its sides that have leases.
    pub(super) composing: Vec<u32>,
    /// Where it stands under its tenant, and under its agent.
    places: [usize; 2],
}

/// What it takes to tell a line from others, and to know when it is over.
#[derive(Clone, Copy, Default)]
struct Head {
    /// As [`Conversation::line_hash`] has it. Nobody knows its key, so nobody finds two lines with one hash.
    hash: u64,
    /// How many sides are of it.
    sides: u32,
}

/// The lines of a shard, found by hash, by tenant and by agent.
#[derive(Default)]
pub(super) struct Lines {
    lines: Slab<Line>,
    /// Of each what is looked at again and again, close together.
    heads: Vec<Head>,
    by_names: HashTable<u32>,
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
    /// The hash of a line's names.
    pub(super) fn hash(&self, line: u32) -> u64 {
        self.heads[line as usize].hash
    }

    /// The conversation with a user.
    pub(super) fn conversation(&self, line: u32, user: User) -> Conversation {
        let Line { tenant, channel, agent, .. } = self.get(line);
        Conversation::on_line(self.hash(line), tenant.clone(), channel.clone(), agent.clone(), user)
    }

    pub(super) fn get(&self, line: u32) -> &Line {
        &self.lines[line as usize]
    }

    /// The line of a conversation that begins here.
    pub(super) fn hold(&mut self, conversation: &Conversation) -> u32 {
        let hash = conversation.line_hash();
        let found = self.by_names.find(hash, |&line| self.heads[line as usize].hash == hash);
        let line = found.copied().unwrap_or_else(|| self.insert(hash, conversation));
        self.heads[line as usize].sides += 1;
        line
    }

    fn insert(&mut self, hash: u64, conversation: &Conversation) -> u32 {
        let [tenant, channel, agent] =
            [conversation.tenant(), conversation.channel(), conversation.agent()].map(Name::clone);
        let tenant_hash = hash_one(&tenant);
        let line = Line { tenant_hash, tenant, channel, agent, composing: Vec::new(), places: [0; 2] };
        let keys = line.keys();
        let number = self.lines.vacant_key();
        self.heads.resize(self.heads.len().max(number + 1), Head::default());
        self.heads[number] = Head { hash, sides: 0 };
        let number = u32::try_from(self.lines.insert(line)).expect("a shard holds fewer than 2^32 sides");
        self.by_names.insert_unique(hash, number, |&line| self.heads[line as usize].hash);
        for (which, (index, key)) in self.indexes.iter_mut().zip(keys).enumerate() {
            let lines = index.entry(key).or_default();
            self.lines[number as usize].places[which] = lines.len();
            lines.push(number);
        }
        number
    }

    /// One of its conversations ends here.
    pub(super) fn release(&mut self, number: u32) {
        let head = &mut self.heads[number as usize];
        head.sides -= 1;
        if head.sides > 0 {
            return;
        }
        let hash = head.hash;
        let line = self.lines.remove(number as usize);
        if let Ok(found) = self.by_names.find_entry(hash, |&held| held == number) {
            found.remove();
        }
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
    pub(super) fn list(&mut self, line: u32, slot: u32) -> u32 {
        let composing = &mut self.lines[line as usize].composing;
        composing.push(slot);
        u32::try_from(composing.len() - 1).expect("a shard holds fewer than 2^32 sides")
    }

    /// Takes out what stands at `place`, and says which slot stands there now instead.
    pub(super) fn unlist(&mut self, line: u32, place: u32) -> Option<u32> {
        let composing = &mut self.lines[line as usize].composing;
        composing.swap_remove(place as usize);
        composing.get(place as usize).copied()
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
        self.lines.is_empty() && self.by_names.is_empty() && self.indexes.iter().all(HashMap::is_empty)
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
            self.lines.capacity() * size_of::<Line>()
                + self.heads.capacity() * size_of::<Head>()
                + self.by_names.allocation_size()
                + called,
            composing.sum::<usize>() + self.indexes.iter().map(index).sum::<usize>(),
        ]
    }
}
