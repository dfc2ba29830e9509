//! A run is the same each time, and finds what is wrong.

use typingd_sim::{Mutant, run};

/// In so many seeds every deliberate fault must be found.
const SEEDS: u64 = 20;

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 8, 11] {
        let (one, other) = (run(seed, None, true), run(seed, None, true));
        assert!(!one.trace.is_empty());
        assert_eq!(one.trace, other.trace, "seed {seed}");
        assert_eq!(one.steps, other.steps);
    }
}

#[test]
fn all_holds_where_nothing_is_wrong() {
    for seed in 0..SEEDS {
        let report = run(seed, None, false);
        assert!(report.violation.is_none(), "seed {seed}: {:?}", report.violation);
    }
}

#[test]
fn every_deliberate_fault_is_found() {
    let sound: Vec<u64> = (0..SEEDS).filter(|seed| run(*seed, None, false).violation.is_none()).collect();
    for mutant in Mutant::ALL {
        let found = sound.iter().find(|seed| run(**seed, Some(mutant), false).violation.is_some());
        assert!(found.is_some(), "{} is not found", mutant.as_str());
    }
}
