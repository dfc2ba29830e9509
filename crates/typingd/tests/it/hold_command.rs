//! `typingd hold -- COMMAND`: the real program, with real commands, against a gateway on a real socket.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use typingd::config::TlsFiles;

use crate::reload::Serve;
use crate::support::{Answer, Events, OnSocket, config, pinnacle_message, pinnacle_typing, signal};
use crate::tls::Directory;

const USER: &str = "+14155550123";
const KEY: &str = "acme-key";

/// Longer than anything here takes, and shorter than a hold lasts by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than the program waits before its first new try.
const A_WHILE: Duration = Duration::from_millis(1_500);

/// Ignores no signal, whoever runs the tests.
const UNIGNORED: [&str; 2] = ["/usr/bin/env", "--default-signal=INT,TERM,HUP"];

/// `typingd hold` with its environment, which is all it needs; out of the terminal's foreground.
fn hold(url: &str) -> Command {
    let [env, unignored] = UNIGNORED;
    let mut hold = Command::new(env);
    hold.args([unignored, env!("CARGO_BIN_EXE_typingd"), "hold"])
        .env("TYPINGD_URL", url)
        .env("TYPINGD_API_KEY", KEY);
    hold.env("TYPINGD_CHANNEL", "pinnacle").env("TYPINGD_AGENT", "agent_pinnacle").env("TYPINGD_USER", USER);
    hold.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    hold.process_group(0).kill_on_drop(true);
    hold
}

fn url(gateway: &OnSocket) -> String {
    format!("http://{}", gateway.address)
}

/// A gateway, and the stream of `acme`, whose snapshot is read.
async fn start() -> (OnSocket, Events<TcpStream>) {
    let gateway = OnSocket::start(config(Duration::from_secs(20))).await;
    let events = watch(&gateway).await;
    (gateway, events)
}

async fn watch(gateway: &OnSocket) -> Events<TcpStream> {
    let mut events = gateway.connect().await.stream("", KEY).await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    events
}

/// The next changes, before a hold would have ended by itself.
async fn whats(events: &mut Events<TcpStream>, count: usize) -> Vec<String> {
    timeout(PATIENCE, events.whats(count)).await.expect("changes, in time")
}

async fn output(hold: &mut Command) -> Output {
    timeout(PATIENCE, hold.output()).await.expect("its end, in time").unwrap()
}

/// A command that runs, and whom its standard input and output belong to.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(hold: &mut Command) -> Self {
        let mut child = hold.stdin(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take(), lines, child }
    }

    /// Runs this in a shell.
    fn bash(hold: &mut Command, script: &str) -> Self {
        Self::start(hold.args(["--", "bash", "-c", script]))
    }

    async fn say(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn line(&mut self) -> String {
        timeout(PATIENCE, self.lines.next_line()).await.expect("a line, in time").unwrap().expect("a line")
    }

    async fn signal(&self, name: &str) {
        kill(name, self.child.id().unwrap()).await;
    }

    /// Ends its standard input; its exit code, and what it said on standard error.
    async fn end(mut self) -> (Option<i32>, String) {
        drop(self.input.take());
        self.exit().await
    }

    /// The same, with its standard input left open.
    async fn exit(mut self) -> (Option<i32>, String) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("its end, in time").unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        (status.code(), said)
    }
}

async fn kill(name: &str, id: u32) {
    let kill = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().await;
    assert!(kill.unwrap().success());
}

/// One line, of `typingd hold`'s own, that names nobody.
fn assert_is_a_warning(said: &str, of: &str) {
    assert!(
        said.starts_with("typingd hold: ") && said.ends_with('\n') && said.lines().count() == 1,
        "{said}"
    );
    assert!(said.contains(of), "{said}");
    assert!(!said.contains(KEY) && !said.contains("4155550123"), "{said}");
}

