//! A request that came to a door, as the provider has it: byte for byte, with our credentials and none of the caller's.

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use typingd_core::Name;
use typingd_providers::upstream::{self, Passing};
use typingd_providers::{Secret, Upstream, pinnacle};

use crate::access_tokens::google_without_token;
use crate::fixture::{all_upstreams, fresh};

/// A request as it stands on the wire, its lines ending in LF, and the bytes of its body.
pub(crate) fn request(text: &str) -> (Parts, Bytes) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let mut words = lines.next().expect("there is a request line").split(' ');
    let mut request = Request::builder().method(words.next().unwrap_or("")).uri(words.next().unwrap_or(""));
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header has a name and a value");
        request = request.header(name, value);
    }
    let head = request.body(()).expect("the head is well-formed").into_parts().0;
    (head, Bytes::copy_from_slice(body.as_bytes()))
}

/// The names by which the fixture's providers know some agents.
pub(crate) fn renamed(ours: &str) -> Option<Name> {
    match ours {
        "ours" | "agent_ours" => Some("agent_theirs".into()),
        "agent \"é\"" => Some("agent_\"ü\"\\".into()),
        _ => None,
    }
}

/// What the provider gets, as it stands on the wire.
pub(crate) fn passed(upstream: &dyn Upstream, head: &Parts, path: &str, lead: Bytes) -> Option<String> {
    let passing = Passing { head, path, lead, rename: &renamed };
    let request = upstream.pass(passing, &fresh(None))?;
    let headers = request.headers().iter();
    let headers: String = headers
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let body = String::from_utf8_lossy(request.body());
    Some(format!("{} {}\n{headers}\n{body}", request.method(), request.uri()))
}

pub(crate) fn upstream(name: &str) -> Box<dyn Upstream> {
    all_upstreams().into_iter().find(|upstream| upstream.name() == name).expect("there is one")
}

fn check(name: &str, sent: &str, expected: Option<&str>) {
    let (head, body) = request(sent);
    let seen = passed(upstream(name).as_ref(), &head, head.uri.path(), body);
    assert_eq!(seen.as_deref(), expected, "{sent}");
}

#[test]
fn kaleyra_has_it_with_our_sid() {
    check(
        "kaleyra",
        "POST /v1/XXXXX6913850XXXX/rcs/events HTTP/1.1\n\
         Host: 127.0.0.1:18121\n\
         User-Agent: curl/7.88.1\n\
         Accept: */*\n\
         Authorization: Basic dXNlcjpwYXNz\n\
         Content-Type: application/json;charset=UTF-8\n\
         api-key: XXXXX3b8497f58a94e84b671aca43XXXX\n\
         Content-Length: 57\n\n\
         {\n\"from\": \"ours\",\n\"to\": \"+14155550190\",\n\"composing\": {}\n}",
        Some(
            "POST https://provider.example/v1/dev/rcs/events\n\
             user-agent: curl/7.88.1\n\
             accept: */*\n\
             content-type: application/json;charset=UTF-8\n\
             content-length: 65\n\
             authorization: Basic ZGV2OmRldg==\n\
             api-key: dev-kaleyra-key\n\n\
             {\n\"from\": \"agent_theirs\",\n\"to\": \"+14155550190\",\n\"composing\": {}\n}",
        ),
    );
    check(
        "kaleyra",
        "GET /v1/theirs/a%20b/v1/theirs/?x=%2F+&y&api_key=s&=&z= HTTP/1.1\n\
         api-key: theirs\n\
         X-One: 1\n\
         X-Two: 2\n\
         X-One: 3",
        Some(
            "GET https://provider.example/v1/dev/a%20b/v1/theirs/?x=%2F+&y&=&z=\n\
             x-one: 1\n\
             x-one: 3\n\
             x-two: 2\n\
             authorization: Basic ZGV2OmRldg==\n\
             api-key: dev-kaleyra-key\n\n",
        ),
    );
    for path in ["/v1/dev", "/v2/dev/x", "/v1//x", "/", "/v1/dev/../x", "/v1/dev/%2e%2E/x", "/v1/dev/./x"] {
        check("kaleyra", &format!("GET {path} HTTP/1.1"), None);
    }
}

