//! Verdicts: what an interval proves, given what difference matters. Pure arithmetic on days.

use super::{
    Judgement, Reason, SideFigures, Verdict,
    cells::{Day, Place, Sides},
    loss_difference::{LossDifference, Lost, difference, mean},
    shift::{FEWEST_DAYS, Shift, median, shift},
    threshold::Threshold,
};
use crate::report::{loss::wilson, milliseconds::rounded_ms};
use std::collections::BTreeMap;

/// The verdict on a location where both sides measured.
pub(super) fn of_place(place: &Place, threshold: Threshold) -> Judgement {
    let reason = if place.matched == 0 { Reason::NoMatchedCells } else { Reason::TooFewDays };
    let strata = place.strata.values();
    let parts: Vec<_> = strata
        .filter_map(|(cells, lost)| Some((weight(*cells), difference(lost.provider, lost.against)?)))
        .collect();
    judge(&place.days, threshold, reason, mean(&parts), lost(place))
}

/// What was lost in the matched cells of the days that count.
pub(super) fn lost(place: &Place) -> Sides<Lost> {
    place.strata.values().fold(Sides::<Lost>::default(), |mut sum, (_, lost)| {
        sum.provider.add(lost.provider);
        sum.against.add(lost.against);
        sum
    })
}

/// The verdict on all locations that have enough days, each of which weighs alike: a day's difference is the median of
/// those of its locations. A day counts in which at least half of them do, lest a few stand for all.
pub(super) fn overall(judged: &[(&Place, &Judgement)], threshold: Threshold, reason: Reason) -> Judgement {
    let mut by_number: BTreeMap<u32, Vec<&Day>> = BTreeMap::new();
    let enough: Vec<_> = judged.iter().filter(|(place, _)| place.days.len() >= FEWEST_DAYS).collect();
    for (place, _) in &enough {
        for day in &place.days {
            by_number.entry(day.number).or_default().push(day);
        }
    }
    let counting = by_number.iter().filter(|(_, days)| 2 * days.len() >= enough.len());
    let days: Vec<Day> = counting.filter_map(|(number, days)| across(*number, days)).collect();
    let losses: Vec<_> =
        enough.iter().filter_map(|(_, judgement)| Some((1.0, judgement.loss_difference?))).collect();
    let mut lost = Sides::<Lost>::default();
    for (place, _) in &enough {
        let here = self::lost(place);
        lost.provider.add(here.provider);
        lost.against.add(here.against);
    }
    judge(&days, threshold, reason, mean(&losses), lost)
}

/// One day over its locations.
fn across(number: u32, days: &[&Day]) -> Option<Day> {
    let middle = |of: fn(&Day) -> f64| median(&mut days.iter().map(|day| of(day)).collect::<Vec<_>>());
    let sum = |of: fn(&Day) -> u64| days.iter().map(|day| of(day)).sum();
    Some(Day {
        number,
        difference: middle(|day| day.difference)?,
        medians: Sides {
            provider: middle(|day| day.medians.provider)?,
            against: middle(|day| day.medians.against)?,
        },
        cells: sum(|day| day.cells),
        censored: Sides {
            provider: sum(|day| day.censored.provider),
            against: sum(|day| day.censored.against),
        },
    })
}

fn judge(
    days: &[Day],
    threshold: Threshold,
    lacking: Reason,
    loss_difference: Option<LossDifference>,
    lost: Sides<Lost>,
) -> Judgement {
    let differences: Vec<f64> = days.iter().map(|day| day.difference).collect();
    let middle = |of: fn(&Day) -> f64| median(&mut days.iter().map(of).collect::<Vec<_>>());
    let medians =
        Sides { provider: middle(|day| day.medians.provider), against: middle(|day| day.medians.against) };
    let threshold_ms =
        medians.provider.zip(medians.against).map(|(one, other)| threshold.between(one, other));
    let shift = shift(&differences);
    let (verdict, reason) = match shift.zip(threshold_ms) {
        None => (Verdict::InsufficientData, Some(lacking)),
        Some((shift, threshold)) => verdict(&shift, threshold),
    };
    let sum = |of: fn(&Day) -> u64| days.iter().map(of).sum();
    let figures = |p50: Option<f64>, lost: Lost, censored_cells| SideFigures {
        p50_ms: p50.map(rounded_ms),
        loss: wilson(lost.lost, lost.of),
        probes: lost.of,
        censored_cells,
    };
    Judgement {
        verdict,
        reason,
        days: u32::try_from(days.len()).unwrap_or(u32::MAX),
        cells: sum(|day| day.cells),
        shift_ms: shift.map(|shift| Shift {
            value: rounded_ms(shift.value),
            low: rounded_ms(shift.low),
            high: rounded_ms(shift.high),
            confidence: (shift.confidence * 1e4).round() / 1e4,
        }),
        threshold_ms: threshold_ms.map(rounded_ms),
        provider: figures(medians.provider, lost.provider, sum(|day| day.censored.provider)),
        against: figures(medians.against, lost.against, sum(|day| day.censored.against)),
        loss_difference,
    }
}

/// What the interval proves: a difference that matters, that there is none, or neither yet.
fn verdict(shift: &Shift, threshold: f64) -> (Verdict, Option<Reason>) {
    if shift.high <= -threshold {
        (Verdict::Better, None)
    } else if shift.low >= threshold {
        (Verdict::Worse, None)
    } else if -threshold < shift.low && shift.high < threshold {
        (Verdict::NoDifference, None)
    } else {
        (Verdict::InsufficientData, Some(Reason::Undecided))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of quarter hours")]
fn weight(cells: u64) -> f64 {
    cells as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift(low: f64, high: f64) -> Shift {
        Shift { value: f64::midpoint(low, high), low, high, confidence: 0.95 }
    }

    #[test]
    fn a_verdict_says_no_more_than_its_interval_proves() {
        let of = |low, high| verdict(&shift(low, high), 5.0);
        assert_eq!(of(-9.0, -5.0), (Verdict::Better, None));
        assert_eq!(of(5.0, 5.1), (Verdict::Worse, None));
        assert_eq!(of(-4.9, 4.9), (Verdict::NoDifference, None));
        assert_eq!(of(1.0, 2.0), (Verdict::NoDifference, None), "a difference, but none that matters");
        for (low, high) in [(-9.0, -4.9), (-30.0, 30.0), (4.0, 6.0), (-5.0, 0.0)] {
            assert_eq!(of(low, high), (Verdict::InsufficientData, Some(Reason::Undecided)));
        }
    }
}
