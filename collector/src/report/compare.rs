//! Comparison of two providers (rules, §10): only what both measured at the same location, of the same target, by the same
//! metric, family and path and in the same quarter hour is compared, each day yields one difference, and the verdict is
//! what the interval of these proves. Where the providers have no location in common they are shown and not ranked.
//!
//! A probe that was lost counts as slower than any other, so that a provider gains nothing by losing what would be slow.

mod cells;
mod distribution;
mod judge;
mod loss_difference;
mod question;
mod shift;
#[cfg(test)]
mod tests;
mod threshold;

pub(super) use cells::median_of;
pub use cells::{CENSORED_MS, FEWEST_CELLS, FEWEST_PROBES};
pub use distribution::{Distribution, Share};
pub use loss_difference::{LossDifference, Lost, difference as loss_difference};
pub use question::{CompareQuestion, DEFAULT_METRIC, MAX_DAYS};
pub(super) use shift::median;
pub use shift::{FEWEST_DAYS, Shift, shift};
pub use threshold::Threshold;

use super::{Groups, Loss, loss::wilson, milliseconds::rounded_ms, question::same, silence::Silences};
use crate::{
    registry::Registrations,
    rfc3339,
    store::{Presences, Row},
};
use cells::{Cells, Place, Side, Sides};
use peerlight_proto::{metric::Metric, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How verdicts are to be read.
const METHOD: &str = "medians of quarter hours in which both measured the same target at the same location, with lost probes \
    as infinitely slow; the median difference of each day; Hodges-Lehmann over days with the exact signed-rank interval";

/// The answer to a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Comparison {
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub generated_at: Timestamp,
    /// The first instant of its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first instant after its span. Days are counted back from here.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// The provider that verdicts are about.
    pub provider: String,
    /// The one that it is compared with.
    pub against: String,
    /// From which difference on one is better.
    pub threshold: Threshold,
    /// How verdicts are come to.
    pub method: String,
    /// One for each metric.
    pub metrics: Vec<MetricComparison>,
}

/// A comparison by one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MetricComparison {
    /// Which time of a probe.
    #[schema(value_type = String)]
    pub metric: Metric,
    /// Over all locations that have enough days, each of which weighs alike.
    pub overall: Judgement,
    /// Location by location, where both measured.
    pub locations: Vec<LocationJudgement>,
    /// Where only one of the two measured: shown, never ranked.
    pub apart: Vec<Apart>,
}

/// A verdict on one location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LocationJudgement {
    /// The location, as ISO 3166-2.
    pub location: String,
    /// The verdict.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// How the times of the matched cells of the days that count are distributed; null where no day counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Judgement {
    /// What the provider is beside the one that it is compared with.
    pub verdict: Verdict,
    /// Why there are not enough data, if there are not.
    #[serde(default)]
    pub reason: Option<Reason>,
    /// Days that count: with at least 4 matched quarter hours, and overall with at least half of the locations.
    pub days: u32,
    /// Matched cells of those days: both sides have at least 10 probes in each.
    pub cells: u64,
    /// The provider's median minus the other's, in milliseconds: below zero the provider is faster. Null below 6 days.
    #[serde(default)]
    pub shift_ms: Option<Shift>,
    /// From which difference on one is better here, in milliseconds.
    #[serde(default)]
    pub threshold_ms: Option<f64>,
    /// The provider's own figures in the matched cells.
    pub provider: SideFigures,
    /// The other's.
    pub against: SideFigures,
    /// The provider's loss minus the other's, target by target (overall location by location), each by its matched cells.
    #[serde(default)]
    pub loss_difference: Option<LossDifference>,
}

/// What one provider's matched cells hold.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SideFigures {
    /// The median over days of the median over cells, with lost probes as infinitely slow.
    #[serde(default)]
    pub p50_ms: Option<f64>,
    /// The share that the network lost of all of them together.
    #[serde(default)]
    pub loss: Option<Loss>,
    /// Probes that were answered or lost.
    pub probes: u64,
    /// Cells most of whose probes were lost: they count as 60 s.
    pub censored_cells: u64,
}

/// What a provider is beside the one that it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Faster by at least the threshold: the whole interval is.
    Better,
    /// Slower by at least the threshold: the whole interval is.
    Worse,
    /// No difference that matters: the whole interval lies within the threshold.
    NoDifference,
    /// None of these can be said.
    InsufficientData,
}

