//! ICMP echo: which engine sends it, and what keeps it from being sent.

mod portable;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use super::echo::Echoes;
use super::{
    error::ProbeError,
    exchange::Exchange,
    settings::{IcmpEngine, ProbeSettings},
    strays::Strays,
};
use peerlight_proto::{
    measurement::Ending,
    series::{Clock, Family},
};
use std::{io, sync::OnceLock};

/// What sends ICMP for both families.
pub(crate) struct Icmp {
    v4: Socket,
    v6: Socket,
    strays: Strays,
}

/// One family's engine, as soon as it could be opened.
struct Socket {
    engine: OnceLock<Engine>,
    /// What kept it from being opened at first.
    problem: Option<ProbeError>,
}

/// One family's engine, with its socket.
pub(crate) enum Engine {
    /// The kernel times.
    #[cfg(target_os = "linux")]
    Echoes(Echoes),
    /// The system sends and waits; this process times.
    #[cfg(windows)]
    System(windows::Endpoint),
    /// This process times.
    Portable(portable::Endpoint),
}

impl Icmp {
    /// Opens the sockets; a family that cannot be opened fails its probes and says why.
    pub(crate) fn open(settings: &ProbeSettings, strays: &Strays) -> Self {
        let open = |family| match Engine::open(settings, family, strays) {
            Ok(engine) => Socket { engine: engine.into(), problem: None },
            Err(error) => Socket { engine: OnceLock::new(), problem: Some(problem(family, error)) },
        };
        Self { v4: open(Family::V4), v6: open(Family::V6), strays: strays.clone() }
    }

    /// Why ICMP cannot be sent, if permission is missing.
    pub(crate) fn problem(&self) -> Option<&ProbeError> {
        [&self.v4, &self.v6]
            .into_iter()
            .filter_map(|socket| socket.problem.as_ref())
            .find(|problem| matches!(problem, ProbeError::IcmpNotPermitted { .. }))
    }

    /// The engine of a family, or how its probes end without one. What could not be opened is tried again: interfaces and
    /// addresses may come after the agent.
    pub(crate) fn engine(&self, settings: &ProbeSettings, family: Family) -> Result<&Engine, Exchange> {
        let socket = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        if let Some(engine) = socket.engine.get() {
            return Ok(engine);
        }
        match Engine::open(settings, family, &self.strays) {
            Ok(engine) => Ok(socket.engine.get_or_init(|| engine)),
            Err(error) => {
                let (clock, problem) = (clock(settings.icmp_engine), problem(family, error));
                Err(Exchange::failed(clock, Ending::SendFailed, problem))
            }
        }
    }
}

impl Engine {
    #[cfg_attr(not(target_os = "linux"), allow(unused_variables, reason = "only Linux's engine sees strays"))]
    fn open(settings: &ProbeSettings, family: Family, strays: &Strays) -> io::Result<Self> {
        match settings.icmp_engine {
            #[cfg(target_os = "linux")]
            IcmpEngine::Native => Echoes::icmp(settings, family, strays).map(Self::Echoes),
            #[cfg(windows)]
            IcmpEngine::Native => windows::Endpoint::open(&settings.departure(family)).map(Self::System),
            // Native where there is no engine of the platform's, too.
            _ => portable::Endpoint::open(&settings.departure(family)).map(Self::Portable),
        }
    }
}

/// The clock that an engine times by.
pub(crate) fn clock(engine: IcmpEngine) -> Clock {
    match engine {
        IcmpEngine::Native if cfg!(target_os = "linux") => Clock::Kernel,
        IcmpEngine::Native | IcmpEngine::Portable => Clock::User,
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
