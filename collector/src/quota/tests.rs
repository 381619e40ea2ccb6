//! What one agent may store and name in a day, and what becomes of the rest.

use super::*;
use crate::store::fixture::{MIDNIGHT, MINUTE, admitted, batch, caller, measurement};
use peerlight_proto::{
    id::SessionId,
    measurement::{Attribute, Measurement, Observed},
    time::{Interval, IntervalLength},
};

const LIMITS: Limits = Limits {
    measurements_per_day: 1_000,
    sessions_per_day: 2,
    series_per_day: 3,
    attributes_per_day: 2,
    requests_per_minute: 1,
    burst: 1,
    attempts_per_minute: 1,
    pushes: 1,
    connections: 1,
};

/// A measurement of one series from the registered network.
fn plain(series: u32) -> Measurement {
    Measurement { attributes: Vec::new(), ..measurement(series, MIDNIGHT.minus(MINUTE), 60, &[20_000]) }
}

/// The same from another network.
fn from_elsewhere(series: u32, address: &str) -> Measurement {
    let observed = Some(Observed { address: address.parse().unwrap(), age_seconds: 1 });
    Measurement { observed, ..plain(series) }
}

/// The measurements of a batch that arrives at `now` from agent `number`'s session.
fn pushed(number: u8, session: u8, measurements: Vec<Measurement>, now: Timestamp) -> Admitted {
    let caller = caller(1, number);
    let interval = Interval::containing(now.minus(MINUTE * 2), IntervalLength::MINUTE);
    let measurements = measurements.into_iter().map(|one| Measurement { interval, ..one }).collect();
    let mut batch = batch(&caller, 0, measurements);
    batch.number.session = SessionId::new([session; 16]);
    // A third series, so that there is one too many together with where they come from.
    let mut third = batch.series[0].clone();
    third.key.family = peerlight_proto::series::Family::V6;
    batch.series.push(third);
    admitted(&caller, batch, now)
}

fn refusals(admitted: &Admitted) -> Vec<(u32, RefusalCode)> {
    admitted.refused().iter().map(|refusal| (refusal.index, refusal.code)).collect()
}

#[test]
fn a_series_too_many_is_refused_by_its_place_and_the_rest_is_stored() {
    let quotas = Quotas::new(&Limits { series_per_day: 2, ..LIMITS });
    let measurements = vec![plain(2), plain(0), plain(1)];
    let held = Quotas::new(&Limits { series_per_day: 4, ..LIMITS });
    let (all, _) = held.within(pushed(1, 1, measurements.clone(), MIDNIGHT)).unwrap();
    assert_eq!((all.admitted(), refusals(&all)), (3, vec![]), "three series and one network fit four");
    let (none, _) = quotas.within(pushed(1, 1, measurements, MIDNIGHT)).unwrap();
    assert_eq!(none.admitted(), 0, "two series leave no room for a network");
    assert_eq!(refusals(&none), [0, 1, 2].map(|index| (index, RefusalCode::TooManySeries)));
    let lost: Vec<_> = none.lost.iter().map(|one| (one.code, one.measurements, one.turns)).collect();
    assert_eq!(lost, [(RefusalCode::TooManySeries, 3, 6)]);
    let few = Quotas::new(&Limits { series_per_day: 3, ..LIMITS });
    let (moved, _) = few.within(pushed(1, 1, vec![from_elsewhere(0, "198.51.100.9")], MIDNIGHT)).unwrap();
    assert_eq!(refusals(&moved), [(0, RefusalCode::TooManySeries)]);
}

#[test]
fn what_is_known_is_admitted_however_full_it_is_and_other_agents_have_room_of_their_own() {
    let quotas = Quotas::new(&Limits { series_per_day: 4, ..LIMITS });
    for agent in [1, 2] {
        for _push in 0..3 {
            let measurements = vec![plain(0), plain(1), plain(2)];
            let (all, _) = quotas.within(pushed(agent, 1, measurements, MIDNIGHT)).unwrap();
            assert_eq!(all.admitted(), 3);
        }
        let moved = vec![plain(0), from_elsewhere(1, "198.51.100.9"), plain(2)];
        let (moved, _) = quotas.within(pushed(agent, 1, moved, MIDNIGHT)).unwrap();
        assert_eq!(refusals(&moved), [(1, RefusalCode::TooManySeries)], "a network is one name more");
    }
}

