//! Deliberate faults, each of which a run must find.

/// One deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The store writes whatever it is given.
    NoComparison,
    /// The store does not publish that something stopped.
    SilentStop,
    /// The sweeper is two seconds ahead.
    EarlySweep,
    /// What a node kept to itself is never brought to the store.
    NeverFlushed,
    /// What was ended beside the store goes on in it.
    EndsDropped,
    /// What was promised beside the store is not brought to it.
    PromisesDropped,
    /// That commits of others were missed is told to nobody.
    LossIgnored,
    /// A listing says that it has seen more than it has.
    ListingAhead,
    /// A message's stop comes to the store three seconds later.
    LateStop,
    /// A node tells providers of groups that others may have.
    Overstay,
    /// Who takes a group over does not ask what was told.
    NoNotes,
    /// A group that comes is not looked at.
    BlindAdoption,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::NoComparison,
        Self::SilentStop,
        Self::EarlySweep,
        Self::NeverFlushed,
        Self::EndsDropped,
        Self::PromisesDropped,
        Self::LossIgnored,
        Self::ListingAhead,
        Self::LateStop,
        Self::Overstay,
        Self::NoNotes,
        Self::BlindAdoption,
    ];

    /// As the command line spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoComparison => "no-comparison",
            Self::SilentStop => "silent-stop",
            Self::EarlySweep => "early-sweep",
            Self::NeverFlushed => "never-flushed",
            Self::EndsDropped => "ends-dropped",
            Self::PromisesDropped => "promises-dropped",
            Self::LossIgnored => "loss-ignored",
            Self::ListingAhead => "listing-ahead",
            Self::LateStop => "late-stop",
            Self::Overstay => "overstay",
            Self::NoNotes => "no-notes",
            Self::BlindAdoption => "blind-adoption",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutant| mutant.as_str() == name)
    }
}
