//! Smoke: the distribution of each slot as shades from the lightest to the darkest, on a logarithmic axis, with the median and
//! the 5th and 95th percentile over it, what was lost, and how many probes there were. Geometry only; the template draws it.

use super::{
    chart::{
        Bar, Tick,
        axis::{Axis, steps},
        place, ratio,
        scale::{Scale, clock, log_ticks, time_ticks},
        short,
    },
    table::{NONE, or_none},
};
use crate::{
    report::{
        Report, ReportRow,
        render::{
            figure,
            series::table::{drawn, range},
        },
        series::{Bin, SeriesReport, SeriesRow, SeriesSlot},
    },
    rfc3339,
};
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

/// The most of them on a page.
pub(crate) const MAX_SMOKES: usize = 6;
/// How many shades there are; the style names as many.
const SHADES: usize = 8;
/// The drawing's own units: as wide as there is room, as high as it is written.
const WIDTH: f64 = 1_000.0;
const PLOT_HEIGHT: f64 = 260.0;
const LOSS_TOP: f64 = 274.0;
const SENT_TOP: f64 = 312.0;
const STRIP_HEIGHT: f64 = 26.0;
/// A loss strip that showed less than this at full height would make noise look like trouble.
const LEAST_LOSS_SCALE: f64 = 0.05;

/// One series, drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Smoke {
    pub(crate) id: String,
    pub(crate) first: i64,
    pub(crate) step: i64,
    pub(crate) title: String,
    pub(crate) desc: String,
    /// What the whole span says of it.
    pub(crate) whole: Vec<(&'static str, String)>,
    pub(crate) y_ticks: Vec<Tick>,
    pub(crate) x_ticks: Vec<Tick>,
    /// One path for each shade, the lightest first.
    pub(crate) shades: Vec<String>,
    pub(crate) p50: Vec<String>,
    pub(crate) p5: Vec<String>,
    pub(crate) p95: Vec<String>,
    /// The medians of slots that lost probes.
    pub(crate) lossy: String,
    pub(crate) loss: Vec<Bar>,
    pub(crate) loss_top: String,
    pub(crate) sent: Vec<Bar>,
    pub(crate) sent_top: String,
    /// Runs of slots in which nothing was measured.
    pub(crate) silent: Vec<(String, String)>,
    pub(crate) slots: Vec<SmokeSlot>,
}

/// One slot in words.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SmokeSlot {
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) iso: String,
    pub(crate) time: String,
    pub(crate) p5: String,
    pub(crate) p50: String,
    pub(crate) p95: String,
    pub(crate) p99: String,
    pub(crate) p95_with_loss: String,
    pub(crate) loss: String,
    pub(crate) sent: u64,
    pub(crate) coverage: String,
    pub(crate) times: String,
}

/// What full height means, alike in every drawing of a page.
#[derive(Debug, Clone, Copy)]
struct Tops {
    scale: Scale,
    range: Option<(f64, f64)>,
    loss: f64,
    sent: u64,
    /// The greatest share of a slot's probes in one bin.
    share: f64,
}

/// The first series of a report in slots of `step`, beside what `whole` says of each over the span.
pub(crate) fn smokes(report: &SeriesReport, whole: &Report, step: Duration) -> Vec<Smoke> {
    let axis = Axis::between(report.from, report.to, step).drawn(0.0, WIDTH);
    let slots = || report.series.iter().take(MAX_SMOKES).flat_map(|row| &row.slots);
    let all: Vec<SeriesSlot> = slots().cloned().collect();
    let range = range(&all);
    let share = |slot: &SeriesSlot| {
        slot.bins.iter().map(|bin| ratio(bin.count, slot.answered.max(1))).fold(0.0, f64::max)
    };
    let tops = Tops {
        scale: Scale::log(range),
        range,
        loss: slots().filter_map(|slot| slot.loss).map(|loss| loss.value).fold(LEAST_LOSS_SCALE, f64::max),
        sent: slots().map(|slot| slot.sent).max().unwrap_or(0).max(1),
        share: slots().map(share).fold(0.0, f64::max),
    };
    let drawn = report.series.iter().take(MAX_SMOKES).enumerate();
    drawn
        .map(|(index, row)| {
            let title = format!("{} · {}", row.group.label(&report.question.by), row.metric);
            let of = whole.rows.iter().find(|one| one.group == row.group && one.metric == row.metric);
            Smoke {
                whole: of.map(over_the_span).unwrap_or_default(),
                ..smoke(index, title, row, axis, tops, report)
            }
        })
        .collect()
}

