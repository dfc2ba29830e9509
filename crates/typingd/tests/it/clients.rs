//! Real clients over a real socket: every release of Pinnacle's Python SDK that sends something else, and curl.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::{Events, OnSocket, config};

/// A gateway, and the stream of `acme`, whose snapshot is read.
async fn start() -> (OnSocket, Events<TcpStream>) {
    let gateway = OnSocket::start(config(Duration::from_secs(20))).await;
    let mut events = gateway.connect().await.stream("", "acme-key").await;
    assert_eq!(events.whats(1).await, ["snapshot"]);
    (gateway, events)
}

/// What the program printed; `install` is what to install where there is no such program.
pub async fn run(command: &mut Command, install: &str) -> String {
    let hint = format!("cannot be run: install {install}, or run ./test, which does");
    let output = command.kill_on_drop(true).output().await.expect(&hint);
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Releases of Pinnacle's SDK, and what each raises on 403: only later ones have a class for it.
const RELEASES: [(&str, &str); 3] =
    [("2.0.10", "ApiError"), ("2.0.16", "ForbiddenError"), ("2.0.28", "ForbiddenError")];

/// Where `clients/` is.
pub fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients")
}

/// Where `clients/setup` has made an environment for each release.
pub async fn environments() -> PathBuf {
    let environments = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients");
    run(Command::new(clients().join("setup")).arg(&environments), "bash").await;
    environments
}

#[tokio::test]
async fn pinnacles_python_sdk_understands_every_answer() {
    let (gateway, mut events) = start().await;
    let environments = environments().await;
    for (release, forbidden) in RELEASES {
        let python = environments.join(format!("rcs-{release}/bin/python"));
        let mut script = Command::new(python);
        script.arg(clients().join("pinnacle.py")).arg(format!("http://{}", gateway.address));
        script.env("no_proxy", "*");
        let lines = run(&mut script, "python3").await;
        let steps: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

        assert_eq!(whats(&steps), expected(forbidden), "{release}");
        let [first, again, .., message] = &steps[..] else { unreachable!("as many as expected") };
        check_leases(release, &first["result"], &again["result"]);
        check_message(release, &message["result"]);
        assert_eq!(events.whats(2).await, ["started", "stopped sent"], "{release}");
    }
    gateway.stop().await;
}

/// Each step with its exception and status, which are null where the SDK returned, and whether there was any text.
pub fn whats(steps: &[Value]) -> Vec<Value> {
    let what = |step: &Value| {
        let has_text = step["error"].as_str().is_some_and(|text| !text.is_empty());
        json!([step["step"], step["exception"], step["status"], has_text])
    };
    steps.iter().map(what).collect()
}

pub fn expected(forbidden: &str) -> Vec<Value> {
    let refused = |call: &str| {
        [
            json!([format!("{call} to no number"), "BadRequestError", 400, true]),
            json!([format!("{call} with an unknown key"), "UnauthorizedError", 401, true]),
            json!([format!("{call} as another account's agent"), forbidden, 403, true]),
            json!([format!("{call} as nobody's agent"), "NotFoundError", 404, true]),
        ]
    };
    let returned = |call: &str| [json!([call, null, null, false])];
    [
        &returned("typing")[..],
        &returned("typing again"),
        &refused("typing"),
        &refused("message"),
        &returned("message"),
    ]
    .concat()
}

/// A repeat is the same indicator, with a later end.
fn check_leases(release: &str, first: &Value, again: &Value) {
    let mut rest = first.clone();
    for time in ["started_at", "ended_at"] {
        let time = rest.as_object_mut().unwrap().remove(time).unwrap();
        assert!(time.as_str().unwrap().ends_with("+00:00"), "{release}: {time} is UTC");
    }
    assert_eq!(
        rest,
        json!({"success": true, "agent_id": "agent_pinnacle", "recipient": "+14155550123", "lease_s": 20.0}),
        "{release}"
    );
    assert_eq!(first["started_at"], again["started_at"], "{release}");
    // ISO 8601 in one zone sorts as text.
    assert!(again["ended_at"].as_str() > first["ended_at"].as_str(), "{release}: {first} {again}");
}

fn check_message(release: &str, message: &Value) {
    let mut rest = message.clone();
    let id = rest.as_object_mut().unwrap().remove("message_id").unwrap();
    assert!(id.as_str().unwrap().starts_with("msg_"), "{release}: {id}");
    // The cost is whatever the operator charges.
    rest.as_object_mut().unwrap().remove("total_cost").unwrap().as_f64().unwrap();
    assert_eq!(
        rest,
        json!({
            "type": "SentRichMessage", "segments": 1, "status": "queued",
            "sender": "agent_pinnacle", "recipient": "+14155550123",
        }),
        "{release}"
    );
}

/// The status and the body that curl was answered with.
async fn curl(url: &str, arguments: &[&str]) -> (u16, Value) {
    let mut curl = Command::new("curl");
    curl.args(["--disable", "--silent", "--show-error", "--noproxy", "*", "--write-out", "\n%{http_code}"]);
    curl.args(arguments).arg(url);
    let printed = run(&mut curl, "curl").await;
    let (body, status) = printed.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).expect(body))
}

