//! A gateway to test, and a client that shows every byte.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, duplex,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use typingd::app::App;
use typingd::config::{Config, Console, Keys, Limits, Quota, Server, Tenancy, Tenant};
use typingd::gateway::Gateway;
use typingd::origins::Origins;
use typingd_core::Policy;
use typingd_providers::account::Answered;
use typingd_providers::salesforce::{AuthorizationContext, ConnectedApps};
use typingd_providers::{
    Account, Accounts, Channel, ChannelKind, Patterns, Secret, kaleyra, pinnacle, salesforce,
};

/// Longer than anything is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Two tenants: `acme`, who has the accounts of the captures, two at Pinnacle, and the key `acme-key`; and `globex`, who
/// has `globex-key`, one Kaleyra account and one at Pinnacle. Every typing call shows for `ttl`.
pub fn config(ttl: Duration) -> Config {
    let account = |tenant: &str, door: &str, kind, agents: &[&str]| Account {
        tenant: tenant.into(),
        channel: Channel { name: door.into(), kind },
        agents: Patterns::new(agents.iter().copied()),
        aliases: BTreeMap::new(),
        ttl,
        answer: Answered::default(),
    };
    let kaleyra = |tenant: &str, sid: &str, key: &str, agent: &str| kaleyra::Account {
        common: account(tenant, "kaleyra", ChannelKind::Rcs, &[agent]),
        sid: sid.into(),
        basics: vec![Secret::new("user:pass")],
        api_keys: vec![Secret::new(key)],
        api_key_alone: false,
        upstream_refusal_is_502: false,
    };
    let pinnacle = |tenant: &str, key: &str, agent: &str| pinnacle::Account {
        common: account(tenant, "pinnacle", ChannelKind::Rcs, &[agent]),
        api_keys: vec![Secret::new(key)],
        prefix: String::new(),
    };
    let accounts = Accounts {
        kaleyra: vec![
            kaleyra("acme", "XXXXX6913850XXXX", "XXXXX3b8497f58a94e84b671aca43XXXX", "kio_rcs"),
            kaleyra("acme", "xxxxx6913850xxxx", "xxxxx3b8497f58a94e84b671aca43xxxx", "rcs-test"),
            kaleyra("globex", "globex", "globex-kaleyra-key", "globex_rcs"),
        ],
        pinnacle: vec![
            pinnacle("acme", "test_key", "agent_pinnacle"),
            pinnacle("acme", "other_key", "agent_other"),
            pinnacle("globex", "globex-pinnacle-key", "agent_globex"),
        ],
        salesforce: vec![salesforce::Account {
            common: account("acme", "salesforce", ChannelKind::Opaque, &["b0ffeafe-*"]),
            org_id: "00Dxx0000000001".into(),
            tokens: vec![Secret::new("00Dxx0000000001!AQEAQTESTTOKEN")],
            connected_apps: ConnectedApps::default(),
            instance_url: None,
            contexts: BTreeMap::from([("Partner1_ChannelDefinition1".into(), Patterns::any())]),
            authorization_context: AuthorizationContext::Required,
        }],
        rbm: Vec::new(),
    };
    let tenant = |name: &str, key: &str| Tenant {
        name: name.into(),
        api_keys: vec![Secret::new(key)],
        quota: Quota::default(),
    };
    let tenants = vec![tenant("acme", "acme-key"), tenant("globex", "globex-key")];
    Config {
        server: Server { listen: "127.0.0.1:0".parse().unwrap(), tls: None, operators: None },
        tenancy: Tenancy { tenants, accounts, ..Tenancy::default() },
        keys: Keys::random(),
        origins: Origins::default(),
        policy: Policy::default(),
        console: Console::Off,
        limits: Limits::default(),
        store: None,
    }
}

/// A gateway in this process, reached without a socket, so that its time can be stopped.
pub struct InProcess(pub App);

impl InProcess {
    pub fn start() -> Self {
        Self::with(config(Duration::from_secs(20)))
    }

    pub fn with(config: Config) -> Self {
        Self(App::start(config).unwrap())
    }

    pub fn connect(&self) -> Wire<DuplexStream> {
        let (client, server) = duplex(64 * 1024);
        self.0.serve(server, Ipv4Addr::LOCALHOST.into(), ());
        Wire::new(client)
    }

    pub async fn stream(&self, query: &str, key: &str) -> Events<DuplexStream> {
        self.connect().stream(query, key).await
    }

    /// One exchange on a connection of its own.
    pub async fn exchange(&self, request: &[u8]) -> Answer {
        self.connect().exchange(request).await
    }
}

