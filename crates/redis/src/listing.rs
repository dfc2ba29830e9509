//! What lives in a scope: one conversation by its keys, a user by its shard, all else by asking every shard.

use futures_util::{StreamExt, stream};
use redis::Value;
use typingd_core::lease::SideState;
use typingd_core::store::remote::{Audience, Unreadable};
use typingd_core::store::{AsOf, Listing, StoreError};
use typingd_core::{Conversation, Role, Scope, Side, Time};

use crate::keys::{name_of, range_of, side_named};
use crate::node::{Node, sequence, text};
use crate::server::{LIST, PAIR, bytes, number};
use crate::state::read_state;

/// How many shards are asked at the same time.
const AT_ONCE: usize = 64;

/// How many names of a shard are looked at for one listing.
const WORK: usize = 16_384;

/// What one shard has of a scope.
struct Part {
    sequence: u64,
    is_cut: bool,
    sides: Vec<(Side, SideState)>,
}

impl<A: Audience> Node<A> {
    pub(crate) async fn leases(&self, scope: &Scope, now: Time, limit: usize) -> Listing {
        let conversation = scope.as_conversation();
        let shards = self.keys.shards_of(scope);
        let first = shards.start;
        // Wide ones wait for each other, so that nobody else waits for many.
        let _place = match shards.len() {
            0 | 1 => None,
            _ => self.wide_listings.acquire().await.ok(),
        };
        let mut listing = Listing::default();
        let mut sequences = Vec::new();
        let parts = stream::iter(shards).map(|shard| {
            let (conversation, scope) = (&conversation, scope);
            self.bounded(shard, async move {
                match conversation {
                    Some(conversation) => self.pair(shard, conversation).await,
                    None => self.part(shard, scope, limit).await,
                }
            })
        });
        let mut parts = std::pin::pin!(parts.buffered(AT_ONCE));
        while let Some(part) = parts.next().await {
            let Part { sequence, is_cut, sides } = match part {
                Ok(part) => part,
                Err(error) => {
                    listing.failed = Some(error);
                    break;
                }
            };
            sequences.push(sequence);
            for (side, state) in sides {
                if conversation.is_some() {
                    match side.role {
                        Role::Agent => listing.last_turns.agent = state.last_turn(),
                        Role::User => listing.last_turns.user = state.last_turn(),
                    }
                }
                list(&side, &state, now, limit, &mut listing);
            }
            listing.cut |= is_cut;
            if listing.cut {
                break;
            }
        }
        listing.as_of = AsOf::new(first, sequences);
        listing
    }

    async fn pair(&self, shard: usize, conversation: &Conversation) -> Result<Part, StoreError> {
        self.measured(shard).await?;
        let sides = Role::BOTH.map(|role| Side { conversation: conversation.clone(), role });
        let [agent, user] = &sides;
        let keys = [
            self.keys.sequence(shard),
            self.keys.side(shard, &name_of(agent)),
            self.keys.side(shard, &name_of(user)),
        ];
        let mut answer = self.run(shard, &PAIR, &keys, &[]).await?;
        let sequence = sequence(answer.next()).ok_or(StoreError::Unavailable)?;
        let states: Vec<_> = sides.into_iter().map(Ok).zip(answer).collect();
        self.part_of(shard, sequence, false, states)
    }

    async fn part(&self, shard: usize, scope: &Scope, limit: usize) -> Result<Part, StoreError> {
        self.measured(shard).await?;
        let (first, last) = range_of(scope);
        let keys = [self.keys.index(shard), self.keys.sequence(shard)];
        let args = [
            first,
            last,
            filter(scope.agent.as_deref()),
            filter(scope.channel.as_deref()),
            text(limit),
            self.keys.sides(shard),
            text(WORK),
        ];
        let mut answer = self.run(shard, &LIST, &keys, &args).await?;
        let sequence = sequence(answer.next()).ok_or(StoreError::Unavailable)?;
        let is_cut = answer.next().as_ref().and_then(number) == Some(1);
        let mut states = Vec::new();
        while let (Some(name), Some(state)) = (answer.next(), answer.next()) {
            states.push((side_named(&bytes(name).unwrap_or_default()), state));
        }
        self.part_of(shard, sequence, is_cut, states)
    }

    fn part_of(
        &self,
        shard: usize,
        sequence: u64,
        is_cut: bool,
        states: Vec<(Result<Side, Unreadable>, Value)>,
    ) -> Result<Part, StoreError> {
        let shift = self.shift(shard).ok_or(StoreError::Unavailable)?;
        let mut sides = Vec::with_capacity(states.len());
        for (side, state) in states {
            match side {
                Ok(side) => {
                    let state = read_state(&bytes(state).unwrap_or_default(), shift);
                    sides.push((side, self.readable(shard, state)));
                }
                Err(error) => self.audience.unreadable(shard, error),
            }
        }
        Ok(Part { sequence, is_cut, sides })
    }
}

/// A narrowing as the script takes it: nothing for any.
fn filter(name: Option<&str>) -> Vec<u8> {
    name.map(|name| [b" ", name.as_bytes()].concat()).unwrap_or_default()
}

fn list(side: &Side, state: &SideState, now: Time, limit: usize, listing: &mut Listing) {
    for lease in state.leases.iter().filter(|lease| lease.expires_at() > now) {
        if listing.leases.len() == limit {
            listing.cut = true;
            return;
        }
        listing.leases.push((side.clone(), lease.view()));
    }
}
