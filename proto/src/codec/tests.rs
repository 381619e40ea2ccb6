//! Round trips, limits and hostile bytes.

use super::*;
use crate::{
    assignment::{AssignmentState, RefusedAssignment},
    batch::{Health, Part, Remarks},
    drops::{Account, DropEntry, DropReason, Signed},
    histogram::Histogram,
    id::{AccountId, AgentId, BatchNumber, SessionId},
    measurement::{Attribute, Counters, Measurement, Observed},
    metric::Metric,
    problem::Class,
    series::{Clock, Family, Path, Series, SeriesKey},
    target::{Host, Target},
    time::{Interval, IntervalLength},
};
use proptest::{collection::vec, prelude::*};

fn example() -> Batch {
    let target = Target {
        name: "exchange-online".into(),
        service: "Microsoft 365".into(),
        address: "outlook.office365.com".parse::<Host>().unwrap(),
        probe: "tcp:443".parse().unwrap(),
    };
    let series = Series {
        key: SeriesKey {
            uplink: "london-1".into(),
            target: target.id(),
            metric: Metric::TcpConnect,
            family: Family::V4,
            path: Path::Direct,
            clock: Clock::TcpInfo,
            http_version: None,
            handshake: None,
        },
        target: target.into(),
        probe_interval_ms: 10_000,
    };
    let histogram = Histogram::from_values([20_100, 20_300, 25_000]);
    let counters =
        Counters { scheduled: 5, answered: 3, lost: 1, skipped: 1, duplicate: 2, ..Counters::default() };
    Batch {
        number: BatchNumber { agent: AgentId::new([1; 16]), session: SessionId::new([2; 16]), sequence: 7 },
        created: Timestamp::from_secs(1_760_000_061),
        clock_offset_us: Some(-1_500),
        agent_version: "0.1.0".into(),
        part: None,
        health: Health { spooled_batches: 3, ..Health::default() },
        series: vec![series],
        measurements: vec![Measurement {
            series: 0,
            interval: Interval::starting(1_760_000_040, IntervalLength::MINUTE).unwrap(),
            counters,
            histogram,
            attributes: vec![Attribute { kind: "address".into(), value: "52.98.0.1".into(), count: 3 }],
            observed: Some(Observed { address: "192.0.2.10".parse().unwrap(), age_seconds: 12 }),
        }],
    }
}

/// What an agent dropped.
fn account() -> Account {
    let hour = Timestamp::from_secs(1_760_000_400);
    let entry = DropEntry {
        hour,
        uplink: "london-1".into(),
        reason: DropReason::SpoolFull,
        measurements: 12,
        turns: 72,
        unread_batches: 0,
        first: hour,
        last: Timestamp::from_secs(1_760_001_000),
    };
    let unread = DropEntry {
        reason: DropReason::Corrupt,
        measurements: 0,
        turns: 0,
        unread_batches: 1,
        ..entry.clone()
    };
    Account { id: AccountId::new([8; 16]), until: 2, entries: vec![entry, unread] }
}

fn frame(message: &wire::Batch) -> Vec<u8> {
    zstd::bulk::compress(&message.encode_to_vec(), ZSTD_LEVEL).unwrap()
}

#[test]
fn a_batch_reads_back_as_it_was_written() {
    let batch = example();
    let decoded = decode_batch(&encode_batch(&batch).unwrap()).unwrap();
    assert_eq!(decoded, Decoded { batch, indices: vec![0], refused: vec![] });
}

#[test]
fn what_an_agent_dropped_reads_back_as_it_was_written() {
    let health = Health { dropped: Some(account()), ..Health::default() };
    let batch = Batch { health, ..example() };
    assert_eq!(decode_batch(&encode_batch(&batch).unwrap()).unwrap().batch, batch);
}