#[test]
fn a_day_later_there_is_room_again() {
    let quotas = Quotas::new(&Limits { series_per_day: 4, ..LIMITS });
    let from = |address: &str, now: Timestamp| {
        let moved = vec![from_elsewhere(0, address)];
        quotas.within(pushed(1, 1, moved, now)).unwrap().0.admitted()
    };
    assert_eq!((from("198.51.100.9", MIDNIGHT), from("203.0.113.9", MIDNIGHT)), (1, 0));
    let almost = MIDNIGHT.plus(DAY).minus(MINUTE);
    quotas.forget_old(almost);
    assert_eq!(from("203.0.113.9", almost), 0);
    assert_eq!(from("203.0.113.9", MIDNIGHT.plus(DAY)), 1);
    assert_eq!(from("198.51.100.9", MIDNIGHT), 1, "a clock that was set back begins another day");
}

#[test]
fn a_session_too_many_waits_and_the_others_go_on() {
    let quotas = Quotas::new(&LIMITS);
    let push = |session: u8, now: Timestamp| quotas.within(pushed(1, session, Vec::new(), now)).map(|_| ());
    assert_eq!((push(1, MIDNIGHT), push(2, MIDNIGHT)), (Ok(()), Ok(())));
    let too_many = |wait| Err(TooMuch { what: Excess::Sessions(2), wait });
    assert_eq!(push(3, MIDNIGHT), too_many(MOST_WAIT));
    assert_eq!(push(1, MIDNIGHT), Ok(()));
    let soon_over = MIDNIGHT.plus(DAY).minus(MINUTE);
    assert_eq!(push(3, soon_over), too_many(MINUTE));
    assert_eq!(push(3, MIDNIGHT.plus(DAY)), Ok(()));
}

#[test]
fn an_agent_that_handed_over_enough_waits_and_the_others_go_on() {
    let quotas = Quotas::new(&Limits { measurements_per_day: 4, series_per_day: 4, ..LIMITS });
    // Of three series and a network the last one, which is refused, fills no disk.
    let push = |agent: u8, now: Timestamp| {
        let measurements = vec![plain(0), plain(1), from_elsewhere(2, "198.51.100.9")];
        quotas.within(pushed(agent, 1, measurements, now)).map(|(held, _)| held.admitted())
    };
    let too_much = |wait| Err(TooMuch { what: Excess::Measurements(4), wait });
    assert_eq!((push(1, MIDNIGHT), push(1, MIDNIGHT)), (Ok(2), Ok(2)));
    assert_eq!(push(1, MIDNIGHT), too_much(MOST_WAIT));
    assert_eq!(push(2, MIDNIGHT), Ok(2));
    assert_eq!(push(1, MIDNIGHT.plus(DAY).minus(MINUTE)), too_much(MINUTE));
    assert_eq!(push(1, MIDNIGHT.plus(DAY)), Ok(2));
}

#[test]
fn a_value_too_many_is_left_out_and_counted_and_its_measurement_stays() {
    let quotas = Quotas::new(&Limits { series_per_day: 9, ..LIMITS });
    let seen = |values: &[&str]| {
        let attributes = values
            .iter()
            .map(|value| Attribute { kind: "address".into(), value: (*value).into(), count: 1 })
            .collect();
        let (held, left_out) =
            quotas.within(pushed(1, 1, vec![Measurement { attributes, ..plain(0) }], MIDNIGHT)).unwrap();
        let kept: Vec<String> =
            held.measurements[0].measurement.attributes.iter().map(|one| one.value.clone()).collect();
        (kept, left_out)
    };
    assert_eq!(seen(&["a", "b"]), (vec!["a".to_owned(), "b".to_owned()], 0));
    assert_eq!(seen(&["b", "c", "a", "d"]), (vec!["b".to_owned(), "a".to_owned()], 2));
}

#[test]
fn what_is_forgotten_takes_no_memory() {
    let quotas = Quotas::new(&LIMITS);
    for agent in 0..9 {
        quotas.within(pushed(agent, 1, vec![plain(0)], MIDNIGHT)).unwrap();
    }
    // Of each a session, three series; the network is one too many.
    assert_eq!(quotas.named.lock().unwrap().names, 9 * 4);
    quotas.forget_old(MIDNIGHT.plus(DAY));
    let named = quotas.named.lock().unwrap();
    assert_eq!((named.names, named.agents.len()), (0, 0));
}
