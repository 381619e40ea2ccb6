//! A site's agent: the real one, on a thread of its own that lives where the site does.

use crate::site::{AgentSettings, LabSite};
use anyhow::Context as _;
use peerlight_agent::{
    clock::Clock,
    config::Config,
    credential,
    enrol::{Applicant, enrol},
};
use peerlight_proto::enrolment::EnrolmentToken;
use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};
use tokio_util::sync::CancellationToken;

/// The running agent.
#[derive(Debug)]
pub struct SiteAgent {
    site: String,
    shutdown: CancellationToken,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl SiteAgent {
    /// Enrols it by `token` and starts it, with its state in `directory`.
    pub fn start(
        site: &LabSite,
        settings: &AgentSettings,
        token: &str,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let name = site.site.name.clone();
        let text = site.agent_configuration(settings, directory)?;
        let config =
            Config::parse(&text).with_context(|| format!("the configuration of the agent at {name}"))?;
        let token: EnrolmentToken = token.parse()?;
        let shutdown = CancellationToken::new();
        let (place, stop) = (site.place.clone(), shutdown.clone());
        let thread = thread::Builder::new().name(format!("agent-{name}")).spawn(move || {
            // All that the agent opens from here on, its runtime's sockets too, lives where the site does.
            place.enter()?;
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(live(config, token, stop))
        })?;
        Ok(Self { site: name, shutdown, thread })
    }

    /// Whether it ended although nobody asked it to.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Asks it to end; [`SiteAgent::join`] waits for it.
    pub fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits until it has ended, and says how. Blocks.
    pub fn join(self) -> anyhow::Result<()> {
        match self.thread.join() {
            Ok(ended) => ended.with_context(|| format!("the agent at {} ended", self.site)),
            Err(_panic) => anyhow::bail!("the agent at {} panicked", self.site),
        }
    }
}

async fn live(config: Config, token: EnrolmentToken, shutdown: CancellationToken) -> anyhow::Result<()> {
    let applicant = Applicant {
        state: config.state.clone(),
        key: Arc::new(credential::load_or_create(&config.state)?),
        trust: config.collector.trust,
        site: config.site.clone(),
        clock: Clock::system(),
    };
    enrol(&applicant, &token, None).await?;
    peerlight_agent::run(config, shutdown).await?;
    Ok(())
}
