//! `SIGHUP`: the real program reads its file again, and nobody is lost by it.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{Events, Wire, post};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, serving what a file of its own says.
pub struct Serve {
    program: Child,
    log: Lines<BufReader<ChildStderr>>,
    pub address: String,
    directory: PathBuf,
}

impl Serve {
    /// Starts it on a free port. `name` is nobody else's; `text` is the file without its listeners.
    pub async fn start(name: &str, listen: &str, text: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("typingd-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let listeners =
            format!("[listen]\naddress = \"127.0.0.1:0\"\n{listen}[operators]\naddress = \"127.0.0.1:0\"\n");
        fs::write(directory.join("typingd.toml"), listeners + text).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_typingd"))
            .args(["serve", "--log", "trace", "--log-format", "json", "--config"])
            .arg(directory.join("typingd.toml"))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(program.stderr.take().unwrap()).lines();
        let mut serve = Self { program, log, address: String::new(), directory };
        let serving = serve.logged(&["serving"]).await;
        serve.address = serving["address"].as_str().unwrap().to_owned();
        serve
    }

    /// Changes the file, from its first tenant on.
    pub fn write_tenants(&self, tenants: &str) {
        let path = self.directory.join("typingd.toml");
        let text = fs::read_to_string(&path).unwrap();
        let (rest, _) = text.split_once("[[tenants]]").unwrap();
        fs::write(path, format!("{rest}{tenants}")).unwrap();
    }

    /// Waits for a line of the log that says one of these.
    pub async fn logged(&mut self, messages: &[&str]) -> Value {
        let find = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                let line: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if line["message"].as_str().is_some_and(|message| messages.contains(&message)) {
                    return line;
                }
            }
            panic!("the log ended before {messages:?}");
        };
        timeout(PATIENCE, find).await.unwrap_or_else(|_| panic!("{messages:?} was not logged in time"))
    }

    async fn signal(&self, signal: &str) {
        let id = self.program.id().expect("it runs").to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
    }

    /// Has it read its file again; says what it logged.
    pub async fn reload(&mut self) -> Value {
        self.signal("-HUP").await;
        self.logged(&["the tenants were read again", "the configuration stays as it was"]).await
    }

    pub async fn connect(&self) -> Wire<TcpStream> {
        Wire::new(TcpStream::connect(&self.address).await.unwrap())
    }

    /// Ends it, and waits until it has gone.
    pub async fn stop(mut self) {
        self.signal("-TERM").await;
        let (program, log) = (&mut self.program, &mut self.log);
        let end = async {
            while log.next_line().await.unwrap().is_some() {}
            program.wait().await.unwrap()
        };
        assert!(timeout(PATIENCE, end).await.unwrap().success());
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A tenant that has these keys, at the native API and at Pinnacle's door alike.
fn tenant(name: &str, keys: &[&str]) -> String {
    let door: Vec<String> = keys.iter().map(|key| format!("pinnacle-{key}")).collect();
    format!(
        "[[tenants]]\nname = \"{name}\"\napi_keys = {keys:?}\n\
         [[tenants.pinnacle]]\napi_keys = {door:?}\nagents = [\"agent_{name}\"]\n"
    )
}

fn typing(key: &str, user: &str) -> Vec<u8> {
    let body = format!(r#"{{"agentId":"agent_acme","to":"{user}"}}"#);
    post("/messages/send/typing", &format!("PINNACLE-API-KEY: pinnacle-{key}\r\n"), &body)
}

fn message(key: &str, user: &str) -> Vec<u8> {
    let body = format!(r#"{{"from":"agent_acme","to":"{user}","text":"hello"}}"#);
    post("/messages/send/rcs", &format!("PINNACLE-API-KEY: pinnacle-{key}\r\n"), &body)
}

/// What typing is answered by, and that it was told.
async fn types(serve: &Serve, key: &str, events: &mut Events<TcpStream>) {
    let mut wire = serve.connect().await;
    assert_eq!(wire.exchange(&typing(key, "+14155550001")).await.decision(), "started", "{key}");
    assert_eq!(wire.exchange(&message(key, "+14155550001")).await.decision(), "ended", "{key}");
    assert_eq!(events.whats(2).await, ["started", "stopped sent"], "{key}");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_a_good_one_ends_no_stream() {
    let (acme, globex) = (tenant("acme", &["old"]), tenant("globex", &["other"]));
    let mut serve = Serve::start("reload-bad", "", &format!("{acme}{globex}")).await;
    let mut events = serve.connect().await.stream("", "old").await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    types(&serve, "old", &mut events).await;

    let secret = "a-secret-in-the-wrong-place";
    for (what, tenants, key, line) in [
        ("no TOML", format!("{acme}]]"), "the file", "line 11"),
        (
            "a key that is not known",
            format!("{acme}agent = \"x\"\n"),
            "tenants[0].pinnacle[0].agent",
            "line 11",
        ),
        ("another type", acme.replace("[\"old\"]", "7"), "tenants[0].api_keys", "line 7"),
        (
            "an agent claimed twice",
            format!("{acme}{}", globex.replace("agent_globex", "agent_*")),
            "tenants[1].pinnacle[0]",
            "line 14",
        ),
        (
            "a key claimed twice",
            format!("{acme}{}", globex.replace("\"other\"]\n[[", "\"old\"]\n[[")),
            "tenants[1].api_keys",
            "line 13",
        ),
        (
            "a variable that is not set",
            acme.replace("\"old\"", "\"env:TYPINGD_TEST_NOT_SET\""),
            "tenants[0].api_keys[0]",
            "line 7",
        ),
        (
            "a secret for a number",
            format!("{acme}ttl_ms = \"{secret}\"\n"),
            "tenants[0].pinnacle[0].ttl_ms",
            "line 11",
        ),
    ] {
        serve.write_tenants(&tenants);
        let logged = serve.reload().await;
        assert_eq!(
            (&logged["message"], &logged["level"]),
            (&"the configuration stays as it was".into(), &"ERROR".into()),
            "{what}"
        );
        let error = logged["error"].as_str().unwrap();
        assert!(error.contains(&format!("{line}, {key}: ")), "{what}: {error}");
        assert!(error.contains("typingd.toml") && !error.contains(secret), "{what}: {error}");
        types(&serve, "old", &mut events).await;
    }

    serve.write_tenants(&format!("{}{globex}", tenant("acme", &["old", "new"])));
    assert_eq!(serve.reload().await["message"], "the tenants were read again");
    types(&serve, "old", &mut events).await;
    types(&serve, "new", &mut events).await;

    serve.write_tenants(&format!("{}{globex}", tenant("acme", &["new"])));
    let mut by_new = serve.connect().await.stream("", "new").await;
    assert_eq!(by_new.whats(1).await, ["snapshot"]);
    assert_eq!(serve.reload().await["message"], "the tenants were read again");
    assert_eq!(events.whats(1).await, ["closed revoked"]);
    assert!(events.next().await.is_none());
    types(&serve, "new", &mut by_new).await;
    assert_eq!(serve.connect().await.exchange(&typing("old", "+14155550001")).await.status, 401);
    serve.stop().await;
}

/// Exchanges until it is told to stop: on a connection that stays, and each round on a new one too. Says how often.
async fn exchange_until(address: String, user: String, stop: CancellationToken) -> usize {
    let connect = async || Wire::new(TcpStream::connect(&address).await.unwrap());
    let mut kept = connect().await;
    let mut rounds = 0;
    while !stop.is_cancelled() {
        let started = kept.exchange(&typing("old", &user)).await;
        assert_eq!(
            (started.status, started.decision()),
            (200, "started"),
            "round {rounds}: {}",
            started.body
        );
        let ended = connect().await.exchange(&message("old", &user)).await;
        assert_eq!((ended.status, ended.decision()), (200, "ended"), "round {rounds}: {}", ended.body);
        rounds += 1;
    }
    rounds
}

#[tokio::test]
async fn no_exchange_and_no_event_is_lost_while_it_reloads() {
    let acme = tenant("acme", &["old"]);
    let mut serve = Serve::start("reload-busy", "", &acme).await;
    let mut events = serve.connect().await.stream("", "old").await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..4)
        .map(|n| tokio::spawn(exchange_until(serve.address.clone(), format!("+1415555000{n}"), stop.clone())))
        .collect();
    let counting = tokio::spawn(async move {
        let mut counts = [0, 0];
        loop {
            match events.next().await.expect("the stream goes on").what().as_str() {
                "started" => counts[0] += 1,
                "stopped sent" => counts[1] += 1,
                "stopped paused" => return counts,
                other => panic!("{other}"),
            }
        }
    });
    for round in 0..20 {
        // Each time it is another tenancy, in which `acme` has what it had.
        let others: String =
            (0..=round % 3).map(|n| tenant(&format!("other{n}"), &[&format!("{round}-{n}")])).collect();
        serve.write_tenants(&format!("{others}{acme}"));
        assert_eq!(serve.reload().await["message"], "the tenants were read again", "{round}");
        // It is busy all the while, however few processors there are.
        let mut wire = serve.connect().await;
        assert_eq!(wire.exchange(&typing("old", "+14155550009")).await.decision(), "started", "{round}");
        assert_eq!(wire.exchange(&message("old", "+14155550009")).await.decision(), "ended", "{round}");
    }
    stop.cancel();
    let mut rounds = 20;
    for worker in workers {
        rounds += worker.await.unwrap();
    }
    // Something that nothing else looks like ends the count.
    let signal = |state: &str| {
        let body = format!(
            r#"{{"channel":"pinnacle","agent":"last","user":"+14155550001","composer":"agent","state":"{state}"}}"#
        );
        post("/typing/v1/signals", "Authorization: Bearer old\r\n", &body)
    };
    let mut wire = serve.connect().await;
    assert_eq!(wire.exchange(&signal("composing")).await.decision(), "started");
    assert_eq!(wire.exchange(&signal("paused")).await.decision(), "ended");
    assert_eq!(counting.await.unwrap(), [rounds + 1, rounds], "every one was told");
    println!("{} exchanges during 20 reloads", 2 * rounds);
    serve.stop().await;
}

/// The first thing that happens to it may be a reload.
#[tokio::test]
async fn a_reload_right_after_the_start_is_no_end() {
    for round in 0..5 {
        let mut serve = Serve::start(&format!("reload-early-{round}"), "", &tenant("acme", &["old"])).await;
        assert_eq!(serve.reload().await["message"], "the tenants were read again");
        serve.stop().await;
    }
}
