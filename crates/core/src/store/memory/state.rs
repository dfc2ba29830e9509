//! What is known of a side, in as few bytes as it takes.

use std::num::NonZeroU16;
use std::time::Duration;

use smallvec::smallvec;

use crate::conversation::Name;
use crate::lease::{Claim, Lease, SideState};
use crate::signal::Source;
use crate::time::Time;

/// The state of a side, as it is kept.
pub(super) enum State {
    /// One lease that one call keeps up, of nobody in particular, without a fence: what most sides have.
    Plain(Plain),
    /// Anything else.
    Whole(Box<SideState>),
}

/// Such a lease, in whole milliseconds.
pub(super) struct Plain {
    started_at: Time,
    /// From its start to the end that was told.
    announced: u32,
    /// From its start to its end.
    lasts: u32,
    guard: u16,
    origin: Origin,
}

/// The doors that leases came by, each once.
#[derive(Default)]
pub(super) struct Origins(Vec<Name>);

/// The place of one of them, counted from one.
#[derive(Clone, Copy)]
struct Origin(NonZeroU16);

/// There are a handful of doors; more than this many are not worth a number each.
const ORIGINS: usize = 256;

impl Origins {
    fn number(&mut self, name: &Name) -> Option<Origin> {
        let at = match self.0.iter().position(|known| known == name) {
            Some(at) => at,
            None if self.0.len() < ORIGINS => {
                self.0.push(name.clone());
                self.0.len() - 1
            }
            None => return None,
        };
        Some(Origin(NonZeroU16::new(u16::try_from(at + 1).ok()?)?))
    }

    fn name(&self, origin: Origin) -> &Name {
        &self.0[usize::from(origin.0.get()) - 1]
    }
}

impl State {
    pub(super) fn pack(state: SideState, origins: &mut Origins) -> Self {
        match Plain::pack(&state, origins) {
            Some(plain) => Self::Plain(plain),
            None => Self::Whole(Box::new(state)),
        }
    }

    pub(super) fn unpack(&self, origins: &Origins) -> SideState {
        match self {
            Self::Plain(plain) => plain.unpack(origins),
            Self::Whole(state) => (**state).clone(),
        }
    }

    /// When it must be looked at next.
    pub(super) fn deadline(&self, origins: &Origins) -> Option<Time> {
        match self {
            Self::Plain(plain) => plain.unpack(origins).deadline(),
            Self::Whole(state) => state.deadline(),
        }
    }

    /// Whether somebody composes, or did when it was looked at last.
    pub(super) fn has_leases(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Whole(state) => !state.leases.is_empty(),
        }
    }

    /// Bytes taken beside itself, as far as they can be seen.
    pub(super) fn footprint(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Whole(_) => size_of::<SideState>(),
        }
    }
}

impl Plain {
    fn pack(state: &SideState, origins: &mut Origins) -> Option<Self> {
        let ([lease], None) = (&*state.leases, &state.fence) else { return None };
        let Lease {
            participant: None,
            name: None,
            started_at,
            announced_until,
            guard,
            turn: None,
            origin,
            claims,
        } = lease
        else {
            return None;
        };
        let [Claim { source: Source::OneShot, until }] = **claims else { return None };
        let from_start =
            |time: Time| u32::try_from(time.as_millis().checked_sub(started_at.as_millis())?).ok();
        let is_whole = guard.subsec_nanos() % 1_000_000 == 0;
        Some(Self {
            started_at: *started_at,
            announced: from_start(*announced_until)?,
            lasts: from_start(until)?,
            guard: u16::try_from(guard.as_millis()).ok().filter(|_| is_whole)?,
            origin: origins.number(origin)?,
        })
    }

    fn unpack(&self, origins: &Origins) -> SideState {
        let after = |millis: u32| self.started_at + Duration::from_millis(millis.into());
        let lease = Lease {
            participant: None,
            name: None,
            started_at: self.started_at,
            announced_until: after(self.announced),
            guard: Duration::from_millis(self.guard.into()),
            turn: None,
            origin: origins.name(self.origin).clone(),
            claims: smallvec![Claim { source: Source::OneShot, until: after(self.lasts) }],
        };
        SideState { leases: smallvec![lease], fence: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Fence;

    fn plain() -> Lease {
        let time = Time::from_millis;
        Lease {
            participant: None,
            name: None,
            started_at: time(1_000),
            announced_until: time(21_000),
            guard: Duration::from_secs(5),
            turn: None,
            origin: "pinnacle".into(),
            claims: smallvec![Claim { source: Source::OneShot, until: time(24_000) }],
        }
    }

    #[test]
    fn what_most_sides_have_takes_24_bytes_and_everything_comes_back_as_it_was() {
        assert_eq!(size_of::<State>(), 24);
        let far = Time::from_millis(u64::from(u32::MAX) + 1_001);
        let mut origins = Origins::default();
        let mut is_plain = |lease: &Lease, fence: Option<Fence>| {
            let state = SideState { leases: smallvec![lease.clone()], fence: fence.map(Box::new) };
            let packed = State::pack(state.clone(), &mut origins);
            assert_eq!(packed.unpack(&origins), state);
            matches!(packed, State::Plain(_))
        };
        assert!(is_plain(&plain(), None));
        assert!(is_plain(&Lease { origin: "kaleyra".into(), guard: Duration::ZERO, ..plain() }, None));
        assert!(!is_plain(&plain(), Some(Fence::default())));
        for other in [
            Lease { participant: Some("ada".into()), ..plain() },
            Lease { name: Some("Ada".into()), ..plain() },
            Lease { turn: Some(0), ..plain() },
            Lease { announced_until: Time::ZERO, ..plain() },
            Lease { announced_until: far, ..plain() },
            Lease { guard: Duration::from_micros(1_500), ..plain() },
            Lease { guard: Duration::from_secs(66), ..plain() },
            Lease { claims: smallvec![Claim { source: Source::Socket(7), until: far }], ..plain() },
            Lease { claims: smallvec![Claim { source: Source::OneShot, until: far }], ..plain() },
            Lease { claims: smallvec![plain().claims[0], plain().claims[0]], ..plain() },
        ] {
            assert!(!is_plain(&other, None), "{other:?}");
        }
    }

    #[test]
    fn more_doors_than_have_a_number_are_kept_all_the_same() {
        let mut origins = Origins::default();
        for number in 0..=ORIGINS {
            let lease = Lease { origin: number.to_string().into(), ..plain() };
            let state = SideState { leases: smallvec![lease], fence: None };
            assert_eq!(State::pack(state.clone(), &mut origins).unpack(&origins), state);
        }
    }
}
