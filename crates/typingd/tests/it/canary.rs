//! Secrets and personal data, sent in every way there is: what is logged and counted, and what another tenant is told,
//! holds none of it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use clap::Parser;
use tracing::Level;
use typingd::config::{Config, Console, Proof, WebhookConfig};
use typingd::log;
use typingd_providers::salesforce::{AssertionKey, ConnectedApp, ConnectedApps};
use typingd_providers::{Patterns, Secret};

use crate::socket::client::encode;
use crate::support::{InProcess, config, post};

/// What every secret of `acme` begins with.
pub const SECRET: &str = "canarykey";
pub const NATIVE_KEY: &str = "canarykey-native-QqZzXx";
const PINNACLE_KEY: &str = "canarykey-pinnacle-QqZzXx";
const KALEYRA_KEY: &str = "canarykeyKaleyraQqZzXx";
pub const BASIC: &str = "canarykeyuser:canarykeypassword";
const TOKEN: &str = "00Dxx0000000001!canarykeytoken";
const PATH_TOKEN: &str = "canarykey-path-token-QqZzXx";
const SIGNING_SECRET: &str = "canarykey-signing-QqZzXx";
const CLIENT_TOKEN: &str = "canarykey-client-QqZzXx";
pub const NUMBER: &str = "14155559274";
const NAME: &str = "Canary Wood";
pub const TEXT: &str = "the canary sings";

/// All that could be somebody's secret, number, name or message, in every spelling.
fn canaries() -> Vec<String> {
    let (number, basic) = (NUMBER, BASE64_STANDARD.encode(BASIC));
    [
        NATIVE_KEY,
        PINNACLE_KEY,
        KALEYRA_KEY,
        BASIC,
        TOKEN,
        PATH_TOKEN,
        CLIENT_TOKEN,
        NAME,
        TEXT,
        number,
        &basic,
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        format!("+{number}"),
        "1-415-555-9274".to_owned(),
        "call.415.555.9274".to_owned(),
        "415_5559274".to_owned(),
        format!("{SECRET}{number}"),
    ])
    .collect()
}

/// Where a canary was found in a text, with what stands around it.
fn found(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let basic = BASE64_STANDARD.encode(BASIC).to_ascii_lowercase();
    for canary in [SECRET, &NAME.to_ascii_lowercase(), TEXT, &basic, "canary%20", "canary+wood"] {
        if let Some(at) = lower.find(canary) {
            let (from, to) = (at.saturating_sub(160), (at + 80).min(text.len()));
            return Some(String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned());
        }
    }
    // However a number is written: without the country, and whatever stands between its digits.
    let has_number = |line: &&str| {
        let digits: String = line.chars().filter(|c| c.is_ascii_digit() || c.is_whitespace()).collect();
        digits.contains(&NUMBER[1..])
    };
    text.lines().find(has_number).map(str::to_owned)
}

#[track_caller]
pub fn assert_clean(what: &str, text: &str) {
    assert_eq!(found(text), None, "a canary in {what}");
}

#[test]
fn a_canary_is_found_however_it_is_written() {
    for canary in canaries() {
        assert!(found(&format!("2026-11-21 request{{id=\"{canary}\"}}")).is_some(), "{canary}");
    }
    assert_clean("an innocent line", "2026-11-21T10:00:00.415555Z 9274 canary");
}

/// What a test's child is told to do, and that it is the child.
const CHILD: &str = "TYPINGD_TEST_CHILD";

/// Whether this is such a process.
pub fn is_child() -> bool {
    std::env::var(CHILD).is_ok()
}

/// Runs one test again in a process that has nothing else to log. Says what that wrote to its standard error.
pub fn run_alone(test: &str, told: &str) -> String {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, told)
        .output()
        .unwrap();
    let written = String::from_utf8(child.stderr).unwrap();
    assert!(child.status.success(), "{}{written}", String::from_utf8_lossy(&child.stdout));
    println!("{}", String::from_utf8_lossy(&child.stdout));
    written
}

