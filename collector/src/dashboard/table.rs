//! The table of a page: figures with their intervals, and the same drawn to one scale.

use super::view::{address, narrowed};
use crate::report::{Bounds, Dimension, Latency, Loss, Question, Report, ReportRow, render::figure};

/// What stands where a value is null.
pub(crate) const NONE: &str = "–";
/// The drawing of a row's spread: from its 5th to its 99th percentile, in the drawing's own units.
const SPREAD_WIDTH: f64 = 140.0;
/// The drawing of a loss and its interval.
const LOSS_WIDTH: f64 = 72.0;
/// A scale below this would make a single lost probe look like an outage.
const LEAST_LOSS_SCALE: f64 = 0.01;
/// Below this coverage a row carries a warning.
pub(crate) const ENOUGH_COVERAGE: f64 = 0.95;

/// The table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) dimensions: Vec<&'static str>,
    pub(crate) rows: Vec<TableRow>,
    /// What full width means in the drawings.
    pub(crate) spread_top: String,
    pub(crate) loss_top: String,
}

/// One row of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableRow {
    pub(crate) names: Vec<Name>,
    pub(crate) label: String,
    pub(crate) p50: Figure,
    pub(crate) p95: Figure,
    pub(crate) p99: Figure,
    pub(crate) p95_with_loss: String,
    pub(crate) spread: Option<Spread>,
    pub(crate) loss: Figure,
    pub(crate) loss_bar: Option<Spread>,
    pub(crate) jitter: String,
    pub(crate) coverage: String,
    pub(crate) poorly_covered: bool,
    pub(crate) sent: u64,
    pub(crate) agents: u64,
    pub(crate) notes: Vec<String>,
    /// Every percentile, of the answered probes and with losses.
    pub(crate) answered: Vec<String>,
    pub(crate) with_loss: Vec<String>,
}

/// A name of a group, and where it leads.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) beside: String,
    pub(crate) href: String,
}

/// A figure and its interval.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) value: String,
    pub(crate) interval: String,
}

/// Places on a drawing: an interval, a value in it, and a second one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spread {
    pub(crate) left: String,
    pub(crate) width: String,
    pub(crate) value: String,
    pub(crate) second: Option<String>,
}

/// The names of the percentiles in [`TableRow::answered`].
pub(crate) const PERCENTILES: [&str; 9] = ["min", "p5", "p50", "p90", "p95", "p99", "p99.9", "max", "mean"];

/// The table of a report.
pub(crate) fn table(report: &Report, question: &Question) -> Table {
    let highest = |latency: &Latency| latency.p99.or(latency.p95).or(latency.p90).or(latency.p50);
    let spread_top = report.rows.iter().filter_map(|row| highest(&row.latency_ms)).fold(0.0, f64::max);
    let loss_top =
        report.rows.iter().filter_map(|row| row.loss).map(|loss| loss.high).fold(LEAST_LOSS_SCALE, f64::max);
    Table {
        dimensions: question.by.iter().map(|dimension| dimension.name()).collect(),
        rows: report.rows.iter().map(|row| table_row(row, question, spread_top, loss_top)).collect(),
        spread_top: figure::ms(spread_top),
        loss_top: figure::percent(loss_top),
    }
}

fn table_row(row: &ReportRow, question: &Question, spread_top: f64, loss_top: f64) -> TableRow {
    let latency = &row.latency_ms;
    let bounds = row.latency_interval_ms;
    TableRow {
        names: question.by.iter().map(|dimension| name(row, *dimension, question)).collect(),
        label: row.group.label(&question.by),
        p50: timed(latency.p50, bounds.p50),
        p95: timed(latency.p95, bounds.p95),
        p99: timed(latency.p99, None),
        p95_with_loss: with_loss(row),
        spread: spread(latency, spread_top),
        loss: loss_figure(row.loss),
        loss_bar: row.loss.map(|loss| {
            let at = |share: f64| share / loss_top * LOSS_WIDTH;
            Spread {
                left: place(at(loss.low)),
                width: place((at(loss.high) - at(loss.low)).max(1.0)),
                value: place(at(loss.value)),
                second: None,
            }
        }),
        jitter: or_none(row.jitter_ms.and_then(|jitter| jitter.p50)),
        coverage: row.coverage.map_or_else(|| NONE.to_owned(), figure::percent),
        poorly_covered: row.coverage.is_some_and(|coverage| coverage < ENOUGH_COVERAGE),
        sent: row.sent,
        agents: row.agents,
        notes: notes(row),
        answered: percentiles(&row.latency_ms),
        with_loss: percentiles(&row.latency_incl_loss_ms),
    }
}

