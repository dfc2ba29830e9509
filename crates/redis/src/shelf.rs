//! Small things that one node puts down for whichever node is asked for them, each for a while.

use std::time::Duration;

use redis::{Cmd, Value};
use typingd_core::store::StoreError;
use typingd_core::store::remote::Audience;

use crate::node::Node;
use crate::server::{bytes, number};

impl<A: Audience> Node<A> {
    pub(crate) async fn put(&self, name: &str, value: &[u8], lasts: Duration) -> Result<(), StoreError> {
        let mut put = redis::cmd("SET");
        put.arg(self.keys.shelf(name)).arg(value).arg("PX").arg(lasts.as_millis().max(1) as u64);
        self.ask(&put).await.map(drop)
    }

    pub(crate) async fn take(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(redis::cmd("GETDEL").arg(self.keys.shelf(name))).await.map(bytes)
    }

    pub(crate) async fn look_at(&self, name: &str) -> Result<Option<(Vec<u8>, Duration)>, StoreError> {
        let key = self.keys.shelf(name);
        let lasts = self.ask(redis::cmd("PTTL").arg(&key)).await?;
        let lasts = number(&lasts).and_then(|millis| u64::try_from(millis).ok());
        let value = self.ask(redis::cmd("GET").arg(&key)).await.map(bytes)?;
        Ok(value.zip(lasts.map(Duration::from_millis)))
    }

    async fn ask(&self, command: &Cmd) -> Result<Value, StoreError> {
        let asking = async {
            let made = self.link.made().await.ok_or(StoreError::Unavailable)?;
            made.way.query(command).await.map_err(|error| {
                self.link.failed(&made, &error);
                StoreError::Unavailable
            })
        };
        self.bounded_apart(asking).await
    }
}
