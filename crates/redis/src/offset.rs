//! What lies between the node's clock and a server's: states are kept in the server's time, decided in the node's.
//!
//! Every answer carries the server's time. It was read somewhere between sending and receiving, so the middle is wrong
//! by half a round trip at most; of the last minute's answers the one with the shortest round trip is believed. Server
//! time as the node reckons it never runs backwards: where it turns out to be ahead, it goes at half the pace.

use std::time::Duration;

use typingd_core::Time;

/// For how long a measurement is better than one with a longer round trip.
const STANDS: Duration = Duration::from_secs(60);

/// Scores of a sorted set are whole up to here.
const LAST: u64 = 1 << 53;

/// What is known of one server's clock.
#[derive(Debug, Default)]
pub(crate) struct Offset {
    best: Option<Measured>,
    /// In microseconds, as believed at `used`.
    reckoned: i64,
    used: Duration,
    shift: Option<Shift>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    offset: i64,
    round_trip: Duration,
    at: Duration,
}

/// Milliseconds to add to the node's time to have the server's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift(i64);

impl Shift {
    pub(crate) fn to_server(self, time: Time) -> u64 {
        clamped(i128::from(time.as_millis()) + i128::from(self.0)).min(LAST)
    }

    pub(crate) fn to_node(self, server: u64) -> Time {
        Time::from_millis(clamped(i128::from(server) - i128::from(self.0)))
    }
}

fn clamped(millis: i128) -> u64 {
    u64::try_from(millis.max(0)).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

impl Offset {
    /// Takes note of the server's time, in microseconds, in an answer to what was sent then and received now.
    pub(crate) fn note(&mut self, sent: Duration, received: Duration, server: i64) {
        let round_trip = received.saturating_sub(sent);
        let is_better = self
            .best
            .is_none_or(|best| round_trip < best.round_trip || received.saturating_sub(best.at) >= STANDS);
        if is_better {
            let offset = server.saturating_sub(micros(sent + round_trip / 2));
            if self.best.is_none() {
                (self.reckoned, self.used) = (offset, received);
            }
            self.best = Some(Measured { offset, round_trip, at: received });
        }
    }

    /// What to reckon with now; `None` before the first measurement.
    pub(crate) fn shift(&mut self, now: Duration) -> Option<Shift> {
        let best = self.best?;
        let since = now.saturating_sub(self.used);
        self.reckoned = best.offset.max(self.reckoned.saturating_sub(micros(since) / 2));
        let mut shift = self.reckoned.div_euclid(1_000);
        if let Some(Shift(before)) = self.shift {
            // In whole milliseconds, too: it falls by no more than the node's clock has risen.
            let risen = now.as_millis().saturating_sub(self.used.as_millis());
            shift = shift.max(before.saturating_sub(i64::try_from(risen).unwrap_or(i64::MAX)));
        }
        self.used = self.used.max(now);
        self.shift = Some(Shift(shift));
        self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_is_added_to_have_the_servers_time_and_taken_away_to_have_the_nodes() {
        let mut offset = Offset::default();
        assert_eq!(offset.shift(MS), None);
        offset.note(100 * MS, 104 * MS, 5_000_000);
        let shift = offset.shift(104 * MS).unwrap();
        assert_eq!(shift.to_server(Time::from_millis(102)), 5_000);
        assert_eq!(shift.to_node(5_000), Time::from_millis(102));
        assert_eq!(shift.to_node(1), Time::ZERO, "before the clock began");
    }

    #[test]
    fn the_shortest_round_trip_of_a_minute_is_believed() {
        let mut offset = Offset::default();
        offset.note(Duration::ZERO, 2 * MS, 1_001_000);
        offset.note(10 * MS, 30 * MS, 1_500_000);
        assert_eq!(offset.shift(30 * MS), Some(Shift(1_000)));
        offset.note(40 * MS, 41 * MS, 1_045_500);
        assert_eq!(offset.shift(41 * MS), Some(Shift(1_005)), "a shorter one is better");
        offset.note(70_000 * MS, 70_020 * MS, 71_017_000);
        assert_eq!(offset.shift(70_020 * MS), Some(Shift(1_007)), "a later one is better than an old one");
    }

    #[test]
    fn where_it_is_ahead_it_goes_at_half_the_pace() {
        let mut offset = Offset::default();
        offset.note(Duration::ZERO, 2 * MS, 1_001_000);
        assert_eq!(offset.shift(2 * MS), Some(Shift(1_000)));
        offset.note(2 * MS, 2 * MS, 902_000);
        assert_eq!(offset.shift(102 * MS), Some(Shift(950)));
        assert_eq!(offset.shift(302 * MS), Some(Shift(900)));
    }

    proptest! {
        #[test]
        fn the_servers_time_never_runs_backwards(
            steps in prop::collection::vec((0_u64..5_000, 0_u64..90_000, -50_000_i64..50_000, any::<bool>()), 1..100),
        ) {
            let (mut offset, mut now, mut before) = (Offset::default(), Duration::from_secs(9), 0);
            for (wait, trip, error, is_long) in steps {
                let sent = now + Duration::from_micros(wait) * if is_long { 10_000 } else { 1 };
                now = sent + Duration::from_micros(trip);
                offset.note(sent, now, 1_700_000_000_000_000 + micros(now) + error);
                let time = Time::from_millis(u64::try_from(now.as_millis()).unwrap());
                let server = offset.shift(now).unwrap().to_server(time);
                prop_assert!(server >= before, "{server} after {before}");
                before = server;
            }
        }
    }
}
