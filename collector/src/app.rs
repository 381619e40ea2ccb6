//! What handlers may reach.

#[cfg(feature = "oidc")]
use crate::auth::oidc::{OpenId, OpenIdError};
use crate::{
    api::error::{ApiError, unavailable},
    auth::Sessions,
    clock::Clock,
    config::Config,
    dashboard::KeptPages,
    fleet::Census,
    identity::Identity,
    ingest::Decoders,
    lasting::Lasting,
    metrics::Metrics,
    quota::Quotas,
    rate::Rates,
    registry::{self, Registry, RegistryError, Sighting},
    signature::{ResponseSigner, SignatureError},
    store::Store,
    turns::Turns,
    vitals::DiskVitals,
};
use peerlight_proto::{id::AgentId, time::Timestamp};
use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

/// The running collector as its handlers see it: a handle, clones of which share everything.
#[derive(Debug, Clone)]
pub struct App(Arc<Parts>);

/// What an [`App`] consists of.
pub struct Parts {
    /// The configuration.
    pub config: Config,
    /// Whose measurements are whose.
    pub registry: Registry,
    /// The measurements.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Clock,
    /// What reads batches.
    pub decoders: Decoders,
    /// What is counted.
    pub metrics: Metrics,
    /// What enrolment tokens name.
    pub identity: registry::Identity,
    /// Signs answers to agents.
    pub signer: ResponseSigner,
    /// How often one caller may ask.
    pub rates: Rates,
    /// Who may push when many want to.
    pub turns: Turns,
    /// How much that is new one agent may name.
    pub quotas: Quotas,
    /// Who is signed in.
    pub sessions: Sessions,
    /// The provider through which people may sign in.
    #[cfg(feature = "oidc")]
    pub openid: Option<OpenId>,
    /// Pages of reports that take long to make.
    pub pages: KeptPages,
    /// Told when there is something to tell receivers of alerts.
    pub notices: tokio::sync::Notify,
    /// How long it has not been noted which agents were seen.
    pub(crate) unnoted: Mutex<Lasting>,
    /// What was counted of all agents, and when.
    pub(crate) census: tokio::sync::Mutex<Option<(Timestamp, Census)>>,
    /// What was foreseen of the disk, and when.
    pub(crate) forecast: tokio::sync::Mutex<Option<(Timestamp, DiskVitals)>>,
}

/// Why the parts cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Answers cannot be signed.
    #[error("answers to agents cannot be signed")]
    Signer(#[from] SignatureError),
    /// The OpenID provider's configuration cannot be used.
    #[cfg(feature = "oidc")]
    #[error(transparent)]
    OpenId(#[from] OpenIdError),
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Puts the parts together. `agent_url` is where agents reach the collector.
    pub fn new(
        config: Config,
        registry: Registry,
        store: Arc<dyn Store>,
        clock: Clock,
        (identity, agent_url): (&Identity, String),
    ) -> Result<Self, AppError> {
        Ok(Self(Arc::new(Parts {
            #[cfg(feature = "oidc")]
            openid: OpenId::new(&config)?,
            rates: Rates::new(&config.limits),
            turns: Turns::new(&config.limits),
            quotas: Quotas::new(&config.limits),
            identity: registry::Identity {
                agent_url,
                ca_sha256: identity.ca_sha256(),
                response_key: identity.response_key(),
            },
            signer: ResponseSigner::new(identity.response_seed())?,
            decoders: Decoders::default(),
            metrics: Metrics::of(store.watch()),
            forecast: tokio::sync::Mutex::default(),
            census: tokio::sync::Mutex::default(),
            sessions: Sessions::default(),
            pages: KeptPages::new(config.operators.slow_page),
            notices: tokio::sync::Notify::new(),
            unnoted: Mutex::default(),
            config,
            registry,
            store,
            clock,
        })))
    }

    /// Asks the registry for an operator, on a thread that may wait for the disk.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Registry, Timestamp) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.blocking(ask).await?.map_err(ApiError::from)
    }

    /// Asks the registry for an agent: it comes back when the registry fails, and takes no word of it as its own fault.
    pub async fn ask_for_agent<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Registry, Timestamp) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.blocking(ask).await?.map_err(|error| unavailable("the registry failed", &error))
    }

    /// Keeps that an agent was seen. It fails nothing if that cannot be noted: the agent's next request tells again.
    pub(crate) fn seen(&self, agent: AgentId, sighting: Sighting) {
        self.registry.sighting(agent, sighting);
    }

    /// Notes which agents were seen since this was last done.
    pub(crate) async fn note_sightings(&self) {
        let noted = self.blocking(|registry, _now| registry.note_sightings()).await;
        let mut unnoted = self.unnoted.lock().unwrap_or_else(PoisonError::into_inner);
        match noted {
            Ok(Ok(())) => {
                if let Some(over) = unnoted.works(Instant::now()) {
                    tracing::warn!(
                        lasted_s = over.lasted.as_secs(),
                        "it is noted again which agents are seen"
                    );
                }
            }
            Ok(Err(error)) => {
                if unnoted.fails(1, Instant::now()).is_some() {
                    tracing::error!(%error, "it is not noted which agents are seen; their next requests tell again");
                }
            }
            Err(error) => tracing::error!(?error, "it was not noted which agents were seen"),
        }
    }

    /// Does something with the registry on a thread that may wait for the disk.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Registry, Timestamp) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (registry, now) = (self.registry.clone(), self.clock.now());
        tokio::task::spawn_blocking(move || act(&registry, now)).await.map_err(|error| {
            tracing::error!(%error, "a question to the registry panicked");
            ApiError::internal()
        })
    }
}
