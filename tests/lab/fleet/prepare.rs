//! What is there before a fleet pushes: sites that are registered and agents that are enrolled, in a collector's directory.

use super::content::{self, Content};
use anyhow::Context as _;
use peerlight_agent::{
    signature::{AgentKey, ResponseKey},
    trust::under_ca,
};
use peerlight_collector::{
    identity::Identity,
    paths,
    registry::{self, NewLocation, NewProvider, NewRegistration, NewToken, Operator, ProviderKind, Registry},
};
use peerlight_proto::{
    enrolment::{EnrolmentRequest, EnrolmentToken},
    id::AgentId,
    series::Series,
    time::Timestamp,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
};

/// The providers of a fleet.
const PROVIDERS: u32 = 12;
/// Its locations.
const LOCATIONS: [&str; 30] = [
    "US-AL", "US-AK", "US-AZ", "US-AR", "US-CA", "US-CO", "US-CT", "US-DE", "US-FL", "US-GA", "US-HI",
    "US-ID", "US-IL", "US-IN", "US-IA", "US-KS", "US-KY", "US-LA", "US-ME", "US-MD", "US-MA", "US-MI",
    "US-MN", "US-MS", "US-MO", "US-MT", "US-NE", "US-NV", "US-NH", "US-NJ",
];
/// Each site has so many addresses.
const SITE_BITS: u32 = 6;

/// An agent's place in the fleet.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) key: Arc<AgentKey>,
    /// Its site, by number.
    pub(super) site: usize,
}

/// A site as its agents know it.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) series: Arc<Vec<Series>>,
    /// A public address within its prefix.
    pub(super) address: IpAddr,
}

/// A fleet that can push.
pub struct Prepared {
    pub(super) credentials: Vec<Credential>,
    pub(super) sites: Vec<Site>,
    pub(super) tls: rustls::ClientConfig,
    pub(super) response_key: ResponseKey,
    /// What it measured.
    pub content: Arc<Content>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").field("agents", &self.credentials.len()).finish_non_exhaustive()
    }
}

/// Registers sites and enrols agents in the registry of this directory, which no collector may use meanwhile. `progress` is
/// told how many agents are enrolled.
pub fn prepare(
    directory: &Path,
    (agents, sites): (u32, u32),
    seed: u64,
    mut progress: impl FnMut(u32),
) -> anyhow::Result<Prepared> {
    let (now, by) = (peerlight_agent::clock::Clock::system().wall(), Operator::local());
    let identity = Identity::open(directory)?;
    let registry = Registry::open(&paths::registry(directory))?;
    introduce(&registry, &by, now)?;
    let named = registry::Identity {
        agent_url: "https://127.0.0.1".to_owned(),
        ca_sha256: identity.ca_sha256(),
        response_key: identity.response_key(),
    };
    let targets = content::targets()?;
    let (mut credentials, mut known) = (Vec::new(), Vec::new());
    for number in 0..sites {
        let network = Ipv4Addr::from_bits((10 << 24) | (number << SITE_BITS));
        let site = format!("site-{number:06}");
        let new = NewRegistration {
            site: site.clone(),
            provider: format!("provider-{:02}", number % PROVIDERS),
            location: LOCATIONS[(number / PROVIDERS) as usize % LOCATIONS.len()].to_owned(),
            prefixes: vec![format!("{network}/{}", 32 - SITE_BITS)],
            allow_non_public: true,
            valid_from: Some("2020-01-01".to_owned()),
            ..NewRegistration::default()
        };
        let registration = registry.add_registration(&new, &by, now)?;
        let share = agents / sites + u32::from(number < agents % sites);
        let new = NewToken { registration: registration.id, uses: Some(share.max(1)), ..NewToken::default() };
        let token: EnrolmentToken = registry.create_token(&new, &named, &by, now)?.token.parse()?;
        for _agent in 0..share {
            let key = enrol(&registry, &token, now)?;
            credentials.push(Credential { key: Arc::new(key), site: known.len() });
            progress(u32::try_from(credentials.len())?);
        }
        let address = Ipv4Addr::from_bits(network.to_bits() + 1).into();
        known.push(Site { series: Arc::new(content::series(&site, &targets)), address });
    }
    let ca = std::fs::read_to_string(paths::ca(directory)).context("cannot read the collector's CA")?;
    Ok(Prepared {
        credentials,
        sites: known,
        tls: under_ca(&ca)?,
        response_key: ResponseKey::from_hex(&identity.response_key())?,
        content: Arc::new(Content::new(seed)),
    })
}

fn introduce(registry: &Registry, by: &Operator, now: Timestamp) -> anyhow::Result<()> {
    for number in 0..PROVIDERS {
        let new = NewProvider {
            name: format!("provider-{number:02}"),
            kind: ProviderKind::Isp,
            countries: Vec::new(),
            aliases: Vec::new(),
            asns: Vec::new(),
            source: None,
        };
        registry.add_provider(&new, by, now)?;
    }
    for code in LOCATIONS {
        let new = NewLocation {
            code: code.to_owned(),
            name: None,
            time_zone: Some("America/New_York".to_owned()),
            latitude: None,
            longitude: None,
        };
        registry.add_location(&new, by, now)?;
    }
    Ok(())
}

fn enrol(registry: &Registry, token: &EnrolmentToken, now: Timestamp) -> anyhow::Result<AgentKey> {
    let agent = AgentId::new(rand::random());
    let pair = Ed25519KeyPair::from_seed_unchecked(&rand::random::<[u8; 32]>())
        .map_err(|_rejected| anyhow::anyhow!("the system's random bytes made no key"))?;
    let request = EnrolmentRequest {
        agent,
        public_key: hex::encode(pair.public_key().as_ref()),
        secret: token.secret.clone(),
        site: None,
        uplinks: Vec::new(),
        host: "fleet".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        adopts: false,
    };
    registry.enrol(&request, Ipv4Addr::LOCALHOST.into(), now)?;
    Ok(AgentKey::new(agent, pair))
}
