//! Who may do what: every door against every kind of credential that is not good, and keys that come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use typingd::config::{Config, Keys, Tenancy};
use typingd::gateway::Gateway;
use typingd::subscribe::sse::Stream;
use typingd_core::Scope;
use typingd_providers::account::Answered;
use typingd_providers::salesforce::{AssertionKey, AuthorizationContext, ConnectedApp, ConnectedApps};
use typingd_providers::{Account, Channel, ChannelKind, Patterns, Secret, salesforce};

use crate::support::{Answer, InProcess, config};

/// A user with a lease at each door that has messages, and one without any.
const WITH: &str = "+14155550001";
const WITHOUT: &str = "+14155550002";

/// The captures' two tenants, with credentials that all differ, and two Salesforce accounts more: another one of `acme`
/// and one of `globex`.
fn two_tenants() -> Config {
    let mut config = config(Duration::from_secs(60));
    config.limits.failed_authentications_per_minute = u32::MAX;
    let accounts = &mut config.tenancy.accounts;
    for (account, basic) in accounts.kaleyra.iter_mut().zip(["user:pass", "second:pass", "globex:pass"]) {
        account.basics = vec![Secret::new(basic)];
    }
    accounts.salesforce.push(salesforce("acme", "00Dxx0000000002", "acme-second-token", "second-*"));
    accounts.salesforce.push(salesforce("globex", "00Dxx0000000003", "globex-token", "globex-*"));
    config
}

fn salesforce(tenant: &str, org_id: &str, token: &str, addresses: &str) -> salesforce::Account {
    salesforce::Account {
        common: Account {
            tenant: tenant.into(),
            channel: Channel { name: "salesforce".into(), kind: ChannelKind::Opaque },
            agents: Patterns::new([addresses]),
            aliases: BTreeMap::new(),
            ttl: Duration::from_secs(60),
            answer: Answered::default(),
        },
        org_id: org_id.into(),
        tokens: vec![Secret::new(token)],
        connected_apps: ConnectedApps::default(),
        instance_url: None,
        contexts: BTreeMap::from([(format!("{tenant}_Context"), Patterns::any())]),
        authorization_context: AuthorizationContext::Required,
    }
}

