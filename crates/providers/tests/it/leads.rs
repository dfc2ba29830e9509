//! A body's lead: when it is enough, what is understood of it, and how little is looked at of a long one.

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use typingd_providers::{AccountId, Call, Caller, FaultKind, Provider, Rejection};

use crate::exchange::understood;
use crate::fixture::{NOW, all_doors};

const TYPED: &str = "multipart/form-data; boundary=xyz";
const JSON_HEAD: &str = "Content-Disposition: form-data; name=\"json\"\r\nContent-Type: application/json\r\n";
const FILE_HEAD: &str = "Content-Disposition: form-data; name=\"attachments\"; filename=\"a\"\r\n";
const FILE_JSON: &str = r#"{"to":"addr-1","from":"David Wood","interactions":[{"timestamp":1,"interactionType":"AttachmentInteraction","id":"c290","attachmentIndex":0,"contentLength":4}]}"#;
const MESSAGE_JSON: &str = r#"{"to":"addr-1","from":"David Wood","interactions":[{"timestamp":1,"interactionType":"EntryInteraction","payload":{"id":"c290","entryType":"TypingStoppedIndicator","timestamp":1}}]}"#;

fn part(head: &str, content: &str) -> String {
    format!("--xyz\r\n{head}\r\n{content}\r\n")
}

fn salesforce() -> Box<dyn Provider> {
    all_doors().swap_remove(2)
}

fn head(path: &str, content_type: &str) -> Parts {
    let request = Request::post(path).header("content-type", content_type);
    let request = request.header("authorizationcontext", "Dev_Channel");
    request.body(()).expect("it is well-formed").into_parts().0
}

/// How many bytes it takes until the rest need not be waited for.
fn length_of_lead(head: &Parts, body: &[u8]) -> Option<usize> {
    let door = salesforce();
    let enough: Vec<usize> = (0..=body.len()).filter(|end| door.is_lead(head, &body[..*end])).collect();
    let first = *enough.first()?;
    assert_eq!(enough.len(), body.len() - first + 1, "what was enough stays enough");
    Some(first)
}

#[test]
fn the_json_part_is_enough_where_it_is_complete_and_something_follows() {
    let json = part(JSON_HEAD, FILE_JSON);
    let file = part(FILE_HEAD, "\0\u{1}file");
    let followed = json.clone() + &file + "--xyz--\r\n";
    // The next part's delimiter, and the line's end after it.
    let enough = Some(json.len() + "--xyz\r\n".len());
    let path = "/api/v1/interactions";
    for (what, path, content_type, body, expected) in [
        ("a file after it", path, TYPED, followed.clone(), enough),
        ("on the printed path", "/v1/interactions", TYPED, followed.clone(), enough),
        ("no boundary given", path, "multipart/form-data", followed.clone(), enough),
        ("an empty line first", path, TYPED, "\r\n".to_owned() + &followed, enough.map(|length| length + 2)),
        ("nothing after it", path, TYPED, json.clone() + "--xyz--\r\n", None),
        ("text after the last boundary", path, TYPED, json.clone() + "--xyz--\r\nmore\r\n--xyz\r\n", None),
        ("a longer boundary", path, TYPED, json.clone() + "--xyzz\r\n", None),
        ("a file before it", path, TYPED, file.clone() + &json + &file + "--xyz--\r\n", None),
        ("cut off", path, TYPED, json.clone(), None),
        ("a preamble", path, TYPED, "x".to_owned() + &followed, None),
        ("another boundary", path, TYPED, followed.replace("xyz", "abc"), None),
        ("no form", path, "application/json", followed.clone(), None),
        ("two media types", path, "multipart/mixed; boundary=xyz", followed.clone(), None),
        ("another path", "/api/v1/other", TYPED, followed.clone(), None),
        ("the token endpoint", "/services/oauth2/token", TYPED, followed.clone(), None),
        ("no name", path, TYPED, followed.replace("name=\"json\"", "x=y"), None),
        ("a part without headers", path, TYPED, followed.replacen(JSON_HEAD, "", 1), None),
    ] {
        assert_eq!(length_of_lead(&head(path, content_type), body.as_bytes()), expected, "{what}");
    }
}