fn smoke(
    index: usize,
    title: String,
    row: &SeriesRow,
    axis: Axis,
    tops: Tops,
    report: &SeriesReport,
) -> Smoke {
    let numbered = row.slots.iter().filter_map(|slot| Some((axis.slot(slot.slot)?, slot)));
    let slots: BTreeMap<u32, &SeriesSlot> = numbered.collect();
    let y = |value: f64| PLOT_HEIGHT * (1.0 - tops.scale.share(value));
    let points = |of: fn(&SeriesSlot) -> Option<f64>| -> Vec<(u32, f64)> {
        slots.iter().filter_map(|(at, slot)| Some((*at, y(of(slot)?)))).collect()
    };
    let p50 = points(|slot| slot.latency_ms.p50);
    let lost = |slot: &SeriesSlot| slot.loss.map_or(0.0, |loss| loss.value);
    let lossy: Vec<_> =
        p50.iter().filter(|(at, _)| slots.get(at).is_some_and(|slot| lost(slot) > 0.0)).collect();
    Smoke {
        id: format!("smoke-{index}"),
        first: axis.instant(0).as_secs(),
        step: axis.step(),
        title,
        desc: description(&slots),
        whole: Vec::new(),
        y_ticks: log_ticks(tops.scale)
            .into_iter()
            .map(|value| Tick { at: place(y(value)), label: short(value) })
            .collect(),
        x_ticks: time_ticks(axis.instant(0), report.to)
            .into_iter()
            .map(|(instant, label)| Tick { at: place(axis.place(instant) / WIDTH * 100.0), label })
            .collect(),
        shades: shades(&slots, axis, tops, y),
        p5: steps(&points(|slot| slot.latency_ms.p5), axis),
        p95: steps(&points(|slot| slot.latency_ms.p95), axis),
        lossy: lossy.iter().fold(String::new(), |mut path, (at, y)| {
            let _ = write!(path, "M{} {}h{}", place(axis.left(*at)), place(*y), place(axis.width()));
            path
        }),
        p50: steps(&p50, axis),
        loss: bars(&slots, axis, LOSS_TOP, |slot| lost(slot) / tops.loss),
        loss_top: figure::percent(tops.loss),
        sent: bars(&slots, axis, SENT_TOP, |slot| ratio(slot.sent, tops.sent)),
        sent_top: tops.sent.to_string(),
        silent: axis.runs_where(|at| slots.get(at).is_none_or(|slot| slot.scheduled == 0)),
        slots: (0..axis.slots()).map(|at| told(at, slots.get(&at).copied(), axis, tops.range)).collect(),
    }
}

/// A path for each shade: what share of its slot's probes a bin holds, by its root, so that what is rare can be seen.
fn shades(slots: &BTreeMap<u32, &SeriesSlot>, axis: Axis, tops: Tops, y: impl Fn(f64) -> f64) -> Vec<String> {
    let mut paths = vec![String::new(); SHADES];
    for (at, slot) in slots {
        let mut runs: Vec<(usize, f64, f64)> = Vec::new();
        for Bin { from_ms, to_ms, count } in &slot.bins {
            let shade = shade(ratio(*count, slot.answered.max(1)) / tops.share.max(f64::MIN_POSITIVE));
            match runs.last_mut().filter(|last| last.0 == shade && (last.2 - from_ms).abs() < 1e-9) {
                Some(last) => last.2 = *to_ms,
                None => runs.push((shade, *from_ms, *to_ms)),
            }
        }
        for (shade, from, to) in runs {
            let (top, bottom) = (y(to), y(from));
            let (left, width) = (place(axis.left(*at)), place(axis.width()));
            // Thinner than half a pixel it would not be seen.
            let height = place((bottom - top).max(0.5));
            let _ = write!(paths[shade], "M{left} {}h{width}v{height}h-{width}z", place(top));
        }
    }
    paths
}

fn shade(share: f64) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "8")]
    let most = SHADES as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the shades")]
    {
        (share.sqrt() * most).ceil().clamp(1.0, most) as usize - 1
    }
}

fn bars(
    slots: &BTreeMap<u32, &SeriesSlot>,
    axis: Axis,
    top: f64,
    share: impl Fn(&SeriesSlot) -> f64,
) -> Vec<Bar> {
    let gap = axis.width() * 0.1;
    let bar = |(at, slot): (&u32, &&SeriesSlot)| {
        let share = share(slot);
        let height = (share * STRIP_HEIGHT).clamp(2.0, STRIP_HEIGHT);
        (share > 0.0).then(|| Bar {
            x: place(axis.left(*at) + gap / 2.0),
            y: place(top + STRIP_HEIGHT - height),
            width: place(axis.width() - gap),
            height: place(height),
        })
    };
    slots.iter().filter_map(bar).collect()
}

fn over_the_span(row: &ReportRow) -> Vec<(&'static str, String)> {
    let latency = &row.latency_ms;
    let mut told: Vec<_> = [
        ("min", latency.min),
        ("p50", latency.p50),
        ("p95", latency.p95),
        ("p99", latency.p99),
        ("max", latency.max),
    ]
    .map(|(name, value)| (name, or_none(value)))
    .into();
    told.push(("p95 with loss", crate::dashboard::table::with_loss(row)));
    told.push(("loss", row.loss.map_or_else(|| NONE.to_owned(), |loss| figure::percent(loss.value))));
    told.push(("jitter", or_none(row.jitter_ms.and_then(|jitter| jitter.p50))));
    told.push(("covered", row.coverage.map_or_else(|| NONE.to_owned(), figure::percent)));
    told.push(("probes", row.sent.to_string()));
    told
}

