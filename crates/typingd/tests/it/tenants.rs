//! Tenants beside each other: nothing of one is seen, changed or used up by the other.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::yield_now;
use typingd::census::Count;
use typingd::config::{Config, Quota};
use typingd::directory::Login;
use typingd::gateway::Gateway;
use typingd::hub::Subscription;
use typingd::listener::Line;
use typingd::subscribe::form::Form;
use typingd_core::{
    Conversation, IgnoreReason, Marks, Outcome, Role, Scope, Side, Signal, Source, Time, User, Utterance,
    Verdict,
};
use typingd_providers::{Patterns, Secret};

use crate::support::{
    Answer, InProcess, Wire, config, kaleyra_message, kaleyra_typing, pinnacle_message, pinnacle_typing,
    post, salesforce, signal,
};

const STEPS: u32 = 1_000_000;
const STEPS_BETWEEN_LOOKS: u32 = 1_000;

const TENANTS: [&str; 2] = ["acme", "globex"];
const CHANNELS: [&str; 2] = ["kaleyra", "pinnacle"];
const AGENTS: [&str; 3] = ["agent_a", "agent_b", "agent_c"];
const USERS: [&str; 4] = ["+14155550001", "+14155550002", "+14155550003", "+14155550004"];
const SIDES: usize = CHANNELS.len() * AGENTS.len() * USERS.len() * Role::BOTH.len();

/// Numbers that come again with their seed (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// What one tenant would see if it were alone.
struct Model {
    tenant: &'static str,
    sides: Vec<Side>,
    /// By how an event names it, the place of a side.
    places: HashMap<String, usize>,
    /// Until when each lives.
    live: [Option<Time>; SIDES],
    /// What is still to be told of each.
    untold: [VecDeque<&'static str>; SIDES],
    /// Of each, the turn of its last message. The tenants' are far apart.
    turns: [u64; SIDES],
    /// Each is used once. The tenants' are the same.
    payload_id: u32,
    all: Watcher,
    some: (Scope, Watcher),
    told: usize,
}

/// What became of the side at a place.
struct Told {
    place: usize,
    what: String,
}

impl Model {
    fn new(gateway: &Gateway, tenant: &'static str, first_turn: u64) -> Self {
        let mut sides = Vec::new();
        let mut places = HashMap::new();
        for channel in CHANNELS {
            for agent in AGENTS {
                for user in USERS {
                    for role in Role::BOTH {
                        let name = format!(
                            r#""{channel}","agent":"{agent}","user":"{user}","composer":"{}""#,
                            role.as_str()
                        );
                        places.insert(name, sides.len());
                        let conversation = Conversation::new(tenant, channel, agent, User::new(user));
                        sides.push(Side { conversation, role });
                    }
                }
            }
        }
        Self {
            tenant,
            sides,
            places,
            live: [None; SIDES],
            untold: std::array::from_fn(|_| VecDeque::new()),
            turns: [first_turn; SIDES],
            payload_id: 0,
            all: subscribe(gateway, Scope::tenant(tenant)),
            some: (Scope::tenant(tenant), subscribe(gateway, Scope::tenant(tenant))),
            told: 0,
        }
    }

    /// Somebody says something, and is answered as though nobody else were there.
    async fn say(&mut self, gateway: &Gateway, random: &mut Random) {
        let now = gateway.clock.now();
        let place = random.below(SIDES);
        let ttl = Duration::from_millis(1_000 + random.below(3_000) as u64);
        let signal = match random.below(10) {
            0 => Signal::Paused,
            1 => Signal::Sent,
            _ => Signal::Composing { ttl },
        };
        self.payload_id += 1;
        let utterance = Utterance {
            participant: None,
            name: None,
            signal,
            source: Source::OneShot,
            // No part of what is told apart: it shows whose lease an event is of.
            origin: self.tenant.into(),
            marks: Marks {
                turn: (signal != Signal::Paused).then_some(self.turns[place] + 1),
                payload_id: Some(self.payload_id.to_string().into()),
            },
        };
        let outcome = gateway.hear("native", &self.sides[place], utterance, now).await.unwrap();
        self.expect(place, signal, &outcome, now);
    }

