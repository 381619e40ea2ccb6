//! Physics: round trips beside the least that light in fibre takes from the location to the front door that served. Pure.
//!
//! Only slots count in which one front door served every connect, so that each time is of that door. The location is a circle and
//! the door is somewhere in its city, so the bound is that of the least distance, and how many times it the round trip takes
//! (stretch) is a range. A round trip below the bound is no record: somebody nearer answered, or the location is wrong.

#[cfg(test)]
mod tests;

use super::{
    Asked, Evidence, Group, Groups, Latency, asked, latency::of_answered, milliseconds::rounded_ms, served,
    served::Slots,
};
use crate::{
    geography::{self, Area, Distance, Places, fibre_rtt_ms},
    rfc3339,
};
use peerlight_proto::{histogram::Histogram, series::Path, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How the figures are come to.
const METHOD: &str = "TCP connects of HTTPS probes, in slots in which one front door served all of them; the bound is the great circle \
    from the nearest edge of the location to the nearest edge of the front door's city (50 km around it), there and back, at the \
    speed of light in fibre (index 1.468); stretch is the 5th percentile over that bound, and over that of the greatest distance";
/// Up to this stretch a path is good …
const GOOD: f64 = 2.0;
/// … and beyond this one it is a detour.
const DETOUR: f64 = 4.0;
/// A round trip is only held against the bound where it is this much below it: clocks have microseconds, cities districts.
const CLEARLY_MS: f64 = 0.1;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PhysicsReport {
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
    /// How the figures are come to.
    pub method: String,
    /// One for each group and front door, and one for each group's slots that several front doors served.
    pub rows: Vec<PhysicsRow>,
}

/// One group and front door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PhysicsRow {
    /// What it is grouped by.
    #[serde(flatten)]
    pub group: Group,
    /// Where the location is; null if nobody knows.
    pub area: Option<Area>,
    /// The front door's code; null for connects of which it is not known which of several they went to.
    pub front_door: Option<String>,
    /// Its city; null where the code is in no table.
    pub city: Option<String>,
    /// How far it is.
    pub distance: Option<Distance>,
    /// Answered connects.
    pub answered: u64,
    /// How long they took.
    pub latency_ms: Latency,
    /// The least that the round trip can take; null where a place is not known.
    pub bound_ms: Option<f64>,
    /// How many times the bound the 5th percentile is; null where it cannot be said.
    pub stretch: Option<Stretch>,
    /// What to make of it.
    pub verdict: Option<PhysicsVerdict>,
    /// Why there is no verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_verdict_because: Option<NoVerdict>,
}

/// How many times the least round trip the measured one is: a range, since the places are no points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stretch {
    /// At least, if the two are as far apart as may be.
    pub low: f64,
    /// At most, if they are as near as may be; null where they may be at one place.
    pub high: Option<f64>,
}

/// What to make of a round trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhysicsVerdict {
    /// Faster than light in fibre: somebody nearer answered, or the location or the front door is not where it should be.
    InterceptionOrWrongLocation,
    /// At most twice the bound, wherever the places are.
    Good,
    /// Neither surely good nor surely a detour.
    Typical,
    /// More than four times the bound, wherever the places are.
    Detour,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoVerdict {
    /// Connects went to the site's proxy, not to the front door.
    Proxied,
    /// Several front doors served within a slot, or an answer named none.
    SeveralFrontDoors,
    /// The front door's code is in no table.
    UnknownFrontDoor,
    /// Nobody knows where the location is: give it coordinates.
    UnknownLocation,
    /// The location is so wide that the front door may stand in it: give it coordinates.
    MayBeNear,
    /// Fewer than 20 connects.
    TooFew,
}

/// Answers the groups' question, which has a step, from what was found.
pub fn physics(groups: &Groups, evidence: &Evidence<'_>, places: &Places, now: Timestamp) -> PhysicsReport {
    let question = groups.question();
    let mut rows = Vec::new();
    for (group, slots) in served::by_group(groups, evidence) {
        let group = groups.called(group);
        let area = group.location.as_deref().and_then(|code| places.area(code));
        let connects = by_door(&slots).into_iter().filter(|(_, connects)| !connects.is_empty());
        rows.extend(connects.map(|(door, connects)| row(&group, area, door, &connects)));
    }
    PhysicsReport {
        generated_at: now,
        from: question.from,
        to: question.to,
        question: asked(question),
        method: METHOD.to_owned(),
        rows,
    }
}

/// The connects to each front door that served whole slots, by its code, and those of the other slots under none.
fn by_door(slots: &Slots) -> BTreeMap<Option<&str>, Histogram> {
    let mut doors: BTreeMap<Option<&str>, Histogram> = BTreeMap::new();
    for slot in slots.values() {
        doors.entry(slot.only()).or_default().merge(&slot.connects);
    }
    doors
}

fn row(group: &Group, area: Option<Area>, door: Option<&str>, connects: &Histogram) -> PhysicsRow {
    let edge = door.and_then(geography::edge);
    let distance = area
        .zip(edge)
        .filter(|_| group.path == Path::Direct)
        .map(|(area, edge)| Distance::between(&area, edge));
    let latency_ms = of_answered(connects);
    let judged = match distance {
        _ if group.path == Path::Proxy => Err(NoVerdict::Proxied),
        _ if door.is_none() => Err(NoVerdict::SeveralFrontDoors),
        _ if edge.is_none() => Err(NoVerdict::UnknownFrontDoor),
        None => Err(NoVerdict::UnknownLocation),
        Some(distance) => judge(distance, &latency_ms),
    };
    PhysicsRow {
        group: group.clone(),
        area,
        front_door: door.map(str::to_owned),
        city: edge.map(|edge| edge.city.clone()),
        distance,
        answered: connects.count(),
        latency_ms,
        bound_ms: distance.map(|distance| rounded_ms(fibre_rtt_ms(distance.least_km))),
        stretch: distance.and_then(|distance| stretch(distance, &latency_ms)),
        verdict: judged.ok(),
        no_verdict_because: judged.err(),
    }
}

/// A verdict of what is known, or why there is none.
fn judge(distance: Distance, latency: &Latency) -> Result<PhysicsVerdict, NoVerdict> {
    if latency.min.is_some_and(|min| min + CLEARLY_MS < fibre_rtt_ms(distance.least_km)) {
        return Ok(PhysicsVerdict::InterceptionOrWrongLocation);
    }
    match stretch(distance, latency).ok_or(NoVerdict::TooFew)? {
        Stretch { low, .. } if low > DETOUR => Ok(PhysicsVerdict::Detour),
        Stretch { high: None, .. } => Err(NoVerdict::MayBeNear),
        Stretch { high: Some(high), .. } if high <= GOOD => Ok(PhysicsVerdict::Good),
        Stretch { .. } => Ok(PhysicsVerdict::Typical),
    }
}

/// None where there are too few connects, or where they are faster than light: that is no stretch.
fn stretch(distance: Distance, latency: &Latency) -> Option<Stretch> {
    let p5 = latency.p5?;
    let [least, most] = [distance.least_km, distance.most_km].map(fibre_rtt_ms);
    if latency.min.is_some_and(|min| min + CLEARLY_MS < least) || most <= 0.0 {
        return None;
    }
    let rounded = |ratio: f64| (ratio * 100.0).round() / 100.0;
    Some(Stretch { low: rounded(p5 / most), high: (least > 0.0).then(|| rounded(p5 / least)) })
}
