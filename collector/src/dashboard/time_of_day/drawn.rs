//! A day drawn: median and 95th percentile of each hour at the location, what was lost, and the busy and the quiet hour. Pure.

use crate::{
    dashboard::chart::{Bar, Tick, place, scale::Scale, short},
    report::{
        render::{
            figure,
            time_of_day::table::{cells, sentence},
        },
        time_of_day::{Days, HourFigures, TimeOfDayReport, TimeOfDayRow},
    },
};
use std::fmt::Write as _;

/// The most of them on a page.
pub(crate) const MAX_DAYS: usize = 24;
/// The width of an hour in the drawing's own units.
const HOUR: f64 = 10.0;
const PLOT_HEIGHT: f64 = 140.0;
const LOSS_TOP: f64 = 152.0;
const STRIP_HEIGHT: f64 = 24.0;
/// A loss strip that showed less than this at full height would make noise look like trouble.
const LEAST_LOSS_SCALE: f64 = 0.05;

/// One row of the report.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Day {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) time_zone: String,
    pub(crate) sentence: String,
    pub(crate) y_name: &'static str,
    pub(crate) y_ticks: Vec<Tick>,
    pub(crate) p50: Vec<String>,
    pub(crate) p95: Vec<String>,
    pub(crate) bands: Vec<String>,
    pub(crate) loss: Vec<Bar>,
    pub(crate) loss_top: String,
    /// Where the busy and the quiet hour begin.
    pub(crate) busy: Option<String>,
    pub(crate) quiet: Option<String>,
    pub(crate) hours: Vec<Hour>,
}

/// An hour in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hour {
    pub(crate) x: String,
    pub(crate) cells: [String; 8],
}

/// The first rows of a report, on shared axes.
pub(crate) fn days(report: &TimeOfDayReport) -> Vec<Day> {
    let rows = || report.rows.iter().take(MAX_DAYS);
    let hours = || rows().flat_map(|row| &row.hours);
    let scale = Scale::of(hours().flat_map(|hour| [hour.latency_ms.p50, hour.latency_ms.p95]).flatten());
    let loss = hours().filter_map(|hour| hour.loss).map(|loss| loss.value).fold(LEAST_LOSS_SCALE, f64::max);
    rows().enumerate().map(|(index, row)| day(index, row, report, scale, loss)).collect()
}

fn day(index: usize, row: &TimeOfDayRow, report: &TimeOfDayReport, scale: Scale, loss_top: f64) -> Day {
    let which = match row.days {
        Days::All => "",
        Days::Weekdays => ", weekdays",
        Days::Weekends => ", weekends",
    };
    let y = |value: f64| PLOT_HEIGHT * (1.0 - scale.share(value));
    let points = |of: fn(&HourFigures) -> Option<f64>| -> Vec<(u8, f64)> {
        row.hours.iter().filter_map(|hour| Some((hour.hour, y(of(hour)?)))).collect()
    };
    let (p50, p95) = (points(|hour| hour.latency_ms.p50), points(|hour| hour.latency_ms.p95));
    let left = |hour: u8| f64::from(hour) * HOUR;
    Day {
        id: format!("day-{index}"),
        title: format!("{}{which}", row.group.label(&report.question.by)),
        time_zone: row.time_zone.clone(),
        sentence: sentence(row),
        y_name: scale.name(),
        y_ticks: scale
            .ticks()
            .into_iter()
            .map(|value| Tick { at: place(y(value)), label: short(value) })
            .collect(),
        bands: bands(&p50, &p95),
        p50: stairs(&p50),
        p95: stairs(&p95),
        loss: row.hours.iter().filter_map(|hour| bar(hour, left(hour.hour), loss_top)).collect(),
        loss_top: figure::percent(loss_top),
        busy: row.busy_quiet.map(|found| place(left(found.busy_hour))),
        quiet: row.busy_quiet.map(|found| place(left(found.quiet_hour))),
        hours: row.hours.iter().map(|hour| Hour { x: place(left(hour.hour)), cells: cells(hour) }).collect(),
    }
}

fn bar(hour: &HourFigures, left: f64, top: f64) -> Option<Bar> {
    let share = hour.loss?.value / top;
    let height = (share * STRIP_HEIGHT).clamp(2.0, STRIP_HEIGHT);
    (share > 0.0).then(|| Bar {
        x: place(left + 1.0),
        y: place(LOSS_TOP + STRIP_HEIGHT - height),
        width: place(HOUR - 2.0),
        height: place(height),
    })
}

/// Runs of hours that follow one another.
fn runs(points: &[(u8, f64)]) -> impl Iterator<Item = &[(u8, f64)]> {
    points.chunk_by(|(before, _), (after, _)| before + 1 == *after)
}

/// Lines that hold their value over each hour.
fn stairs(points: &[(u8, f64)]) -> Vec<String> {
    let drawn = |run: &[(u8, f64)]| {
        run.iter().enumerate().fold(String::new(), |mut path, (at, (hour, y))| {
            let left = f64::from(*hour) * HOUR;
            let _ = if at == 0 {
                write!(path, "M{} {}", place(left), place(*y))
            } else {
                write!(path, "V{}", place(*y))
            };
            let _ = write!(path, "H{}", place(left + HOUR));
            path
        })
    };
    runs(points).map(drawn).collect()
}

/// What lies between two values of the same hour.
fn bands(low: &[(u8, f64)], high: &[(u8, f64)]) -> Vec<String> {
    let low: std::collections::BTreeMap<u8, f64> = low.iter().copied().collect();
    let area = |(hour, top): &(u8, f64)| {
        let bottom = low.get(hour)?;
        let left = place(f64::from(*hour) * HOUR);
        Some(format!("M{left} {}h{HOUR}V{}h-{HOUR}z", place(*top), place(*bottom)))
    };
    high.iter().filter_map(area).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_that_was_not_measured_is_a_gap() {
        let points = [(0, 10.0), (1, 20.0), (23, 5.0)];
        assert_eq!(stairs(&points), ["M0.0 10.0H10.0V20.0H20.0", "M230.0 5.0H240.0"]);
        assert_eq!(bands(&[(1, 30.0)], &points), ["M10.0 20.0h10V30.0h-10z"]);
    }
}