#[tokio::test]
async fn the_exit_code_is_the_commands_as_shells_have_it() {
    let (gateway, _events) = start().await;
    for (command, code) in [
        (vec!["true"], 0),
        (vec!["bash", "-c", "exit 7"], 7),
        (vec!["bash", "-c", "kill -TERM $$"], 143),
        (vec!["bash", "-c", "kill -KILL $$"], 137),
    ] {
        let output = output(hold(&url(&gateway)).arg("--").args(&command)).await;
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(code), &b""[..]), "{command:?}");
    }
    for (program, code) in [("/nowhere/nothing", 127), ("/etc/passwd", 126)] {
        let output = output(hold(&url(&gateway)).args(["--", program])).await;
        assert_eq!(output.status.code(), Some(code), "{program}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_is_a_warning(&said, program);
    }
}

#[tokio::test]
async fn dots_show_while_the_command_runs_and_it_has_its_input_and_output() {
    let (gateway, mut events) = start().await;
    let mut running = Running::start(hold(&url(&gateway)).args(["--", "cat"]));
    assert_eq!(whats(&mut events, 1).await, ["started"]);
    running.say("hello").await;
    assert_eq!(running.line().await, "hello");
    assert_eq!(running.end().await, (Some(0), String::new()));
    assert_eq!(whats(&mut events, 1).await, ["stopped paused"]);
}

#[tokio::test]
async fn how_the_hold_ends_follows_how_the_command_does() {
    let (gateway, mut events) = start().await;
    for (on_success, code, told) in [
        ("sent", 0, "stopped sent"),
        ("sent", 1, "stopped paused"),
        ("nothing_to_say", 0, "stopped paused"),
        ("paused", 0, "stopped paused"),
    ] {
        let script = format!("read -r; exit {code}");
        let running = Running::bash(hold(&url(&gateway)).args(["--on-success", on_success]), &script);
        assert_eq!(whats(&mut events, 1).await, ["started"]);
        assert_eq!(running.end().await, (Some(code), String::new()));
        assert_eq!(whats(&mut events, 1).await, [told], "{on_success}, {code}");
    }
}

#[tokio::test]
async fn killed_it_leaves_no_dots_and_the_command_goes_on() {
    let (gateway, mut events) = start().await;
    let mut running = Running::bash(&mut hold(&url(&gateway)), "read -r line; echo went on after $line");
    assert_eq!(whats(&mut events, 1).await, ["started"]);
    streams(&gateway, 2).await;
    running.signal("KILL").await;
    let stopped = timeout(Duration::from_secs(1), events.whats(1)).await;
    assert_eq!(stopped.expect("within a second"), ["stopped revoked"]);
    running.say("that").await;
    assert_eq!(running.line().await, "went on after that");
}

/// Waits until so many streams are open, of which one watches and the others hold.
async fn streams(gateway: &OnSocket, count: i64) {
    until(|| gateway.gateway.metrics.subscribers.get() == count).await;
}

async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it, in time");
}

/// Nothing starts for longer than it takes to try again: what starts next is somebody else's.
async fn nothing_comes_back(gateway: &OnSocket, events: &mut Events<TcpStream>) {
    sleep(A_WHILE).await;
    let marker = json!({"channel": "pinnacle", "agent": "agent_other", "user": USER, "composer": "user", "state": "composing"});
    gateway.exchange(&signal(&marker.to_string())).await;
    let next = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    assert_eq!((next.what().as_str(), &next.data["agent"]), ("started", &json!("agent_other")));
}

