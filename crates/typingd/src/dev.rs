//! Dev mode: everything in one process, on this machine only, with credentials that everybody knows.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;
use typingd_core::Policy;
use typingd_providers::account::Answered;
use typingd_providers::salesforce::{AuthorizationContext, ConnectedApps};
use typingd_providers::{
    Account, AccountId, Accounts, Channel, ChannelKind, Patterns, Secret, kaleyra, pinnacle, salesforce,
};

use crate::app::App;
use crate::config::{Config, Console, Keys, Limits, Quota, Server, Tenancy, Tenant};
use crate::origins::Origins;
use crate::{listener, operators, serve};

const TENANT: &str = "dev";

/// Whoever tries its speed shall not meet a quota.
const UNBOUNDED: Quota = Quota {
    requests_per_second: NonZeroU32::new(1_000_000).expect("it is not zero"),
    burst: NonZeroU32::new(1_000_000).expect("it is not zero"),
    streams: usize::MAX,
    leases: usize::MAX,
    sides: usize::MAX,
};

/// What dev mode can be told.
#[derive(Args, Debug)]
pub struct Settings {
    /// Where to listen, as IP:PORT: an address of this machine only
    #[arg(long, env = "TYPINGD_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where operators find /livez, /readyz and /metrics, as IP:PORT of this machine; by default nowhere
    #[arg(long, env = "TYPINGD_OPERATORS")]
    operators: Option<SocketAddr>,
    /// How long one typing call to the Kaleyra door shows, in milliseconds (1000 to 60000)
    #[arg(long, env = "TYPINGD_KALEYRA_TTL_MS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1_000..=60_000))]
    kaleyra_ttl_ms: u64,
    /// How long one typing call to the Pinnacle door shows, in milliseconds (1000 to 60000)
    #[arg(long, env = "TYPINGD_PINNACLE_TTL_MS", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1_000..=60_000))]
    pinnacle_ttl_ms: u64,
    /// How long one typing call to the Salesforce door shows, in milliseconds (1000 to 60000)
    #[arg(long, env = "TYPINGD_SALESFORCE_TTL_MS", default_value_t = 7_000, value_parser = clap::value_parser!(u64).range(1_000..=60_000))]
    salesforce_ttl_ms: u64,
}

/// Serves dev mode until `shutdown`.
///
/// # Errors
/// Where the address is not this machine's own, or taken.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listen = settings.listen;
    if let Some(listen) =
        [Some(listen), settings.operators].into_iter().flatten().find(|a| !a.ip().is_loopback())
    {
        bail!(
            "dev mode listens on this machine only, for its credentials are known to everybody: {listen} is no loopback address"
        );
    }
    let listener = listener::bind(listen).with_context(|| {
        format!(
            "cannot listen on {listen}; choose another with `typingd dev --listen 127.0.0.1:PORT` \
             (`cargo run --release -- --listen …`)"
        )
    })?;
    let address = listener.local_addr()?;
    let app = App::start(config(&settings, address))?;
    if let Some(operators) = settings.operators {
        tokio::spawn(operators::serve(serve::bind(operators)?, app.gateway().clone()));
    }
    announce(&Welcome(address));
    app.run(listener, None, shutdown).await;
    Ok(())
}

fn announce(welcome: &Welcome) {
    // Who starts it without reading what it says shall have it all the same.
    let _ = writeln!(io::stdout(), "{welcome}");
}

fn config(settings: &Settings, address: SocketAddr) -> Config {
    let ttls_ms = [settings.kaleyra_ttl_ms, settings.pinnacle_ttl_ms, settings.salesforce_ttl_ms];
    let api_keys = vec![Secret::new("dev-api-key")];
    let tenants = vec![Tenant { name: TENANT.into(), api_keys, quota: UNBOUNDED }];
    Config {
        server: Server { listen: settings.listen, tls: None, operators: settings.operators },
        tenancy: Tenancy { tenants, accounts: accounts(ttls_ms, address), ..Tenancy::default() },
        keys: Keys::random(),
        origins: Origins { allowed: Vec::new(), is_local: true },
        policy: Policy::default(),
        console: Console::Open,
        limits: Limits::default(),
        store: None,
    }
}

