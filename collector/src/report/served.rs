//! Served: which front doors served a group's HTTPS requests, slot by slot, and how long the connects to them took. Pure.

use super::{Evidence, FRONT_DOOR, Groups, group::GroupKey};
use hashbrown::HashMap;
use peerlight_proto::{histogram::Histogram, metric::Metric, time::Timestamp};
use std::collections::BTreeMap;

/// The metric whose measurements are looked at: each probe's front door stands with each of its phases, and this one is a round
/// trip to it.
pub(super) const METRIC: Metric = Metric::HttpsTcp;

/// What a group's requests of a slot were served by.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    /// How many requests each front door said to have served, by its code.
    pub(super) doors: BTreeMap<String, u64>,
    /// The times of all connects.
    pub(super) connects: Histogram,
}

impl Slot {
    /// How many requests said who served them.
    pub(super) fn told(&self) -> u64 {
        self.doors.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many connects were answered by nobody knows whom.
    pub(super) fn untold(&self) -> u64 {
        self.connects.count().saturating_sub(self.told())
    }

    /// The front door that served more than half of the requests that told.
    pub(super) fn main(&self) -> Option<&str> {
        let told = self.told();
        let main = self.doors.iter().find(|(_, count)| count.saturating_mul(2) > told);
        main.map(|(code, _)| code.as_str())
    }

    /// The front door that served everything: every connect of the slot went to it.
    pub(super) fn only(&self) -> Option<&str> {
        let mut doors = self.doors.keys();
        let first = doors.next().filter(|_| self.untold() == 0)?;
        doors.next().is_none().then_some(first.as_str())
    }
}

/// A group's slots in order.
pub(super) type Slots = BTreeMap<Timestamp, Slot>;

/// What served each group, in the order of their names.
pub(super) fn by_group(groups: &Groups, evidence: &Evidence<'_>) -> Vec<(GroupKey, Slots)> {
    let mut found: HashMap<GroupKey, Slots> = HashMap::new();
    for row in evidence.rows {
        let Some(share) = groups.share(row.group) else { continue };
        if share.metric != METRIC || !share.counting.counts() {
            continue;
        }
        let slot = found.entry(share.group).or_default().entry(row.slot).or_default();
        slot.connects.merge(&row.totals.histogram);
        for attribute in row.totals.attributes.iter().filter(|attribute| attribute.kind == FRONT_DOOR) {
            let count = slot.doors.entry(attribute.value.clone()).or_default();
            *count = count.saturating_add(attribute.count);
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    groups.sort(&mut found, |(group, _)| (*group, ()));
    found
}