/// What is logged, by all there is in the process and at every level.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `acme` has the canaries as its credentials, and a connected app whose key panics.
fn acme_with_canaries() -> Config {
    let mut config = config(Duration::from_secs(20));
    config.limits.failed_authentications_per_minute = u32::MAX;
    config.console = Console::Login;
    config.tenancy.tenants[0].api_keys = vec![Secret::new(NATIVE_KEY)];
    let accounts = &mut config.tenancy.accounts;
    accounts.kaleyra[0].api_keys = vec![Secret::new(KALEYRA_KEY)];
    accounts.kaleyra[0].basics = vec![Secret::new(BASIC)];
    accounts.pinnacle[0].api_keys = vec![Secret::new(PINNACLE_KEY)];
    let salesforce = &mut accounts.salesforce[0];
    salesforce.tokens = vec![Secret::new(TOKEN)];
    salesforce.common.aliases = BTreeMap::from([("b0ffeafe-1".into(), "desk".into())]);
    salesforce.connected_apps = ConnectedApps::Only(vec![ConnectedApp {
        issuer: "app".to_owned(),
        key: Arc::new(Panicking),
        subjects: Patterns::any(),
        contexts: None,
    }]);
    config.tenancy.webhooks = vec![
        webhook(
            "pinnacle",
            PATH_TOKEN,
            Proof::Pinnacle { signing_secrets: vec![Secret::new(SIGNING_SECRET)] },
        ),
        webhook(
            "google",
            &format!("{PATH_TOKEN}-google"),
            Proof::Rbm { client_token: Secret::new(CLIENT_TOKEN) },
        ),
        webhook("kaleyra", &format!("{PATH_TOKEN}-kaleyra"), Proof::Kaleyra),
    ];
    config
}

fn webhook(name: &str, token: &str, proof: Proof) -> WebhookConfig {
    WebhookConfig {
        tenant: "acme".into(),
        name: name.into(),
        path_tokens: vec![Secret::new(token)],
        proof,
        channel: "kaleyra".into(),
        agents: BTreeMap::new(),
        ttl: Duration::from_secs(20),
        max_age: Duration::from_secs(30),
    }
}

/// Panics, and says what it was given.
#[derive(Debug)]
struct Panicking;

impl AssertionKey for Panicking {
    fn verifies(&self, message: &[u8], _: &[u8]) -> bool {
        panic!("{TOKEN} of {NAME} at {NUMBER}: {}", String::from_utf8_lossy(message));
    }
}

