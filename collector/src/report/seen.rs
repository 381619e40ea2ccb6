//! What agents saw with probes: addresses, front doors, regions, statuses, issuers, causes of failures, and what they flagged.

use super::render::figure;
use peerlight_proto::measurement::Attribute;
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeMap};

/// How many values of a kind a row holds, the most frequent ones; bounds an answer.
const MAX_VALUES: usize = 16;
/// How many kinds a row holds: those below, then those of the most probes. Agents decide what kinds there are.
const MAX_KINDS: usize = 24;
/// The kinds of `peerlight.proto`.
const KINDS: [&str; 9] =
    ["address", "proxy", "status", "issuer", FRONT_DOOR, "region", FLAGS[0], FLAGS[1], "error"];
/// The front door that served.
pub const FRONT_DOOR: &str = "front_door";
/// Somebody else answered, or seems to.
pub const INTERCEPTION: &str = "interception";
/// What agents flag: somebody else answers, or DNS leads far away.
const FLAGS: [&str; 2] = [INTERCEPTION, "resolver"];

/// What was seen, by kind. Kinds are the agents' words: `address`, `front_door`, `region`, `status`, `issuer`, `error`,
/// `interception`, `resolver` and others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Seen(BTreeMap<String, Vec<Sighting>>);

/// A value that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sighting {
    /// Which.
    pub value: String,
    /// With how many probes.
    pub probes: u64,
}

impl Seen {
    /// The attributes by kind, of each the most frequent values first.
    pub(super) fn of(attributes: Vec<Attribute>) -> Self {
        let mut kinds: BTreeMap<String, Vec<Sighting>> = BTreeMap::new();
        for Attribute { kind, value, count } in attributes {
            kinds.entry(kind).or_default().push(Sighting { value, probes: count });
        }
        if kinds.len() > MAX_KINDS {
            let probes =
                |values: &[Sighting]| values.iter().fold(0_u64, |sum, one| sum.saturating_add(one.probes));
            let mut ranked: Vec<_> = kinds.into_iter().collect();
            ranked.sort_by_key(|(kind, values)| Reverse((KINDS.contains(&kind.as_str()), probes(values))));
            ranked.truncate(MAX_KINDS);
            kinds = ranked.into_iter().collect();
        }
        for values in kinds.values_mut() {
            values.sort_by(|a, b| (Reverse(a.probes), &a.value).cmp(&(Reverse(b.probes), &b.value)));
            values.truncate(MAX_VALUES);
        }
        Self(kinds)
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of a kind, the most frequent first.
    pub fn values(&self, kind: &str) -> &[Sighting] {
        self.0.get(kind).map_or(&[], Vec::as_slice)
    }

    /// The front doors that served, with their shares: `AMS 62.0%, FRA 38.0%`; empty where none named itself.
    pub fn front_doors(&self) -> String {
        let values = self.values(FRONT_DOOR);
        let all = values.iter().fold(0_u64, |sum, one| sum.saturating_add(one.probes)).max(1);
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than a double has")]
        let share =
            |one: &Sighting| format!("{} {}", one.value, figure::percent(one.probes as f64 / all as f64));
        values.iter().map(share).collect::<Vec<_>>().join(", ")
    }

    /// Whether several front doors served: traffic moved, or is spread.
    pub fn is_mixed(&self) -> bool {
        self.values(FRONT_DOOR).len() > 1
    }

    /// What agents flagged: `interception: unpublished address`.
    pub fn flags(&self) -> Vec<String> {
        let flags = FLAGS.iter().flat_map(|kind| self.values(kind).iter().map(move |one| (kind, one)));
        flags.map(|(kind, one)| format!("{kind}: {}", one.value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: &str, value: &str, count: u64) -> Attribute {
        Attribute { kind: kind.into(), value: value.into(), count }
    }

    #[test]
    fn front_doors_are_told_by_their_shares_and_flags_by_what_they_are() {
        let seen = Seen::of(vec![
            attribute("front_door", "AMS", 3),
            attribute("front_door", "FRA", 9),
            attribute("interception", "unpublished address", 2),
            attribute("resolver", "distant front door", 4),
        ]);
        assert_eq!((seen.front_doors().as_str(), seen.is_mixed()), ("FRA 75.0%, AMS 25.0%", true));
        assert_eq!(seen.flags(), ["interception: unpublished address", "resolver: distant front door"]);
        assert!(Seen::default().front_doors().is_empty() && !Seen::default().is_mixed());
    }

    #[test]
    fn the_most_frequent_values_are_kept_whatever_their_number() {
        let many = (0..1_000_u64).map(|number| attribute("address", &number.to_string(), number)).collect();
        let seen = Seen::of(many);
        let probes: Vec<_> = seen.values("address").iter().map(|one| one.probes).collect();
        assert_eq!(probes, (984..1_000).rev().collect::<Vec<_>>());
    }

    #[test]
    fn kinds_that_nobody_knows_do_not_crowd_out_the_others() {
        let mut many: Vec<_> =
            (0..1_000_u64).map(|number| attribute(&format!("k{number}"), "x", number + 10)).collect();
        many.push(attribute("interception", "captive portal", 1));
        let seen = Seen::of(many);
        assert_eq!(seen.0.len(), MAX_KINDS);
        assert_eq!(seen.flags(), ["interception: captive portal"]);
        assert!(seen.0.contains_key("k999") && !seen.0.contains_key("k0"));
    }
}
