//! Whatever comes in, every door answers: with a body in its words, and never by falling over.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use typingd_core::Name;
use typingd_providers::upstream::Passing;
use typingd_providers::{AccountId, Caller, Provider, Refusal};

use crate::exchange::jwt;
use crate::fixture::{NOW, all_doors, all_upstreams, fresh, receipt};

/// A request that its door accepts.
struct Valid {
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

const KALEYRA: &[(&str, &str)] = &[
    ("authorization", "Basic ZGV2OmRldg=="),
    ("api-key", "dev-kaleyra-key"),
    ("content-type", "application/json"),
];
const PINNACLE: &[(&str, &str)] =
    &[("pinnacle-api-key", "dev-pinnacle-key"), ("content-type", "application/json; charset=utf-8")];
const SALESFORCE: &[(&str, &str)] = &[
    ("authorization", "Bearer dev-salesforce-token"),
    ("orgid", "00Ddev000000000"),
    ("authorizationcontext", "Dev_Channel"),
    ("requestid", "7e6c0bd5-3c5f-4a2f-a1b5-29c6c3a7f001"),
    ("content-type", "multipart/form-data; boundary=xyz"),
];

const RBM: &[(&str, &str)] =
    &[("authorization", "Bearer dev-rbm-token"), ("content-type", "application/json")];

const OAUTH: &[(&str, &str)] =
    &[("host", "gateway.example"), ("content-type", "application/x-www-form-urlencoded")];

/// How many of the bodies have JSON in them that can be seen.
const WITH_JSON: usize = 9;

const VALID: [Valid; WITH_JSON + 1] = [
    Valid {
        path: "/v1/dev/rcs/events",
        headers: KALEYRA,
        body: r#"{"from":"kio_rcs","to":"+14155550190","composing":{}}"#,
    },
    Valid {
        path: "/v1/dev/rcs/messages",
        headers: KALEYRA,
        body: r#"{"from":"rcs-test","to":["919158800000"],"text":"Hello"}"#,
    },
    Valid {
        path: "/messages/send/typing",
        headers: PINNACLE,
        body: r#"{"agentId":"agent_x","to":"+14154746461","options":{"test_mode":true}}"#,
    },
    Valid {
        path: "/messages/typing",
        headers: PINNACLE,
        body: r#"{"agentId":"agent_pinnacle","to":"+14154746461"}"#,
    },
    Valid {
        path: "/messages/send/rcs",
        headers: PINNACLE,
        body: r#"{"text":"hello","from":"agent_x","to":"+14154746461","options":{"schedule":null}}"#,
    },
    Valid { path: "/api/v1/interactions", headers: SALESFORCE, body: INTERACTION },
    Valid {
        path: "/v1/phones/+14155550190/agentEvents?eventId=1&agentId=support_agent",
        headers: RBM,
        body: r#"{"eventType":"IS_TYPING"}"#,
    },
    Valid {
        path: "/v1/phones/%2B14155550190/agentEvents?agentId=support_agent",
        headers: RBM,
        body: r#"{"eventType":"READ","messageId":"m-1"}"#,
    },
    Valid {
        path: "/v1/phones/+14155550190/agentMessages?messageId=1&agentId=support_agent",
        headers: RBM,
        body: r#"{"contentMessage":{"text":"Hello"}}"#,
    },
    Valid { path: "/services/oauth2/token", headers: OAUTH, body: ASSERTION },
];

const INTERACTION: &str = "--xyz\r\nContent-Disposition: form-data; name=\"json\"\r\n\
    Content-Type: application/json\r\n\r\n\
    {\"to\":\"b0ffeafe-1\",\"from\":\"David Wood\",\"interactions\":[{\"timestamp\":1688190840000,\
    \"interactionType\":\"EntryInteraction\",\"payload\":{\"id\":\"f5a1\",\
    \"entryType\":\"TypingStartedIndicator\",\"timestamp\":1688190840000}}]}\r\n--xyz--\r\n";

/// Of `{"alg":"RS256"}`, [`CLAIMS`] and `signed`.
const ASSERTION: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=\
    eyJhbGciOiJSUzI1NiJ9.\
    eyJpc3MiOiIzTVZHOWRldiIsInN1YiI6ImNvbm5lY3RvckBhY21lLmV4YW1wbGUiLCJhdWQiOlsiaHR0cHM6Ly9sb2dpbi5zYWxlc2ZvcmNlLmNvbSJdLCJleHAiOjE3NjIzMzY5ODB9.\
    c2lnbmVk";
const CLAIMS: &str = r#"{"iss":"3MVG9dev","sub":"connector@acme.example","aud":["https://login.salesforce.com"],"exp":1762336980}"#;

/// A request for a token, with whatever header and claims.
fn assertion(header: &Value, claims: &Value) -> Bytes {
    let (start, _) = ASSERTION.split_once("&assertion=").expect("there is an assertion");
    format!("{start}&assertion={}", jwt(&[&header.to_string(), &claims.to_string(), "signed"])).into()
}

/// Knocks, and says what was answered. The answer is JSON in a 2xx, 4xx or 5xx, or the test fails here.
fn knock(
    doors: &[Box<dyn Provider>],
    valid: &Valid,
    headers: &[(&str, HeaderValue)],
    body: Bytes,
) -> StatusCode {
    let (door, head) = (door_of(doors, valid), head_of(valid, headers));
    let decoded = door
        .admit(&head, NOW)
        .map_err(Refusal::from)
        .and_then(|account| door.decode(account, &head, &body, NOW));
    door.message_text(&head, &body);
    let answer = match decoded {
        Ok(call) => (call.reply)(&receipt(call.opens_conversation)),
        Err(refusal) => door.refuse(&head, &refusal),
    };
    assert_eq!(answer.headers()["content-type"], "application/json", "{}", valid.path);
    serde_json::from_slice::<Value>(answer.body()).expect("the answer is JSON");
    assert_ne!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "{}", valid.path);
    answer.status()
}

