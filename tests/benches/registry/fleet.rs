//! A registry that holds a fleet: every site one registration with an IPv4 /24 and an IPv6 /48, and one enrolled agent.

use peerlight_collector::{
    organisation::OrganisationId,
    registry::{
        Identity, NewLocation, NewProvider, NewRegistration, NewToken, Operator, ProviderKind,
        RegistrationId, Registry,
    },
};
use peerlight_proto::{
    enrolment::{EnrolmentRequest, EnrolmentToken},
    id::{AgentId, BatchDigest},
    time::Timestamp,
};
use rusqlite::{Connection, params};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);
pub(crate) const ORGANISATION: OrganisationId = OrganisationId::DEFAULT;
/// Where agents enrol from.
pub(crate) const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const PROVIDERS: u32 = 12;
const LOCATIONS: u32 = 30;

/// Makes the registry's file in `directory` with so many sites: the first as an operator and an agent would, the others
/// after its pattern in one transaction, for a transaction each takes as long as everything that is measured later.
pub(crate) fn make(directory: &Path, sites: u32) -> anyhow::Result<PathBuf> {
    let path = directory.join("registry.sqlite");
    let registry = Registry::open(&path)?;
    for number in 0..PROVIDERS {
        let provider = NewProvider {
            name: provider(number),
            kind: ProviderKind::Isp,
            countries: Vec::new(),
            aliases: Vec::new(),
            asns: Vec::new(),
            source: None,
        };
        registry.add_provider(&provider, &Operator::local(), NOW)?;
    }
    for number in 0..LOCATIONS {
        let new = NewLocation {
            code: location(number).to_owned(),
            name: None,
            time_zone: Some("America/New_York".to_owned()),
            latitude: None,
            longitude: None,
        };
        registry.add_location(&new, &Operator::local(), NOW)?;
    }
    let first = registry.add_registration(&registration(0), &Operator::local(), NOW)?;
    registry.enrol(&request(token(&registry, first.id)?, 0), SOURCE, NOW)?;
    drop(registry);
    let mut db = Connection::open(&path)?;
    let transaction = db.transaction()?;
    for number in 1..sites {
        add(&transaction, number)?;
    }
    transaction.commit()?;
    Ok(path)
}

/// Adds a site with its token, its agent and what the audit has of them, all of them like those of the first.
fn add(db: &Connection, number: u32) -> anyhow::Result<()> {
    let new = registration(number);
    let (id, provider, location) = (number + 1, number % PROVIDERS + 1, number / PROVIDERS % LOCATIONS + 1);
    db.prepare_cached(
        "INSERT INTO registration (id, organisation, site, provider, location, prefixes, count_declared,
         allow_non_public, nested, valid_from, created)
         SELECT ?1, organisation, ?2, ?3, ?4, ?5, count_declared, allow_non_public, nested, valid_from, created
         FROM registration WHERE id = 1",
    )?
    .execute(params![id, new.site, provider, location, serde_json::to_string(&new.prefixes)?])?;
    db.prepare_cached(
        "INSERT INTO enrolment_token (id, organisation, registration, hash, max_uses, uses, expires, created, created_by)
         SELECT ?1, organisation, ?1, randomblob(32), max_uses, uses, expires, created, created_by
         FROM enrolment_token WHERE id = 1",
    )?
    .execute(params![id])?;
    let request = request(String::new(), number);
    let (agent, key) = (request.agent, hex::decode(&request.public_key)?);
    db.prepare_cached(
        "INSERT INTO agent (id, organisation, registration, public_key, host, version, enrolled, enrolled_from)
         SELECT ?1, organisation, ?2, ?3, ?4, version, enrolled, enrolled_from FROM agent WHERE registration = 1",
    )?
    .execute(params![agent.as_bytes(), id, key, request.host])?;
    db.prepare_cached(
        "INSERT INTO enrolment (token, public_key, agent, at) SELECT ?1, ?2, ?3, at FROM enrolment WHERE token = 1",
    )?
    .execute(params![id, key, agent.as_bytes()])?;
    db.prepare_cached(
        "INSERT INTO audit (organisation, at, who, what, object, before, after)
         SELECT organisation, at, who, what, ?1, before, after FROM audit WHERE id > ?2 AND id <= ?2 + 3",
    )?
    .execute(params![new.site, PROVIDERS + LOCATIONS])?;
    Ok(())
}

/// A site's registration.
pub(crate) fn registration(number: u32) -> NewRegistration {
    NewRegistration {
        site: format!("site-{number:06}"),
        provider: provider(number % PROVIDERS),
        location: location(number / PROVIDERS % LOCATIONS).to_owned(),
        prefixes: vec![format!("{}/24", v4(number, 0)), format!("{}/48", v6(number, 0))],
        ..NewRegistration::default()
    }
}

/// An address of a site's IPv4 prefix: from 11.0.0.0 upwards, all public.
pub(crate) fn v4(number: u32, host: u8) -> Ipv4Addr {
    Ipv4Addr::from(0x0b00_0000 + (number << 8) + u32::from(host))
}

/// An address of a site's IPv6 prefix.
pub(crate) fn v6(number: u32, host: u16) -> Ipv6Addr {
    Ipv6Addr::from((0x2a00_0000_0000 + u128::from(number)) << 80 | u128::from(host))
}

/// The agent of a site.
pub(crate) fn agent(number: u32) -> AgentId {
    // Identities are random: neighbours in the list are none in the file.
    let mut id = [0; 16];
    id.copy_from_slice(&BatchDigest::of(&number.to_be_bytes()).as_bytes()[..16]);
    AgentId::new(id)
}

/// A token's secret for a registration.
pub(crate) fn token(registry: &Registry, registration: RegistrationId) -> anyhow::Result<String> {
    let new = NewToken { registration, ..NewToken::default() };
    let issued = registry.create_token(&new, &identity(), &Operator::local(), NOW)?;
    Ok(issued.token.parse::<EnrolmentToken>()?.secret)
}

pub(crate) fn identity() -> Identity {
    Identity {
        agent_url: "https://collector.example.com:8443".to_owned(),
        ca_sha256: "00".repeat(32),
        response_key: "11".repeat(32),
    }
}

/// What the agent of a site asks.
pub(crate) fn request(secret: String, number: u32) -> EnrolmentRequest {
    EnrolmentRequest {
        uplinks: Vec::new(),
        agent: agent(number),
        public_key: hex::encode(BatchDigest::of(agent(number).as_bytes()).as_bytes()),
        secret,
        site: None,
        host: format!("host-{number:06}"),
        version: "0.1.0".to_owned(),
        adopts: false,
    }
}

fn provider(number: u32) -> String {
    format!("Provider {number:02}")
}

/// States, by their codes.
fn location(number: u32) -> &'static str {
    const STATES: [&str; LOCATIONS as usize] = [
        "US-AL", "US-AK", "US-AZ", "US-AR", "US-CA", "US-CO", "US-CT", "US-DE", "US-FL", "US-GA", "US-HI",
        "US-ID", "US-IL", "US-IN", "US-IA", "US-KS", "US-KY", "US-LA", "US-ME", "US-MD", "US-MA", "US-MI",
        "US-MN", "US-MS", "US-MO", "US-MT", "US-NE", "US-NV", "US-NH", "US-NJ",
    ];
    STATES[number as usize % STATES.len()]
}
