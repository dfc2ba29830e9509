//! The doors that every test knocks at: the same accounts, keys and receipts, so that answers compare exactly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use typingd_providers::account::Answered;
use typingd_providers::salesforce::{AssertionKey, AuthorizationContext, ConnectedApp, ConnectedApps};
use typingd_providers::upstream::{self, AccessToken, AssertionSigner, Fresh};
use typingd_providers::{
    Account, Accounts, Channel, ChannelKind, KeyHasher, Patterns, Provider, Receipt, Secret, TokenKeys,
    Upstream, doors, kaleyra, pinnacle, rbm, salesforce,
};
use uuid::Uuid;

/// All doors, with the accounts below.
pub(crate) fn all_doors() -> Vec<Box<dyn Provider>> {
    let accounts = Accounts {
        kaleyra: kaleyra_accounts(),
        pinnacle: pinnacle_accounts(),
        salesforce: salesforce_accounts(),
        rbm: rbm_accounts(),
    };
    doors(accounts, &token_keys(), &hasher()).expect("no credential is there twice")
}

/// A hasher with a key that no test needs to know.
pub(crate) fn hasher() -> KeyHasher {
    KeyHasher::new([7; 32])
}

/// What signs tokens in every test.
pub(crate) fn token_keys() -> TokenKeys {
    TokenKeys::new([9; 32], [])
}

/// When every test happens.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_762_336_800, 0);

/// What the gateway would hand in with every answer.
pub(crate) fn receipt(is_open: bool) -> Receipt {
    Receipt {
        request_id: Uuid::from_u128(0x1111_1111_1111_4111_8111_1111_1111_1111),
        message_id: Uuid::from_u128(0x2222_2222_2222_4222_8222_2222_2222_2222),
        started_at: "2026-11-05T10:00:00.123Z".parse().expect("it is a time"),
        ends_at: "2026-11-05T10:00:20.123Z".parse().expect("it is a time"),
        conversation_id: is_open.then(|| Uuid::from_u128(0x3333_3333_3333_4333_8333_3333_3333_3333)),
    }
}

pub(crate) fn kaleyra_accounts() -> Vec<kaleyra::Account> {
    let account = |sid: &str, key: &str, agents: &[&str]| kaleyra::Account {
        common: common("acme", "kaleyra", agents),
        sid: sid.to_owned(),
        basics: vec![Secret::new(format!("{sid}:{sid}"))],
        api_keys: vec![Secret::new(key)],
        api_key_alone: false,
        upstream_refusal_is_502: false,
    };
    vec![
        account("dev", "dev-kaleyra-key", &["kio_rcs", "rcs-*"]),
        account("dev2", "dev2-key", &["other_rcs"]),
        // The two settings that are off by default, on.
        kaleyra::Account {
            api_key_alone: true,
            upstream_refusal_is_502: true,
            ..account("lax", "lax-key", &["lax_rcs"])
        },
    ]
}

pub(crate) fn pinnacle_accounts() -> Vec<pinnacle::Account> {
    let account = |tenant: &str, key: &str, agents: &[&str], prefix: &str| pinnacle::Account {
        common: common(tenant, "pinnacle", agents),
        api_keys: vec![Secret::new(key)],
        prefix: prefix.to_owned(),
    };
    vec![
        account("acme", "dev-pinnacle-key", &["agent_x", "agent_pinnacle*"], ""),
        account("acme", "second-key", &["agent_second"], ""),
        account("globex", "globex-key", &["agent_globex"], "/pinnacle"),
    ]
}

pub(crate) fn rbm_accounts() -> Vec<rbm::Account> {
    let account = |tenant: &str, token: &str, agents: &[&str]| rbm::Account {
        common: common(tenant, "rbm", agents),
        tokens: vec![Secret::new(token)],
    };
    vec![
        account("acme", "dev-rbm-token", &["support_agent", "rbm-*"]),
        account("acme", "second-rbm-token", &["second_agent"]),
        account("globex", "globex-rbm-token", &["globex_agent"]),
    ]
}

/// A key under which one signature is right, whatever is signed.
#[derive(Debug)]
struct KnownSignature;

impl AssertionKey for KnownSignature {
    fn verifies(&self, _: &[u8], signature: &[u8]) -> bool {
        signature == b"signed"
    }
}

fn connected_app(issuer: &str, subjects: &str, contexts: Option<&[&str]>) -> ConnectedApps {
    ConnectedApps::Only(vec![ConnectedApp {
        issuer: issuer.to_owned(),
        key: Arc::new(KnownSignature),
        subjects: Patterns::new([subjects]),
        contexts: contexts.map(|contexts| contexts.iter().map(|&context| context.to_owned()).collect()),
    }])
}

