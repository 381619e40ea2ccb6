//! A comparison drawn: a row for each location with its difference as a dot and its interval as a whisker, and the cumulative
//! distributions of both side by side. Pure.

use crate::{
    dashboard::{
        chart::{
            Tick, in_two, place,
            scale::{Scale, log_ticks, round_above},
            short,
        },
        table::{NONE, or_none},
    },
    report::{
        compare::{Apart, Distribution, Judgement, LocationJudgement, MetricComparison, Share, Verdict},
        render::{
            comparison::{
                because,
                table::{loss, shift},
                words,
            },
            figure,
        },
    },
};
use std::fmt::Write as _;

/// The drawing of a row, in its own units.
const WIDTH: f64 = 280.0;
/// A distribution's, as wide as there is room.
const CURVE_WIDTH: f64 = 1_000.0;
const CURVE_HEIGHT: f64 = 150.0;
/// What is so many times further off than the middle one is not drawn to scale.
const FURTHER: f64 = 6.0;
/// The shares that a distribution's table tells.
const TOLD: [f64; 7] = [0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
/// The most distributions of a page.
const MAX_CURVES: usize = 24;

/// A comparison by one metric.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Drawn {
    pub(crate) rows: Vec<Row>,
    /// Where round differences lie.
    pub(crate) ticks: Vec<Tick>,
    pub(crate) apart: Vec<ApartRow>,
    pub(crate) curves: Vec<Curves>,
    pub(crate) more_curves: usize,
}

/// All locations, or one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Empty for all.
    pub(crate) location: String,
    pub(crate) verdict: &'static str,
    /// How it is dressed, and the sign beside the words.
    pub(crate) class: &'static str,
    pub(crate) mark: &'static str,
    pub(crate) because: String,
    /// From where to where a difference does not matter.
    pub(crate) indifferent: Option<(String, String)>,
    pub(crate) whisker: Option<Whisker>,
    /// With its interval apart.
    pub(crate) shift: (String, String),
    pub(crate) threshold: String,
    pub(crate) provider_p50: String,
    pub(crate) against_p50: String,
    pub(crate) loss: (String, String),
    pub(crate) days: u32,
    pub(crate) cells: u64,
}

/// An interval and what lies in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whisker {
    pub(crate) low: String,
    pub(crate) high: String,
    pub(crate) value: String,
    /// An arrow in the place of the dot, where that lies further off than is drawn.
    pub(crate) beyond: Option<&'static str>,
}

/// Where only one of the two measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApartRow {
    pub(crate) location: String,
    pub(crate) provider: String,
    pub(crate) p50: String,
    pub(crate) loss: String,
    pub(crate) probes: u64,
}

/// Both distributions at a location.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curves {
    pub(crate) id: String,
    pub(crate) location: String,
    pub(crate) provider: String,
    pub(crate) against: String,
    pub(crate) x_ticks: Vec<Tick>,
    pub(crate) y_ticks: Vec<Tick>,
    /// Share, and within what time either side reached it.
    pub(crate) told: Vec<[String; 3]>,
}

/// What is drawn of a comparison.
pub(crate) fn drawn(comparison: &MetricComparison) -> Drawn {
    let locations = comparison.locations.iter().map(|one| (one.location.as_str(), &one.judgement));
    let all: Vec<(&str, &Judgement)> = std::iter::once(("", &comparison.overall)).chain(locations).collect();
    let reach = reach(&all);
    let at = |ms: f64| WIDTH / 2.0 * (1.0 + (ms / reach).clamp(-1.0, 1.0));
    let halves = [-1.0, -0.5, 0.0, 0.5, 1.0].map(|part| part * reach);
    let with_curves: Vec<_> = comparison.locations.iter().filter(|one| one.distribution.is_some()).collect();
    Drawn {
        rows: all.iter().map(|(location, judgement)| row(location, judgement, at, reach)).collect(),
        ticks: halves.map(|ms| Tick { at: place(at(ms)), label: signed(ms) }).into(),
        apart: comparison.apart.iter().map(apart).collect(),
        more_curves: with_curves.len().saturating_sub(MAX_CURVES),
        curves: with_curves.iter().take(MAX_CURVES).enumerate().filter_map(curves).collect(),
    }
}

/// The greatest difference that is drawn: a round one that holds every threshold and most intervals. A location whose probes
/// were mostly lost counts as a minute slower, and must not hide all others.
fn reach(all: &[(&str, &Judgement)]) -> f64 {
    let intervals = all.iter().filter_map(|(_, one)| one.shift_ms);
    let mut furthest: Vec<f64> = intervals.map(|shift| shift.low.abs().max(shift.high.abs())).collect();
    furthest.sort_by(f64::total_cmp);
    let middle = furthest.get(furthest.len() / 2).copied().unwrap_or(0.0);
    let near = furthest.into_iter().filter(|one| *one <= middle * FURTHER);
    let thresholds = all.iter().filter_map(|(_, one)| one.threshold_ms.map(|ms| ms * 1.2));
    round_above(near.chain(thresholds).fold(0.1, f64::max))
}

