//! What is admitted, refused and attributed: tables first, then what holds for every batch.

use super::*;
use crate::store::fixture::{MIDNIGHT, MINUTE, batch, caller, digest, measurement, series};
use peerlight_proto::{codec::Unread, id::BatchNumber, measurement::Observed, metric::Metric};
use proptest::prelude::*;
use std::collections::BTreeSet;

const HORIZON: Duration = limits::ACCEPTANCE_HORIZON;
/// The collector's clock.
const NOW: Timestamp = MIDNIGHT;

/// One minute that began so long before now, or after it.
fn minute_at(micros_from_now: i64) -> Measurement {
    measurement(0, Timestamp::from_micros(NOW.as_micros() + micros_from_now), 60, &[20_000])
}

fn ago(span: Duration) -> Measurement {
    minute_at(-i64::try_from(span.as_micros()).unwrap())
}

fn ahead(span: Duration) -> Measurement {
    minute_at(i64::try_from(span.as_micros()).unwrap())
}

fn decoded(batch: Batch) -> Decoded {
    let indices = (0..u32::try_from(batch.measurements.len()).unwrap()).collect();
    Decoded { batch, indices, refused: Vec::new() }
}

fn admit_at_now(caller: &Caller, decoded: Decoded) -> Result<Admitted, AdmitError> {
    let digest = digest(&decoded.batch);
    admit(decoded, digest, caller, HORIZON, NOW)
}

fn refusals(caller: &Caller, measurements: Vec<Measurement>) -> Vec<(u32, RefusalCode)> {
    let admitted = admit_at_now(caller, decoded(batch(caller, 0, measurements))).unwrap();
    admitted.refused().iter().map(|refusal| (refusal.index, refusal.code)).collect()
}

#[test]
fn what_is_in_order_is_admitted_for_the_registration_and_the_organisation_of_the_caller() {
    let caller = caller(3, 7);
    let batch = batch(&caller, 0, vec![ago(MINUTE), measurement(1, NOW.minus(MINUTE), 60, &[])]);
    let expected = (digest(&batch), batch.measurements.clone());
    let admitted = admit_at_now(&caller, decoded(batch)).unwrap();
    assert_eq!((admitted.organisation.0, admitted.received, admitted.digest), (3, NOW, expected.0));
    assert_eq!((admitted.admitted(), admitted.refused()), (2, &[][..]));
    let measurements: Vec<Measurement> =
        admitted.measurements.iter().map(|one| one.measurement.clone()).collect();
    assert_eq!(measurements, expected.1);
    assert!(admitted.measurements.iter().all(|one| one.registration == RegistrationId(7)));
}

#[test]
fn a_batch_that_names_another_agent_is_refused_whole() {
    let (caller, other) = (caller(1, 1), caller(1, 2));
    let error = admit_at_now(&caller, decoded(batch(&other, 0, vec![ago(MINUTE)]))).unwrap_err();
    assert_eq!(error, AdmitError::WrongAgent { named: other.agent, signed: caller.agent });
    assert_eq!(error.problem(), ProblemType::WrongAgent);
}

#[test]
fn a_batch_is_too_old_when_nothing_of_it_ends_within_the_horizon() {
    let caller = caller(1, 1);
    let (gone, kept) = (ago(HORIZON + MINUTE), ago(HORIZON));
    let error = admit_at_now(&caller, decoded(batch(&caller, 0, vec![gone.clone()]))).unwrap_err();
    assert_eq!((error.problem(), &error), (ProblemType::TooOld, &AdmitError::TooOld(NOW.minus(HORIZON))));
    assert_eq!(
        error.to_string(),
        "the batch is too old: this collector takes only intervals that end after 2026-11-02T00:00:00Z"
    );
    assert_eq!(refusals(&caller, vec![gone, kept]), [(0, RefusalCode::TooOld)], "one alone is refused alone");
}

#[test]
fn a_batch_over_an_hour_long_is_to_be_split() {
    let caller = caller(1, 1);
    let hour = vec![ago(MINUTE * 60), ago(MINUTE)];
    assert_eq!(refusals(&caller, hour), []);
    let longer = decoded(batch(&caller, 0, vec![ago(MINUTE * 61), ago(MINUTE)]));
    let error = admit_at_now(&caller, longer).unwrap_err();
    assert_eq!((error.problem(), error), (ProblemType::TooMany, AdmitError::TooLong));
}

#[test]
fn an_interval_may_end_a_little_ahead_of_the_collectors_clock() {
    let caller = caller(1, 1);
    let last = ahead(limits::MAX_FUTURE.saturating_sub(MINUTE));
    let first_too_far = ahead(limits::MAX_FUTURE);
    assert_eq!(refusals(&caller, vec![last, first_too_far]), [(1, RefusalCode::Future)]);
}

#[test]
fn a_series_is_measured_once_in_an_interval() {
    let caller = caller(1, 1);
    let other_series = measurement(1, NOW.minus(MINUTE), 60, &[]);
    let other_length = measurement(0, NOW.minus(MINUTE), 10, &[]);
    let measurements = vec![ago(MINUTE), other_series, other_length, ago(MINUTE)];
    assert_eq!(refusals(&caller, measurements), [(3, RefusalCode::Repeated)]);

    let mut twice = batch(&caller, 0, vec![ago(MINUTE), measurement(2, NOW.minus(MINUTE), 60, &[])]);
    twice.series.push(series(Metric::TcpConnect, "the same under another name"));
    let admitted = admit_at_now(&caller, decoded(twice)).unwrap();
    assert_eq!(admitted.refused(), [Refusal { index: 1, code: RefusalCode::Repeated }]);
}

