//! The agent by the provider's name, where that is another: exactly its bytes change, and the provider's own door
//! understands what ours did.

use proptest::prelude::*;
use proptest::sample::select;
use typingd_core::{Name, User};
use typingd_providers::upstream::{Change, Passing, rejection};
use typingd_providers::{ChatState, RefusalKind, Refused, Rejection};

use crate::fixture::{all_upstreams, fresh};
use crate::passing::{passed, request, upstream};
use crate::round_trips::{can_say, open_doors, read};

/// The body that the provider has of this one, with the length that is said of it.
fn body_of(name: &str, path: &str, headers: &str, body: &str) -> (String, Option<String>) {
    let (head, body) = request(&format!("POST {path} HTTP/1.1{headers}\n\n{body}"));
    let seen = passed(upstream(name).as_ref(), &head, head.uri.path(), body).expect("it can be made");
    let (head, body) = seen.split_once("\n\n").expect("there is a body");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    (body.to_owned(), length.map(str::to_owned))
}

#[test]
fn exactly_the_agents_bytes_change() {
    let events = "/v1/dev/rcs/events";
    let (typing, old_typing, message) = ("/messages/send/typing", "/messages/typing", "/messages/send/rcs");
    for (what, name, path, body, expected) in [
        ("typing", "kaleyra", events, r#"{"from":"ours"}"#, r#"{"from":"agent_theirs"}"#),
        (
            "a message",
            "kaleyra",
            "/v1/dev/rcs/messages",
            r#"{"to":["1"],"from":"ours","text":"ours"}"#,
            r#"{"to":["1"],"from":"agent_theirs","text":"ours"}"#,
        ),
        (
            "whitespace, numbers and escapes",
            "kaleyra",
            events,
            "\t{ \"n\" : 1.0e+2 ,\"\\u0066rom\"\r\n: \"o\\u0075rs\" , \"x\":\"\\/\\u00e9\" } ",
            "\t{ \"n\" : 1.0e+2 ,\"\\u0066rom\"\r\n: \"agent_theirs\" , \"x\":\"\\/\\u00e9\" } ",
        ),
        (
            "unicode on both sides",
            "kaleyra",
            events,
            r#"{"from":"agent \"\u00e9\""}"#,
            r#"{"from":"agent_\"ü\"\\"}"#,
        ),
        ("nested", "kaleyra", events, r#"{"a":{"from":"ours"}}"#, r#"{"a":{"from":"ours"}}"#),
        ("twice", "kaleyra", events, r#"{"from":"ours","from":"ours"}"#, r#"{"from":"ours","from":"ours"}"#),
        ("no name for it", "kaleyra", events, r#"{"from":"other"}"#, r#"{"from":"other"}"#),
        ("not an object", "kaleyra", events, r#"["from","ours"]"#, r#"["from","ours"]"#),
        ("not JSON", "kaleyra", events, r#"{"from":"ours""#, r#"{"from":"ours""#),
        ("another member", "kaleyra", events, r#"{"agentId":"ours"}"#, r#"{"agentId":"ours"}"#),
        (
            "typing",
            "pinnacle",
            typing,
            r#"{"agentId":"ours","from":"agent_ours","agent_id":"ours"}"#,
            r#"{"agentId":"agent_theirs","from":"agent_ours","agent_id":"ours"}"#,
        ),
        ("older typing", "pinnacle", old_typing, r#"{"agentId":"ours"}"#, r#"{"agentId":"agent_theirs"}"#),
        (
            "a message",
            "pinnacle",
            message,
            r#"{"agentId":"ours","from":"ours"}"#,
            r#"{"agentId":"ours","from":"agent_theirs"}"#,
        ),
        (
            "another call",
            "pinnacle",
            "/messages/schedule",
            r#"{"agentId":"ours","agent_id":"ours","from":"agent_ours","to":"agent_ours"}"#,
            r#"{"agentId":"agent_theirs","agent_id":"agent_theirs","from":"agent_theirs","to":"agent_ours"}"#,
        ),
        (
            "another call's phone",
            "pinnacle",
            "/messages/send/sms",
            r#"{"from":"ours"}"#,
            r#"{"from":"ours"}"#,
        ),
        (
            "a body",
            "rbm",
            "/v1/x",
            r#"{"agentId":"ours","from":"ours"}"#,
            r#"{"agentId":"ours","from":"ours"}"#,
        ),
    ] {
        let length = format!("\ncontent-type: application/json\ncontent-length: {}", body.len());
        let seen = body_of(name, path, &length, body);
        assert_eq!(seen, (expected.to_owned(), Some(expected.len().to_string())), "{name}: {what}");
        assert_eq!(body_of(name, path, "", body), (expected.to_owned(), None), "{name}: {what}");
    }
}

#[test]
fn the_json_part_is_found_wherever_it_stands() {
    let form = "\ncontent-type: multipart/form-data; boundary=b";
    let part = |name: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{content}\r\n")
    };
    let (ours, theirs) =
        (r#"{"to": "ours","x":{"to":"ours"}}"#, r#"{"to": "agent_theirs","x":{"to":"ours"}}"#);
    let (file, path) = (part("attachments", ours), "/api/v1/interactions");
    for (what, headers, body, expected) in [
        ("alone", form, part("json", ours) + "--b--", part("json", theirs) + "--b--"),
        ("a lead", form, part("json", ours) + "--b\r\nCon", part("json", theirs) + "--b\r\nCon"),
        ("first", form, part("json", ours) + &file + "--b--", part("json", theirs) + &file + "--b--"),
        (
            "last, after an empty line",
            form,
            "\r\n".to_owned() + &file + &part("json", ours) + "--b--\r\n",
            "\r\n".to_owned() + &file + &part("json", theirs) + "--b--\r\n",
        ),
        (
            "no boundary given",
            "\ncontent-type: multipart/form-data",
            part("json", ours) + "--b--",
            part("json", theirs) + "--b--",
        ),
        (
            "twice, the file first",
            form,
            file.clone() + &part("json", ours).repeat(2) + "--b--",
            file.clone() + &part("json", ours).repeat(2) + "--b--",
        ),
        ("nowhere", form, file.clone() + "--b--", file.clone() + "--b--"),
        ("cut off", form, part("json", ours), part("json", ours)),
        (
            "in no form",
            "\ncontent-type: application/json",
            part("json", ours) + "--b--",
            part("json", ours) + "--b--",
        ),
    ] {
        let length = format!("{headers}\ncontent-length: {}", body.len() + 1_000);
        let (seen, said) = body_of("salesforce", path, &length, &body);
        assert_eq!(seen, expected, "{what}");
        assert_eq!(said, Some((expected.len() + 1_000).to_string()), "{what}");
    }
}

#[test]
fn a_length_that_cannot_be_is_not_corrected() {
    let body = r#"{"from":"ours"}"#;
    for (lengths, is_made) in [
        (&["15"][..], true),
        (&[], true),
        (&["14"], false),
        (&["x"], false),
        (&["15", "15"], false),
        (&["18446744073709551615"], false),
    ] {
        let lengths: String = lengths.iter().map(|length| format!("\ncontent-length: {length}")).collect();
        let (head, body) = request(&format!("POST /v1/dev/rcs/events HTTP/1.1{lengths}\n\n{body}"));
        let seen = passed(upstream("kaleyra").as_ref(), &head, head.uri.path(), body);
        assert_eq!(seen.is_some(), is_made, "{lengths:?}");
    }
}

#[test]
fn a_refusal_is_told_with_the_beginning_of_its_body() {
    use std::time::Duration;
    let refused = |retry_after| Refused { kind: RefusalKind::Agent, retry_after, ..Refused::no_answer() };
    for (what, wait, body, expected, retry_after_s) in [
        ("a text", None, "no é".as_bytes().to_vec(), "no é".to_owned(), None),
        ("whole seconds", Some(Duration::from_secs(7)), vec![], String::new(), Some(7)),
        ("begun seconds", Some(Duration::from_millis(7_001)), vec![], String::new(), Some(8)),
        ("no time", Some(Duration::ZERO), vec![], String::new(), Some(0)),
        ("no text", None, vec![b'a', 0xff], "a\u{fffd}".to_owned(), None),
        ("4 KiB", None, vec![b'x'; 4_096], "x".repeat(4_096), None),
        ("more", None, vec![b'x'; 5_000], "x".repeat(4_096), None),
        (
            "cut in a character",
            None,
            "é".repeat(3_000)[..].as_bytes()[..5_999].to_vec(),
            "é".repeat(2_048),
            None,
        ),
        (
            "cut before one",
            None,
            format!("x{}", "é".repeat(3_000)).into_bytes(),
            format!("x{}", "é".repeat(2_047)),
            None,
        ),
        (
            "cut before the last byte of one",
            None,
            format!("x{}", "😀".repeat(2_000)).into_bytes(),
            format!("x{}", "😀".repeat(1_023)),
            None,
        ),
        ("no text at all", None, vec![0xff; 5_000], "\u{fffd}".repeat(1_365), None),
    ] {
        let seen = rejection(&refused(wait), http::StatusCode::FORBIDDEN, &body);
        assert_eq!(seen, Rejection::Upstream { status: 403, body: expected, retry_after_s }, "{what}");
    }
}

proptest! {
    #[test]
    fn what_is_passed_is_read_as_what_it_was(
        agent in "agent_[^\n\r\u{2028}\u{2029}\\p{C}]{0,20}",
        theirs in "agent_[^\n\r\u{2028}\u{2029}\\p{C}]{0,20}",
        user in "\\+[1-9][0-9]{1,14}",
        signal in select(ChatState::ALL.to_vec()),
        is_known in any::<bool>(),
    ) {
        let doors = open_doors();
        let rename = |ours: &str| (is_known && ours == agent).then(|| Name::from(theirs.as_str()));
        for upstream in all_upstreams() {
            let (name, user) = (upstream.name(), User::new(user.as_str()));
            let change = Change { agent: &agent, user: &user, signal };
            let Some(request) = upstream.forward(&change, &fresh(None)) else {
                prop_assert!(!can_say(name, &agent, user.as_str(), signal));
                continue;
            };
            let ours = read(&doors, name, request.clone());
            let (mut head, body) = request.into_parts();
            head.headers.insert("content-length", body.len().into());
            let path = head.uri.path().to_owned();
            let passing = Passing { head: &head, path: &path, lead: body, rename: &rename };
            let passed = upstream.pass(passing, &fresh(None)).expect("it can be made");
            let length = passed.body().len().to_string();
            prop_assert_eq!(passed.headers()["content-length"].as_bytes(), length.as_bytes());
            let seen = read(&doors, name, passed);
            let expected = if is_known { &theirs } else { &agent };
            prop_assert_eq!(seen.conversations.len(), 1);
            prop_assert_eq!(seen.conversations[0].agent(), expected.as_str());
            prop_assert_eq!(seen.conversations[0].user(), ours.conversations[0].user());
            prop_assert_eq!((seen.signal, seen.role, seen.marks), (ours.signal, ours.role, ours.marks));
        }
    }
}
