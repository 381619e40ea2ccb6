//! Ceilings: what may be probed at all. An agent is not a scanner (rules, §9): no assignment can raise these, only
//! `[limits] allow` on the machine itself. The rule stands in [`peerlight_proto::ceilings`]. Pure.

use ipnet::IpNet;
use peerlight_proto::ceilings::{PORTS_TEXT, is_public_unicast, permits_port};
use std::net::IpAddr;

/// An address or port that may not be probed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutsideCeilings {
    /// Not a public unicast address.
    #[error("{0} is not public unicast; [limits] allow on this machine would permit it")]
    Address(IpAddr),
    /// A public address, but not a port that agents probe.
    #[error("port {0} is none of {PORTS_TEXT}; [limits] allow on this machine would permit it")]
    Port(u16),
}

/// What may be probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceilings {
    allow: Vec<IpNet>,
}

impl Ceilings {
    /// The ceilings of the rules, widened by the networks in `allow`, where ports are free, too.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow }
    }

    /// Whether `address` may be probed, at `port` if the probe has one.
    pub fn check(&self, address: IpAddr, port: Option<u16>) -> Result<(), OutsideCeilings> {
        if self.allows(address) {
            return Ok(());
        }
        if !is_public_unicast(address) {
            return Err(OutsideCeilings::Address(address));
        }
        Self::check_port(port)
    }

    /// Whether `address` lies in a network that the machine's owner allowed.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&address))
    }

    /// Whether a probe at `port` is within the ceilings wherever its target lies.
    pub fn check_port(port: Option<u16>) -> Result<(), OutsideCeilings> {
        match port {
            Some(port) if !permits_port(port) => Err(OutsideCeilings::Port(port)),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_are_bound_and_allowed_networks_are_free() {
        let ceilings = Ceilings::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let check = |text: &str| ceilings.check(text.parse().unwrap(), Some(443));
        for text in ["13.107.6.152", "10.1.2.3", "2603:1006::1"] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        for text in ["127.0.0.1", "169.254.169.254", "fd00::1"] {
            assert_eq!(check(text), Err(OutsideCeilings::Address(text.parse().unwrap())));
        }
    }

    #[test]
    fn ports_are_bound_except_in_allowed_networks() {
        let ceilings = Ceilings::new(vec!["127.0.0.0/8".parse().unwrap()]);
        let public = IpAddr::from([1, 1, 1, 1]);
        for port in [443, 80, 53, 3478, 3481] {
            assert_eq!(ceilings.check(public, Some(port)), Ok(()));
        }
        for port in [22, 3477, 3482, 8443] {
            assert_eq!(ceilings.check(public, Some(port)), Err(OutsideCeilings::Port(port)));
        }
        assert_eq!(ceilings.check(public, None), Ok(()));
        assert_eq!(ceilings.check(IpAddr::from([127, 9, 9, 9]), Some(22)), Ok(()));
    }

    #[test]
    fn the_refusal_says_what_would_permit_it() {
        let refusal = Ceilings::new(Vec::new()).check(IpAddr::from([10, 0, 0, 1]), None).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "10.0.0.1 is not public unicast; [limits] allow on this machine would permit it"
        );
    }
}
