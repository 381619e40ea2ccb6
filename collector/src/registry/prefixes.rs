//! Prefixes, pure: how they are written, which are public, whose an address is, and who may not overlap whom.

mod table;

pub use table::PrefixTable;

use super::{Registration, names};
use ipnet::IpNet;
use peerlight_proto::time::Timestamp;
use std::{net::IpAddr, sync::LazyLock};

/// A text that is not a prefix that can be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// It is not CIDR.
    #[error("`{0}` is not a prefix in CIDR form, such as 192.0.2.0/24 or 2001:db8:7::/48")]
    NotCidr(String),
    /// It is an address without a length.
    #[error("`{0}` has no length; write {1} for this one address, or the network that it lies in")]
    NoLength(IpAddr, IpNet),
    /// Bits beyond its length are set.
    #[error("`{0}` has host bits set; did you mean {1}?")]
    HostBits(IpNet, IpNet),
    /// It is an IPv4 network in IPv6 clothes.
    #[error("`{0}` is IPv4-mapped; write the IPv4 prefix")]
    Mapped(IpNet),
    /// It is larger than anybody is given.
    #[error("`{0}` is too wide: a site has at most a /8")]
    TooWide(IpNet),
}

/// The shortest prefix that can be registered.
const MIN_LENGTH: u8 = 8;

/// Reads a prefix in CIDR form.
pub fn parse(text: &str) -> Result<IpNet, PrefixError> {
    let text = text.trim();
    let Ok(prefix) = text.parse::<IpNet>() else {
        return Err(match text.parse::<IpAddr>() {
            Ok(address) => PrefixError::NoLength(address, IpNet::from(address)),
            Err(_neither) => PrefixError::NotCidr(text.chars().take(80).collect()),
        });
    };
    let network = prefix.trunc();
    if let IpNet::V6(v6) = network
        && v6.prefix_len() >= 96
        && v6.network().to_ipv4_mapped().is_some()
    {
        Err(PrefixError::Mapped(prefix))
    } else if prefix.prefix_len() < MIN_LENGTH {
        Err(PrefixError::TooWide(prefix))
    } else if network != prefix {
        Err(PrefixError::HostBits(prefix, network))
    } else {
        Ok(network)
    }
}

/// Ranges that are not announced to the Internet, and what they are.
const NON_PUBLIC: [(&str, &str); 24] = [
    ("0.0.0.0/8", "\"this network\""),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "reserved (6to4 relays)"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/8", "reserved"),
    ("64:ff9b:1::/48", "for local translation"),
    ("100::/64", "discard-only"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "for documentation"),
    ("fc00::/7", "unique local"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
];

/// The same, read once.
static NON_PUBLIC_RANGES: LazyLock<Vec<(IpNet, &str)>> = LazyLock::new(|| {
    NON_PUBLIC.iter().filter_map(|(range, what)| Some((range.parse().ok()?, *what))).collect()
});

/// What is wrong with announcing this prefix, if it touches a range that nobody announces.
pub fn non_public(prefix: &IpNet) -> Option<&'static str> {
    NON_PUBLIC_RANGES.iter().find(|(range, _)| overlap(range, prefix)).map(|(_, what)| *what)
}

/// Whether two prefixes share an address.
pub fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// A span of validity: from its first instant to the first one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it; none means for ever.
    pub to: Option<Timestamp>,
}

impl Validity {
    /// Whether `instant` lies in it.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.from <= instant && self.to.is_none_or(|to| instant < to)
    }

    /// Whether the two share an instant.
    pub fn meets(&self, other: &Self) -> bool {
        let begins_before = |a: &Self, b: &Self| b.to.is_none_or(|to| a.from < to);
        !self.is_empty() && !other.is_empty() && begins_before(self, other) && begins_before(other, self)
    }

    fn is_empty(&self) -> bool {
        self.to.is_some_and(|to| to <= self.from)
    }
}

impl Registration {
    /// When it is valid.
    pub fn validity(&self) -> Validity {
        Validity { from: self.valid_from, to: self.valid_to }
    }

    /// The longest of its prefixes that this address lies in.
    pub fn longest_prefix(&self, address: IpAddr) -> Option<IpNet> {
        let address = address.to_canonical();
        let around = self.prefixes.iter().filter(|prefix| prefix.contains(&address));
        around.max_by_key(|prefix| prefix.prefix_len()).copied()
    }
}

/// A registration that somebody would like to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its site.
    pub site: &'a str,
    /// Its provider's name.
    pub provider: &'a str,
    /// Its prefixes.
    pub prefixes: &'a [IpNet],
    /// When it is to be valid.
    pub validity: Validity,
    /// Whether it may lie inside, or around, another prefix of the same provider.
    pub nested: bool,
}

/// Why the candidate cannot stand beside the registrations that are there: every reason, with both sides named. Those
/// that share no address with it have no say, so [`RegistrationIndex::touching`](super::RegistrationIndex::touching)
/// finds enough of them.
pub fn conflicts<'a>(
    candidate: &Candidate<'_>,
    there: impl IntoIterator<Item = &'a Registration>,
) -> Vec<String> {
    let mut reasons = within(candidate);
    for other in there.into_iter().filter(|other| candidate.validity.meets(&other.validity())) {
        let entry = format!("registration {}", other.id.0);
        let holder = Holder { site: &other.site, provider: &other.provider, entry: &entry };
        for theirs in &other.prefixes {
            for ours in candidate.prefixes.iter().filter(|ours| overlap(ours, theirs)) {
                reasons.extend(reason(candidate, ours, &holder, theirs));
            }
        }
    }
    reasons
}

/// What is wrong with the candidate's prefixes among themselves.
pub(super) fn within(candidate: &Candidate<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    for (index, ours) in candidate.prefixes.iter().enumerate() {
        for other in &candidate.prefixes[..index] {
            if ours == other {
                reasons.push(format!("{ours} is given twice"));
            } else if overlap(ours, other) && !candidate.nested {
                reasons.push(format!(
                    "{ours} and {other} overlap; give the wider one alone, or say that they are nested"
                ));
            }
        }
    }
    reasons
}

/// Who holds a prefix, in the words of people.
pub(super) struct Holder<'a> {
    /// Its site.
    pub(super) site: &'a str,
    /// Its provider's name.
    pub(super) provider: &'a str,
    /// Which entry it is: `registration 7`.
    pub(super) entry: &'a str,
}

/// Why the candidate cannot have `ours` while another has `theirs`, which overlaps it.
pub(super) fn reason(
    candidate: &Candidate<'_>,
    ours: &IpNet,
    other: &Holder<'_>,
    theirs: &IpNet,
) -> Option<String> {
    let holder = format!("site `{}` through {} ({})", other.site, other.provider, other.entry);
    if names::fold(candidate.provider) != names::fold(other.provider) {
        Some(format!(
            "{ours} of site `{}` through {} overlaps {theirs} of {holder}: a prefix belongs to one provider at a time",
            candidate.site, candidate.provider
        ))
    } else if ours == theirs {
        Some(format!("{ours} is already registered for {holder}"))
    } else if candidate.nested {
        None
    } else {
        Some(format!("{ours} overlaps {theirs} of {holder}; if that is meant, say that it is nested"))
    }
}

#[cfg(test)]
mod tests;
