//! Groups: what rows of a report are about, by the dimensions that were asked for.

use super::Dimension;
use crate::{
    registry::{Registration, RegistrationId},
    store::{Presence, Row},
};
use ipnet::IpNet;
use peerlight_proto::{
    id::TargetId,
    series::{Family, Path, Series},
    target::Target,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The names of a group; only those that were asked for are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Group {
    /// The provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The location, as ISO 3166-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The target's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The target's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What is done at the target: `icmp`, `tcp:443`, `https`, `dns`, `udp:3478`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The registered prefix; off-prefix the network of the public address that was seen, or `none` where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The address family, `v4` or `v6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Straight to the target, `direct`, or through the site's proxy, `proxy`: never added up, for they are different ways.
    #[schema(value_type = String)]
    pub path: Path,
}

impl Group {
    /// Its name in one dimension.
    pub fn name(&self, dimension: Dimension) -> &str {
        let name = match dimension {
            Dimension::Provider => &self.provider,
            Dimension::Location => &self.location,
            Dimension::Site => &self.site,
            Dimension::Target => &self.target,
            Dimension::Prefix => &self.prefix,
            Dimension::Family => &self.family,
        };
        name.as_deref().unwrap_or_default()
    }

    /// Its names in the order of `by`, in one line.
    pub fn label(&self, by: &[Dimension]) -> String {
        let names = by.iter().map(|dimension| self.name(*dimension));
        names.chain(self.is_proxied().then_some("through the proxy")).collect::<Vec<_>>().join(" · ")
    }

    /// Whether the probes went through the site's proxy.
    pub fn is_proxied(&self) -> bool {
        self.path == Path::Proxy
    }
}

/// The registered prefix that a row's lies in. What was re-attributed still bears the one that it was measured under, or
/// its own network.
fn registered(registration: Option<&Registration>, prefix: IpNet) -> IpNet {
    let prefixes = registration.map_or(&[][..], |entry| &entry.prefixes);
    let around = prefixes.iter().filter(|registered| registered.contains(&prefix));
    around.max_by_key(|registered| registered.prefix_len()).copied().unwrap_or(prefix)
}

/// A group as it is ordered: one part for each dimension, in the order asked for, then the path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupKey {
    parts: Vec<Part>,
    path: Path,
}

/// What a group is, in one dimension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Text(Dimension, String),
    Target(String, TargetId),
    Prefix(Option<IpNet>),
    Family(Family),
}

/// Names groups: one target has one name here, whatever its agents call it.
pub(super) struct Names<'a> {
    by: &'a [Dimension],
    registrations: &'a BTreeMap<RegistrationId, &'a Registration>,
    targets: BTreeMap<TargetId, &'a Target>,
}

impl<'a> Names<'a> {
    pub(super) fn new(
        by: &'a [Dimension],
        registrations: &'a BTreeMap<RegistrationId, &'a Registration>,
        presence: &'a [Presence],
        rows: &'a [Row],
    ) -> Self {
        let mut targets: BTreeMap<TargetId, &Target> = BTreeMap::new();
        for series in presence.iter().map(|seen| &seen.series).chain(rows.iter().map(|row| &row.series)) {
            let known = targets.entry(series.key.target).or_insert(&series.target);
            if series.target.name < known.name {
                *known = &series.target;
            }
        }
        Self { by, registrations, targets }
    }

    /// The group of a series; `prefix` is what the row says of it, which a schedule has none of.
    pub(super) fn key(
        &self,
        registration: RegistrationId,
        series: &Series,
        prefix: Option<IpNet>,
    ) -> GroupKey {
        let entry = self.registrations.get(&registration).copied();
        // A registration is never deleted; a row without one still shows rather than vanishes.
        let named = |of: fn(&Registration) -> &String| {
            entry
                .map_or_else(|| format!("unknown registration {}", registration.0), |entry| of(entry).clone())
        };
        let parts = self
            .by
            .iter()
            .map(|dimension| match dimension {
                Dimension::Provider => Part::Text(*dimension, named(|entry| &entry.provider)),
                Dimension::Location => Part::Text(*dimension, named(|entry| &entry.location)),
                Dimension::Site => Part::Text(*dimension, named(|entry| &entry.site)),
                Dimension::Target => {
                    let name = self.targets.get(&series.key.target).map(|target| target.name.clone());
                    Part::Target(name.unwrap_or_default(), series.key.target)
                }
                Dimension::Prefix => Part::Prefix(prefix.map(|prefix| registered(entry, prefix))),
                Dimension::Family => Part::Family(series.key.family),
            })
            .collect();
        GroupKey { parts, path: series.key.path }
    }

    /// What the key means.
    pub(super) fn group(&self, key: &GroupKey) -> Group {
        let mut group = Group {
            provider: None,
            location: None,
            site: None,
            target: None,
            address: None,
            probe: None,
            prefix: None,
            family: None,
            path: key.path,
        };
        for part in &key.parts {
            match part {
                Part::Text(Dimension::Provider, name) => group.provider = Some(name.clone()),
                Part::Text(Dimension::Location, name) => group.location = Some(name.clone()),
                Part::Text(_, name) => group.site = Some(name.clone()),
                Part::Target(name, id) => {
                    group.target = Some(name.clone());
                    let target = self.targets.get(id);
                    group.address = target.map(|target| target.address.to_string());
                    group.probe = target.map(|target| target.probe.to_string());
                }
                Part::Prefix(prefix) => {
                    group.prefix =
                        Some(prefix.map_or_else(|| "none".to_owned(), |prefix| prefix.to_string()));
                }
                Part::Family(family) => group.family = Some(family.to_string()),
            }
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::registration;

    #[test]
    fn a_row_is_shown_under_the_longest_registered_prefix_around_its_own() {
        let prefixes = ["192.0.2.0/24", "192.0.2.0/26"].map(|text| text.parse().unwrap()).to_vec();
        let entry = Registration { prefixes, ..registration(1, "Aurora", "GB-LND") };
        let shown = |text: &str| registered(Some(&entry), text.parse().unwrap()).to_string();
        assert_eq!(shown("192.0.2.0/26"), "192.0.2.0/26");
        assert_eq!(shown("192.0.2.16/28"), "192.0.2.0/26");
        assert_eq!(shown("192.0.2.128/25"), "192.0.2.0/24");
        assert_eq!(shown("198.51.100.0/24"), "198.51.100.0/24", "off-prefix");
    }
}
