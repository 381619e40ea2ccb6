//! The collector: authenticates agents, checks what they push, stores it exactly once, and answers per-provider reports.
//!
//! ```text
//! agents    ─TLS─► server ─► router ─► auth ─► api ─► ingest ─► store
//! operators ─────► server ─► router ─► auth ─► api ─► registry, report
//! people    ◄─ notify ◄─ alert ◄─ report, each minute
//! ```

pub mod admission;
pub mod alert;
pub mod api;
pub mod app;
pub mod auth;
pub mod backup;
pub mod billing;
pub mod cli;
pub mod client;
pub mod client_address;
pub mod clock;
pub mod config;
pub mod cost;
pub mod dashboard;
pub mod descriptors;
pub mod first_run;
pub mod fleet;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod geography;
pub mod identity;
pub mod ingest;
pub mod key_life;
mod lasting;
pub mod logging;
pub mod metrics;
pub mod organisation;
mod outward;
pub mod paths;
mod prometheus_text;
pub mod quota;
pub mod rate;
pub mod reattribution;
pub mod registry;
pub mod report;
pub mod retention;
pub mod rfc3339;
pub mod router;
pub mod server;
mod service;
pub mod signature;
pub mod storage;
pub mod store;
pub mod trouble;
pub mod turns;
pub mod vitals;

pub use server::Listeners;

