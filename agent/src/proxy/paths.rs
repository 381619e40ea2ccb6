//! By which paths HTTPS targets are probed. Pure.

use super::Proxies;
use peerlight_proto::{
    series::Path,
    target::{ProbeKind, Target},
};
use serde::{Deserialize, Serialize};

/// By which paths HTTPS probes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpsPaths {
    /// Straight to their targets.
    #[default]
    Direct,
    /// As applications go: through the proxy, and straight where it is bypassed.
    Proxy,
    /// Both ways, each a series of its own.
    Both,
}

impl HttpsPaths {
    /// By how many paths at most a target is probed.
    pub const fn most(self, probe: &ProbeKind) -> u8 {
        match (self, probe) {
            (Self::Both, ProbeKind::Https { .. }) => 2,
            (
                Self::Direct | Self::Proxy | Self::Both,
                ProbeKind::Icmp
                | ProbeKind::Tcp { .. }
                | ProbeKind::Https { .. }
                | ProbeKind::Dns
                | ProbeKind::Udp { .. },
            ) => 1,
        }
    }
}

/// What that comes to for each target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths {
    /// What the configuration says.
    pub https: HttpsPaths,
    /// Whom a proxy serves.
    pub proxies: Proxies,
}

impl Paths {
    /// The paths by which `target` is probed. Only HTTPS goes through proxies.
    pub fn of(&self, target: &Target) -> &'static [Path] {
        let ProbeKind::Https { port, .. } = &target.probe else { return &[Path::Direct] };
        match (self.https, self.proxies.of(target.address.as_str(), *port)) {
            (HttpsPaths::Direct, _) | (_, None) => &[Path::Direct],
            (HttpsPaths::Proxy, Some(_)) => &[Path::Proxy],
            (HttpsPaths::Both, Some(_)) => &[Path::Direct, Path::Proxy],
        }
    }
}