pub(crate) fn salesforce_accounts() -> Vec<salesforce::Account> {
    let account = |org_id: &str, token: &str, agents: &[&str]| salesforce::Account {
        common: Account { ttl: Duration::from_secs(7), ..common("acme", "salesforce", agents) },
        org_id: org_id.to_owned(),
        tokens: vec![Secret::new(token)],
        connected_apps: ConnectedApps::default(),
        instance_url: None,
        contexts: BTreeMap::new(),
        authorization_context: AuthorizationContext::Required,
    };
    let contexts = |of: &[(&str, &[&str])]| {
        of.iter().map(|(name, agents)| ((*name).to_owned(), Patterns::new(agents.iter().copied()))).collect()
    };
    vec![
        salesforce::Account {
            contexts: contexts(&[
                ("Dev_Channel", &["b0ffeafe-*", "addr-*"]),
                ("Other_Channel", &["other-*"]),
            ]),
            connected_apps: connected_app("3MVG9dev", "*@acme.example", None),
            ..account("00Ddev000000000", "dev-salesforce-token", &["b0ffeafe-*", "addr-*", "other-*"])
        },
        salesforce::Account {
            contexts: contexts(&[("Second", &["*"]), ("Third", &["*"])]),
            connected_apps: connected_app("3MVG9second", "*", Some(&["Second"])),
            instance_url: Some("https://second.my.salesforce.example".to_owned()),
            ..account("00Ddev000000002", "second-token", &["second-*"])
        },
        salesforce::Account {
            authorization_context: AuthorizationContext::Absent,
            ..account("00Ddev000000003", "absent-token", &["absent-*"])
        },
    ]
}

/// What all doors' accounts have. Calls show for 20 s unless the account says otherwise.
fn common(tenant: &str, channel: &str, agents: &[&str]) -> Account {
    let kind = if channel == "salesforce" { ChannelKind::Opaque } else { ChannelKind::Rcs };
    Account {
        tenant: tenant.into(),
        channel: Channel { name: channel.into(), kind },
        agents: Patterns::new(agents.iter().copied()),
        aliases: BTreeMap::new(),
        ttl: Duration::from_secs(20),
        answer: Answered::default(),
    }
}

/// A signer whose every signature is the one that the doors here take.
#[derive(Debug)]
pub(crate) struct SignsAll;

impl AssertionSigner for SignsAll {
    fn sign(&self, _: &[u8]) -> Option<Vec<u8>> {
        Some(b"signed".to_vec())
    }
}

/// The four upstreams, in the order of the doors, whose credentials the doors here take.
pub(crate) fn all_upstreams() -> Vec<Box<dyn Upstream>> {
    let common = || upstream::Account {
        base_url: "https://provider.example".to_owned(),
        agents: BTreeMap::from([("ours".into(), "agent_theirs".into())]),
    };
    let kaleyra = kaleyra::UpstreamAccount {
        common: common(),
        sid: "dev".to_owned(),
        basic: Secret::new("dev:dev"),
        api_key: Secret::new("dev-kaleyra-key"),
    };
    let pinnacle = pinnacle::UpstreamAccount { common: common(), api_key: Secret::new("dev-pinnacle-key") };
    let salesforce = salesforce::UpstreamAccount {
        common: common(),
        org_id: "00Ddev000000000".to_owned(),
        authorization_context: Some("Dev_Channel".to_owned()),
        credentials: salesforce::Credentials::Token(Secret::new("dev-salesforce-token")),
        display: Duration::from_secs(7),
    };
    let rbm = rbm::UpstreamAccount {
        common: common(),
        credentials: rbm::Credentials::Token(Secret::new("dev-rbm-token")),
    };
    vec![
        Box::new(kaleyra::KaleyraUpstream::new(kaleyra).expect("the settings are right")),
        Box::new(pinnacle::PinnacleUpstream::new(pinnacle).expect("the settings are right")),
        Box::new(salesforce::SalesforceUpstream::new(salesforce).expect("the settings are right")),
        Box::new(rbm::RbmUpstream::new(rbm).expect("the settings are right")),
    ]
}

/// What is new for a request.
pub(crate) fn fresh(token: Option<&AccessToken>) -> Fresh<'_> {
    Fresh { id: Uuid::from_u128(0x4444_4444_4444_4444_8444_4444_4444_4444), now: NOW, token }
}
