//! The busy hour against the quiet one. Pure.
//!
//! Whoever picks the worst and the best of 24 hours finds a difference even in chance. So the hours are chosen on every
//! other day, and their difference is taken on the days between, which had no part in the choice: one for each day, with
//! the estimate and the exact interval that comparisons have.

use crate::report::{
    compare::{Shift, median, shift},
    milliseconds::rounded_ms,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The fewest days that an hour needs to be chosen.
const FEWEST_CHOOSING: usize = 3;

/// How much slower the busy hour is than the quiet one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BusyQuiet {
    /// The hour with the greatest median, by the days that chose.
    pub busy_hour: u8,
    /// The hour with the least.
    pub quiet_hour: u8,
    /// How many other days had both hours.
    pub days: u32,
    /// The busy hour's median minus the quiet one's on those days, in milliseconds; null below 6 of them. An interval that
    /// holds zero shows no difference.
    pub difference_ms: Option<Shift>,
}

/// The median of each hour of a day, in milliseconds, as far as it had enough probes.
pub(super) type Day = [Option<f64>; 24];

/// What days say; nothing where too few chose.
pub(super) fn busy_and_quiet(days: &BTreeMap<Date, Day>) -> Option<BusyQuiet> {
    let (choosing, measuring): (Vec<_>, Vec<_>) =
        days.iter().partition(|(date, _)| number(**date).rem_euclid(2) == 0);
    let most = hours(&choosing).map(|of| of.len()).max().unwrap_or(0);
    let enough = FEWEST_CHOOSING.max(most.div_ceil(2));
    let medians: Vec<(u8, f64)> = (0..)
        .zip(hours(&choosing))
        .filter(|(_, of)| of.len() >= enough)
        .filter_map(|(hour, mut of)| Some((hour, median(&mut of)?)))
        .collect();
    let (busy, _) = medians.iter().copied().max_by(|one, other| one.1.total_cmp(&other.1))?;
    let (quiet, _) = medians.iter().copied().min_by(|one, other| one.1.total_cmp(&other.1))?;
    if busy == quiet {
        return None;
    }
    let difference = |(_, day): &(&Date, &Day)| Some(day[usize::from(busy)]? - day[usize::from(quiet)]?);
    let differences: Vec<f64> = measuring.iter().filter_map(difference).collect();
    Some(BusyQuiet {
        busy_hour: busy,
        quiet_hour: quiet,
        days: u32::try_from(differences.len()).unwrap_or(u32::MAX),
        difference_ms: shift(&differences).map(|found| Shift {
            value: rounded_ms(found.value),
            low: rounded_ms(found.low),
            high: rounded_ms(found.high),
            confidence: (found.confidence * 1e4).round() / 1e4,
        }),
    })
}

/// The days of each hour.
fn hours<'a>(days: &'a [(&Date, &Day)]) -> impl Iterator<Item = Vec<f64>> + 'a {
    (0..24).map(move |hour| days.iter().filter_map(|(_, day)| day[hour]).collect())
}

/// The number of a date: those of neighbours are odd and even, whatever days are missing.
fn number(date: Date) -> i32 {
    date.since(Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Days from 2026-02-01 on.
    fn days(count: i32, of: impl Fn(i32, u8) -> Option<f64>) -> BTreeMap<Date, Day> {
        let first = Date::constant(2026, 2, 1);
        let day = |number: i32| {
            let mut day = Day::default();
            for (hour, place) in (0..).zip(&mut day) {
                *place = of(number, hour);
            }
            day
        };
        (0..count)
            .map(|number| (first.checked_add(jiff::Span::new().days(number)).unwrap(), day(number)))
            .collect()
    }

    /// The same numbers in every run, even from 0 to 1.
    fn random(seed: u64) -> impl Fn(i32, u8) -> f64 {
        move |day, hour| {
            let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ (u64::from(day.unsigned_abs()) << 8 | u64::from(hour)).wrapping_mul(0xd134_2543_de82_ef95);
            for _ in 0..3 {
                mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            }
            f64::from(u32::try_from(mixed >> 32).unwrap()) / f64::from(u32::MAX)
        }
    }

    #[test]
    fn a_busy_evening_is_found_with_its_interval() {
        let noise = random(1);
        let found = busy_and_quiet(&days(28, |day, hour| {
            let slow = if hour == 20 {
                15.0
            } else if hour == 4 {
                -2.0
            } else {
                0.0
            };
            Some(20.0 + slow + noise(day, hour))
        }))
        .unwrap();
        assert_eq!((found.busy_hour, found.quiet_hour, found.days), (20, 4, 14));
        let shift = found.difference_ms.unwrap();
        assert!(shift.low > 16.0 && shift.high < 18.0 && shift.confidence >= 0.95, "{shift:?}");
    }

    #[test]
    fn chance_alone_shows_no_difference() {
        let runs = 1_000_u64;
        let holds_zero = (0..runs).filter(|seed| {
            let noise = random(*seed);
            let found = busy_and_quiet(&days(28, |day, hour| Some(20.0 + noise(day, hour)))).unwrap();
            found.difference_ms.is_some_and(|shift| shift.low <= 0.0 && 0.0 <= shift.high)
        });
        let share = holds_zero.count() as u64;
        assert!((940..=970).contains(&share), "{share} of {runs}");
    }

    #[test]
    fn few_days_have_hours_but_no_difference_and_fewer_have_neither() {
        let of =
            |count: i32| busy_and_quiet(&days(count, |day, hour| Some(f64::from(day) + f64::from(hour))));
        assert_eq!(of(4), None);
        let week = of(7).unwrap();
        assert_eq!((week.busy_hour, week.quiet_hour, week.difference_ms), (23, 0, None));
        assert!(of(13).unwrap().difference_ms.is_some());
        assert_eq!(
            busy_and_quiet(&days(28, |_, hour| (hour == 3).then_some(1.0))),
            None,
            "one hour is no two"
        );
    }

    proptest! {
        #[test]
        fn an_hour_that_is_seldom_measured_is_not_chosen(slow in 10.0_f64..100.0) {
            let found = busy_and_quiet(&days(28, |day, hour| match hour {
                3 => (day < 6).then_some(slow * 10.0),
                20 => Some(slow),
                _ => Some(1.0),
            })).unwrap();
            prop_assert_eq!(found.busy_hour, 20);
        }
    }
}
