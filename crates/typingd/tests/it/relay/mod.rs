//! Typing on its way to providers, over real sockets: whatever a provider does, nobody else hears of it, and it hears no
//! more than it must.

mod credentials;
mod http2;
mod leaks;
mod messages;
mod passages;
pub mod provider;
mod regressions;
mod sick;
mod tokens;
mod verdicts;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use typingd::config::{Config, Route, UpstreamAccount, UpstreamLimits};
use typingd::gateway::Gateway;
use typingd::relay::Activity;
use typingd_core::pacing::{Limits, Rate};
use typingd_core::{Conversation, Marks, Role, Scope, Side, Signal, Source, User, Utterance};
use typingd_providers::account::Answered;
use typingd_providers::{
    Account, Channel, ChannelKind, Patterns, Secret, Upstream, kaleyra, pinnacle, rbm, salesforce, upstream,
};

use crate::support::{self, Answer, post};

/// Somebody who is written to.
const USER: &str = "+14155550123";

/// How long a call about typing may take here.
const TYPING_TIMEOUT: Duration = Duration::from_millis(300);

/// How long after it was due such a call may begin.
const FRESHNESS: Duration = Duration::from_millis(2_000);

/// How long the answer to a message may take.
const MESSAGE_TIMEOUT: Duration = Duration::from_millis(1_000);

/// What scheduling may add to any of them.
const SLACK: Duration = Duration::from_millis(400);

/// `acme` with an account at every door, whose typing calls show for `ttl` and are answered by whom it says.
fn config(ttl: Duration, answer: Answered) -> Config {
    let mut config = support::config(ttl);
    let accounts = &mut config.tenancy.accounts;
    let common = Account {
        tenant: "acme".into(),
        channel: Channel { name: "rbm".into(), kind: ChannelKind::Rcs },
        agents: Patterns::any(),
        aliases: BTreeMap::new(),
        ttl,
        answer,
    };
    accounts.rbm.push(rbm::Account { common, tokens: vec![Secret::new("door-token")] });
    let kaleyra = accounts.kaleyra.iter_mut().map(|account| &mut account.common);
    let pinnacle = accounts.pinnacle.iter_mut().map(|account| &mut account.common);
    let salesforce = accounts.salesforce.iter_mut().map(|account| &mut account.common);
    kaleyra.chain(pinnacle).chain(salesforce).for_each(|common| common.answer = answer);
    config
}

/// Leads what is typed on the provider's channel to it.
fn lead(config: &mut Config, upstream: Arc<dyn Upstream>) {
    let name = upstream.name();
    let rate = NonZeroU32::new(5_000).unwrap();
    let limits = UpstreamLimits {
        pacing: Limits {
            rate: Rate { calls: rate, per: Duration::from_secs(1), burst: rate },
            ..Limits::default()
        },
        freshness: FRESHNESS,
        typing_timeout: TYPING_TIMEOUT,
        message_timeout: MESSAGE_TIMEOUT,
    };
    let mark = blake3::hash(name.as_bytes());
    config.tenancy.upstreams.push(UpstreamAccount {
        tenant: "acme".into(),
        name: name.into(),
        upstream,
        limits,
        mark,
    });
    config.tenancy.routes.push(Route {
        tenant: "acme".into(),
        channel: Some(name.into()),
        agents: Patterns::any(),
        upstream: name.into(),
    });
}

fn common(url: &str) -> upstream::Account {
    upstream::Account { base_url: url.to_owned(), agents: BTreeMap::new() }
}

fn at_kaleyra(url: &str) -> Arc<dyn Upstream> {
    let account = kaleyra::UpstreamAccount {
        common: common(url),
        sid: "HXAP1".to_owned(),
        basic: Secret::new("up:stream"),
        api_key: Secret::new("upstream-key"),
    };
    Arc::new(kaleyra::KaleyraUpstream::new(account).unwrap())
}

fn at_pinnacle(url: &str) -> Arc<dyn Upstream> {
    let account = pinnacle::UpstreamAccount { common: common(url), api_key: Secret::new("upstream-key") };
    Arc::new(pinnacle::PinnacleUpstream::new(account).unwrap())
}

fn at_rbm(url: &str, credentials: rbm::Credentials) -> Arc<dyn Upstream> {
    let account = rbm::UpstreamAccount { common: common(url), credentials };
    Arc::new(rbm::RbmUpstream::new(account).unwrap())
}

/// With an account whose token stays the same.
fn at_google(url: &str) -> Arc<dyn Upstream> {
    at_rbm(url, rbm::Credentials::Token(Secret::new("upstream-token")))
}

fn at_salesforce(url: &str, credentials: salesforce::Credentials) -> Arc<dyn Upstream> {
    let account = salesforce::UpstreamAccount {
        common: common(url),
        org_id: "00Dxx0000000001".to_owned(),
        authorization_context: None,
        credentials,
        display: Duration::from_millis(1_500),
    };
    Arc::new(salesforce::SalesforceUpstream::new(account).unwrap())
}

/// With an account whose token stays the same.
fn at_an_org(url: &str) -> Arc<dyn Upstream> {
    at_salesforce(url, salesforce::Credentials::Token(Secret::new("upstream-token")))
}

/// A user of many.
fn number(at: usize) -> String {
    format!("+1415{:07}", 5_550_000 + at)
}

/// The agent's side of a conversation on this channel.
fn side(channel: &str, agent: &str, user: &str) -> Side {
    let conversation = Conversation::new("acme", channel, agent, User::new(user));
    Side { conversation, role: Role::Agent }
}

/// Somebody types on a side, for so long.
async fn types(gateway: &Gateway, side: &Side, ttl: Duration) {
    let utterance = Utterance {
        participant: None,
        name: None,
        signal: Signal::Composing { ttl },
        source: Source::OneShot,
        origin: "native".into(),
        marks: Marks::default(),
    };
    gateway.hear("native", side, utterance, gateway.clock.now()).await.unwrap();
}

/// Whether somebody types on a side.
async fn is_live(gateway: &Gateway, side: &Side) -> bool {
    let listing = gateway.list(&Scope::one(&side.conversation), gateway.clock.now()).await.unwrap();
    listing.leases.iter().any(|(live, _)| live == side)
}

/// Waits until nobody types there any more.
async fn ends(gateway: &Gateway, side: &Side) {
    let waiting = async {
        while is_live(gateway, side).await {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), waiting).await.expect("an end, in time");
}

/// What an account was asked so far.
fn activity(gateway: &Gateway, upstream: &str) -> Activity {
    let all = gateway.relay.activity();
    all.into_iter().find(|one| one.standing.upstream == upstream).unwrap()
}

/// What operators read.
async fn operators(gateway: &Arc<Gateway>, path: &str) -> Answer {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(typingd::operators::serve(listener, gateway.clone()));
    let mut wire = support::Wire::new(tokio::net::TcpStream::connect(address).await.unwrap());
    let answer = wire.exchange(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).await;
    serving.abort();
    answer
}

const RBM: &str = "Authorization: Bearer door-token\r\n";

/// Each with an id of its own: a repeated one is no news.
fn rbm_typing(to: &str) -> Vec<u8> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let id = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = format!("/v1/phones/{to}/agentEvents?eventId=event-{id}&agentId=agent_rbm");
    post(&path, RBM, r#"{"eventType":"IS_TYPING"}"#)
}

fn rbm_message(to: &str) -> Vec<u8> {
    let path = format!("/v1/phones/{to}/agentMessages?messageId=m-{to}&agentId=agent_rbm");
    post(&path, RBM, r#"{"contentMessage":{"text":"hello"}}"#)
}
