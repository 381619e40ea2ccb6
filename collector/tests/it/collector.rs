//! A collector that runs for one test, and what an operator does with it.

use crate::command::{Printed, command};
use peerlight_collector::{
    Listeners,
    clock::Clock,
    config::Config,
    paths, run_over,
    store::{SqliteStore, Store},
};
use peerlight_proto::{enrolment::EnrolmentToken, time::Timestamp};
use reqwest::{Certificate, Client, Method, Response};
use serde_json::{Value, json};
use std::{net::SocketAddr, ops::Deref, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The instant at which tests begin, unless they choose another.
pub(crate) const NOON: Timestamp = Timestamp::from_secs(1_790_000_000);

/// Where a collector is found, and what it shows those who come: whether it runs in this process or in its own.
pub(crate) struct Place {
    pub(crate) agents: SocketAddr,
    pub(crate) operators: SocketAddr,
    /// Where its files are, as this process sees them.
    pub(crate) directory: PathBuf,
    /// What its clock showed when it began.
    pub(crate) now: Timestamp,
}

/// A collector within this process.
pub(crate) struct Collector {
    place: Place,
    pub(crate) clock: Clock,
    pub(crate) store: Arc<dyn Store>,
    _directory: TempDir,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Deref for Collector {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

impl Collector {
    /// Starts one with defaults.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_config| ()).await
    }

    /// Starts one whose configuration is changed by `change`.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_at(NOON, change).await
    }

    /// The same, whose clock stands at `now`.
    pub(crate) async fn start_at(now: Timestamp, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_known(now, |config, _operators| change(config)).await
    }

    /// The same, where the configuration has to say where the operators' listener is.
    pub(crate) async fn start_known(now: Timestamp, change: impl FnOnce(&mut Config, SocketAddr)) -> Self {
        // The second test of a process finds it installed.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.agents.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.operators.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        config.store.directory = directory.path().to_owned();
        // What tests are shown is made for them, however slow the machine is.
        config.operators.slow_page = Duration::from_hours(1);
        let listeners = Listeners::bind(&config).unwrap();
        let (agents, operators) =
            (listeners.agents.local_addr().unwrap(), listeners.operators.local_addr().unwrap());
        change(&mut config, operators);
        let clock = Clock::manual(now);
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&paths::store(directory.path())).unwrap());
        let shutdown = CancellationToken::new();
        let running = run_over(config, listeners, Arc::clone(&store), clock.clone(), shutdown.clone());
        let task = tokio::spawn(async move { running.await.unwrap() });
        let place = Place { agents, operators, directory: directory.path().to_owned(), now };
        let collector = Self { place, clock, store, _directory: directory, shutdown, task };
        // The socket accepts from the start, so this waits until somebody answers.
        assert_eq!(collector.anonymous(Method::GET, "/healthz").send().await.unwrap().status(), 200);
        collector
    }

    /// Stops it and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

impl Place {
    /// A request of nobody to the operators' listener.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        plain_client().request(method, format!("http://{}{path}", self.operators))
    }

    /// A request of this machine's operator.
    pub(crate) fn operator(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.anonymous(method, path).bearer_auth(self.operator_token())
    }

    pub(crate) fn operator_token(&self) -> String {
        std::fs::read_to_string(paths::operator_token(&self.directory)).unwrap().trim().to_owned()
    }

    /// What `peerlight-collector WORDS` prints to an operator of this machine, in a terminal of this width or into a file.
    pub(crate) async fn command<'a>(
        &self,
        words: impl IntoIterator<Item = &'a str>,
        width: Option<u16>,
    ) -> anyhow::Result<Printed> {
        command((self.operators, paths::operator_token(&self.directory)), words, width).await
    }

    /// Where everything that agents measured is kept.
    pub(crate) fn store_file(&self) -> PathBuf {
        paths::store(&self.directory)
    }

    /// The CA that agents pin.
    pub(crate) fn ca(&self) -> Certificate {
        let pem = std::fs::read_to_string(paths::ca(&self.directory)).unwrap();
        let certificate = &pem[pem.find("-----BEGIN CERTIFICATE-----").unwrap()..];
        Certificate::from_pem(certificate.as_bytes()).unwrap()
    }

    /// Registers a site and makes a token for it.
    pub(crate) async fn token(&self, site: &str) -> EnrolmentToken {
        let add = async |path, body: Value| {
            let response = self.operator(Method::POST, path).json(&body).send().await.unwrap();
            let status = response.status();
            let body: Value = response.json().await.unwrap();
            assert_eq!(status, 201, "{body}");
            body
        };
        add("/api/v1/providers", json!({"name": "Example Telecom", "kind": "ISP", "countries": ["GB"]}))
            .await;
        add("/api/v1/locations", json!({"code": "GB-LND", "time_zone": "Europe/London"})).await;
        let registration = add(
            "/api/v1/registrations",
            json!({"site": site, "provider": "Example Telecom", "location": "GB-LND", "prefixes": ["192.0.2.0/24"],
                "allow_non_public": true, "valid_from": "2026-01-01T00:00:00Z"}),
        )
        .await;
        let issued = add("/api/v1/tokens", json!({"registration": registration["id"]})).await;
        issued["token"].as_str().unwrap().parse().unwrap()
    }

    /// Makes a token for a site that is registered already.
    pub(crate) async fn further_token(&self, site: &str) -> EnrolmentToken {
        let path = format!("/api/v1/registrations?site={site}");
        let found: Value = self.operator(Method::GET, &path).send().await.unwrap().json().await.unwrap();
        let body = json!({"registration": found["items"][0]["id"]});
        let issued = self.operator(Method::POST, "/api/v1/tokens").json(&body).send().await.unwrap();
        let issued: Value = issued.json().await.unwrap();
        issued["token"].as_str().unwrap().parse().unwrap()
    }
}

/// What a problem says: its status, and its type without the prefix that all share.
pub(crate) async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{status}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status, "{body}");
    let kind = body["type"].as_str().unwrap().strip_prefix("urn:peerlight:problem:").unwrap();
    (status, kind.to_owned())
}

/// A client that follows nobody anywhere.
pub(crate) fn plain_client() -> Client {
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}