#[tokio::test]
async fn signals_are_passed_on_each_time_and_the_end_is_waited_for() {
    let (gateway, mut events) = start().await;
    for name in ["INT", "TERM", "HUP"] {
        let script = format!("trap 'echo caught' {name}; echo ready; read -r; exit 3");
        let mut running = Running::bash(&mut hold(&url(&gateway)), &script);
        assert_eq!(whats(&mut events, 1).await, ["started"]);
        assert_eq!(running.line().await, "ready");
        for _ in 0..2 {
            running.signal(name).await;
            assert_eq!(running.line().await, "caught", "{name}");
        }
        running.say("").await;
        assert_eq!(running.end().await, (Some(3), String::new()));
        assert_eq!(whats(&mut events, 1).await, ["stopped paused"]);
        let running = Running::start(hold(&url(&gateway)).args(["--", "cat"]));
        assert_eq!(whats(&mut events, 1).await, ["started"]);
        running.signal(name).await;
        let (code, _) = running.exit().await;
        let number = match name {
            "INT" => 2,
            "HUP" => 1,
            _ => 15,
        };
        assert_eq!(code, Some(128 + number), "{name}");
        assert_eq!(whats(&mut events, 1).await, ["stopped paused"]);
    }
}

#[tokio::test]
async fn what_is_ignored_at_the_start_stays_ignored() {
    let (gateway, mut events) = start().await;
    let mut hold = hold(&url(&gateway));
    let mut shell = Command::new("bash");
    let script =
        "trap '' HUP; exec \"$0\" hold -- bash -c 'trap \"echo caught\" TERM; echo ready; read -r; exit 0'";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_typingd")]);
    shell.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    shell.envs(hold.as_std_mut().get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut running = Running::start(&mut shell);
    assert_eq!(whats(&mut events, 1).await, ["started"]);
    assert_eq!(running.line().await, "ready");
    // Both would be passed on, in this order.
    running.signal("HUP").await;
    running.signal("TERM").await;
    assert_eq!(running.line().await, "caught");
    assert_eq!(running.end().await, (Some(0), String::new()));
}

/// A terminal's ctrl-c goes to the whole process group: the command has it already.
#[tokio::test]
async fn at_a_terminal_ctrl_c_reaches_the_command_once() {
    let (gateway, mut events) = start().await;
    let mut hold = hold(&url(&gateway));
    let mut terminal = Command::new("script");
    let (unignored, program) = (UNIGNORED.join(" "), env!("CARGO_BIN_EXE_typingd"));
    // A terminal throws away at Ctrl-C what is on its way through it, and bash a signal that comes while its trap
    // runs: so nothing is kept back there, and what is said of a signal is said after its trap. The shell that
    // `script` starts would hear the signals, too, and not every shell waits for its command then.
    let count = "stty noflsh; n=0 said=0; trap 'n=$((n+1))' INT; echo ready; \
        until read -rt 0.1 line; do \
            [ $? -gt 128 ] || exit 9; [ $n = $said ] || { said=$n; echo caught $n; }; \
        done; echo $n in all; exit 5";
    terminal
        .args(["-qefc", &format!("exec {unignored} '{program}' hold -- bash -c \"$COUNT\""), "/dev/null"])
        .env("COUNT", count);
    terminal.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    terminal.envs(hold.as_std_mut().get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut running = Running::start(&mut terminal);
    assert_eq!(whats(&mut events, 1).await, ["started"]);
    let next = async |running: &mut Running| running.line().await.trim().trim_start_matches("^C").to_owned();
    assert_eq!(next(&mut running).await, "ready");
    for times in 1..=5 {
        running.input.as_mut().unwrap().write_all(b"\x03").await.unwrap();
        assert_eq!(next(&mut running).await, format!("caught {times}"));
    }
    running.say("done").await;
    // The terminal shows what is typed.
    assert_eq!([next(&mut running).await, next(&mut running).await], ["done", "5 in all"]);
    let status = timeout(PATIENCE, running.child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(5));
    assert_eq!(whats(&mut events, 1).await, ["stopped paused"]);
}

#[tokio::test]
async fn without_a_gateway_the_command_runs_all_the_same() {
    // Nobody listens on the first; the second takes connections and never answers; the third is somebody else.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let (gateway, _events) = start().await;
    for (url, why) in [
        ("http://127.0.0.1:1", "the gateway cannot be reached"),
        (&silent_url, "the gateway did not answer in time"),
        (&format!("{}/elsewhere", url(&gateway)), "the gateway answers 404: "),
    ] {
        let output =
            output(hold(url).args(["--on-success", "sent", "--", "bash", "-c", "echo ran; exit 7"])).await;
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"ran\n"[..]), "{why}");
        assert_is_a_warning(&String::from_utf8(output.stderr).unwrap(), why);
    }
}

