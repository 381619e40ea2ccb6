//! A collector that a test stops and starts again on the same sockets and files, and an agent that it enrols.

use peerlight_agent::{
    clock::Clock as AgentClock,
    credential::{keyring::Keyring, load_or_create},
    enrol::{Applicant, enrol},
    exchange::{Question, Source},
    link::Link,
    offset::Offset,
    paths::StateDir,
    proxy::Proxies,
    rotation::{Patience, Rotation},
    status::Board,
    trust::CollectorTrust,
};
use peerlight_collector::{
    Listeners,
    api::list::List,
    client::{Client, Endpoint},
    clock::Clock,
    config::{Config, Keys},
    paths,
    registry::{AgentEntry, AuditEntry},
    run_over,
    store::SqliteStore,
};
use peerlight_lab::eventually::{Look, eventually};
use peerlight_proto::{enrolment::EnrolmentToken, http::WHOAMI_PATH, time::Timestamp};
use serde_json::{Value, json};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const WAIT: Duration = Duration::from_mins(1);
pub(crate) const DAY: Duration = Duration::from_hours(24);
pub(crate) const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);

/// How the agents of these tests look after their key: once a day, or when it is due.
pub(crate) const PATIENCE: Patience = Patience {
    period: DAY,
    enrolment: Duration::from_secs(1),
    first: Duration::from_secs(1),
    cap: Duration::from_secs(1),
};

/// The collector's sockets and files.
pub(crate) struct Scene {
    agents: TcpListener,
    operators: TcpListener,
    directory: tempfile::TempDir,
    pub(crate) clock: Clock,
    /// Where tokens say that the collector is.
    url: Option<String>,
    running: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Scene {
    pub(crate) async fn start(clock: Clock) -> Self {
        Self::start_behind(clock, None, Keys::default()).await
    }

    /// Starts it where agents reach it at `url`.
    pub(crate) async fn start_behind(clock: Clock, url: Option<(TcpListener, String)>, keys: Keys) -> Self {
        // The second test of a process finds it installed.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (agents, url) = url.map_or_else(|| (bind(), None), |(agents, url)| (agents, Some(url)));
        let directory = tempfile::tempdir().unwrap();
        let mut scene = Self { agents, operators: bind(), directory, clock, url, running: None };
        scene.run(keys);
        let operator = scene.operator().await;
        let add = async |path, body: Value| operator.post::<Value>(path, &body).await.unwrap();
        add("/api/v1/providers", json!({"name": "Example Telecom", "kind": "ISP"})).await;
        add("/api/v1/locations", json!({"code": "GB-LND", "time_zone": "Europe/London"})).await;
        add(
            "/api/v1/registrations",
            json!({"site": "london-1", "provider": "Example Telecom", "location": "GB-LND", "prefixes": ["127.0.0.0/8"],
                "allow_non_public": true, "count_declared": true, "valid_from": "2026-01-01"}),
        )
        .await;
        scene
    }

    fn run(&mut self, keys: Keys) {
        let listeners = Listeners {
            agents: self.agents.try_clone().unwrap(),
            operators: self.operators.try_clone().unwrap(),
        };
        let mut config = Config::default();
        config.agents.url = self.url.as_ref().map(|url| url.parse().unwrap());
        self.directory.path().clone_into(&mut config.store.directory);
        config.keys = keys;
        (config.limits.requests_per_minute, config.limits.burst) = (1_000_000, 1_000_000);
        config.limits.attempts_per_minute = 1_000_000;
        let store = Arc::new(SqliteStore::open(&paths::store(self.directory.path())).unwrap());
        let shutdown = CancellationToken::new();
        let running = run_over(config, listeners, store, self.clock.clone(), shutdown.clone());
        self.running = Some((tokio::spawn(async move { running.await.unwrap() }), shutdown));
    }

    /// Stops the collector, does something to its directory, and starts it again.
    pub(crate) async fn restart(&mut self, keys: Keys, meanwhile: impl FnOnce(&Path)) {
        let (task, shutdown) = self.running.take().unwrap();
        shutdown.cancel();
        task.await.unwrap();
        meanwhile(self.directory.path());
        self.run(keys);
    }

    pub(crate) fn agents_at(&self) -> SocketAddr {
        self.agents.local_addr().unwrap()
    }

    pub(crate) async fn operator(&self) -> Client {
        let file = paths::operator_token(self.directory.path());
        let token = eventually("the operator token", WAIT, async || match fs::read_to_string(&file) {
            Ok(token) if !token.is_empty() => Look::Holds(token),
            _ => Look::NotYet(String::new()),
        });
        let token = token.await.unwrap().trim().to_owned();
        let url = format!("http://{}/", self.operators.local_addr().unwrap()).parse().unwrap();
        Client::new(Endpoint { url, token, ca_pem: None }).unwrap()
    }

    /// A token of this path and body.
    pub(crate) async fn token(&self, path: &str, body: Value) -> EnrolmentToken {
        let issued: Value = self.operator().await.post(path, &body).await.unwrap();
        issued["token"].as_str().unwrap().parse().unwrap()
    }

    pub(crate) async fn enrolment_token(&self) -> EnrolmentToken {
        self.token("/api/v1/tokens", json!({"registration": 1})).await
    }

    /// What the collector shows of the agent.
    pub(crate) async fn shown(&self, agent: &Agent) -> AgentEntry {
        let path = format!("/api/v1/agents/{}", agent.keys().agent());
        self.operator().await.get(&path, &[]).await.unwrap()
    }

    /// How often the audit says this.
    pub(crate) async fn audited(&self, what: &str) -> usize {
        let limit = ("limit", "100000".to_owned());
        let audit: List<AuditEntry> = self.operator().await.get("/api/v1/audit", &[limit]).await.unwrap();
        audit.items.iter().filter(|entry| entry.what == what).count()
    }
}

/// An agent's machine: its files, and its clock.
pub(crate) struct Agent {
    home: tempfile::TempDir,
    pub(crate) clock: AgentClock,
}

impl Agent {
    /// A machine whose agent is enrolled.
    pub(crate) async fn enrolled(scene: &Scene, clock: AgentClock) -> Self {
        let agent = Self { home: tempfile::tempdir().unwrap(), clock };
        enrol(&agent.applicant(), &scene.enrolment_token().await, None).await.unwrap();
        agent
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::new(self.home.path().join("state"))
    }

