//! Latency and loss by the hour of the day that clocks show at the location, and how much slower the busy hour is than the
//! quiet one. Pure.

mod contrast;
mod gather;
mod local;
mod question;
#[cfg(test)]
mod tests;

pub use contrast::BusyQuiet;
pub use question::{DEFAULT_LAST, Days, TimeOfDayQuestion};

use super::{Asked, Group, Groups, LatencyBounds, Loss, NoLoss, asked, silence::Silences};
use crate::{
    registry::{Location, Registrations},
    rfc3339,
    store::{Presences, Row},
};
use gather::Gathered;
use peerlight_proto::{metric::Metric, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How the figures are to be read.
const METHOD: &str = "quarter hours by the location's own clock; intervals of percentiles and losses are 95 %, within this sample; \
    the busy and the quiet hour have the greatest and the least median on every other day, their difference is that of the \
    days between: Hodges-Lehmann over days with the exact signed-rank interval, lost probes as infinitely slow";

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TimeOfDayReport {
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
    /// What was asked.
    pub question: Asked,
    /// How the figures are come to.
    pub method: String,
    /// One row for each group, metric and kind of days.
    pub rows: Vec<TimeOfDayRow>,
}

/// One group and metric over the days of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TimeOfDayRow {
    /// What it is grouped by.
    #[serde(flatten)]
    pub group: Group,
    /// Which time of a probe.
    #[schema(value_type = String)]
    pub metric: Metric,
    /// Which days count.
    pub days: Days,
    /// The IANA time zone that hours are of.
    pub time_zone: String,
    /// The hours in which anything was measured, in order.
    pub hours: Vec<HourFigures>,
    /// The busy hour against the quiet one; null where fewer than 3 days can choose them.
    pub busy_quiet: Option<BusyQuiet>,
}

/// An hour of the day, over all its days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HourFigures {
    /// From 0 to 23.
    pub hour: u8,
    /// On how many local days something was sent in it.
    pub days_measured: u32,
    /// Probes that left the machines.
    pub sent: u64,
    /// Answered in time: what the latencies are of.
    pub answered: u64,
    /// Answered by RST, ICMP unreachable or a failed handshake: not a loss.
    pub refused: u64,
    /// Echo requests to targets that never answer ICMP at their site while TCP works there: no loss.
    #[serde(default)]
    pub icmp_silent: u64,
    /// The share that the network lost, null if nothing could be.
    pub loss: Option<Loss>,
    /// Why there is no loss although probes were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_loss_because: Option<NoLoss>,
    /// Of the answered probes.
    pub latency_ms: HourLatency,
    /// With late, retransmitted and lost probes as infinitely slow; null where the rank falls on one.
    pub latency_incl_loss_ms: HourLatency,
    /// Intervals of `latency_ms`.
    pub latency_interval_ms: LatencyBounds,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HourLatency {
    /// The median; null below 10 probes.
    pub p50: Option<f64>,
    /// The 95th percentile; null below 20 probes.
    pub p95: Option<f64>,
}

/// An answer while the store's come in, part by part, so that no more than a part is held.
#[derive(Debug)]
pub struct Gathering {
    asked: TimeOfDayQuestion,
    groups: Arc<Groups>,
    gathered: Gathered,
}

impl Gathering {
    /// Begins, given every registration and location of the organisation, what its agents measured, and where ICMP is never
    /// answered.
    pub fn new(
        asked: TimeOfDayQuestion,
        registrations: Registrations,
        locations: &[Location],
        presence: &Presences,
        silences: Silences,
    ) -> Self {
        let groups = Groups::new(asked.question.clone(), registrations, presence).with_silences(silences);
        let gathered = Gathered::new(&asked.days, locations);
        Self { asked, groups: Arc::new(groups), gathered }
    }

    /// What the store groups its answers by.
    pub fn groups(&self) -> Arc<Groups> {
        Arc::clone(&self.groups)
    }

    /// Takes the answer to the next of [`TimeOfDayQuestion::parts`], which ends at `end`.
    pub fn take(&mut self, rows: &[Row], end: Timestamp) {
        self.gathered.take(rows, &self.groups, end);
    }

    /// The answer.
    pub fn finish(self, now: Timestamp) -> TimeOfDayReport {
        let Self { asked: TimeOfDayQuestion { question, .. }, groups, gathered } = self;
        TimeOfDayReport {
            generated_at: now,
            from: question.from,
            to: question.to,
            question: asked(&question),
            method: METHOD.to_owned(),
            rows: gathered.into_rows(&groups),
        }
    }
}