/// What it shows, for those who do not see it.
fn description(slots: &BTreeMap<u32, &SeriesSlot>) -> String {
    let medians = || slots.values().filter_map(|slot| slot.latency_ms.p50);
    let range = medians().fold(None, |range: Option<(f64, f64)>, value| {
        Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    });
    let median = range.map_or_else(String::new, |(low, high)| {
        format!("median between {} and {} ms, ", figure::ms(low), figure::ms(high))
    });
    let lossy = slots.values().filter(|slot| slot.loss.is_some_and(|loss| loss.value > 0.0)).count();
    let measured = slots.values().filter(|slot| slot.sent > 0).count();
    format!(
        "Distribution over time: {median}loss in {lossy} of {measured} measured slots. The table below holds the same figures."
    )
}

fn told(at: u32, slot: Option<&SeriesSlot>, axis: Axis, range: Option<(f64, f64)>) -> SmokeSlot {
    let start = axis.instant(at);
    let ms = |of: fn(&SeriesSlot) -> Option<f64>| or_none(slot.and_then(of));
    let percent = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), figure::percent);
    SmokeSlot {
        x: place(axis.left(at)),
        width: place(axis.width()),
        iso: rfc3339::text(start),
        time: clock(start, "%-d %b %H:%M"),
        p5: ms(|slot| slot.latency_ms.p5),
        p50: ms(|slot| slot.latency_ms.p50),
        p95: ms(|slot| slot.latency_ms.p95),
        p99: ms(|slot| slot.latency_ms.p99),
        p95_with_loss: ms(|slot| slot.latency_incl_loss_ms.p95),
        loss: percent(slot.and_then(|slot| slot.loss).map(|loss| loss.value)),
        sent: slot.map_or(0, |slot| slot.sent),
        coverage: percent(slot.and_then(|slot| slot.coverage)),
        times: slot.map(|slot| drawn(&slot.bins, range)).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        organisation::OrganisationId,
        report::{
            Question,
            fixture::{self, Evidence, Measured, registration, row, series, series_of},
        },
    };
    use peerlight_proto::{metric::Metric, time::Timestamp};

    const MINUTE: Duration = Duration::from_mins(1);

    fn drawn_of(rows: &[Measured]) -> Vec<Smoke> {
        let question = Question {
            from: Timestamp::from_secs(0),
            to: Timestamp::from_secs(600),
            ..Question::new(OrganisationId::DEFAULT, Timestamp::from_secs(600))
        };
        let over_time = Question { step: Some(MINUTE), ..question.clone() };
        let registrations = [registration(1, "Aurora <&>", "GB-LND"), registration(2, "Borealis", "GB-LND")];
        let evidence = Evidence { rows, registrations: &registrations, ..Evidence::default() };
        let whole = fixture::answer(&question, &evidence, question.to);
        smokes(&series_of(&over_time, &evidence, question.to), &whole, MINUTE)
    }

    fn slot(registration: i64, minute: i64, values_us: &[u64], lost: u64) -> Measured {
        let made = row(registration, &series(Metric::TcpConnect, "edge"), values_us, lost);
        Measured { slot: Timestamp::from_secs(60 * minute), ..made }
    }

    #[test]
    fn each_bin_is_one_area_and_the_fullest_is_the_darkest() {
        let mut values = vec![9_000; 90];
        values.extend([40_000; 10]);
        let smokes = drawn_of(&[slot(1, 0, &values, 0)]);
        let [smoke] = smokes.as_slice() else { panic!("{smokes:?}") };
        let areas: Vec<usize> = smoke.shades.iter().map(|path| path.matches('M').count()).collect();
        assert_eq!(areas, [0, 0, 1, 0, 0, 0, 0, 1]);
        assert_eq!((smoke.p50.len(), smoke.p95.len(), smoke.slots.len()), (1, 1, 10));
        assert_eq!(smoke.silent.len(), 1, "{:?}", smoke.silent);
    }

    #[test]
    fn slots_that_lost_probes_are_marked_and_axes_are_shared() {
        let smokes = drawn_of(&[
            slot(1, 0, &[9_000; 30], 10),
            slot(1, 1, &[9_000; 30], 0),
            slot(2, 0, &[40_000; 30], 0),
        ]);
        assert_eq!((smokes[0].loss.len(), smokes[1].loss.len()), (1, 0));
        assert_eq!((smokes[0].lossy.matches('M').count(), smokes[1].lossy.as_str()), (1, ""));
        assert_eq!((&smokes[0].y_ticks, &smokes[0].sent_top), (&smokes[1].y_ticks, &smokes[1].sent_top));
        assert!(
            smokes[0].desc.contains("median between 9.00 and 9.00 ms, loss in 1 of 2"),
            "{}",
            smokes[0].desc
        );
        assert_eq!(smokes[0].slots[0].loss, "25.0%");
    }

    #[test]
    fn shades_grow_with_the_share() {
        assert_eq!([0.0, 0.001, 0.02, 0.25, 0.5, 1.0].map(shade), [0, 0, 1, 3, 5, 7]);
    }
}
