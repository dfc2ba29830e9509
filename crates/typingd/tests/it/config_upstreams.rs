//! What a configuration may say about accounts at providers, and about who is told of what by them.

use std::time::Duration;

use typingd::config::file::{self, Environment};
use typingd::config::{Tenancy, UpstreamAccount};

use super::config::{Directory, key_file, private_key};

const TENANT: &str = "[[tenants]]\nname = 'acme'\n";

fn load(text: &str) -> Result<Tenancy, String> {
    let config = file::load(text, &Environment::new()).map_err(|error| error.to_string())?;
    Ok(config.tenancy)
}

#[test]
fn an_account_is_read_with_its_names_and_limits() {
    let text = format!(
        "{TENANT}[[tenants.upstreams.pinnacle]]\nname = 'p'\nbase_url = 'https://api.example/'\napi_key = 'k'\n\
         agents = {{ support = 'agent_x' }}\nlimits = {{ calls_per_second = 5, typing_timeout_ms = 700 }}\n\
         [[tenants.routes]]\nupstream = 'p'\nagents = ['sup*']\nchannel = 'rcs'\ntyping = 'agent'\n"
    );
    let Tenancy { upstreams, routes, .. } = load(&text).unwrap();
    let [UpstreamAccount { tenant, name, upstream, limits, .. }] = upstreams.as_slice() else { panic!() };
    assert_eq!((tenant.as_str(), name.as_str(), upstream.name()), ("acme", "p", "pinnacle"));
    assert_eq!(upstream.agent("support"), "agent_x");
    assert_eq!(limits.pacing.rate.calls.get(), 5);
    assert_eq!(limits.typing_timeout, Duration::from_millis(700));
    assert_eq!(limits.message_timeout, Duration::from_secs(60));
    let [route] = routes.as_slice() else { panic!() };
    assert_eq!((route.upstream.as_str(), route.channel.as_deref()), ("p", Some("rcs")));
    assert!(route.agents.contain("support") && !route.agents.contain("sales"));
}

#[test]
fn settings_are_told_from_others_by_their_secrets_too() {
    let directory = Directory::new("marks");
    let text = directory.stand_in(&format!(
        "{TENANT}[[tenants.upstreams.pinnacle]]\nname = 'p'\nbase_url = 'https://api.example'\n\
         api_key = 'file:/etc/typingd/key'\n"
    ));
    let mark = |text: &str, key: &str| {
        directory.write("key", key);
        load(text).unwrap().upstreams[0].mark
    };
    let first = mark(&text, "one");
    assert_eq!(mark(&text, "one"), first);
    assert_ne!(mark(&text, "two"), first);
    assert_ne!(mark(&text.replace("api.example", "other.example"), "one"), first);
    assert_ne!(mark(&format!("{text}limits = {{ burst = 3 }}\n"), "one"), first);
}