fn head_of(valid: &Valid, headers: &[(&str, HeaderValue)]) -> Parts {
    let mut request = Request::post(valid.path);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.body(()).expect("the request is well-formed").into_parts().0
}

fn door_of<'d>(doors: &'d [Box<dyn Provider>], valid: &Valid) -> &'d dyn Provider {
    doors.iter().find(|door| door.owns(valid.path)).expect("every path has its door").as_ref()
}

fn own_headers(valid: &Valid) -> Vec<(&'static str, HeaderValue)> {
    valid.headers.iter().map(|(name, value)| (*name, HeaderValue::from_static(value))).collect()
}

/// Passes a request on to every provider, and asks every door of what it is a lead.
fn pass_everywhere(head: &Parts, path: &str, body: &Bytes) {
    let rename = |ours: &str| Some(Name::from(format!("{ours}\"")));
    for upstream in all_upstreams() {
        let passing = Passing { head, path, lead: body.clone(), rename: &rename };
        upstream.pass(passing, &fresh(None));
    }
    for door in all_doors() {
        door.is_lead(head, body);
        door.is_meant(head);
        let _ = door.identify(head, NOW);
        let caller = Caller::Account(AccountId(0));
        let _ = door.decode_lead(caller, head, body, NOW).map_err(|refusal| door.refuse(head, &refusal));
        door.path_inside(AccountId(0), path);
    }
}

/// Every path, with its own headers and whatever body.
fn knock_everywhere(body: &Bytes) {
    let doors = all_doors();
    for valid in &VALID {
        let status = knock(&doors, valid, &own_headers(valid), body.clone());
        assert_ne!(status, StatusCode::UNAUTHORIZED, "{}", valid.path);
    }
}

