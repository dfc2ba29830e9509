//! A message through both gateways, to the byte: what leaves them is what came, but for credentials and the agent's
//! name, and what is answered there comes back.

use std::fmt::Write;

use super::dots::{kaleyra_message, rbm};
use super::http::{Client, Message, Recorder, exchange, json, retold};
use super::{ACMES_SECRETS, DESK, DISPLAY_MS, acme, provider, start, token, upstreams};

const PINNACLE: &str = include_str!("../../captures/pinnacle-python-message.req");
const CHUNKED: &str = include_str!("../../captures/salesforce-connector-message-chunked.req");
const CURL: &str = include_str!("../../captures/salesforce-curl-message.req");
const FAILED: &str = include_str!("../../captures/salesforce-curl-delivery-failed.req");

/// What proxies and browsers add, none of which is the provider's business.
const NEARBY: &str = "\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: acme.example\
    \r\nForwarded: for=203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\nCookie: session=acme\r\n\r\n";

/// What is not passed on as it is: of one connection, a credential, or what [`NEARBY`] has.
const CHANGED: [&str; 17] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "authorizationcontext",
    "connection",
    "content-length",
    "cookie",
    "forwarded",
    "host",
    "orgid",
    "pinnacle-api-key",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

const SALESFORCE: [(&str, &str); 3] = [
    ("authorization", "Bearer last-sf"),
    ("authorizationcontext", "last_Context"),
    ("orgid", "00Dlast00000001"),
];

/// The second's own accounts, at the recorder.
fn second(recorder: &str) -> String {
    let agents = [
        ("far_kio", "kio_of_the_last_one"),
        ("agent_far", "agent_last"),
        ("far-desk", "last-desk"),
        ("far_rbm", "last_rbm"),
    ];
    let upstreams = upstreams(recorder, "last", agents, &token("last", DISPLAY_MS));
    format!("{}{upstreams}", provider(7_000, ""))
}

fn check_headers(what: &str, sent: &Message, got: &Message, recorder: &str, credentials: &[(&str, &str)]) {
    assert_eq!(got.headers_but(&CHANGED), sent.headers_but(&CHANGED), "{what}: all others are as they were");
    let changed = got.headers.iter().filter(|(name, _)| CHANGED.contains(&name.as_str()));
    let mut changed: Vec<_> = changed.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    changed.sort_unstable();
    let length = got.body.len().to_string();
    let delimited = match got.header("transfer-encoding") {
        Some(_) => ("transfer-encoding", "chunked"),
        None => ("content-length", length.as_str()),
    };
    let mut expected = [credentials, &[("host", recorder), delimited]].concat();
    expected.sort_unstable();
    assert_eq!(changed, expected, "{what}");
    let head: String = got.headers.iter().fold(got.line.clone(), |mut head, (name, value)| {
        write!(head, "\r\n{name}: {value}").unwrap();
        head
    });
    for secret in ACMES_SECRETS.iter().chain(&["prov", "203.0.113.9"]) {
        assert!(!head.contains(secret), "{what}: {secret} in {head}");
    }
}

/// What it is, the request, what is asked at last, the agent's name in the body and its last name, and the credentials.
type Row<'r> = (&'r str, Vec<u8>, &'r str, [&'r str; 2], &'r [(&'r str, &'r str)]);

