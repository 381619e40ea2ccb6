//! A collector's machine that outlives its collectors: its sockets and its state, and what an operator does there.

use peerlight_agent::push::Patience;
use peerlight_collector::{
    client::{Client, Endpoint},
    paths,
    registry::{
        IssuedToken, Location, NewLocation, NewProvider, NewRegistration, NewToken, Provider, ProviderKind,
        Registration,
    },
};
use peerlight_lab::eventually::{Look, eventually};
use std::{net::TcpListener, os::fd::OwnedFd, process::Stdio, time::Duration};
use tokio::process::{Child, Command};

const WAIT: Duration = Duration::from_mins(1);

/// Agents that ask again at once, as a test wants it.
pub(crate) const PATIENCE: Patience = Patience {
    first: Duration::from_millis(5),
    cap: Duration::from_millis(40),
    stopped: Duration::from_millis(40),
    enrolment: Duration::from_millis(40),
};

/// The sockets and the state.
pub(crate) struct CollectorMachine {
    pub(crate) agents: TcpListener,
    operators: TcpListener,
    state: tempfile::TempDir,
}

impl CollectorMachine {
    pub(crate) fn new() -> Self {
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        Self { agents: bind(), operators: bind(), state: tempfile::tempdir().unwrap() }
    }

    /// Starts a collector's process, which ends at the crash point if one is named.
    pub(crate) fn start(&self, crash_at: Option<&str>) -> Child {
        let inherit = |listener: &TcpListener| Stdio::from(OwnedFd::from(listener.try_clone().unwrap()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_collector-under-test"));
        command.arg(self.state.path()).stdin(inherit(&self.agents)).stdout(inherit(&self.operators));
        command.stderr(Stdio::null()).kill_on_drop(true).env_remove("PEERLIGHT_CRASH_AT");
        if let Some(point) = crash_at {
            command.env("PEERLIGHT_CRASH_AT", point);
        }
        command.spawn().unwrap()
    }

    /// The operator, as soon as the first collector has made their token.
    pub(crate) async fn operator(&self) -> Client {
        let file = paths::operator_token(self.state.path());
        let token = eventually("the operator token", WAIT, async || match std::fs::read_to_string(&file) {
            Ok(token) if !token.is_empty() => Look::Holds(token),
            _ => Look::NotYet(String::new()),
        });
        let token = token.await.unwrap().trim().to_owned();
        let url = format!("http://{}/", self.operators.local_addr().unwrap()).parse().unwrap();
        Client::new(Endpoint { url, token, ca_pem: None }).unwrap()
    }
}

/// Makes the provider "Example Telecom" and the location "GB-LND" known.
pub(crate) async fn introduce(operator: &Client) {
    let provider = NewProvider {
        name: "Example Telecom".into(),
        kind: ProviderKind::Isp,
        countries: Vec::new(),
        aliases: Vec::new(),
        asns: Vec::new(),
        source: None,
    };
    operator.post::<Provider>("/api/v1/providers", &provider).await.unwrap();
    let location = NewLocation {
        code: "GB-LND".into(),
        name: None,
        time_zone: Some("Europe/London".into()),
        latitude: None,
        longitude: None,
    };
    operator.post::<Location>("/api/v1/locations", &location).await.unwrap();
}

/// Registers a site there, by this prefix, since long ago. Returns a token for it.
pub(crate) async fn register(operator: &Client, site: &str, prefix: &str) -> String {
    let registration = NewRegistration {
        site: site.into(),
        provider: "Example Telecom".into(),
        location: "GB-LND".into(),
        prefixes: vec![prefix.into()],
        allow_non_public: true,
        // What is measured before the first answer to `whoami` counts, too.
        count_declared: true,
        valid_from: Some("2026-01-01".into()),
        ..NewRegistration::default()
    };
    let registration: Registration = operator.post("/api/v1/registrations", &registration).await.unwrap();
    let token = NewToken { registration: registration.id, ..NewToken::default() };
    operator.post::<IssuedToken>("/api/v1/tokens", &token).await.unwrap().token
}
