//! What a configuration file may say, and what is said about one that is wrong.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use toml::{Table, Value};
use typingd::config::file::{self, Environment};
use typingd::history;
use typingd_core::store::near::WhenAway;
use typingd_redis::Servers;

const EXAMPLE: &str = include_str!("../../../../typingd.example.toml");
const README: &str = include_str!("../../../../README.md");

/// What must be found nowhere.
const CANARY: &str = "canary-7f3a";

/// A directory that goes with the test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("typingd-{name}-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    /// A text that speaks of `/etc/typingd`, with this directory in its place.
    pub fn stand_in(&self, text: &str) -> String {
        text.replace("/etc/typingd", self.0.to_str().unwrap())
    }

    /// The other way round.
    pub fn take_out(&self, text: &str) -> String {
        text.replace(self.0.to_str().unwrap(), "/etc/typingd")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A variable for every `env:` of a text, each with a secret of its own.
fn environment(text: &str) -> Environment {
    let settings: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    let names = settings.split("\"env:").skip(1).filter_map(|rest| rest.split_once('"'));
    names.enumerate().map(|(at, (name, _))| (name.to_owned(), secret_of(name, at))).collect()
}

fn secret_of(name: &str, at: usize) -> String {
    if name.ends_with("TOKEN_KEY") { format!("{at:064x}") } else { format!("{CANARY}-{CANARY}-{at}") }
}

/// The example with its files, and all that it refers to.
fn example(name: &str) -> (Directory, String, Environment) {
    let directory = Directory::new(name);
    directory.write("pepper", &format!("{}\n", "5e".repeat(32)));
    directory.write("acme-connector.pem", RSA_PUBLIC_KEY);
    let private_key = private_key();
    directory.write("acme-connected-app.pem", &private_key);
    directory.write("acme-google.json", &key_file(&private_key));
    let text = directory.stand_in(EXAMPLE);
    let environment = environment(&text);
    (directory, text, environment)
}

/// The same text, with every setting that stands behind a `#` without a space.
fn with_defaults_written_out(text: &str) -> String {
    let is_default =
        |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(char::is_alphabetic));
    text.lines().map(|line| if is_default(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_loads_once_what_it_refers_to_is_there() {
    let (_directory, text, environment) = example("loads");
    let config = file::load(&text, &environment).unwrap();
    let tenants: Vec<&str> = config.tenancy.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    assert_eq!(tenants, ["acme", "globex"]);
    assert_eq!(config.tenancy.tenants[0].api_keys.len(), 2, "a key and the one it replaces");
    assert_eq!(config.tenancy.accounts.pinnacle.len(), 3);
    assert_eq!(config.tenancy.webhooks.len(), 3, "one of each provider");
    assert!(config.server.tls.is_some() && config.keys.pepper.is_some());
    for name in environment.keys() {
        let mut incomplete = environment.clone();
        incomplete.remove(name);
        let error = file::load(&text, &incomplete).unwrap_err();
        assert_eq!(error.why, format!("the environment variable {name} is not set"));
        assert!(error.line.is_some());
    }
}

#[test]
fn what_the_example_prints_holds_no_secret() {
    let (_directory, text, environment) = example("prints");
    for (text, secrets) in
        [(text.clone(), environment.values().cloned().collect::<Vec<_>>()), in_clear(&text, &environment)]
    {
        let printed = file::print(&text, &environment).unwrap();
        assert!(secrets.iter().all(|secret| !printed.contains(secret)), "{printed}");
        assert!(!printed.contains(CANARY) && !printed.contains("5e5e"), "{printed}");
        let config = file::load(&text, &environment).unwrap();
        let debugged = format!("{config:?}");
        assert!(secrets.iter().all(|secret| !debugged.contains(secret)), "{debugged}");
    }
}

/// The same text with every secret written into it.
fn in_clear(text: &str, environment: &Environment) -> (String, Vec<String>) {
    let clear = environment.iter().fold(text.to_owned(), |text, (name, secret)| {
        text.replace(&format!("\"env:{name}\""), &format!("\"{secret}\""))
    });
    (clear, environment.values().cloned().collect())
}

#[test]
fn the_defaults_that_the_example_names_are_the_real_ones() {
    let (_directory, text, environment) = example("defaults");
    let written_out = with_defaults_written_out(&text);
    let added = written_out.len().abs_diff(text.len());
    assert!(added > 20, "only {added} defaults were found");
    assert_eq!(file::print(&written_out, &environment), file::print(&text, &environment));
}

#[test]
fn the_example_names_every_setting() {
    let (_directory, text, environment) = example("settings");
    let named: Table = toml::from_str(&with_defaults_written_out(&text)).unwrap();
    let in_force: Table = toml::from_str(&file::print(&text, &environment).unwrap()).unwrap();
    for tenant in in_force["tenants"].as_array().unwrap() {
        assert!(!tenant["api_keys"].as_array().unwrap().is_empty());
    }
    assert_eq!(missing(&Value::Table(named), &Value::Table(in_force), ""), [] as [String; 0]);
}

/// The settings in force that a file does not name. Of a list it is enough that its first entry names them.
fn missing(named: &Value, in_force: &Value, path: &str) -> Vec<String> {
    match (named, in_force) {
        (Value::Table(named), Value::Table(in_force)) => in_force
            .iter()
            .flat_map(|(key, value)| match named.get(key) {
                Some(named) => missing(named, value, &format!("{path}.{key}")),
                // They are the same for every upstream, and shown at the first.
                None if path.contains(".upstreams.") && key == "limits" => Vec::new(),
                None => vec![format!("{path}.{key}")],
            })
            .collect(),
        (Value::Array(named), Value::Array(in_force)) => match (named.first(), in_force.first()) {
            (Some(named), Some(in_force)) => missing(named, in_force, &format!("{path}[0]")),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[test]
fn the_configuration_of_the_readme_loads() {
    let (_, rest) = README.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let directory = Directory::new("readme");
    directory.write("pepper", &"5e".repeat(32));
    let text = directory.stand_in(&text.replace("file:pepper", "file:/etc/typingd/pepper"));
    file::load(&text, &environment(&text)).unwrap();
}

#[test]
fn the_history_is_bounded_as_the_file_says() {
    let of = |text: &str, environment: &Environment| file::load(text, environment).unwrap().limits.history;
    let nothing = Environment::new();
    assert_eq!(of("", &nothing), history::Limits::default());
    let text = "[history]\nconversations = 0\nentries = 10000\nminutes = 60\n";
    let limits = history::Limits { conversations: 0, entries: 10_000, span: Duration::from_secs(3_600) };
    assert_eq!(of(text, &nothing), limits);
    let minute = Environment::from([("TYPINGD_HISTORY_MINUTES".to_owned(), "1".to_owned())]);
    assert_eq!(of(text, &minute), history::Limits { span: Duration::from_secs(60), ..limits });
}

#[test]
fn a_reference_is_read_each_time() {
    let directory = Directory::new("rotation");
    let text = directory.stand_in("[[tenants]]\nname = \"acme\"\napi_keys = [\"file:/etc/typingd/key\"]\n");
    for key in ["one", "two\n", "three\r\n"] {
        directory.write("key", key);
        let config = file::load(&text, &Environment::new()).unwrap();
        assert!(
            config.tenancy.tenants[0].api_keys == [typingd_providers::Secret::new(key.trim_end())],
            "{key:?}"
        );
    }
}

#[test]
fn what_is_wrong_is_named_with_its_key_and_line_and_never_quoted() {
    let directory = Directory::new("wrong");
    directory.write("empty", "\n");
    directory.write("rsa.pem", RSA_PUBLIC_KEY);
    for (wrong, expected) in WRONG {
        let text = directory.stand_in(wrong).replace("CANARY", CANARY);
        let error = file::load(&text, &Environment::new()).expect_err(&text);
        let said = directory.take_out(&error.to_string());
        assert!(!said.contains(CANARY), "{said}");
        assert_eq!(said, *expected, "{text}");
        assert_eq!(file::print(&text, &Environment::new()), Err(error), "{text}");
    }
}

#[test]
fn several_nodes_share_a_store_where_the_file_names_one() {
    let keys = format!("[keys]\npepper = \"{}\"\n", "5e".repeat(32));
    let of = |store: &str| file::load(&format!("{keys}[store]\n{store}"), &Environment::new()).unwrap().store;
    assert!(of("").is_none());
    let store = of("urls = ['redis://user:secret@cache.example:6379']\n").unwrap();
    assert!(matches!(store.servers.servers, Servers::Single(_)));
    assert_eq!((store.servers.prefix.as_str(), store.servers.shards), ("typingd", 1_024));
    assert_eq!(store.when_away, WhenAway::Serve);
    let store = "urls = ['redis://a', 'rediss://b']\ncluster = true\nprefix = 'eu'\nwhen_away = 'refuse'\n";
    let store = of(store).unwrap();
    assert!(matches!(store.servers.servers, Servers::Cluster(urls) if urls == ["redis://a", "rediss://b"]));
    assert_eq!((store.servers.prefix.as_str(), store.when_away), ("eu", WhenAway::Refuse));
    let printed = file::print(&format!("{keys}[store]\nurls = ['redis://:CANARY@a']\n"), &Environment::new());
    assert!(!printed.unwrap().contains(CANARY), "a password is no setting to print");
}

/// A file, and what is said about it.
const WRONG: &[(&str, &str)] = &[
    (
        "[store]\nurls = ['http://CANARY']\n",
        "line 2, store.urls: expected URLs, as in redis://user:password@host:6379 (rediss:// for TLS)",
    ),
    (
        "[store]\nurls = ['redis://a', 'redis://CANARY']\n",
        "line 2, store.urls: several servers are a cluster: set `store.cluster`",
    ),
    (
        "[store]\nurls = ['env:NOWHERE']\n",
        "line 2, store.urls[0]: the environment variable NOWHERE is not set",
    ),
    ("[store]\nurls = ['redis://a']\nshards = 0\n", "line 3, store.shards: expected a number from 1 to 9999"),
    (
        "[store]\nurls = ['redis://a']\nprefix = 'a{b}'\n",
        "line 3, store.prefix: expected a text without braces",
    ),
    ("[store]\nwhen_away = 'CANARY'\n", "line 2, store.when_away: expected `serve` or `refuse`"),
    (
        "[store]\nurls = ['redis://a']\n",
        "keys.pepper: several nodes share a store (`store.urls`): all need the same one",
    ),
    (
        "[browsers]\norigins = ['https://a.example', 'b.example']\n",
        "line 2, browsers.origins[1]: expected a scheme, a host and perhaps a port, as in https://desk.example.com",
    ),
    (
        "[browsers]\norigins = ['https://a.example/']\n",
        "line 2, browsers.origins[0]: expected a scheme, a host and perhaps a port, as in https://desk.example.com",
    ),
    ("[limits\n", "line 1, the file: unclosed table, expected `]`"),
    ("[[tenants]]\nname = 'acme'\napi_keys = ['CANARY]\n", "line 3, the file: unclosed array, expected `]`"),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = CANARY\n",
        "line 3, the file: string values must be quoted, expected literal string",
    ),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = ['a']\napi_keys = ['CANARY']\n",
        "line 4, the file: duplicate key",
    ),
    (
        "port = 8080\n",
        "line 1, port: unknown field `port`, expected one of `listen`, `operators`, `browsers`, `keys`, `limits`, `policy`, `history`, `console`, `store`, `tenants`",
    ),
    (
        "[limits]\nstreams = 1\nstreems = 2\n",
        "line 3, limits.streems: unknown field `streems`, expected one of `connections`, `streams`, `stream_backlog`, `sides`, `listing`, `opened`, `head_timeout_ms`, `body_timeout_ms`, `write_timeout_ms`, `idle_timeout_ms`, `drain_notice_ms`, `drain_timeout_ms`, `failed_authentications_per_minute`, `trusted_proxies`",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[tenants.quota]\nrequests_per_minute = 1\n",
        "line 4, tenants[0].quota.requests_per_minute: unknown field `requests_per_minute`, expected one of `requests_per_second`, `burst`, `streams`, `leases`, `sides`",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\nagents = []\napi_key = 'CANARY'\n",
        "line 5, tenants[0].pinnacle[0].api_key: unknown field `api_key`, expected one of `api_keys`, `agents`, `aliases`, `channel`, `ttl_ms`, `answer`, `prefix`",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['*']\nconnected_apps = [{ any_assertion = true }]\n",
        "line 6, tenants[0].salesforce[0].connected_apps[0].any_assertion: unknown field `any_assertion`, expected one of `issuer`, `public_key`, `subjects`, `contexts`",
    ),
    ("[[tenants]]\napi_keys = ['CANARY']\n", "line 1, tenants[0]: missing field `name`"),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\nagents = ['agent_a']\n",
        "line 3, tenants[0].pinnacle[0]: missing field `api_keys`",
    ),
    ("tenants = 3\n", "line 1, tenants: expected a list"),
    ("[limits]\nstreams = 'CANARY'\n", "line 2, limits.streams: expected a whole number, zero or above"),
    ("[limits]\nstreams = -1\n", "line 2, limits.streams: expected a whole number, zero or above"),
    ("[limits]\nsides = 0\n", "line 2, limits.sides: expected a number from 1 to 1000000000"),
    (
        "[listen]\naddress = 'localhost:8080'\n",
        "line 2, listen.address: expected an address and a port, as in 127.0.0.1:8080",
    ),
    (
        "[listen]\naddress = '127.0.0.1'\n",
        "line 2, listen.address: expected an address and a port, as in 127.0.0.1:8080",
    ),
    (
        "[limits]\ntrusted_proxies = ['10.0.0.1', '10.0.0.0/8']\n",
        "line 2, limits.trusted_proxies[1]: expected an IP address",
    ),
    ("[[tenants]]\nname = 'acme'\napi_keys = 'CANARY'\n", "line 3, tenants[0].api_keys: expected a list"),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = ['a', ['CANARY']]\n",
        "line 3, tenants[0].api_keys[1]: expected a string",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[tenants.quota]\nburst = 0\n",
        "line 4, tenants[0].quota.burst: expected a whole number above 0",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.kaleyra]]\nbasics = [{ user = 'CANARY' }]\n",
        "line 4, tenants[0].kaleyra[0].basics[0]: expected a string",
    ),
    ("[listen]\ncertificate = 'chain.pem'\n", "line 1, listen: TLS needs `key` beside `certificate`"),
    (
        "[listen]\naddress = '127.0.0.1:1'\nkey = 'key.pem'\n",
        "line 1, listen: TLS needs `certificate` beside `key`",
    ),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = ['env:ACME_KEY']\n",
        "line 3, tenants[0].api_keys[0]: the environment variable ACME_KEY is not set",
    ),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = ['a', 'file:/etc/typingd/nowhere']\n",
        "line 3, tenants[0].api_keys[1]: cannot read /etc/typingd/nowhere: entity not found",
    ),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = ['file:/etc/typingd/empty']\n",
        "line 3, tenants[0].api_keys[0]: expected a secret, which is not empty",
    ),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = ['']\n",
        "line 3, tenants[0].api_keys[0]: expected a secret, which is not empty",
    ),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = ['blake3:0000000000000000000000000000000000000000000000000000000000000000']\n",
        "line 3, tenants[0].api_keys[0]: a hashed credential needs `keys.pepper`, the one it was made with",
    ),
    (
        "[keys]\npepper = '5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e'\n[[tenants]]\nname = 'acme'\napi_keys = ['blake3:CANARY']\n",
        "line 5, tenants[0].api_keys[0]: expected 64 hexadecimal digits after `blake3:`",
    ),
    ("[keys]\npepper = 'CANARY'\n", "line 2, keys.pepper: expected a key of 64 hexadecimal digits"),
    ("[keys]\npepper = 'env:PEPPER'\n", "line 2, keys.pepper: the environment variable PEPPER is not set"),
    (
        "[keys]\ntokens = ['5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e', 'CANARY']\n",
        "line 2, keys.tokens[1]: expected a key of 64 hexadecimal digits",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['*']\ntokens = ['env:TOKEN']\n",
        "line 6, tenants[0].salesforce[0].tokens[0]: the environment variable TOKEN is not set",
    ),
    (
        "[[tenants]]\nname = 'acme'\n\n[[tenants]]\nname = 'acme'\n",
        "line 5, tenants[1].name: two tenants are called `acme`",
    ),
    ("[[tenants]]\nname = ''\n", "line 2, tenants[0].name: expected a name, which is not empty"),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = ['CANARY']\n[[tenants]]\nname = 'globex'\napi_keys = ['CANARY']\n",
        "line 6, tenants[1].api_keys: the same native API key is claimed twice",
    ),
    (
        "[[tenants]]\nname = 'acme'\napi_keys = ['CANARY', 'CANARY']\n",
        "line 3, tenants[0].api_keys: the same native API key is claimed twice",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\napi_keys = ['CANARY']\nagents = ['agent_a']\n[[tenants.pinnacle]]\napi_keys = ['CANARY']\nagents = ['agent_b']\n",
        "line 6, tenants[0].pinnacle[1]: the same Pinnacle api-key is claimed twice",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\napi_keys = ['a']\nagents = ['agent_*']\n[[tenants]]\nname = 'globex'\n[[tenants.pinnacle]]\napi_keys = ['b']\nagents = ['agent_b']\n",
        "line 8, tenants[1].pinnacle[0]: the same agent is claimed twice: `agent_*` and `agent_b`",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.kaleyra]]\nsid = 'A'\nbasics = []\napi_keys = ['a']\nagents = ['a']\n[[tenants.kaleyra]]\nsid = 'A'\nbasics = []\napi_keys = ['b']\nagents = ['b']\n",
        "line 8, tenants[0].kaleyra[1]: the same Kaleyra sid is claimed twice: A",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.kaleyra]]\nsid = 'A'\nbasics = []\napi_keys = ['CANARY']\nagents = ['a']\n[[tenants.kaleyra]]\nsid = 'B'\nbasics = []\napi_keys = ['CANARY']\nagents = ['b']\n",
        "line 8, tenants[0].kaleyra[1]: the same Kaleyra api-key is claimed twice",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['a']\ntokens = ['CANARY']\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['b']\ntokens = ['CANARY']\n",
        "line 7, tenants[0].salesforce[1]: the same Salesforce token is claimed twice",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['a']\n[[tenants.salesforce.connected_apps]]\nissuer = '3MVG9'\nsubjects = ['*']\npublic_key = 'file:/etc/typingd/rsa.pem'\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['b']\n[[tenants.salesforce.connected_apps]]\nissuer = '3MVG9'\nsubjects = ['*']\npublic_key = 'file:/etc/typingd/rsa.pem'\n",
        "line 10, tenants[0].salesforce[1]: the same Salesforce connected app is claimed twice: 3MVG9",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.kaleyra]]\nsid = 'a/b'\nbasics = []\napi_keys = []\nagents = []\n",
        "line 4, tenants[0].kaleyra[0].sid: expected the account's id, as it stands in the path",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.salesforce]]\norg_id = '00Dxx'\naddresses = ['*']\n",
        "line 4, tenants[0].salesforce[0].org_id: expected an org's id, of 15 or 18 letters and digits",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\napi_keys = []\nagents = []\nprefix = 'pinnacle/'\n",
        "line 6, tenants[0].pinnacle[0].prefix: expected a path that begins with `/` and does not end in one",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\napi_keys = []\nagents = []\nchannel = ''\n",
        "line 6, tenants[0].pinnacle[0].channel: expected a name, which is not empty",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\napi_keys = []\nagents = []\nchannel = 'one'\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['*']\nchannel = 'one'\n",
        "line 7, tenants[0].salesforce[0]: the channel one cannot hold both phone numbers and other text",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\napi_keys = []\nagents = []\nttl_ms = 500\n",
        "line 6, tenants[0].pinnacle[0].ttl_ms: expected milliseconds between `policy.min_ttl_ms` and `policy.max_ttl_ms`",
    ),
    (
        "[policy]\nmax_ttl_ms = 15000\n[[tenants]]\nname = 'acme'\n[[tenants.pinnacle]]\napi_keys = []\nagents = []\n",
        "line 5, tenants[0].pinnacle[0].ttl_ms: expected milliseconds between `policy.min_ttl_ms` and `policy.max_ttl_ms`",
    ),
    (
        "[limits]\nhead_timeout_ms = 0\n",
        "line 2, limits.head_timeout_ms: expected milliseconds, from 100 to 3600000",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['*']\nauthorization_context = 'CANARY'\n",
        "line 6, tenants[0].salesforce[0].authorization_context: expected `required` or `absent`",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['*']\nauthorization_context = 'absent'\ncontexts = { One = ['*'] }\n",
        "line 6, tenants[0].salesforce[0].authorization_context: no context is ever sent where this is `absent`: take `contexts` away, here and from connected apps",
    ),
    (
        "[history]\nconversations = 1000001\n",
        "line 2, history.conversations: expected a number from 0 to 1000000",
    ),
    ("[history]\nentries = 0\n", "line 2, history.entries: expected a number from 1 to 10000"),
    ("[history]\nentries = 10001\n", "line 2, history.entries: expected a number from 1 to 10000"),
    ("[history]\nentries = 5\nminutes = 0\n", "line 3, history.minutes: expected a number from 1 to 60"),
    ("[history]\nminutes = 61\n", "line 2, history.minutes: expected a number from 1 to 60"),
    ("[history]\nminutes = -1\n", "line 2, history.minutes: expected a whole number, zero or above"),
    (
        "[history]\nhours = 1\n",
        "line 2, history.hours: unknown field `hours`, expected one of `conversations`, `entries`, `minutes`",
    ),
    ("[policy]\nmin_ttl_ms = 0\n", "line 2, policy.min_ttl_ms: expected a number above 0"),
    (
        "[policy]\nmin_ttl_ms = 5000\nmax_ttl_ms = 4000\n",
        "line 3, policy.max_ttl_ms: expected at least `min_ttl_ms`",
    ),
    (
        "[[tenants]]\nname = 'acme'\n[[tenants.salesforce]]\norg_id = '00Dxx0000000001'\naddresses = ['*']\n[[tenants.salesforce.connected_apps]]\nissuer = '3MVG9'\nsubjects = ['*']\npublic_key = 'CANARY'\n",
        "line 9, tenants[0].salesforce[0].connected_apps[0].public_key: expected an RSA public key of 2048 bits or more, in PEM form",
    ),
];

