//! Who calls, whichever of its provider's calls it is, and which provider is meant.

use http::Request;
use http::request::Parts;
use typingd_providers::{AccountId, Provider, Rejection};

use crate::exchange::jwt;
use crate::fixture::{NOW, all_doors};

const KALEYRA: usize = 0;
const PINNACLE: usize = 1;
const SALESFORCE: usize = 2;
const RBM: usize = 3;

fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).expect("it is well-formed").into_parts().0
}

/// A row: what it shows, the path, the headers, and whose they are; `None` where they are nobody's.
type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<usize>);

fn check(door: usize, rows: &[Row<'_>]) {
    let doors = all_doors();
    for (what, path, headers, expected) in rows {
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            let seen = doors[door].identify(&head(method, path, headers), NOW);
            let expected = expected.map(AccountId).ok_or(Rejection::Unauthenticated);
            assert_eq!(seen, expected, "{what}: {method} {path}");
        }
    }
}

#[test]
fn kaleyras_callers_show_a_key_and_no_wrong_basic() {
    let key = ("api-key", "dev-kaleyra-key");
    check(
        KALEYRA,
        &[
            ("a key alone", "/v1/dev/rcs/media", &[key], Some(0)),
            ("at another of Kaleyra's calls", "/v1/dev/messages/1", &[key], Some(0)),
            ("at the typing call", "/v1/dev/rcs/events", &[key], Some(0)),
            ("with its Basic", "/v1/dev/rcs/x", &[key, ("authorization", "Basic ZGV2OmRldg==")], Some(0)),
            ("with a wrong Basic", "/v1/dev/rcs/x", &[key, ("authorization", "Basic ZGV2")], None),
            ("with a Bearer", "/v1/dev/rcs/x", &[key, ("authorization", "Bearer x")], None),
            ("with an empty Basic", "/v1/dev/rcs/x", &[key, ("authorization", "")], None),
            (
                "with another account's Basic",
                "/v1/dev/x",
                &[key, ("authorization", "Basic ZGV2MjpkZXYy")],
                None,
            ),
            ("a Basic alone", "/v1/dev/rcs/x", &[("authorization", "Basic ZGV2OmRldg==")], None),
            ("another account's sid", "/v1/dev2/rcs/x", &[key], None),
            ("nobody's sid", "/v1/nobody/rcs/x", &[key], None),
            ("two keys", "/v1/dev/rcs/x", &[key, key], None),
            ("an empty key", "/v1/dev/rcs/x", &[("api-key", "")], None),
            ("nothing", "/v1/dev/rcs/x", &[], None),
            ("another account", "/v1/dev2/x", &[("api-key", "dev2-key")], Some(1)),
        ],
    );
    for path in ["/v1/dev", "/v1//x", "/v2/dev/x", "/"] {
        let seen = all_doors()[KALEYRA].identify(&head("GET", path, &[key]), NOW);
        assert_eq!(seen, Err(Rejection::UnknownPath), "{path}");
    }
}

#[test]
fn pinnacles_callers_show_a_key_under_its_prefix() {
    let (dev, globex) = (("pinnacle-api-key", "dev-pinnacle-key"), ("pinnacle-api-key", "globex-key"));
    check(
        PINNACLE,
        &[
            ("a key", "/brands", &[dev], Some(0)),
            ("a key at a known call", "/messages/send/typing", &[dev], Some(0)),
            ("another account's", "/brands", &[("PINNACLE-API-KEY", "second-key")], Some(1)),
            ("under its prefix", "/pinnacle/brands/1", &[globex], Some(2)),
            ("without its prefix", "/brands", &[globex], None),
            ("at its prefix", "/pinnacle", &[globex], None),
            ("under a longer word", "/pinnacles/brands", &[globex], None),
            ("under another account's prefix", "/pinnacle/brands", &[dev], None),
            ("a wrong key", "/brands", &[("pinnacle-api-key", "x")], None),
            ("an empty key", "/brands", &[("pinnacle-api-key", "")], None),
            ("two keys", "/brands", &[dev, dev], None),
            ("nothing", "/brands", &[], None),
        ],
    );
}

