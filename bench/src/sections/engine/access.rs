//! What it costs to fetch something from memory that is in no cache.

use std::hint::black_box;

use super::population::next;
use crate::cpu;

/// As much as a million leases take, with all that belongs to them.
const PLACES: usize = 80 << 20 >> 3;

const STEPS: u32 = 1_000_000;

/// Nanoseconds of one access, on whose outcome the place of the next one depends.
pub(super) fn random() -> f64 {
    // One ring through all places, in a random order (Sattolo).
    let mut ring: Vec<u64> = (0..PLACES as u64).collect();
    let mut random = 1;
    for at in (1..PLACES).rev() {
        ring.swap(at, (next(&mut random) % at as u64) as usize);
    }
    let began = cpu::of_this_thread();
    let mut place = 0;
    for _ in 0..STEPS {
        place = ring[place as usize];
    }
    black_box(place);
    (cpu::of_this_thread() - began).as_secs_f64() * 1e9 / f64::from(STEPS)
}
