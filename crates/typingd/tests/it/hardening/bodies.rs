//! JSON, numbers and phone numbers as they should not be.

use super::face::{
    FACES, Face, KALEYRA_EVENTS, KALEYRA_MESSAGES, NATIVE, PINNACLE_MESSAGES, PINNACLE_TYPING, SALESFORCE,
    assert_no_lease,
};
use crate::support::InProcess;

/// JSON with its opening brace replaced.
fn opened(json: &str, opening: &[u8]) -> Vec<u8> {
    [opening, &json.as_bytes()[1..]].concat()
}

/// Ways to spoil JSON, and the codes of what is left, in the order of [`FACES`].
fn spoilt(json: &str) -> Vec<(&'static str, Vec<u8>, [&'static str; 6])> {
    let malformed = ["RCS701", "1400", "400", "400", "10089", "400"];
    let not_object = ["RCS904", "1400", "400", "400", "10089", "400"];
    let too_large = ["RCS904", "1413", "413", "413", "10089", "413"];
    let no_body = ["RCS701", "1400", "400", "400", "10089", "400"];
    let whole = json.as_bytes();
    let nested = |depth: usize| {
        opened(json, format!("{{\"x\":{}{},", "[".repeat(depth), "]".repeat(depth)).as_bytes())
    };
    let after = |bytes: &[u8]| [whole, bytes].concat();
    let before = |bytes: &[u8]| [bytes, whole].concat();
    vec![
        ("a colon missing", json.replacen(':', "", 1).into(), malformed),
        ("cut off", whole[..whole.len() - 1].into(), malformed),
        ("a comma too many", [&whole[..whole.len() - 1], b",}"].concat(), malformed),
        ("single quotes", json.replace('"', "'").into(), malformed),
        ("a comment", opened(json, b"{/**/"), malformed),
        ("a NUL", opened(json, b"{\0"), malformed),
        ("a control character", opened(json, b"{\"x\":\"\n\","), malformed),
        ("nothing but space", b" \r\n".into(), no_body),
        ("200,000 deep", nested(200_000), too_large),
        ("5,000 deep", nested(5_000), malformed),
        ("5,000 deep and cut off", b"[".repeat(5_000), malformed),
        ("2,500 objects deep", b"{\"x\":".repeat(2_500), malformed),
        ("each member twice", opened(json, format!("{{{},", &json[1..json.len() - 1]).as_bytes()), malformed),
        ("an unknown member twice", opened(json, b"{\"x\":1,\"x\":1,"), malformed),
        ("a member twice, once escaped", opened(json, b"{\"x\":1,\"\\u0078\":1,"), malformed),
        ("a member twice, inside", opened(json, b"{\"x\":[{\"a\":1,\"a\":2}],"), malformed),
        ("invalid UTF-8", opened(json, b"{\"x\":\"\xff\","), malformed),
        ("overlong UTF-8", opened(json, b"{\"x\":\"\xc0\xaf\","), malformed),
        ("a surrogate in UTF-8", opened(json, b"{\"x\":\"\xed\xa0\x80\","), malformed),
        ("a lone surrogate", opened(json, b"{\"x\":\"\\ud800\","), malformed),
        ("a lone low surrogate", opened(json, b"{\"x\":\"\\udc00\","), malformed),
        ("a lone surrogate as a name", opened(json, b"{\"\\ud800\":1,"), malformed),
        ("a byte order mark", before(b"\xef\xbb\xbf"), malformed),
        ("UTF-16", json.encode_utf16().flat_map(u16::to_le_bytes).collect(), malformed),
        ("trailing bytes", after(b"x"), malformed),
        ("a trailing NUL", after(b"\0"), malformed),
        ("two values", after(whole), malformed),
        ("an overflowing number", opened(json, b"{\"x\":1e999,"), malformed),
        ("a number with leading zeros", opened(json, b"{\"x\":01,"), malformed),
        ("NaN", opened(json, b"{\"x\":NaN,"), malformed),
        ("an array for the object", b"[]".into(), not_object),
        ("the object in an array", [b"[", whole, b"]"].concat(), not_object),
        ("null", b"null".into(), not_object),
        ("a string", b"\"{}\"".into(), not_object),
        ("an empty object", b"{}".into(), ["RCS904", "1400", "400", "400", "10027", "400"]),
    ]
}

