//! What registered prefixes would cost as connections of Azure Peering Service: an estimate, by Microsoft's published rule that
//! each /24 of a prefix is billed by the month, and that a smaller prefix is billed as a /24. Pure.
//!
//! Connections are billed one by one: two prefixes that lie in one /24 are two units. IPv6 has no Azure price; a /48, the
//! smallest that the Internet routes, is counted as one unit and shown apart.

use ipnet::IpNet;
use std::ops::Add;

/// Dollars a month for each /24.
pub const DOLLARS_PER_UNIT: u64 = 15;

/// Units of some prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Units {
    /// /24s of IPv4.
    pub v4: u64,
    /// /48s of IPv6, which have no Azure price.
    pub v6: u64,
}

impl Units {
    /// Of one registered prefix.
    pub fn of(prefix: &IpNet) -> Self {
        let beyond = |smallest: u8, length: u8| 1_u64 << smallest.saturating_sub(length);
        match prefix {
            IpNet::V4(prefix) => Self { v4: beyond(24, prefix.prefix_len()), v6: 0 },
            IpNet::V6(prefix) => Self { v4: 0, v6: beyond(48, prefix.prefix_len()) },
        }
    }

    /// Of many, each by itself.
    pub fn of_all<'a>(prefixes: impl IntoIterator<Item = &'a IpNet>) -> Self {
        prefixes.into_iter().map(Self::of).fold(Self::default(), Add::add)
    }

    /// Dollars a month for what has a price.
    pub fn dollars(self) -> u64 {
        self.v4.saturating_mul(DOLLARS_PER_UNIT)
    }
}

impl Add for Units {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { v4: self.v4.saturating_add(other.v4), v6: self.v6.saturating_add(other.v6) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(prefixes: &[&str]) -> u64 {
        let prefixes: Vec<IpNet> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        Units::of_all(&prefixes).dollars()
    }

    #[test]
    fn the_four_published_examples() {
        assert_eq!(dollars(&["203.0.113.0/27"]), 15, "one /27");
        assert_eq!(dollars(&["203.0.113.0/24"]), 15, "one /24");
        let four = ["198.51.100.0/25", "198.51.100.128/25", "203.0.113.0/25", "203.0.113.128/25"];
        assert_eq!(dollars(&four), 60, "four /25 on four connections");
        assert_eq!(dollars(&["198.51.100.0/22"]), 60, "one /22");
    }

    #[test]
    fn ipv6_has_units_and_no_price_and_nothing_overflows() {
        let units = |text: &str| Units::of(&text.parse().unwrap());
        assert_eq!(units("2001:db8::/47"), Units { v4: 0, v6: 2 });
        assert_eq!((units("2001:db8::/64").v6, units("2001:db8::/64").dollars()), (1, 0));
        assert_eq!((units("0.0.0.0/0").v4, units("::/0").v6), (1 << 24, 1 << 48));
    }
}
