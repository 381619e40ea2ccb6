//! Comparisons of what a store answers: the laws that verdicts obey, and how they look.

mod coverage;

use super::*;
use crate::{
    organisation::OrganisationId,
    registry::Registration,
    report::{
        fixture::{AGENT, Measured, registration, row, series},
        render::comparison::{csv, table},
    },
    store::{Grouping as _, Presence},
};
use proptest::prelude::*;
use std::time::Duration;

/// A quarter hour after a midnight, so that days do not begin where those of UTC do.
const NOW: Timestamp = Timestamp::from_secs(20_773 * 86_400 + 900);
const QUARTER: Duration = Duration::from_mins(15);
const DAY: Duration = Duration::from_hours(24);
/// Aurora's registrations at three locations, then Borealis'.
const PLACES: [&str; 3] = ["DE-BE", "GB-LND", "US-WA"];
const DAYS: u32 = 7;

fn registrations() -> Vec<Registration> {
    let of = |first: i64, provider: &'static str| {
        PLACES.iter().zip(first..).map(move |(place, id)| registration(id, provider, place))
    };
    of(1, "Aurora").chain(of(4, "Borealis")).collect()
}

fn asked(query: &str) -> CompareQuestion {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (question, errors) = CompareQuestion::read(pairs, OrganisationId::DEFAULT, NOW);
    assert_eq!(errors, [""; 0]);
    question
}

/// What a site measured in a quarter hour, counted back from now in days and quarter hours.
fn cell(site: i64, day: u32, quarter: u32, values_ms: &[f64], lost: u64) -> Measured {
    at(site, "exchange", day, quarter, values_ms, lost)
}

fn at(site: i64, target: &str, day: u32, quarter: u32, values_ms: &[f64], lost: u64) -> Measured {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times of some milliseconds")]
    let values: Vec<u64> = values_ms.iter().map(|ms| (ms * 1_000.0) as u64).collect();
    let slot = NOW.minus(DAY * day + QUARTER * (quarter + 1));
    Measured { slot, ..row(site, &series(Metric::TcpConnect, target), &values, lost) }
}

/// Twelve times around this one.
fn around(ms: f64) -> Vec<f64> {
    (0..12).map(|at| ms + f64::from(at) * 0.01).collect()
}

/// Answers as the API does, day by day, with a store's grouping.
fn compare(query: &str, measured: &[Measured]) -> Comparison {
    let asked = asked(query);
    let registrations: Registrations = registrations().into_iter().collect();
    let presence = measured.iter().map(|one| Presence {
        agent: AGENT,
        registration: one.origin.registration,
        shape: Arc::clone(&one.shape),
        first: one.slot,
        last: one.slot,
        given_away: Arc::default(),
    });
    let days = asked.days(&registrations);
    let mut comparing = Comparing::new(asked, registrations, &presence.collect(), Silences::default());
    let groups = comparing.groups();
    for day in days {
        let within = measured.iter().filter(|one| (day.from..day.to).contains(&one.slot));
        let rows: Vec<_> = within
            .filter_map(|one| {
                let group = groups.group(&one.origin, &one.shape, None)?;
                Some(Row { group, slot: one.slot, totals: one.totals.clone(), agents: Arc::new([7].into()) })
            })
            .collect();
        comparing.take(&rows);
    }
    comparing.finish(NOW)
}

fn aurora_against_borealis(measured: &[Measured]) -> MetricComparison {
    compare("providers=Aurora,Borealis", measured).metrics.remove(0)
}

/// Both sites in every quarter hour that counts, a day's Borealis and Aurora as given.
fn days(aurora: i64, borealis: i64, of: impl Fn(u32) -> (f64, f64)) -> Vec<Measured> {
    let cells = (0..DAYS).flat_map(|day| (0..4).map(move |quarter| (day, quarter)));
    cells
        .flat_map(|(day, quarter)| {
            let (one, other) = of(day);
            [cell(aurora, day, quarter, &around(one), 0), cell(borealis, day, quarter, &around(other), 0)]
        })
        .collect()
}

fn mirrored(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Better => Verdict::Worse,
        Verdict::Worse => Verdict::Better,
        same @ (Verdict::NoDifference | Verdict::InsufficientData) => same,
    }
}

