//! A site's registrations one after another: which one each interval counts for.

use super::*;
use crate::{
    registry::RegistrationId,
    store::fixture::{self, MIDNIGHT, MINUTE},
};
use peerlight_proto::measurement::Observed;

const NOW: Timestamp = MIDNIGHT;

fn ago(minutes: u32) -> Timestamp {
    NOW.minus(MINUTE * minutes)
}

/// Registration `id` of a site from `from` to `to` minutes ago, with 192.0.`id`.0/24.
fn registration(id: u8, site: &str, from: u32, to: Option<u32>) -> Registration {
    Registration {
        id: RegistrationId(id.into()),
        site: site.to_owned(),
        prefixes: vec![format!("192.0.{id}.0/24").parse().unwrap()],
        valid_from: ago(from),
        valid_to: to.map(ago),
        ..fixture::caller(1, 1).registration
    }
}

/// An agent whose site's registration is the first one.
fn caller(registration: Registration, others: Vec<Registration>) -> Caller {
    Caller { registration, others, ..fixture::caller(1, 1) }
}

/// The minute that began so many minutes ago, observed from 192.0.`observed`.9 if that is not 0.
fn minute(minutes_ago: u32, observed: u8) -> Measurement {
    let observed = (observed > 0)
        .then(|| Observed { address: format!("192.0.{observed}.9").parse().unwrap(), age_seconds: 1 });
    Measurement { observed, ..fixture::measurement(0, ago(minutes_ago), 60, &[1]) }
}

fn chosen(caller: &Caller, uplink: &str, minutes_ago: u32) -> Result<i64, Unregistered> {
    choose(caller, uplink, Occasion::from(&minute(minutes_ago, 0)), NOW).map(|one| one.id.0)
}

#[test]
fn each_interval_counts_for_the_registration_that_was_valid_then() {
    let caller =
        caller(registration(2, "london-1", 10, None), vec![registration(1, "london-1", 60, Some(10))]);
    for (minutes_ago, id) in [(59, 1), (11, 1), (10, 2), (1, 2)] {
        assert_eq!(chosen(&caller, "london-1", minutes_ago), Ok(id), "{minutes_ago} minutes ago");
        assert_eq!(chosen(&caller, "", minutes_ago), Ok(id), "measured before it knew its site");
    }
}

#[test]
fn what_lies_before_a_registration_counts_for_the_next_one_that_has_begun() {
    let between =
        caller(registration(2, "london-1", 10, None), vec![registration(1, "london-1", 60, Some(30))]);
    for (minutes_ago, id) in [(90, 1), (31, 1), (30, 2), (20, 2), (5, 2)] {
        assert_eq!(chosen(&between, "london-1", minutes_ago), Ok(id), "{minutes_ago} minutes ago");
    }
    let mut ahead = registration(2, "london-1", 0, None);
    ahead.valid_from = NOW.plus(MINUTE);
    let waits = caller(registration(1, "london-1", 60, Some(30)), vec![ahead]);
    assert_eq!(chosen(&waits, "london-1", 20), Err(Unregistered::NotCovered));
}

#[test]
fn what_no_registration_covers_yet_is_not_foreign() {
    let caller = caller(registration(1, "london-1", 60, Some(10)), vec![]);
    assert_eq!(chosen(&caller, "london-1", 11), Ok(1));
    assert_eq!(chosen(&caller, "london-1", 10), Err(Unregistered::NotCovered));
    assert_eq!(chosen(&caller, "", 10), Err(Unregistered::NotCovered));
    assert_eq!(chosen(&caller, "paris-1", 11), Err(Unregistered::Foreign));
}

#[test]
fn an_agent_that_moved_still_speaks_for_the_site_that_it_left() {
    let leeds = registration(2, "leeds-1", 600, None);
    let moved = caller(leeds, vec![registration(1, "london-1", 600, Some(10))]);
    assert_eq!(chosen(&moved, "london-1", 11), Ok(1));
    assert_eq!(chosen(&moved, "leeds-1", 11), Ok(2));
    assert_eq!(chosen(&moved, "london-1", 9), Ok(2), "London had ended: this was measured on the move");
}

#[test]
fn what_one_of_several_uplinks_measured_counts_for_no_other() {
    let beside = |ended| Caller {
        uplinks: vec!["london-1".to_owned(), "london-2".to_owned()],
        ..caller(registration(2, "london-2", 600, None), vec![registration(1, "london-1", 600, ended)])
    };
    let chosen = |ended, uplink: &str| chosen(&beside(ended), uplink, 5);
    assert_eq!((chosen(None, "london-1"), chosen(None, "London-2")), (Ok(1), Ok(2)));
    assert_eq!(chosen(Some(10), "london-1"), Err(Unregistered::NotCovered), "its successor may come");
    assert_eq!(chosen(Some(59), "london-1"), Err(Unregistered::NotCovered));
    assert_eq!(chosen(Some(60), "london-1"), Err(Unregistered::Retired), "the other one waits no longer");
    assert_eq!(chosen(Some(60), "london-2"), Ok(2));
    assert_eq!(chosen(Some(60), "paris-1"), Err(Unregistered::Foreign));
}

#[test]
fn of_two_that_share_an_interval_the_observed_address_tells() {
    let mut old = registration(1, "london-1", 60, None);
    let mut new = registration(2, "london-1", 0, None);
    new.valid_from = ago(10).plus(MINUTE / 2);
    old.valid_to = Some(new.valid_from);
    let caller = caller(new, vec![old]);
    for (observed, id) in [(0, 1), (1, 1), (2, 2), (9, 1)] {
        let one = choose(&caller, "london-1", Occasion::from(&minute(10, observed)), NOW).unwrap();
        assert_eq!(one.id.0, id, "observed from 192.0.{observed}.9");
    }
}