#[test]
fn salesforces_callers_show_a_token_and_no_other_org() {
    let token = ("authorization", "Bearer dev-salesforce-token");
    let assertion = jwt(&[
        r#"{"alg":"RS256"}"#,
        r#"{"iss":"3MVG9dev","sub":"a@acme.example","aud":"https://login.salesforce.com","exp":1762336980}"#,
        "signed",
    ]);
    let issued = format!("Bearer {}", issue(all_doors()[SALESFORCE].as_ref(), &assertion));
    let issued = ("authorization", issued.as_str());
    check(
        SALESFORCE,
        &[
            ("a token alone", "/services/data/v60.0/sobjects", &[token], Some(0)),
            ("with its org", "/services/x", &[token, ("orgid", "00Ddev000000000")], Some(0)),
            ("with its org's long id", "/services/x", &[token, ("orgid", "00Ddev000000000AAA")], Some(0)),
            ("with another org", "/services/x", &[token, ("orgid", "00Ddev000000002")], None),
            ("without context and request id", "/api/v1/interactions", &[token], Some(0)),
            ("a token that was issued", "/services/x", &[issued], Some(0)),
            ("one issued, with another org", "/services/x", &[issued, ("orgid", "00Ddev000000002")], None),
            ("an org alone", "/services/x", &[("orgid", "00Ddev000000000")], None),
            ("a wrong token", "/services/x", &[("authorization", "Bearer x")], None),
            ("no Bearer", "/services/x", &[("authorization", "Basic dev-salesforce-token")], None),
            ("an empty token", "/services/x", &[("authorization", "Bearer ")], None),
            ("two tokens", "/services/x", &[token, token], None),
            ("nothing", "/services/x", &[], None),
        ],
    );
    for org_id in ["", "00D", "00Ddev00000000-"] {
        let seen =
            all_doors()[SALESFORCE].identify(&head("GET", "/services/x", &[token, ("orgid", org_id)]), NOW);
        assert!(matches!(seen, Err(Rejection::BadHeader { name: "OrgId", .. })), "{org_id:?}: {seen:?}");
    }
    let later = NOW + jiff::SignedDuration::from_hours(3);
    let ended = head("GET", "/services/x", &[issued]);
    assert_eq!(all_doors()[SALESFORCE].identify(&ended, later), Err(Rejection::Unauthenticated));
    assert!(all_doors()[SALESFORCE].is_meant(&ended), "who shows a token that has ended hears so");
}

/// A token for this assertion.
fn issue(door: &dyn Provider, assertion: &str) -> String {
    let form = "application/x-www-form-urlencoded";
    let headers = [("content-type", form), ("host", "gateway.example")];
    let head = head("POST", "/services/oauth2/token", &headers);
    let body =
        format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    let caller = door.admit(&head, NOW).expect("the head is right");
    let call = door.decode(caller, &head, &body.into(), NOW).map_err(|refusal| refusal.rejection);
    let answer = (call.expect("the assertion is right").reply)(&crate::fixture::receipt(false));
    let answer: serde_json::Value = serde_json::from_slice(answer.body()).expect("it is JSON");
    answer["access_token"].as_str().expect("there is a token").to_owned()
}

#[test]
fn rbms_callers_show_a_token() {
    let token = ("authorization", "bearer globex-rbm-token");
    check(
        RBM,
        &[
            ("a token", "/v1/files", &[token], Some(2)),
            ("at a known call", "/v1/phones/+1415/agentEvents", &[token], Some(2)),
            ("a wrong token", "/v1/files", &[("authorization", "Bearer x")], None),
            ("an empty token", "/v1/files", &[("authorization", "Bearer ")], None),
            ("two tokens", "/v1/files", &[token, token], None),
            ("nothing", "/v1/files", &[], None),
        ],
    );
}

/// A row: the path, the headers, and the provider that is meant.
type Meant<'a> = (&'a str, &'a [(&'a str, &'a str)], Option<usize>);