#[test]
fn a_boundary_in_a_parts_head_ends_the_part_as_it_does_in_the_whole() {
    let head = head("/api/v1/interactions", "multipart/form-data; boundary=\"a:b\"");
    let body = format!("--a:b\r\n{JSON_HEAD}--a:b\r\n\r\n{{}}\r\n--a:b\r\n\r\n--a:b--");
    assert_eq!(length_of_lead(&head, body.as_bytes()), None);
}

#[test]
fn no_more_is_looked_at_than_a_lead_can_have() {
    const MOST: usize = 64 * 1024;
    let head = head("/api/v1/interactions", TYPED);
    for (length, expected) in [(MOST, true), (MOST + 1, false)] {
        let body = part(JSON_HEAD, &"x".repeat(length)) + "--xyz\r\n";
        assert_eq!(salesforce().is_lead(&head, body.as_bytes()), expected, "{length}");
    }
    // If a longer body took longer, this would not end.
    let door = salesforce();
    let huge = "x".repeat(6 * 1024 * 1024);
    for first in [FILE_HEAD, JSON_HEAD] {
        let body = part(first, &huge) + "--xyz\r\n";
        for end in (0..body.len()).step_by(16 * 1024) {
            assert!(!door.is_lead(&head, &body.as_bytes()[..end]));
        }
        assert!(!door.is_lead(&head, body.as_bytes()));
    }
}

fn decode_lead(body: &str) -> Result<Call, Rejection> {
    let (door, body) = (salesforce(), Bytes::copy_from_slice(body.as_bytes()));
    let caller = Caller::Account(AccountId(0));
    let head = head("/api/v1/interactions", TYPED);
    door.decode_lead(caller, &head, &body, NOW).map_err(|refusal| refusal.rejection)
}

#[test]
fn a_lead_says_what_the_whole_would() {
    let sent = "user acme/salesforce/addr-1/David Wood sent id=c290 opens";
    let paused = "user acme/salesforce/addr-1/David Wood paused id=c290";
    let file = part(FILE_HEAD, "file");
    for (what, body, expected) in [
        ("a file to come", part(JSON_HEAD, FILE_JSON) + "--xyz\r\n", sent),
        ("some of it", part(JSON_HEAD, FILE_JSON) + &file[..40], sent),
        ("all of it", part(JSON_HEAD, FILE_JSON) + &file + "--xyz--", sent),
        ("a file that is the org's to refuse", part(JSON_HEAD, MESSAGE_JSON) + &file, paused),
        ("a whole body", part(JSON_HEAD, MESSAGE_JSON) + "--xyz--", paused),
        ("a whole body, the file first", file.clone() + &part(JSON_HEAD, FILE_JSON) + "--xyz--", sent),
    ] {
        assert_eq!(understood(&decode_lead(&body).expect(what)), expected, "{what}");
    }
}

#[test]
fn what_a_lead_shows_to_be_wrong_is_refused() {
    let lead = |json: &str| part(JSON_HEAD, json) + "--xyz\r\n";
    let refused = |body: String| decode_lead(&body).err();
    assert_eq!(refused(lead(&FILE_JSON.replace("addr-1", "nobody"))), Some(Rejection::UnknownAgent));
    assert_eq!(refused(lead(&FILE_JSON.replace("addr-1", "second-1"))), Some(Rejection::ForeignAgent));
    assert!(matches!(refused(lead("{")), Some(Rejection::Malformed { .. })));
    assert!(matches!(refused(lead("{}")), Some(Rejection::Invalid(_))));
    // A whole body is read whole.
    let missing = refused(part(JSON_HEAD, FILE_JSON) + "--xyz--");
    assert_eq!(missing, Some(Rejection::field("attachments", FaultKind::Missing, "one attachment")));
    assert!(matches!(refused(part(FILE_HEAD, "file")), Some(Rejection::Malformed { .. })));
}

#[test]
fn elsewhere_a_lead_is_the_whole_body() {
    let doors = all_doors();
    let body = Bytes::from_static(br#"{"agentId":"agent_x","to":"+14155550190"}"#);
    let request = Request::post("/messages/send/typing").header("content-type", "application/json");
    let head = request.body(()).expect("it is well-formed").into_parts().0;
    assert!(!doors.iter().any(|door| door.is_lead(&head, &body)));
    let call = doors[1].decode_lead(Caller::Account(AccountId(0)), &head, &body, NOW);
    let expected = "agent acme/pinnacle/agent_x/+14155550190 composing 20000ms";
    assert_eq!(call.as_ref().map(understood).ok().as_deref(), Some(expected));
}