#[test]
fn an_account_that_asks_for_tokens_needs_a_key_to_sign_with() {
    let directory = Directory::new("signers");
    let key = private_key();
    directory.write("key.pem", &key);
    directory.write("google.json", &key_file(&key));
    directory.write("public.json", &key_file("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
    directory.write("none.json", "{}");
    let salesforce = |app: &str| {
        format!(
            "{TENANT}[[tenants.upstreams.salesforce]]\nname = 's'\nbase_url = 'https://a.example'\n\
             org_id = '00Dxx0000000001'\n[tenants.upstreams.salesforce.connected_app]\nconsumer_key = 'c'\n\
             subject = 'u'\n{app}"
        )
    };
    let rbm = |account: &str| {
        format!("{TENANT}[[tenants.upstreams.rbm]]\nname = 'g'\nbase_url = 'https://a.example'\n{account}")
    };
    let pem = "expected an RSA private key of 2048 bits or more, in PEM form (BEGIN PRIVATE KEY)";
    let json = "expected the key file of a service account, in JSON";
    let app = "tenants[0].upstreams.salesforce[0].connected_app";
    for (text, expected) in [
        (salesforce("private_key = 'file:/etc/typingd/key.pem'\n"), None),
        (salesforce("private_key = 'no key'\n"), Some(format!("line 10, {app}.private_key: {pem}"))),
        (
            salesforce("private_key = 'file:/etc/typingd/key.pem'\nlogin_url = 'login'\n"),
            Some(format!(
                "line 11, {app}.login_url: expected an http or https URL without user, query and fragment"
            )),
        ),
        (rbm("service_account = 'file:/etc/typingd/google.json'\n"), None),
        (
            rbm("service_account = 'file:/etc/typingd/public.json'\n"),
            Some(format!("line 6, tenants[0].upstreams.rbm[0].service_account: {pem}")),
        ),
        (
            rbm("service_account = 'file:/etc/typingd/none.json'\n"),
            Some(format!("line 6, tenants[0].upstreams.rbm[0].service_account: {json}")),
        ),
        (
            rbm("service_account = 'file:/etc/typingd/google.json'\ntoken = 't'\n"),
            Some(
                "line 7, tenants[0].upstreams.rbm[0].token: expected either `token` or `service_account`"
                    .to_owned(),
            ),
        ),
        (
            rbm(""),
            Some(
                "line 3, tenants[0].upstreams.rbm[0].token: expected either `token` or `service_account`"
                    .to_owned(),
            ),
        ),
    ] {
        assert_eq!(load(&directory.stand_in(&text)).err(), expected, "{text}");
    }
}

#[test]
fn what_is_wrong_with_an_account_or_a_route_is_named() {
    let pinnacle =
        "[[tenants.upstreams.pinnacle]]\nname = 'p'\nbase_url = 'https://a.example'\napi_key = 'k'\n";
    let at = "tenants[0].upstreams.pinnacle";
    for (text, expected) in [
        (pinnacle.to_owned(), None),
        (
            pinnacle.replace("https://", "ftp://"),
            Some(format!("line 5, {at}[0].base_url: expected an http or https URL without user, query and fragment")),
        ),
        (
            pinnacle.replace("'k'", "'blake3:00'"),
            Some(format!("line 6, {at}[0].api_key: expected the credential itself: a digest cannot be shown to a provider")),
        ),
        (
            pinnacle.replace("'k'", "''"),
            Some(format!("line 6, {at}[0].api_key: expected a secret, which is not empty")),
        ),
        (pinnacle.replace("'p'", "''"), Some(format!("line 4, {at}[0].name: expected a name, which is not empty, in one line"))),
        (format!("{pinnacle}{pinnacle}"), Some(format!("line 8, {at}[1].name: two upstreams are called `p`"))),
        (
            format!("{pinnacle}limits = {{ freshness_ms = 1 }}\n"),
            Some(format!("line 7, {at}[0].limits.freshness_ms: expected milliseconds, from 100 to 600000")),
        ),
        (
            format!("{pinnacle}limits = {{ concurrency = 0 }}\n"),
            Some(format!("line 7, {at}[0].limits.concurrency: expected a whole number above 0")),
        ),
        (
            format!("{pinnacle}sid = 'x'\n"),
            Some(format!(
                "line 7, {at}[0].sid: unknown field `sid`, expected one of `name`, `base_url`, `api_key`, `agents`, `limits`"
            )),
        ),
        (
            "[[tenants.upstreams.acme]]\n".to_owned(),
            Some(
                "line 3, tenants[0].upstreams.acme: unknown field `acme`, expected one of `kaleyra`, `pinnacle`, `salesforce`, `rbm`"
                    .to_owned(),
            ),
        ),
        (
            format!("{pinnacle}[[tenants.routes]]\nupstream = 'q'\n"),
            Some("line 8, tenants[0].routes[0].upstream: expected the `name` of one of the tenant's `upstreams`".to_owned()),
        ),
        (
            format!("{pinnacle}[[tenants.routes]]\nupstream = 'p'\ntyping = 'user'\n"),
            Some(
                "line 9, tenants[0].routes[0].typing: expected \"agent\": that is whose typing pinnacle can be told of"
                    .to_owned(),
            ),
        ),
        (
            format!("{pinnacle}[[tenants.routes]]\nupstream = 'p'\nagents = []\n"),
            Some(
                "line 9, tenants[0].routes[0].agents: expected a pattern at least: `*` stands for every agent"
                    .to_owned(),
            ),
        ),
        (
            format!("{pinnacle}[[tenants]]\nname = 'globex'\n[[tenants.routes]]\nupstream = 'p'\n"),
            Some("line 10, tenants[1].routes[0].upstream: expected the `name` of one of the tenant's `upstreams`".to_owned()),
        ),
        (
            "[[tenants.pinnacle]]\napi_keys = ['k']\nagents = []\nanswer = 'later'\n".to_owned(),
            Some("line 6, tenants[0].pinnacle[0].answer: expected `at_once` or `upstream`".to_owned()),
        ),
    ] {
        assert_eq!(load(&format!("{TENANT}{text}")).err(), expected, "{text}");
    }
}
