//! Availability drawn: a line of time for each row, with outages and with the times in which nothing was measured. Pure.

use crate::{
    dashboard::{
        chart::{
            Tick, in_two, place,
            scale::{clock as written, time_ticks},
        },
        frame::{View, address},
    },
    report::{
        Dimension,
        availability::{AvailabilityReport, AvailabilityRow, Gap, GapKind, Outage},
        render::{availability::table::figures_of, figure::length},
    },
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use std::time::Duration;

/// A line of time, in its own units.
const WIDTH: f64 = 1_000.0;
/// What is shorter would not be seen.
const LEAST_WIDTH: f64 = 2.5;
/// How many outages, and how many gaps, are listed.
const MAX_LISTED: usize = 200;
/// How much is shown around an outage.
const AROUND: Duration = Duration::from_mins(30);

/// The report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Drawn {
    pub(crate) dimensions: Vec<&'static str>,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) rows: Vec<Row>,
    pub(crate) outages: Vec<Event>,
    pub(crate) more_outages: u64,
    pub(crate) gaps: Vec<Event>,
    pub(crate) more_gaps: u64,
}

/// One group and metric.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) names: Vec<String>,
    pub(crate) metric: String,
    pub(crate) outages: Vec<Mark>,
    pub(crate) gaps: Vec<Mark>,
    /// Agents, coverage, available, outages, and what the time was: as the report's table has them.
    pub(crate) figures: [String; 9],
    /// Whether there was an outage.
    pub(crate) out: bool,
}

impl Row {
    /// The availability, and its interval below it.
    pub(crate) fn available(&self) -> (&str, &str) {
        in_two(&self.figures[2])
    }
}

/// A span on a line of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) title: String,
}

/// An outage or a gap in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) what: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) lasted: String,
    pub(crate) agents: String,
    pub(crate) more: String,
    pub(crate) href: String,
    pub(crate) ongoing: bool,
}

/// What is drawn of a report.
pub(crate) fn drawn(report: &AvailabilityReport) -> Drawn {
    let place_of = |at: Timestamp| share(report, at) * WIDTH;
    let outages = report.rows.iter().flat_map(|row| row.outages.iter().map(move |one| (row, one)));
    let mut outages: Vec<(&AvailabilityRow, &Outage)> = outages.collect();
    outages.sort_by_key(|(_, one)| std::cmp::Reverse((one.ongoing, one.from)));
    let gaps = report.rows.iter().flat_map(|row| row.gaps.iter().map(move |one| (row, one)));
    let mut gaps: Vec<(&AvailabilityRow, &Gap)> = gaps.collect();
    gaps.sort_by_key(|(_, one)| std::cmp::Reverse(one.from));
    let count = |of: fn(&AvailabilityRow) -> u64| report.rows.iter().map(of).sum::<u64>();
    Drawn {
        dimensions: report.question.by.iter().map(|dimension| dimension.name()).collect(),
        ticks: time_ticks(report.from, report.to)
            .into_iter()
            .map(|(instant, label)| Tick { at: place(share(report, instant) * 100.0), label })
            .collect(),
        rows: report.rows.iter().map(|row| self::row(row, report, place_of)).collect(),
        more_outages: count(|row| row.outage_count).saturating_sub(outages.len().min(MAX_LISTED) as u64),
        more_gaps: count(|row| row.gap_count).saturating_sub(gaps.len().min(MAX_LISTED) as u64),
        outages: outages.iter().take(MAX_LISTED).map(|(row, one)| outage(report, row, one)).collect(),
        gaps: gaps.iter().take(MAX_LISTED).map(|(row, one)| gap(report, row, one)).collect(),
    }
}

/// Where in the span an instant lies, from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "microseconds of a span of at most a year")]
fn share(report: &AvailabilityReport, at: Timestamp) -> f64 {
    let whole = report.to.as_micros().saturating_sub(report.from.as_micros()).max(1);
    (at.as_micros().saturating_sub(report.from.as_micros()) as f64 / whole as f64).clamp(0.0, 1.0)
}