    fn expect(&mut self, place: usize, signal: Signal, outcome: &Outcome, now: Time) {
        self.lapse(place, now);
        let nothing = Verdict::Ignored(IgnoreReason::NothingLive);
        let (verdict, until) = match (signal, self.live[place]) {
            (Signal::Composing { ttl }, None) => (Verdict::Started, Some(now + ttl)),
            (Signal::Composing { ttl }, Some(until)) => (Verdict::Extended, Some(until.max(now + ttl))),
            (Signal::Paused | Signal::Sent, None) => (nothing, None),
            (Signal::Paused | Signal::Sent, Some(_)) => (Verdict::Ended, None),
        };
        self.live[place] = until;
        match (verdict, signal) {
            (Verdict::Started, _) => self.untold[place].push_back("started"),
            (Verdict::Ended, Signal::Sent) => self.untold[place].push_back("stopped sent"),
            (Verdict::Ended, _) => self.untold[place].push_back("stopped paused"),
            _ => {}
        }
        if signal == Signal::Sent {
            self.turns[place] += 1;
        }
        let side = &self.sides[place];
        assert_eq!(outcome.verdict, verdict, "{signal:?} on {side:?}");
        assert_eq!(outcome.lease.as_ref().map(|lease| lease.expires_at), until, "{signal:?} on {side:?}");
        let of_this_side = [None, Some(self.turns[place])];
        assert!(of_this_side.contains(&outcome.last_turn), "{:?} on {side:?}", outcome.last_turn);
    }

    fn lapse(&mut self, place: usize, now: Time) {
        if self.live[place].is_some_and(|until| until <= now) {
            self.live[place] = None;
            self.untold[place].push_back("stopped expired");
        }
    }

    /// Every lease in a scope ends.
    async fn revoke(&mut self, gateway: &Gateway, random: &mut Random) {
        let (now, scope) = (gateway.clock.now(), self.scope(random));
        while gateway.engine.revoke(&scope, now).await.unwrap() {}
        for place in 0..SIDES {
            self.lapse(place, now);
            if scope.covers(&self.sides[place].conversation) && self.live[place].take().is_some() {
                self.untold[place].push_back("stopped revoked");
            }
        }
    }

    fn scope(&self, random: &mut Random) -> Scope {
        Scope {
            tenant: self.tenant.into(),
            channel: (random.below(2) == 0).then(|| (*random.one(&CHANNELS)).into()),
            agent: (random.below(2) == 0).then(|| (*random.one(&AGENTS)).into()),
            user: (random.below(2) == 0).then(|| User::new(*random.one(&USERS))),
        }
    }

    /// Compares what lives, what was counted and what was told.
    async fn look(&mut self, gateway: &Gateway, random: &mut Random) {
        let now = gateway.clock.now();
        (0..SIDES).for_each(|place| self.lapse(place, now));
        let listing = gateway.list(&Scope::tenant(self.tenant), now).await.unwrap();
        let listed: BTreeMap<&Side, (Time, &str)> =
            listing.leases.iter().map(|(side, lease)| (side, (lease.expires_at, &*lease.origin))).collect();
        let lives =
            self.sides.iter().zip(self.live).filter_map(|(side, until)| Some((side, (until?, self.tenant))));
        assert_eq!(listed, lives.collect());
        assert_eq!(gateway.census.of(&self.tenant.into()).leases, listed.len());

        let all = self.all.taken().await;
        let told: Vec<Told> = all.iter().map(|event| self.read(event)).collect();
        let some = self.some.1.taken().await;
        let scope = &self.some.0;
        let in_scope = |(told, _): &(&Told, &Bytes)| scope.covers(&self.sides[told.place].conversation);
        let in_scope: Vec<&Bytes> = told.iter().zip(&all).filter(in_scope).map(|(_, event)| event).collect();
        assert_eq!(some.iter().collect::<Vec<_>>(), in_scope, "{scope:?}");
        self.told += all.len();
        for Told { place, what } in told.into_iter().filter(|told| told.what != "refreshed") {
            assert_eq!(self.untold[place].pop_front(), Some(&*what), "{:?}", self.sides[place]);
        }
        for (side, untold) in self.sides.iter().zip(&self.untold) {
            assert!(untold.is_empty(), "{side:?}: {untold:?}");
        }
        let scope = self.scope(random);
        self.some = (scope.clone(), subscribe(gateway, scope));
    }

