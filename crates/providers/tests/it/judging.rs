//! What answers mean: whom a refusal concerns, for how long, and what is kept of it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use proptest::prelude::*;
use typingd_providers::RefusalKind::{self, Agent, Credential, Recipient, Transient};
use typingd_providers::upstream::{ANSWER_LIMIT, Accepted, Answer};
use typingd_providers::{Bar, Fault, FaultKind, Refusal, Refused, Rejection, Upstream};

use crate::fixture::{NOW, all_doors, all_upstreams};

fn upstream(name: &str) -> Box<dyn Upstream> {
    all_upstreams().into_iter().find(|upstream| upstream.name() == name).expect("there is one")
}

fn judge(upstream: &dyn Upstream, response: &Response<Bytes>) -> Result<Accepted, Refused> {
    upstream.judge(&Answer {
        status: response.status(),
        headers: response.headers(),
        body: response.body(),
        now: NOW,
    })
}

fn answer(status: u16, body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *response.status_mut() = StatusCode::from_u16(status).expect("it is a status");
    response
}

/// A row: the status, the body, and whom it concerns with what is kept of it; `None` where it is a yes.
type Row<'a> = (u16, &'a str, Option<(RefusalKind, &'a str)>);

fn check(name: &str, rows: &[Row<'_>]) {
    let upstream = upstream(name);
    for (status, body, expected) in rows {
        let seen = judge(upstream.as_ref(), &answer(*status, body)).err();
        let seen = seen.as_ref().map(|refused| (refused.kind, refused.detail.as_str()));
        assert_eq!(seen, *expected, "{name} {status} {body}");
    }
}

#[test]
fn kaleyras_answers() {
    let event = |error_code: &str, error_message: &str| {
        let error = serde_json::json!({"error_code": error_code, "error_message": error_message});
        serde_json::json!({"code": "RCS1004", "message": "Event publish failed", "data": [], "error": error})
            .to_string()
    };
    let google = |code: u16, status: &str, message: &str| {
        let error = serde_json::json!({"code": code, "status": status, "message": message});
        event("PROV_ERROR", &serde_json::json!({ "error": error }).to_string())
    };
    let yes =
        r#"{"code":"RCS1002","message":"Event published successfully","data":{"requestId":"1"},"error":{}}"#;
    check(
        "kaleyra",
        &[
            (200, yes, None),
            (202, yes, None),
            (200, "", None),
            (200, "<html>", None),
            (200, r#"{"code":"1200","data":{},"error":{}}"#, None),
            // A failure is one, whatever its status.
            (200, &event("PROV_ERROR", "no"), Some((Recipient, "200 PROV_ERROR"))),
            (200, r#"{"code":"RCS1004","data":[],"error":{}}"#, Some((Transient, "200 RCS1004"))),
            (400, &google(404, "NOT_FOUND", "no RCS"), Some((Recipient, "400 PROV_ERROR"))),
            (502, &google(404, "NOT_FOUND", "no RCS"), Some((Recipient, "502 PROV_ERROR"))),
            (400, &google(403, "PERMISSION_DENIED", "no tester"), Some((Recipient, "400 PROV_ERROR"))),
            (
                400,
                &google(403, "PERMISSION_DENIED", "The caller does not have permission"),
                Some((Agent, "400 PROV_ERROR")),
            ),
            (400, &google(429, "RESOURCE_EXHAUSTED", "quota"), Some((Transient, "400 PROV_ERROR"))),
            // Kaleyra's credentials at Google are none of ours.
            (400, &google(401, "UNAUTHENTICATED", "no"), Some((Transient, "400 PROV_ERROR"))),
            (400, &event("PROV_ERROR", ""), Some((Recipient, "400 PROV_ERROR"))),
            (401, r#"{"code":"RBC001","data":[],"error":{}}"#, Some((Credential, "401 RBC001"))),
            (401, &event("UNAUTHORIZED", "no"), Some((Credential, "401 UNAUTHORIZED"))),
            (401, "", Some((Credential, "401"))),
            (403, "", Some((Agent, "403"))),
            (404, "<html>", Some((Agent, "404"))),
            (400, &event("INVALID_REQUEST", "no"), Some((Recipient, "400 INVALID_REQUEST"))),
            (
                400,
                r#"{"code":1417,"message":"","data":{"error":{"error_code":"INVALID_NUMBER"}}}"#,
                Some((Recipient, "400 INVALID_NUMBER")),
            ),
            (400, r#"{"code":1419,"data":{}}"#, Some((Agent, "400 1419"))),
            (400, r#"{"code":1423}"#, Some((Recipient, "400 1423"))),
            (400, &event("INVALID_SERVICE_CODE", ""), Some((Agent, "400 INVALID_SERVICE_CODE"))),
            (429, &event("THROTTLED", ""), Some((Transient, "429 THROTTLED"))),
            (408, "", Some((Transient, "408"))),
            (500, r#"{"code":"RCS500","data":[],"error":{}}"#, Some((Transient, "500 RCS500"))),
            (503, "", Some((Transient, "503"))),
            (302, "", Some((Transient, "302"))),
        ],
    );
}

#[test]
fn pinnacles_answers() {
    let by_field = |field: &str| {
        format!(r#"{{"error":"x","errors":{{"errors":[],"properties":{{"{field}":{{"errors":["y"]}}}}}}}}"#)
    };
    check(
        "pinnacle",
        &[
            (200, r#"{"success":true,"agentId":"agent_x"}"#, None),
            (200, "{}", None),
            (200, r#"{"success":false}"#, Some((Transient, "200 no_success"))),
            (400, r#"{"error":"no"}"#, Some((Recipient, "400"))),
            (400, &by_field("to"), Some((Recipient, "400"))),
            (400, &by_field("agentId"), Some((Agent, "400"))),
            (401, r#"{"error":"no"}"#, Some((Credential, "401"))),
            (401, &by_field("agentId"), Some((Credential, "401"))),
            (403, r#"{"error":"no"}"#, Some((Agent, "403"))),
            (404, r#"{"error":"no"}"#, Some((Agent, "404"))),
            (429, r#"{"error":"no"}"#, Some((Transient, "429"))),
            (500, r#"{"error":"no"}"#, Some((Transient, "500"))),
            (500, &by_field("agentId"), Some((Transient, "500"))),
            (501, r#"{"error":"no"}"#, Some((Transient, "501"))),
        ],
    );
}

#[test]
fn salesforces_answers() {
    let code = |code: u32| format!(r#"{{"success":false,"code":{code},"message":"+14155550190"}}"#);
    check(
        "salesforce",
        &[
            (202, r#"{"success":true,"id":"1","workItemIds":[]}"#, None),
            (200, "", None),
            (202, &code(10017), Some((Agent, "202 10017"))),
            (200, r#"{"success":false}"#, Some((Transient, "200"))),
            (401, &code(10004), Some((Credential, "401 10004"))),
            (401, &code(10003), Some((Credential, "401 10003"))),
            (401, "", Some((Credential, "401"))),
            (403, &code(10001), Some((Agent, "403 10001"))),
            (403, &code(10005), Some((Credential, "403 10005"))),
            (403, &code(10099), Some((Credential, "403 10099"))),
            (403, &code(15103), Some((Recipient, "403 15103"))),
            (403, "", Some((Credential, "403"))),
            (404, &code(10017), Some((Agent, "404 10017"))),
            (404, &code(10089), Some((Agent, "404 10089"))),
            (400, &code(10016), Some((Credential, "400 10016"))),
            (400, &code(10027), Some((Agent, "400 10027"))),
            (400, &code(10028), Some((Recipient, "400 10028"))),
            (400, &code(10089), Some((Recipient, "400 10089"))),
            (400, &code(10055), Some((Transient, "400 10055"))),
            (429, &code(10089), Some((Transient, "429 10089"))),
            (500, &code(500), Some((Transient, "500 500"))),
            (503, &code(10004), Some((Transient, "503 10004"))),
            (504, &code(10094), Some((Transient, "504 10094"))),
        ],
    );
}

#[test]
fn googles_answers() {
    let error = |code: u16, status: &str| {
        format!(r#"{{"error":{{"code":{code},"message":"no","status":"{status}"}}}}"#)
    };
    let reason = |reason: &str| {
        let detail = format!(r#"{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}"}}"#);
        format!(
            r#"{{"error":{{"code":403,"message":"no","status":"PERMISSION_DENIED","details":[{{}},{detail}]}}}}"#
        )
    };
    check(
        "rbm",
        &[
            (200, r#"{"name":"phones/x/agentEvents/1"}"#, None),
            (200, "", None),
            // The same event once more: it was repeated on its way.
            (409, &error(409, "ALREADY_EXISTS"), None),
            (409, &error(409, "ABORTED"), Some((Transient, "409 ABORTED"))),
            (409, "", Some((Recipient, "409"))),
            (400, &error(400, "INVALID_ARGUMENT"), Some((Recipient, "400 INVALID_ARGUMENT"))),
            (401, &error(401, "UNAUTHENTICATED"), Some((Credential, "401 UNAUTHENTICATED"))),
            (401, "", Some((Credential, "401"))),
            (403, &error(403, "PERMISSION_DENIED"), Some((Recipient, "403 PERMISSION_DENIED"))),
            (403, &reason("SERVICE_DISABLED"), Some((Credential, "403 PERMISSION_DENIED"))),
            (403, &reason("ACCESS_TOKEN_SCOPE_INSUFFICIENT"), Some((Credential, "403 PERMISSION_DENIED"))),
            (403, &reason("IAM_PERMISSION_DENIED"), Some((Agent, "403 PERMISSION_DENIED"))),
            (403, &reason("SOMETHING_NEW"), Some((Recipient, "403 PERMISSION_DENIED"))),
            (
                403,
                r#"{"error":{"status":"PERMISSION_DENIED","message":"The caller does not have permission"}}"#,
                Some((Agent, "403 PERMISSION_DENIED")),
            ),
            (404, &error(404, "NOT_FOUND"), Some((Recipient, "404 NOT_FOUND"))),
            (404, "<html>", Some((Recipient, "404"))),
            (429, &error(429, "RESOURCE_EXHAUSTED"), Some((Transient, "429 RESOURCE_EXHAUSTED"))),
            (500, &error(500, "INTERNAL"), Some((Transient, "500 INTERNAL"))),
            (503, &error(503, "UNAVAILABLE"), Some((Transient, "503 UNAVAILABLE"))),
            (504, &error(504, "DEADLINE_EXCEEDED"), Some((Transient, "504 DEADLINE_EXCEEDED"))),
            (503, &error(503, "SOMETHING_NEW"), Some((Transient, "503 SOMETHING_NEW"))),
        ],
    );
}

#[test]
fn what_our_own_doors_refuse_is_understood() {
    let fault = Fault { field: "to".into(), kind: FaultKind::WrongValue, expected: "a number".into() };
    // In the order of the doors: Kaleyra, Pinnacle, Salesforce, RBM.
    for (rejection, expected) in [
        (Rejection::Unauthenticated, [Credential; 4]),
        (Rejection::OutOfScope, [Credential, Credential, Credential, Recipient]),
        // The RCS platform has the same words for an agent and for a user that is not there.
        (Rejection::UnknownAgent, [Recipient, Agent, Agent, Recipient]),
        (Rejection::ForeignAgent, [Recipient, Agent, Agent, Recipient]),
        (Rejection::Forbidden(Bar::Recipient), [Recipient, Agent, Recipient, Recipient]),
        (Rejection::Forbidden(Bar::Context), [Recipient, Agent, Credential, Recipient]),
        (Rejection::Invalid(vec![fault]), [Recipient, Recipient, Agent, Recipient]),
        (Rejection::NoBody, [Recipient; 4]),
        (Rejection::TooLarge, [Recipient; 4]),
        (Rejection::TooSlow, [Transient; 4]),
        (Rejection::TooMany { retry_after_s: 7 }, [Transient; 4]),
        (Rejection::UpstreamTimeout, [Transient; 4]),
        (Rejection::Unavailable, [Transient; 4]),
        (Rejection::Internal, [Transient; 4]),
    ] {
        let paths = [
            "/v1/dev/rcs/events",
            "/messages/send/typing",
            "/api/v1/interactions",
            "/v1/phones/x/agentEvents",
        ];
        for (at, (door, upstream)) in all_doors().iter().zip(all_upstreams()).enumerate() {
            let head = Request::post(paths[at]).body(()).expect("it is well-formed").into_parts().0;
            let response = door.refuse(&head, &Refusal::from(rejection.clone()));
            let refused = judge(upstream.as_ref(), &response).expect_err("it is a refusal");
            assert_eq!(refused.kind, expected[at], "{} {rejection:?}", door.name());
            let wait = match rejection {
                Rejection::TooMany { .. } => Some(Duration::from_secs(7)),
                Rejection::Unavailable => Some(Duration::from_secs(1)),
                _ => None,
            };
            assert_eq!(refused.retry_after, wait, "{} {rejection:?}", door.name());
        }
    }
}

#[test]
fn a_provider_says_how_long_it_wants_to_be_left_alone() {
    for upstream in all_upstreams() {
        for (status, retry_after, expected_s) in
            [(429, "7", Some(7)), (503, "Wed, 05 Nov 2025 10:00:09 GMT", Some(9)), (500, "soon", None)]
        {
            let mut response = answer(status, "");
            response.headers_mut().insert("retry-after", HeaderValue::from_static(retry_after));
            let refused = judge(upstream.as_ref(), &response).expect_err("it is a refusal");
            let expected = (Transient, expected_s.map(Duration::from_secs));
            assert_eq!((refused.kind, refused.retry_after), expected, "{} {status}", upstream.name());
        }
    }
    assert_eq!((Refused::no_answer().kind, Refused::no_answer().retry_after), (Transient, None));
}

#[test]
fn a_body_that_is_too_long_says_nothing() {
    let upstream = upstream("salesforce");
    let body = |length: usize| format!(r#"{{"code":15103,"x":"{}"}}"#, "x".repeat(length - 21));
    assert_eq!(body(ANSWER_LIMIT).len(), ANSWER_LIMIT);
    for (length, kind) in [(ANSWER_LIMIT, Recipient), (ANSWER_LIMIT + 1, Credential)] {
        let refused = judge(upstream.as_ref(), &answer(403, &body(length))).expect_err("it is a refusal");
        assert_eq!(refused.kind, kind, "{length}");
    }
}

proptest! {
    #[test]
    fn any_answer_is_judged_and_nothing_of_it_kept(
        status in 100..1000_u16,
        body in prop::collection::vec(any::<u8>(), 0..256),
        text in "[ -~]{0,60}",
        retry_after in prop::option::of("[ -~]{0,40}"),
    ) {
        let quoted = serde_json::json!({"error": {"status": text, "message": text, "error_code": text}, "code": text, "errors": text, "success": text});
        let mut headers = HeaderMap::new();
        if let Some(retry_after) = retry_after {
            headers.insert("retry-after", HeaderValue::from_str(&retry_after).expect("it is text"));
        }
        let status = StatusCode::from_u16(status).expect("it is a status");
        for upstream in all_upstreams() {
            for body in [&body[..], quoted.to_string().as_bytes()] {
                let answer = Answer { status, headers: &headers, body, now: NOW };
                let Err(refused) = upstream.judge(&answer) else { continue };
                prop_assert!(refused.detail.bytes().filter(u8::is_ascii_digit).count() < 3 + 7);
                prop_assert!(refused.detail.len() <= 36, "{}", refused.detail);
                prop_assert!(refused.retry_after.is_none_or(|wait| wait <= Duration::from_secs(3_600)));
            }
        }
    }
}
