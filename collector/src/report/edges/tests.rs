use super::*;
use crate::{
    organisation::OrganisationId,
    report::{
        Dimension, Question,
        fixture::{self, Measured, registration, row as measured},
    },
};
use peerlight_proto::{measurement::Attribute, metric::Metric};
use proptest::prelude::*;
use std::time::Duration;

const MINUTE: i64 = 60;

/// Connects of a minute that took so long, each door's requests with them.
fn minute(site: i64, minute: i64, ms: u64, doors: &[(&str, u64)]) -> Measured {
    let count = doors.iter().map(|(_, count)| usize::try_from(*count).unwrap()).sum();
    let mut row = Measured {
        slot: Timestamp::from_secs(MINUTE * minute),
        ..measured(site, &fixture::series(Metric::HttpsTcp, "portal"), &vec![ms * 1_000; count], 0)
    };
    row.totals.attributes = doors
        .iter()
        .map(|(code, count)| Attribute { kind: "front_door".into(), value: (*code).into(), count: *count })
        .collect();
    row
}

fn told(rows: &[Measured]) -> EdgesReport {
    let to = Timestamp::from_secs(10 * MINUTE);
    let question = Question {
        from: Timestamp::from_secs(0),
        to,
        step: Some(Duration::from_mins(1)),
        by: vec![Dimension::Provider, Dimension::Location],
        metrics: [Metric::HttpsTcp].into(),
        ..Question::new(OrganisationId::DEFAULT, to)
    };
    let registrations = [registration(1, "Aurora", "DE-HE"), registration(2, "Borealis", "ZZ-1")];
    let evidence = fixture::Evidence { rows, registrations: &registrations, ..fixture::Evidence::default() };
    fixture::edges_of(&question, &evidence, to)
}

#[test]
fn shares_first_and_last_seen_and_a_shift_with_what_it_cost() {
    let report = told(&[
        minute(1, 0, 5, &[("FRA", 20)]),
        minute(1, 1, 5, &[("FRA", 20)]),
        minute(1, 2, 43, &[("LIS", 20)]),
        minute(1, 3, 20, &[("FRA", 10), ("LIS", 10)]),
        minute(1, 4, 44, &[("LIS", 15), ("XYZ", 5)]),
    ]);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    let doors: Vec<_> = row.front_doors.iter().map(|door| (door.code.as_str(), door.requests)).collect();
    assert_eq!(doors, [("FRA", 50), ("LIS", 45), ("XYZ", 5)]);
    let [fra, lis, xyz] = row.front_doors.as_slice() else { panic!("{row:?}") };
    assert_eq!(
        (fra.share, fra.nearness, fra.connect_p50_ms.map(f64::round)),
        (0.5, Some(Nearness::Nearest), Some(5.0))
    );
    assert_eq!((fra.last_seen.as_secs(), lis.first_seen.as_secs()), (180, 120));
    assert_eq!((lis.city.as_deref(), lis.nearness), (Some("Lisbon"), Some(Nearness::Farther)));
    assert_eq!((&xyz.city, xyz.distance, xyz.nearness), (&None, None, None), "an unknown code stays unknown");
    let [shift] = row.shifts.as_slice() else { panic!("{row:?}") };
    assert_eq!(
        (row.shift_count, shift.at.as_secs(), shift.from.as_str(), shift.to.as_str()),
        (1, 120, "FRA", "LIS")
    );
    assert_eq!(
        [shift.p50_before_ms, shift.p50_after_ms].map(|ms| ms.map(f64::round)),
        [Some(5.0), Some(43.0)]
    );
    assert_eq!(row.nearest.as_ref().map(|nearest| nearest.code.as_str()), Some("FRA"));
    assert_eq!(row.slots.len(), 5);
}

#[test]
fn a_location_that_nobody_knows_has_shares_and_no_distances() {
    let report = told(&[minute(2, 0, 5, &[("FRA", 20)])]);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!((row.area, &row.nearest, row.requests), (None, &None, 20));
    assert_eq!((row.front_doors[0].city.as_deref(), row.front_doors[0].nearness), (Some("Frankfurt"), None));
}

#[test]
fn what_named_no_front_door_is_counted_and_shared_out_to_none() {
    let mut silent = minute(1, 0, 5, &[("FRA", 20)]);
    silent.totals.attributes.clear();
    let report = told(&[silent, minute(1, 1, 5, &[("FRA", 20)])]);
    let [row] = report.rows.as_slice() else { panic!("{report:?}") };
    assert_eq!((row.requests, row.untold, row.front_doors.len(), row.slots.len()), (20, 20, 1, 1));
}

proptest! {
    #[test]
    fn every_request_is_in_one_share_and_one_slot(
        slots in prop::collection::vec(prop::collection::btree_map("[A-D]{2}", 1_u64..30, 0..4), 1..10)
    ) {
        let rows: Vec<_> = (0..).zip(&slots).map(|(at, doors)| {
            let doors: Vec<_> = doors.iter().map(|(code, count)| (code.as_str(), *count)).collect();
            minute(1, at, 9, &doors)
        }).collect();
        let all: u64 = slots.iter().flat_map(|doors| doors.values()).sum();
        let report = told(&rows);
        prop_assert_eq!(report.rows.len(), usize::from(all > 0));
        for row in &report.rows {
            let in_slots: u64 = row.slots.iter().flat_map(|slot| &slot.front_doors).map(|share| share.requests).sum();
            let in_shares: u64 = row.front_doors.iter().map(|door| door.requests).sum();
            prop_assert_eq!((row.requests, in_slots, in_shares, row.untold), (all, all, all, 0));
            let share: f64 = row.front_doors.iter().map(|door| door.share).sum();
            prop_assert!((share - 1.0).abs() < 1e-4);
            prop_assert!(row.shifts.windows(2).all(|pair| pair[0].to == pair[1].from && pair[0].at < pair[1].at));
        }
    }
}