#[test]
fn pinnacle_has_it_under_its_base_url() {
    let sent = "POST /messages/send/typing HTTP/1.1\n\
        host: 127.0.0.1:18101\n\
        connection: keep-alive\n\
        Content-Type: application/json\n\
        x-fern-sdk-name: rcs-js\n\
        pinnacle-api-key: test_key\n\
        accept-encoding: gzip, deflate\n\
        content-length: 48\n\n\
        {\"agentId\":\"agent_pinnacle\",\"to\":\"+14154746461\"}";
    check(
        "pinnacle",
        sent,
        Some(
            "POST https://provider.example/messages/send/typing\n\
             content-type: application/json\n\
             x-fern-sdk-name: rcs-js\n\
             accept-encoding: gzip, deflate\n\
             content-length: 48\n\
             pinnacle-api-key: dev-pinnacle-key\n\n\
             {\"agentId\":\"agent_pinnacle\",\"to\":\"+14154746461\"}",
        ),
    );
    let account = pinnacle::UpstreamAccount {
        common: upstream::Account {
            base_url: "https://provider.example:8443/api/".to_owned(),
            agents: std::collections::BTreeMap::new(),
        },
        api_key: Secret::new("dev-pinnacle-key"),
    };
    let below = pinnacle::PinnacleUpstream::new(account).expect("the settings are right");
    let (head, _) = request("DELETE /pinnacle/brands/1?a=b HTTP/1.1");
    let expected = "DELETE https://provider.example:8443/api/brands/1?a=b\n\
        pinnacle-api-key: dev-pinnacle-key\n\n";
    assert_eq!(passed(&below, &head, "/brands/1", Bytes::new()).as_deref(), Some(expected));
    for path in [
        "",
        "brands",
        "*",
        "@evil.example/",
        ":1/",
        "/a?b",
        "/a#b",
        "/..",
        "/a/../..",
        "/%2e%2e/a",
        "/...",
        "/a//b",
        "//evil.example/",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "/%61",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%0a",
        "/..;/a",
    ] {
        assert_eq!(passed(&below, &head, path, Bytes::new()), None, "{path}");
    }
    for path in ["/a..b", "/.well-known", "/a/", "/a%20b", "/users:batchGet", "/%2B1415"] {
        assert!(passed(&below, &head, path, Bytes::new()).is_some(), "{path}");
    }
}

#[test]
fn salesforce_has_it_with_our_org() {
    let json = r#"{"from":"David Wood", "to" : "ours", "interactions":[]}"#;
    let renamed = r#"{"from":"David Wood", "to" : "agent_theirs", "interactions":[]}"#;
    let part = |json: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--b\r\nContent-Dis")
    };
    check(
        "salesforce",
        &format!(
            "POST /api/v1/interactions HTTP/1.1\n\
             Accept: application/json\n\
             content-type: multipart/form-data; boundary=b\n\
             Authorization: Bearer 00Dxx0000000001!AQEAQTESTTOKEN\n\
             OrgId: 00Dxx0000000001\n\
             AuthorizationContext: Partner1_ChannelDefinition1\n\
             RequestId: 09ab78e9\n\
             User-Agent: axios/0.27.2\n\
             Host: 127.0.0.1:18111\n\
             Connection: keep-alive\n\
             Transfer-Encoding: chunked\n\n{}",
            part(json)
        ),
        Some(&format!(
            "POST https://provider.example/api/v1/interactions\n\
             accept: application/json\n\
             content-type: multipart/form-data; boundary=b\n\
             requestid: 09ab78e9\n\
             user-agent: axios/0.27.2\n\
             orgid: 00Ddev000000000\n\
             authorizationcontext: Dev_Channel\n\
             authorization: Bearer dev-salesforce-token\n\n{}",
            part(renamed)
        )),
    );
    check(
        "salesforce",
        "PATCH /services/data/v60.0/sobjects/Case/5?fields=Id,Name&oauth_token=s HTTP/1.1\n\
         Authorization: Bearer theirs\n\
         content-type: application/json\n\
         content-length: 500000",
        Some(
            "PATCH https://provider.example/services/data/v60.0/sobjects/Case/5?fields=Id,Name\n\
             content-type: application/json\n\
             content-length: 500000\n\
             orgid: 00Ddev000000000\n\
             authorizationcontext: Dev_Channel\n\
             authorization: Bearer dev-salesforce-token\n\n",
        ),
    );
}

#[test]
fn google_has_it_with_its_name_for_the_agent() {
    check(
        "rbm",
        "POST /v1/phones/%2B14155550190/agentMessages?messageId=a%20b&key=s&agentId=ours&alt=json HTTP/1.1\n\
         authorization: Bearer theirs\n\
         x-goog-api-key: theirs\n\
         content-length: 51\n\n\
         {\"contentMessage\":{\"text\":\"ours\"},\"agentId\":\"ours\"}",
        Some(
            "POST https://provider.example/v1/phones/%2B14155550190/agentMessages\
             ?messageId=a%20b&agentId=agent_theirs&alt=json\n\
             content-length: 51\n\
             authorization: Bearer dev-rbm-token\n\n\
             {\"contentMessage\":{\"text\":\"ours\"},\"agentId\":\"ours\"}",
        ),
    );
    check(
        "rbm",
        "GET /v1/files?access_token=s HTTP/1.1",
        Some("GET https://provider.example/v1/files\nauthorization: Bearer dev-rbm-token\n\n"),
    );
    let granted = google_without_token();
    let (head, _) = request("GET /v1/files HTTP/1.1\nauthorization: Bearer theirs");
    assert_eq!(passed(&granted, &head, "/v1/files", Bytes::new()), None, "there is no token");
}