    /// The keys, as an agent finds them that starts now.
    pub(crate) fn keys(&self) -> Arc<Keyring> {
        Arc::new(load_or_create(&self.state()).unwrap())
    }

    pub(crate) fn applicant(&self) -> Applicant {
        Applicant {
            state: self.state(),
            key: self.keys(),
            trust: CollectorTrust::Pinned,
            proxies: Proxies::default(),
            site: None,
            clock: self.clock.clone(),
        }
    }

    /// The way to the collector of an agent that starts now.
    pub(crate) fn link(&self) -> Link {
        let Applicant { state, key, trust, proxies, clock, .. } = self.applicant();
        Link { state, uplinks: Vec::new(), trust, proxies, key, clock, offset: Offset::default() }
    }

    /// What looks after the key, and where it says how that goes.
    pub(crate) fn rotation(&self) -> (Rotation, Board) {
        let board = Board::default();
        (Rotation::new(self.link(), board.clone(), PATIENCE), board)
    }

    /// How the collector answers an agent that starts now.
    pub(crate) async fn asks(&self) -> u16 {
        asks(&self.link()).await
    }
}

/// How the collector answers through this link.
pub(crate) async fn asks(link: &Link) -> u16 {
    let exchange = link.open(&link.enrolment().unwrap().unwrap(), Source::System).unwrap();
    exchange.ask(&Question::get(WHOAMI_PATH)).await.unwrap().status
}
