//! How probes are sent.

use super::{
    departure::{Departure, Interface},
    dscp::Dscp,
    expected::Expectations,
    trust::Trust,
};
use crate::proxy::Proxies;
use ipnet::IpNet;
use peerlight_proto::series::Family;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// How probes are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// The source address of IPv4 probes; the system's choice when none.
    pub source_v4: Option<Ipv4Addr>,
    /// The source address of IPv6 probes; the system's choice when none.
    pub source_v6: Option<Ipv6Addr>,
    /// The interface that probes leave by; the routing table's choice when none.
    pub interface: Option<Interface>,
    /// What probes are marked with; the system's choice, which is nothing, when none.
    pub dscp: Option<Dscp>,
    /// An answer within this time is answered.
    pub timeout: Duration,
    /// An answer between time-out and deadline is late; nothing until the deadline is lost.
    pub deadline: Duration,
    /// What sends ICMP.
    pub icmp_engine: IcmpEngine,
    /// The DNS servers; the system's when empty.
    pub dns_servers: Vec<SocketAddr>,
    /// Whose certificates HTTPS targets may have.
    pub trust: Trust,
    /// Networks that may be probed although they are not public unicast (rules, §9). Ports are free there, too.
    pub allow: Vec<IpNet>,
    /// What is known of who answers at a target.
    pub expected: Expectations,
    /// Which proxy serves whom, for the probes that go through it.
    pub proxies: Proxies,
}

impl ProbeSettings {
    /// See [`ProbeSettings::timeout`].
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);
    /// See [`ProbeSettings::deadline`].
    pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(3);

    /// The source address of probes of `family`, if one is set.
    pub fn source(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.source_v4.map(IpAddr::V4),
            Family::V6 => self.source_v6.map(IpAddr::V6),
        }
    }

    /// How probes of `family` leave this machine.
    pub fn departure(&self, family: Family) -> Departure {
        Departure { family, source: self.source(family), interface: self.interface.clone(), dscp: self.dscp }
    }
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            source_v4: None,
            source_v6: None,
            interface: None,
            dscp: None,
            timeout: Self::DEFAULT_TIMEOUT,
            deadline: Self::DEFAULT_DEADLINE,
            icmp_engine: IcmpEngine::default(),
            dns_servers: Vec::new(),
            trust: Trust::default(),
            allow: Vec::new(),
            expected: Expectations::default(),
            proxies: Proxies::default(),
        }
    }
}

/// What sends ICMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IcmpEngine {
    /// The platform's own: kernel time stamps where the platform has them.
    #[default]
    Native,
    /// surge-ping: any platform, user-space clock.
    Portable,
}
