//! Charts: percentiles over time, one chart for each provider, on shared axes. Geometry only; the template draws it.

pub(crate) mod axis;
pub(crate) mod scale;

use crate::report::{Dimension, Report, ReportRow, render::figure};
use axis::{Axis, bands, line};
use peerlight_proto::time::Timestamp;
use scale::{Scale, clock, time_ticks};
use std::{collections::BTreeMap, time::Duration};

/// The chart's own units; the browser scales them to the room there is.
const WIDTH: f64 = 480.0;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 8.0;
const PLOT_TOP: f64 = 14.0;
const PLOT_HEIGHT: f64 = 150.0;
const LOSS_TOP: f64 = 178.0;
const SENT_TOP: f64 = 216.0;
const STRIP_HEIGHT: f64 = 26.0;
/// A loss strip that showed less than this at full height would make noise look like trouble.
const LEAST_LOSS_SCALE: f64 = 0.05;
/// The most charts of a page.
pub(crate) const MAX_CHARTS: usize = 12;

/// One chart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// Unique in the page, for labels.
    pub(crate) id: String,
    /// When its first slot begins, in Unix seconds.
    pub(crate) first: i64,
    /// The length of its slots in seconds.
    pub(crate) step: i64,
    pub(crate) title: String,
    pub(crate) desc: String,
    pub(crate) y_name: &'static str,
    pub(crate) y_ticks: Vec<Tick>,
    pub(crate) x_ticks: Vec<Tick>,
    /// Paths between the median and the 95th percentile.
    pub(crate) bands: Vec<String>,
    pub(crate) p50: Line,
    pub(crate) p95: Line,
    pub(crate) loss: Vec<Bar>,
    pub(crate) loss_top: String,
    pub(crate) sent: Vec<Bar>,
    pub(crate) sent_top: String,
    /// What is told of each slot under the pointer, and in the table.
    pub(crate) slots: Vec<Slot>,
}

/// A mark at an axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) at: String,
    pub(crate) label: String,
}

/// A line that ends where measurements are missing and goes on after.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Line {
    pub(crate) paths: Vec<String>,
    /// Points without a neighbour, which no line would show.
    pub(crate) points: Vec<(String, String)>,
}

/// A bar of a strip.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) width: String,
    pub(crate) height: String,
}

/// One slot in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slot {
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) iso: String,
    pub(crate) time: String,
    pub(crate) p50: String,
    pub(crate) p95: String,
    pub(crate) loss: String,
    pub(crate) sent: u64,
}

/// The charts of a report with slots of `step`, one for each name: as many as a page holds.
pub(crate) fn charts(report: &Report, step: Duration, named: impl Fn(&ReportRow) -> String) -> Vec<Chart> {
    let axis = Axis::of(report, step).drawn(LEFT, WIDTH - RIGHT);
    let mut courses: BTreeMap<String, BTreeMap<u32, &ReportRow>> = BTreeMap::new();
    for row in &report.rows {
        if let Some(slot) = row.slot.map_or(Some(0), |slot| axis.slot(slot)) {
            courses.entry(named(row)).or_default().insert(slot, row);
        }
    }
    let latencies = report.rows.iter().flat_map(|row| [row.latency_ms.p50, row.latency_ms.p95]);
    let scale = Scale::of(latencies.flatten());
    let loss_top =
        report.rows.iter().filter_map(|row| row.loss).map(|loss| loss.value).fold(LEAST_LOSS_SCALE, f64::max);
    let sent_top = report.rows.iter().map(|row| row.sent).max().unwrap_or(0).max(1);
    let tops = Tops { scale, loss: loss_top, sent: sent_top };
    let charts = courses.into_iter().take(MAX_CHARTS).enumerate();
    charts.map(|(index, (title, rows))| chart(index, title, &rows, axis, tops, report.to)).collect()
}

/// What a chart is of: a provider, straight or through the proxy.
pub(crate) fn title(row: &ReportRow) -> String {
    row.group.label(&[Dimension::Provider])
}

/// What full height means, alike in every chart.
#[derive(Debug, Clone, Copy)]
struct Tops {
    scale: Scale,
    loss: f64,
    sent: u64,
}

