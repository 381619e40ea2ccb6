//! The agent: probes Microsoft's cloud from a site, keeps histograms through outages, and pushes them to the collector.
//!
//! ```text
//! schedule ──turn──► probe ──sample──► aggregate ──closed interval──► spool ──batch──► push ──► collector
//!   pure            sockets              pure                     durable files       HTTPS, signed
//! ```
//! [`pipeline`] joins the stages; none of them knows another. [`run`] is the whole agent.

#[cfg(windows)]
mod access;
pub mod aggregate;
pub mod assignment;
pub mod backoff;
pub mod cadence;
mod captures;
pub mod catalogue;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod credential;
pub mod decommission;
pub mod doctor;
pub mod durable;
pub mod enrol;
pub mod exchange;
pub mod format;
mod life;
pub mod link;
pub mod logging;
pub mod notices;
pub mod observe;
pub mod offset;
pub mod oneshot;
pub mod paths;
pub mod pipeline;
pub mod probe;
pub mod proxy;
pub mod push;
pub mod rotation;
pub mod sample;
pub mod schedule;
pub mod selftest;
pub mod service;
pub mod signature;
pub mod spool;
pub mod status;
pub mod targets;
pub mod termination;
mod tls;
pub mod trace;
pub mod trust;
pub mod uplink;

use catalogue::published::Published;
use clock::Clock;
use config::Config;
use credential::{CredentialError, keyring::Keyring};
use enrol::{
    Applicant,
    adoption::{AdoptionError, adopt},
    unattended::enrol_unattended,
};
use notices::Notices;
use peerlight_proto::id::AgentId;
use probe::{ProbeError, Prober};
use proxy::{HttpsPaths, Proxies, ProxyError};
use service::News;
use spool::{Spool, SpoolError, handle::SharedSpool};
use status::{Board, Status};
use std::{io, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use uplink::Way;

/// A file that is still being written after so long never will be finished.
const LEFTOVER_AGE: Duration = Duration::from_mins(1);

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its identity cannot be read or made.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Its spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// What a killed agent left half-written cannot be removed.
    #[error("cannot tidy the state directory: {0}")]
    Tidy(#[source] io::Error),
    /// The proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// Probes cannot be sent.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The machine cannot become the agent that it was.
    #[error(transparent)]
    Adoption(#[from] AdoptionError),
    /// The collector knows the machine as one agent after another.
    #[error(
        "the collector wants this machine to become agent {0}, after it became another; enrol it by hand"
    )]
    Adopted(AgentId),
}

/// Runs the agent until `shutdown`; then it spools the open interval and ends within five seconds.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let mut adopted = None;
    while let Some(agent) = Box::pin(run_as_known(&config, &shutdown)).await? {
        // Whoever says so twice would have this go on for ever.
        if adopted.replace(agent).is_some() {
            return Err(RunError::Adopted(agent));
        }
        adopt(&config.state, agent, config.spool)?;
    }
    Ok(())
}

/// The same under the identity that the state directory holds. Some: it ended because it is to become that agent.
async fn run_as_known(config: &Config, shutdown: &CancellationToken) -> Result<Option<AgentId>, RunError> {
    let proxies = config.proxy.open()?;
    let key = Arc::new(credential::load_or_create(&config.state)?);
    let spool = SharedSpool::new(Spool::open(&config.state.spool(), key.agent(), config.spool)?);
    // What another process is writing now, such as `enrol`, is younger.
    durable::remove_unfinished(config.state.path(), LEFTOVER_AGE).map_err(RunError::Tidy)?;
    let Engines { ways: engines, notices, icmp_problem } = open(config, &proxies)?;
    let clock = Clock::system();
    let board = Board::showing(notices);
    board.update(|status| {
        *status = Status {
            agent: key.agent().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_us: clock.wall().as_micros(),
            icmp_problem,
            ..Status::default()
        };
    });
    tracing::info!(agent = %key.agent(), version = env!("CARGO_PKG_VERSION"), "measuring begins");
    tell_proxy(&proxies, config.proxy.probe);
    let enrolling = enrol_by_itself(config, &proxies, &key, &clock, board.clone());
    let parts = pipeline::Parts {
        engines,
        proxies: proxies.clone(),
        builtin: catalogue::scheduled(),
        key: Arc::clone(&key),
        spool,
        clock: clock.clone(),
        board,
        patience: push::Patience::default(),
    };
    let ends = shutdown.child_token();
    let enrolling = async {
        let becoming = ends.run_until_cancelled(enrolling).await.flatten();
        if becoming.is_some() {
            ends.cancel();
        }
        becoming
    };
    let ((), becoming, ()) =
        tokio::join!(pipeline::run(config, parts, ends.clone()), enrolling, tell_the_end(shutdown, &ends));
    tracing::info!("measuring has ended");
    Ok(becoming.filter(|_agent| !shutdown.is_cancelled()))
}

/// Tells the service manager of the end, but not that the agent becomes another and goes on.
async fn tell_the_end(shutdown: &CancellationToken, ends: &CancellationToken) {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => service::tell(News::Stops),
        () = ends.cancelled() => {}
    }
}

/// Enrols the agent if a token was handed over, or will be. Several uplinks have a token each, and are enrolled by hand.
async fn enrol_by_itself(
    config: &Config,
    proxies: &Proxies,
    key: &Arc<Keyring>,
    clock: &Clock,
    board: Board,
) -> Option<AgentId> {
    if !config.uplinks.is_empty() {
        return None;
    }
    let applicant = Applicant {
        state: config.state.clone(),
        key: Arc::clone(key),
        trust: config.collector.trust,
        proxies: proxies.clone(),
        site: config.site.clone(),
        clock: clock.clone(),
    };
    let asked = config.collector.url.as_ref().map(url::Url::as_str);
    enrol_unattended(&applicant, config.dropped_token.as_deref(), asked, &board).await
}

/// What sends probes, and what it has to say.
struct Engines {
    ways: Vec<pipeline::Engine>,
    notices: Vec<(Option<String>, Notices)>,
    icmp_problem: Option<String>,
}

/// Opens what sends probes over each way.
fn open(config: &Config, proxies: &Proxies) -> Result<Engines, ProbeError> {
    let (mut ways, mut notices, mut icmp_problem) = (Vec::new(), Vec::new(), None);
    for Way { uplink, families, mut settings } in config.ways() {
        for departure in families.iter().map(|family| settings.departure(*family)) {
            if let Err(error) = departure.udp() {
                let uplink = uplink.as_deref().unwrap_or_default();
                tracing::warn!(uplink, family = %departure.family, %error, "probes cannot leave as they should");
            }
        }
        settings.expected.published = Published::load(&config.state);
        settings.proxies = proxies.clone();
        let (prober, strays) = Prober::open(settings)?;
        notices.push((uplink, prober.notices()));
        icmp_problem = icmp_problem.or_else(|| prober.icmp_problem().map(ToString::to_string));
        ways.push(pipeline::Engine { probe: Arc::new(prober), strays });
    }
    Ok(Engines { ways, notices, icmp_problem })
}

fn tell_proxy(proxies: &Proxies, probe: HttpsPaths) {
    match (proxies.named(), probe) {
        (Some(proxy), _) => tracing::info!(proxy, "what is not excepted goes through a proxy"),
        (None, HttpsPaths::Direct) => {}
        (None, HttpsPaths::Proxy | HttpsPaths::Both) => {
            tracing::warn!(
                "the environment names no proxy (HTTPS_PROXY): all HTTPS probes go straight to their targets"
            );
        }
    }
}