/// A gateway on a real socket.
pub struct OnSocket {
    pub address: SocketAddr,
    pub gateway: Arc<Gateway>,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl OnSocket {
    pub async fn start(config: Config) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), config)
    }

    pub fn on(listener: TcpListener, config: Config) -> Self {
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let app = App::start(config).unwrap();
        let gateway = app.gateway().clone();
        let serving = tokio::spawn(app.run(listener, None, shutdown.clone()));
        Self { address, gateway, shutdown, serving }
    }

    pub async fn connect(&self) -> Wire<TcpStream> {
        Wire::new(TcpStream::connect(self.address).await.unwrap())
    }

    pub async fn exchange(&self, request: &[u8]) -> Answer {
        self.connect().await.exchange(request).await
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        timeout(PATIENCE, self.serving).await.unwrap().unwrap();
    }
}

/// An HTTP connection, seen from the client.
pub struct Wire<IO> {
    io: BufReader<IO>,
}

/// A response, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Wire<IO> {
    pub fn new(io: IO) -> Self {
        Self { io: BufReader::new(io) }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // A server that has made up its mind may close before it has read everything.
        let _ = self.io.get_mut().write_all(bytes).await;
    }

    /// Sends a request and waits for its whole response.
    pub async fn exchange(&mut self, request: &[u8]) -> Answer {
        self.send(request).await;
        self.answer().await.expect("a response")
    }

    /// The next response; `None` where the connection ends instead.
    pub async fn answer(&mut self) -> Option<Answer> {
        timeout(PATIENCE, self.read_answer()).await.expect("an answer or the end, in time")
    }

    /// The status and the headers of the next response, which has no body.
    pub async fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        timeout(PATIENCE, self.read_head()).await.expect("a head or the end, in time")
    }

    /// Whether the connection ends here, without another byte.
    pub async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        !matches!(timeout(PATIENCE, self.io.read(&mut byte)).await.expect("the end, in time"), Ok(1..))
    }

    /// So many bytes; `None` where the connection ends before.
    pub async fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        let read =
            timeout(PATIENCE, self.io.read_exact(&mut bytes)).await.expect("bytes or the end, in time");
        read.is_ok().then_some(bytes)
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let (status, headers) = self.read_head().await?;
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map(|(_, value)| value.parse().unwrap());
        let mut body = vec![0; length.unwrap_or(0)];
        self.io.read_exact(&mut body).await.ok()?;
        Some(Answer { status, headers, body: String::from_utf8(body).unwrap() })
    }

    async fn read_head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let status = self.read_line().await?;
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.read_line().await?;
            if line.is_empty() {
                return Some((status, headers));
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }

    async fn read_line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.io.read_line(&mut line).await {
            Ok(1..) => Some(line.trim_end_matches(['\r', '\n']).to_owned()),
            _ => None,
        }
    }

    /// Turns the connection into a stream of events; the snapshot is the first of them.
    pub async fn stream(self, query: &str, key: &str) -> Events<IO> {
        let request = format!(
            "GET /typing/v1/stream{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
        );
        self.events(request.as_bytes()).await
    }

    /// Turns the connection into whatever stream of events this request asks for.
    pub async fn events(mut self, request: &[u8]) -> Events<IO> {
        self.send(request).await;
        let (status, headers) = timeout(PATIENCE, self.read_head()).await.unwrap().unwrap();
        assert_eq!(status, 200);
        Events { wire: self, headers, text: String::new(), comments: 0, retry_ms: None, is_finished: false }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    /// What was decided.
    pub fn decision(&self) -> &str {
        self.header("typing-decision").expect("a decision")
    }
}

/// An event stream, seen from the client.
pub struct Events<IO> {
    wire: Wire<IO>,
    pub headers: Vec<(String, String)>,
    text: String,
    pub comments: usize,
    pub retry_ms: Option<u64>,
    /// Whether the response was ended by the gateway, behind a whole event.
    pub is_finished: bool,
}

/// An event of a stream.
#[derive(Debug, Clone)]
pub struct Event {
    pub id: String,
    pub name: String,
    pub data: Value,
}

impl Event {
    /// Its name, with the reason where it has one.
    pub fn what(&self) -> String {
        match self.data["reason"].as_str() {
            Some(reason) => format!("{} {reason}", self.name),
            None => self.name.clone(),
        }
    }

