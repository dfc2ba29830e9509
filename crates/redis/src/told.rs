//! What the providers were told, so that a node that takes over a group knows what shows there.

use futures_util::{StreamExt, TryStreamExt, stream};
use typingd_core::fleet::Groups;
use typingd_core::store::StoreError;
use typingd_core::store::remote::{Audience, Unreadable};
use typingd_core::{Name, Side, Time};

use crate::bytes::{Reader, put_text};
use crate::keys::{name_of, read_side};
use crate::node::{Answer, Node, text, time};
use crate::offset::Shift;
use crate::server::{NOTE_TOLD, TOLD, bytes};

/// How many shards are asked at the same time.
const AT_ONCE: usize = 64;

/// What an upstream was told of a side, and until when it shows.
pub type Told = (Name, Side, Time);

impl<A: Audience> Node<A> {
    /// `until` is `None` where it is told no more.
    pub(crate) async fn note_told(
        &self,
        upstream: &str,
        side: &Side,
        until: Option<Time>,
    ) -> Result<(), StoreError> {
        let shard = self.keys.shard_of(&side.conversation);
        let noted = async {
            let shift = self.measured(shard).await?;
            let lasts = until.unwrap_or_default().since(time(self.now())) + self.config.grace;
            let args = [
                field_of(upstream, side),
                until.map_or_else(Vec::new, |until| text(shift.to_server(until))),
                text(lasts.as_millis()),
            ];
            self.run(shard, &NOTE_TOLD, &[self.keys.told(shard)], &args).await
        };
        self.bounded(shard, noted).await.map(drop)
    }

    pub(crate) async fn told(&self, groups: Groups) -> Result<Vec<Told>, StoreError> {
        let shards = (0..self.shards.len()).filter(|&shard| groups.has(Groups::of_shard(shard)));
        let asked = shards.map(|shard| self.bounded(shard, self.told_in(shard))).collect::<Vec<_>>();
        let parts = stream::iter(asked).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        Ok(parts.into_iter().flatten().collect())
    }

    async fn told_in(&self, shard: usize) -> Result<Vec<Told>, StoreError> {
        let answer = self.run(shard, &TOLD, &[self.keys.told(shard)], &[]).await?;
        let shift = self.shift(shard).ok_or(StoreError::Unavailable)?;
        let told = read(answer, shift)
            .into_iter()
            .filter_map(|told| told.map_err(|error| self.audience.unreadable(shard, error)).ok());
        Ok(told.collect())
    }
}

fn field_of(upstream: &str, side: &Side) -> Vec<u8> {
    let mut field = Vec::with_capacity(64);
    put_text(&mut field, upstream);
    field.extend(name_of(side));
    field
}

fn read_field(field: &[u8]) -> Result<(Name, Side), Unreadable> {
    let mut reader = Reader::new(field);
    let (upstream, side) = (reader.text()?, read_side(&mut reader)?);
    reader.end()?;
    Ok((upstream, side))
}

fn read(mut answer: Answer, shift: Shift) -> Vec<Result<Told, Unreadable>> {
    let mut told = Vec::new();
    while let (Some(field), Some(until)) = (answer.next().and_then(bytes), answer.next().and_then(bytes)) {
        let until = std::str::from_utf8(&until).ok().and_then(|until| until.parse().ok()).ok_or(Unreadable);
        told.push(
            read_field(&field).and_then(|(upstream, side)| Ok((upstream, side, shift.to_node(until?)))),
        );
    }
    told
}
