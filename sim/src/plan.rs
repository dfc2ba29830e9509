//! What goes wrong in a run, and when: drawn before it begins.

use fastrand::Rng;

/// When those who type fall silent, and nothing goes wrong any more.
pub(crate) const QUIET: u64 = 26_000;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Answers of the store take up to 200 ms, some longer than anybody waits.
    Slow,
    /// Some commits are done and the answer is lost.
    AnswersLost,
    /// Some calls get no answer, and are done a second later.
    Late,
    /// Some calls are refused at once.
    Refused,
    /// The store answers nobody.
    Outage,
    /// One node reaches nobody.
    Partition,
    /// The store begins anew with nothing in it.
    Restart,
    /// News take up to 150 ms.
    FeedLate,
    /// Some news are lost.
    FeedHoles,
    /// The connections that news come by break.
    FeedCut,
    /// Nodes' clocks run up to 300 ppm wrong.
    ClockDrift,
    /// A node's clock jumps ahead.
    ClockJump,
    /// A node's clock stands still for a moment.
    ClockStall,
    /// A node dies with all that it knows.
    Death,
    /// One more node comes.
    Join,
    /// A node leaves in order.
    Drain,
    /// Some calls to providers get no answer.
    ProviderMute,
}

impl Fault {
    pub(crate) const ALL: [Self; 17] = [
        Self::Slow,
        Self::AnswersLost,
        Self::Late,
        Self::Refused,
        Self::Outage,
        Self::Partition,
        Self::Restart,
        Self::FeedLate,
        Self::FeedHoles,
        Self::FeedCut,
        Self::ClockDrift,
        Self::ClockJump,
        Self::ClockStall,
        Self::Death,
        Self::Join,
        Self::Drain,
        Self::ProviderMute,
    ];

    /// What makes a commit's fate uncertain.
    pub(crate) const STORE: [Self; 7] = [
        Self::Slow,
        Self::AnswersLost,
        Self::Late,
        Self::Refused,
        Self::Outage,
        Self::Partition,
        Self::Restart,
    ];

    /// What keeps news from those who follow.
    pub(crate) const FEED: [Self; 3] = [Self::FeedLate, Self::FeedHoles, Self::FeedCut];

    /// What makes a node wrong about the time.
    pub(crate) const CLOCK: [Self; 2] = [Self::ClockJump, Self::ClockStall];

    fn is_momentary(self) -> bool {
        matches!(
            self,
            Self::Restart
                | Self::FeedCut
                | Self::ClockJump
                | Self::ClockStall
                | Self::Death
                | Self::Join
                | Self::Drain
        )
    }
}

/// A fault, and when it begins and ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) fault: Fault,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// All that goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) windows: Vec<Window>,
    pub(crate) nodes: usize,
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let nodes = rng.usize(2..=4);
        let mut windows = Vec::new();
        // Every fifth run goes well, so that nothing is excused in it.
        let odds = if rng.u8(..5) == 0 { 0.0 } else { 0.08 + 0.24 * rng.f64() };
        for fault in Fault::ALL {
            for _ in 0..2 {
                if rng.f64() < odds {
                    let from = rng.u64(2_000..20_000);
                    let length = if fault.is_momentary() { 0 } else { rng.u64(200..6_000) };
                    let (from, to) = match fault {
                        Fault::ClockDrift => (0, u64::MAX),
                        _ => (from, from + length),
                    };
                    windows.push(Window { fault, from, to });
                }
            }
        }
        windows.sort_by_key(|window| (window.from, window.fault));
        Self { windows, nodes }
    }

    /// Whether it goes wrong at this moment.
    pub(crate) fn is_on(&self, fault: Fault, at: u64) -> bool {
        self.windows.iter().any(|window| window.fault == fault && window.from <= at && at < window.to)
    }

    /// Whether one of them went wrong between these moments.
    pub(crate) fn had(&self, faults: &[Fault], from: u64, to: u64) -> bool {
        let touches = |window: &Window| window.from <= to && window.to >= from;
        self.windows.iter().any(|window| faults.contains(&window.fault) && touches(window))
    }
}
