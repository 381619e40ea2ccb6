//! Uplinks: the ways out of a place that one agent measures side by side, each a site of its own in the registry. Pure.

use crate::probe::{Dscp, Interface, ProbeSettings};
use peerlight_proto::{enrolment::SiteAssertion, series::Family};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Which uplink, by its place in the configuration. An agent of one site has number 0 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UplinkNumber(u8);

impl UplinkNumber {
    /// The numbers of so many uplinks.
    pub fn first(count: usize) -> impl Iterator<Item = Self> {
        (0..u8::MAX).map(Self).take(count)
    }

    /// Its place.
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// An uplink as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// What is said of its site; provider and location may be empty, the name never is.
    pub site: SiteAssertion,
    /// The families that can leave by it.
    pub families: Vec<Family>,
    /// The source address of its IPv4 probes.
    pub source_v4: Option<Ipv4Addr>,
    /// The source address of its IPv6 probes.
    pub source_v6: Option<Ipv6Addr>,
    /// The interface that its probes leave by.
    pub interface: Option<Interface>,
    /// What its probes are marked with.
    pub dscp: Option<Dscp>,
}

/// A way that probes take: an uplink's, or the only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The uplink's site; none for the only way, whose site enrolment names.
    pub uplink: Option<String>,
    /// The families that are probed.
    pub families: Vec<Family>,
    /// How probes are sent.
    pub settings: ProbeSettings,
}

impl Uplink {
    /// Its name, which is that of its site.
    pub fn name(&self) -> &str {
        &self.site.name
    }

    /// Its way, with all that these settings say of other things.
    pub fn way(&self, settings: &ProbeSettings) -> Way {
        let settings = ProbeSettings {
            source_v4: self.source_v4,
            source_v6: self.source_v6,
            interface: self.interface.clone(),
            dscp: self.dscp.or(settings.dscp),
            ..settings.clone()
        };
        Way { uplink: Some(self.site.name.clone()), families: self.families.clone(), settings }
    }
}

/// Whether both name the same site: the registry takes no notice of case.
pub fn is_same_site(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}
