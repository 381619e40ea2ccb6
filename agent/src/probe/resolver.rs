//! Names to addresses, by hickory-resolver: A and AAAA each on their own, with a cache (its answers live for their TTL,
//! within bounds) or without.

use super::{exchange::now, settings::ProbeSettings};
use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
    system_conf::read_system_conf,
};
use peerlight_proto::series::Family;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Bounds of how long an answer is used.
const MIN_TTL: Duration = Duration::from_secs(10);
const MAX_TTL: Duration = Duration::from_mins(5);
/// How many names are kept.
const CACHED_NAMES: u64 = 1_024;
/// After how long without any answer the system's configuration is read again: a service may start before the network is
/// up, and networks change.
const RELOAD_AFTER: Duration = Duration::from_secs(30);

/// Where DNS servers listen.
const DNS_PORT: u16 = 53;

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Addresses, in the answer's order; never empty.
    Addresses(Vec<IpAddr>),
    /// The name exists, but has no address of this family.
    NoData,
    /// The name does not exist.
    NoName,
    /// The servers answered with this code instead: SERVFAIL, REFUSED …
    Code(String),
    /// No answer.
    Nothing(String),
}

/// Which answers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Any whose TTL has not passed, and the hosts file's.
    Cached,
    /// One made now, or the hosts file's.
    Asked,
    /// One made now by a DNS server.
    Timed,
}

/// Looks names up.
pub(crate) struct Resolver {
    servers: Vec<SocketAddr>,
    patience: Duration,
    current: Mutex<Loaded>,
}

/// The resolvers of one reading of the system's configuration.
struct Loaded {
    /// When the first lookup began since which none was answered.
    unanswered: Option<Instant>,
    resolvers: Result<Arc<Resolvers>, String>,
    /// The first DNS server.
    server: Result<SocketAddr, String>,
}

struct Resolvers {
    cached: TokioResolver,
    asked: TokioResolver,
    timed: TokioResolver,
}

impl Resolver {
    /// A resolver that asks `settings.dns_servers`, or the system's.
    pub(crate) fn new(settings: &ProbeSettings) -> Self {
        let (servers, patience) = (settings.dns_servers.clone(), settings.deadline);
        let current = Mutex::new(Loaded::read(&servers, patience));
        Self { servers, patience, current }
    }

    /// Looks up the addresses of `name` in `family`.
    pub(crate) async fn lookup(&self, name: &str, family: Family, freshness: Freshness) -> Found {
        let found = match (self.begin(now()), Name::from_ascii(name)) {
            (Ok(resolvers), Ok(name)) => resolvers.lookup(name, family, freshness).await,
            (Err(reason), _) => Found::Nothing(reason),
            (_, Err(error)) => Found::Nothing(error.to_string()),
        };
        if !matches!(found, Found::Nothing(_)) {
            self.lock().unanswered = None;
        }
        found
    }

    /// The DNS server that is asked first, or why there is none.
    pub(crate) fn server(&self) -> Result<SocketAddr, String> {
        self.lock().server.clone()
    }

    /// The resolvers to ask now.
    fn begin(&self, now: Instant) -> Result<Arc<Resolvers>, String> {
        let mut current = self.lock();
        let since = *current.unanswered.get_or_insert(now);
        if self.servers.is_empty() && now.saturating_duration_since(since) >= RELOAD_AFTER {
            *current = Loaded { unanswered: Some(now), ..Loaded::read(&self.servers, self.patience) };
        }
        current.resolvers.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Loaded> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    fn read(servers: &[SocketAddr], patience: Duration) -> Self {
        let resolvers = Resolvers::build(servers, patience).map(Arc::new).map_err(|error| error.to_string());
        let server = servers.first().copied().map_or_else(system_server, Ok);
        Self { unanswered: None, resolvers, server }
    }
}

impl Resolvers {
    fn build(servers: &[SocketAddr], patience: Duration) -> Result<Self, NetError> {
        let asked = || -> Result<ResolverBuilder<TokioRuntimeProvider>, NetError> {
            let mut builder = builder(servers)?;
            let options = builder.options_mut();
            options.timeout = patience;
            options.attempts = 1;
            options.num_concurrent_reqs = 1;
            options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
            options.cache_size = 0;
            Ok(builder)
        };
        let mut cached = builder(servers)?;
        let options = cached.options_mut();
        options.cache_size = CACHED_NAMES;
        (options.positive_min_ttl, options.positive_max_ttl) = (Some(MIN_TTL), Some(MAX_TTL));
        (options.negative_min_ttl, options.negative_max_ttl) = (Some(MIN_TTL), Some(MAX_TTL));
        options.timeout = patience;
        let mut timed = asked()?;
        timed.options_mut().use_hosts_file = ResolveHosts::Never;
        Ok(Self { cached: cached.build()?, asked: asked()?.build()?, timed: timed.build()? })
    }