fn chart(
    index: usize,
    title: String,
    rows: &BTreeMap<u32, &ReportRow>,
    axis: Axis,
    tops: Tops,
    to: Timestamp,
) -> Chart {
    let y = |value: f64| PLOT_TOP + PLOT_HEIGHT * (1.0 - tops.scale.share(value));
    let points = |of: fn(&ReportRow) -> Option<f64>| -> Vec<(u32, f64)> {
        rows.iter().filter_map(|(slot, row)| Some((*slot, y(of(row)?)))).collect()
    };
    let (p50, p95) = (points(|row| row.latency_ms.p50), points(|row| row.latency_ms.p95));
    let y_ticks = tops.scale.ticks().into_iter();
    Chart {
        id: format!("chart-{index}"),
        first: axis.instant(0).as_secs(),
        step: axis.step(),
        title,
        desc: description(rows),
        y_name: tops.scale.name(),
        y_ticks: y_ticks.map(|value| Tick { at: place(y(value)), label: short(value) }).collect(),
        x_ticks: time_ticks(axis.instant(0), to)
            .into_iter()
            .map(|(instant, label)| Tick { at: place(axis.place(instant)), label })
            .collect(),
        bands: bands(&p50, &p95, axis),
        p50: line(&p50, axis),
        p95: line(&p95, axis),
        loss: bars(rows, axis, LOSS_TOP, |row| row.loss.map_or(0.0, |loss| loss.value / tops.loss)),
        loss_top: figure::percent(tops.loss),
        sent: bars(rows, axis, SENT_TOP, |row| ratio(row.sent, tops.sent)),
        sent_top: tops.sent.to_string(),
        slots: (0..axis.slots()).map(|slot| told(slot, rows.get(&slot).copied(), axis)).collect(),
    }
}

/// What the chart shows, for those who do not see it.
fn description(rows: &BTreeMap<u32, &ReportRow>) -> String {
    let range = |of: fn(&ReportRow) -> Option<f64>| {
        let values = rows.values().filter_map(|row| of(row));
        values.fold(None, |range: Option<(f64, f64)>, value| {
            Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        })
    };
    let words = |name: &str, range: Option<(f64, f64)>| {
        range.map(|(low, high)| format!("{name} between {} and {} ms", figure::ms(low), figure::ms(high)))
    };
    let lossy = rows.values().filter(|row| row.loss.is_some_and(|loss| loss.value > 0.0)).count();
    let measured = rows.values().filter(|row| row.sent > 0).count();
    let mut parts: Vec<String> = [
        words("median", range(|row| row.latency_ms.p50)),
        words("95th percentile", range(|row| row.latency_ms.p95)),
    ]
    .into_iter()
    .flatten()
    .collect();
    parts.push(format!("loss in {lossy} of {measured} measured slots"));
    format!("Over time: {}. The table below holds the same figures.", parts.join(", "))
}

/// The bars of a strip for what is not zero; the smallest can still be seen.
fn bars(
    rows: &BTreeMap<u32, &ReportRow>,
    axis: Axis,
    top: f64,
    share: impl Fn(&ReportRow) -> f64,
) -> Vec<Bar> {
    let gap = (axis.width() * 0.15).min(1.0);
    rows.iter()
        .filter_map(|(slot, row)| {
            let share = share(row);
            let height = (share * STRIP_HEIGHT).clamp(2.0, STRIP_HEIGHT);
            (share > 0.0).then(|| Bar {
                x: place(axis.left(*slot) + gap / 2.0),
                y: place(top + STRIP_HEIGHT - height),
                width: place(axis.width() - gap),
                height: place(height),
            })
        })
        .collect()
}

/// What is told of a slot.
pub(crate) fn told(slot: u32, row: Option<&ReportRow>, axis: Axis) -> Slot {
    let start = axis.instant(slot);
    let ms = |of: fn(&ReportRow) -> Option<f64>| row.and_then(of).map_or_else(|| "–".to_owned(), figure::ms);
    Slot {
        x: place(axis.left(slot)),
        width: place(axis.width()),
        iso: crate::rfc3339::text(start),
        time: clock(start, "%-d %b %H:%M"),
        p50: ms(|row| row.latency_ms.p50),
        p95: ms(|row| row.latency_ms.p95),
        loss: row.and_then(|row| row.loss).map_or_else(|| "–".to_owned(), |loss| figure::percent(loss.value)),
        sent: row.map_or(0, |row| row.sent),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of probes stay far below 2^53")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// A figure, and the interval behind it.
pub(crate) fn in_two(text: &str) -> (&str, &str) {
    text.find(" (").map_or((text, ""), |at| (&text[..at], text[at..].trim_start()))
}

/// A coordinate to a tenth of a unit.
pub(crate) fn place(value: f64) -> String {
    format!("{value:.1}")
}

/// A tick's value without digits that say nothing.
pub(crate) fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
