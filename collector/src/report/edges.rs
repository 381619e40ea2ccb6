//! Edge mix: which front door served whom, over time, and whether it is the nearest that is known. Pure.

mod question;
mod shift;
#[cfg(test)]
mod tests;

pub use question::{DEFAULT_LAST, EdgesQuestion};
pub use shift::{EdgeShift, MAX_LISTED};

use super::{
    Asked, Evidence, Group, Groups, asked,
    group::GroupKey,
    latency::of_answered,
    served,
    served::{Slot, Slots},
};
use crate::{
    geography::{self, Area, Distance, Nearness, Places},
    rfc3339,
};
use peerlight_proto::{histogram::Histogram, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What codes are.
const CODES: &str = "codes are Microsoft's own, as answers name their front door; a code that is not in Microsoft's published table \
    has no city: it is not guessed";

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EdgesReport {
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub generated_at: Timestamp,
    /// The first instant of its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first instant after its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// What was asked; `step_seconds` is the length of a slot.
    pub question: Asked,
    /// What codes stand for.
    pub codes: String,
    /// One for each group whose HTTPS requests were answered.
    pub rows: Vec<EdgesRow>,
}

/// Who served one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EdgesRow {
    /// What it is grouped by.
    #[serde(flatten)]
    pub group: Group,
    /// Where the location is; null if nobody knows.
    pub area: Option<Area>,
    /// The front door of the table that is nearest to the middle of the location.
    pub nearest: Option<NearestEdge>,
    /// Requests whose answer named a front door.
    pub requests: u64,
    /// Answered connects of which no answer named one.
    pub untold: u64,
    /// The front doors, that of the most requests first.
    pub front_doors: Vec<EdgeShare>,
    /// How often another front door came to serve most of the requests.
    pub shift_count: u64,
    /// The latest of these changes, at most 64.
    pub shifts: Vec<EdgeShift>,
    /// The slots in which a front door was named, in order.
    pub slots: Vec<EdgeSlot>,
}

/// The nearest front door that is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NearestEdge {
    /// Its code.
    pub code: String,
    /// Its city.
    pub city: String,
    /// How far it is.
    pub distance: Distance,
}

/// What one front door served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EdgeShare {
    /// Its code, or the name of a node of another style; `unknown` where the front door did not say.
    pub code: String,
    /// Its city; null where the code is in no table.
    pub city: Option<String>,
    /// The city's country.
    pub country: Option<String>,
    /// Requests that it served.
    pub requests: u64,
    /// Of all requests that named a front door, from 0 to 1.
    pub share: f64,
    /// The start of the first slot in which it served.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub first_seen: Timestamp,
    /// The start of the last such slot.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: Timestamp,
    /// How far it is from the location; null where either is not known.
    pub distance: Option<Distance>,
    /// Whether it is the nearest that is known; null as above.
    pub nearness: Option<Nearness>,
    /// The median of the connects in the slots that it served alone; null below 10 of them.
    pub connect_p50_ms: Option<f64>,
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EdgeSlot {
    /// Its start.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub slot: Timestamp,
    /// Who served in it, by code.
    pub front_doors: Vec<SlotShare>,
}

/// What one front door served in one slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SlotShare {
    /// Its code.
    pub code: String,
    /// Requests.
    pub requests: u64,
}

/// Answers the groups' question, which has a step, from what was found.
pub fn edges(groups: &Groups, evidence: &Evidence<'_>, places: &Places, now: Timestamp) -> EdgesReport {
    let question = groups.question();
    EdgesReport {
        generated_at: now,
        from: question.from,
        to: question.to,
        question: asked(question),
        codes: CODES.to_owned(),
        rows: served::by_group(groups, evidence)
            .into_iter()
            .filter(|(_, slots)| slots.values().any(|slot| !slot.connects.is_empty() || slot.told() > 0))
            .map(|(group, slots)| row(groups, group, &slots, places))
            .collect(),
    }
}

fn row(groups: &Groups, group: GroupKey, slots: &Slots, places: &Places) -> EdgesRow {
    let group = groups.called(group);
    let area = group.location.as_deref().and_then(|code| places.area(code));
    let nearest = area.and_then(|area| {
        let edge = geography::nearest(&area)?;
        let distance = Distance::between(&area, edge);
        Some(NearestEdge { code: edge.code.clone(), city: edge.city.clone(), distance })
    });
    let (shift_count, shifts) = shift::shifts(slots);
    EdgesRow {
        nearest,
        requests: slots.values().map(Slot::told).sum(),
        untold: slots.values().map(Slot::untold).sum(),
        front_doors: shares(slots, area.as_ref()),
        shift_count,
        shifts,
        slots: slots
            .iter()
            .filter(|(_, slot)| slot.told() > 0)
            .map(|(at, slot)| slotted(*at, slot))
            .collect(),
        group,
        area,
    }
}

fn slotted(at: Timestamp, slot: &Slot) -> EdgeSlot {
    let shares = slot.doors.iter().map(|(code, count)| SlotShare { code: code.clone(), requests: *count });
    EdgeSlot { slot: at, front_doors: shares.collect() }
}

/// What is known of a front door while slots are gone through.
struct Found {
    requests: u64,
    first: Timestamp,
    last: Timestamp,
    alone: Histogram,
}

fn shares(slots: &Slots, area: Option<&Area>) -> Vec<EdgeShare> {
    let mut doors: BTreeMap<&str, Found> = BTreeMap::new();
    for (at, slot) in slots {
        for (code, count) in &slot.doors {
            let found = doors.entry(code).or_insert_with(|| Found {
                requests: 0,
                first: *at,
                last: *at,
                alone: Histogram::default(),
            });
            found.requests = found.requests.saturating_add(*count);
            found.last = *at;
            if slot.only() == Some(code) {
                found.alone.merge(&slot.connects);
            }
        }
    }
    let all = doors.values().map(|found| found.requests).sum();
    let mut shares: Vec<_> = doors.into_iter().map(|(code, found)| share(code, &found, all, area)).collect();
    // Sorted by code already, and stable.
    shares.sort_by_key(|share| std::cmp::Reverse(share.requests));
    shares
}

fn share(code: &str, found: &Found, all: u64, area: Option<&Area>) -> EdgeShare {
    let edge = geography::edge(code);
    let both = area.zip(edge);
    EdgeShare {
        code: code.to_owned(),
        city: edge.map(|edge| edge.city.clone()),
        country: edge.map(|edge| edge.country.clone()),
        requests: found.requests,
        share: ratio(found.requests, all),
        first_seen: found.first,
        last_seen: found.last,
        distance: both.map(|(area, edge)| Distance::between(area, edge)),
        nearness: both.map(|(area, edge)| geography::nearness(area, edge)),
        connect_p50_ms: of_answered(&found.alone).p50,
    }
}

/// A share, to a millionth.
#[expect(clippy::cast_precision_loss, reason = "counts of probes stay far below 2^53")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    (part as f64 / whole.max(1) as f64 * 1e6).round() / 1e6
}