    async fn lookup(&self, mut name: Name, family: Family, freshness: Freshness) -> Found {
        // Targets are whole names: no search list makes them something else.
        name.set_fqdn(true);
        let resolver = match freshness {
            Freshness::Cached => &self.cached,
            Freshness::Asked => &self.asked,
            Freshness::Timed => &self.timed,
        };
        let record = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        match resolver.lookup(name, record).await {
            Ok(lookup) => {
                let addresses: Vec<IpAddr> =
                    lookup.answers().iter().filter_map(|record| address(&record.data)).collect();
                if addresses.is_empty() { Found::NoData } else { Found::Addresses(addresses) }
            }
            Err(error) => failure(&error),
        }
    }
}

/// The first DNS server of the system's configuration.
fn system_server() -> Result<SocketAddr, String> {
    let (config, _options) = read_system_conf().map_err(|error| error.to_string())?;
    let first = config.name_servers().first().ok_or("this machine's configuration names no DNS server")?;
    let port = first.connections.first().map_or(DNS_PORT, |connection| connection.port);
    Ok(SocketAddr::new(first.ip, port))
}

fn builder(servers: &[SocketAddr]) -> Result<ResolverBuilder<TokioRuntimeProvider>, NetError> {
    if servers.is_empty() {
        return TokioResolver::builder_tokio();
    }
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    let config = ResolverConfig::from_name_servers(servers.collect());
    Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
}

fn address(data: &RData) -> Option<IpAddr> {
    if let RData::A(address) = data {
        Some(IpAddr::V4(address.0))
    } else if let RData::AAAA(address) = data {
        Some(IpAddr::V6(address.0))
    } else {
        None
    }
}

fn failure(error: &NetError) -> Found {
    let code = if let NetError::Dns(DnsError::NoRecordsFound(nothing)) = error {
        nothing.response_code
    } else if let NetError::Dns(DnsError::ResponseCode(code)) = error {
        *code
    } else {
        return Found::Nothing(error.to_string());
    };
    if code == ResponseCode::NoError {
        Found::NoData
    } else if code == ResponseCode::NXDomain {
        Found::NoName
    } else {
        Found::Code(mnemonic(code))
    }
}

/// The code as DNS tools write it.
pub(super) fn mnemonic(code: ResponseCode) -> String {
    if code == ResponseCode::ServFail {
        "SERVFAIL".to_owned()
    } else if code == ResponseCode::FormErr {
        "FORMERR".to_owned()
    } else if code == ResponseCode::NotImp {
        "NOTIMP".to_owned()
    } else if code == ResponseCode::Refused {
        "REFUSED".to_owned()
    } else {
        format!("RCODE{}", u16::from(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_systems_configuration_is_read_again_only_after_a_time_without_answers() {
        let resolver = Resolver::new(&ProbeSettings::default());
        let start = now();
        let at =
            |after: Duration| resolver.begin(start + after).ok().map(|resolvers| Arc::as_ptr(&resolvers));
        let first = at(Duration::ZERO);
        assert_eq!(at(RELOAD_AFTER.saturating_sub(Duration::from_secs(1))), first);
        assert_eq!(resolver.lock().unanswered, Some(start));
        at(RELOAD_AFTER);
        assert_eq!(resolver.lock().unanswered, Some(start + RELOAD_AFTER));
        resolver.lock().unanswered = None;
        at(3 * RELOAD_AFTER);
        assert_eq!(resolver.lock().unanswered, Some(start + 3 * RELOAD_AFTER));
    }
}
