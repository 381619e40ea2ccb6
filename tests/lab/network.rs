//! The lab's network: each site in a namespace whose packets cross an emulated path, where the machine allows it; else
//! every site on a network of its own within 127.0.0.0/8.

pub mod disguise;
pub mod link;
pub mod namespace;
pub mod packet;
pub mod path;
pub mod plan;
pub mod priority;
pub mod query;
pub mod refusal;
pub mod relay;
pub mod tap;
pub mod user_namespace;

use crate::{scenario::Scenario, truth::Truth};
use link::Addressing;
use namespace::{Namespace, NamespaceError};
use nix::unistd::Uid;
use path::Path;
use plan::Plan;
use relay::{Relay, SiteLink};
use std::{
    fs::OpenOptions,
    net::IpAddr,
    sync::{Arc, Mutex},
};
use tap::Taps;

#[cfg(test)]
mod tests;

/// Is there if, and only if, the kernel has IPv6.
const IPV6: &str = "/proc/net/if_inet6";

/// Which network to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Choice {
    /// Namespaces where the machine allows it, else loopback.
    #[default]
    Auto,
    /// Namespaces with emulated paths, or an error.
    Namespaces,
    /// 127.0.0.0/8.
    Loopback,
}

/// Which network this process can make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// Namespaces with emulated paths.
    Namespaces,
    /// 127.0.0.0/8, for this reason.
    Loopback {
        /// What was missing for namespaces, or that loopback was asked for.
        reason: String,
    },
}

/// Finds out which network can be made and gets the right to make it: root has it, anybody else enters a user
/// namespace. Must be called while the process has one thread.
pub fn prepare(choice: Choice) -> Result<Ground, NamespaceError> {
    match choice {
        Choice::Loopback => Ok(Ground::Loopback { reason: "--network loopback".into() }),
        Choice::Namespaces => rights().map(|()| Ground::Namespaces),
        Choice::Auto => Ok(rights().map_or_else(
            |missing| Ground::Loopback { reason: missing.to_string() },
            |()| Ground::Namespaces,
        )),
    }
}

fn rights() -> Result<(), NamespaceError> {
    // Root of a user namespace is as much a stranger to the device file as before, so try it first.
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .map_err(NamespaceError::at("open /dev/net/tun for reading and writing"))?;
    if !Uid::effective().is_root() {
        user_namespace::enter()?;
    }
    // Nothing else tells for sure whether a TUN device can be made in a namespace.
    let trial = Namespace::create()?;
    link::create(&trial, &Addressing { addresses: Vec::new(), routes: Vec::new() }).map(drop)
}

/// Where a thread must be before it opens sockets.
#[derive(Debug, Clone)]
pub enum Place {
    /// Where the lab was started.
    Host,
    /// In a namespace.
    Within(Namespace),
}

impl Place {
    /// Moves the calling thread there, for good.
    pub fn enter(&self) -> Result<(), NamespaceError> {
        match self {
            Self::Host => Ok(()),
            Self::Within(namespace) => namespace.enter(),
        }
    }

    /// Does `work` there.
    pub fn within<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, NamespaceError> + Send,
    ) -> Result<T, NamespaceError> {
        match self {
            Self::Host => work(),
            Self::Within(namespace) => namespace.within(work),
        }
    }
}

/// The network of a running lab; gone when it is dropped.
#[derive(Debug)]
pub struct Network {
    /// Who has which address.
    pub plan: Plan,
    /// Where the echo servers are, and the collector's listener for agents.
    pub core: Place,
    /// Where each site's agent is.
    pub sites: Vec<Place>,
    emulation: Option<Emulation>,
}

#[derive(Debug)]
struct Emulation {
    relay: Relay,
    namespaces: Vec<Namespace>,
}

impl Network {
    /// Makes the network that `ground` allows for `scenario`. Its first echo server has the `lent` addresses, too.
    pub fn build(ground: &Ground, scenario: &Scenario, lent: &[IpAddr]) -> Result<Self, NamespaceError> {
        match ground {
            Ground::Loopback { .. } => Ok(Self {
                plan: Plan::loopback(scenario.sites.len(), scenario.targets.len()),
                core: Place::Host,
                sites: vec![Place::Host; scenario.sites.len()],
                emulation: None,
            }),
            Ground::Namespaces => Self::emulate(scenario, lent),
        }
    }

    fn emulate(scenario: &Scenario, lent: &[IpAddr]) -> Result<Self, NamespaceError> {
        let mut plan = Plan::namespaces(scenario.sites.len(), scenario.targets.len());
        plan.lend(lent);
        if !std::path::Path::new(IPV6).exists() {
            plan.without_ipv6();
        }
        let core = Namespace::create()?;
        let core_device = link::create(&core, &plan.core_addressing())?;
        let mut namespaces = Vec::new();
        let mut links = Vec::new();
        for (number, site) in scenario.sites.iter().enumerate() {
            let namespace = Namespace::create()?;
            let device = link::create(&namespace, &plan.site_addressing(number))?;
            let seed = scenario.seed.wrapping_add(2 * number as u64);
            links.push(SiteLink {
                device,
                prefixes: plan.sites[number].prefixes.clone(),
                outbound: Path::outbound(site.conditions, seed),
                inbound: Path::inbound(site.conditions, seed.wrapping_add(1)),
            });
            namespaces.push(namespace);
        }
        let relay = Relay::start(core_device, links, plan.targets.concat())
            .map_err(NamespaceError::at("start the relay"))?;
        Ok(Self {
            plan,
            core: Place::Within(core),
            sites: namespaces.iter().cloned().map(Place::Within).collect(),
            emulation: Some(Emulation { relay, namespaces }),
        })
    }

    /// Begins to stamp the sites' packets for `truth`; nothing to stamp where paths are not emulated.
    pub fn tap(&self, truth: Arc<Mutex<Truth>>) -> Result<Option<Taps>, NamespaceError> {
        self.emulation.as_ref().map(|emulation| Taps::start(&emulation.namespaces, truth)).transpose()
    }

    /// What the relay did, where paths are emulated.
    pub fn carried(&self) -> Option<&relay::Carried> {
        self.emulation.as_ref().map(|emulation| emulation.relay.carried())
    }
}