#[tokio::test(start_paused = true)]
async fn json_that_is_wrong_as_a_whole_is_refused_in_the_words_of_each_face() {
    let gateway = InProcess::start();
    for (at, face) in FACES.iter().enumerate() {
        for (what, json, codes) in spoilt(face.json) {
            let what = format!("{}: {what}", face.name);
            let answer = gateway.exchange(&face.request(&face.body(&json))).await;
            assert_eq!(face.dialect.code(&answer, &what), codes[at], "{what}: {}", answer.body);
            assert_no_lease(&gateway, &what).await;
        }
        let answer = gateway.exchange(&face.request(b"")).await;
        face.dialect.code(&answer, "no body");
    }
    assert_no_lease(&gateway, "no body").await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_accepted_when_it_is_not_spoilt() {
    for face in FACES {
        let answer = InProcess::start().exchange(&face.good()).await;
        assert!((200..300).contains(&answer.status), "{}: {answer:?}", face.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_of_the_wrong_kind_is_refused() {
    let gateway = InProcess::start();
    let time = "1688190840000";
    let payload =
        &SALESFORCE.json[SALESFORCE.json.find("\"payload\":").unwrap() + 10..SALESFORCE.json.len() - 3];
    let rows: [(&Face, &str, &str, &str); 32] = [
        (&KALEYRA_EVENTS, "{}", "[]", "RCS904"),
        (&KALEYRA_EVENTS, "{}", "null", "RCS904"),
        (&KALEYRA_EVENTS, "{}", "true", "RCS904"),
        (&KALEYRA_EVENTS, "{}", "\"\"", "RCS904"),
        (&KALEYRA_EVENTS, "{}", "{\"x\":1}", "RCS904"),
        (&KALEYRA_EVENTS, "\"kio_rcs\"", "[]", "RCS904"),
        (&KALEYRA_EVENTS, "\"kio_rcs\"", "-1", "RCS904"),
        (&KALEYRA_MESSAGES, "[\"+14155550123\"]", "\"+14155550123\"", "1400"),
        (&KALEYRA_MESSAGES, "[\"+14155550123\"]", "{\"0\":\"+14155550123\"}", "1400"),
        (&KALEYRA_MESSAGES, "[\"+14155550123\"]", "[]", "1400"),
        (&PINNACLE_TYPING, "\"agent_pinnacle\"", "[\"agent_pinnacle\"]", "400"),
        (&PINNACLE_TYPING, "\"agent_pinnacle\"", "7", "400"),
        (&PINNACLE_MESSAGES, "\"agent_pinnacle\"", "null", "400"),
        (&SALESFORCE, payload, "[]", "10089"),
        (&SALESFORCE, payload, "null", "10089"),
        (&SALESFORCE, "\"b0ffeafe-1\"", "[\"b0ffeafe-1\"]", "10027"),
        (&SALESFORCE, "\"David Wood\"", "7", "10028"),
        (&SALESFORCE, time, "true", "10089"),
        (&SALESFORCE, time, "\"1688190840000\"", "10089"),
        (&SALESFORCE, time, "1688190840000.5", "10089"),
        (&SALESFORCE, time, "1e12", "10089"),
        (&SALESFORCE, time, "9223372036854775808", "10089"),
        (&SALESFORCE, time, "-9223372036854775809", "10089"),
        (&SALESFORCE, time, "1e999", "10089"),
        (&SALESFORCE, time, "[]", "10089"),
        (&NATIVE, "\"composing\"", "\"composing\",\"ttl_ms\":-1", "400"),
        (&NATIVE, "\"composing\"", "\"composing\",\"ttl_ms\":true", "400"),
        (&NATIVE, "\"composing\"", "\"composing\",\"ttl_ms\":\"5000\"", "400"),
        (&NATIVE, "\"composing\"", "\"composing\",\"ttl_ms\":18446744073709551616", "400"),
        (&NATIVE, "\"composing\"", "\"composing\",\"turn\":18446744073709551616", "400"),
        (&NATIVE, "\"composing\"", "\"composing\",\"turn\":-1", "400"),
        (&NATIVE, "\"composing\"", "[\"composing\"]", "400"),
    ];
    for (face, good, bad, code) in rows {
        let what = format!("{}: {bad} for {good}", face.name);
        assert!(face.json.contains(good), "{what}");
        let answer =
            gateway.exchange(&face.request(&face.body(face.json.replace(good, bad).as_bytes()))).await;
        assert_eq!((answer.status, face.dialect.code(&answer, &what).as_str()), (400, code), "{what}");
        assert_no_lease(&gateway, &what).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_phone_number_is_refused() {
    let gateway = InProcess::start();
    let faces = [KALEYRA_EVENTS, KALEYRA_MESSAGES, PINNACLE_TYPING, PINNACLE_MESSAGES, NATIVE];
    for (number, codes) in [
        (r#""+014155550123""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""+1415555012345678""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""+1""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""+""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""++14155550123""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""+١٤١٥٥٥٥٠١٢٣""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""+1415555012３""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""＋14155550123""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""+14155550123\n""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""+14155550123\u0000""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#"" +14155550123""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""+1 415 555 0123""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""+1-415-555-0123""#, ["RCS904", "1417", "400", "400", "400"]),
        (r#""tel:+14155550123""#, ["RCS904", "1417", "400", "400", "400"]),
        ("14155550123", ["RCS904", "1400", "400", "400", "400"]),
        ("-14155550123", ["RCS904", "1400", "400", "400", "400"]),
        ("1.4155550123e10", ["RCS904", "1400", "400", "400", "400"]),
        ("99999999999999999999999", ["RCS904", "1400", "400", "400", "400"]),
        ("true", ["RCS904", "1400", "400", "400", "400"]),
        ("null", ["RCS904", "1400", "400", "400", "400"]),
        ("[]", ["RCS904", "1400", "400", "400", "400"]),
        (r#"{"x":"+14155550123"}"#, ["RCS904", "1400", "400", "400", "400"]),
        ("1e999", ["RCS701", "1400", "400", "400", "400"]),
        ("+14155550123", ["RCS701", "1400", "400", "400", "400"]),
    ] {
        for (face, code) in faces.iter().zip(codes) {
            let what = format!("{}: {number}", face.name);
            let json = face.json.replace(r#""+14155550123""#, number);
            let answer = gateway.exchange(&face.request(json.as_bytes())).await;
            assert_eq!((answer.status, face.dialect.code(&answer, &what).as_str()), (400, code), "{what}");
            assert!(!answer.body.contains("4155"), "{what}: {}", answer.body);
        }
        assert_no_lease(&gateway, number).await;
    }
}
