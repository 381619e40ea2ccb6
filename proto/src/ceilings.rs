//! Ceilings (rules, §9): an agent is not a scanner. Agents refuse what lies beyond them unless `[limits] allow` on their
//! own machine widens them; the collector only warns of it.

use crate::target::ProbeKind;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    time::Duration,
};

/// The ports that may be probed.
const PORTS: [RangeInclusive<u16>; 4] = [443..=443, 80..=80, 53..=53, 3478..=3481];
/// The same as text, for messages.
pub const PORTS_TEXT: &str = "443, 80, 53, 3478-3481";

/// IPv4 networks that are not public unicast, each with its length (IANA's special-purpose registry).
const SPECIAL_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 31, 196, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// The part of IPv6 that is global unicast, by its first four groups and its length …
const GLOBAL_V6: ([u16; 4], u32) = ([0x2000, 0, 0, 0], 3);
/// … without these: protocol assignments (Teredo, benchmarks, ORCHID), documentation, 6to4.
const SPECIAL_V6: [([u16; 4], u32); 4] =
    [([0x2001, 0, 0, 0], 23), ([0x2001, 0xdb8, 0, 0], 32), ([0x2002, 0, 0, 0], 16), ([0x3fff, 0, 0, 0], 20)];
/// Where networks without IPv4 reach IPv4 (RFC 6052): judged by the address inside.
const NAT64: ([u16; 4], u32) = ([0x64, 0xff9b, 0, 0], 96);

/// Whether `address` is public unicast: the only kind that may be probed.
pub fn is_public_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| within_v4(address, *network)),
        IpAddr::V6(address) if within_v6(address, NAT64) => {
            let [.., a, b, c, d] = address.octets();
            is_public_unicast(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        IpAddr::V6(address) => {
            within_v6(address, GLOBAL_V6) && !SPECIAL_V6.iter().any(|network| within_v6(address, *network))
        }
    }
}

/// Whether `port` may be probed.
pub fn permits_port(port: u16) -> bool {
    PORTS.iter().any(|ports| ports.contains(&port))
}

/// The shortest time between two probes.
pub const fn shortest_interval(probe: &ProbeKind) -> Duration {
    match probe {
        ProbeKind::Https { .. } => Duration::from_secs(30),
        ProbeKind::Icmp | ProbeKind::Tcp { .. } | ProbeKind::Dns | ProbeKind::Udp { .. } => {
            Duration::from_secs(1)
        }
    }
}

fn within_v4(address: Ipv4Addr, (network, length): ([u8; 4], u32)) -> bool {
    (u32::from(address) ^ u32::from_be_bytes(network)).leading_zeros() >= length
}

fn within_v6(address: Ipv6Addr, ([a, b, c, d], length): ([u16; 4], u32)) -> bool {
    let network = Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0);
    (u128::from(address) ^ u128::from(network)).leading_zeros() >= length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_unicast_may_be_probed() {
        let may = |text: &str| is_public_unicast(text.parse().unwrap());
        for text in [
            "13.107.6.152",
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "223.255.255.254",
            "2603:1006::1",
            "2001:4860::8888",
            "64:ff9b::8.8.8.8",
        ] {
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
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "2001:1ff:ffff::1",
            "2002:a00:1::",
            "::ffff:8.8.8.8",
            "64:ff9b::10.0.0.1",
        ] {
            assert!(!may(text), "{text}");
        }
    }

    #[test]
    fn the_ports_are_those_of_the_text() {
        let permitted: Vec<u16> = (0..=u16::MAX).filter(|port| permits_port(*port)).collect();
        assert_eq!(permitted, [53, 80, 443, 3478, 3479, 3480, 3481]);
        assert_eq!(PORTS_TEXT, "443, 80, 53, 3478-3481");
    }

    #[test]
    fn a_whole_https_exchange_is_rarer_than_a_packet() {
        let seconds = |probe: &str| shortest_interval(&probe.parse().unwrap()).as_secs();
        assert_eq!(["icmp", "tcp:443", "udp:3478", "dns", "https"].map(seconds), [1, 1, 1, 1, 30]);
    }
}