fn name(row: &ReportRow, dimension: Dimension, question: &Question) -> Name {
    let text = row.group.name(dimension).to_owned();
    let beside = match dimension {
        Dimension::Target => {
            let parts = [&row.group.probe, &row.group.address];
            parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
        }
        Dimension::Provider
        | Dimension::Location
        | Dimension::Site
        | Dimension::Prefix
        | Dimension::Family => String::new(),
    };
    let narrower = narrowed(question, dimension, &text);
    Name {
        text,
        beside,
        href: narrower.map(|narrower| address("/latency", &narrower, &[])).unwrap_or_default(),
    }
}

/// A loss with its interval.
pub(crate) fn loss_figure(loss: Option<Loss>) -> Figure {
    loss.map_or_else(
        || Figure { value: NONE.to_owned(), interval: String::new() },
        |loss| Figure {
            value: figure::percent(loss.value),
            interval: format!("{}–{}", figure::percent(loss.low), figure::percent(loss.high)),
        },
    )
}

/// A time with its interval.
pub(crate) fn timed(value: Option<f64>, bounds: Option<Bounds>) -> Figure {
    let edge = |bound: Option<f64>| bound.map_or_else(|| "?".to_owned(), figure::ms);
    let interval = bounds
        .filter(|bounds| bounds.low.is_some() || bounds.high.is_some())
        .map(|bounds| format!("{}–{}", edge(bounds.low), edge(bounds.high)));
    Figure { value: or_none(value), interval: interval.unwrap_or_default() }
}

/// The 95th percentile with losses as infinitely slow: `lost` where the rank falls on a lost probe.
pub(crate) fn with_loss(row: &ReportRow) -> String {
    match row.latency_incl_loss_ms.p95 {
        Some(value) => figure::ms(value),
        None if row.latency_ms.p95.is_some() => "lost".to_owned(),
        None => NONE.to_owned(),
    }
}

fn spread(latency: &Latency, top: f64) -> Option<Spread> {
    let at = |value: f64| value / top * SPREAD_WIDTH;
    let low = latency.p5.or(latency.min).map(at)?;
    let high = latency.p99.or(latency.p95).or(latency.p90).map(at)?;
    Some(Spread {
        left: place(low),
        width: place((high - low).max(1.0)),
        value: place(at(latency.p50?)),
        second: latency.p95.map(at).map(place),
    })
}

/// What else is to be known of a row.
fn notes(row: &ReportRow) -> Vec<String> {
    let all = [
        (row.refused, "refused"),
        (row.dns_failed, "names not resolved"),
        (row.send_failed, "could not be sent"),
        (row.declared, "of them declared"),
        (row.declared_uncounted, "declared, not counted"),
        (row.off_prefix, "off prefix, not counted"),
    ];
    let counted = all.into_iter().filter(|(count, _)| *count > 0);
    let busy = row.agent_noise_ms.and_then(|noise| noise.busy());
    let proxied = row.group.is_proxied().then(|| "through the proxy".to_owned());
    proxied
        .into_iter()
        .chain(counted.map(|(count, what)| format!("{count} {what}")))
        .chain(busy.map(|late| format!("agent busy: probes left up to {} ms late", figure::ms(late))))
        .collect()
}

fn percentiles(latency: &Latency) -> Vec<String> {
    let Latency { min, p5, p50, p90, p95, p99, p99_9, max, mean } = *latency;
    [min, p5, p50, p90, p95, p99, p99_9, max, mean].map(or_none).to_vec()
}

/// Milliseconds, or a dash.
pub(crate) fn or_none(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.to_owned(), figure::ms)
}

fn place(value: f64) -> String {
    format!("{value:.1}")
}
