use super::*;
use crate::{
    organisation::OrganisationId,
    report::{
        Dimension, Question,
        fixture::{self, Measured, registration, row as measured},
    },
};
use peerlight_proto::{measurement::Attribute, metric::Metric, series::Series};
use proptest::prelude::*;
use std::time::Duration;

fn minute(site: i64, minute: i64, us: u64, count: usize, doors: &[&str], path: Path) -> Measured {
    let series = fixture::series(Metric::HttpsTcp, "portal");
    let series = Series { key: peerlight_proto::series::SeriesKey { path, ..series.key }, ..series };
    let mut row =
        Measured { slot: Timestamp::from_secs(60 * minute), ..measured(site, &series, &vec![us; count], 0) };
    let each = count.div_ceil(doors.len().max(1)) as u64;
    row.totals.attributes = doors
        .iter()
        .map(|code| Attribute { kind: "front_door".into(), value: (*code).into(), count: each })
        .collect();
    row
}

fn told(location: &str, rows: &[Measured]) -> Vec<PhysicsRow> {
    let to = Timestamp::from_secs(600);
    let question = Question {
        from: Timestamp::from_secs(0),
        to,
        step: Some(Duration::from_mins(1)),
        by: vec![Dimension::Provider, Dimension::Location],
        metrics: [Metric::HttpsTcp].into(),
        ..Question::new(OrganisationId::DEFAULT, to)
    };
    let registrations = [registration(1, "Aurora", location)];
    let evidence = fixture::Evidence { rows, registrations: &registrations, ..fixture::Evidence::default() };
    fixture::physics_of(&question, &evidence, to).rows
}

fn one(location: &str, us: u64, count: usize, doors: &[&str]) -> PhysicsRow {
    let rows = told(location, &[minute(1, 0, us, count, doors, Path::Direct)]);
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    row.clone()
}

#[test]
fn a_round_trip_is_held_against_light_between_the_nearest_points() {
    // From Singapore (a circle of 33 km around the whole of it) to Tokyo: 5,300 km on the great circle.
    let row = one("SG", 70_000, 30, &["TYO"]);
    let distance = row.distance.unwrap();
    assert!((5_150.0..5_300.0).contains(&distance.least_km), "{distance:?}");
    assert!((50.0..52.0).contains(&row.bound_ms.unwrap()), "{row:?}");
    let stretch = row.stretch.unwrap();
    assert!(stretch.low > 1.3 && stretch.high.unwrap() < 1.4, "{stretch:?}");
    assert_eq!((row.verdict, row.no_verdict_because), (Some(PhysicsVerdict::Good), None));
    assert_eq!(one("SG", 150_000, 30, &["TYO"]).verdict, Some(PhysicsVerdict::Typical));
    assert_eq!(one("SG", 230_000, 30, &["TYO"]).verdict, Some(PhysicsVerdict::Detour));
}

#[test]
fn faster_than_light_is_interception_or_a_wrong_location_and_no_record() {
    let row = one("SG", 3_000, 5, &["TYO"]);
    assert_eq!(row.verdict, Some(PhysicsVerdict::InterceptionOrWrongLocation));
    assert_eq!((row.stretch, row.answered), (None, 5));
}

#[test]
fn what_cannot_be_said_has_its_reason() {
    let reason = |location, us, count, doors: &[&str]| {
        let row = one(location, us, count, doors);
        assert_eq!(row.verdict, None);
        row.no_verdict_because.unwrap()
    };
    assert_eq!(reason("SG", 70_000, 30, &["XYZ"]), NoVerdict::UnknownFrontDoor);
    assert_eq!(reason("ZZ-1", 70_000, 30, &["TYO"]), NoVerdict::UnknownLocation);
    assert_eq!(reason("SG", 70_000, 30, &["TYO", "SIN"]), NoVerdict::SeveralFrontDoors);
    assert_eq!(reason("SG", 70_000, 30, &[]), NoVerdict::SeveralFrontDoors);
    assert_eq!(reason("SG", 70_000, 19, &["TYO"]), NoVerdict::TooFew);
    assert_eq!(reason("SG", 1_000, 30, &["SIN"]), NoVerdict::MayBeNear);
    let proxied = told("SG", &[minute(1, 0, 3_000, 30, &["TYO"], Path::Proxy)]);
    assert_eq!((proxied[0].no_verdict_because, proxied[0].bound_ms), (Some(NoVerdict::Proxied), None));
}

#[test]
fn times_of_one_door_are_never_another_ones() {
    let rows = told(
        "SG",
        &[
            minute(1, 0, 70_000, 30, &["TYO"], Path::Direct),
            minute(1, 1, 2_000, 30, &["TYO", "SIN"], Path::Direct),
            minute(1, 2, 1_000, 30, &["SIN"], Path::Direct),
        ],
    );
    let of = |door: Option<&str>| rows.iter().find(|row| row.front_door.as_deref() == door).unwrap();
    assert_eq!((rows.len(), of(Some("TYO")).answered, of(None).answered), (3, 30, 30));
    assert_eq!(of(Some("TYO")).verdict, Some(PhysicsVerdict::Good));
}

proptest! {
    #[test]
    fn stretch_is_a_range_around_the_truth_and_impossible_times_have_none(
        least_km in 0.0..9_000.0_f64, more_km in 0.0..3_000.0_f64, ms in 0.1..500.0_f64
    ) {
        let distance = Distance { least_km, most_km: least_km + more_km + 100.0 };
        let latency = Latency { min: Some(ms), p5: Some(ms), ..Latency::default() };
        let impossible = judge(distance, &latency) == Ok(PhysicsVerdict::InterceptionOrWrongLocation);
        prop_assert_eq!(impossible, ms + CLEARLY_MS < fibre_rtt_ms(least_km));
        match stretch(distance, &latency) {
            None => prop_assert!(impossible),
            Some(Stretch { low, high }) => {
                prop_assert!(!impossible && high.is_none_or(|high| low <= high && high >= 0.9));
            }
        }
    }
}