#[tokio::test]
async fn curl_speaks_to_kaleyras_door() {
    let (gateway, mut events) = start().await;
    let url = format!("http://{}/v1/XXXXX6913850XXXX/rcs", gateway.address);
    let headers = [
        "-H",
        "Content-Type: application/json;charset=UTF-8",
        "-H",
        "api-key: XXXXX3b8497f58a94e84b671aca43XXXX",
    ];
    let typing = r#"{"from":"kio_rcs","to":"+14155550123","composing":{}}"#;
    let message = r#"{"from":"kio_rcs","to":["14155550123"],"text":"Hello"}"#;

    let credentials = ["-u", "user:pass", "-d", typing];
    let (status, body) = curl(&format!("{url}/events"), &[&headers[..], &credentials].concat()).await;
    assert_eq!(
        (status, &body["code"], &body["data"]["to"]),
        (200, &json!("RCS1002"), &json!("+14155550123"))
    );
    assert_eq!(body["message"], "Event published successfully");

    let (status, body) = curl(&format!("{url}/messages"), &[&headers[..], &["-d", message]].concat()).await;
    assert_eq!((status, &body["code"]), (200, &json!("1200")));
    assert_eq!(body["message"], "Message Sent Successfully to provider");
    assert_eq!(events.whats(2).await, ["started", "stopped sent"]);

    let wrong = ["-u", "user:wrong", "-d", typing];
    let (status, body) = curl(&format!("{url}/events"), &[&headers[..], &wrong].concat()).await;
    assert_eq!((status, &body["code"], &body["data"]), (401, &json!("RBC001"), &json!([])));
    assert_eq!(body["error"]["error_code"], "UNAUTHORIZED");
    gateway.stop().await;
}

#[tokio::test]
async fn curl_speaks_to_salesforces_door() {
    let (gateway, mut events) = start().await;
    let typing = |id: &str, entry: &str| {
        entry_part(json!({"id": id, "entryType": entry, "timestamp": 1688190840000_u64}))
    };
    let message = entry_part(json!({"id": "4", "entryType": "Message", "abstractMessage": {
        "messageType": "StaticContentMessage", "id": "4", "staticContent": {"formatType": "Text", "text": "Hi there"},
    }}));
    // Over a mebibyte curl first asks whether it may continue.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("invoice.txt");
    std::fs::write(&file, vec![b'x'; 3 << 19]).unwrap();
    let file = format!("attachments=@{};type=text/plain", file.display());
    let attachment = |id: &str| {
        part(json!({
            "timestamp": 1688190840000_u64, "interactionType": "AttachmentInteraction",
            "id": id, "attachmentIndex": 0, "contentLength": 3 << 19,
        }))
    };
    let small = "attachments=It is attached;filename=invoice.txt;type=text/plain".to_owned();
    let started = |id| vec![typing(id, "TypingStartedIndicator")];
    let table = [
        // what the stream shows of it, its id, its parts in their order
        ("started", "1", started("1")),
        ("stopped paused", "2", vec![typing("2", "TypingStoppedIndicator")]),
        ("started", "3", started("3")),
        ("stopped sent", "4", vec![message]),
        ("started", "5", started("5")),
        ("stopped sent", "6", vec![attachment("6"), file]),
        ("started", "7", started("7")),
        ("stopped sent", "8", vec![small, attachment("8")]),
    ];
    let mut conversations = Vec::new();
    for (seen, id, parts) in table {
        let (status, body) = interact(&gateway, "00Dxx0000000001!AQEAQTESTTOKEN", &parts).await;
        assert_eq!((status, &body["success"], &body["id"]), (202, &json!(true), &json!(id)), "{body}");
        assert_eq!(body["workItemIds"], json!([]));
        assert_eq!(events.whats(1).await, [seen], "{id}");
        conversations.push(body["conversationIdentifier"].clone());
    }
    assert!(conversations[..3].iter().all(Value::is_null), "typing opens none: {conversations:?}");
    assert!(conversations[3].is_string());
    assert!(conversations[4..].iter().all(|other| *other == conversations[3]), "{conversations:?}");

    let (status, body) = interact(&gateway, "null", &started("9")).await;
    assert_eq!((status, &body["success"], &body["code"]), (401, &json!(false), &json!(10004)));
    gateway.stop().await;
}

/// Posts a form of these parts.
async fn interact(gateway: &OnSocket, token: &str, parts: &[String]) -> (u16, Value) {
    let authorization = format!("Authorization: Bearer {token}");
    let mut arguments = vec![
        "-H",
        &authorization,
        "-H",
        "OrgId: 00Dxx0000000001",
        "-H",
        "RequestId: 45dd6579-5d26-4689-b0de-473408383690",
        "-H",
        "AuthorizationContext: Partner1_ChannelDefinition1",
    ];
    arguments.extend(parts.iter().flat_map(|part| ["-F", part]));
    curl(&format!("http://{}/api/v1/interactions", gateway.address), &arguments).await
}

/// The `json` part with an entry.
fn entry_part(payload: Value) -> String {
    part(json!({"timestamp": 1688190840000_u64, "interactionType": "EntryInteraction", "payload": payload}))
}

/// The `json` part as curl's `-F` takes it.
fn part(interaction: Value) -> String {
    let json = json!({"to": "b0ffeafe-1", "from": "David Wood", "interactions": [interaction]});
    format!("json={json};type=application/json")
}
