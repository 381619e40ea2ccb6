//! The built-in Microsoft catalogue in the lab: over this machine's own uplink, or against stand-ins that bear its names.

use crate::scenario::{Conditions, EchoProbe, EchoTarget, Scenario, Site};
use peerlight_agent::catalogue;
use std::{collections::BTreeSet, net::IpAddr, time::Duration};

/// The one site of a lab that measures the Internet: all its agents would share this machine's one uplink, so that
/// several providers would be a pretence.
pub fn this_machine(seed: u64) -> Scenario {
    Scenario {
        seed,
        sites: vec![Site {
            name: "this-machine".to_owned(),
            provider: "This machine's uplink".to_owned(),
            location: "US-WA".to_owned(),
            time_zone: "America/Los_Angeles".to_owned(),
            coordinates: None,
            conditions: Conditions::default(),
            rest: None,
        }],
        targets: Vec::new(),
    }
}

/// The same scenario, with one server in the place of all of Microsoft's.
pub fn stand_in(scenario: Scenario) -> Scenario {
    let server = EchoTarget {
        name: "stand-in".to_owned(),
        service: "Microsoft".to_owned(),
        host: "stand-in.lab.example".to_owned(),
        probes: BTreeSet::from([EchoProbe::Icmp, EchoProbe::Tcp, EchoProbe::Https, EchoProbe::Udp]),
        interval: Duration::from_secs(1),
        server_delay: Duration::ZERO,
    };
    Scenario { targets: vec![server], ..scenario }
}

/// The catalogue's host names.
pub fn names() -> Vec<String> {
    let targets = catalogue::microsoft();
    let names = targets.iter().filter(|target| target.address.ip().is_none());
    names.map(|target| target.address.as_str().to_owned()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The addresses that the catalogue names without a host name.
pub fn addresses() -> Vec<IpAddr> {
    let addresses = catalogue::microsoft().into_iter().filter_map(|target| target.address.ip());
    addresses.collect::<BTreeSet<_>>().into_iter().collect()
}
