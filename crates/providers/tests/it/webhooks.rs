//! What providers tell us: who is believed, what is understood, and what is passed over.

use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use typingd_providers::kaleyra::KaleyraWebhook;
use typingd_providers::pinnacle::PinnacleWebhook;
use typingd_providers::webhook::{BODY_LIMIT, Delivery};
use typingd_providers::{Rejection, Secret, UserSignal, Webhook};

use crate::fixture::{NOW, hasher};
use crate::webhooks_google::{google, signature, wrapped};

pub(crate) const MAX_AGE: Duration = Duration::from_secs(30);
const TOKEN: &str = "kb3Vw0mGZsV2mJ9yq2m1pXo7";

fn kaleyra() -> KaleyraWebhook {
    KaleyraWebhook::new(&[Secret::new(TOKEN), Secret::new("older-token")], MAX_AGE, &hasher())
}

fn pinnacle() -> PinnacleWebhook {
    PinnacleWebhook::new(&[Secret::new("whsec")], MAX_AGE, &hasher())
}

pub(crate) fn head(path: &str, headers: &[(&str, &str)]) -> Parts {
    let request =
        headers.iter().fold(Request::post(path), |request, (name, value)| request.header(*name, *value));
    request.body(()).expect("the head is well-formed").into_parts().0
}

/// What was understood, a line for each signal.
pub(crate) fn lines(delivery: Result<Delivery, Rejection>) -> Result<String, Rejection> {
    let delivery = delivery?;
    assert_eq!(delivery.answer.status(), StatusCode::OK);
    let line = |signal: &UserSignal| {
        let (agent, user, state) = (&signal.agent, signal.user.as_str(), signal.signal);
        let id = signal.event_id.as_ref().map(|id| format!(" id={id}")).unwrap_or_default();
        let at = signal.sent_at.map(|at| format!(" at={at}")).unwrap_or_default();
        format!("{agent} {user} {state:?}{id}{at}")
    };
    let mut lines: Vec<String> = delivery.signals.iter().map(line).collect();
    lines.extend((delivery.too_old > 0).then(|| format!("{} too old", delivery.too_old)));
    Ok(lines.join(", "))
}

fn check(decode: impl Fn(&[u8]) -> Result<Delivery, Rejection>, rows: &[(Value, &str)]) {
    for (event, expected) in rows {
        assert_eq!(lines(decode(event.to_string().as_bytes())), Ok((*expected).to_owned()), "{event}");
    }
}

#[test]
fn kaleyra_tells_that_a_user_types() {
    let composing = json!({"type": "COMPOSING", "eventId": "e1", "from": "14155550190", "to": "kio_rcs",
        "sentAt": "2025-11-05T09:59:59Z", "messageId": "m1", "carrierId": "c"});
    let with = |name: &str, value: Value| {
        let mut event = composing.clone();
        event[name] = value;
        event
    };
    let understood = "kio_rcs +14155550190 Composing id=e1 at=2025-11-05T09:59:59Z";
    check(
        |body| kaleyra().decode(&head(&format!("/hooks/kaleyra/{TOKEN}"), &[]), body, NOW),
        &[
            (composing.clone(), understood),
            (with("from", json!("+14155550190")), understood),
            // Newer accounts wrap it.
            (json!({"code": "1", "message": "", "data": composing, "error": {}}), understood),
            (
                json!({"data": [composing, {"type": "READ"}, composing]}),
                &format!("{understood}, {understood}"),
            ),
            (json!([composing]), understood),
            (with("data", json!({"type": "READ"})), understood),
            (with("sentAt", json!(1_762_336_799)), understood),
            (with("sentAt", json!(1_762_336_799_000_u64)), understood),
            (with("sentAt", json!("1762336799000")), understood),
            (with("sentAt", json!("5 Nov 2025")), "kio_rcs +14155550190 Composing id=e1"),
            (with("eventId", json!(null)), "kio_rcs +14155550190 Composing at=2025-11-05T09:59:59Z"),
            (with("eventId", json!("")), "kio_rcs +14155550190 Composing at=2025-11-05T09:59:59Z"),
            (
                with("sentAt", json!("2025-11-05T09:59:30Z")),
                "kio_rcs +14155550190 Composing id=e1 at=2025-11-05T09:59:30Z",
            ),
            (with("sentAt", json!("2025-11-05T09:59:29.999Z")), "1 too old"),
            (
                with("sentAt", json!("2025-11-05T11:00:00Z")),
                "kio_rcs +14155550190 Composing id=e1 at=2025-11-05T11:00:00Z",
            ),
            (with("type", json!("READ")), ""),
            (with("type", json!("composing")), ""),
            (with("type", json!(7)), ""),
            (with("from", json!("nobody")), ""),
            (with("from", json!(14_155_550_190_u64)), ""),
            (with("to", json!("")), ""),
            (json!({}), ""),
            (json!(null), ""),
        ],
    );
}

