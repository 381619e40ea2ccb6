//! The lab's collector: the real one, listening for agents in the network's core and for people on this machine.

use crate::{
    echo,
    eventually::{Look, eventually},
    network::Network,
    site::LabSite,
};
use anyhow::Context as _;
use peerlight_collector::{
    Listeners,
    api::list::List,
    client::{Client, Endpoint},
    clock::Clock,
    config::Config,
    paths,
    registry::{
        AgentEntry, AlertRules, IssuedToken, Location, NewLocation, NewProvider, NewRegistration, NewRules,
        NewToken, Provider, ProviderKind, Registration,
    },
    run_over,
    store::SqliteStore,
};
use peerlight_proto::time::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Where the dashboard is, if that port is free and none is asked for.
const USUAL_PORT: u16 = 8080;
/// How long the collector may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The running collector.
#[derive(Debug)]
pub struct Collector {
    /// Where agents reach it.
    pub agents_url: String,
    /// Where people reach it.
    pub dashboard: Url,
    /// The operator token that signs them in.
    pub token: String,
    client: Client,
    config: Config,
    running: Option<Running>,
}

/// What runs.
#[derive(Debug)]
struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Collector {
    /// Starts it with everything that it keeps in `directory`.
    pub async fn start(
        mut config: Config,
        directory: &Path,
        network: &Network,
        port: Option<u16>,
    ) -> anyhow::Result<Self> {
        let agents = echo::listen(network, 0)?;
        let operators = operators_listener(port)?;
        config.agents.listen = agents.local_addr()?;
        config.operators.listen = operators.local_addr()?;
        config.store.directory = directory.to_owned();
        let agents_url = format!("https://{}", config.agents.listen);
        let dashboard = Url::parse(&format!("http://{}/", config.operators.listen))?;
        let shutdown = CancellationToken::new();
        let listeners = Listeners { agents, operators };
        let running = peerlight_collector::run(config.clone(), listeners, shutdown.clone());
        let task = tokio::spawn(async move { running.await.context("the collector ended") });
        let token = operator_token(directory, &task).await?;
        let endpoint = Endpoint { url: dashboard.clone(), token: token.clone(), ca_pem: None };
        let client = Client::new(endpoint)?;
        let running = Some(Running { shutdown, task });
        Ok(Self { agents_url, dashboard, token, client, config, running })
    }

    /// Ends it and starts it again over what it keeps, where people reached it before, with a clock that stands at `at`. Nothing
    /// is brought into another form, so that what is asked twice is answered alike.
    pub async fn stand_still(&mut self, at: Timestamp, network: &Network) -> anyhow::Result<()> {
        self.end().await?;
        let agents = echo::listen(network, 0)?;
        self.config.agents.listen = agents.local_addr()?;
        let operators = operators_listener(Some(self.config.operators.listen.port()))?;
        let store = Arc::new(SqliteStore::open(&paths::store(&self.config.store.directory))?);
        let shutdown = CancellationToken::new();
        let listeners = Listeners { agents, operators };
        let running = run_over(self.config.clone(), listeners, store, Clock::manual(at), shutdown.clone());
        let task = tokio::spawn(async move { running.await.context("the collector ended") });
        self.running = Some(Running { shutdown, task });
        Ok(())
    }

    /// Puts alert rules in force.
    pub async fn set_alert_rules(&self, rules: &NewRules) -> anyhow::Result<()> {
        self.client.put::<AlertRules>("/api/v1/alerts/rules", rules).await?;
        Ok(())
    }

    /// Registers the sites and answers with an enrolment token for each.
    pub async fn register(&self, sites: &[LabSite]) -> anyhow::Result<Vec<String>> {
        for provider in sites.iter().map(|site| &site.site.provider).collect::<BTreeSet<_>>() {
            let new = NewProvider {
                name: provider.clone(),
                kind: ProviderKind::Isp,
                countries: Vec::new(),
                aliases: Vec::new(),
                asns: Vec::new(),
                source: Some("the lab".to_owned()),
            };
            self.client.post::<Provider>("/api/v1/providers", &new).await?;
        }
        let locations = sites.iter().map(|site| (&site.site.location, &site.site));
        for (code, site) in locations.collect::<BTreeMap<_, _>>() {
            let new = NewLocation {
                code: code.clone(),
                name: None,
                time_zone: Some(site.time_zone.clone()),
                latitude: site.coordinates.map(|[north, _]| north),
                longitude: site.coordinates.map(|[_, east]| east),
            };
            self.client.post::<Location>("/api/v1/locations", &new).await?;
        }
        let mut tokens = Vec::new();
        for site in sites {
            tokens.push(self.register_site(site).await?);
        }
        Ok(tokens)
    }

    async fn register_site(&self, site: &LabSite) -> anyhow::Result<String> {
        let new = NewRegistration {
            site: site.site.name.clone(),
            provider: site.site.provider.clone(),
            location: site.site.location.clone(),
            prefixes: site.prefixes.iter().map(ToString::to_string).collect(),
            // The collector listens on one family; the public address of the other cannot be observed.
            count_declared: true,
            allow_non_public: true,
            ..NewRegistration::default()
        };
        let registration: Registration = self.client.post("/api/v1/registrations", &new).await?;
        let new = NewToken { registration: registration.id, ..NewToken::default() };
        let issued: IssuedToken = self.client.post("/api/v1/tokens", &new).await?;
        Ok(issued.token)
    }

    /// How many agents the collector has heard of since they enrolled.
    pub async fn agents_seen(&self) -> anyhow::Result<usize> {
        let agents: List<AgentEntry> = self.client.get("/api/v1/agents", &[]).await?;
        Ok(agents.items.iter().filter(|agent| agent.last_seen.is_some()).count())
    }

    /// The latency report of the span between two instants in Unix seconds, as the API answers it.
    pub async fn report(&self, from: i64, to: i64) -> anyhow::Result<serde_json::Value> {
        let query = [
            ("from", from.to_string()),
            ("to", to.to_string()),
            ("by", "provider,location,target".to_owned()),
        ];
        Ok(self.client.get("/api/v1/reports/latency", &query).await?)
    }

    /// Ends it.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.end().await
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        let Some(Running { shutdown, task }) = self.running.take() else { return Ok(()) };
        shutdown.cancel();
        tokio::time::timeout(PATIENCE, task).await.context("the collector did not end in time")??
    }
}

fn operators_listener(port: Option<u16>) -> anyhow::Result<TcpListener> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = match port {
        Some(port) => {
            bind(port).with_context(|| format!("cannot listen on 127.0.0.1:{port} for the dashboard"))?
        }
        None => bind(USUAL_PORT).or_else(|_taken| bind(0)).context("cannot listen on 127.0.0.1")?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The token that the collector writes at its first run, once it is there.
async fn operator_token(directory: &Path, task: &JoinHandle<anyhow::Result<()>>) -> anyhow::Result<String> {
    let path = paths::operator_token(directory);
    let look = async || {
        if task.is_finished() {
            return Look::Holds(None);
        }
        match tokio::fs::read_to_string(&path).await {
            Ok(text) if !text.trim().is_empty() => Look::Holds(Some(text.trim().to_owned())),
            Ok(_) => Look::NotYet("an empty file".to_owned()),
            Err(error) => Look::NotYet(error.to_string()),
        }
    };
    let token = eventually("the collector's first start", PATIENCE, look).await?;
    token.context("the collector ended while it started; RUST_LOG=info tells more")
}