#[test]
fn a_malformed_account_of_drops_costs_no_measurement_and_is_not_signed_for() {
    let spoilt = |spoil: fn(&mut wire::Dropped)| {
        let mut message = batch_to_wire(&Batch {
            health: Health { dropped: Some(account()), ..Health::default() },
            ..example()
        });
        spoil(message.health.as_mut().unwrap().dropped.as_mut().unwrap());
        let batch = decode_batch(&frame(&message)).unwrap().batch;
        assert_eq!((batch.measurements.len(), batch.health.spooled_batches), (1, 0));
        batch.health.dropped
    };
    assert_eq!(spoilt(|_| ()), Some(account()));
    assert_eq!(spoilt(|dropped| dropped.account.truncate(15)), None);
    assert_eq!(spoilt(|dropped| dropped.until = u64::MAX), None);
    assert_eq!(spoilt(|dropped| dropped.entries[0].hour += 1), None);
    assert_eq!(spoilt(|dropped| dropped.entries[0].hour = i64::MIN), None);
    assert_eq!(spoilt(|dropped| dropped.entries[0].last_end = i64::MAX), None);
    assert_eq!(spoilt(|dropped| dropped.entries[0].first_start += 86_400), None);
    assert_eq!(spoilt(|dropped| dropped.entries[0].measurements = u64::MAX), None);
    assert_eq!(spoilt(|dropped| dropped.entries[0].turns = limits::MAX_DROPPED + 1), None);
    assert_eq!(spoilt(|dropped| dropped.entries[0].unread_batches = u64::MAX), None);
    assert_eq!(spoilt(|dropped| dropped.entries[0].uplink = "a\nb".into()), None);
    let newer = spoilt(|dropped| dropped.entries[0].reason = "eaten".into());
    assert_eq!(newer.unwrap().entries[0].reason, DropReason::Other);
}

#[test]
fn entries_of_drops_are_counted_before_anything_is_decoded_however_they_are_spread() {
    let one = Account { entries: account().entries[..1].to_vec(), ..account() };
    let with = |entries: usize| {
        let many = Account { entries: vec![one.entries[0].clone(); entries], ..one.clone() };
        let health = Health { dropped: Some(many), ..Health::default() };
        batch_to_wire(&Batch { health, ..example() }).encode_to_vec()
    };
    let decoded = |bytes: &[u8]| decode_batch(&zstd::bulk::compress(bytes, ZSTD_LEVEL).unwrap());
    assert!(decoded(&with(limits::MAX_DROP_ENTRIES)).is_ok());
    let what = "entries of what was dropped";
    let too_many = DecodeError::TooMany { what, limit: limits::MAX_DROP_ENTRIES };
    assert_eq!(decoded(&with(limits::MAX_DROP_ENTRIES + 1)), Err(too_many.clone()));
    // Protobuf joins what stands in two messages of one field.
    assert_eq!(decoded(&[with(40), with(40)].concat()), Err(too_many));
}

#[test]
fn the_bytes_of_version_1_never_change() {
    insta::assert_snapshot!(hex::encode(batch_to_wire(&example()).encode_to_vec()));
}

#[test]
fn an_acknowledgement_reads_back_as_it_was_written() {
    let ack = Ack {
        number: example().number,
        digest: BatchDigest::of(b"x"),
        collector_time: Timestamp::from_secs(5),
        duplicate: true,
        refused: vec![Refusal { index: 3, code: RefusalCode::Future }],
        dropped: Some(Signed { id: AccountId::new([8; 16]), until: 65 }),
    };
    assert_eq!(decode_ack(&encode_ack(&ack)), Ok(ack));
}