/// A request for a token, which panics.
fn panicking() -> Vec<u8> {
    let claims = format!(r#"{{"iss":"app","sub":"{NAME}","aud":"{NUMBER}","exp":1}}"#);
    let [header, claims] = [r#"{"alg":"RS256"}"#, &claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let grant =
        format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={header}.{claims}.AA");
    let request = String::from_utf8(post("/services/oauth2/token", "", &grant)).unwrap();
    request.replace("application/json", "application/x-www-form-urlencoded").into_bytes()
}

const KALEYRA: &str = "/v1/XXXXX6913850XXXX/rcs/";
const INTERACTIONS: &str = "/api/v1/interactions";

fn kaleyra_headers() -> String {
    format!("Authorization: Basic {}\r\napi-key: {KALEYRA_KEY}\r\n", BASE64_STANDARD.encode(BASIC))
}

fn pinnacle_headers() -> String {
    format!("PINNACLE-API-KEY: {PINNACLE_KEY}\r\n")
}

fn webhook_headers() -> String {
    format!("PINNACLE-SIGNING-SECRET: {SIGNING_SECRET}\r\n")
}

/// Calls of webhooks, each of which is taken.
fn told() -> Vec<Vec<u8>> {
    let number = NUMBER;
    let pinnacle = |kind: &str| {
        let event = format!(
            r#"{{"type":"{kind}","message":{{"id":"{SECRET}{number}","text":"{TEXT}"}},"conversation":{{"id":"{number}","from":"+{number}","to":"{SECRET}"}}}}"#
        );
        post(&format!("/webhooks/{PATH_TOKEN}"), &webhook_headers(), &event)
    };
    let composing = format!(r#"{{"type":"COMPOSING","eventId":"{number}","from":"{number}","to":"{NAME}"}}"#);
    let handshake = format!(r#"{{"clientToken":"{CLIENT_TOKEN}","secret":"{SECRET}{number}"}}"#);
    vec![
        pinnacle("USER.TYPING"),
        pinnacle("MESSAGE.RECEIVED"),
        pinnacle("MESSAGE.RECEIVED"),
        post(&format!("/webhooks/{PATH_TOKEN}-kaleyra"), "", &composing),
        post(&format!("/webhooks/{PATH_TOKEN}-kaleyra?{SECRET}={number}"), "", &composing),
        post(&format!("/webhooks/{PATH_TOKEN}-google"), "", &handshake),
    ]
}

fn native_headers() -> String {
    format!("Authorization: Bearer {NATIVE_KEY}\r\n")
}

fn interaction(from: &str, payload: &str) -> Vec<u8> {
    let json = format!(
        r#"{{"to":"b0ffeafe-1","from":"{from}","interactions":[{{"timestamp":1688190840000,"interactionType":"EntryInteraction","payload":{payload}}}]}}"#
    );
    let body = format!("--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--b--\r\n");
    let headers = format!(
        "Authorization: Bearer {TOKEN}\r\nOrgId: 00Dxx0000000001\r\nRequestId: {NUMBER}\r\n\
         AuthorizationContext: Partner1_ChannelDefinition1\r\n"
    );
    let request = String::from_utf8(post(INTERACTIONS, &headers, &body)).unwrap();
    request.replace("application/json", "multipart/form-data; boundary=b").into_bytes()
}

/// Requests that are accepted, each with its status.
fn good() -> Vec<(u16, Vec<u8>)> {
    let number = NUMBER;
    let native = |state: &str| {
        format!(
            r#"{{"channel":"kaleyra","agent":"{NATIVE_KEY}","user":"+{number}","composer":"user","participant":"{NAME}","state":"{state}"}}"#
        )
    };
    let started = format!(
        r#"{{"id":"{SECRET}{number}","entryType":"TypingStartedIndicator","timestamp":1688190840000}}"#
    );
    let message = format!(
        r#"{{"id":"{number}","entryType":"Message","abstractMessage":{{"messageType":"StaticContentMessage","id":"{number}","staticContent":{{"formatType":"Text","text":"{TEXT}"}}}}}}"#
    );
    vec![
        (
            200,
            post(
                &format!("{KALEYRA}events"),
                &kaleyra_headers(),
                &format!(r#"{{"from":"kio_rcs","to":"+{number}","composing":{{}}}}"#),
            ),
        ),
        (
            200,
            post(
                &format!("{KALEYRA}messages"),
                &kaleyra_headers(),
                &format!(r#"{{"from":"kio_rcs","to":["{number}"],"text":"{TEXT}"}}"#),
            ),
        ),
        (
            200,
            post(
                "/messages/send/typing",
                &pinnacle_headers(),
                &format!(r#"{{"agentId":"agent_pinnacle","to":"+{number}"}}"#),
            ),
        ),
        (
            200,
            post(
                "/messages/send/rcs",
                &pinnacle_headers(),
                &format!(r#"{{"from":"agent_pinnacle","to":"+{number}","text":"{TEXT}"}}"#),
            ),
        ),
        (202, interaction(NAME, &started)),
        (202, interaction(NAME, &message)),
        (200, post("/typing/v1/signals", &native_headers(), &native("composing"))),
        (200, post("/typing/v1/signals", &native_headers(), &native("sent"))),
        // What others must not see lives on.
        (200, post("/typing/v1/signals", &native_headers(), &native("composing"))),
        (
            200,
            post(
                "/messages/send/typing",
                &pinnacle_headers(),
                &format!(r#"{{"agentId":"agent_pinnacle","to":"+{number}"}}"#),
            ),
        ),
        (
            200,
            format!(
                "GET /typing/v1/explain?agent={NATIVE_KEY}&user=%2B{number} HTTP/1.1\r\nHost: t\r\n{}\r\n",
                native_headers()
            )
            .into_bytes(),
        ),
        (
            200,
            format!("GET /typing/v1/leases?user=%2B{number} HTTP/1.1\r\nHost: t\r\n{}\r\n", native_headers())
                .into_bytes(),
        ),
    ]
}

/// Requests with a canary wherever one can be: few of them are accepted.
fn bad(canary: &str) -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    let doors = [
        (format!("POST {KALEYRA}events"), kaleyra_headers()),
        (format!("POST {KALEYRA}messages"), kaleyra_headers()),
        ("POST /messages/send/typing".to_owned(), pinnacle_headers()),
        ("POST /messages/send/rcs".to_owned(), pinnacle_headers()),
        (format!("POST {INTERACTIONS}"), format!("Authorization: Bearer {TOKEN}\r\n")),
        ("POST /services/oauth2/token".to_owned(), String::new()),
        ("POST /typing/v1/signals".to_owned(), native_headers()),
        ("GET /typing/v1/leases".to_owned(), native_headers()),
        ("GET /typing/v1/explain".to_owned(), native_headers()),
        (format!("POST /webhooks/{PATH_TOKEN}"), webhook_headers()),
        (format!("POST /webhooks/{PATH_TOKEN}-google"), String::new()),
        (format!("GET /webhooks/{PATH_TOKEN}-kaleyra"), String::new()),
        ("POST /webhooks".to_owned(), String::new()),
        ("GET /nowhere".to_owned(), native_headers()),
        ("GET /".to_owned(), String::new()),
        ("GET /console/session".to_owned(), native_headers()),
        ("POST /console/session".to_owned(), native_headers()),
        ("DELETE /console/session".to_owned(), native_headers()),
        ("POST /console/messages".to_owned(), native_headers()),
        ("POST /typing/v1/tickets".to_owned(), native_headers()),
        ("GET /typing/v1/socket".to_owned(), UPGRADE.to_owned()),
    ];
    let escaped = canary.replace(' ', "%20").replace('+', "%2B");
    for (line, headers) in &doors {
        let (method, path) = line.split_once(' ').unwrap();
        let mut add = |line: String, more: &str, body: &str| {
            let head = format!("{line} HTTP/1.1\r\nHost: t\r\n{headers}{more}");
            requests.push(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes());
        };
        for path in [
            format!("{path}/{escaped}"),
            format!("/{escaped}{path}"),
            format!("{path}?{escaped}"),
            format!("{path}?{escaped}=1"),
            format!("{path}?user={escaped}"),
            format!("{path}?ticket={escaped}"),
            format!("{path}?channel={escaped}"),
            format!("{path}?agent={escaped}&agent={escaped}"),
            format!("{path}?{canary}"),
            format!("http://{escaped}{path}"),
        ] {
            add(format!("{method} {path}"), "", "");
        }
        add(format!("{canary} {path}"), "", "");
        for header in [
            "Authorization",
            "api-key",
            "PINNACLE-API-KEY",
            "PINNACLE-SIGNING-SECRET",
            "X-Goog-Signature",
            "X-Request-Id",
            "User-Agent",
            "Cookie",
            "Origin",
            "If-None-Match",
            "X-Forwarded-For",
            "Forwarded",
            "traceparent",
            "OrgId",
            "RequestId",
            "AuthorizationContext",
            "Content-Type",
            "Content-Encoding",
            "Transfer-Encoding",
            "Expect",
            "Host",
            "Range",
            "Upgrade",
            "Origin",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Protocol",
        ] {
            add(line.clone(), &format!("{header}: {canary}\r\n"), "{}");
            add(line.clone(), &format!("{header}: Bearer {canary}\r\n"), "{}");
        }
        add(line.clone(), &format!("{}: 1\r\n", canary.replace(' ', "-")), "{}");
        add(line.clone(), &format!("Content-Length: {canary}\r\n"), "{}");
        for media_type in ["application/json", "multipart/form-data", "application/x-www-form-urlencoded"] {
            let more = format!(
                "Content-Type: {media_type}\r\nRequestId: 1\r\nOrgId: 00Dxx0000000001\r\nAuthorizationContext: Partner1_ChannelDefinition1\r\n"
            );
            for body in [
                canary.to_owned(),
                format!("\"{canary}\""),
                format!("{{\"{canary}\":1}}"),
                format!(
                    "{{\"from\":\"{canary}\",\"to\":\"{canary}\",\"agentId\":\"{canary}\",\"composing\":\"{canary}\"}}"
                ),
                format!(
                    "{{\"from\":\"kio_rcs\",\"to\":[\"{canary}\",\"{canary}\"],\"text\":[\"{canary}\"]}}"
                ),
                format!("{{\"from\":\"agent_pinnacle\",\"to\":\"{canary}\",\"options\":\"{canary}\"}}"),
                format!(
                    "{{\"channel\":\"{canary}\",\"agent\":\"{canary}\",\"user\":\"{canary}\",\"composer\":\"{canary}\",\"state\":\"{canary}\",\"ttl_ms\":\"{canary}\",\"{canary}\":{{\"{canary}\":[]}}}}"
                ),
                format!("{{\"to\":\"+{NUMBER}\",\"to\":\"{canary}\""),
                format!("{{\"clientToken\":\"{canary}\",\"secret\":\"{canary}\"}}"),
                format!("{{\"message\":{{\"data\":\"{canary}\",\"publishTime\":\"{canary}\"}}}}"),
                format!(
                    "{{\"type\":\"USER.TYPING\",\"startedAt\":\"{canary}\",\"conversation\":{{\"from\":\"{canary}\",\"to\":\"{canary}\"}}}}"
                ),
                format!(
                    "{{\"side\":\"{canary}\",\"access\":\"{canary}\",\"participant\":\"{canary}\",\"name\":[\"{canary}\"]}}"
                ),
                format!("grant_type={escaped}&assertion={escaped}"),
                format!(
                    "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={escaped}.{escaped}.{escaped}&{escaped}={escaped}&{escaped}"
                ),
                format!(
                    "--{canary}\r\nContent-Disposition: form-data; name=\"{canary}\"; filename=\"{canary}\"\r\n{canary}: {canary}\r\n\r\n{canary}\r\n--{canary}--\r\n"
                ),
                format!(
                    "--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{{\"to\":\"{canary}\",\"from\":\"{canary}\",\"interactions\":[{{\"timestamp\":1,\"interactionType\":\"{canary}\",\"payload\":{{\"id\":\"{canary}\",\"entryType\":\"{canary}\"}}}}]}}\r\n--b--\r\n"
                ),
            ] {
                add(line.clone(), &more, &body);
            }
        }
    }
    // No HTTP at all, and what breaks off.
    requests.push(format!("{canary}\r\n\r\n").into_bytes());
    requests.push(
        format!("POST /messages/send/typing HTTP/1.1\r\nHost: {canary}\r\n {canary}\r\n\r\n").into_bytes(),
    );
    requests.push(format!("POST /messages/send/typing HTTP/{canary}\r\n\r\n").into_bytes());
    requests.push(format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", canary.repeat(3_000)).into_bytes());
    requests
}

/// What asks for a socket.
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
                       dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A socket of whose they are says and asks for all of them. What it came by is another secret, and comes back.
async fn talk(gateway: &InProcess) -> Vec<String> {
    let mut tickets = Vec::new();
    for canary in canaries() {
        let asked = format!(
            r#"{{"side":"agent","access":"read_write","agent":"{canary}","user":"{canary}","participant":"{canary}","name":"{canary}"}}"#
        );
        let issued = gateway.exchange(&post("/typing/v1/tickets", &native_headers(), &asked)).await;
        let ticket = issued.json()["ticket"].as_str().unwrap().to_owned();
        let asked = format!("GET /typing/v1/socket?ticket={ticket} HTTP/1.1\r\nHost: t\r\n{UPGRADE}\r\n");
        tickets.push(ticket);
        let mut wire = gateway.connect();
        assert_eq!(wire.exchange(asked.as_bytes()).await.status, 101);
        for frame in [
            r#"{"type":"subscribe","id":"CANARY","ref":"CANARY"}"#,
            r#"{"type":"subscribe","id":"CANARY","channel":"CANARY","agent":"CANARY","user":"x"}"#,
            r#"{"type":"unsubscribe","id":"x CANARY"}"#,
            r#"{"type":"composing","channel":"salesforce","ref":"CANARY"}"#,
            r#"{"type":"composing","channel":"kaleyra"}"#,
            r#"{"type":"composing","CANARY":1,"turn":"CANARY"}"#,
            r#"{"type":"CANARY"}"#,
            "CANARY",
        ] {
            wire.send(&encode(true, 1, frame.replace("CANARY", &canary).as_bytes())).await;
        }
        // Then what no client may send.
        wire.send(&encode(false, 9, canary.as_bytes())).await;
        while !wire.is_closed().await {}
        let again = gateway.exchange(asked.as_bytes()).await;
        assert_eq!(again.status, 401);
        assert_clean("the answer to a spent ticket", &again.body);
    }
    tickets
}

/// What `globex` asks, in ways that are answered by all kinds of problems.
fn foreign() -> Vec<Vec<u8>> {
    let get = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer globex-key\r\n\r\n").into_bytes()
    };
    let native = |body: &str| post("/typing/v1/signals", "Authorization: Bearer globex-key\r\n", body);
    let pinnacle =
        |body: &str| post("/messages/send/typing", "PINNACLE-API-KEY: globex-pinnacle-key\r\n", body);
    vec![
        get("/typing/v1/leases"),
        get("/typing/v1/leases?channel=kaleyra"),
        get("/typing/v1/leases?channel=salesforce"),
        get("/typing/v1/leases?agent=agent_pinnacle&agent="),
        get("/typing/v1/explain"),
        get("/typing/v1/explain?agent=agent_pinnacle&user=%2B14155550001"),
        native("{}"),
        native(r#"{"channel":"salesforce","agent":"desk","user":"x","composer":"user","state":"composing"}"#),
        native(
            r#"{"channel":"pinnacle","agent":"agent_pinnacle","user":"+14155550001","composer":"agent","state":"composing"}"#,
        ),
        native(
            r#"{"channel":"pinnacle","agent":"agent_pinnacle","user":"+1415555","composer":"agent","state":"paused","turn":1}"#,
        ),
        pinnacle(r#"{"agentId":"agent_pinnacle","to":"+14155550001"}"#),
        pinnacle(r#"{"agentId":"agent_globex","to":"nobody"}"#),
        post(
            "/v1/globex/rcs/events",
            "api-key: globex-kaleyra-key\r\nAuthorization: Basic dXNlcjpwYXNz\r\n",
            r#"{"from":"kio_rcs","to":"+14155550001","composing":{}}"#,
        ),
        post("/v1/XXXXX6913850XXXX/rcs/messages", "api-key: globex-kaleyra-key\r\n", "{}"),
        post(&format!("/webhooks/{PATH_TOKEN}"), "PINNACLE-SIGNING-SECRET: globex\r\n", "{}"),
        post(&format!("/webhooks/{PATH_TOKEN}-google"), "X-Goog-Signature: AAAA\r\n", "{}"),
        post("/webhooks/globex", "", "{}"),
    ]
}

#[tokio::test(start_paused = true)]
async fn no_secret_and_no_number_is_logged_counted_or_told_to_another_tenant() {
    if !is_child() {
        run_alone("canary::no_secret_and_no_number_is_logged_counted_or_told_to_another_tenant", "trace");
        return;
    }
    let (log, _guard) = Log::start();
    let gateway = InProcess::with(acme_with_canaries());
    let mut ours = gateway.stream("", NATIVE_KEY).await;
    let mut theirs = gateway.stream("", "globex-key").await;
    assert_eq!(theirs.next().await.unwrap().data["leases"], serde_json::json!([]));

    for (status, request) in good() {
        let answer = gateway.exchange(&request).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    for request in told() {
        let answer = gateway.exchange(&request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let mut count = 0;
    for canary in canaries() {
        for request in bad(&canary) {
            let mut wire = gateway.connect();
            wire.send(&request).await;
            wire.answer().await;
            count += 1;
        }
    }
    println!("{count} requests with a canary, {} bytes of log", log.text().len());

    let tickets = talk(&gateway).await;

    // A panic keeps neither this connection nor anybody else from going on.
    let mut wire = gateway.connect();
    let answer = wire.exchange(&panicking()).await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (500, Some("server_error")),
        "{}",
        answer.body
    );
    assert_clean("the answer after a panic", &answer.body);
    assert_eq!(wire.exchange(&good().remove(0).1).await.status, 200);

    for request in foreign() {
        let answer = gateway.exchange(&request).await;
        assert_clean("another tenant's answer", &format!("{answer:?}"));
    }
    let metrics = gateway.0.gateway().metrics.text();
    assert!(metrics.contains("typingd_answers"), "{metrics}");
    assert_clean("the metrics", &metrics);
    let told = ours.next().await.and(ours.next().await).unwrap();
    assert!(found(&told.data.to_string()).is_some(), "the stream of whose they are does show them");

    gateway.0.drain().await;
    while let Some(event) = theirs.next().await {
        assert_clean("another tenant's stream", &format!("{event:?}"));
    }
    let log = log.text();
    for line in ["answered", "a request could not be served: this is a bug", "draining"] {
        assert!(log.contains(line), "{line}");
    }
    assert_clean("the log", &log);
    for text in [&log, &metrics] {
        assert!(!tickets.iter().any(|ticket| text.contains(ticket)), "a ticket in the log or the metrics");
    }
}

/// Dev mode's console shows what a message says, and nobody else hears of it.
#[tokio::test(start_paused = true)]
async fn a_message_that_is_kept_for_the_console_is_nowhere_else() {
    if !is_child() {
        run_alone("canary::a_message_that_is_kept_for_the_console_is_nowhere_else", "trace");
        return;
    }
    let (log, _guard) = Log::start();
    let mut config = acme_with_canaries();
    config.console = Console::Open;
    config.tenancy.tenants.truncate(1);
    config.tenancy.accounts.kaleyra.truncate(2);
    config.tenancy.accounts.pinnacle.truncate(2);
    let gateway = InProcess::with(config);
    let mut native = gateway.stream("", NATIVE_KEY).await;
    let feed = b"GET /console/feed HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut shown = gateway.connect().events(feed).await;
    for (status, request) in good() {
        assert_eq!(gateway.exchange(&request).await.status, status);
    }
    let said = format!(
        r#"{{"channel":"kaleyra","agent":"a","user":"+{NUMBER}","composer":"user","name":"{NAME}","text":"{TEXT}"}}"#
    );
    let said = String::from_utf8(post("/console/messages", "", &said)).unwrap();
    let said = said.replacen("Host: t\r\n", "Host: localhost\r\n", 1);
    assert_eq!(gateway.exchange(said.as_bytes()).await.status, 204);
    for canary in canaries() {
        let refused = said.replace(TEXT, &canary).replace("kaleyra", &canary);
        let answer = gateway.exchange(refused.as_bytes()).await;
        assert_clean("a refusal", &answer.body);
    }
    let mut messages = 0;
    while messages < 4 {
        let event = shown.next().await.unwrap();
        messages += usize::from(event.name == "message" && event.data["text"] == TEXT);
    }
    assert_clean("the metrics", &gateway.0.gateway().metrics.text());
    gateway.0.drain().await;
    while let Some(event) = native.next().await {
        assert!(!event.data.to_string().contains(TEXT), "{event:?}");
    }
    assert!(log.text().contains("answered"));
    assert_clean("the log", &log.text());
}

/// What [`log::start`] takes.
#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    log: log::Settings,
}

/// The child starts the log as the program does, for all of its process.
#[tokio::test]
async fn a_panic_is_logged_by_its_place_alone() {
    if let Ok(format) = std::env::var(CHILD) {
        let settings = CommandLine::parse_from(["typingd", "--log", "trace", "--log-format", &format]);
        let _writing = log::start(settings.log);
        let gateway = InProcess::with(acme_with_canaries());
        assert_eq!(gateway.exchange(&panicking()).await.status, 500);
        let outside = std::thread::spawn(|| panic!("{NATIVE_KEY} of {NAME}")).join();
        assert!(outside.is_err());
        return;
    }
    for format in ["pretty", "json"] {
        let logged = run_alone("canary::a_panic_is_logged_by_its_place_alone", format);
        assert_eq!(logged.matches("a panic: this is a bug").count(), 2, "{logged}");
        assert!(logged.contains("canary.rs:"), "the place: {logged}");
        assert!(logged.contains("answered"), "{logged}");
        assert_clean("the log", &logged);
    }
}