/// A request that is let in, to be changed.
#[derive(Clone)]
struct Request {
    line: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Request {
    fn new(line: &'static str, headers: &[(&'static str, &str)], body: impl Into<String>) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { line, headers, body: body.into() }
    }

    /// With these values of a header in place of its own; none where it is not sent.
    fn with(&self, name: &'static str, values: &[&str]) -> Self {
        assert!(self.headers.iter().any(|(known, _)| *known == name), "{name}");
        let mut changed = self.clone();
        changed.headers.retain(|(known, _)| *known != name);
        changed.headers.extend(values.iter().map(|value| (name, (*value).to_owned())));
        changed
    }

    fn without(&self, names: &[&'static str]) -> Self {
        names.iter().fold(self.clone(), |request, name| request.with(name, &[]))
    }

    fn value(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()).unwrap()
    }

    fn with_body(&self, from: &str, to: &str) -> Self {
        assert!(self.body.contains(from), "{from}");
        Self { body: self.body.replace(from, to), ..self.clone() }
    }

    fn bytes(&self) -> Vec<u8> {
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (line, body) = (self.line, &self.body);
        format!("{line} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const KALEYRA_KEY: &str = "XXXXX3b8497f58a94e84b671aca43XXXX";
const KALEYRA_SECOND: &str = "xxxxx3b8497f58a94e84b671aca43xxxx";
/// `user:pass`, and those of the other account and the other tenant.
const BASIC: &str = "Basic dXNlcjpwYXNz";
const BASIC_SECOND: &str = "Basic c2Vjb25kOnBhc3M=";
const BASIC_GLOBEX: &str = "Basic Z2xvYmV4OnBhc3M=";

fn kaleyra_typing() -> Request {
    let headers = [JSON, ("Authorization", BASIC), ("api-key", KALEYRA_KEY)];
    let body = format!(r#"{{"from":"kio_rcs","to":"{WITHOUT}","composing":{{}}}}"#);
    Request::new("POST /v1/XXXXX6913850XXXX/rcs/events", &headers, body)
}

fn kaleyra_message() -> Request {
    let body = format!(r#"{{"from":"kio_rcs","to":["{WITH}"],"text":"Hello"}}"#);
    Request::new("POST /v1/XXXXX6913850XXXX/rcs/messages", &[JSON, ("api-key", KALEYRA_KEY)], body)
}

fn pinnacle_typing() -> Request {
    let body = format!(r#"{{"agentId":"agent_pinnacle","to":"{WITHOUT}"}}"#);
    Request::new("POST /messages/send/typing", &[JSON, ("PINNACLE-API-KEY", "test_key")], body)
}

fn pinnacle_message() -> Request {
    let body = format!(r#"{{"from":"agent_pinnacle","to":"{WITH}","text":"hello"}}"#);
    Request::new("POST /messages/send/rcs", &[JSON, ("PINNACLE-API-KEY", "test_key")], body)
}

const SALESFORCE_TOKEN: &str = "Bearer 00Dxx0000000001!AQEAQTESTTOKEN";

fn salesforce_typing() -> Request {
    let headers = [
        ("Content-Type", "multipart/form-data; boundary=b"),
        ("Authorization", SALESFORCE_TOKEN),
        ("OrgId", "00Dxx0000000001"),
        ("RequestId", "1"),
        ("AuthorizationContext", "Partner1_ChannelDefinition1"),
    ];
    let body = r#"--b
Content-Disposition: form-data; name="json"

{"to":"b0ffeafe-1","from":"David Wood","interactions":[{"timestamp":1688190840000,"interactionType":"EntryInteraction","payload":{"id":"1","entryType":"TypingStartedIndicator","timestamp":1688190840000}}]}
--b--
"#;
    Request::new("POST /api/v1/interactions", &headers, body.replace('\n', "\r\n"))
}

fn native_signal() -> Request {
    let body = format!(
        r#"{{"channel":"pinnacle","agent":"agent_x","user":"{WITHOUT}","composer":"agent","state":"composing"}}"#
    );
    Request::new("POST /typing/v1/signals", &[JSON, ("Authorization", "Bearer acme-key")], body)
}

/// Of the conversation that the message would end.
const EXPLAIN: &str = "GET /typing/v1/explain?agent=agent_pinnacle&user=%2B14155550001";

fn native_get(line: &'static str) -> Request {
    Request::new(line, &[("Authorization", "Bearer acme-key")], "")
}

fn native_ticket() -> Request {
    let body = r#"{"side":"agent","access":"read_write"}"#;
    Request::new("POST /typing/v1/tickets", &[JSON, ("Authorization", "Bearer acme-key")], body)
}

/// What asks for a socket, by a header that must be worth nothing here.
fn socket(line: &'static str) -> Request {
    let headers = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Authorization", "Bearer acme-key"),
    ];
    Request::new(line, &headers, "")
}

/// The status, and the word or number by which the door's dialect says it.
type Said = (u16, String);

/// Reads the code of any door's dialect.
fn said(answer: &Answer) -> Said {
    let body = answer.json();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let code = match (&body["code"], &body["error"], &body["title"]) {
        (Value::Null, Value::Null, title) => text(title),
        (Value::Null, error, _) => text(error),
        (code, _, _) => text(code),
    };
    let of_kaleyra = [&body["error"]["error_code"], &body["data"]["error"]["error_code"]];
    let code = match of_kaleyra.into_iter().find_map(Value::as_str) {
        Some(error_code) => format!("{code} {error_code}"),
        None => code,
    };
    (answer.status, code)
}

fn refused(status: u16, code: &str) -> Said {
    (status, code.to_owned())
}

/// What does not belong to a door, each with how the door says so.
fn table() -> Vec<(String, Request, Said)> {
    let mut rows = Vec::new();
    let mut row = |door: &str, case: &str, request: Request, said: Said| {
        rows.push((format!("{door}: {case}"), request, said));
    };
    let huge = "k".repeat(8 * 1024);

    // One header with a credential, whatever its scheme: every door has one that must be right.
    let unauthorized_event = refused(401, "RBC001 UNAUTHORIZED");
    let unauthorized_message = refused(401, "1401 UNAUTHORIZED");
    let unauthorized_pinnacle = refused(401, "the credentials are missing or wrong");
    let unauthorized_salesforce = refused(401, "10004");
    let unauthorized_native = refused(401, "Unauthorized");
    for (door, good, header, scheme, foreign, said) in [
        (
            "kaleyra typing",
            kaleyra_typing(),
            "api-key",
            "",
            ["globex-kaleyra-key", KALEYRA_SECOND],
            &unauthorized_event,
        ),
        (
            "kaleyra typing",
            kaleyra_typing(),
            "Authorization",
            "Basic ",
            [BASIC_GLOBEX, BASIC_SECOND],
            &unauthorized_event,
        ),
        (
            "kaleyra message",
            kaleyra_message(),
            "api-key",
            "",
            ["globex-kaleyra-key", KALEYRA_SECOND],
            &unauthorized_message,
        ),
        (
            "salesforce",
            salesforce_typing(),
            "Authorization",
            "Bearer ",
            ["Bearer globex-token", "Bearer acme-second-token"],
            &unauthorized_salesforce,
        ),
    ] {
        row(door, &format!("the other tenant's {header}"), good.with(header, &[foreign[0]]), said.clone());
        row(door, &format!("the other account's {header}"), good.with(header, &[foreign[1]]), said.clone());
        wrong_in_any_way(&mut row, door, &good, header, scheme, &huge, said);
    }
    for (door, good) in [("pinnacle typing", pinnacle_typing()), ("pinnacle message", pinnacle_message())] {
        wrong_in_any_way(&mut row, door, &good, "PINNACLE-API-KEY", "", &huge, &unauthorized_pinnacle);
        // A key says which account it is: what is not that account's is the agent.
        let other_key = |key: &str| good.with("PINNACLE-API-KEY", &[key]);
        row(
            door,
            "the other tenant's key",
            other_key("globex-pinnacle-key"),
            refused(404, "there is no such agent"),
        );
        row(
            door,
            "the other account's key",
            other_key("other_key"),
            refused(403, "the agent belongs to another account"),
        );
        let agent = |agent: &str| good.with_body("agent_pinnacle", agent);
        row(door, "the other tenant's agent", agent("agent_globex"), refused(404, "there is no such agent"));
        row(
            door,
            "the other account's agent",
            agent("agent_other"),
            refused(403, "the agent belongs to another account"),
        );
    }
    for (door, good) in [
        ("signals", native_signal()),
        ("leases", native_get("GET /typing/v1/leases")),
        ("stream", native_get("GET /typing/v1/stream")),
        ("explain", native_get(EXPLAIN)),
        ("tickets", native_ticket()),
    ] {
        wrong_in_any_way(&mut row, door, &good, "Authorization", "Bearer ", &huge, &unauthorized_native);
        for key in [KALEYRA_KEY, "test_key", "00Dxx0000000001!AQEAQTESTTOKEN", "user:pass"] {
            let other_doors = good.with("Authorization", &[&format!("Bearer {key}")]);
            row(door, &format!("another door's credential, {key}"), other_doors, unauthorized_native.clone());
        }
    }
    // Who comes by a ticket comes by nothing else.
    for (case, line) in [
        ("no ticket", "GET /typing/v1/socket"),
        ("an empty ticket", "GET /typing/v1/socket?ticket="),
        ("a key for a ticket", "GET /typing/v1/socket?ticket=acme-key"),
        ("nobody's ticket", "GET /typing/v1/socket?ticket=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("nobody's ticket in capitals", "GET /typing/v1/socket?TICKET=AAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        row("socket", case, socket(line), unauthorized_native.clone());
        row(
            "socket",
            &format!("{case} and no key"),
            socket(line).without(&["Authorization"]),
            unauthorized_native.clone(),
        );
    }
    for (case, line) in [
        ("an empty ticket", "GET /typing/v1/stream?ticket="),
        ("a key for a ticket", "GET /typing/v1/stream?ticket=acme-key"),
        ("nobody's ticket", "GET /typing/v1/stream?ticket=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        row("stream", case, native_get(line), unauthorized_native.clone());
    }

    let typing = kaleyra_typing();
    row(
        "kaleyra typing",
        "neither",
        typing.without(&["api-key", "Authorization"]),
        unauthorized_event.clone(),
    );
    let at = |line, request: Request| Request { line, ..request };
    for (case, typing_line, message_line) in [
        ("the other tenant's sid", "POST /v1/globex/rcs/events", "POST /v1/globex/rcs/messages"),
        (
            "the other account's sid",
            "POST /v1/xxxxx6913850xxxx/rcs/events",
            "POST /v1/xxxxx6913850xxxx/rcs/messages",
        ),
        ("nobody's sid", "POST /v1/nobody/rcs/events", "POST /v1/nobody/rcs/messages"),
    ] {
        row("kaleyra typing", case, at(typing_line, kaleyra_typing()), unauthorized_event.clone());
        row("kaleyra message", case, at(message_line, kaleyra_message()), unauthorized_message.clone());
    }
    let wrong_basic = Request {
        headers: [kaleyra_message().headers, vec![("Authorization", BASIC_GLOBEX.to_owned())]].concat(),
        ..kaleyra_message()
    };
    row("kaleyra message", "a good key and another's Basic", wrong_basic, unauthorized_message.clone());
    for (case, agent) in
        [("the other tenant's agent", "globex_rcs"), ("the other account's agent", "rcs-test")]
    {
        row(
            "kaleyra typing",
            case,
            kaleyra_typing().with_body("kio_rcs", agent),
            refused(400, "RCS1004 PROV_ERROR"),
        );
        row(
            "kaleyra message",
            case,
            kaleyra_message().with_body("kio_rcs", agent),
            refused(400, "1400 INVALID_REQUEST"),
        );
    }

    let good = salesforce_typing();
    for (case, header, value, said) in [
        (
            "a connector whose token call failed",
            "Authorization",
            &["Bearer null"][..],
            unauthorized_salesforce.clone(),
        ),
        ("no org", "OrgId", &[], refused(400, "10016")),
        ("half an org", "OrgId", &["00Dxx00"], refused(400, "10016")),
        ("two orgs", "OrgId", &["00Dxx0000000001", "00Dxx0000000001"], refused(400, "10016")),
        ("the other account's org", "OrgId", &["00Dxx0000000002"], unauthorized_salesforce.clone()),
        ("the other tenant's org", "OrgId", &["00Dxx0000000003"], unauthorized_salesforce),
        ("no context", "AuthorizationContext", &[], refused(400, "10016")),
        ("an empty context", "AuthorizationContext", &[""], refused(400, "10016")),
        ("two contexts", "AuthorizationContext", &["Partner1_ChannelDefinition1"; 2], refused(400, "10016")),
        ("half a context", "AuthorizationContext", &["Partner1_Channel"], refused(403, "10005")),
        ("the other account's context", "AuthorizationContext", &["acme_Context"], refused(403, "10005")),
        ("the other tenant's context", "AuthorizationContext", &["globex_Context"], refused(403, "10005")),
        ("no request id", "RequestId", &[], refused(400, "10016")),
    ] {
        row("salesforce", case, good.with(header, value), said);
    }
    row(
        "salesforce",
        "the other account's address",
        good.with_body("b0ffeafe-1", "second-1"),
        refused(403, "10001"),
    );
    row(
        "salesforce",
        "the other tenant's address",
        good.with_body("b0ffeafe-1", "globex-1"),
        refused(404, "10017"),
    );
    rows
}

/// Every way in which one header's credential can be wrong by itself.
fn wrong_in_any_way(
    row: &mut impl FnMut(&str, &str, Request, Said),
    door: &str,
    good: &Request,
    header: &'static str,
    scheme: &str,
    huge: &str,
    said: &Said,
) {
    let value = good.value(header).to_owned();
    let secret = value.strip_prefix(scheme).unwrap();
    let mut add = |case: &str, values: &[&str]| {
        row(door, &format!("{case} {header}"), good.with(header, values), said.clone());
    };
    add("no", &[]);
    add("an empty", &[""]);
    add("half a", &[&format!("{scheme}{}", &secret[..secret.len() / 2])]);
    add("a longer", &[&format!("{scheme}{secret}x")]);
    add("an upside-down", &[&format!("{scheme}{}", flip_case(secret))]);
    add("the same twice in", &[&value, &value]);
    add("a wrong one after the right in", &[&value, &format!("{scheme}wrong")]);
    add("a wrong one before the right in", &[&format!("{scheme}wrong"), &value]);
    add("two in one", &[&format!("{value}, {value}")]);
    add("a huge", &[&format!("{scheme}{huge}")]);
    add("a binary", &[&format!("{scheme}{secret}\u{e9}")]);
    if scheme.is_empty() {
        add("a scheme before the", &[&format!("Bearer {value}")]);
    } else {
        add("no scheme in", &[secret]);
        add("a scheme alone in", &[scheme.trim_end()]);
        for other in ["Basic ", "Bearer ", "Digest ", "Token "] {
            if other != scheme {
                add(&format!("{other}in"), &[&format!("{other}{secret}")]);
            }
        }
    }
}

fn flip_case(text: &str) -> String {
    let flip = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    let flipped: String = text.chars().map(flip).collect();
    assert_ne!(flipped, text);
    flipped
}

/// All leases of both tenants, as they stand.
async fn leases(gateway: &InProcess) -> [Value; 2] {
    let mut all = [Value::Null, Value::Null];
    for (held, key) in all.iter_mut().zip(["Bearer acme-key", "Bearer globex-key"]) {
        let request = native_get("GET /typing/v1/leases").with("Authorization", &[key]);
        *held = gateway.exchange(&request.bytes()).await.json()["leases"].take();
    }
    all
}

#[tokio::test(start_paused = true)]
async fn nobody_gets_in_who_does_not_belong() {
    let gateway = InProcess::with(two_tenants());
    // What a refused message could end.
    for typing in [kaleyra_typing(), pinnacle_typing()] {
        assert_eq!(gateway.exchange(&typing.with_body(WITHOUT, WITH).bytes()).await.decision(), "started");
    }
    let before = leases(&gateway).await;
    assert_eq!(before.each_ref().map(|leases| leases.as_array().unwrap().len()), [2, 0]);

    let table = table();
    println!("{} rows", table.len());
    for (case, request, expected) in table {
        let answer = gateway.exchange(&request.bytes()).await;
        assert_eq!(said(&answer), expected, "{case}: {}", answer.body);
        assert_eq!(answer.header("typing-decision"), None, "{case}");
        assert_eq!(leases(&gateway).await, before, "{case}");
    }

    // Unchanged, each of them is let in, and changes what the table's must not.
    for (request, decision) in [
        (kaleyra_typing(), "started"),
        (kaleyra_message(), "ended"),
        (pinnacle_typing(), "started"),
        (pinnacle_message(), "ended"),
        (salesforce_typing(), "started"),
        (native_signal(), "started"),
    ] {
        let answer = gateway.exchange(&request.bytes()).await;
        assert_eq!(answer.decision(), decision, "{}: {}", request.line, answer.body);
    }
}

/// The doors with all credentials changed.
fn renewed(tenancy: &Tenancy) -> Tenancy {
    let mut tenancy = tenancy.clone();
    for tenant in &mut tenancy.tenants {
        tenant.api_keys = vec![Secret::new(format!("new-{}", tenant.name))];
    }
    let accounts = &mut tenancy.accounts;
    for (at, account) in accounts.kaleyra.iter_mut().enumerate() {
        account.api_keys = vec![Secret::new(format!("new-kaleyra-{at}"))];
    }
    for (at, account) in accounts.pinnacle.iter_mut().enumerate() {
        account.api_keys = vec![Secret::new(format!("new-pinnacle-{at}"))];
    }
    for (at, account) in accounts.salesforce.iter_mut().enumerate() {
        account.tokens = vec![Secret::new(format!("new-salesforce-{at}"))];
    }
    tenancy
}

#[tokio::test(start_paused = true)]
async fn a_revoked_credential_is_refused_at_every_door() {
    let config = two_tenants();
    let (before, after) = (config.tenancy.clone(), renewed(&config.tenancy));
    let gateway = InProcess::with(config);
    let doors = [
        (kaleyra_typing(), "api-key", "new-kaleyra-0", (401, "RBC001 UNAUTHORIZED")),
        (kaleyra_message(), "api-key", "new-kaleyra-0", (401, "1401 UNAUTHORIZED")),
        (
            pinnacle_typing(),
            "PINNACLE-API-KEY",
            "new-pinnacle-0",
            (401, "the credentials are missing or wrong"),
        ),
        (
            pinnacle_message(),
            "PINNACLE-API-KEY",
            "new-pinnacle-0",
            (401, "the credentials are missing or wrong"),
        ),
        (salesforce_typing(), "Authorization", "Bearer new-salesforce-0", (401, "10004")),
        (native_signal(), "Authorization", "Bearer new-acme", (401, "Unauthorized")),
        (native_get("GET /typing/v1/leases"), "Authorization", "Bearer new-acme", (401, "Unauthorized")),
        (native_get("GET /typing/v1/stream"), "Authorization", "Bearer new-acme", (401, "Unauthorized")),
        (native_get(EXPLAIN), "Authorization", "Bearer new-acme", (401, "Unauthorized")),
        (native_ticket(), "Authorization", "Bearer new-acme", (401, "Unauthorized")),
    ];
    gateway.0.gateway().reload(after.clone()).await.unwrap();
    for (request, header, new, (status, code)) in &doors {
        let answer = gateway.exchange(&request.bytes()).await;
        assert_eq!(said(&answer), refused(*status, code), "{}", request.line);
        if !request.line.ends_with("stream") {
            let answer = gateway.exchange(&request.with(header, &[new]).bytes()).await;
            assert!(answer.status < 300, "{}: {}", request.line, answer.body);
        }
    }
    // A revoked Basic is worth nothing beside a good key, either.
    let mut without_basic = before.clone();
    without_basic.accounts.kaleyra[0].basics.clear();
    gateway.0.gateway().reload(without_basic).await.unwrap();
    let answer = gateway.exchange(&kaleyra_typing().bytes()).await;
    assert_eq!(said(&answer), refused(401, "RBC001 UNAUTHORIZED"));
    // And back.
    gateway.0.gateway().reload(before).await.unwrap();
    for (request, header, new, _) in doors.iter().filter(|(request, ..)| !request.line.ends_with("stream")) {
        assert!(gateway.exchange(&request.bytes()).await.status < 300, "{}", request.line);
        let answer = gateway.exchange(&request.with(header, &[new]).bytes()).await;
        assert_eq!(answer.status, 401, "{}", request.line);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_rotated_without_a_gap() {
    let config = config(Duration::from_secs(20));
    let keys = |keys: &[&str]| {
        let mut tenancy = config.tenancy.clone();
        tenancy.tenants[0].api_keys = keys.iter().map(|key| Secret::new(*key)).collect();
        tenancy.accounts.pinnacle[0].api_keys = keys.iter().map(|key| Secret::new(*key)).collect();
        tenancy
    };
    let (old, both, new) = (keys(&["old"]), keys(&["old", "new"]), keys(&["new"]));
    let gateway = InProcess::with(Config { tenancy: old, ..config.clone() });
    let statuses = async || {
        let mut statuses = Vec::new();
        for key in ["old", "new"] {
            let at_door = pinnacle_typing().with("PINNACLE-API-KEY", &[key]);
            let native = native_signal().with("Authorization", &[&format!("Bearer {key}")]);
            statuses.push(gateway.exchange(&at_door.bytes()).await.status);
            statuses.push(gateway.exchange(&native.bytes()).await.status);
        }
        statuses
    };
    let mut by_old = gateway.stream("", "old").await;
    let mut foreign = gateway.stream("", "globex-key").await;
    assert_eq!(statuses().await, [200, 200, 401, 401]);
    assert_eq!(by_old.whats(3).await, ["snapshot", "started", "started"]);

    gateway.0.gateway().reload(both).await.unwrap();
    assert_eq!(statuses().await, [200; 4]);
    let mut by_new = gateway.stream("", "new").await;
    assert_eq!(by_new.whats(1).await, ["snapshot"]);
    let mut narrow = gateway.stream("?agent=agent_x", "old").await;
    assert_eq!(narrow.whats(1).await, ["snapshot"]);

    gateway.0.gateway().reload(new).await.unwrap();
    assert_eq!(statuses().await, [401, 401, 200, 200]);
    for mut ended in [by_old, narrow] {
        assert_eq!(ended.whats(1).await, ["closed revoked"]);
        assert!(ended.next().await.is_none());
    }
    let message = pinnacle_message().with("PINNACLE-API-KEY", &["new"]).with_body(WITH, WITHOUT);
    assert_eq!(gateway.exchange(&message.bytes()).await.decision(), "ended");
    assert_eq!(by_new.whats(1).await, ["stopped sent"], "the other stream goes on");
    gateway.0.drain().await;
    assert_eq!(foreign.whats(2).await, ["snapshot", "closed draining"]);
}

/// What a reload finds nobody to close for, because they were let in before it and subscribe after it.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_while_its_stream_opens_opens_none() {
    let mut config = config(Duration::from_secs(20));
    config.tenancy.tenants[0].quota.streams = 1;
    let gateway = InProcess::with(config.clone()).0.gateway().clone();
    let login = gateway.directory.load().login("acme-key").unwrap();
    let open = async || Stream::open(gateway.clone(), Scope::tenant("acme"), None, &login).await;
    assert!(open().await.is_ok());
    gateway.reload(renewed(&config.tenancy)).await.unwrap();
    let refused = http::Response::from(open().await.err().expect("the key is not good any more"));
    assert_eq!(refused.status(), 401);
    gateway.reload(config.tenancy).await.unwrap();
    assert!(open().await.is_ok(), "the place that it took is free again");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_is_gone_loses_its_streams_and_leases_and_nobody_else_does() {
    let config = two_tenants();
    let mut without = config.tenancy.clone();
    without.tenants.retain(|tenant| tenant.name == "acme");
    let accounts = &mut without.accounts;
    accounts.kaleyra.retain(|account| account.common.tenant == "acme");
    accounts.pinnacle.retain(|account| account.common.tenant == "acme");
    accounts.salesforce.retain(|account| account.common.tenant == "acme");
    let gateway = InProcess::with(config.clone());
    let mut ours = gateway.stream("", "acme-key").await;
    let mut theirs = gateway.stream("", "globex-key").await;
    let their_typing = pinnacle_typing()
        .with("PINNACLE-API-KEY", &["globex-pinnacle-key"])
        .with_body("agent_pinnacle", "agent_globex");
    gateway.exchange(&pinnacle_typing().bytes()).await;
    assert_eq!(gateway.exchange(&their_typing.bytes()).await.decision(), "started");
    gateway.0.gateway().reload(without).await.unwrap();
    assert_eq!(theirs.whats(3).await, ["snapshot", "started", "closed revoked"]);
    assert_eq!(gateway.exchange(&their_typing.bytes()).await.status, 401);
    gateway.0.gateway().reload(config.tenancy).await.unwrap();
    let [acme, globex] = leases(&gateway).await;
    assert_eq!((acme.as_array().unwrap().len(), globex), (1, json!([])));
    gateway.exchange(&pinnacle_message().with_body(WITH, WITHOUT).bytes()).await;
    assert_eq!(ours.whats(3).await, ["snapshot", "started", "stopped sent"]);
}

/// Takes every signature for its own.
#[derive(Debug)]
struct Trusting;

impl AssertionKey for Trusting {
    fn verifies(&self, _: &[u8], _: &[u8]) -> bool {
        true
    }
}

/// A token for whoever is the connected app of this name.
async fn token(gateway: &InProcess, issuer: &str) -> Answer {
    let Gateway { clock, .. } = &**gateway.0.gateway();
    let expires_at = clock.wall(clock.now()).as_second() + 60;
    let claims =
        format!(r#"{{"iss":"{issuer}","sub":"me","aud":"https://login.salesforce.com","exp":{expires_at}}}"#);
    let [header, claims] = [r#"{"alg":"RS256"}"#, &claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let grant =
        format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={header}.{claims}.AA");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    gateway.exchange(&Request::new("POST /services/oauth2/token", &[form], grant).bytes()).await
}

#[tokio::test(start_paused = true)]
async fn an_issued_token_is_good_for_two_hours_and_for_its_org_and_contexts() {
    let mut config = two_tenants();
    let app = ConnectedApp {
        issuer: "app".to_owned(),
        key: Arc::new(Trusting),
        subjects: Patterns::new(["me"]),
        contexts: Some(vec!["Partner1_ChannelDefinition1".to_owned()]),
    };
    let account = &mut config.tenancy.accounts.salesforce[0];
    account.contexts.insert("Not_Granted".to_owned(), Patterns::any());
    account.connected_apps = ConnectedApps::Only(vec![app]);
    let mut without_app = config.tenancy.clone();
    without_app.accounts.salesforce[0].connected_apps = ConnectedApps::default();
    let gateway = InProcess::with(config.clone());
    let stranger = token(&gateway, "stranger").await;
    assert_eq!(said(&stranger), refused(400, "invalid_client_id"));
    let granted = token(&gateway, "app").await;
    let token = format!("Bearer {}", granted.json()["access_token"].as_str().expect(&granted.body));

    let good = salesforce_typing().with("Authorization", &[&token]);
    let half = &token[..token.len() / 2];
    for (case, request, expected) in [
        ("another org", good.with("OrgId", &["00Dxx0000000002"]), refused(401, "10004")),
        ("another tenant's org", good.with("OrgId", &["00Dxx0000000003"]), refused(401, "10004")),
        ("another context", good.with("AuthorizationContext", &["globex_Context"]), refused(403, "10005")),
        ("a context not granted", good.with("AuthorizationContext", &["Not_Granted"]), refused(403, "10005")),
        ("half", good.with("Authorization", &[half]), refused(401, "10004")),
        (
            "moved to another org",
            good.with("OrgId", &["00Dxx0000000003"])
                .with("Authorization", &[&token.replace("00Dxx0000000001", "00Dxx0000000003")]),
            refused(401, "10004"),
        ),
        ("another address", good.with_body("b0ffeafe-1", "globex-1"), refused(404, "10017")),
    ] {
        assert_eq!(said(&gateway.exchange(&request.bytes()).await), expected, "{case}");
        assert_eq!(leases(&gateway).await, [json!([]), json!([])], "{case}");
    }
    // Another process with other keys takes none of it.
    let elsewhere = InProcess::with(Config { keys: Keys::random(), ..config.clone() });
    assert_eq!(said(&elsewhere.exchange(&good.bytes()).await), refused(401, "10004"));

    gateway.0.gateway().reload(without_app).await.unwrap();
    assert_eq!(said(&gateway.exchange(&good.bytes()).await), refused(401, "10004"), "its app is gone");
    gateway.0.gateway().reload(config.tenancy).await.unwrap();

    tokio::time::advance(Duration::from_secs(2 * 60 * 60 - 2)).await;
    assert_eq!(gateway.exchange(&good.bytes()).await.decision(), "started");
    assert_eq!(
        gateway
            .exchange(&good.with_body("Started", "Stopped").with_body(r#""id":"1""#, r#""id":"2""#).bytes())
            .await
            .decision(),
        "ended"
    );
    tokio::time::advance(Duration::from_secs(2)).await;
    let late = good.with_body(r#""id":"1""#, r#""id":"3""#);
    assert_eq!(said(&gateway.exchange(&late.bytes()).await), refused(401, "10004"));
    assert_eq!(leases(&gateway).await, [json!([]), json!([])]);
}