#[test]
fn an_uplink_that_is_not_the_registrations_is_refused() {
    let caller = caller(1, 1);
    let mut foreign = batch(&caller, 0, vec![ago(MINUTE), measurement(1, NOW.minus(MINUTE), 60, &[])]);
    foreign.series[1].key.uplink = "paris-1".into();
    let admitted = admit_at_now(&caller, decoded(foreign.clone())).unwrap();
    assert_eq!(admitted.refused(), [Refusal { index: 1, code: RefusalCode::Uplink }]);
    // Measured before the agent knew its site.
    foreign.series[1].key.uplink = "".into();
    assert_eq!(admit_at_now(&caller, decoded(foreign)).unwrap().refused(), []);
}

#[test]
fn attribution_follows_the_observed_address_and_the_longest_prefix() {
    let caller = caller(1, 1);
    let table = [
        (None, Attribution::Declared, None),
        (Some("192.0.2.200"), Attribution::Verified, Some("192.0.2.0/24")),
        (Some("192.0.2.15"), Attribution::Verified, Some("192.0.2.0/28")),
        (Some("::ffff:192.0.2.15"), Attribution::Verified, Some("192.0.2.0/28")),
        (Some("2001:db8:7::1"), Attribution::Verified, Some("2001:db8:7::/48")),
        (Some("198.51.100.1"), Attribution::OffPrefix, Some("198.51.100.0/24")),
        (Some("2001:db8:8::1"), Attribution::OffPrefix, Some("2001:db8:8::/48")),
    ];
    for (observed, attribution, prefix) in table {
        let mut measured = ago(MINUTE);
        measured.observed =
            observed.map(|address| Observed { address: address.parse().unwrap(), age_seconds: 1 });
        let admitted = admit_at_now(&caller, decoded(batch(&caller, 0, vec![measured]))).unwrap();
        let one = &admitted.measurements[0];
        assert_eq!((one.attribution, one.prefix), (attribution, prefix.map(|text| text.parse().unwrap())));
    }
}

#[test]
fn refusals_of_decoding_and_of_admission_stand_in_the_order_of_the_batch() {
    let caller = caller(1, 1);
    // Places 0 and 2 could not be read; 1 is ahead of its time; 3 is well.
    let batch = batch(&caller, 0, vec![ahead(MINUTE * 20), ago(MINUTE)]);
    let unreadable = [2, 0].map(|index| Unread {
        refusal: Refusal { index, code: RefusalCode::Histogram },
        interval: None,
        turns: 7,
    });
    let decoded = Decoded { batch, indices: vec![1, 3], refused: unreadable.into() };
    let admitted = admit_at_now(&caller, decoded).unwrap();
    let refused: Vec<(u32, RefusalCode)> =
        admitted.refused().iter().map(|refusal| (refusal.index, refusal.code)).collect();
    assert_eq!(refused, [(0, RefusalCode::Histogram), (1, RefusalCode::Future), (2, RefusalCode::Histogram)]);
    assert_eq!(admitted.admitted(), 1);
    // What does not say when it was measured is of the batch's span; what is ahead of its time is of now.
    let lost: Vec<_> = admitted
        .lost
        .iter()
        .map(|loss| (loss.code, loss.measurements, loss.turns, NOW.since(loss.first), loss.registration))
        .collect();
    let site = caller.registration.id;
    assert_eq!(
        lost,
        [
            (RefusalCode::Histogram, 2, 14, MINUTE, site),
            (RefusalCode::Future, 1, 2, Duration::from_secs(1), site)
        ]
    );
}

#[test]
fn a_batch_of_which_nothing_is_left_is_admitted_with_its_number() {
    let caller = caller(1, 1);
    let mut lost = batch(&caller, 0, vec![ago(MINUTE)]);
    lost.measurements[0].series = 9;
    let number = lost.number;
    let admitted = admit_at_now(&caller, decoded(lost)).unwrap();
    assert_eq!((admitted.admitted(), admitted.batch.number), (0, number));
    assert_eq!(admitted.refused(), [Refusal { index: 0, code: RefusalCode::Series }]);
}

proptest! {
    #[test]
    fn every_measurement_is_either_admitted_within_the_rules_or_refused(
        measured in prop::collection::vec((0..4_u32, -30..10_i64, prop::sample::select(vec![10, 60, 300])), 0..40),
        valid_for in 1..40_u32,
    ) {
        let mut caller = caller(1, 1);
        caller.registration.valid_from = NOW.minus(MINUTE * valid_for);
        let measurements: Vec<Measurement> = measured
            .iter()
            .map(|&(series, minutes, length)| {
                measurement(series, Timestamp::from_secs(NOW.as_secs() + 60 * minutes), length, &[1])
            })
            .collect();
        let batch = batch(&caller, 5, measurements.clone());
        let number: BatchNumber = batch.number;
        let admitted = admit_at_now(&caller, decoded(batch)).unwrap();
        prop_assert_eq!(admitted.batch.number, number);
        prop_assert_eq!(admitted.admitted() + admitted.refused().len(), measurements.len());
        prop_assert!(admitted.refused().is_sorted_by(|one, next| one.index < next.index));

        let refused: BTreeSet<u32> = admitted.refused().iter().map(|refusal| refusal.index).collect();
        let kept = (0..).zip(measurements).filter(|(index, _)| !refused.contains(index)).map(|(_, one)| one);
        prop_assert!(kept.eq(admitted.measurements.iter().map(|one| one.measurement.clone())));
        let mut keys = BTreeSet::new();
        for AdmittedMeasurement { measurement, .. } in &admitted.measurements {
            prop_assert!(keys.insert((measurement.series, measurement.interval)));
            prop_assert!(measurement.interval.end() <= NOW.plus(limits::MAX_FUTURE));
            prop_assert!(measurement.series < 2);
        }
    }
}