/// An RSA private key of 2048 bits, in PEM form.
pub fn private_key() -> String {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        BASE64_STANDARD.encode(der.as_ref())
    )
}

/// A service account's key file, as Google gives it out.
pub fn key_file(private_key: &str) -> String {
    serde_json::json!({
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "k1",
        "private_key": private_key,
        "client_email": "typing@acme.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    })
    .to_string()
}

const RSA_PUBLIC_KEY: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2HzrdaMIvP+BEFpuFRCq\n\
VyMjP1jlTJ/7YHQoAfZAmQ1apk0atDXCXG7sQUo+MKQqOgJLPn6Uu8KK9wuuj0vk\n\
VurFJLCr3MK1Kc0oQ1gb9zLOtcAZp5PJrwuy3m3yl4T8xYe5SF/TWik+oo1tQv/A\n\
r0MpBMOgAtywQw2DJ8DqtQMF+HMQ3JohMQxi+GIWWaxOXeDjA9ycO4nGxMlHfk/S\n\
UNP8DK5g0N92qPWkRGQE+hlM6Eo8XM1CDHH6WB8WYlZsqmkCtyR5VBtmBc2Mib+N\n\
OfZZBwkNbyOuUanLGoVYeWvucHg76KlItps3S/oGEoH+dursJqg/RC55m9bIQwVX\n\
VQIDAQAB\n\
-----END PUBLIC KEY-----";