#[test]
fn pinnacle_tells_that_a_user_types_or_wrote() {
    let event = |kind: &str| {
        json!({"type": kind, "startedAt": "2025-11-05T09:59:59Z", "message": {"id": "msg_1"},
            "conversation": {"id": "conv_1", "from": "+14155550190", "to": "agent_x"}})
    };
    let mut old = event("USER.TYPING");
    old["startedAt"] = json!("2025-11-05T09:00:00Z");
    check(
        |body| pinnacle().decode(&head("/hooks", &[("pinnacle-signing-secret", "whsec")]), body, NOW),
        &[
            (event("USER.TYPING"), "agent_x +14155550190 Composing at=2025-11-05T09:59:59Z"),
            (event("MESSAGE.RECEIVED"), "agent_x +14155550190 Sent id=msg_1"),
            (old, "1 too old"),
            (event("MESSAGE.STATUS"), ""),
            (json!({"type": "USER.TYPING"}), ""),
            (json!({"type": "USER.TYPING", "conversation": {"from": "x", "to": "agent_x"}}), ""),
            (json!([]), ""),
        ],
    );
}

#[test]
fn nobody_else_is_believed() {
    let refused = Err(Rejection::Unauthenticated);
    assert_eq!(kaleyra().admit(&head("/hooks/kaleyra/wrong", &[])), Err(Rejection::Unauthenticated));
    assert_eq!(pinnacle().admit(&head("/hooks", &[])), Err(Rejection::Unauthenticated));
    for path in [
        "/",
        "/hooks/kaleyra/",
        "/hooks/kaleyra",
        "/hooks/kaleyra/wrong",
        &format!("/{TOKEN}/"),
        &format!("/{TOKEN}x"),
    ] {
        assert_eq!(lines(kaleyra().decode(&head(path, &[]), b"{}", NOW)), refused, "{path}");
    }
    for path in [format!("/{TOKEN}"), format!("/a/b/{TOKEN}?x=y"), "/older-token".to_owned()] {
        assert_eq!(lines(kaleyra().decode(&head(&path, &[]), b"{}", NOW)), Ok(String::new()), "{path}");
    }
    let secret = "pinnacle-signing-secret";
    for headers in [&[][..], &[(secret, "")], &[(secret, "whsecx")], &[(secret, "whsec"), (secret, "whsec")]]
    {
        assert_eq!(lines(pinnacle().decode(&head("/hooks", headers), b"{}", NOW)), refused, "{headers:?}");
    }
}

#[test]
fn what_is_no_call_is_refused_in_our_words() {
    let path = format!("/hooks/{TOKEN}");
    let headers = [("pinnacle-signing-secret", "whsec"), ("x-goog-signature", "AAAA")];
    let hooks: [Box<dyn Webhook>; 3] = [Box::new(kaleyra()), Box::new(pinnacle()), Box::new(google())];
    for hook in &hooks {
        let (good, mut get) = (head(&path, &headers), head(&path, &headers));
        get.method = Method::GET;
        let decode = |head: &Parts, body: &[u8]| lines(hook.decode(head, body, NOW));
        let name = hook.name();
        assert_eq!(decode(&get, b"{}"), Err(Rejection::MethodNotAllowed { allow: "POST" }), "{name}");
        assert_eq!(hook.admit(&get), Err(Rejection::MethodNotAllowed { allow: "POST" }), "{name}");
        assert_eq!(hook.admit(&good), Ok(()), "{name}");
        assert_eq!(decode(&good, &vec![b' '; BODY_LIMIT + 1]), Err(Rejection::TooLarge), "{name}");
        assert_eq!(decode(&good, b""), Err(Rejection::NoBody), "{name}");
        assert!(matches!(decode(&good, b"{"), Err(Rejection::Malformed { .. })), "{name}");
        let printed = format!("{hook:?}");
        assert!(
            !printed.contains(TOKEN) && !printed.contains("SJEN") && !printed.contains("whsec"),
            "{printed}"
        );
    }
}

proptest! {
    #[test]
    fn any_call_is_answered(
        body in prop::collection::vec(any::<u8>(), 0..256),
        kind in prop::sample::select(vec!["COMPOSING", "USER.TYPING", "MESSAGE.RECEIVED", "IS_TYPING"]),
        text in any::<String>(),
        number in any::<i64>(),
        path in "/[!-~&&[^?#]]{0,20}",
    ) {
        let values = [json!(text), json!(number), json!([number]), json!({ "id": text })];
        let events = values.iter().map(|value| {
            json!({"type": kind, "eventType": kind, "from": value, "to": text, "sentAt": value, "startedAt": value,
                "sendTime": value, "eventId": value, "agentId": text, "senderPhoneNumber": "+14155550190",
                "conversation": {"from": "+14155550190", "to": value}, "data": value, "message": {"data": value}})
        });
        let bodies: Vec<Vec<u8>> = events.map(|event| event.to_string().into_bytes()).chain([body]).collect();
        for body in bodies {
            let signed = signature(&body);
            let event = wrapped(&String::from_utf8_lossy(&body), None).to_string();
            let headers = [("pinnacle-signing-secret", "whsec"), ("x-goog-signature", signed.as_str())];
            for path in [path.as_str(), &format!("/{TOKEN}")] {
                let Ok(request) = Request::post(path).body(()) else { continue };
                let mut parts = request.into_parts().0;
                parts.headers = head("/", &headers).headers;
                let _ = kaleyra().decode(&parts, &body, NOW);
                let _ = pinnacle().decode(&parts, &body, NOW);
                let _ = google().decode(&parts, &body, NOW);
                let _ = google().decode(&parts, event.as_bytes(), NOW);
            }
        }
    }
}
