//! Addressing: which address of a target a probe goes to, if it may.

use super::{
    ceilings::Ceilings,
    exchange::now,
    pace::Pace,
    resolver::{Found, Freshness, Resolver},
    routes::Routes,
    settings::ProbeSettings,
};
use crate::proxy::Proxy;
use futures::future::FutureExt as _;
use peerlight_proto::{measurement::Ending, series::Family, target::Target};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// The shortest time that a lookup is given.
const MIN_PATIENCE: Duration = Duration::from_millis(500);

/// Where a probe goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// There.
    At(IpAddr),
    /// Nowhere: the target, or this machine, does not have the family.
    OtherFamily,
    /// Nowhere, for this reason.
    Failed {
        /// How the probe ended by that.
        ending: Ending,
        /// The address that it would have gone to.
        address: Option<IpAddr>,
        /// Why.
        error: String,
    },
}

/// Chooses addresses.
pub(crate) struct Addressing {
    resolver: Arc<Resolver>,
    ceilings: Ceilings,
    /// Keeps names to the ceilings of public addresses, where their schedules may hope for more.
    pace: Pace,
    /// The same for what is probed through a proxy.
    pace_of_proxied: Pace,
    routes: Routes,
    patience: Duration,
    servers_allowed: bool,
}

impl Addressing {
    /// Addressing by these settings.
    pub(crate) fn new(settings: &ProbeSettings) -> Self {
        let ceilings = Ceilings::new(settings.allow.clone());
        // The system's own servers may be anywhere.
        let anywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let servers: Vec<IpAddr> = settings.dns_servers.iter().map(SocketAddr::ip).collect();
        let servers = if servers.is_empty() { anywhere.as_slice() } else { servers.as_slice() };
        Self {
            servers_allowed: servers.iter().all(|&server| ceilings.allows(server)),
            resolver: Arc::new(Resolver::new(settings)),
            ceilings,
            pace: Pace::default(),
            pace_of_proxied: Pace::default(),
            routes: Routes::new(settings),
            // A lookup that takes longer would leave the probe itself less than its time-out before the deadline.
            patience: settings.deadline.saturating_sub(settings.timeout).max(MIN_PATIENCE),
        }
    }

    /// The resolver, for the probes that time it.
    pub(crate) fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// Whether the DNS servers may be asked for `target` now: as often as it is scheduled if all of them lie in allowed
    /// networks, else as often as its ceiling says.
    pub(crate) fn may_ask(&self, target: &Target, family: Family) -> bool {
        self.servers_allowed || self.pace.permits(target, family, now())
    }

    /// Chooses from cached answers; a lookup that is slow fails this probe but goes on, for the next.
    pub(crate) async fn choose(&self, target: &Target, family: Family) -> Choice {
        if let Some(address) = target.address.ip() {
            return self.literal(target, address, family);
        }
        let (resolver, name) = (Arc::clone(&self.resolver), target.address.to_string());
        let lookup = async move { resolve(&resolver, &name, family, Freshness::Cached).await };
        let mut lookup = lookup.boxed();
        if let Some(cached) = (&mut lookup).now_or_never() {
            return self.permit(target, cached);
        }
        match tokio::time::timeout(self.patience, tokio::spawn(lookup)).await {
            Ok(Ok(choice)) => self.permit(target, choice),
            Ok(Err(_cancelled)) => dns_failed("the lookup was cancelled"),
            Err(_elapsed) => {
                dns_failed(format!("no answer from DNS within {} ms", self.patience.as_millis()))
            }
        }
    }

    /// Chooses from an answer made now; the caller bounds the time.
    pub(crate) async fn choose_anew(&self, target: &Target, family: Family) -> Choice {
        if let Some(address) = target.address.ip() {
            return self.literal(target, address, family);
        }
        let name = target.address.as_str();
        self.permit(target, resolve(&self.resolver, name, family, Freshness::Asked).await)
    }

