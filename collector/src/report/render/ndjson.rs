//! Reports as NDJSON: a JSON document a line for each row, with the figures and names of their JSON.

use crate::report::{
    Group, Report,
    availability::AvailabilityReport,
    compare::{Apart, Comparison, MetricComparison},
    edges::EdgesReport,
    physics::PhysicsReport,
    series::{SeriesReport, SeriesSlot},
    time_of_day::{BusyQuiet, Days, HourFigures, TimeOfDayReport},
    yardsticks::YardsticksReport,
};
use peerlight_proto::metric::Metric;
use serde::Serialize;

/// The rows of a report of latency.
pub fn latency(report: &Report) -> Result<String, serde_json::Error> {
    lines(&report.rows)
}

/// The rows of a report of availability, with their outages and gaps.
pub fn availability(report: &AvailabilityReport) -> Result<String, serde_json::Error> {
    lines(&report.rows)
}

/// The rows of an edge mix, with their shifts and slots.
pub fn edges(report: &EdgesReport) -> Result<String, serde_json::Error> {
    lines(&report.rows)
}

/// The rows of a report of physics.
pub fn physics(report: &PhysicsReport) -> Result<String, serde_json::Error> {
    lines(&report.rows)
}

/// The rows of Microsoft's yardsticks.
pub fn yardsticks(report: &YardsticksReport) -> Result<String, serde_json::Error> {
    lines(&report.rows)
}

/// Series: each slot of each, with its distribution.
pub fn series(report: &SeriesReport) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        group: &'a Group,
        metric: Metric,
        #[serde(flatten)]
        slot: &'a SeriesSlot,
    }
    let slots = report.series.iter().flat_map(|row| row.slots.iter().map(move |slot| (row, slot)));
    lines(slots.map(|(row, slot)| Line { group: &row.group, metric: row.metric, slot }))
}

/// A report of the time of day: each hour of each row, and what is said of the row's busy and quiet hour in each.
pub fn time_of_day(report: &TimeOfDayReport) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        group: &'a Group,
        metric: Metric,
        days: Days,
        time_zone: &'a str,
        #[serde(flatten)]
        hour: &'a HourFigures,
        busy_quiet: Option<BusyQuiet>,
    }
    lines(report.rows.iter().flat_map(|row| {
        row.hours.iter().map(|hour| Line {
            group: &row.group,
            metric: row.metric,
            days: row.days,
            time_zone: &row.time_zone,
            hour,
            busy_quiet: row.busy_quiet,
        })
    }))
}

/// What a line of a comparison is about, before what it says: names as in CSV.
#[derive(Serialize)]
struct Line<'a, T> {
    metric: Metric,
    scope: &'static str,
    location: Option<&'a str>,
    names: [&'a str; 2],
    #[serde(flatten)]
    row: &'a T,
}

/// A comparison: each metric over all, each of its locations, and where only one of the two measured. `names` are the
/// provider's and that of the one that it is compared with, whose figures stand under `provider` and `against`.
pub fn comparison(comparison: &Comparison) -> Result<String, serde_json::Error> {
    let names = [comparison.provider.as_str(), comparison.against.as_str()];
    let mut text = String::new();
    for MetricComparison { metric, overall, locations, apart } in &comparison.metrics {
        let metric = *metric;
        text += &lines([Line { metric, scope: "overall", location: None, names, row: overall }])?;
        text += &lines(locations.iter().map(|place| {
            let location = Some(place.location.as_str());
            Line { metric, scope: "location", location, names, row: &place.judgement }
        }))?;
        text += &lines(apart.iter().map(|row| Alone { metric, scope: "apart", row }))?;
    }
    Ok(text)
}

/// Where only one provider measured.
#[derive(Serialize)]
struct Alone<'a> {
    metric: Metric,
    scope: &'static str,
    #[serde(flatten)]
    row: &'a Apart,
}

/// A line for each row.
pub(super) fn lines<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<String, serde_json::Error> {
    let mut text = String::new();
    for row in rows {
        text += &serde_json::to_string(&row)?;
        text.push('\n');
    }
    Ok(text)
}
