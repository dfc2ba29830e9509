//! Paths that another reader would take for a better-known one: here each is nobody's.

use super::face::Dialect::{self, KaleyraEvent, Pinnacle, Problem, Salesforce};
use super::face::{
    Face, KALEYRA_EVENTS, KALEYRA_MESSAGES, LISTING, NATIVE, PINNACLE_TYPING, SALESFORCE, assert_no_lease,
};
use crate::support::InProcess;

#[tokio::test(start_paused = true)]
async fn a_path_that_is_written_otherwise_is_nobodys() {
    let gateway = InProcess::start();
    let long = "x".repeat(8_000);
    let deep = "/x".repeat(4_000);
    let (events, messages, typing, salesforce, native) =
        (&KALEYRA_EVENTS, &KALEYRA_MESSAGES, &PINNACLE_TYPING, &SALESFORCE, &NATIVE);
    let rows: Vec<(&Face, String, Dialect, u16)> = vec![
        (events, "/v1/XXXXX6913850XXXX/rcs/messages/../events".into(), KaleyraEvent, 404),
        (events, "/v1/XXXXX6913850XXXX/rcs/./events".into(), KaleyraEvent, 404),
        (events, "/v1/XXXXX6913850XXXX/rcs//events".into(), KaleyraEvent, 404),
        (events, "/v1/XXXXX6913850XXXX/rcs/events/".into(), KaleyraEvent, 404),
        (events, "/v1/XXXXX6913850XXXX/rcs/%65vents".into(), KaleyraEvent, 404),
        (events, "/v1/XXXXX6913850XXXX/rcs/events%00".into(), KaleyraEvent, 404),
        (events, "/v1/XXXXX6913850XXXX/rcs/events%ff".into(), KaleyraEvent, 404),
        (events, "/v1/XXXXX6913850XXXX/rcs/events;x=1".into(), KaleyraEvent, 404),
        (events, "/v1/XXXXX6913850XXXX/rcs/Events".into(), KaleyraEvent, 404),
        (events, format!("/v1/XXXXX6913850XXXX/rcs/{long}"), KaleyraEvent, 404),
        (events, "/v1/%2e%2e/rcs/events".into(), KaleyraEvent, 401),
        (events, format!("/v1/{long}/rcs/events"), KaleyraEvent, 401),
        (events, "/v1/XXXXX6913850XXXX%2frcs/events".into(), Problem, 404),
        (events, "/v1//XXXXX6913850XXXX/rcs/events".into(), Problem, 404),
        (events, "//v1/XXXXX6913850XXXX/rcs/events".into(), Problem, 404),
        (events, "/x/../v1/XXXXX6913850XXXX/rcs/events".into(), Problem, 404),
        (messages, "/v1/XXXXX6913850XXXX/rcs/messages/".into(), KaleyraEvent, 404),
        (messages, "/v1/XXXXX6913850XXXX/rcs/x/../messages".into(), KaleyraEvent, 404),
        (typing, "/messages/send/../send/typing".into(), Pinnacle, 404),
        (typing, "/messages/send/%2e%2e/send/typing".into(), Pinnacle, 404),
        (typing, "/messages//send/typing".into(), Pinnacle, 404),
        (typing, "/messages/send/typing/".into(), Pinnacle, 404),
        (typing, "/messages/send/typing%00".into(), Pinnacle, 404),
        (typing, "/messages/send/typing%ff".into(), Pinnacle, 404),
        (typing, format!("/messages/send/{long}"), Pinnacle, 404),
        (typing, format!("/messages{deep}"), Pinnacle, 404),
        (typing, "//messages/send/typing".into(), Problem, 404),
        (typing, "/%6dessages/send/typing".into(), Problem, 404),
        (salesforce, "/api/v1/../v1/interactions".into(), Salesforce, 404),
        (salesforce, "/api/v1//interactions".into(), Salesforce, 404),
        (salesforce, "/api/v1/interactions/".into(), Salesforce, 404),
        (salesforce, "/api/v1/interactions%00".into(), Salesforce, 404),
        (salesforce, "/api/v1/interactions%ff".into(), Salesforce, 404),
        (salesforce, "/v1/interactions/../interactions".into(), Salesforce, 404),
        (salesforce, format!("/api/v1/{long}"), Salesforce, 404),
        (salesforce, "/api/%76%31/interactions".into(), Problem, 404),
        (native, "/typing/v1/../v1/signals".into(), Problem, 404),
        (native, "/typing/v1/%2e%2e/v1/signals".into(), Problem, 404),
        (native, "/typing/v1//signals".into(), Problem, 404),
        (native, "//typing/v1/signals".into(), Problem, 404),
        (native, "/typing/v1/signals/".into(), Problem, 404),
        (native, "/typing/v1/%73ignals".into(), Problem, 404),
        (native, "/typing/v1/signals%00".into(), Problem, 404),
        (native, "/typing/v1/signals%ff".into(), Problem, 404),
        (native, "/typing/v1/signals%".into(), Problem, 404),
        (native, "/../../../../etc/passwd".into(), Problem, 404),
        (native, "/%2e%2e/%2e%2e/etc/passwd".into(), Problem, 404),
        (native, format!("/typing/v1/{long}"), Problem, 404),
        (native, deep, Problem, 404),
        (native, "/".into(), Problem, 404),
    ];
    for (face, path, dialect, status) in rows {
        let shown = &path[..path.len().min(60)];
        let request = face.good();
        let rest = &request["POST ".len() + face.path.len()..];
        let answer = gateway.exchange(&[b"POST ", path.as_bytes(), rest].concat()).await;
        dialect.code(&answer, shown);
        assert_eq!(answer.status, status, "{shown}");
        assert_no_lease(&gateway, shown).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_no_path_is_refused() {
    let gateway = InProcess::start();
    for (target, status) in [
        (&b"typing/v1/leases"[..], 400),
        (b"*", 404),
        (b"", 400),
        (b"/typing/v1/leases\0", 400),
        (b"/typing/v1/\x7fleases", 400),
        (b"/typing/v1/leases x", 400),
        (b"/typing\\v1\\leases", 404),
        (b"/typing/v1/leases\xff", 400),
        (b"/typing/v1/leases#fragment", 200),
        (b"/typing/v1/leases?x=%ff", 400),
        (b"/typing/v1/leases?agent=%00", 200),
    ] {
        let rest = &LISTING["GET /typing/v1/leases".len()..];
        let answer = gateway.exchange(&[b"GET ", target, rest].concat()).await;
        assert_eq!(answer.status, status, "{:?}: {}", target.escape_ascii().to_string(), answer.body);
    }
}
