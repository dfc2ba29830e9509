//! The section `[history]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::file::{ConfigError, error};
use crate::history::Limits;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HistorySection {
    conversations: usize,
    entries: usize,
    minutes: u64,
}

impl Default for HistorySection {
    fn default() -> Self {
        let Limits { conversations, entries, span } = Limits::default();
        Self { conversations, entries, minutes: span.as_secs() / 60 }
    }
}

impl HistorySection {
    pub(super) fn resolve(&self) -> Result<Limits, ConfigError> {
        const CONVERSATIONS: RangeInclusive<usize> = 0..=1_000_000;
        const ENTRIES: RangeInclusive<usize> = 1..=10_000;
        const MINUTES: RangeInclusive<u64> = 1..=60;
        let Self { conversations, entries, minutes } = *self;
        if !CONVERSATIONS.contains(&conversations) {
            return Err(error("history.conversations", "expected a number from 0 to 1000000"));
        }
        if !ENTRIES.contains(&entries) {
            return Err(error("history.entries", "expected a number from 1 to 10000"));
        }
        if !MINUTES.contains(&minutes) {
            return Err(error("history.minutes", "expected a number from 1 to 60"));
        }
        Ok(Limits { conversations, entries, span: Duration::from_secs(60 * minutes) })
    }
}