/// The documented accounts, and every agent allowed.
fn accounts([kaleyra_ttl_ms, pinnacle_ttl_ms, salesforce_ttl_ms]: [u64; 3], address: SocketAddr) -> Accounts {
    let account = |door: &str, kind, ttl_ms| Account {
        tenant: TENANT.into(),
        channel: Channel { name: door.into(), kind },
        agents: Patterns::any(),
        aliases: BTreeMap::new(),
        ttl: Duration::from_millis(ttl_ms),
        answer: Answered::default(),
    };
    Accounts {
        kaleyra: vec![kaleyra::Account {
            common: account("kaleyra", ChannelKind::Rcs, kaleyra_ttl_ms),
            sid: "dev".into(),
            basics: vec![Secret::new("dev:dev")],
            api_keys: vec![Secret::new("dev-kaleyra-key")],
            api_key_alone: false,
            upstream_refusal_is_502: false,
        }],
        pinnacle: vec![pinnacle::Account {
            common: account("pinnacle", ChannelKind::Rcs, pinnacle_ttl_ms),
            api_keys: vec![Secret::new("dev-pinnacle-key")],
            prefix: String::new(),
        }],
        salesforce: vec![salesforce::Account {
            common: account("salesforce", ChannelKind::Opaque, salesforce_ttl_ms),
            org_id: "00Ddev000000000".into(),
            tokens: vec![Secret::new("dev-salesforce-token")],
            connected_apps: ConnectedApps::AnyAssertion,
            instance_url: Some(format!("http://{address}")),
            contexts: BTreeMap::from([("Dev_Channel".into(), Patterns::any())]),
            authorization_context: AuthorizationContext::Required,
        }],
        // Its tokens come from Google: there is none that everybody could know.
        rbm: Vec::new(),
    }
}

/// Dev mode's credentials, by the variables that stand for them in commands.
const CREDENTIALS: [(&str, &str); 4] = [
    ("$KALEYRA_USER_PASSWORD", "dev:dev"),
    ("$KALEYRA_API_KEY", "dev-kaleyra-key"),
    ("$PINNACLE_API_KEY", "dev-pinnacle-key"),
    ("$SALESFORCE_TOKEN", "dev-salesforce-token"),
];

/// A command with dev mode's credentials in place of variables. Each variable ends a word in double quotes, which it
/// needs no more.
#[must_use]
pub(crate) fn with_credentials(command: &str) -> String {
    CREDENTIALS.iter().fold(command.to_owned(), |command, (variable, value)| {
        let around = command.split_once(&format!("{variable}\""));
        let around = around.and_then(|(before, after)| Some((before.rsplit_once('"')?, after)));
        let Some(((before, word), after)) = around else { return command };
        let quote = if word.is_empty() { "" } else { "'" };
        format!("{before}{quote}{word}{value}{quote}{after}")
    })
}

/// What dev mode prints first: commands to paste, for a gateway at this address.
pub struct Welcome(pub SocketAddr);

impl Display for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = format!("http://{}", self.0);
        let keys = Keys::random();
        let doors =
            typingd_providers::doors(accounts([20_000, 20_000, 7_000], self.0), &keys.tokens, &keys.hasher);
        let doors = doors.expect("dev mode has one account at each door");
        let examples = doors.iter().filter_map(|door| door.example(AccountId(0), &url));
        let indented = |command: String| command.replace('\n', "\n  ");
        let examples = examples.map(|example| indented(with_credentials(&example.command)));
        let examples: Vec<String> = examples.collect();
        let [kaleyra, pinnacle, salesforce] = examples.as_slice() else { return Err(fmt::Error) };
        write!(
            f,
            "\
typingd dev: {url}  (its console in a browser; this machine only, in memory, known credentials; ctrl-c ends it)

Watch who is typing, in one terminal:

  curl -N {url}/typing/v1/stream -H 'Authorization: Bearer dev-api-key'

Type, in another. An agent, by Kaleyra's API:

  {kaleyra}

An agent, by Pinnacle's:

  {pinnacle}

An end user, by Salesforce's:

  {salesforce}
"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gets_credentials_and_keeps_its_other_quotes() {
        for (command, expected) in [
            (r#"curl "$KALEYRA_API_KEY""#, "curl dev-kaleyra-key"),
            (
                r#"-u "$KALEYRA_USER_PASSWORD" -H "api-key: $KALEYRA_API_KEY" -d '{"a":"b"}'"#,
                r#"-u dev:dev -H 'api-key: dev-kaleyra-key' -d '{"a":"b"}'"#,
            ),
            (r#"-d '{"a":"b"}' -H "k: $PINNACLE_API_KEY""#, r#"-d '{"a":"b"}' -H 'k: dev-pinnacle-key'"#),
            (r#"-d '{"a":"'$(date +%s)'"}'"#, r#"-d '{"a":"'$(date +%s)'"}'"#),
        ] {
            assert_eq!(with_credentials(command), expected);
        }
    }
}