#[test]
fn a_call_that_no_door_serves_has_one_provider_or_none() {
    let key = ("pinnacle-api-key", "whatever");
    let org = ("orgid", "whatever");
    let bearer = |token| ("authorization", token);
    let rows: &[Meant<'_>] = &[
        ("/v1/dev/messages", &[], Some(KALEYRA)),
        ("/v1/dev/", &[], Some(KALEYRA)),
        ("/v1/lax/rcs/media/1", &[], Some(KALEYRA)),
        ("/v1/nobody/messages", &[], None),
        ("/v1/DEV/messages", &[], None),
        ("/v1/dev", &[], None),
        ("/v1//messages", &[], None),
        ("/v2/dev/messages", &[], None),
        ("/brands", &[key], Some(PINNACLE)),
        ("/pinnacle/brands", &[key], Some(PINNACLE)),
        ("/webhooks2", &[key], Some(PINNACLE)),
        ("/brands", &[], None),
        ("/v1/files", &[], Some(RBM)),
        ("/v1/files/x", &[], Some(RBM)),
        ("/upload/v1/files", &[], Some(RBM)),
        ("/v1/users:batchGet", &[], Some(RBM)),
        ("/v1/phones", &[], Some(RBM)),
        ("/v1/phones/+1/capabilities", &[], Some(RBM)),
        ("/v1/phones/+1:requestCapabilityCallback", &[], Some(RBM)),
        ("/v1/agents", &[], Some(RBM)),
        ("/v1/agents/x", &[], Some(RBM)),
        ("/v1/dialogflowMessages", &[], Some(RBM)),
        ("/v1/dialogflowMessages:x", &[], Some(RBM)),
        ("/v1/filesystem", &[], None),
        ("/v1/users", &[], None),
        ("/v1/users:batchGetAll", &[], None),
        ("/upload/v1/phones", &[], None),
        ("/v1", &[], None),
        ("/services/data", &[org], Some(SALESFORCE)),
        ("/services/data", &[bearer("Bearer dev-salesforce-token")], Some(SALESFORCE)),
        ("/services/data", &[bearer("bearer absent-token")], Some(SALESFORCE)),
        ("/services/data", &[bearer("Bearer dev-rbm-token")], None),
        ("/services/data", &[bearer("Bearer ")], None),
        ("/services/data", &[bearer("Basic dev-salesforce-token")], None),
        ("/services/data", &[], None),
        ("/services", &[org], None),
        ("/services/oauth2/token", &[org], None),
        ("/services/oauth2/userinfo", &[org], None),
        ("/data", &[org, bearer("Bearer dev-salesforce-token")], None),
    ];
    let doors = all_doors();
    for (path, headers, expected) in rows {
        let head = head("GET", path, headers);
        let seen: Vec<usize> = (0..doors.len()).filter(|at| doors[*at].is_meant(&head)).collect();
        assert_eq!(seen, expected.iter().copied().collect::<Vec<_>>(), "{path} {headers:?}");
    }
    // What the gateway serves itself is nobody's, whoever knocks.
    let all = [key, org, bearer("Bearer dev-salesforce-token"), ("api-key", "dev-kaleyra-key")];
    for path in [
        "/",
        "/typing",
        "/typing/v1/leases",
        "/console",
        "/console/x",
        "/console.css",
        "/webhooks",
        "/webhooks/x",
    ] {
        let head = head("POST", path, &all);
        assert!(!doors.iter().any(|door| door.is_meant(&head)), "{path}");
    }
}

#[test]
fn where_nobody_has_an_account_no_provider_is_meant() {
    let none = typingd_providers::Accounts::default();
    let doors = typingd_providers::doors(none, &crate::fixture::token_keys(), &crate::fixture::hasher())
        .expect("none");
    let headers = [("pinnacle-api-key", "x"), ("orgid", "x"), ("authorization", "Bearer x")];
    for path in ["/v1/dev/x", "/brands", "/services/data", "/v1/files"] {
        assert!(!doors.iter().any(|door| door.is_meant(&head("GET", path, &headers))), "{path}");
    }
}

#[test]
fn a_prefix_is_not_the_providers() {
    let doors = all_doors();
    for (door, account, path, expected) in [
        (PINNACLE, 2, "/pinnacle/messages/send/rcs", "/messages/send/rcs"),
        (PINNACLE, 2, "/pinnacle/a%2Fb//c", "/a%2Fb//c"),
        (PINNACLE, 2, "/pinnacle", "/pinnacle"),
        (PINNACLE, 2, "/pinnacles/x", "/pinnacles/x"),
        (PINNACLE, 2, "/x/pinnacle/y", "/x/pinnacle/y"),
        (PINNACLE, 0, "/pinnacle/x", "/pinnacle/x"),
        (PINNACLE, 9, "/pinnacle/x", "/pinnacle/x"),
        (KALEYRA, 0, "/v1/dev/rcs/events", "/v1/dev/rcs/events"),
        (RBM, 0, "/pinnacle/v1/files", "/pinnacle/v1/files"),
    ] {
        assert_eq!(doors[door].path_inside(AccountId(account), path), expected, "{path}");
    }
}
