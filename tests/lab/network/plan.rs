//! The plan of addresses: who has which, in namespaces and on 127.0.0.0/8.

use super::link::Addressing;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The networks of RFC 2544, for tests of networks; /15.
const BENCHMARKING: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// The documentation's network of RFC 3849; /32.
const DOCUMENTATION: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
/// The last part of an agent's address in its site's network.
const AGENT: u8 = 10;
/// The last part of the first echo server's address in the core's network.
const FIRST_TARGET: u8 = 11;

/// Who has which address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The collector's and the DNS server's.
    pub core: Vec<IpAddr>,
    /// The echo servers', each by its number.
    pub targets: Vec<Vec<IpAddr>>,
    /// The sites', each by its number.
    pub sites: Vec<SitePlan>,
    /// Everything that belongs to the lab: what its agents may probe although it is not public.
    pub all: Vec<IpNet>,
    /// Whether the addresses are the lab's own, so that it may use the well-known ports.
    pub private: bool,
}

/// A site's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePlan {
    /// Its networks, as they are registered.
    pub prefixes: Vec<IpNet>,
    /// Its agent's addresses.
    pub agent: Vec<IpAddr>,
}

impl Plan {
    /// Networks of both families for so many sites and targets, each in a namespace.
    pub fn namespaces(sites: usize, targets: usize) -> Self {
        let at = |network: usize, host: u8| vec![v4(BENCHMARKING, network, host), v6(network, host)];
        Self {
            core: at(0, 1),
            targets: (0..targets).map(|target| at(0, host_of(target))).collect(),
            sites: (1..=sites)
                .map(|site| SitePlan {
                    prefixes: vec![network(v4(BENCHMARKING, site, 0), 24), network(v6(site, 0), 64)],
                    agent: at(site, AGENT),
                })
                .collect(),
            all: vec![network(BENCHMARKING.into(), 15), network(DOCUMENTATION.into(), 32)],
            private: true,
        }
    }

    /// Networks within 127.0.0.0/8. There is but one loopback address of IPv6, so these are IPv4 only.
    pub fn loopback(sites: usize, targets: usize) -> Self {
        let base = Ipv4Addr::new(127, 18, 0, 0);
        Self {
            core: vec![v4(base, 0, 1)],
            targets: (0..targets).map(|target| vec![v4(base, 0, host_of(target))]).collect(),
            sites: (1..=sites)
                .map(|site| SitePlan {
                    prefixes: vec![network(v4(base, site, 0), 24)],
                    agent: vec![v4(base, site, AGENT)],
                })
                .collect(),
            all: vec![network(base.into(), 16)],
            private: false,
        }
    }

    /// Leaves IPv6 out, for a kernel that has none.
    pub fn without_ipv6(&mut self) {
        self.core.retain(IpAddr::is_ipv4);
        self.targets.iter_mut().for_each(|addresses| addresses.retain(IpAddr::is_ipv4));
        for site in &mut self.sites {
            site.agent.retain(IpAddr::is_ipv4);
            site.prefixes.retain(|prefix| prefix.addr().is_ipv4());
        }
        self.all.retain(|network| network.addr().is_ipv4());
    }

    /// What the core's namespace is set up with: all servers' addresses, and every site behind the relay.
    pub fn core_addressing(&self) -> Addressing {
        let hosts = self.core.iter().chain(self.targets.iter().flatten());
        Addressing {
            addresses: hosts.map(|&address| IpNet::from(address)).collect(),
            routes: self.all.clone(),
        }
    }

    /// What a site's namespace is set up with: everything is behind the relay.
    pub fn site_addressing(&self, site: usize) -> Addressing {
        let addresses = self.sites[site].agent.iter().map(|&address| IpNet::from(address)).collect();
        let everything = [network(Ipv4Addr::UNSPECIFIED.into(), 0), network(Ipv6Addr::UNSPECIFIED.into(), 0)];
        let has = |route: &IpNet| self.sites[site].agent.iter().any(|address| route.contains(address));
        Addressing { addresses, routes: everything.into_iter().filter(has).collect() }
    }

    /// Gives the first echo server further addresses: those that a catalogue names.
    pub fn lend(&mut self, addresses: &[IpAddr]) {
        if let Some(first) = self.targets.first_mut() {
            first.extend(addresses);
        }
    }

    /// The networks that this machine speaks to itself from.
    pub fn this_machine(&self) -> Vec<IpNet> {
        vec![network(Ipv4Addr::new(127, 0, 0, 0).into(), 8), network(Ipv6Addr::LOCALHOST.into(), 128)]
    }

    /// The number of the site that `address` lies in.
    pub fn site_of(&self, address: IpAddr) -> Option<usize> {
        self.sites.iter().position(|site| site.prefixes.iter().any(|prefix| prefix.contains(&address)))
    }
}

/// Scenarios have at most 200 targets and sites, so that neither part of an address overflows.
fn host_of(target: usize) -> u8 {
    FIRST_TARGET.saturating_add(u8::try_from(target).unwrap_or(u8::MAX))
}

fn v4(base: Ipv4Addr, network: usize, host: u8) -> IpAddr {
    let [first, second, ..] = base.octets();
    Ipv4Addr::new(first, second, u8::try_from(network).unwrap_or(u8::MAX), host).into()
}

fn v6(network: usize, host: u8) -> IpAddr {
    let [first, second, ..] = DOCUMENTATION.segments();
    Ipv6Addr::new(first, second, u16::try_from(network).unwrap_or(u16::MAX), 0, 0, 0, 0, host.into()).into()
}

fn network(address: IpAddr, length: u8) -> IpNet {
    match address {
        IpAddr::V4(address) => Ipv4Net::new_assert(address, length).into(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, length).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_have_the_same_address_even_in_the_largest_scenario() {
        for plan in [Plan::namespaces(200, 200), Plan::loopback(200, 200)] {
            let all: Vec<_> = plan
                .core
                .iter()
                .chain(plan.targets.iter().flatten())
                .chain(plan.sites.iter().flat_map(|site| &site.agent))
                .collect();
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
            assert!(all.iter().all(|address| plan.all.iter().any(|network| network.contains(*address))));
        }
    }

    #[test]
    fn without_ipv6_nothing_of_it_is_set_up() {
        let mut plan = Plan::namespaces(2, 2);
        plan.without_ipv6();
        for addressing in [plan.core_addressing(), plan.site_addressing(1)] {
            assert!(!addressing.addresses.is_empty() && !addressing.routes.is_empty());
            let all = addressing.addresses.iter().chain(&addressing.routes);
            assert!(all.into_iter().all(|network| network.addr().is_ipv4()));
        }
    }

    #[test]
    fn an_agents_address_tells_its_site() {
        let plan = Plan::namespaces(6, 3);
        for (number, site) in plan.sites.iter().enumerate() {
            assert!(site.agent.iter().all(|&address| plan.site_of(address) == Some(number)));
        }
        assert_eq!(plan.site_of(plan.core[0]), None);
    }
}
