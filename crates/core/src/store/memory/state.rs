//! What is known of a side, in as few bytes as it takes.

use std::time::Duration;

use slab::Slab;
use smallvec::smallvec;

use crate::conversation::Name;
use crate::lease::{Claim, Lease, SideState};
use crate::signal::Source;
use crate::time::Time;

/// The state of a side, as it is kept, in 13 bytes that lie anywhere.
#[derive(Clone, Copy)]
pub(super) struct State {
    times: [u8; 8],
    untold: [u8; 2],
    guard: [u8; 2],
    origin: u8,
}

/// The same, to be looked at.
enum Kept {
    Plain(Plain),
    /// Anything else, at a place of its own.
    Whole(usize),
}

/// One lease that one call keeps up, of nobody in particular, without a fence: what most sides have. In whole
/// milliseconds.
struct Plain {
    /// Its start: 40 bits, which are 34 years.
    started_at: u64,
    /// From its start to its end: 24 bits, which are four hours and a half.
    lasts: u64,
    /// From the end that was told to its end.
    untold: u16,
    guard: u16,
    origin: u8,
}

const START: u32 = 40;

/// No door has this number: what is kept whole.
const WHOLE: u8 = u8::MAX;

impl State {
    pub(super) const NOTHING: Self = Self { times: [0; 8], untold: [0; 2], guard: [0; 2], origin: WHOLE };

    fn plain(plain: &Plain) -> Option<Self> {
        let fits = plain.started_at >> START == 0 && plain.lasts >> (u64::BITS - START) == 0;
        fits.then(|| Self {
            times: (plain.started_at | plain.lasts << START).to_le_bytes(),
            untold: plain.untold.to_le_bytes(),
            guard: plain.guard.to_le_bytes(),
            origin: plain.origin,
        })
    }

    fn whole(at: usize) -> Self {
        Self { times: (at as u64).to_le_bytes(), ..Self::NOTHING }
    }

    fn kept(self) -> Kept {
        let times = u64::from_le_bytes(self.times);
        if self.origin == WHOLE {
            return Kept::Whole(times as usize);
        }
        Kept::Plain(Plain {
            started_at: times % (1 << START),
            lasts: times >> START,
            untold: u16::from_le_bytes(self.untold),
            guard: u16::from_le_bytes(self.guard),
            origin: self.origin,
        })
    }
}

impl Plain {
    fn announced_until(&self) -> Time {
        Time::from_millis((self.started_at + self.lasts).saturating_sub(self.untold.into()))
    }

    fn until(&self) -> Time {
        Time::from_millis(self.started_at + self.lasts)
    }

    fn guard(&self) -> Duration {
        Duration::from_millis(self.guard.into())
    }
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
        // Nearly always it is the first.
        if self.0.first() == Some(name) {
            return Some(0);
        }
        let known = self.0.iter().position(|known| known == name);
        let number = u8::try_from(known.unwrap_or(self.0.len())).ok().filter(|&number| number != WHOLE)?;
        if known.is_none() {
            self.0.push(name.clone());
        }
        Some(number)
    }
}

impl States {
    /// As it is kept. What does not fit is taken away from where it was.
    pub(super) fn pack(&mut self, state: &mut SideState) -> State {
        self.plain(state).unwrap_or_else(|| State::whole(self.wholes.insert(std::mem::take(state))))
    }

    /// As it was packed.
    pub(super) fn unpack(&self, state: State) -> SideState {
        match state.kept() {
            Kept::Plain(plain) => {
                let lease = Lease {
                    participant: None,
                    name: None,
                    started_at: Time::from_millis(plain.started_at),
                    announced_until: plain.announced_until(),
                    guard: plain.guard(),
                    turn: None,
                    origin: self.origins.0[usize::from(plain.origin)].clone(),
                    claims: smallvec![Claim { source: Source::OneShot, until: plain.until() }],
                };
                SideState { leases: smallvec![lease], fence: None }
            }
            Kept::Whole(at) => self.wholes[at].clone(),
        }
    }

    /// When it must be looked at next.
    pub(super) fn deadline(&self, state: State) -> Option<Time> {
        match state.kept() {
            Kept::Plain(plain) if plain.untold > 0 => Some(plain.announced_until().before(plain.guard())),
            Kept::Plain(plain) => Some(plain.until()),
            Kept::Whole(at) => self.wholes[at].deadline(),
        }
    }

    /// Whether somebody composes, or did when it was looked at last.
    pub(super) fn has_leases(&self, state: State) -> bool {
        match state.kept() {
            Kept::Plain(_) => true,
            Kept::Whole(at) => !self.wholes[at].leases.is_empty(),
        }
    }

    pub(super) fn forget(&mut self, state: State) {
        if let Kept::Whole(at) = state.kept() {
            self.wholes.remove(at);
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
        State::plain(&Plain {
            started_at,
            lasts: until.checked_sub(started_at)?,
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
    fn what_most_sides_have_takes_13_bytes_and_everything_comes_back_as_it_was() {
        assert_eq!(size_of::<State>(), 13);
        let far = Time::from_millis(u64::from(u32::MAX) + 1_001);
        let never = Time::from_millis(1 << 40);
        let mut states = States::default();
        let mut is_plain = |lease: &Lease, fence: Option<Fence>| {
            let state = SideState { leases: smallvec![lease.clone()], fence: fence.map(Box::new) };
            let packed = states.pack(&mut state.clone());
            assert_eq!(states.unpack(packed), state);
            assert_eq!(states.deadline(packed), state.deadline());
            matches!(packed.kept(), Kept::Plain(_))
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
            let packed = states.pack(&mut state.clone());
            assert_eq!(states.unpack(packed), state);
            assert_eq!(matches!(packed.kept(), Kept::Plain(_)), number < 255);
        }
    }
}
