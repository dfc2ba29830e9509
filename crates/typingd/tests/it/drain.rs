//! Going away: the real program, ended by a real signal.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{InProcess, Wire, pinnacle_typing, start_program};

const TYPING: &str = r#"{"agentId":"agent_x","to":"+14155550123"}"#;

async fn connect(address: &str) -> Wire<TcpStream> {
    Wire::new(TcpStream::connect(address).await.unwrap())
}

#[tokio::test]
async fn a_terminated_gateway_ends_every_lease_says_bye_and_exits_in_time() {
    let (mut program, address) = start_program(&["dev"]).await;
    let mut events = connect(&address).await.stream("", "dev-api-key").await;
    events.next().await;
    let hello_retry = events.retry_ms.take().unwrap();
    let key = "PINNACLE-API-KEY: dev-pinnacle-key\r\n";
    let typing = String::from_utf8(crate::support::post("/messages/send/typing", key, TYPING)).unwrap();
    let typing = typing.replace("Host: t\r\n", "Host: localhost\r\n");
    let mut idle = connect(&address).await;
    assert_eq!(idle.exchange(typing.as_bytes()).await.status, 200);
    let id = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert_eq!(events.whats(3).await, ["started", "stopped revoked", "closed draining"]);
    let bye_retry = events.retry_ms.unwrap();
    assert!((1_000..=5_000).contains(&bye_retry) && (1_000..=5_000).contains(&hello_retry));
    assert!(events.next().await.is_none());
    assert!(idle.is_closed().await);
    let status = timeout(Duration::from_secs(5), program.wait()).await.expect("within 5 s").unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn dev_mode_stays_on_this_machine() {
    let program = Command::new(env!("CARGO_BIN_EXE_typingd")).args(["dev", "--listen", "0.0.0.0:0"]).output();
    let output = timeout(Duration::from_secs(20), program).await.unwrap().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("loopback"), "{said}");
}

#[tokio::test]
async fn what_dev_mode_prints_can_be_pasted() {
    let (_program, address) = start_program(&[]).await;
    let welcome = typingd::dev::Welcome(address.parse().unwrap()).to_string();
    let commands: Vec<String> = welcome
        .split("\n\n")
        .map(|paragraph| paragraph.trim().replace("\\\n", " "))
        .filter(|paragraph| paragraph.starts_with("curl ") && !paragraph.contains("stream"))
        .collect();
    assert_eq!(commands.len(), 3);
    let mut events = connect(&address).await.stream("", "dev-api-key").await;
    events.next().await;
    for (command, door) in commands.iter().zip(["kaleyra", "pinnacle", "salesforce"]) {
        let output = Command::new("bash").args(["-c", &format!("{command} -sS")]).output().await.unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        let started = events.next().await.unwrap();
        assert_eq!(
            (started.what().as_str(), started.data["origin"].as_str()),
            ("started", Some(door)),
            "{command}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_once_the_leases_have_ended() {
    let gateway = InProcess::start();
    let mut events = gateway.stream("", "acme-key").await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    gateway.exchange(&pinnacle_typing("+14155550001")).await;
    let request = pinnacle_typing("+14155550002");
    let mut half = gateway.connect();
    half.send(&request[..40]).await;
    let mut slow = gateway.connect();
    slow.send(&request[..request.len() - 1]).await;
    // Both are known to the gateway, one with its head, when it begins to go away.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let drain = tokio::spawn(gateway.0.drain());
    tokio::time::sleep(Duration::from_millis(100)).await;
    half.send(&request[40..]).await;
    assert_eq!(half.answer().await.map(|answer| answer.decision().to_owned()), Some("started".to_owned()));
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    slow.send(&request[request.len() - 1..]).await;
    assert_eq!(slow.answer().await.map(|answer| answer.status), Some(500), "in the door's words");
    assert_eq!(
        events.whats(5).await,
        ["started", "started", "stopped revoked", "stopped revoked", "closed draining"],
        "what started while requests were still served has ended, and nothing came after"
    );
    assert!(events.next().await.is_none());
    drain.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_left_is_cut() {
    let gateway = InProcess::start();
    let request = pinnacle_typing("+14155550001");
    let mut slow = gateway.connect();
    slow.send(&request[..request.len() - 1]).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    gateway.0.drain().await;
    slow.send(&request[request.len() - 1..]).await;
    assert!(slow.answer().await.is_none());
}