#[tokio::test]
async fn a_message_leaves_as_it_came_and_its_answer_comes_back() {
    let mut recorder =
        Recorder::start(|request| json("207 Multi-Status", &format!(r#"{{"asks":"{}"}}"#, request.asks())))
            .await;
    let second = start("bytes-second", &second(&recorder.address)).await;
    let first = start("bytes-first", &acme(&second.address.to_string(), &token("prov", DISPLAY_MS))).await;
    let basic = [("api-key", "last-kaleyra"), ("authorization", "Basic bGFzdHVzZXI6bGFzdHBhc3M=")];
    let salesforce = "POST /api/v1/interactions";
    let message = r#"{"contentMessage":{"text":"Hello"}, "ttl":"10s"}"#;
    let table: [Row<'_>; 6] = [
        (
            "kaleyra",
            kaleyra_message(),
            "POST /v1/lastsid/rcs/messages",
            ["kio_rcs", "kio_of_the_last_one"],
            &basic,
        ),
        (
            "pinnacle",
            PINNACLE.into(),
            "POST /messages/send/rcs",
            ["agent_pinnacle", "agent_last"],
            &[("pinnacle-api-key", "last-pinnacle")],
        ),
        ("salesforce, in chunks", CHUNKED.into(), salesforce, [DESK, "last-desk"], &SALESFORCE),
        ("salesforce", CURL.into(), salesforce, [DESK, "last-desk"], &SALESFORCE),
        ("a failed delivery", FAILED.into(), salesforce, [DESK, "last-desk"], &SALESFORCE),
        (
            "rbm",
            rbm("agentMessages", "messageId", message),
            "POST /v1/phones/+14155550123/agentMessages?messageId=4f0c-agentMessages&agentId=last_rbm",
            ["", ""],
            &[("authorization", "Bearer last-rbm")],
        ),
    ];
    for (what, request, asks, [ours, theirs], credentials) in table {
        let request = retold(std::str::from_utf8(&request).unwrap(), &[]);
        let text = String::from_utf8(request).unwrap().replacen("\r\n\r\n", NEARBY, 1);
        let sent = Message::of(text.as_bytes()).await;
        let answer = exchange(first.address, text.as_bytes()).await;
        let got = recorder.next().await;
        assert_eq!(got.asks(), asks, "{what}");
        assert_eq!(got.text(), sent.text().replacen(ours, theirs, 1), "{what}");
        check_headers(what, &sent, &got, &recorder.address, credentials);

        let own = Message::of(&json("207 Multi-Status", &format!(r#"{{"asks":"{asks}"}}"#))).await;
        let added = ["date", "typing-decision", "typing-expires-in", "x-request-id"];
        assert_eq!((answer.status(), answer.text()), (207, own.text()), "{what}");
        assert_eq!(answer.headers_but(&added), own.headers_but(&added), "{what}");
    }
    assert!(recorder.is_read(), "each arrived once");
}

/// A message with a file, in two pieces, the first of which has all that it says.
fn with_file(is_chunked: bool) -> [Vec<u8>; 2] {
    let json = format!(
        r#"{{"to":"{DESK}","from":"David Wood","interactions":[{{"timestamp":1688190840000,"interactionType":"AttachmentInteraction","id":"file-{is_chunked}","attachmentIndex":0,"contentLength":{FILE}}}]}}"#
    );
    let before = format!(
        "--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--b\r\nContent-Disposition: form-data; \
         name=\"attachments\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
    );
    // Every byte there is, in no order that repeats soon.
    let file = (0..FILE).map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[1]);
    let body: Vec<u8> = before.bytes().chain(file).chain(*b"\r\n--b--\r\n").collect();
    let (start, rest) = body.split_at(before.len() + 64 * 1024);
    let framing = match is_chunked {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {}", body.len()),
    };
    let head = format!(
        "POST /api/v1/interactions HTTP/1.1\r\nHost: t\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Authorization: Bearer 00Dxx0000000001!AQEAQTESTTOKEN\r\nOrgId: 00Dxx0000000001\r\nRequestId: 1\r\n\
         AuthorizationContext: Partner1_ChannelDefinition1\r\n{framing}\r\n\r\n"
    );
    let piece = |bytes: &[u8], end: &str| match is_chunked {
        true => [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, end.as_bytes()].concat(),
        false => bytes.to_vec(),
    };
    [[head.as_bytes(), &piece(start, "\r\n")].concat(), piece(rest, "\r\n0\r\n\r\n")]
}

const FILE: u32 = 3 << 20;

#[tokio::test]
async fn a_file_of_3_mib_is_streamed_through_both_and_arrives_whole() {
    let mut recorder = Recorder::start(|_| json("202 Accepted", r#"{"success":true}"#)).await;
    let second = start("file-second", &second(&recorder.address)).await;
    let first = start("file-first", &acme(&second.address.to_string(), &token("prov", DISPLAY_MS))).await;
    for is_chunked in [false, true] {
        let what = if is_chunked { "in chunks" } else { "with its length" };
        let [start, rest] = with_file(is_chunked);
        let sent = Message::of(&[&start[..], &rest].concat()).await;
        let mut client = Client::connect(first.address).await;
        client.send(&start).await;
        // Its head is there while most of the file is still here.
        assert_eq!(recorder.begun().await.asks(), "POST /api/v1/interactions", "{what}");
        client.send(&rest).await;
        let answer = client.answer().await;
        assert_eq!((answer.status(), answer.text().as_str()), (202, r#"{"success":true}"#), "{what}");

        let got = recorder.next().await;
        let split = |body: &[u8]| {
            let at = body.windows(DESK.len()).position(|window| window == DESK.as_bytes()).unwrap();
            [body[..at].to_vec(), body[at + DESK.len()..].to_vec()]
        };
        let expected = split(&sent.body).join(&b"last-desk"[..]);
        assert_eq!(got.body.len(), expected.len(), "{what}");
        assert_eq!(blake3::hash(&got.body), blake3::hash(&expected), "{what}");
        assert_eq!(got.header("transfer-encoding").is_some(), is_chunked, "{what}");
        check_headers(what, &sent, &got, &recorder.address, &SALESFORCE);
    }
}
