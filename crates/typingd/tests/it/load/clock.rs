//! The wall clock is set, by hours, while a lease lives.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpStream;
use typingd::clock::Clock;

use super::client::watch;
use super::program::{Program, Setup, alone};
use crate::support::{Wire, signal};

const TYPING: &str = r#"{"channel":"pinnacle","agent":"agent","user":"+14155550123","composer":"agent","state":"composing","ttl_ms":1000}"#;

/// What sets the clock of a single program.
fn faketime() -> PathBuf {
    let libraries = fs::read_dir("/usr/lib").unwrap();
    libraries
        .map(|directory| directory.unwrap().path().join("faketime/libfaketime.so.1"))
        .find(|library| library.exists())
        .expect("the clock cannot be set: install faketime, or run ./test, which does")
}

#[tokio::test]
async fn a_lease_is_as_long_whatever_the_wall_clock_says() {
    let _turn = alone().await;
    let offset = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("offset-{}", std::process::id()));
    fs::write(&offset, "+0").unwrap();
    let first = format!(
        "export LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1",
        faketime().display(),
        offset.display()
    );
    let program = Program::start(Setup { name: "clock", first: &first, ..Setup::default() }).await;
    fs::write(&program.config, "[nothing]").unwrap();
    let mut events = watch(program.address, "").await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    let mut wire = Wire::new(TcpStream::connect(program.address).await.unwrap());
    let mut last = 0;
    for (reload, hours) in [(1.0, "+0h"), (2.0, "+5h"), (3.0, "-7h"), (4.0, "+1h")] {
        let clock = Clock::start();
        assert_eq!(wire.exchange(&signal(TYPING)).await.decision(), "started");
        fs::write(&offset, hours).unwrap();
        // What it says about a bad file says what it takes for the time.
        program.signal("HUP").await;
        program.wait_for("typingd_reloads_total", reload).await;
        let mut ids = Vec::new();
        for what in ["started", "stopped expired"] {
            let event = events.next().await.unwrap();
            assert_eq!(event.what(), what, "{hours}");
            ids.push(event.id.rsplit('-').next().unwrap().parse::<u64>().unwrap());
        }
        let took = clock.elapsed();
        println!("wall clock set to {hours}: a lease of a second took {took:?}");
        assert!(Duration::from_millis(990) < took && took < Duration::from_secs(3), "{hours}: {took:?}");
        assert_eq!(ids, [last + 1, last + 2], "{hours}");
        last += 2;
    }
    let said = program.said();
    let mut times: Vec<&str> = said.lines().filter_map(|line| line.get(..13)).collect();
    times.sort_unstable();
    times.dedup();
    assert!(times.len() >= 4, "its wall clock was set: {said}");
    let _ = fs::remove_file(offset);
}