fn swapped(Distribution { provider, against }: Distribution) -> Distribution {
    Distribution { provider: against, against: provider }
}

fn mirror(judgement: &Judgement) -> Judgement {
    Judgement {
        verdict: mirrored(judgement.verdict),
        shift_ms: judgement.shift_ms.map(|shift| Shift {
            value: 0.0 - shift.value,
            low: 0.0 - shift.high,
            high: 0.0 - shift.low,
            confidence: shift.confidence,
        }),
        provider: judgement.against,
        against: judgement.provider,
        loss_difference: judgement.loss_difference.map(|difference| LossDifference {
            value: 0.0 - difference.value,
            low: 0.0 - difference.high,
            high: 0.0 - difference.low,
        }),
        ..judgement.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_against_the_other_is_the_mirror_of_the_other_against_one(
        cells in prop::collection::vec((1_i64..7, 0_u32..7, 0_u32..6, 8_u32..60, 0_u64..20, 0_usize..14), 40..400)
    ) {
        let measured: Vec<_> = cells.into_iter().map(|(site, day, quarter, ms, lost, answered)| {
            cell(site, day, quarter, &vec![f64::from(ms); answered], lost)
        }).collect();
        let straight = aurora_against_borealis(&measured);
        let other = compare("providers=borealis,aurora", &measured).metrics.remove(0);
        prop_assert_eq!(mirror(&other.overall), straight.overall);
        let places = other.locations.into_iter().map(|place| LocationJudgement {
            judgement: mirror(&place.judgement), distribution: place.distribution.clone().map(swapped), ..place
        });
        prop_assert_eq!(places.collect::<Vec<_>>(), straight.locations);
        prop_assert_eq!(other.apart, straight.apart);
    }
}

#[test]
fn a_provider_that_wins_everywhere_wins_though_it_loses_when_all_is_pooled() {
    // Aurora measures mostly at the far place, Borealis mostly at the near one.
    let many = |ms: f64| vec![ms; 90];
    let cells = (0..DAYS).flat_map(|day| (0..4).map(move |quarter| (day, quarter)));
    let measured: Vec<_> = cells
        .flat_map(|(day, quarter)| {
            [
                cell(2, day, quarter, &around(8.0), 0),
                cell(5, day, quarter, &many(14.0), 0),
                cell(3, day, quarter, &many(80.0), 0),
                cell(6, day, quarter, &around(95.0), 0),
            ]
        })
        .collect();
    let pooled = |sites: [i64; 2]| {
        let ours = measured.iter().filter(|one| sites.contains(&one.origin.registration.0));
        ours.fold(peerlight_proto::histogram::Histogram::default(), |mut all, one| {
            all.merge(&one.totals.histogram);
            all
        })
        .percentile(500)
        .unwrap()
    };
    assert!(pooled([2, 3]) > 5 * pooled([5, 6]), "Aurora loses when all is pooled");
    let found = aurora_against_borealis(&measured);
    let verdicts: Vec<_> =
        found.locations.iter().map(|place| (&*place.location, place.judgement.verdict)).collect();
    assert_eq!(verdicts, [("GB-LND", Verdict::Better), ("US-WA", Verdict::Better)]);
    assert_eq!(found.overall.verdict, Verdict::Better);
    let shift = found.overall.shift_ms.unwrap();
    assert!(-11.0 < shift.value && shift.value < -10.0, "the mean of both places: {shift:?}");
}

#[test]
fn what_is_lost_counts_as_slow_and_is_never_left_out() {
    // Borealis would be faster by what it answered; it lost most.
    let lossy =
        |day, quarter| [cell(1, day, quarter, &around(20.0), 0), cell(4, day, quarter, &around(5.0), 18)];
    let measured: Vec<_> =
        (0..DAYS).flat_map(|day| (0..4).flat_map(move |quarter| lossy(day, quarter))).collect();
    let found = aurora_against_borealis(&measured);
    let place = &found.locations[0].judgement;
    assert_eq!(place.verdict, Verdict::Better);
    assert_eq!(
        (place.against.p50_ms, place.against.censored_cells, place.cells),
        (Some(CENSORED_MS), 28, 28)
    );
    assert_eq!(place.against.loss.map(|loss| loss.value), Some(0.6));
    assert_eq!(place.loss_difference.map(|difference| difference.value), Some(-0.6));
    // A median that does not fall on a lost probe is moved by the lost ones all the same.
    let some = cell(4, 0, 0, &[5.0, 5.0, 5.0, 5.0, 5.0, 9.0, 9.0], 5);
    let measured: Vec<_> = (0..4)
        .flat_map(|quarter| {
            [
                cell(1, 0, quarter, &around(20.0), 0),
                Measured { slot: NOW.minus(QUARTER * (quarter + 1)), ..some.clone() },
            ]
        })
        .collect();
    let found = aurora_against_borealis(&measured);
    assert_eq!(found.locations[0].judgement.against.p50_ms, Some(9.0));
}

#[test]
fn when_both_lose_everything_there_is_no_difference() {
    let dark = |site, day, quarter| cell(site, day, quarter, &[], 30);
    let measured: Vec<_> = (0..DAYS)
        .flat_map(|day| (0..4).flat_map(move |quarter| [dark(1, day, quarter), dark(4, day, quarter)]))
        .collect();
    let place = aurora_against_borealis(&measured).locations.remove(0).judgement;
    assert_eq!((place.verdict, place.shift_ms.map(|shift| shift.value)), (Verdict::NoDifference, Some(0.0)));
}

#[test]
fn each_reason_for_having_no_verdict_is_told() {
    let reason = |measured: &[Measured]| {
        let found = aurora_against_borealis(measured);
        let place = found.locations.first().map(|place| place.judgement.reason);
        assert_eq!(found.overall.verdict, Verdict::InsufficientData);
        (found.overall.reason, place.flatten())
    };
    assert_eq!(reason(&[]), (Some(Reason::NoCommonLocation), None));
    let all = days(1, 4, |_day| (10.0, 20.0));
    let only_aurora: Vec<_> = all.iter().filter(|one| one.origin.registration.0 == 1).cloned().collect();
    assert_eq!(reason(&only_aurora), (Some(Reason::NoCommonLocation), None));
    let elsewhere: Vec<_> = days(1, 5, |_day| (10.0, 20.0));
    assert_eq!(reason(&elsewhere), (Some(Reason::NoCommonLocation), None));
    // The same quarter hours of other targets, other quarter hours, and too few probes.
    let other_target = all.iter().map(|one| match one.origin.registration.0 {
        4 => Measured { slot: one.slot, ..at(4, "teams", 0, 0, &around(20.0), 0) },
        _ => one.clone(),
    });
    assert_eq!(
        reason(&other_target.collect::<Vec<_>>()),
        (Some(Reason::NoMatchedCells), Some(Reason::NoMatchedCells))
    );
    let never_together: Vec<_> = (0..DAYS)
        .flat_map(|day| [cell(1, day, 0, &around(10.0), 0), cell(4, day, 1, &around(20.0), 0)])
        .collect();
    assert_eq!(reason(&never_together), (Some(Reason::NoMatchedCells), Some(Reason::NoMatchedCells)));
    let few: Vec<_> = (0..DAYS)
        .flat_map(|day| [cell(1, day, 0, &around(10.0), 0), cell(4, day, 0, &[20.0; 8], 1)])
        .collect();
    assert_eq!(reason(&few), (Some(Reason::NoMatchedCells), Some(Reason::NoMatchedCells)));
    let five: Vec<_> = all.iter().filter(|one| one.slot >= NOW.minus(DAY * 5)).cloned().collect();
    assert_eq!(reason(&five), (Some(Reason::TooFewDays), Some(Reason::TooFewDays)));
    // Seven days, but on one of them only three quarter hours were matched, and on another none.
    let thin = all.iter().filter(|one| one.slot >= NOW.minus(QUARTER * 3) || one.slot < NOW.minus(DAY));
    let thin: Vec<_> = thin.filter(|one| one.slot >= NOW.minus(DAY * 6)).cloned().collect();
    assert_eq!(reason(&thin), (Some(Reason::TooFewDays), Some(Reason::TooFewDays)));
    let wavering = days(1, 4, |day| (if day % 2 == 0 { 10.0 } else { 30.0 }, 20.0));
    assert_eq!(reason(&wavering), (Some(Reason::Undecided), Some(Reason::Undecided)));
}

#[test]
fn a_difference_that_does_not_matter_is_no_difference_and_the_threshold_says_what_matters() {
    let measured = days(1, 4, |day| (50.0 + f64::from(day) * 0.01, 52.0));
    let verdict = |threshold: &str| {
        let query = format!("providers=Aurora,Borealis&threshold={threshold}");
        let found = compare(&query, &measured).metrics.remove(0);
        (found.overall.verdict, found.overall.threshold_ms.map(|ms| (ms * 10.0).round() / 10.0))
    };
    assert_eq!(verdict("5ms,10%"), (Verdict::NoDifference, Some(5.0)));
    assert_eq!(verdict("1ms"), (Verdict::Better, Some(1.0)));
    assert_eq!(verdict("1%"), (Verdict::Better, Some(0.5)));
}

#[test]
fn a_location_weighs_alike_whoever_measured_more_there() {
    // Two places where Aurora is slower by 10 ms, one where it is faster by 20 and measured a hundred targets.
    let mut measured = days(1, 4, |_day| (30.0, 20.0));
    measured.extend(days(2, 5, |_day| (30.0, 20.0)));
    for target in 0..100 {
        let target = format!("target-{target}");
        let cells = (0..DAYS).flat_map(|day| (0..4).map(move |quarter| (day, quarter)));
        measured.extend(cells.flat_map(|(day, quarter)| {
            [at(3, &target, day, quarter, &around(20.0), 0), at(6, &target, day, quarter, &around(40.0), 0)]
        }));
    }
    let found = aurora_against_borealis(&measured);
    assert_eq!(found.overall.verdict, Verdict::Worse);
    assert_eq!(found.locations.iter().filter(|place| place.judgement.verdict == Verdict::Better).count(), 1);
}

#[test]
fn what_does_not_count_in_reports_does_not_count_here() {
    let mut measured = days(1, 4, |_day| (10.0, 20.0));
    for one in measured.iter_mut().filter(|one| one.origin.registration.0 == 4) {
        one.origin.attribution = crate::admission::Attribution::OffPrefix;
    }
    let found = aurora_against_borealis(&measured);
    assert_eq!(found.overall.reason, Some(Reason::NoCommonLocation));
    assert_eq!(found.apart.iter().map(|apart| &*apart.provider).collect::<Vec<_>>(), ["Aurora"]);
}

/// One of each: a verdict of every kind, a place without one, and providers apart.
fn everything() -> Vec<Measured> {
    let mut measured = days(1, 4, |day| (14.0 + f64::from(day) * 0.1, 21.0));
    measured.extend(days(2, 5, |day| (8.0, 8.1 + f64::from(day) * 0.05)));
    measured
        .extend((0..DAYS).flat_map(|day| (0..4).map(move |quarter| cell(3, day, quarter, &around(70.0), 1))));
    measured
}

#[test]
fn the_table_reads_as_it_was_read_and_approved() {
    let comparison = compare("providers=Aurora,Borealis", &everything());
    insta::assert_snapshot!("table", table::render(&comparison, Some(160)));
    let nothing =
        compare("providers=Aurora,Borealis&metric=icmp.rtt,tcp.connect", &days(1, 5, |_day| (10.0, 20.0)));
    insta::assert_snapshot!("apart", table::render(&nothing, Some(160)));
    let lossy: Vec<_> = (0..5)
        .flat_map(|day| {
            (0..4).flat_map(move |quarter| {
                [cell(1, day, quarter, &around(10.0), 0), cell(4, day, quarter, &around(9.0), 20)]
            })
        })
        .collect();
    insta::assert_snapshot!(
        "too_few",
        table::render(&compare("providers=Aurora,Borealis", &lossy), Some(160))
    );
}

#[test]
fn csv_and_json_hold_every_figure() {
    let comparison = compare("providers=Aurora,Borealis", &everything());
    insta::assert_snapshot!("csv", csv::render(&comparison).unwrap());
    insta::assert_json_snapshot!("json", comparison);
    let read: Comparison = serde_json::from_str(&serde_json::to_string(&comparison).unwrap()).unwrap();
    assert_eq!(read, comparison);
}
