//! The registry on a real file: what it keeps, what it refuses, and in which words.

use super::*;
use crate::organisation::OrganisationId;
use peerlight_proto::{
    enrolment::{EnrolmentRequest, EnrolmentToken, SiteAssertion},
    id::AgentId,
    time::Timestamp,
};
use std::net::{IpAddr, Ipv4Addr};

const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const ORGANISATION: OrganisationId = OrganisationId::DEFAULT;
const EVERY_TOKEN: TokenQuery = TokenQuery { all: true, before: None, limit: None };

/// A registry with two providers and one location.
struct Fixture {
    registry: Registry,
    directory: tempfile::TempDir,
}

/// The file of a registry as it was at a version, with one agent, and a connection to put more in.
fn older(version: usize) -> (tempfile::TempDir, std::path::PathBuf, rusqlite::Connection) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.sqlite");
    let older = rusqlite::Connection::open(&path).unwrap();
    for step in &schema::STEPS[..version] {
        older.execute_batch(step).unwrap();
    }
    older.pragma_update(None, "user_version", u32::try_from(version).unwrap()).unwrap();
    older
        .execute_batch(
            "INSERT INTO provider VALUES (1, 1, 'Example', 'example', 'ISP', '[]', '[]', '[]', NULL, 0, NULL);
             INSERT INTO location VALUES (1, 1, 'GB-LND', 'London', 'Europe/London', NULL, NULL, 0, NULL);
             INSERT INTO registration VALUES (1, 1, 'london-1', 1, 1, '[]', 0, 1, 0, 0, NULL, 0);
             INSERT INTO agent (id, organisation, registration, public_key, host, version, enrolled, enrolled_from)
             VALUES (x'01010101010101010101010101010101', 1, 1, zeroblob(32), '', '', 7000000, '192.0.2.1');",
        )
        .unwrap();
    (directory, path, older)
}

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn provider(name: &str) -> NewProvider {
    NewProvider {
        name: name.to_owned(),
        kind: ProviderKind::Isp,
        countries: vec![],
        aliases: vec![],
        asns: vec![],
        source: None,
    }
}

fn location(code: &str) -> NewLocation {
    NewLocation { code: code.to_owned(), name: None, time_zone: None, latitude: None, longitude: None }
}

fn registration(site: &str, provider: &str, prefixes: &[&str]) -> NewRegistration {
    NewRegistration {
        site: site.to_owned(),
        provider: provider.to_owned(),
        location: "GB-LND".to_owned(),
        prefixes: prefixes.iter().map(|&prefix| prefix.to_owned()).collect(),
        allow_non_public: true,
        ..NewRegistration::default()
    }
}

fn identity() -> Identity {
    Identity {
        agent_url: "https://collector.example.com:8443".to_owned(),
        ca_sha256: "00".repeat(32),
        response_key: "11".repeat(32),
    }
}

fn errors<T: std::fmt::Debug>(result: Result<T, RegistryError>) -> Vec<String> {
    let error = result.unwrap_err();
    if let RegistryError::Invalid { errors, .. } = error { errors } else { panic!("{error}") }
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(&directory.path().join("registry.sqlite")).unwrap();
        registry.add_provider(&provider("Example Telecom"), &Operator::local(), NOW).unwrap();
        registry.add_provider(&provider("Sample Networks"), &Operator::local(), NOW).unwrap();
        registry.add_location(&location("GB-LND"), &Operator::local(), NOW).unwrap();
        Self { registry, directory }
    }

    fn register(&self, new: &NewRegistration) -> Result<Registration, RegistryError> {
        self.registry.add_registration(new, &Operator::local(), NOW)
    }

    fn london(&self) -> Registration {
        self.register(&registration("london-1", "Example Telecom", &["192.0.2.0/24"])).unwrap()
    }

    fn secret(&self, registration: RegistrationId, uses: Option<u32>) -> String {
        let new = NewToken { registration, uses, life_s: Some(3_600), ..NewToken::default() };
        let issued = self.registry.create_token(&new, &identity(), &Operator::local(), NOW).unwrap();
        issued.token.parse::<EnrolmentToken>().unwrap().secret
    }
}

fn request(secret: &str, agent: u8, key: u8) -> EnrolmentRequest {
    EnrolmentRequest {
        uplinks: Vec::new(),
        agent: AgentId::new([agent; 16]),
        public_key: hex::encode([key; 32]),
        secret: secret.to_owned(),
        site: None,
        host: "host\n1".to_owned(),
        version: "0.1.0".to_owned(),
        adopts: false,
    }
}

mod agents;
mod entries;
mod keys;
mod lists;
mod re_enrolment;
mod target_sets;
mod uplinks;
