//! Shifts: another front door comes to serve most of the requests. Pure.

use crate::{
    report::{latency::of_answered, served::Slots},
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The most shifts that a row lists, the latest ones.
pub const MAX_LISTED: usize = 64;

/// One change of the front door that served most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EdgeShift {
    /// The start of the first slot in which the other one served more than half of the requests.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The code of the one before.
    pub from: String,
    /// The code of the one since.
    pub to: String,
    /// The median of the connects in the last slot before; null below 10 of them.
    pub p50_before_ms: Option<f64>,
    /// The median of the connects in this slot; null below 10 of them.
    pub p50_after_ms: Option<f64>,
}

/// How many shifts there were, and the latest. A slot in which none served more than half ends nothing.
pub(super) fn shifts(slots: &Slots) -> (u64, Vec<EdgeShift>) {
    let mains = slots.iter().filter_map(|(at, slot)| Some((*at, slot, slot.main()?)));
    let mut shifts = Vec::new();
    let mut before = None;
    for (at, slot, main) in mains {
        if let Some((earlier, code)) = before.replace((slot, main))
            && code != main
        {
            let [p50_before_ms, p50_after_ms] = [earlier, slot].map(|slot| of_answered(&slot.connects).p50);
            shifts.push(EdgeShift {
                at,
                from: code.to_owned(),
                to: main.to_owned(),
                p50_before_ms,
                p50_after_ms,
            });
        }
    }
    let count = shifts.len() as u64;
    let latest = shifts.split_off(shifts.len().saturating_sub(MAX_LISTED));
    (count, latest)
}