    pub fn remaining_ms(&self) -> u64 {
        self.data["remaining_ms"].as_u64().unwrap()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Events<IO> {
    /// The next event; `None` at the stream's end.
    pub async fn next(&mut self) -> Option<Event> {
        timeout(PATIENCE, self.read_event()).await.expect("an event or the end, in time")
    }

    /// Reads chunks until another comment has come.
    pub async fn comment(&mut self) {
        let before = self.comments;
        while self.comments == before {
            assert!(timeout(PATIENCE, self.read_chunk()).await.unwrap(), "a comment, not the end");
            assert!(self.take_event().is_none(), "a comment, no event");
        }
    }

    /// The names of the next events.
    pub async fn whats(&mut self, count: usize) -> Vec<String> {
        let mut whats = Vec::new();
        for _ in 0..count {
            whats.push(self.next().await.expect("another event").what());
        }
        whats
    }

    async fn read_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.take_event() {
                return Some(event);
            }
            if !self.read_chunk().await {
                return None;
            }
        }
    }

    fn take_event(&mut self) -> Option<Event> {
        while let Some((block, rest)) = self.text.split_once("\n\n") {
            let (block, rest) = (block.to_owned(), rest.to_owned());
            self.text = rest;
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            self.comments += usize::from(block.starts_with(':'));
            self.retry_ms = field("retry: ").map(|ms| ms.parse().unwrap()).or(self.retry_ms);
            if let (Some(id), Some(name), Some(data)) = (field("id: "), field("event: "), field("data: ")) {
                return Some(Event { id, name, data: serde_json::from_str(&data).unwrap() });
            }
        }
        None
    }

    async fn read_chunk(&mut self) -> bool {
        let Some(size) = self.wire.read_line().await else { return false };
        let size = usize::from_str_radix(&size, 16).unwrap();
        let mut chunk = vec![0; size + 2];
        if self.wire.io.read_exact(&mut chunk).await.is_err() {
            return false;
        }
        if size == 0 {
            self.is_finished = self.text.is_empty();
            return false;
        }
        self.text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
        true
    }
}

/// A request with a JSON body.
pub fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A native signal of `acme`.
pub fn signal(body: &str) -> Vec<u8> {
    post("/typing/v1/signals", "Authorization: Bearer acme-key\r\n", body)
}

pub fn kaleyra_typing(to: &str) -> Vec<u8> {
    post(
        "/v1/XXXXX6913850XXXX/rcs/events",
        "Authorization: Basic dXNlcjpwYXNz\r\napi-key: XXXXX3b8497f58a94e84b671aca43XXXX\r\n",
        &format!(r#"{{"from":"kio_rcs","to":"{to}","composing":{{}}}}"#),
    )
}

pub fn kaleyra_message(to: &[&str]) -> Vec<u8> {
    let to = serde_json::to_string(to).unwrap();
    post(
        "/v1/XXXXX6913850XXXX/rcs/messages",
        "api-key: XXXXX3b8497f58a94e84b671aca43XXXX\r\n",
        &format!(r#"{{"from":"kio_rcs","to":{to},"text":"Hello"}}"#),
    )
}

pub fn pinnacle_typing(to: &str) -> Vec<u8> {
    let body = format!(r#"{{"agentId":"agent_pinnacle","to":"{to}"}}"#);
    post("/messages/send/typing", "PINNACLE-API-KEY: test_key\r\n", &body)
}

pub fn pinnacle_message(to: &str) -> Vec<u8> {
    let body = format!(r#"{{"from":"agent_pinnacle","to":"{to}","text":"hello"}}"#);
    post("/messages/send/rcs", "PINNACLE-API-KEY: test_key\r\n", &body)
}

/// `entry` is `TypingStartedIndicator`, `TypingStoppedIndicator` or `Message`.
pub fn salesforce(entry: &str, id: &str, from: &str) -> Vec<u8> {
    let rest = match entry {
        "Message" => format!(
            r#""abstractMessage":{{"messageType":"StaticContentMessage","id":"{id}","staticContent":{{"formatType":"Text","text":"Hi"}}}}"#
        ),
        _ => r#""timestamp":1688190840000"#.to_owned(),
    };
    let json = format!(
        r#"{{"to":"b0ffeafe-1","from":"{from}","interactions":[{{"timestamp":1688190840000,"interactionType":"EntryInteraction","payload":{{"id":"{id}","entryType":"{entry}",{rest}}}}}]}}"#
    );
    let body = format!("--b\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n{json}\r\n--b--\r\n");
    let length = body.len();
    format!(
        "POST /api/v1/interactions HTTP/1.1\r\nHost: t\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Authorization: Bearer 00Dxx0000000001!AQEAQTESTTOKEN\r\nOrgId: 00Dxx0000000001\r\nRequestId: 1\r\n\
         AuthorizationContext: Partner1_ChannelDefinition1\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The program in dev mode on a free port, and where it listens.
pub async fn start_program(arguments: &[&str]) -> (Child, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_typingd"))
        .args(arguments)
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let first = timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap().unwrap();
    let address = first.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    (program, address)
}