/// Why a verdict cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nowhere did both measure.
    NoCommonLocation,
    /// Both measured, but never the same target in the same quarter hour with enough probes.
    NoMatchedCells,
    /// Fewer than 6 days count.
    TooFewDays,
    /// The interval holds differences that matter and such that do not.
    Undecided,
}

/// What one provider's probes took where the other measured nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Apart {
    /// Whose.
    pub provider: String,
    /// Where, as ISO 3166-2.
    pub location: String,
    /// Quarter hours of a target with at least 10 probes.
    pub cells: u64,
    /// What they hold, and all probes there.
    pub figures: SideFigures,
}

/// A comparison while the store's answers come in, a day at a time, so that no more than a day is held.
#[derive(Debug)]
pub struct Comparing {
    asked: CompareQuestion,
    groups: Arc<Groups>,
    cells: Cells,
    next: u32,
}

impl Comparing {
    /// Begins, given every registration of the organisation, what its agents measured, and where ICMP is never answered:
    /// there nothing is compared by it.
    pub fn new(
        asked: CompareQuestion,
        registrations: Registrations,
        presence: &Presences,
        silences: Silences,
    ) -> Self {
        let groups = Groups::new(asked.question.clone(), registrations, presence).with_silences(silences);
        let groups = Arc::new(groups);
        Self { asked, groups, cells: Cells::default(), next: 0 }
    }

    /// What the store groups its answers by.
    pub fn groups(&self) -> Arc<Groups> {
        Arc::clone(&self.groups)
    }

    /// Takes the answer to the next of [`CompareQuestion::days`].
    pub fn take(&mut self, rows: &[Row]) {
        let [provider, against] = &self.asked.providers;
        self.cells.take(self.next, rows, &self.groups, |name| {
            if same(name, provider) {
                Some(Side::Provider)
            } else {
                same(name, against).then_some(Side::Against)
            }
        });
        self.next += 1;
    }

    /// The answer.
    pub fn finish(self, now: Timestamp) -> Comparison {
        let [provider, against] = &self.asked.providers;
        let names =
            Sides { provider: self.groups.provider(provider), against: self.groups.provider(against) };
        let question = &self.asked.question;
        Comparison {
            generated_at: now,
            from: question.from,
            to: question.to,
            threshold: self.asked.threshold,
            method: METHOD.to_owned(),
            metrics: question.metrics.iter().map(|metric| self.metric(*metric, &names)).collect(),
            provider: names.provider,
            against: names.against,
        }
    }

    fn metric(&self, metric: Metric, names: &Sides<String>) -> MetricComparison {
        let places = self.cells.places.iter().filter(|((of, _), _)| *of == metric);
        let (mut common, mut apart) = (Vec::new(), Vec::new());
        for ((_, location), place) in places {
            match (place.alone.provider.lost.of > 0, place.alone.against.lost.of > 0) {
                (true, true) => common.push((location, place, judge::of_place(place, self.asked.threshold))),
                (true, false) => apart.push(shown(&names.provider, location, place, Side::Provider)),
                (false, true) => apart.push(shown(&names.against, location, place, Side::Against)),
                (false, false) => {}
            }
        }
        let judged: Vec<_> = common.iter().map(|(_, place, judgement)| (*place, judgement)).collect();
        let reason = if common.is_empty() {
            Reason::NoCommonLocation
        } else if common.iter().all(|(_, place, _)| place.matched == 0) {
            Reason::NoMatchedCells
        } else {
            Reason::TooFewDays
        };
        let overall = judge::overall(&judged, self.asked.threshold, reason);
        apart.sort_by(|one: &Apart, other| {
            (&one.provider, &one.location).cmp(&(&other.provider, &other.location))
        });
        let locations = common.into_iter();
        let locations = locations.map(|(location, place, judgement)| LocationJudgement {
            location: location.to_string(),
            judgement,
            distribution: distribution::distribution(&place.times, judge::lost(place)),
        });
        MetricComparison { metric, overall, locations: locations.collect(), apart }
    }
}

fn shown(provider: &str, location: &str, place: &Place, side: Side) -> Apart {
    let alone = match side {
        Side::Provider => &place.alone.provider,
        Side::Against => &place.alone.against,
    };
    let figures = SideFigures {
        p50_ms: shift::median(&mut alone.medians.clone()).map(rounded_ms),
        loss: wilson(alone.lost.lost, alone.lost.of),
        probes: alone.lost.of,
        censored_cells: alone.censored,
    };
    Apart { provider: provider.to_owned(), location: location.to_owned(), cells: alone.cells, figures }
}
