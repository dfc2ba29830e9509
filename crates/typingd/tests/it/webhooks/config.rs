//! Webhooks in a configuration file.

use std::time::Duration;

use typingd::config::Proof;
use typingd::config::file::{self, Environment};
use typingd::keys;
use typingd_providers::KeyHasher;

/// What must be found nowhere.
const CANARY: &str = "canary-7f3a-canary-7f3a";

/// A tenant with one account, on the channel `rcs`, and what follows.
fn with(more: &str) -> String {
    format!(
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\napi_keys = ['a']\nagents = ['*']\nchannel = 'rcs'\n[[tenants.webhooks]]\n{more}"
    )
    .replace("CANARY", CANARY)
}

#[test]
fn a_webhook_says_little_and_has_defaults() {
    let text = with(
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY', 'env:TOKEN']\nagents = { theirs = 'ours' }\n",
    );
    let environment = Environment::from([("TOKEN".to_owned(), "0123456789-._~abcdef".to_owned())]);
    let config = file::load(&text, &environment).unwrap();
    let [webhook] = config.tenancy.webhooks.as_slice() else { panic!("{text}") };
    assert_eq!(
        (webhook.tenant.as_str(), webhook.name.as_str(), webhook.channel.as_str()),
        ("acme", "w", "rcs")
    );
    assert_eq!((webhook.ttl, webhook.max_age), (Duration::from_secs(20), Duration::from_secs(30)));
    assert_eq!((webhook.path_tokens.len(), webhook.agents["theirs"].as_str()), (2, "ours"));
    assert!(matches!(webhook.proof, Proof::Kaleyra));
    let printed = file::print(&text, &environment).unwrap();
    assert!(printed.contains("path_tokens = [\n    \"***\",\n    \"env:TOKEN\",\n]"), "{printed}");
    assert!(!printed.contains(CANARY) && !format!("{config:?}").contains(CANARY), "{printed}");
}

#[test]
fn every_secret_of_a_webhook_is_masked() {
    for rest in [
        "provider = 'pinnacle'\nsigning_secrets = ['CANARY']\n",
        "provider = 'rbm'\nclient_token = 'CANARY'\n",
    ] {
        let text = with(&format!("name = 'w'\nchannel = 'rcs'\npath_tokens = ['CANARY']\n{rest}"));
        let config = file::load(&text, &Environment::new()).unwrap();
        assert!(!format!("{config:?}").contains(CANARY), "{config:?}");
        let printed = file::print(&text, &Environment::new()).unwrap();
        assert!(!printed.contains(CANARY) && printed.matches("***").count() == 3, "{printed}");
    }
}

#[test]
fn a_token_may_stand_as_its_digest() {
    let pepper = [0x5e; 32];
    // Its length does not show.
    let digest = keys::credential(&KeyHasher::new(pepper), Some("short"));
    let text = format!(
        "[keys]\npepper = '{}'\n{}",
        "5e".repeat(32),
        with(&format!("name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['{digest}']\n"))
    );
    let config = file::load(&text, &Environment::new()).unwrap();
    let digest = config.tenancy.webhooks[0].path_tokens[0].digest(&config.keys.hasher);
    assert_eq!(digest, KeyHasher::new(pepper).hash(b"short"));
}

#[test]
fn what_is_wrong_is_named_with_its_key_and_line_and_never_quoted() {
    for (wrong, expected) in WRONG {
        let text = with(wrong);
        let error = file::load(&text, &Environment::new()).expect_err(&text);
        let said = error.to_string();
        assert!(!said.contains(CANARY), "{said}");
        assert_eq!(said, *expected, "{text}");
        assert_eq!(file::print(&text, &Environment::new()), Err(error), "{text}");
    }
    let prefix =
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\napi_keys = ['a']\nagents = ['*']\nprefix = '";
    for (path, is_taken) in
        [("/webhooks", true), ("/webhooks/x", true), ("/webhooks2", false), ("/x/webhooks", false)]
    {
        let said =
            file::load(&format!("{prefix}{path}'\n"), &Environment::new()).map_err(|error| error.to_string());
        let why = "line 6, tenants[0].pinnacle[0].prefix: the paths under `/webhooks` are those of webhooks";
        assert_eq!(said.err().as_deref(), is_taken.then_some(why), "{path}");
    }
}