fn row(row: &AvailabilityRow, report: &AvailabilityReport, at: impl Fn(Timestamp) -> f64) -> Row {
    let mark = |from, to, title| {
        let (left, right) = (at(from), at(to));
        let width = (right - left).max(LEAST_WIDTH);
        Mark { x: place(left.min(WIDTH - width)), width: place(width), title }
    };
    let of = |one: &Outage| {
        let title = format!("out {} to {} UTC, {}", clock(one.from), clock(one.to), length(one.seconds));
        mark(one.from, one.to, title)
    };
    let gap = |one: &Gap| {
        let title = format!(
            "{} {} to {} UTC, {}",
            words(one.kind),
            clock(one.from),
            clock(one.to),
            length(one.seconds)
        );
        mark(one.from, one.to, title)
    };
    let proxied = row.group.is_proxied();
    let names = report.question.by.iter().map(|dimension| row.group.name(*dimension).to_owned());
    let mut names: Vec<String> = names.collect();
    if let Some(first) = names.first_mut().filter(|_| proxied) {
        first.push_str(" through the proxy");
    }
    Row {
        names,
        metric: row.metric.to_string(),
        outages: row.outages.iter().map(of).collect(),
        gaps: row.gaps.iter().map(gap).collect(),
        figures: figures_of(row),
        out: row.outage_count > 0,
    }
}

fn clock(at: Timestamp) -> String {
    written(at, "%-d %b %H:%M")
}

fn words(kind: GapKind) -> &'static str {
    match kind {
        GapKind::Silent => "nothing heard",
        GapKind::NotMeasuring => "nothing sent",
    }
}

fn outage(report: &AvailabilityReport, row: &AvailabilityRow, one: &Outage) -> Event {
    let start = if one.start_known { "" } else { " or earlier" };
    let end = match (one.ongoing, one.end_known) {
        (true, _) => " and lasts",
        (false, true) => "",
        (false, false) => " or later",
    };
    Event {
        what: label(report, row),
        from: format!("{}{start}", rfc3339::seconds(one.from)),
        to: format!("{}{end}", rfc3339::seconds(one.to)),
        lasted: length(one.seconds),
        agents: format!("{} of {}", one.agents_affected, one.agents_measuring),
        more: format!("{} probes unanswered", one.unanswered),
        href: around(report, row, one.from, one.to),
        ongoing: one.ongoing,
    }
}

fn gap(report: &AvailabilityReport, row: &AvailabilityRow, one: &Gap) -> Event {
    Event {
        what: label(report, row),
        from: rfc3339::seconds(one.from),
        to: rfc3339::seconds(one.to),
        lasted: length(one.seconds),
        agents: one.agents_affected.to_string(),
        more: words(one.kind).to_owned(),
        href: around(report, row, one.from, one.to),
        ongoing: false,
    }
}

fn label(report: &AvailabilityReport, row: &AvailabilityRow) -> String {
    format!("{} · {}", row.group.label(&report.question.by), row.metric)
}

/// The series of a row around a span.
fn around(report: &AvailabilityReport, row: &AvailabilityRow, from: Timestamp, to: Timestamp) -> String {
    let filters = [Dimension::Provider, Dimension::Location, Dimension::Site, Dimension::Target];
    let filters = filters.into_iter().filter(|dimension| report.question.by.contains(dimension));
    let filters = filters.map(|dimension| (dimension.name(), row.group.name(dimension).to_owned()));
    let span = [
        ("from", rfc3339::seconds(from.minus(AROUND))),
        ("to", rfc3339::seconds(to.plus(AROUND))),
        ("metric", row.metric.to_string()),
    ];
    let parameters: Vec<_> = span.into_iter().chain(filters).collect();
    address(View::Series.path(), &parameters)
}
