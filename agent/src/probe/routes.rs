//! Routes: whether this machine can send to a family at all. A family that it never could, while the other works, is not
//! measured; one that it lost is.

use super::{departure::Departure, settings::ProbeSettings};
use peerlight_proto::series::Family;
use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

/// Addresses of Microsoft's that stand for "anywhere" when a whole family is asked about; nothing is sent to them.
const ANYWHERE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(13, 107, 6, 152));
const ANYWHERE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2603, 0x1006, 0, 0, 0, 0, 0, 1));

/// What this machine had routes for since it began, as probes leave it.
#[derive(Debug)]
pub(crate) struct Routes {
    departures: [Departure; 2],
    had_v4: AtomicBool,
    had_v6: AtomicBool,
}

impl Routes {
    /// The routes of probes of these settings.
    pub(crate) fn new(settings: &ProbeSettings) -> Self {
        let departures = [Family::V4, Family::V6].map(|family| settings.departure(family));
        Self { departures, had_v4: AtomicBool::default(), had_v6: AtomicBool::default() }
    }

    /// Whether the family of `address` does not exist on this machine: no route to `address`, none to that family since
    /// the start, but one to the other family. When both are gone it is an outage, and must be seen.
    pub(crate) fn lacks_family_of(&self, address: IpAddr) -> bool {
        self.lacks(address, |address| self.reachable(address))
    }

    fn lacks(&self, address: IpAddr, reachable: impl Fn(IpAddr) -> bool) -> bool {
        let family = Family::of(address);
        // The kernel need not be asked again for each probe.
        if self.had(family).load(Ordering::Relaxed) {
            return false;
        }
        if reachable(address) {
            self.had(family).store(true, Ordering::Relaxed);
            return false;
        }
        let elsewhere = match family {
            Family::V4 => ANYWHERE_V6,
            Family::V6 => ANYWHERE_V4,
        };
        reachable(elsewhere)
    }

    fn had(&self, family: Family) -> &AtomicBool {
        match family {
            Family::V4 => &self.had_v4,
            Family::V6 => &self.had_v6,
        }
    }

    /// Whether the routing table knows a way. What is wrong with source or interface is for the probe to say.
    fn reachable(&self, address: IpAddr) -> bool {
        let departure = match Family::of(address) {
            Family::V4 => &self.departures[0],
            Family::V6 => &self.departures[1],
        };
        match departure.towards(SocketAddr::new(address, 9)) {
            Ok(_source) => true,
            Err(error) => !matches!(
                error.kind(),
                ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable | ErrorKind::Unsupported
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

    fn routes() -> Routes {
        Routes::new(&ProbeSettings::default())
    }

    #[test]
    fn a_family_that_never_worked_is_lacking_while_the_other_works() {
        assert!(routes().lacks(THERE, |address| address.is_ipv4()));
    }

    #[test]
    fn an_outage_of_both_families_is_seen() {
        assert!(!routes().lacks(THERE, |_| false));
    }

    #[test]
    fn a_family_that_worked_once_and_is_gone_is_seen() {
        let routes = routes();
        assert!(!routes.lacks(THERE, |_| true));
        assert!(!routes.lacks(THERE, |address| address.is_ipv4()));
    }

    #[test]
    fn this_machine_reaches_itself() {
        assert!(routes().reachable(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