#[tokio::test]
async fn over_tls_it_trusts_whom_the_system_trusts() {
    let directory = Directory::new("hold-tls");
    directory.renew(1_000).await;
    let TlsFiles { certificate, key } = directory.files();
    let listen = format!("certificate = {certificate:?}\nkey = {key:?}\n");
    let tenants = r#"
[[tenants]]
name = "acme"
api_keys = ["acme-key"]
[[tenants.pinnacle]]
api_keys = ["test_key"]
agents = ["agent_pinnacle"]
"#;
    let serve = Serve::start("hold-tls-serve", &listen, tenants).await;
    let mut hold = hold(&format!("https://{}", serve.address));
    hold.args(["--", "bash", "-c", "exit 7"]);
    let distrustful = output(&mut hold).await;
    assert_eq!(distrustful.status.code(), Some(7));
    assert_is_a_warning(&String::from_utf8(distrustful.stderr).unwrap(), "cannot be reached");
    let trustful = output(hold.env("SSL_CERT_FILE", &certificate)).await;
    assert_eq!((trustful.status.code(), trustful.stderr.as_slice()), (Some(7), &b""[..]));
    serve.stop().await;
}

#[tokio::test]
async fn what_the_gateway_refuses_is_said_and_the_command_runs() {
    let (gateway, _events) = start().await;
    for (variable, value, why) in [
        ("TYPINGD_API_KEY", "wrong-acme-key", "401"),
        ("TYPINGD_API_KEY", "no\nacme-key", "no dots"),
        ("TYPINGD_CHANNEL", "sms", "channel"),
        ("TYPINGD_USER", "Ada +14155550123", "user"),
        ("TYPINGD_NOTE", &"x".repeat(201), "note"),
    ] {
        let mut hold = hold(&url(&gateway));
        let output = output(hold.env(variable, value).args(["--", "bash", "-c", "echo ran; exit 7"])).await;
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(7), &b"ran\n"[..]), "{variable}");
        assert_is_a_warning(&String::from_utf8(output.stderr).unwrap(), why);
    }
}

#[tokio::test]
async fn a_restarted_gateway_gets_a_new_hold() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let again = || TcpListener::from_std(listener.try_clone().unwrap()).unwrap();
    let gateway = OnSocket::on(again(), config(Duration::from_secs(20)));
    let mut events = watch(&gateway).await;
    let running = Running::start(hold(&url(&gateway)).args(["--max-ms", "600000", "--", "cat"]));
    assert_eq!(whats(&mut events, 1).await, ["started"]);
    streams(&gateway, 2).await;
    gateway.stop().await;
    assert_eq!(whats(&mut events, 2).await, ["stopped revoked", "closed draining"]);
    let gateway = OnSocket::on(again(), config(Duration::from_secs(20)));
    let mut events = gateway.connect().await.stream("", KEY).await;
    if events.next().await.unwrap().data["leases"] == json!([]) {
        assert_eq!(whats(&mut events, 1).await, ["started"]);
    }
    let left = explain(&gateway).await.json()["holds"][0]["max_remaining_ms"].as_u64().unwrap();
    assert!((500_000..600_000).contains(&left), "{left}: the rest of the first one's");
    assert_eq!(running.end().await.0, Some(0));
    assert_eq!(whats(&mut events, 1).await, ["stopped paused"]);
}