    /// Chooses the proxy's own address, from an answer made now, if `target` may be probed through it. The caller bounds
    /// the time. The proxy may be anywhere; where it finds a name, nobody here knows.
    pub(crate) async fn choose_proxy(&self, proxy: &Proxy, target: &Target, family: Family) -> Choice {
        let choice = match proxy.host.ip() {
            Some(address) if Family::of(address) == family => Choice::At(address),
            Some(_) => Choice::OtherFamily,
            None => resolve(&self.resolver, proxy.host.as_str(), family, Freshness::Asked).await,
        };
        match choice {
            Choice::At(address) if self.routes.lacks_family_of(address) => Choice::OtherFamily,
            Choice::At(address) => self.refusal_to_proxied(target, family).unwrap_or(Choice::At(address)),
            Choice::OtherFamily | Choice::Failed { .. } => choice,
        }
    }

    /// Why `target` may not be probed through a proxy. What can be checked of it is its port, and its address where it is
    /// one; a name's ceilings are those of public addresses.
    fn refusal_to_proxied(&self, target: &Target, family: Family) -> Option<Choice> {
        let (address, port) = (target.address.ip(), target.probe.port());
        let within =
            address.map_or_else(|| Ceilings::check_port(port), |address| self.ceilings.check(address, port));
        if let Err(outside) = within {
            return Some(Choice::Failed { ending: Ending::SendFailed, address, error: outside.to_string() });
        }
        let is_allowed = address.is_some_and(|address| self.ceilings.allows(address));
        let may = is_allowed || self.pace_of_proxied.permits(target, family, now());
        (!may).then(|| Choice::Failed {
            ending: Ending::Skipped,
            address,
            error: format!("{} may not be probed so often through a proxy", target.address),
        })
    }

    /// Chooses the address that stands in the target itself.
    pub(crate) fn literal(&self, target: &Target, address: IpAddr, family: Family) -> Choice {
        if Family::of(address) == family {
            self.within_ceilings(target, address)
        } else {
            Choice::OtherFamily
        }
    }

    fn permit(&self, target: &Target, choice: Choice) -> Choice {
        match choice {
            Choice::At(address) if self.routes.lacks_family_of(address) => Choice::OtherFamily,
            Choice::At(address) => self.within_ceilings(target, address),
            Choice::OtherFamily | Choice::Failed { .. } => choice,
        }
    }

    fn within_ceilings(&self, target: &Target, address: IpAddr) -> Choice {
        match self.ceilings.check(address, target.probe.port()) {
            Ok(()) if self.ceilings.allows(address) => Choice::At(address),
            Ok(()) if self.pace.permits(target, Family::of(address), now()) => Choice::At(address),
            Ok(()) => Choice::Failed {
                ending: Ending::Skipped,
                address: Some(address),
                error: format!("{address} is in no network of [limits] allow and may not be probed so often"),
            },
            Err(outside) => Choice::Failed {
                ending: Ending::SendFailed,
                address: Some(address),
                error: outside.to_string(),
            },
        }
    }
}

/// The first address of `name` in `family`. A name without one has only the other family if the server says that it
/// exists, or if it has an address there.
async fn resolve(resolver: &Resolver, name: &str, family: Family, freshness: Freshness) -> Choice {
    let found = resolver.lookup(name, family, freshness).await;
    let missing = match &found {
        Found::Addresses(addresses) => {
            return addresses.first().map_or(Choice::OtherFamily, |&address| Choice::At(address));
        }
        Found::Code(code) => return dns_failed(format!("DNS answered {code} for {name}")),
        Found::Nothing(error) => return dns_failed(format!("no answer from DNS for {name}: {error}")),
        Found::NoData | Found::NoName => found,
    };
    let other = match family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    let exists = missing == Found::NoData;
    match resolver.lookup(name, other, Freshness::Cached).await {
        Found::Addresses(_) => Choice::OtherFamily,
        Found::Code(_) | Found::Nothing(_) if exists => Choice::OtherFamily,
        Found::NoData | Found::NoName | Found::Code(_) | Found::Nothing(_) if exists => {
            dns_failed(format!("{name} has no address (NODATA)"))
        }
        Found::NoData | Found::NoName | Found::Code(_) | Found::Nothing(_) => {
            dns_failed(format!("{name} does not exist (NXDOMAIN)"))
        }
    }
}

fn dns_failed(error: impl Into<String>) -> Choice {
    Choice::Failed { ending: Ending::DnsFailed, address: None, error: error.into() }
}