#[test]
fn what_concerns_one_connection_or_the_caller_alone_stays_here() {
    for upstream in all_upstreams() {
        let (head, _) = request(
            "POST /v1/dev/rcs/events HTTP/1.1\n\
             Host: here\n\
             Connection: X-Hop, keep-alive ,x-other\n\
             Connection: \"nonsense\", X-Third\n\
             X-Hop: gone\nX-Other: gone\nX-Third: gone\n\
             Keep-Alive: gone\n\
             Proxy-Authorization: gone\nProxy-Authenticate: gone\nProxy-Connection: gone\n\
             TE: gone\nTrailer: gone\nTransfer-Encoding: chunked\nUpgrade: gone\n\
             Content-Length: 5\n\
             Expect: 100-continue\n\
             Cookie: gone\n\
             Forwarded: gone\nX-Forwarded-For: gone\nX-Forwarded-Proto: gone\nX-Real-IP: gone\n\
             X-Stays: 1\nContent-Encoding: gzip\nX-Stays: 2",
        );
        let passing =
            Passing { head: &head, path: "/v1/dev/rcs/events", lead: Bytes::new(), rename: &renamed };
        let request = upstream.pass(passing, &fresh(None)).expect("it can be made");
        let own = ["authorization", "api-key", "pinnacle-api-key", "orgid", "authorizationcontext"];
        let seen: Vec<String> = request
            .headers()
            .iter()
            .filter(|(name, _)| !own.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("it is text")))
            .collect();
        assert_eq!(seen, ["x-stays: 1", "x-stays: 2", "content-encoding: gzip"], "{}", upstream.name());
    }
}

#[test]
fn no_credential_of_the_callers_reaches_any_provider() {
    const HEADERS: [&str; 10] = [
        "authorization",
        "proxy-authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "x-sfdc-session",
        "pinnacle-api-key",
        "pinnacle-signing-secret",
        "orgid",
        "authorizationcontext",
    ];
    const PARAMETERS: [&str; 12] = [
        "key",
        "Key",
        "k%65y",
        "access_token",
        "oauth_token",
        "api_key",
        "api-key",
        "apikey",
        "token",
        "auth_token",
        "client_secret",
        "password",
    ];
    let both = [("", ""), ("Basic ", ""), ("Bearer ", "second-")];
    for upstream in all_upstreams() {
        for header in HEADERS {
            let mut sent = "POST /v1/dev/rcs/events HTTP/1.1".to_owned();
            for (scheme, which) in both {
                sent += &format!("\n{header}: {scheme}{which}canary");
            }
            // A header that is named as the connection's own is replaced all the same.
            for sent in [format!("{sent}\nConnection: {header}"), sent] {
                let (head, _) = request(&sent);
                let seen = passed(upstream.as_ref(), &head, "/v1/dev/rcs/events", Bytes::new());
                let seen = seen.expect("it can be made");
                assert!(!seen.contains("canary"), "{} {seen}", upstream.name());
                let own =
                    if upstream.name() == "pinnacle" { "pinnacle-api-key: " } else { "authorization: " };
                assert_eq!(seen.matches(own).count(), 1, "{} {seen}", upstream.name());
            }
        }
        for parameter in PARAMETERS {
            let (head, _) = request(&format!("GET /v1/dev/x?a=1&{parameter}=canary&b=2 HTTP/1.1"));
            let seen = passed(upstream.as_ref(), &head, "/v1/dev/x", Bytes::new()).expect("it can be made");
            assert!(!seen.contains("canary") && seen.contains("/v1/dev/x?a=1&b=2\n"), "{seen}");
        }
    }
}

#[test]
fn what_is_passed_prints_no_secret() {
    let (head, _) = request("POST /v1/dev/rcs/events HTTP/1.1\nauthorization: Bearer x");
    for upstream in all_upstreams() {
        let passing = Passing { head: &head, path: "/v1/dev/x", lead: Bytes::new(), rename: &renamed };
        let printed = format!("{:?}", upstream.pass(passing, &fresh(None)));
        for secret in ["ZGV2OmRldg==", "dev-kaleyra-key", "dev-pinnacle-key", "-token"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