#[test]
fn what_is_mutated_below_was_valid() {
    let doors = all_doors();
    for valid in &VALID {
        let status = knock(&doors, valid, &own_headers(valid), Bytes::from_static(valid.body.as_bytes()));
        assert!(status.is_success(), "{} {status}", valid.path);
    }
}

#[test]
fn bodies_that_a_text_file_cannot_hold_are_refused() {
    let deep = [b"[".repeat(200_000), b"]".repeat(200_000)].concat();
    let deep_field = [&br#"{"from":"kio_rcs","to":"#[..], &deep, b"}"].concat();
    let doors = all_doors();
    for (what, body) in [
        ("nothing", &b""[..]),
        ("deep", &deep),
        ("deep in a field", &deep_field),
        ("invalid UTF-8", b"{\"from\":\"kio_rcs\xff\",\"to\":\"+14155550190\",\"composing\":{}}"),
        ("a byte order mark", b"\xef\xbb\xbf{\"from\":\"kio_rcs\",\"to\":\"+14155550190\",\"composing\":{}}"),
        ("a NUL", b"{\"from\":\"kio_rcs\",\0\"to\":\"+14155550190\",\"composing\":{}}"),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
    ] {
        for valid in &VALID {
            let status = knock(&doors, valid, &own_headers(valid), Bytes::copy_from_slice(body));
            assert_eq!(status, StatusCode::BAD_REQUEST, "{what} on {}", valid.path);
        }
    }
}

#[test]
fn a_refusal_never_quotes_a_value() {
    const CANARY: &str = "+1415canary";
    let doors = all_doors();
    let mut refused = 0;
    for valid in &VALID[..WITH_JSON] {
        let (before, original, after) = split(valid.body);
        for pointer in pointers(&original, "") {
            for canary in [json!(CANARY), json!([CANARY]), json!({ CANARY: CANARY })] {
                let mut value = original.clone();
                mutate(&mut value, &pointer, Some(canary));
                let body = format!("{before}{value}{after}").into();
                let (door, head) = (door_of(&doors, valid), head_of(valid, &own_headers(valid)));
                let account = door.admit(&head, NOW).expect("the head is right");
                // A call's own id is what the caller asks to be given back.
                let Err(refusal) = door.decode(account, &head, &body, NOW) else { continue };
                let refusal = Refusal { reference: None, ..refusal };
                let answer = door.refuse(&head, &refusal);
                let answer = std::str::from_utf8(answer.body()).expect("the answer is text");
                assert!(!answer.contains("canary"), "{} {pointer} {answer}", valid.path);
                refused += 1;
            }
        }
    }
    assert!(refused > 30, "{refused} were refused");
}

#[test]
fn a_refusal_never_quotes_an_assertion() {
    let valid = &VALID[WITH_JSON];
    let (doors, headers) = (all_doors(), own_headers(valid));
    let (door, head) = (door_of(&doors, valid), head_of(valid, &headers));
    let claims: Value = serde_json::from_str(CLAIMS).expect("it is JSON");
    let bodies = pointers(&claims, "").into_iter().flat_map(|pointer| {
        [json!("canary"), json!(["canary"]), json!({ "canary": "canary" })].map(|canary| {
            let mut claims = claims.clone();
            mutate(&mut claims, &pointer, Some(canary));
            assertion(&json!({"alg": "RS256"}), &claims)
        })
    });
    let bodies = bodies.chain([
        assertion(&json!({"alg": "canary"}), &claims),
        assertion(&json!({"alg": "RS256", "crit": "canary"}), &claims),
        Bytes::from_static(b"grant_type=canary"),
        Bytes::from_static(b"canary=canary&canary=canary"),
    ]);
    let mut refused = 0;
    for body in bodies {
        let caller = door.admit(&head, NOW).expect("the head is right");
        let Err(refusal) = door.decode(caller, &head, &body, NOW) else { continue };
        let answer = door.refuse(&head, &refusal);
        let answer = std::str::from_utf8(answer.body()).expect("the answer is text");
        assert!(!answer.contains("canary"), "{answer}");
        refused += 1;
    }
    assert!(refused > 15, "{refused} were refused");
}

#[test]
fn a_refusal_stays_small_however_much_is_wrong() {
    let valid = &VALID[1];
    let body = format!(r#"{{"from":"rcs-test","to":[{}0]}}"#, "0,".repeat(32_000));
    let doors = all_doors();
    let (door, head) = (door_of(&doors, valid), head_of(valid, &own_headers(valid)));
    let account = door.admit(&head, NOW).expect("the head is right");
    let Err(refusal) = door.decode(account, &head, &body.into(), NOW) else {
        panic!("numbers passed for text")
    };
    assert!(door.refuse(&head, &refusal).body().len() < 4096);
}

/// Where each field and element stands, as JSON pointers.
fn pointers(value: &Value, base: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, child)| (name.clone(), child)).collect(),
        Value::Array(elements) => elements.iter().enumerate().map(|(at, e)| (at.to_string(), e)).collect(),
        _ => return Vec::new(),
    };
    let found = children.into_iter().flat_map(|(name, child)| {
        let pointer = format!("{base}/{name}");
        let mut found = pointers(child, &pointer);
        found.push(pointer);
        found
    });
    found.collect()
}