/// What stands in the section, from line 8 on, and what is said about it.
const WRONG: &[(&str, &str)] = &[
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_token = 'CANARY'\n",
        "line 11, tenants[0].webhooks[0].path_token: unknown field `path_token`, expected one of `name`, `provider`, `path_tokens`, `signing_secrets`, `client_token`, `channel`, `agents`, `ttl_ms`, `max_age_s`",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\n",
        "line 7, tenants[0].webhooks[0]: missing field `path_tokens`",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\npath_tokens = ['CANARY']\n",
        "line 7, tenants[0].webhooks[0]: missing field `channel`",
    ),
    (
        "name = 'w'\nprovider = 'CANARY'\nchannel = 'rcs'\npath_tokens = ['CANARY']\n",
        "line 9, tenants[0].webhooks[0].provider: expected one of `kaleyra`, `pinnacle`, `rbm`",
    ),
    (
        "name = ''\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY']\n",
        "line 8, tenants[0].webhooks[0].name: expected a name, which is not empty",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = []\n",
        "line 11, tenants[0].webhooks[0].path_tokens: expected one at least",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY', '0123456789abcdefghi']\n",
        "line 11, tenants[0].webhooks[0].path_tokens[1]: expected at least 20 letters, digits, `-`, `_`, `.` or `~`, which nobody can guess",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY/CANARY']\n",
        "line 11, tenants[0].webhooks[0].path_tokens[0]: expected at least 20 letters, digits, `-`, `_`, `.` or `~`, which nobody can guess",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['env:TOKEN']\n",
        "line 11, tenants[0].webhooks[0].path_tokens[0]: the environment variable TOKEN is not set",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY']\nsigning_secrets = ['CANARY']\n",
        "line 12, tenants[0].webhooks[0].signing_secrets: only Pinnacle shows one: take it away, or name that `provider`",
    ),
    (
        "name = 'w'\nprovider = 'pinnacle'\nchannel = 'rcs'\npath_tokens = ['CANARY']\nsigning_secrets = ['a']\nclient_token = 'CANARY'\n",
        "line 13, tenants[0].webhooks[0].client_token: only Google has one: take it away, or name `rbm` as `provider`",
    ),
    (
        "name = 'w'\nprovider = 'pinnacle'\nchannel = 'rcs'\npath_tokens = ['CANARY']\n",
        "line 7, tenants[0].webhooks[0].signing_secrets: expected one at least: Pinnacle shows it with each call",
    ),
    (
        "name = 'w'\nprovider = 'pinnacle'\nchannel = 'rcs'\npath_tokens = ['CANARY']\nsigning_secrets = ['a', '']\n",
        "line 12, tenants[0].webhooks[0].signing_secrets[1]: expected a secret, which is not empty",
    ),
    (
        "name = 'w'\nprovider = 'rbm'\nchannel = 'rcs'\npath_tokens = ['CANARY']\n",
        "line 7, tenants[0].webhooks[0].client_token: expected the client token: Google signs with it",
    ),
    (
        "name = 'w'\nprovider = 'rbm'\nchannel = 'rcs'\npath_tokens = ['CANARY']\nclient_token = 'env:GOOGLE'\n",
        "line 12, tenants[0].webhooks[0].client_token: the environment variable GOOGLE is not set",
    ),
    (
        "name = 'w'\nprovider = 'rbm'\nchannel = 'rcs'\npath_tokens = ['CANARY']\nclient_token = 'blake3:0000000000000000000000000000000000000000000000000000000000000000'\n[keys]\npepper = '5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e'\n",
        "line 12, tenants[0].webhooks[0].client_token: expected the client token in clear: a digest verifies no signature",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'kaleyra'\npath_tokens = ['CANARY']\n",
        "line 10, tenants[0].webhooks[0].channel: no account of the tenant has the channel kaleyra",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'salesforce'\npath_tokens = ['CANARY']\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['*']\n",
        "line 10, tenants[0].webhooks[0].channel: the channel salesforce does not hold phone numbers",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY']\n[[tenants]]\nname = 'globex'\n[[tenants.webhooks]]\nname = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARYx']\n",
        "line 17, tenants[1].webhooks[0].channel: no account of the tenant has the channel rcs",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY']\n[[tenants.webhooks]]\nname = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARYx']\n",
        "line 13, tenants[0].webhooks[1].name: two webhooks of the tenant are called `w`",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY']\n[[tenants.webhooks]]\nname = 'v'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY']\n",
        "line 16, tenants[0].webhooks[1].path_tokens: the same token of a path is claimed twice",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY']\nttl_ms = 500\n",
        "line 12, tenants[0].webhooks[0].ttl_ms: expected milliseconds between `policy.min_ttl_ms` and `policy.max_ttl_ms`",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY']\nmax_age_s = 0\n",
        "line 12, tenants[0].webhooks[0].max_age_s: expected seconds, from 1 to 3600",
    ),
    (
        "name = 'w'\nprovider = 'kaleyra'\nchannel = 'rcs'\npath_tokens = ['CANARY']\nmax_age_s = 3601\n",
        "line 12, tenants[0].webhooks[0].max_age_s: expected seconds, from 1 to 3600",
    ),
];
