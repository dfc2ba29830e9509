//! Two gateways in processes of their own: `acme`'s, and another that stands for the providers that `acme` has its
//! accounts at.

mod bytes;
mod dots;
mod hold;

mod http;
mod loops;
mod paths;
mod reload;
mod sdk;

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::load::program::{Program, Setup};
use crate::support::{Event, Events, Wire};

/// The channel address of the captures, and its name at the provider.
const DESK: &str = "b0ffeafe-0d89-4338-b14a-172ad203f22a";

/// How long an upstream's console shows typing, where nothing else is said.
const DISPLAY_MS: u64 = 7_000;

/// `acme`'s own side: the accounts of the captures at each door.
const ACME: &str = r#"
[[tenants]]
name = "acme"
api_keys = ["acme-key"]

[[tenants.kaleyra]]
sid = "XXXXX6913850XXXX"
basics = ["user:pass"]
api_keys = ["XXXXX3b8497f58a94e84b671aca43XXXX"]
agents = ["kio_rcs"]

[[tenants.pinnacle]]
api_keys = ["test_key"]
agents = ["agent_pinnacle"]

[[tenants.salesforce]]
org_id = "00Dxx0000000001"
tokens = ["00Dxx0000000001!AQEAQTESTTOKEN"]
addresses = ["b0ffeafe-*"]
contexts = { Partner1_ChannelDefinition1 = ["*"] }

[[tenants.rbm]]
tokens = ["acme-rbm-token"]
agents = ["acme_rbm"]
"#;

/// What none but `acme`'s own callers may show.
const ACMES_SECRETS: [&str; 5] =
    ["dXNlcjpwYXNz", "XXXXX3b8497f58a94e84b671aca43XXXX", "test_key", "AQEAQTESTTOKEN", "acme-rbm-token"];

/// The accounts that `whose` has at each provider, and its agents' names there.
fn upstreams(address: &str, whose: &str, agents: [(&str, &str); 4], salesforce: &str) -> String {
    let [kaleyra, pinnacle, desk, rbm] = agents.map(|(ours, theirs)| format!("{ours:?} = {theirs:?}"));
    let base_url = format!("base_url = \"http://{address}\"");
    format!(
        r#"
[[tenants.upstreams.kaleyra]]
name = "k"
{base_url}
sid = "{whose}sid"
basic = "{whose}user:{whose}pass"
api_key = "{whose}-kaleyra"
agents = {{ {kaleyra} }}

[[tenants.upstreams.pinnacle]]
name = "p"
{base_url}
api_key = "{whose}-pinnacle"
agents = {{ {pinnacle} }}

[[tenants.upstreams.salesforce]]
name = "s"
{base_url}
org_id = "00D{whose}00000001"
authorization_context = "{whose}_Context"
{salesforce}
agents = {{ {desk} }}

[[tenants.upstreams.rbm]]
name = "r"
{base_url}
token = "{whose}-rbm"
agents = {{ {rbm} }}
{ROUTES}"#
    )
}

const ROUTES: &str = r#"
[[tenants.routes]]
upstream = "k"
channel = "kaleyra"

[[tenants.routes]]
upstream = "p"
channel = "pinnacle"

[[tenants.routes]]
upstream = "s"
channel = "salesforce"

[[tenants.routes]]
upstream = "r"
channel = "rbm"
"#;

/// A token of the first's at the second, and for how long a call shows.
fn token(whose: &str, display_ms: u64) -> String {
    format!("token = \"{whose}-sf\"\ndisplay_ms = {display_ms}")
}

/// `acme`, with its accounts at the second; `salesforce` is how it comes by its token there.
fn acme(second: &str, salesforce: &str) -> String {
    let agents = [
        ("kio_rcs", "far_kio"),
        ("agent_pinnacle", "agent_far"),
        (DESK, "far-desk"),
        ("acme_rbm", "far_rbm"),
    ];
    format!("{ACME}{}", upstreams(second, "prov", agents, salesforce))
}

/// The second: what `acme` has its accounts at. A call of Salesforce's shows for `ttl_ms`; `more` is what else its
/// Salesforce account has.
fn provider(ttl_ms: u64, more: &str) -> String {
    format!(
        r#"
[[tenants]]
name = "prov"
api_keys = ["prov-key"]

[[tenants.kaleyra]]
sid = "provsid"
basics = ["provuser:provpass"]
api_keys = ["prov-kaleyra"]
agents = ["far_kio"]

[[tenants.pinnacle]]
api_keys = ["prov-pinnacle"]
agents = ["agent_far"]

[[tenants.rbm]]
tokens = ["prov-rbm"]
agents = ["far_rbm"]

[[tenants.salesforce]]
org_id = "00Dprov00000001"
tokens = ["prov-sf"]
addresses = ["far-desk"]
contexts = {{ prov_Context = ["*"] }}
ttl_ms = {ttl_ms}
{more}
"#
    )
}

/// Starts a gateway with these tenants.
async fn start(name: &str, tenants: &str) -> Program {
    Program::start(Setup { name, tenants, ..Setup::default() }).await
}

/// Has a gateway read other tenants.
async fn reread(program: &Program, tenants: &str) {
    let text = fs::read_to_string(&program.config).unwrap();
    let (rest, _) = text.split_once("[[tenants]]").unwrap();
    fs::write(&program.config, format!("{rest}{tenants}")).unwrap();
    program.signal("HUP").await;
}

/// A tenant's stream, whose snapshot is read and empty.
async fn watch(address: SocketAddr, key: &str) -> Events<TcpStream> {
    let mut events = Wire::new(TcpStream::connect(address).await.unwrap()).stream("", key).await;
    let snapshot = events.next().await.unwrap();
    assert_eq!((snapshot.what().as_str(), &snapshot.data["leases"]), ("snapshot", &Value::Array(Vec::new())));
    events
}

/// The events that come for so long.
async fn events_for(events: &mut Events<TcpStream>, time: Duration) -> Vec<Event> {
    let mut seen = Vec::new();
    let reading = async {
        loop {
            seen.push(events.next().await.expect("the stream goes on"));
        }
    };
    let _: Result<(), _> = timeout(time, reading).await;
    seen
}

fn whats(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::what).collect()
}

/// What an event is about: its channel, agent and user.
fn about(event: &Event) -> [&str; 3] {
    ["channel", "agent", "user"].map(|field| event.data[field].as_str().unwrap())
}

/// How often a gateway has called an account to say this; `None` where it has no such account.
async fn calls(program: &Program, upstream: &str, says: &str) -> Option<u64> {
    let (_, text) = program.look("/metrics").await.unwrap();
    let labels = [format!("upstream=\"{upstream}\""), format!("says=\"{says}\"")];
    let is_it = |line: &&str| {
        line.starts_with("typingd_upstream_calls_total") && labels.iter().all(|label| line.contains(label))
    };
    text.lines().find(is_it).map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
}
