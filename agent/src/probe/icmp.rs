//! ICMP echo: which engine sends it, and what both need.

#[cfg(target_os = "linux")]
mod linux;
mod portable;

use super::{
    exchange::Exchange,
    prober::ProbeError,
    settings::{IcmpEngine, ProbeSettings},
    strays::Strays,
};
use peerlight_proto::{
    id::TargetId,
    measurement::Ending,
    series::{Clock, Family},
};
use std::{io, net::IpAddr};

/// What sends ICMP for both families.
pub(crate) struct Icmp {
    v4: Result<Engine, ProbeError>,
    v6: Result<Engine, ProbeError>,
    clock: Clock,
}

/// One family's engine, with its socket.
enum Engine {
    #[cfg(target_os = "linux")]
    Linux(linux::Endpoint),
    Portable(portable::Endpoint),
}

impl Icmp {
    /// Opens the sockets; a family that cannot be opened fails its probes and says why.
    pub(crate) fn open(settings: &ProbeSettings, strays: &Strays) -> Self {
        let clock = match settings.icmp_engine {
            IcmpEngine::Native if cfg!(target_os = "linux") => Clock::Kernel,
            IcmpEngine::Native | IcmpEngine::Portable => Clock::User,
        };
        let open = |family| Engine::open(settings, family, strays).map_err(|error| problem(family, error));
        Self { v4: open(Family::V4), v6: open(Family::V6), clock }
    }

    /// Why ICMP cannot be sent, if permission is missing.
    pub(crate) fn problem(&self) -> Option<&ProbeError> {
        [&self.v4, &self.v6]
            .into_iter()
            .filter_map(|engine| engine.as_ref().err())
            .find(|problem| matches!(problem, ProbeError::IcmpNotPermitted { .. }))
    }

    /// Probes one address.
    pub(crate) async fn probe(&self, settings: &ProbeSettings, to: IpAddr, target: TargetId) -> Exchange {
        let engine = match Family::of(to) {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        match engine {
            #[cfg(target_os = "linux")]
            Ok(Engine::Linux(endpoint)) => endpoint.probe(settings, to, target).await,
            Ok(Engine::Portable(endpoint)) => endpoint.probe(settings, to, target).await,
            Err(problem) => Exchange::failed(self.clock, Ending::SendFailed, problem),
        }
    }
}

impl Engine {
    fn open(settings: &ProbeSettings, family: Family, strays: &Strays) -> io::Result<Self> {
        let source = settings.source(family);
        match settings.icmp_engine {
            #[cfg(target_os = "linux")]
            IcmpEngine::Native => linux::Endpoint::open(source, family, strays).map(Self::Linux),
            // Native where there is no engine of the platform's, too.
            _ => portable::Endpoint::open(source, family, strays).map(Self::Portable),
        }
    }
}

/// What keeps the socket of `family` from opening, and what to do about it.
fn problem(family: Family, error: io::Error) -> ProbeError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        ProbeError::IcmpNotPermitted { family, source: error }
    } else {
        ProbeError::IcmpSocket { family, source: error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_permitted_says_what_would_permit_it() {
        let problem = problem(Family::V6, io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            problem.to_string(),
            "ICMP over IPv6 is not permitted: put this process's group into the sysctl net.ipv4.ping_group_range \
             (such as \"0 2147483647\"), or give it the capability CAP_NET_RAW"
        );
    }
}
