//! Ceilings: what may be probed at all. An agent is not a scanner (rules, §9): no assignment can raise these, only
//! `[limits] allow` on the machine itself. Pure.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

/// The ports that may be probed outside the allowed networks.
const PORTS: [RangeInclusive<u16>; 4] = [443..=443, 80..=80, 53..=53, 3478..=3481];

/// IPv4 networks that are not public unicast (IANA's special-purpose registry).
const SPECIAL_V4: [Ipv4Net; 16] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 31, 196, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// The part of IPv6 that is global unicast …
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0], 3);
/// … without these: protocol assignments (Teredo, benchmarks, ORCHID), documentation, 6to4.
const SPECIAL_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0], 32),
    v6([0x2002, 0, 0, 0], 16),
    v6([0x3fff, 0, 0, 0], 20),
];
/// Where networks without IPv4 reach IPv4 (RFC 6052): judged by the address inside.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);

/// An address or port that may not be probed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutsideCeilings {
    /// Not a public unicast address.
    #[error("{0} is not public unicast; [limits] allow on this machine would permit it")]
    Address(IpAddr),
    /// A public address, but not a port that agents probe.
    #[error("port {0} is none of 443, 80, 53, 3478-3481; [limits] allow on this machine would permit it")]
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
            Some(port) if !PORTS.iter().any(|ports| ports.contains(&port)) => {
                Err(OutsideCeilings::Port(port))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn is_public_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) if NAT64.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            is_public_unicast(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|network| network.contains(&address))
        }
    }
}

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b, c, d]: [u16; 4], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_unicast_may_be_probed() {
        let ceilings = Ceilings::new(Vec::new());
        let may = |text: &str| ceilings.check(text.parse().unwrap(), Some(443)).is_ok();
        for text in ["13.107.6.152", "1.1.1.1", "223.255.255.254", "2603:1006::1", "2001:4860::8888"] {
            assert!(may(text), "{text}");
        }
        for text in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.0.1",
            "192.168.1.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "2002:a00:1::",
            "::ffff:8.8.8.8",
            "64:ff9b::10.0.0.1",
        ] {
            assert!(!may(text), "{text}");
        }
        assert!(may("64:ff9b::8.8.8.8"));
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
