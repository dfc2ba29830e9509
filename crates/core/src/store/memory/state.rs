//! What is known of a side, in as few bytes as it takes.

use std::time::Duration;

use slab::Slab;
use smallvec::smallvec;

use crate::conversation::Name;
use crate::lease::{Claim, Lease, SideState};
use crate::signal::Source;
use crate::time::Time;

/// The state of a side, as it is kept.
pub(super) enum State {
    /// One lease that one call keeps up, of nobody in particular, without a fence: what most sides have. In whole
    /// milliseconds.
    Plain {
        /// Its start: 48 bits of it, which are some thousand years.
        started_high: u16,
        started_low: u32,
        /// From its start to its end.
        lasts: u32,
        /// From the end that was told to its end.
        untold: u16,
        guard: u16,
        origin: u8,
    },
    /// Anything else, at a place of its own.
    Whole(u32),
}

/// What states have in common, and those that are kept whole.
#[derive(Default)]
pub(super) struct States {
    origins: Origins,
    wholes: Slab<SideState>,
}

/// The doors that leases came by, each once. There are a handful.
#[derive(Default)]
pub(super) struct Origins(Vec<Name>);

impl Origins {
    fn number(&mut self, name: &Name) -> Option<u8> {
        let known = self.0.iter().position(|known| known == name);
        let number = u8::try_from(known.unwrap_or(self.0.len())).ok()?;
        if known.is_none() {
            self.0.push(name.clone());
        }
        Some(number)
    }
}

impl States {
    pub(super) fn pack(&mut self, state: SideState) -> State {
        match self.plain(&state) {
            Some(plain) => plain,
            None => State::Whole(
                u32::try_from(self.wholes.insert(state)).expect("a shard holds fewer than 2^32 sides"),
            ),
        }
    }

    /// As it was packed.
    pub(super) fn unpack(&self, state: &State) -> SideState {
        match *state {
            State::Plain { started_high, started_low, lasts, untold, guard, origin } => {
                let started_at = u64::from(started_high) << 32 | u64::from(started_low);
                let until = started_at + u64::from(lasts);
                let claim = Claim { source: Source::OneShot, until: Time::from_millis(until) };
                let lease = Lease {
                    participant: None,
                    name: None,
                    started_at: Time::from_millis(started_at),
                    announced_until: Time::from_millis(until - u64::from(untold)),
                    guard: Duration::from_millis(guard.into()),
                    turn: None,
                    origin: self.origins.0[usize::from(origin)].clone(),
                    claims: smallvec![claim],
                };
                SideState { leases: smallvec![lease], fence: None }
            }
            State::Whole(at) => self.wholes[at as usize].clone(),
        }
    }

    /// When it must be looked at next.
    pub(super) fn deadline(&self, state: &State) -> Option<Time> {
        match state {
            State::Plain { .. } => self.unpack(state).deadline(),
            State::Whole(at) => self.wholes[*at as usize].deadline(),
        }
    }

    /// Whether somebody composes, or did when it was looked at last.
    pub(super) fn has_leases(&self, state: &State) -> bool {
        match state {
            State::Plain { .. } => true,
            State::Whole(at) => !self.wholes[*at as usize].leases.is_empty(),
        }
    }

    pub(super) fn forget(&mut self, state: &State) {
        if let State::Whole(at) = state {
            self.wholes.remove(*at as usize);
        }
    }

    fn plain(&mut self, state: &SideState) -> Option<State> {
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
        let [started_at, announced_until, until] =
            [*started_at, *announced_until, until].map(Time::as_millis);
        let is_whole = guard.subsec_nanos() % 1_000_000 == 0;
        Some(State::Plain {
            started_high: u16::try_from(started_at >> 32).ok()?,
            started_low: started_at as u32,
            lasts: u32::try_from(until.checked_sub(started_at)?).ok()?,
            untold: u16::try_from(until.checked_sub(announced_until)?).ok()?,
            guard: u16::try_from(guard.as_millis()).ok().filter(|_| is_whole)?,
            origin: self.origins.number(origin)?,
        })
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.wholes.is_empty()
    }

    /// Bytes taken by those kept whole, as far as they can be seen.
    pub(super) fn footprint(&self) -> usize {
        self.wholes.capacity() * size_of::<Option<SideState>>()
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
    fn what_most_sides_have_takes_16_bytes_and_everything_comes_back_as_it_was() {
        assert_eq!(size_of::<State>(), 16);
        let far = Time::from_millis(u64::from(u32::MAX) + 1_001);
        let never = Time::from_millis(1 << 48);
        let mut states = States::default();
        let mut is_plain = |lease: &Lease, fence: Option<Fence>| {
            let state = SideState { leases: smallvec![lease.clone()], fence: fence.map(Box::new) };
            let packed = states.pack(state.clone());
            assert_eq!(states.unpack(&packed), state);
            matches!(packed, State::Plain { .. })
        };
        let until = |until| smallvec![Claim { source: Source::OneShot, until }];
        assert!(is_plain(&plain(), None));
        assert!(is_plain(&Lease { origin: "kaleyra".into(), guard: Duration::ZERO, ..plain() }, None));
        assert!(is_plain(
            &Lease { announced_until: far, started_at: far, claims: until(far), ..plain() },
            None
        ));
        assert!(!is_plain(&plain(), Some(Fence::default())));
        for other in [
            Lease { participant: Some("ada".into()), ..plain() },
            Lease { name: Some("Ada".into()), ..plain() },
            Lease { turn: Some(0), ..plain() },
            Lease { claims: until(Time::from_millis(90_000)), ..plain() },
            Lease { announced_until: far, ..plain() },
            Lease { guard: Duration::from_micros(1_500), ..plain() },
            Lease { guard: Duration::from_secs(66), ..plain() },
            Lease { claims: smallvec![Claim { source: Source::Socket(7), until: far }], ..plain() },
            Lease { claims: until(far), ..plain() },
            Lease { announced_until: never, started_at: never, claims: until(never), ..plain() },
            Lease { claims: smallvec![plain().claims[0], plain().claims[0]], ..plain() },
        ] {
            assert!(!is_plain(&other, None), "{other:?}");
        }
    }

    #[test]
    fn more_doors_than_have_a_number_are_kept_all_the_same() {
        let mut states = States::default();
        for number in 0..=256 {
            let lease = Lease { origin: number.to_string().into(), ..plain() };
            let state = SideState { leases: smallvec![lease], fence: None };
            let packed = states.pack(state.clone());
            assert_eq!(states.unpack(&packed), state);
            assert_eq!(matches!(packed, State::Plain { .. }), number < 256);
        }
    }
}