#[test]
fn a_bad_measurement_is_refused_alone_and_by_its_place() {
    let spoil = |spoil: fn(&mut wire::Measurement, &mut wire::Series)| {
        let mut message = batch_to_wire(&example());
        let (mut measurement, mut series) = (message.measurements[0].clone(), message.series[0].clone());
        measurement.series = 1;
        spoil(&mut measurement, &mut series);
        message.series.push(series);
        message.measurements.insert(0, measurement);
        let decoded = decode_batch(&frame(&message)).unwrap();
        assert_eq!((decoded.indices, decoded.batch.measurements.len()), (vec![1], 1));
        decoded.refused[0].refusal.code
    };
    assert_eq!(spoil(|measurement, _| measurement.series = 9), RefusalCode::Series);
    assert_eq!(spoil(|_, series| series.metric = "icmp.future".into()), RefusalCode::UnknownMetric);
    assert_eq!(spoil(|_, series| series.family = 5), RefusalCode::UnknownWord);
    assert_eq!(spoil(|_, series| series.uplink = "a\nb".into()), RefusalCode::Series);
    assert_eq!(spoil(|_, series| series.uplink = "x".repeat(257)), RefusalCode::Series);
    assert_eq!(spoil(|measurement, _| measurement.interval_seconds = 7), RefusalCode::Interval);
    assert_eq!(spoil(|measurement, _| measurement.interval_start += 1), RefusalCode::Interval);
    assert_eq!(spoil(|measurement, _| measurement.counters = None), RefusalCode::Counters);
    let giant = |measurement: &mut wire::Measurement, _: &mut wire::Series| {
        let counters = measurement.counters.as_mut().unwrap();
        (counters.scheduled, counters.lost) = (counters.scheduled + (1 << 40), counters.lost + (1 << 40));
    };
    assert_eq!(spoil(giant), RefusalCode::Counters);
    let flood = |measurement: &mut wire::Measurement, _: &mut wire::Series| {
        measurement.counters.as_mut().unwrap().foreign = u64::MAX;
    };
    assert_eq!(spoil(flood), RefusalCode::Counters);
    assert_eq!(spoil(|measurement, _| measurement.attributes[0].count = u64::MAX), RefusalCode::Attributes);
    assert_eq!(spoil(|measurement, _| measurement.min_us = 1), RefusalCode::Histogram);
    assert_eq!(spoil(|measurement, _| measurement.attributes[0].kind = "\0".into()), RefusalCode::Attributes);
    assert_eq!(
        spoil(|measurement, _| measurement.observed = Some(wire::Observed::default())),
        RefusalCode::Attributes
    );
}

#[test]
fn limits_stand_before_decoding() {
    assert_eq!(
        decode_batch(&vec![0; limits::MAX_BODY_BYTES + 1]),
        Err(DecodeError::TooLarge(limits::MAX_BODY_BYTES))
    );
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], ZSTD_LEVEL).unwrap();
    assert_eq!(decode_batch(&bomb), Err(DecodeError::TooLarge(limits::MAX_INFLATED_BYTES)));
    let empty_measurements = [&[0x08, 0x01][..], &[0x42, 0].repeat(limits::MAX_MEASUREMENTS + 1)].concat();
    let empty_measurements = zstd::bulk::compress(&empty_measurements, ZSTD_LEVEL).unwrap();
    let too_many = DecodeError::TooMany { what: "measurements", limit: limits::MAX_MEASUREMENTS };
    assert_eq!(decode_batch(&empty_measurements), Err(too_many));
    let mut message = batch_to_wire(&example());
    message.measurements[0].attributes = vec![wire::Attribute::default(); limits::MAX_ATTRIBUTES + 1];
    assert!(matches!(decode_batch(&frame(&message)), Err(DecodeError::TooMany { .. })));
}

#[test]
fn a_wrong_envelope_is_named() {
    let spoil = |spoil: fn(&mut wire::Batch)| {
        let mut message = batch_to_wire(&example());
        spoil(&mut message);
        decode_batch(&frame(&message)).unwrap_err()
    };
    assert_eq!(spoil(|batch| batch.version = 0), DecodeError::Envelope("version"));
    assert_eq!(spoil(|batch| batch.agent = vec![0; 15]), DecodeError::Envelope("agent"));
    assert_eq!(spoil(|batch| batch.sequence = u64::MAX), DecodeError::Envelope("sequence"));
    assert_eq!(spoil(|batch| batch.part = Some(wire::Part::default())), DecodeError::Envelope("part"));
    let mut bytes = encode_batch(&example()).unwrap();
    bytes.push(0);
    assert!(matches!(decode_batch(&bytes), Err(DecodeError::Zstd(_))));
    bytes.truncate(bytes.len() - 2);
    assert!(matches!(decode_batch(&bytes), Err(DecodeError::Zstd(_))));
}

#[test]
fn a_batch_of_a_newer_agent_is_kept_for_a_newer_collector_whatever_else_it_holds() {
    // Field 8 is a number there, not measurements; and there is more than this version allows.
    let newer = [&[0x08, 0x02][..], &[0x40, 0x01], &[0x3a, 0x00].repeat(limits::MAX_SERIES + 1)].concat();
    let error = decode_batch(&zstd::bulk::compress(&newer, ZSTD_LEVEL).unwrap()).unwrap_err();
    assert_eq!((&error, error.problem().class()), (&DecodeError::Version(2), Class::Retry));
    insta::assert_snapshot!(
        error,
        @"the batch has version 2 of the wire, and this collector reads 1: upgrade the collector; until then the agent keeps its data and tries again"
    );
}

