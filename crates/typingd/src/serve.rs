//! Serving what a configuration file says, and again what it says after a `SIGHUP`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use anyhow::Context;
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::app::App;
use crate::config::file::{self, Environment};
use crate::config::{Config, Server};
use crate::gateway::Gateway;
use crate::tls::Certificate;
use crate::{listener, operators};

/// Serves until `shutdown`.
///
/// # Errors
/// Where the configuration is wrong, or an address cannot be had.
pub async fn run(path: PathBuf, shutdown: CancellationToken) -> anyhow::Result<()> {
    // From here on a `SIGHUP` ends nothing: it waits until it can be served.
    let hangup = signal(SignalKind::hangup()).context("cannot wait for a SIGHUP")?;
    let config = load(&path)?;
    let Server { listen, tls, operators } = config.server.clone();
    let certificate = tls.map(Certificate::read).transpose()?;
    let acceptor = certificate.as_ref().map(Certificate::acceptor).transpose()?;
    let listener = bind(listen)?;
    let operators = match operators {
        Some(address) => Some(bind(address)?),
        None => None,
    };
    let app = App::start(config)?;
    info!(address = %listener.local_addr()?, tls = acceptor.is_some(), "serving");

    let reload = tokio::spawn(reload_on_hangup(hangup, path, app.gateway().clone()));
    let watch = certificate.map(|certificate| tokio::spawn(certificate.watch()));
    let operators = operators.map(|listener| tokio::spawn(operators::serve(listener, app.gateway().clone())));
    notify(&[NotifyState::Ready]);
    let stopping = shutdown.clone();
    tokio::spawn(async move {
        stopping.cancelled().await;
        notify(&[NotifyState::Stopping]);
    });
    app.run(listener, acceptor, shutdown).await;
    // Operators look to the very end.
    for task in [Some(reload), watch, operators].into_iter().flatten() {
        task.abort();
    }
    Ok(())
}

/// Reads a configuration file, with the environment in it.
///
/// # Errors
/// What is wrong with it, with its name.
pub fn load(path: &Path) -> anyhow::Result<Config> {
    file::load(&read(path)?, &environment()).with_context(|| path.display().to_string())
}

/// Says what is wrong with a configuration file, and with the certificate it names.
///
/// # Errors
/// The first thing that is.
pub fn check(path: &Path) -> anyhow::Result<()> {
    let config = load(path)?;
    config.server.tls.map(Certificate::read).transpose()?;
    Ok(())
}

/// What a configuration file comes to, for people; no secret is in it.
///
/// # Errors
/// What is wrong with it, with its name.
pub fn print(path: &Path) -> anyhow::Result<String> {
    file::print(&read(path)?, &environment()).with_context(|| path.display().to_string())
}

/// The process's environment.
#[must_use]
pub fn environment() -> Environment {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

pub(crate) fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

/// Reads the tenants again at each `SIGHUP`. What is wrong is reported, and the old ones stay.
async fn reload_on_hangup(mut hangup: Signal, path: PathBuf, gateway: Arc<Gateway>) {
    while hangup.recv().await.is_some() {
        notify(&[NotifyState::Reloading]);
        let result = reload(&path, &gateway).await;
        gateway.metrics.reloaded(result.is_ok());
        match result {
            Ok(()) => info!("the tenants were read again"),
            Err(error) => error!(error = format!("{error:#}"), "the configuration stays as it was"),
        }
        notify(&[NotifyState::Ready]);
    }
}

async fn reload(path: &Path, gateway: &Gateway) -> anyhow::Result<()> {
    let Config { tenancy, keys, policy, limits, .. } = load(path)?;
    // The tenants were read with these in mind.
    anyhow::ensure!(keys.are_those_of(&gateway.keys), "`keys` has changed, which takes a restart");
    anyhow::ensure!(policy == *gateway.engine.policy(), "`policy` has changed, which takes a restart");
    if limits != gateway.limits {
        warn!("`limits` has changed, which takes effect at the next start");
    }
    Ok(gateway.reload(tenancy).await?)
}

/// Tells the service manager, if there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager cannot be told");
    }
}
