//! The `decommission` command: tells the collector that this agent will never ask again, and removes what made the agent itself.
//!
//! The collector is told first: whoever dies in between comes back with the key that can tell it again.

mod removal;

pub use removal::on_removal;

use crate::{
    clock::Clock,
    config::Config,
    credential::{self, CredentialError, Enrolment},
    durable,
    exchange::{Answer, Exchange, ExchangeError, Question, Source},
    link::{Link, LinkError},
    offset::Offset,
    paths::StateDir,
    proxy::ProxyError,
    spool::{Spool, SpoolError},
};
use clap::Args;
use peerlight_proto::{
    http::{PROBLEM_MEDIA_TYPE, RETIREMENT_PATH},
    id::AgentId,
    problem::{Problem, ProblemType},
    retirement::{RetirementRequest, RetirementResponse},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How to decommission.
#[derive(Debug, Clone, Copy, Args)]
pub struct DecommissionArgs {
    /// Give up what still waits for the collector
    #[arg(long)]
    pub abandon: bool,
    /// Tell nobody: the collector is gone, or its operator retires the agent there
    #[arg(long)]
    pub offline: bool,
    /// Said by what removes the program: what waits is given up, twenty seconds have to do, and nothing is a failure, so that the
    /// removal goes on
    ///
    /// Where no collector knows the agent, or `retire_on_removal = false` in `[collector]`, nothing is done.
    #[arg(long, conflicts_with_all = ["abandon", "offline"])]
    pub removal: bool,
}

/// Why the agent is not decommissioned. Nothing was removed, but where the disk refused.
#[derive(Debug, thiserror::Error)]
pub enum DecommissionError {
    /// There is no agent.
    #[error("there is no agent in {}: it never ran, or was decommissioned", .0.display())]
    NoAgent(PathBuf),
    /// Batches wait.
    #[error(
        "{0} batches wait for the collector; start the agent until `status` says that none do, or give them up with --abandon"
    )]
    Waiting(u64),
    /// There is nothing to sign with.
    #[error(
        "agent {0} cannot tell its collector, since its key is gone; `peerlight-collector agent retire {0}` there, then --offline"
    )]
    KeyGone(AgentId),
    /// The spool cannot be opened: most likely the agent runs.
    #[error("{0}; on most systems: systemctl stop peerlight-agent")]
    Spool(#[from] SpoolError),
    /// The state directory refused.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The way to the collector.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No answer.
    #[error("{0}; once the collector's operator has retired agent {1} there, --offline goes on without it")]
    Exchange(ExchangeError, AgentId),
    /// The request cannot be written.
    #[error("cannot write the request: {0}")]
    Request(#[source] serde_json::Error),
    /// The collector, or somebody in its place, did not say that it knows.
    #[error("status {status} is not the collector's word that agent {agent} is retired ({reason})")]
    NotTold {
        /// The status.
        status: u16,
        /// The agent.
        agent: AgentId,
        /// What was answered.
        reason: String,
    },
    /// A file stays.
    #[error("the collector knows, but {path} cannot be removed: {source}; remove it by hand")]
    Remove {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Decommissions the agent of this state directory; answers with what to say.
pub async fn decommission(config: &Config, args: DecommissionArgs) -> Result<String, DecommissionError> {
    let state = &config.state;
    let agent =
        credential::identity(state)?.ok_or_else(|| DecommissionError::NoAgent(state.path().to_owned()))?;
    // An agent that runs holds its spool, so that none runs where there is no spool.
    let open = || Spool::open(&state.spool(), agent, config.spool);
    let spool = state.spool().exists().then(open).transpose()?;
    let waiting = spool.as_ref().map_or(0, |spool| spool.counts().batches);
    if waiting > 0 && !args.abandon {
        return Err(DecommissionError::Waiting(waiting));
    }
    let told = match Enrolment::load(state)? {
        Some(enrolment) if !args.offline => {
            tell(&exchange(config, &enrolment, agent)?, agent).await?;
            format!("{} knows that agent {agent} of {} is retired", enrolment.collector, enrolment.site.name)
        }
        Some(_) | None => format!("no collector was told of agent {agent}"),
    };
    drop(spool);
    forget(state)?;
    let given_up = if waiting > 0 { format!("; {waiting} batches were given up") } else { String::new() };
    Ok(format!(
        "{told}{given_up}. What made this machine that agent is removed from {}.",
        state.path().display()
    ))
}

/// The way to the collector. Who goes makes no key, and takes none in use.
fn exchange(config: &Config, enrolment: &Enrolment, agent: AgentId) -> Result<Exchange, DecommissionError> {
    let key = credential::look(&config.state)?.ok_or(DecommissionError::KeyGone(agent))?;
    let link = Link {
        state: config.state.clone(),
        uplinks: config.uplink_names(),
        trust: config.collector.trust,
        proxies: config.proxy.open()?,
        key: Arc::new(key),
        clock: Clock::system(),
        offset: Offset::default(),
    };
    Ok(link.open(enrolment, Source::System)?)
}

async fn tell(exchange: &Exchange, agent: AgentId) -> Result<(), DecommissionError> {
    let answer = ask(exchange, agent).await?;
    let Some(collector) = answer.skewed_by() else { return judge(&answer, agent) };
    exchange.learn_time(collector, answer.window);
    judge(&ask(exchange, agent).await?, agent)
}

async fn ask(exchange: &Exchange, agent: AgentId) -> Result<Answer, DecommissionError> {
    let request = RetirementRequest { agent, nonce: hex::encode(rand::random::<[u8; 16]>()) };
    let body = serde_json::to_vec(&request).map_err(DecommissionError::Request)?;
    let question = Question::post(RETIREMENT_PATH, "application/json", body.into());
    exchange.ask(&question).await.map_err(|error| DecommissionError::Exchange(error, agent))
}

/// Whether this is the collector's word. An agent that it refuses already has nothing more to tell.
fn judge(answer: &Answer, agent: AgentId) -> Result<(), DecommissionError> {
    let not_told = |reason: String| DecommissionError::NotTold { status: answer.status, agent, reason };
    answer.signed.as_ref().map_err(|error| not_told(error.to_string()))?;
    if answer.media_type() == PROBLEM_MEDIA_TYPE {
        let problem: Problem =
            serde_json::from_slice(&answer.body).map_err(|error| not_told(error.to_string()))?;
        return match ProblemType::from_uri(&problem.kind) {
            Some(ProblemType::Forbidden) => Ok(()),
            Some(_) | None => Err(not_told(problem.to_string())),
        };
    }
    let response: RetirementResponse =
        serde_json::from_slice(&answer.body).map_err(|error| not_told(error.to_string()))?;
    if response.agent == agent { Ok(()) } else { Err(not_told("it retired another agent".to_owned())) }
}

/// Removes what made the agent itself, the secrets first.
fn forget(state: &StateDir) -> Result<(), DecommissionError> {
    let files = [
        state.agent_key(),
        state.next_key(),
        state.previous_key(),
        state.token(),
        state.enrolment(),
        state.assignment(),
        state.status(),
        state.published(),
    ];
    for path in files {
        removed(&path, fs::remove_file(&path))?;
    }
    for path in [state.spool(), state.captures()] {
        removed(&path, fs::remove_dir_all(&path))?;
    }
    // Last: as long as it stands, doing this again finishes it.
    removed(&state.agent_id(), fs::remove_file(state.agent_id()))?;
    removed(state.path(), durable::sync_directory(state.path()))
}

fn removed(path: &Path, outcome: io::Result<()>) -> Result<(), DecommissionError> {
    match outcome {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(DecommissionError::Remove { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
