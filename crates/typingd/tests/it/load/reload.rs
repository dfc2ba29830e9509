//! Told to read its configuration again, a hundred times, while everybody is there.

use std::fs;
use std::time::Duration;

use typingd::clock::Clock;

use super::client::{Posters, watch_all};
use super::program::{Program, Setup, alone};

const RELOADS: usize = 100;
const ANOTHER: &str = "\n[[tenants]]\nname = \"globex\"\napi_keys = [\"globex-key\"]\n";
const WRONG: &str = "\n[[tenants]]\nname = \"globex\"\napi_kyes = []\n";

#[tokio::test]
async fn reloads_under_load_are_noticed_by_nobody() {
    let _turn = alone().await;
    let program = Program::start(Setup { name: "reload", ..Setup::default() }).await;
    let text = fs::read_to_string(&program.config).unwrap();
    let streams = watch_all(program.address, 200, "?agent=watched").await;
    let posters = Posters::start(program.address, 32, "busy", Duration::ZERO);
    let clock = Clock::start();
    for reload in 1..=RELOADS {
        // Every other time there is another tenant, and every tenth time a mistake.
        let more = match reload {
            _ if reload % 10 == 0 => WRONG,
            _ if reload % 2 == 0 => ANOTHER,
            _ => "",
        };
        fs::write(&program.config, format!("{text}{more}")).unwrap();
        program.signal("HUP").await;
        program.wait_for("typingd_reloads_total", reload as f64).await;
    }
    let took = clock.elapsed();
    let seen = posters.stop().await;
    println!("{RELOADS} reloads in {took:?}; answers meanwhile: {:?}", seen.statuses);
    assert_eq!((seen.statuses.len(), seen.statuses.contains_key(&200)), (1, true), "{:?}", seen.statuses);
    assert_eq!((seen.unanswered, seen.halved, seen.connections), (0, 0, 32), "on connections that were kept");
    assert_eq!(program.times_said("api_kyes"), RELOADS / 10, "{}", program.said());
    let line = text.lines().count() + WRONG.lines().count();
    assert!(program.said().contains(&format!("line {line}, ")), "{}", program.said());

    assert_eq!(program.metric("typingd_subscribers").await as usize, streams.len());
    program.signal("TERM").await;
    for mut events in streams {
        assert_eq!(events.whats(1).await, ["closed draining"], "each stream is the one that it was");
    }
}