fn signed(ms: f64) -> String {
    let text = short(ms.abs());
    if ms < 0.0 {
        format!("−{text}")
    } else if ms > 0.0 {
        format!("+{text}")
    } else {
        text
    }
}

fn row(location: &str, judgement: &Judgement, at: impl Fn(f64) -> f64, reach: f64) -> Row {
    let (class, mark) = match judgement.verdict {
        Verdict::Better => ("better", "✓"),
        Verdict::Worse => ("worse", "✗"),
        Verdict::NoDifference => ("same", "="),
        Verdict::InsufficientData => ("unsure", "?"),
    };
    Row {
        location: location.to_owned(),
        verdict: words(judgement.verdict),
        class,
        mark,
        because: because(judgement).unwrap_or_default(),
        indifferent: judgement.threshold_ms.map(|ms| (place(at(-ms)), place(at(ms) - at(-ms)))),
        whisker: judgement.shift_ms.map(|shift| Whisker {
            low: place(at(shift.low)),
            high: place(at(shift.high)),
            value: place(at(shift.value)),
            beyond: match shift.value {
                value if value > reach => Some("M272 7L282 13L272 19z"),
                value if value < -reach => Some("M8 7L-2 13L8 19z"),
                _ => None,
            },
        }),
        shift: apart_of(judgement.shift_ms.map(shift)),
        threshold: or_none(judgement.threshold_ms),
        provider_p50: or_none(judgement.provider.p50_ms),
        against_p50: or_none(judgement.against.p50_ms),
        loss: apart_of(judgement.loss_difference.map(loss)),
        days: judgement.days,
        cells: judgement.cells,
    }
}

fn apart_of(figure: Option<String>) -> (String, String) {
    let text = figure.unwrap_or_else(|| NONE.to_owned());
    let (value, interval) = in_two(&text);
    (value.to_owned(), interval.to_owned())
}

fn apart(one: &Apart) -> ApartRow {
    ApartRow {
        location: one.location.clone(),
        provider: one.provider.clone(),
        p50: or_none(one.figures.p50_ms),
        loss: one.figures.loss.map_or_else(|| NONE.to_owned(), |loss| figure::percent(loss.value)),
        probes: one.figures.probes,
    }
}

fn curves((index, one): (usize, &&LocationJudgement)) -> Option<Curves> {
    let Distribution { provider, against } = one.distribution.as_ref()?;
    let ends = || provider.iter().chain(against).map(|point| point.ms);
    let (low, high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(0.0, f64::max));
    let scale = Scale::log((low < high || low.is_finite()).then_some((low.max(0.001), high)));
    let x = |ms: f64| scale.share(ms) * CURVE_WIDTH;
    Some(Curves {
        id: format!("curves-{index}"),
        location: one.location.clone(),
        provider: curve(provider, x),
        against: curve(against, x),
        x_ticks: log_ticks(scale)
            .into_iter()
            .map(|ms| Tick { at: place(scale.share(ms) * 100.0), label: short(ms) })
            .collect(),
        y_ticks: [0.0, 0.25, 0.5, 0.75, 1.0]
            .map(|share| Tick {
                at: place(CURVE_HEIGHT * (1.0 - share)),
                label: format!("{:.0}%", share * 100.0),
            })
            .into(),
        told: TOLD
            .map(|share| [figure::percent(share), within(provider, share), within(against, share)])
            .into(),
    })
}

/// A stair that rises where probes were answered.
fn curve(points: &[Share], x: impl Fn(f64) -> f64) -> String {
    let y = |share: f64| place(CURVE_HEIGHT * (1.0 - share));
    let mut path = format!("M0 {}", y(0.0));
    for point in points {
        let _ = write!(path, "H{}V{}", place(x(point.ms)), y(point.share));
    }
    let _ = write!(path, "H{}", place(CURVE_WIDTH));
    path
}

/// Within what time this share of the probes had been answered; `lost` where that never came.
fn within(points: &[Share], share: f64) -> String {
    let reached = points.iter().find(|point| point.share >= share);
    reached.map_or_else(|| "lost".to_owned(), |point| figure::ms(point.ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stair_rises_at_each_time_and_what_was_lost_is_never_reached() {
        let points = [Share { ms: 10.0, share: 0.5 }, Share { ms: 20.0, share: 0.9 }];
        assert_eq!(curve(&points, |ms| ms), "M0 150.0H10.0V75.0H20.0V15.0H1000.0");
        assert_eq!([0.5, 0.75, 0.95].map(|share| within(&points, share)), ["10.0", "20.0", "lost"]);
    }
}