/// Where a gateway is to be found, with all connections to it cut whenever that is wished for.
async fn cuttable(gateway: &OnSocket) -> (String, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, to) = (format!("http://{}", listener.local_addr().unwrap()), gateway.address);
    let (cut, mut is_cut) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let mut connections = JoinSet::new();
            let serve = async {
                loop {
                    let (mut from, _) = listener.accept().await.unwrap();
                    let mut to = TcpStream::connect(to).await.unwrap();
                    connections.spawn(async move { copy_bidirectional(&mut from, &mut to).await });
                }
            };
            tokio::select! {
                () = serve => {}
                _ = is_cut.recv() => {}
            }
        }
    });
    (url, cut)
}

#[tokio::test]
async fn a_lost_connection_gets_a_new_hold() {
    let (gateway, mut events) = start().await;
    let (url, cut) = cuttable(&gateway).await;
    let running = Running::start(hold(&url).args(["--", "cat"]));
    assert_eq!(whats(&mut events, 1).await, ["started"]);
    for _ in 0..2 {
        streams(&gateway, 2).await;
        cut.send(()).await.unwrap();
        assert_eq!(whats(&mut events, 2).await, ["stopped revoked", "started"]);
    }
    assert_eq!(running.end().await, (Some(0), String::new()));
    assert_eq!(whats(&mut events, 1).await, ["stopped paused"]);
}

#[tokio::test]
async fn what_ended_on_purpose_is_not_begun_anew() {
    let (gateway, mut events) = start().await;
    let paused = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER, "composer": "agent", "state": "paused"});
    let (message, paused) = (pinnacle_message(USER), signal(&paused.to_string()));
    for (max_ms, ending, told) in [
        ("60000", message, "stopped sent"),
        ("60000", paused, "stopped paused"),
        ("1000", Vec::new(), "stopped expired"),
    ] {
        let running = Running::start(hold(&url(&gateway)).args(["--max-ms", max_ms, "--", "cat"]));
        assert_eq!(whats(&mut events, 1).await, ["started"]);
        streams(&gateway, 2).await;
        if !ending.is_empty() {
            gateway.exchange(&ending).await;
        }
        assert_eq!(whats(&mut events, 1).await, [told]);
        nothing_comes_back(&gateway, &mut events).await;
        assert_eq!(running.end().await, (Some(0), String::new()), "{told}");
        let marker = json!({"channel": "pinnacle", "agent": "agent_other", "user": USER, "composer": "user", "state": "paused"});
        gateway.exchange(&signal(&marker.to_string())).await;
        assert_eq!(whats(&mut events, 1).await, ["stopped paused"], "the marker's");
    }
}

#[tokio::test]
async fn what_continues_goes_on_after_a_message() {
    let (gateway, mut events) = start().await;
    let running =
        Running::start(hold(&url(&gateway)).args(["--continue", "--on-success", "sent", "--", "cat"]));
    assert_eq!(whats(&mut events, 1).await, ["started"]);
    streams(&gateway, 2).await;
    gateway.exchange(&pinnacle_message(USER)).await;
    assert_eq!(whats(&mut events, 2).await, ["stopped sent", "started"]);
    assert_eq!(running.end().await, (Some(0), String::new()));
    assert_eq!(whats(&mut events, 1).await, ["stopped sent"]);
}

/// The command is faster than the gateway's answer: what was asked for is ended all the same.
#[tokio::test]
async fn a_hold_that_begins_after_the_command_has_ended_is_ended() {
    let (gateway, mut events) = start().await;
    let between = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", between.local_addr().unwrap());
    let mut running = Running::bash(hold(&url).args(["--on-success", "sent"]), "echo $$");
    let id = running.line().await;
    until(|| !Path::new(&format!("/proc/{id}")).exists()).await;
    let to = gateway.address;
    tokio::spawn(async move {
        loop {
            let (mut from, _) = between.accept().await.unwrap();
            let mut to = TcpStream::connect(to).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut from, &mut to).await });
        }
    });
    assert_eq!(whats(&mut events, 2).await, ["started", "stopped sent"]);
    assert_eq!(running.end().await, (Some(0), String::new()));
}