    /// An event, which must be of this tenant.
    fn read(&self, event: &Bytes) -> Told {
        let text = std::str::from_utf8(event).unwrap();
        assert_eq!(between(text, r#""origin":""#, "\""), Some(self.tenant), "a foreign event: {text}");
        let name = between(text, "event: ", "\n").expect(text);
        let what = match between(text, r#""reason":""#, "\"") {
            Some(reason) => format!("{name} {reason}"),
            None => name.to_owned(),
        };
        Told { place: self.places[between(text, r#""channel":"#, r#","started_at""#).expect(text)], what }
    }
}

/// One who watches a scope, and what it is told.
struct Watcher {
    subscription: Subscription,
    line: Line,
    client: DuplexStream,
}

fn subscribe(gateway: &Gateway, scope: Scope) -> Watcher {
    let login = Login { tenant: scope.tenant.clone(), key: blake3::hash(b"key"), session: None };
    let subscription = gateway.hub.subscribe(login.into(), usize::MAX).unwrap();
    subscription.watch(scope, 0..1);
    let (client, server) = duplex(64 * 1024 * 1024);
    let line = Line::new(server, Bytes::new(), Duration::from_secs(9));
    subscription.connect(&line, Form::Bare);
    assert!(subscription.release(), "nothing is lost");
    Watcher { subscription, line, client }
}

impl Watcher {
    /// All that waits for it.
    async fn taken(&mut self) -> Vec<Bytes> {
        self.subscription.flush(&mut self.line).await.expect("it is not cut");
        let mut taken = Vec::new();
        while self.client.read_buf(&mut taken).now_or_never().is_some() {}
        let events = std::str::from_utf8(&taken).unwrap().split_terminator("\n\n");
        events.map(|event| Bytes::from(event.to_owned())).collect()
    }
}

fn between<'t>(text: &'t str, from: &str, to: &str) -> Option<&'t str> {
    Some(text.split_once(from)?.1.split_once(to)?.0)
}

#[tokio::test(start_paused = true)]
async fn a_million_steps_of_two_tenants_are_each_ones_own() {
    let seed = 20_261_121;
    let app = InProcess::start().0;
    let gateway = app.gateway();
    let mut random = Random(seed);
    let mut models = TENANTS.map(|tenant| (tenant, if tenant == "acme" { 0 } else { 1 << 32 }));
    let mut models = models.each_mut().map(|(tenant, first_turn)| Model::new(gateway, tenant, *first_turn));
    for step in 1..=STEPS {
        let who = random.below(2);
        match random.below(10_000) {
            0 => models[who].revoke(gateway, &mut random).await,
            1..1_000 => tokio::time::advance(Duration::from_millis(random.below(60) as u64)).await,
            _ => models[who].say(gateway, &mut random).await,
        }
        if step % STEPS_BETWEEN_LOOKS == 0 {
            // The sweeper and the hub do what is left to do.
            for _ in 0..4 {
                yield_now().await;
            }
            for model in &mut models {
                model.look(gateway, &mut random).await;
            }
        }
    }
    println!("seed {seed}: {STEPS} steps, {} events", models.iter().map(|model| model.told).sum::<usize>());
}

/// Only `acme` has this quota.
fn with_quota(quota: Quota) -> Config {
    let mut config = config(Duration::from_secs(20));
    config.tenancy.tenants[0].quota = quota;
    config
}

/// Every door as `acme` calls it to start typing, each to a user of its own, and how each says that it is too much.
fn doors(n: u32) -> [(&'static str, Vec<u8>, String); 4] {
    let user = |door: u32| format!("+1415555{door}{n:03}");
    let native = format!(
        r#"{{"channel":"pinnacle","agent":"agent_x","user":"{}","composer":"agent","state":"composing"}}"#,
        user(3)
    );
    [
        ("kaleyra", kaleyra_typing(&user(1)), "RCS1004".to_owned()),
        ("pinnacle", pinnacle_typing(&user(2)), "too many requests: try again in 1 s".to_owned()),
        ("salesforce", salesforce("TypingStartedIndicator", &n.to_string(), &user(0)), "10089".to_owned()),
        ("native", signal(&native), "Too Many Requests".to_owned()),
    ]
}

fn get(path: &str, key: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {key}\r\n\r\n").into_bytes()
}

/// `globex` types.
fn foreign_typing() -> Vec<u8> {
    let body = r#"{"agentId":"agent_globex","to":"+14155550001"}"#;
    post("/messages/send/typing", "PINNACLE-API-KEY: globex-pinnacle-key\r\n", body)
}

/// By which word or number a door says why.
fn code(answer: &Answer) -> String {
    let body = answer.json();
    let code = [&body["code"], &body["error"], &body["title"]].into_iter().find(|code| !code.is_null());
    match code.expect(&answer.body) {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[track_caller]
fn assert_throttled(door: &str, answer: &Answer, expected: &str) {
    let said = (answer.status, answer.header("retry-after"), code(answer));
    assert_eq!(said, (429, Some("1"), expected.to_owned()), "{door}: {}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn who_asks_too_fast_waits_and_nobody_else_does() {
    let quota = Quota {
        requests_per_second: const { NonZeroU32::new(1).unwrap() },
        burst: const { NonZeroU32::new(4).unwrap() },
        ..Quota::default()
    };
    let gateway = InProcess::with(with_quota(quota));
    for (door, typing, _) in doors(0) {
        assert_eq!(gateway.exchange(&typing).await.decision(), "started", "{door}: the burst");
    }
    for (door, typing, said) in doors(1) {
        assert_throttled(door, &gateway.exchange(&typing).await, &said);
    }
    for (door, message, said) in [
        ("kaleyra message", kaleyra_message(&["+14155551000"]), "1429"),
        ("pinnacle message", pinnacle_message("+14155552000"), "too many requests: try again in 1 s"),
        ("salesforce message", salesforce("Message", "m", "+14155550000"), "10089"),
        ("leases", get("/typing/v1/leases", "acme-key"), "Too Many Requests"),
        ("stream", get("/typing/v1/stream", "acme-key"), "Too Many Requests"),
    ] {
        assert_throttled(door, &gateway.exchange(&message).await, said);
    }
    let event = gateway.exchange(&kaleyra_typing("+14155550001")).await;
    assert_eq!(event.json()["error"]["error_code"], "THROTTLED");
    // Others are not kept waiting, and who is refused for other reasons is told those.
    for _ in 0..20 {
        assert_eq!(gateway.exchange(&foreign_typing()).await.status, 200);
    }
    assert_eq!(gateway.exchange(&get("/typing/v1/leases", "wrong")).await.status, 401);

    // What the answer said to wait is enough, at each door, and for one request only.
    for (door, typing, said) in doors(2) {
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(gateway.exchange(&typing).await.decision(), "started", "{door}");
        assert_throttled(door, &gateway.exchange(&typing).await, &said);
    }
    tokio::time::advance(Duration::from_millis(999)).await;
    assert_eq!(gateway.exchange(&get("/typing/v1/leases", "acme-key")).await.status, 429);
    tokio::time::advance(Duration::from_millis(1)).await;
    let leases = gateway.exchange(&get("/typing/v1/leases", "acme-key")).await;
    assert_eq!(leases.json()["leases"].as_array().unwrap().len(), 8, "what was refused started nothing");
}

#[tokio::test(start_paused = true)]
async fn a_reload_gives_nobody_a_new_burst() {
    let quota = Quota {
        requests_per_second: const { NonZeroU32::new(1).unwrap() },
        burst: const { NonZeroU32::new(1).unwrap() },
        ..Quota::default()
    };
    let config = with_quota(quota);
    let gateway = InProcess::with(config.clone());
    assert_eq!(gateway.exchange(&pinnacle_typing("+14155550001")).await.status, 200);
    gateway.0.gateway().reload(config.tenancy.clone()).await.unwrap();
    assert_eq!(gateway.exchange(&pinnacle_typing("+14155550001")).await.status, 429);
    let mut raised = config.tenancy;
    raised.tenants[0].quota = Quota::default();
    gateway.0.gateway().reload(raised).await.unwrap();
    assert_eq!(gateway.exchange(&pinnacle_typing("+14155550001")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn streams_are_counted_by_tenant() {
    let gateway = InProcess::with(with_quota(Quota { streams: 2, ..Quota::default() }));
    let mut first = gateway.stream("", "acme-key").await;
    let second = gateway.stream("?agent=agent_x", "acme-key").await;
    let refused = gateway.exchange(&get("/typing/v1/stream", "acme-key")).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("5")));
    assert_eq!(code(&refused), "Too Many Requests");
    let mut foreign = Vec::new();
    for _ in 0..10 {
        foreign.push(gateway.stream("", "globex-key").await);
    }
    drop(second);
    tokio::time::sleep(Duration::from_millis(1)).await;
    gateway.stream("?user=%2B14155550001", "acme-key").await;
    // The refused one has disturbed nobody.
    gateway.exchange(&pinnacle_typing("+14155550001")).await;
    assert_eq!(first.whats(2).await, ["snapshot", "started"]);
}

#[tokio::test(start_paused = true)]
async fn who_has_all_its_leases_can_extend_and_end_them() {
    let gateway = InProcess::with(with_quota(Quota { leases: 4, ..Quota::default() }));
    for (door, typing, _) in doors(0) {
        assert_eq!(gateway.exchange(&typing).await.decision(), "started", "{door}");
    }
    for (door, typing, said) in doors(1) {
        assert_throttled(door, &gateway.exchange(&typing).await, &said);
    }
    assert_eq!(gateway.exchange(&foreign_typing()).await.decision(), "started");
    let again = salesforce("TypingStartedIndicator", "again", "+14155550000");
    let [kaleyra, pinnacle, _, native] = doors(0);
    for (door, typing) in [
        (kaleyra.0, kaleyra.1),
        (pinnacle.0, pinnacle.1),
        ("salesforce", again),
        (native.0, native.1.clone()),
    ] {
        assert_eq!(gateway.exchange(&typing).await.decision(), "extended", "{door}");
    }
    // Somebody else on a side that has a lease is one more.
    let rep = String::from_utf8(native.1).unwrap();
    let rep = rep.split_once("\r\n\r\n").unwrap().1.replace('}', r#","participant":"rep"}"#);
    assert_eq!(gateway.exchange(&signal(&rep)).await.status, 429);
    // Each door's end makes room for one.
    for (door, end, typing) in [
        ("kaleyra", kaleyra_message(&["14155551000", "14155559999"]), kaleyra_typing("+14155550001")),
        ("pinnacle", pinnacle_message("+14155552000"), pinnacle_typing("+14155550001")),
        (
            "salesforce",
            salesforce("TypingStoppedIndicator", "stop", "+14155550000"),
            salesforce("TypingStartedIndicator", "next", "somebody"),
        ),
    ] {
        assert!(gateway.exchange(&end).await.status < 300, "{door}");
        assert_eq!(gateway.exchange(&typing).await.decision(), "started", "{door}");
        assert_eq!(gateway.exchange(&pinnacle_typing("+14155557777")).await.status, 429, "{door}");
    }
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(gateway.exchange(&pinnacle_typing("+14155557777")).await.decision(), "started", "all expired");
    assert_eq!(gateway.0.gateway().census.of(&"acme".into()).leases, 1);
}

/// One exchange of somebody at this address.
async fn exchange_from(gateway: &InProcess, peer: &str, request: &[u8]) -> Answer {
    let (client, server) = duplex(64 * 1024);
    gateway.0.serve(server, peer.parse::<IpAddr>().unwrap(), ());
    Wire::new(client).exchange(request).await
}

/// A look at the leases, as forwarded for somebody.
fn forwarded(key: &str, for_whom: &str) -> Vec<u8> {
    let request = String::from_utf8(get("/typing/v1/leases", key)).unwrap();
    request.replace("Host: t\r\n", &format!("Host: t\r\nX-Forwarded-For: {for_whom}\r\n")).into_bytes()
}

fn with_few_failures() -> InProcess {
    let mut config = config(Duration::from_secs(20));
    config.limits.failed_authentications_per_minute = 4;
    config.limits.trusted_proxies = vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
    InProcess::with(config)
}

#[tokio::test(start_paused = true)]
async fn an_address_that_guesses_is_barred_at_every_door_and_no_other_is() {
    let gateway = with_few_failures();
    let with_wrong_key = |request: Vec<u8>| {
        let text = String::from_utf8(request).unwrap();
        ["acme-key", "test_key", "XXXXX3b8497f58a94e84b671aca43XXXX", "AQEAQTESTTOKEN"]
            .iter()
            .fold(text, |text, key| text.replace(key, "wrong"))
            .into_bytes()
    };
    for (door, typing, _) in doors(0) {
        let refused = exchange_from(&gateway, "192.0.2.1", &with_wrong_key(typing)).await;
        assert_eq!(refused.status, 401, "{door}");
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    for (door, typing, said) in doors(0) {
        let barred = exchange_from(&gateway, "192.0.2.1", &typing).await;
        let said = said.replace("1 s", "50 s");
        assert_eq!(
            (barred.status, barred.header("retry-after"), code(&barred)),
            (429, Some("50"), said),
            "{door}"
        );
        assert_eq!(exchange_from(&gateway, "192.0.2.2", &typing).await.decision(), "started", "{door}");
    }
    tokio::time::advance(Duration::from_secs(50)).await;
    let answer = exchange_from(&gateway, "192.0.2.1", &get("/typing/v1/leases", "acme-key")).await;
    assert_eq!(answer.status, 200, "its minute is over");
}

#[tokio::test(start_paused = true)]
async fn only_ones_own_load_balancer_says_who_is_behind_it() {
    let gateway = with_few_failures();
    let ask = async |peer: &str, key: &str, for_whom: &str| {
        exchange_from(&gateway, peer, &forwarded(key, for_whom)).await.status
    };
    // Whoever invents a new one each time stays the same.
    for n in 0..4 {
        assert_eq!(ask("192.0.2.1", "wrong", &format!("198.51.100.{n}")).await, 401);
    }
    assert_eq!(ask("192.0.2.1", "acme-key", "198.51.100.9").await, 429);
    assert_eq!(ask("192.0.2.9", "acme-key", "192.0.2.1").await, 200, "nobody can bar another");
    // Behind the load balancer each is its own, whatever it claims to be besides.
    for n in 0..4 {
        assert_eq!(ask("10.0.0.1", "wrong", &format!("10.0.0.{n}, 198.51.100.{n}, 203.0.113.1")).await, 401);
    }
    for (peer, for_whom, expected) in [
        ("10.0.0.1", "203.0.113.1", 429),
        ("10.0.0.2", "203.0.113.1", 429),
        ("10.0.0.2", "203.0.113.1, 10.0.0.1", 429),
        ("10.0.0.1", "203.0.113.2, 203.0.113.1", 429),
        ("10.0.0.1", "203.0.113.1, 203.0.113.2", 200),
        ("10.0.0.1", "203.0.113.2", 200),
        ("203.0.113.1", "203.0.113.2", 429),
        ("10.0.0.1", "no address", 200),
    ] {
        assert_eq!(ask(peer, "acme-key", for_whom).await, expected, "{peer} for {for_whom}");
    }
    // A header line of the caller's own stands before the load balancer's.
    for n in 0..4 {
        let lines = format!("198.51.100.{n}\r\nX-Forwarded-For: 203.0.113.3");
        assert_eq!(ask("10.0.0.1", "wrong", &lines).await, 401);
    }
    assert_eq!(ask("10.0.0.1", "acme-key", "203.0.113.3").await, 429, "it is known by the last line");
    assert_eq!(ask("10.0.0.1", "acme-key", "203.0.113.4").await, 200);
}

/// What a tenant may do on another's channel, agent and number: nothing that shows.
#[tokio::test(start_paused = true)]
async fn the_same_agents_and_numbers_of_two_tenants_are_two_conversations() {
    let mut config = config(Duration::from_secs(20));
    // Agents of the same name, which each of them owns.
    config.tenancy.accounts.pinnacle.retain(|account| account.common.tenant == "acme");
    config.tenancy.accounts.pinnacle.truncate(1);
    let mut twin = config.tenancy.accounts.kaleyra[0].clone();
    config.tenancy.accounts.kaleyra.truncate(1);
    twin.common.tenant = "globex".into();
    twin.common.agents = Patterns::new(["globex-kio"]);
    twin.common.aliases = BTreeMap::from([("globex-kio".into(), "kio_rcs".into())]);
    twin.sid = "globex".to_owned();
    twin.api_keys = vec![Secret::new("globex-kaleyra-key")];
    config.tenancy.accounts.kaleyra.push(twin);
    let gateway = InProcess::with(config);
    let mut ours = gateway.stream("", "acme-key").await;
    let mut theirs = gateway.stream("?agent=kio_rcs&channel=kaleyra&user=%2B14155550001", "globex-key").await;
    assert_eq!(gateway.exchange(&kaleyra_typing("+14155550001")).await.decision(), "started");
    let end = post(
        "/v1/globex/rcs/messages",
        "api-key: globex-kaleyra-key\r\n",
        r#"{"from":"globex-kio","to":["14155550001"],"text":"Hello"}"#,
    );
    assert_eq!(gateway.exchange(&end).await.decision(), "ignored; reason=nothing_live");
    let signal = |state: &str| {
        let body = format!(
            r#"{{"channel":"kaleyra","agent":"kio_rcs","user":"+14155550001","composer":"agent","state":"{state}"}}"#
        );
        post("/typing/v1/signals", "Authorization: Bearer globex-key\r\n", &body)
    };
    assert_eq!(gateway.exchange(&signal("sent")).await.decision(), "ignored; reason=nothing_live");
    assert_eq!(gateway.exchange(&signal("composing")).await.decision(), "started");
    assert_eq!(gateway.exchange(&kaleyra_message(&["14155550001"])).await.decision(), "ended");
    assert_eq!(theirs.whats(2).await, ["snapshot", "started"]);
    assert_eq!(gateway.exchange(&signal("paused")).await.decision(), "ended");
    assert_eq!(theirs.whats(1).await, ["stopped paused"]);
    gateway.0.drain().await;
    assert_eq!(ours.whats(4).await, ["snapshot", "started", "stopped sent", "closed draining"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_for_a_tenant_is_bounded_and_its_ends_are_taken_all_the_same() {
    let mut config = config(Duration::from_secs(20));
    config.tenancy.tenants[0].quota.sides = 2;
    let gateway = InProcess::with(config);
    let say = |agent: &str, state: &str| {
        signal(&format!(
            r#"{{"channel":"pinnacle","agent":"{agent}","user":"+14155550123","composer":"agent","state":"{state}","turn":1}}"#
        ))
    };
    // Each leaves a fence, as long as there is room for one.
    for agent in ["a", "b", "c"] {
        assert_eq!(gateway.exchange(&say(agent, "sent")).await.decision(), "ignored; reason=nothing_live");
    }
    assert_eq!(gateway.0.gateway().census.of(&"acme".into()), Count { leases: 0, sides: 2 });
    assert_eq!(gateway.exchange(&say("d", "composing")).await.status, 429);
    let globex = post(
        "/messages/send/typing",
        "PINNACLE-API-KEY: globex-pinnacle-key\r\n",
        r#"{"agentId":"agent_globex","to":"+14155550123"}"#,
    );
    assert_eq!(gateway.exchange(&globex).await.decision(), "started", "nobody else is bounded by it");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(
        gateway.exchange(&say("d", "composing")).await.decision(),
        "started",
        "the fences are forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn at_its_quota_a_tenants_stragglers_are_still_told_from_news() {
    for at_leases in [true, false] {
        let mut config = config(Duration::from_secs(20));
        let quota = &mut config.tenancy.tenants[0].quota;
        *(if at_leases { &mut quota.leases } else { &mut quota.sides }) = 1;
        let gateway = InProcess::with(config);
        for (state, turn, decision) in [
            ("composing", 2, "started"),
            ("sent", 1, "ignored; reason=fenced"),
            ("composing", 1, "ignored; reason=fenced"),
            ("composing", 2, "extended"),
            ("sent", 2, "ended"),
        ] {
            let request = signal(&format!(
                r#"{{"channel":"pinnacle","agent":"a","user":"+14155550123","composer":"agent","state":"{state}","turn":{turn}}}"#
            ));
            assert_eq!(
                gateway.exchange(&request).await.decision(),
                decision,
                "{state} {turn}, leases: {at_leases}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_digest_of_nothing_lets_nobody_in() {
    let mut config = config(Duration::from_secs(20));
    let nothing = Secret::Hashed(config.keys.hasher.hash(b""));
    config.tenancy.tenants[0].api_keys.push(nothing.clone());
    config.tenancy.accounts.kaleyra[0].basics = vec![nothing.clone()];
    config.tenancy.accounts.salesforce[0].tokens.push(nothing);
    let gateway = InProcess::with(config);
    let without = |request: Vec<u8>, header: &str| {
        let request = String::from_utf8(request).unwrap();
        let lines: Vec<&str> = request.split("\r\n").filter(|line| !line.starts_with(header)).collect();
        lines.join("\r\n").into_bytes()
    };
    for request in [
        without(get("/typing/v1/leases", ""), "Authorization:"),
        get("/typing/v1/leases", ""),
        without(kaleyra_typing("+14155550123"), "Authorization:"),
        without(salesforce("TypingStartedIndicator", "1", "somebody"), "Authorization:"),
    ] {
        assert_eq!(gateway.exchange(&request).await.status, 401, "{}", String::from_utf8_lossy(&request));
    }
}