/// The field becomes another value, or goes away.
fn mutate(value: &mut Value, pointer: &str, with: Option<Value>) {
    if let Some(with) = with {
        *value.pointer_mut(pointer).expect("the pointer was just found") = with;
        return;
    }
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a slash");
    if let Some(Value::Object(members)) = value.pointer_mut(parent) {
        members.remove(name);
    }
}

/// The JSON of a valid body, and what stands around it.
fn split(body: &str) -> (&str, Value, &str) {
    let (before, rest) = body.split_at(body.find('{').expect("there is JSON"));
    let (text, after) = rest.split_at(rest.rfind('}').expect("there is JSON") + 1);
    (before, serde_json::from_str(text).expect("it is JSON"), after)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec!["", "+14155550190", "agent_", "agent_x", "+0", "TypingStoppedIndicator"])
            .prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

fn any_header_value() -> impl Strategy<Value = HeaderValue> {
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    let near = select(vec![
        "Basic",
        "Basic ",
        "Basic ZGV2",
        "Bearer ",
        "Basic ZGV2OmRldg",
        "multipart/form-data;boundary=\"",
    ]);
    prop_oneof![bytes, near.prop_map(|text| text.as_bytes().to_vec())]
        .prop_filter_map("the value cannot be sent", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

proptest! {
    #[test]
    fn any_path_has_a_door_or_none(path in prop_oneof![any::<String>(), "(/v1|/messages|/pinnacle|/rcs|/phones|/services|/oauth2|/|[a-zé]){0,6}"]) {
        for door in all_doors() {
            door.owns(&path);
        }
    }

    #[test]
    fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..512)) {
        knock_everywhere(&body.into());
    }

    #[test]
    fn any_text_is_answered(body in any::<String>()) {
        knock_everywhere(&body.into());
    }

    #[test]
    fn any_json_is_answered(body in any_json()) {
        knock_everywhere(&body.to_string().into());
    }

    #[test]
    fn a_valid_body_with_a_few_bytes_changed_is_answered(
        which in 0..VALID.len(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Option<Index>>(),
    ) {
        let valid = &VALID[which];
        let mut body = valid.body.as_bytes().to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut body) = byte;
        }
        body.truncate(cut.map_or(body.len(), |cut| cut.index(body.len())));
        knock(&all_doors(), valid, &own_headers(valid), body.into());
    }

    #[test]
    fn a_valid_body_with_a_field_changed_is_answered(
        which in 0..WITH_JSON,
        at in any::<Index>(),
        with in prop::option::weighted(0.8, any_json()),
    ) {
        let valid = &VALID[which];
        let (before, mut value, after) = split(valid.body);
        let pointers = pointers(&value, "");
        mutate(&mut value, &pointers[at.index(pointers.len())], with);
        knock(&all_doors(), valid, &own_headers(valid), format!("{before}{value}{after}").into());
    }

    #[test]
    fn an_assertion_with_a_claim_changed_is_answered(
        header in any_json(),
        at in any::<Index>(),
        with in prop::option::weighted(0.8, any_json()),
    ) {
        let valid = &VALID[WITH_JSON];
        let mut claims = serde_json::from_str(CLAIMS).expect("it is JSON");
        let pointers = pointers(&claims, "");
        mutate(&mut claims, &pointers[at.index(pointers.len())], with);
        for header in [header, json!({"alg": "RS256"})] {
            knock(&all_doors(), valid, &own_headers(valid), assertion(&header, &claims));
        }
    }

    #[test]
    fn any_number_and_query_is_answered(
        phone in "([+0-9]|%2B|%[0-9a-f]{2}|[!-~&&[^/?#%]]){0,20}",
        query in "((eventId|messageId|agentId|[a-z]{0,2})=([!-~&&[^#&]]|%[0-9a-fA-F]{0,2}){0,6}&?){0,4}",
    ) {
        for call in ["agentEvents", "agentMessages"] {
            let Ok(request) = Request::post(format!("/v1/phones/{phone}/{call}?{query}")).body(()) else { continue };
            let mut head = request.into_parts().0;
            for (name, value) in RBM {
                head.headers.insert(*name, HeaderValue::from_static(value));
            }
            let doors = all_doors();
            let door = doors.iter().find(|door| door.owns(head.uri.path())).expect("every path has its door");
            let body = Bytes::from_static(br#"{"eventType":"IS_TYPING","contentMessage":{}}"#);
            let decoded =
                door.admit(&head, NOW).map_err(Refusal::from).and_then(|id| door.decode(id, &head, &body, NOW));
            if let Err(refusal) = decoded {
                serde_json::from_slice::<Value>(door.refuse(&head, &refusal).body()).expect("the answer is JSON");
            }
        }
    }

    #[test]
    fn anything_is_passed_on_or_not(
        which in 0..VALID.len(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        cut in any::<Option<Index>>(),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..300)),
        path in "(/v1|/dev|/messages|/|\\.\\.|%2[eE]|[!-~é]){0,6}",
        query in "((key|agentId|%6bey|[a-z]{0,2})=?([!-~&&[^#&]]|%[0-9a-fA-F]{0,2}){0,6}&?){0,4}",
        header in any_header_value(),
        name in select(vec!["connection", "content-length", "content-type", "authorization", "orgid", "te"]),
    ) {
        let valid = &VALID[which];
        let mut mutated = valid.body.as_bytes().to_vec();
        for (at, byte) in changes {
            *at.get_mut(&mut mutated) = byte;
        }
        mutated.truncate(cut.map_or(mutated.len(), |cut| cut.index(mutated.len())));
        let body = Bytes::from(body.unwrap_or(mutated));
        let mut head = head_of(valid, &own_headers(valid));
        let own = head.uri.path().to_owned();
        pass_everywhere(&head, &own, &body);
        head.headers.append(name, header);
        if let Ok(uri) = format!("{own}?{query}").parse() {
            head.uri = uri;
        }
        pass_everywhere(&head, &path, &body);
    }

    #[test]
    fn any_header_value_is_answered(
        which in 0..VALID.len(),
        at in any::<Index>(),
        value in any_header_value(),
        is_second in any::<bool>(),
    ) {
        let valid = &VALID[which];
        let mut headers = own_headers(valid);
        let at = at.index(headers.len());
        if is_second {
            headers.push((headers[at].0, value));
        } else {
            headers[at].1 = value;
        }
        knock(&all_doors(), valid, &headers, Bytes::from_static(valid.body.as_bytes()));
    }
}