#[tokio::test]
async fn a_fast_command_shows_no_dots() {
    let (gateway, mut events) = start().await;
    let output = output(hold(&url(&gateway)).args(["--start-delay-ms", "60000", "--", "true"])).await;
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    gateway.exchange(&pinnacle_typing("+14155550199")).await;
    let next = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    assert_eq!((next.what().as_str(), &next.data["user"]), ("started", &json!("+14155550199")));
}

async fn explain(gateway: &OnSocket) -> Answer {
    let request = "GET /typing/v1/explain?agent=agent_pinnacle&user=%2B14155550123 HTTP/1.1\r\nHost: t\r\n\
                   Authorization: Bearer acme-key\r\n\r\n";
    gateway.exchange(request.as_bytes()).await
}

const FLAGS: [(&str, &str); 12] = [
    ("--url", ""),
    ("--api-key", KEY),
    ("--channel", "pinnacle"),
    ("--agent", "agent_pinnacle"),
    ("--user", USER),
    ("--composer", "user"),
    ("--participant", "rep-7"),
    ("--name", "Ada"),
    ("--note", "looks up the order"),
    ("--idle-ms", "40000"),
    ("--max-ms", "50000"),
    ("--on-success", "sent"),
];

#[tokio::test]
async fn every_flag_may_be_a_variable() {
    let (gateway, mut events) = start().await;
    let url = format!("{}/", url(&gateway));
    for is_variable in [false, true] {
        let mut hold = hold("");
        hold.env_clear();
        for (flag, value) in FLAGS {
            let value = if flag == "--url" { &url } else { value };
            if is_variable {
                let name = flag.trim_start_matches('-').replace('-', "_").to_uppercase();
                hold.env(format!("TYPINGD_{name}"), value);
            } else {
                hold.args([flag, value]);
            }
        }
        if is_variable {
            hold.env("TYPINGD_CONTINUE", "true").env("TYPINGD_START_DELAY_MS", "1");
        } else {
            hold.args(["--continue", "--start-delay-ms", "1"]);
        }
        let running = Running::start(hold.args(["--", "/bin/cat"]));
        let started = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        let seen = ["composer", "participant", "name", "origin"].map(|field| started.data[field].clone());
        assert_eq!(seen, ["user", "rep-7", "Ada", "hold"]);
        let held = explain(&gateway).await.json()["holds"][0].clone();
        assert_eq!(held["note"], "looks up the order");
        let within = |field: &str, most: u64| {
            let ms = held[field].as_u64().unwrap();
            assert!((most - 20_000..=most).contains(&ms), "{field}: {ms}");
        };
        within("idle_remaining_ms", 40_000);
        within("max_remaining_ms", 50_000);
        let message = json!({"channel": "pinnacle", "agent": "agent_pinnacle", "user": USER,
                             "composer": "user", "participant": "rep-7", "state": "sent"});
        gateway.exchange(&signal(&message.to_string())).await;
        assert_eq!(whats(&mut events, 2).await, ["stopped sent", "started"], "it continues");
        assert_eq!(running.end().await, (Some(0), String::new()));
        assert_eq!(whats(&mut events, 1).await, ["stopped sent"]);
    }
}

#[tokio::test]
async fn the_help_names_the_variables_and_shows_no_key_and_no_number() {
    let help = output(hold("http://127.0.0.1:1").arg("--help")).await;
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(text.contains("TYPINGD_API_KEY") && text.contains("TYPINGD_ON_SUCCESS"), "{text}");
    assert!(text.contains("The exit code is the command's"), "{text}");
    assert!(!text.contains(KEY) && !text.contains("[env: TYPINGD_USER=+"), "{text}");
    for missing in
        [vec![], vec!["--"], vec!["--composer", "bot", "--", "true"], vec!["--url", "here", "--", "true"]]
    {
        let refused = output(hold("http://127.0.0.1:1").args(&missing)).await;
        assert_eq!(refused.status.code(), Some(2), "{missing:?}");
        assert!(!String::from_utf8(refused.stderr).unwrap().contains(KEY));
    }
}