/// Where messages stand within messages: the field's number and what stands in it.
struct Level(u32, &'static [Self]);

const BATCH: &[Level] = &[
    Level(7, &[Level(2, &[])]),
    Level(8, &[Level(4, &[]), Level(10, &[]), Level(11, &[])]),
    Level(9, &[]),
    Level(10, &[Level(7, &[Level(3, &[])])]),
];
const ACK: &[Level] = &[Level(7, &[]), Level(8, &[])];

/// The message with a field of each wire type at each level that no version knows yet.
fn with_unknown_fields(message: &[u8], levels: &[Level]) -> Vec<u8> {
    let mut rest = message;
    let mut written = Vec::new();
    while !rest.is_empty() {
        let before = rest;
        let (tag, wire_type) = decode_key(&mut rest).unwrap();
        let value = rest;
        skip_field(wire_type, tag, &mut rest, DecodeContext::default()).unwrap();
        match levels.iter().find(|level| level.0 == tag) {
            Some(Level(_, inner)) => {
                let mut value = &value[..value.len() - rest.len()];
                decode_varint(&mut value).unwrap();
                prost::encoding::bytes::encode(tag, &with_unknown_fields(value, inner), &mut written);
            }
            None => written.extend_from_slice(&before[..before.len() - rest.len()]),
        }
    }
    prost::encoding::uint64::encode(1_000, &u64::MAX, &mut written);
    prost::encoding::fixed64::encode(1_001, &1, &mut written);
    prost::encoding::string::encode(1_002, &"new".to_owned(), &mut written);
    prost::encoding::fixed32::encode(1_003, &1, &mut written);
    written
}

#[test]
fn fields_of_a_newer_agent_are_ignored_at_every_level() {
    let parent = Part {
        session: SessionId::new([3; 16]),
        sequence: 6,
        digest: BatchDigest::of(b"x"),
        index: 1,
        count: 2,
    };
    let health = Health { dropped: Some(account()), ..Health::default() };
    let batch = Batch { part: Some(parent), health, ..example() };
    let bytes = with_unknown_fields(&batch_to_wire(&batch).encode_to_vec(), BATCH);
    insta::assert_snapshot!(hex::encode(&bytes));
    let decoded = decode_batch(&zstd::bulk::compress(&bytes, ZSTD_LEVEL).unwrap()).unwrap();
    assert_eq!(decoded, Decoded { batch, indices: vec![0], refused: vec![] });
}

#[test]
fn fields_of_a_newer_collector_are_ignored_at_every_level() {
    let ack = Ack {
        number: example().number,
        digest: BatchDigest::of(b"x"),
        collector_time: Timestamp::from_secs(5),
        duplicate: false,
        refused: vec![Refusal { index: 3, code: RefusalCode::Future }],
        dropped: Some(Signed { id: AccountId::new([8; 16]), until: 65 }),
    };
    let bytes = with_unknown_fields(&encode_ack(&ack), ACK);
    insta::assert_snapshot!(hex::encode(&bytes));
    assert_eq!(decode_ack(&bytes), Ok(ack));
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = decode_batch(&bytes);
        let _ = decode_ack(&bytes);
        let _ = decode_batch(&zstd::bulk::compress(&bytes, ZSTD_LEVEL).unwrap());
    }

    #[test]
    fn a_mutated_batch_is_refused_or_encodes_to_something_that_decodes_alike(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = batch_to_wire(&example()).encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(decoded) = decode_batch(&zstd::bulk::compress(&bytes, ZSTD_LEVEL).unwrap()) {
            let again = decode_batch(&encode_batch(&decoded.batch).unwrap()).unwrap();
            prop_assert_eq!(again.batch, decoded.batch);
        }
    }
}

#[test]
fn how_an_agent_is_travels_with_its_batch() {
    let refused = Some(RefusedAssignment { set: 8, reason: "port 22 may not be probed".to_owned() });
    let remarks = Remarks {
        noise_p99_us: Some(740),
        assignment: Some(AssignmentState { held: 7, refused }),
        problems: vec!["ICMP cannot be sent".to_owned(), "the key could not be looked after".to_owned()],
    };
    let health = Health { remarks: remarks.clone(), ..Health::default() };
    let bytes = encode_batch(&Batch { health, ..example() }).unwrap();
    assert_eq!(decode_batch(&bytes).unwrap().batch.health.remarks, remarks);
}
