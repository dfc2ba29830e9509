//! How long a provider takes to answer.

use std::time::Duration;

/// How many of the last round trips are remembered: the second longest of a hundred is their 99th percentile.
const REMEMBERED: usize = 100;

/// What is assumed before anything was measured.
const UNMEASURED: Duration = Duration::from_secs(1);

/// The last round trips of one credential.
#[derive(Clone, Debug, Default)]
pub struct RoundTrips {
    millis: Vec<u32>,
    next: usize,
    p99: Option<Duration>,
}

impl RoundTrips {
    /// Takes note of one, from a call's beginning to its answer.
    pub fn record(&mut self, round_trip: Duration) {
        let millis = u32::try_from(round_trip.as_millis()).unwrap_or(u32::MAX);
        if self.millis.len() < REMEMBERED {
            self.millis.push(millis);
        } else {
            self.millis[self.next] = millis;
        }
        self.next = (self.next + 1) % REMEMBERED;
        self.p99 = Some(Duration::from_millis(u64::from(self.ninety_ninth())));
    }

    /// The 99th percentile of those remembered: the longest while there are fewer than a hundred.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.p99.unwrap_or(UNMEASURED)
    }

    fn ninety_ninth(&self) -> u32 {
        let (mut longest, mut second) = (0, 0);
        for &millis in &self.millis {
            if millis >= longest {
                (longest, second) = (millis, longest);
            } else {
                second = second.max(millis);
            }
        }
        if self.millis.len() < REMEMBERED { longest } else { second }
    }
}