use alert::notify::{self, ReceiverError};
use app::{App, AppError};
use clock::Clock;
use config::Config;
use cost::Costs;
use first_run::FirstRunError;
use identity::{Identity, IdentityError, private_file::PrivateFileError};
use lasting::Lasting;
use registry::{Registry, RegistryError};
use server::{
    AgentsCertificate, Deadlines, Service, TlsError, operators_acceptor, serve, serve_on_each_core,
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use store::{SqliteStore, Store, StoreError};
use tokio_util::sync::CancellationToken;

/// How often it is noted which agents were seen.
const NOTE_EVERY: Duration = Duration::from_mins(5);
/// How often callers that have been quiet are forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// Why the collector did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration breaks rules.
    #[error("the configuration is not acceptable:\n  {}", .0.join("\n  "))]
    Config(Vec<String>),
    /// The directory cannot be made.
    #[error(transparent)]
    Directory(#[from] PrivateFileError),
    /// The keys cannot be read or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The operator token of this machine cannot be made.
    #[error(transparent)]
    FirstRun(#[from] FirstRunError),
    /// The registry cannot be opened.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener has no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Something of what handlers need cannot be used.
    #[error(transparent)]
    App(#[from] AppError),
    /// A receiver of alerts cannot be used.
    #[error(transparent)]
    Receiver(#[from] ReceiverError),
    /// A bound socket cannot be used.
    #[error("cannot use the listener for {whom}")]
    Listener {
        /// Whose listener.
        whom: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// Runs the collector on sockets that are bound already until `shutdown`; then open requests finish.
pub async fn run(config: Config, listeners: Listeners, shutdown: CancellationToken) -> Result<(), RunError> {
    let faults = config.faults();
    if !faults.is_empty() {
        return Err(RunError::Config(faults));
    }
    identity::private_file::create_directory(&config.store.directory)?;
    let path = paths::store(&config.store.directory);
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path)?);
    let clock = Clock::system();
    let upkeep =
        retention::maintain(Arc::clone(&store), clock.clone(), config.retention.into(), shutdown.clone());
    let serving = run_over(config, listeners, store, clock, shutdown.clone());
    // Should a listener fail, the upkeep must not keep the process alive.
    let ((), served) = tokio::join!(upkeep, async {
        let served = serving.await;
        shutdown.cancel();
        served
    });
    served
}

/// Runs the collector on sockets that are bound already, over `store`, until `shutdown`; then open requests finish.
pub async fn run_over(
    config: Config,
    listeners: Listeners,
    store: Arc<dyn Store>,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let (agents, agents_at) = ready("agents", listeners.agents)?;
    let (operators, operators_at) = ready("operators", listeners.operators)?;
    let operators = tokio::net::TcpListener::from_std(operators).map_err(unusable("operators"))?;
    identity::private_file::create_directory(&config.store.directory)?;
    let identity = Arc::new(Identity::open(&config.store.directory)?);
    let registry = Registry::open(&paths::registry(&config.store.directory))?;
    first_run::keep_operator_token(&registry, &config.store.directory, clock.now())?;

    let url = agents_url(&config, agents_at);
    let names = certificate_names(&config, &url, agents_at);
    let receivers = notify::receivers(&config.alerts)?;
    let certificate = Arc::new(AgentsCertificate::issue(Arc::clone(&identity), names, clock.now())?);
    let operators_tls = config.operators.tls.as_ref().map(operators_acceptor).transpose()?;
    let connections = descriptors::for_connections(config.limits.connections);
    tracing::info!(agents = %agents_at, %url, operators = %operators_at, ca_sha256 = identity.ca_sha256(), "the collector runs");

    let app = App::new(config, registry, store, clock, (&identity, url))?;
    for listener in ["agents", "operators"] {
        app.metrics.connection_faults().limit(listener, connections);
    }
    let for_agents = Service {
        name: "agents",
        tls: Some(Arc::clone(&certificate).acceptor()?),
        router: router::for_agents(&app),
        proxies: app.config.agents.proxies(),
        connections,
        deadlines: Deadlines::default(),
        faults: app.metrics.connection_faults(),
        costs: app.metrics.costs().clone(),
    };
    let for_operators = Service {
        name: "operators",
        tls: operators_tls,
        router: router::for_operators(&app),
        proxies: Vec::new(),
        connections,
        deadlines: Deadlines::default(),
        faults: app.metrics.connection_faults(),
        // Theirs are apart, and nobody asks.
        costs: Costs::default(),
    };
    let (agents, ..) = tokio::join!(
        serve_on_each_core(agents, for_agents, shutdown.clone()),
        serve(operators, for_operators, shutdown.clone()),
        keep_house(&app, &certificate, shutdown.clone()),
        reattribution::keep_on(&app, shutdown.clone()),
        Box::pin(alert::watch::keep_on(&app, shutdown.clone())),
        notify::keep_telling(&app, receivers, shutdown.clone()),
        // After the listeners, so that they serve once it says so.
        service::keep_informed(&app, shutdown),
    );
    agents.map_err(unusable("agents"))?;
    tracing::info!("the collector has stopped");
    Ok(())
}

/// Notes which agents were seen, forgets quiet callers and renews the agents' certificate, until `shutdown`.
async fn keep_house(app: &App, certificate: &AgentsCertificate, shutdown: CancellationToken) {
    let mut note = tokio::time::interval(NOTE_EVERY);
    let mut forget = tokio::time::interval(FORGET_EVERY);
    let mut jumped = Lasting::default();
    let start = tokio::time::Instant::now() + identity::RENEW_EVERY;
    let mut renew = tokio::time::interval_at(start, identity::RENEW_EVERY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return app.note_sightings().await,
            _ = note.tick() => app.note_sightings().await,
            _ = forget.tick() => {
                app.rates.forget_idle();
                app.turns.forget_idle(tokio::time::Instant::now());
                app.quotas.forget_old(app.clock.now());
                watch_clock(&app.clock, &mut jumped);
            }
            _ = renew.tick() => if let Err(error) = certificate.renew(app.clock.now()) {
                tracing::error!(%error, "the agents' certificate was not renewed; the present one is valid for two years");
            },
        }
    }
}

/// Says so while the clock is in doubt.
fn watch_clock(clock: &Clock, jumped: &mut Lasting) {
    let at = tokio::time::Instant::now();
    match clock.jumped() {
        None => {
            if jumped.works(at).is_some() {
                tracing::warn!("the clock is believed again");
            }
        }
        Some(by_us) => {
            if jumped.fails(1, at).is_some() {
                tracing::error!(
                    jumped_s = by_us / 1_000_000,
                    "the clock of this machine jumped; until it returns, or for a day, nothing is dropped or refused for its \
                     age, and agents keep what would be; set the clock, or restart the collector if it is right now"
                );
            }
        }
    }
}

/// The listener as a runtime takes it, and where it listens.
fn ready(whom: &'static str, listener: TcpListener) -> Result<(TcpListener, SocketAddr), RunError> {
    listener.set_nonblocking(true).map_err(unusable(whom))?;
    let address = listener.local_addr().map_err(unusable(whom))?;
    Ok((listener, address))
}

fn unusable(whom: &'static str) -> impl Fn(io::Error) -> RunError {
    move |source| RunError::Listener { whom, source }
}

/// The URL that enrolment tokens name. Without one, only agents on this machine find the collector.
fn agents_url(config: &Config, listen: SocketAddr) -> String {
    match &config.agents.url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None if listen.ip().is_unspecified() => {
            tracing::warn!("tokens name localhost; set [agents] url to let agents of other machines enrol");
            format!("https://localhost:{}", listen.port())
        }
        None => format!("https://{listen}"),
    }
}

/// What the agents' certificate is for.
fn certificate_names(config: &Config, url: &str, listen: SocketAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(config.agents.names.iter().cloned());
    if !listen.ip().is_unspecified() {
        names.push(listen.ip().to_string());
    }
    let host = url.parse::<url::Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
    names.extend(host.map(|host| host.trim_matches(['[', ']']).to_owned()));
    names.sort_unstable();
    names.dedup();
    names
}
