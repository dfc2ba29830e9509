//! The command line.

use std::process::{Command, Output};

fn typingd_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_typingd-sim")).args(arguments).output().unwrap()
}

#[test]
fn an_unknown_flag_is_refused() {
    for arguments in [&["--sed", "1"][..], &["--seed"], &["--mutant", "none-such"], &["--seeds", "x"]] {
        assert_eq!(typingd_sim(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_seed_is_replayed_with_its_trace() {
    let output = typingd_sim(&["--seed", "8"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("n0 is there"));
}

#[test]
fn a_failure_says_what_when_and_how_to_replay_it() {
    let output = typingd_sim(&["--seed", "0", "--mutant", "early-sweep"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("nothing expires early") && said.contains(" ms: "), "{said}");
    assert!(said.contains("--seed 0 --mutant early-sweep"), "{said}");
}
