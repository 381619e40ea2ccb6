//! The log and the ledger: what becomes durable before a batch is acknowledged.

use super::{
    dictionary::{Dictionary, find_agent},
    kept::{KEPT_BATCHES, KEPT_LEDGER},
};
use crate::{
    admission::{Admitted, AdmittedMeasurement},
    store::{
        ClockOffsets, PutOutcome, ROLLUPS, StoreError, Totals, coding, coding::Entry,
        crash_point::crash_point,
    },
};
use peerlight_proto::{
    id::{BatchDigest, BatchNumber},
    time::{Interval, Timestamp},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{BTreeMap, BTreeSet};

/// Writes an admitted batch within the caller's transaction: ledger entry, block, presence and stale marks.
pub(super) fn put(
    db: &Connection,
    dictionary: &mut Dictionary,
    admitted: &Admitted,
) -> Result<PutOutcome, StoreError> {
    if let Some(outcome) = told_by_ledger(db, admitted)? {
        return Ok(outcome);
    }
    let database = StoreError::while_doing("write a batch");
    let agent = dictionary.number_of_agent(db, admitted.batch.number.agent).map_err(&database)?;
    crash_point("before-ledger");
    enter(db, agent, admitted).map_err(&database)?;
    crash_point("before-batch");
    let numbers = numbers(db, dictionary, admitted).map_err(&database)?;
    let entries = entries(agent, &numbers, admitted);
    if !entries.is_empty() {
        let block = coding::encode(&entries)?;
        append(db, admitted, &entries, &block).map_err(&database)?;
        note_presence(db, agent, &numbers, admitted).map_err(&database)?;
        mark_stale(db, admitted, &entries).map_err(&database)?;
    }
    crash_point("after-batch");
    Ok(PutOutcome::Stored)
}

/// Why a batch is not written: it is there, it is part of one that is there, or nobody can tell any more.
fn told_by_ledger(db: &Connection, admitted: &Admitted) -> Result<Option<PutOutcome>, StoreError> {
    let number = admitted.batch.number;
    if let Some(there) = ledgered(db, number)? {
        let same = there == admitted.digest;
        return Ok(Some(if same { PutOutcome::Duplicate } else { PutOutcome::NumberReused }));
    }
    if let Some(part) = admitted.batch.part {
        let parent = BatchNumber { session: part.session, sequence: part.sequence, ..number };
        if ledgered(db, parent)? == Some(part.digest) {
            return Ok(Some(PutOutcome::Duplicate));
        }
    }
    let complete_from: Option<i64> = db
        .prepare_cached("SELECT max(start) FROM kept_from WHERE resolution IN (?1, ?2)")
        .and_then(|mut statement| statement.query_row([KEPT_LEDGER, KEPT_BATCHES], |row| row.get(0)))
        .map_err(StoreError::while_doing("read what is kept"))?;
    let oldest = admitted.measurements.iter().map(|one| one.measurement.interval.start()).min();
    let complete_from = complete_from.map(Timestamp::from_secs);
    Ok(complete_from.filter(|from| oldest.is_some_and(|oldest| oldest < *from)).map(PutOutcome::TooOld))
}

/// What the ledger holds of a number.
pub(super) fn ledgered(db: &Connection, number: BatchNumber) -> Result<Option<BatchDigest>, StoreError> {
    let read = || -> rusqlite::Result<Option<Vec<u8>>> {
        let Some(agent) = find_agent(db, number.agent)? else { return Ok(None) };
        db.prepare_cached("SELECT sha256 FROM ledger WHERE agent = ?1 AND session = ?2 AND sequence = ?3")?
            .query_row(params![agent, number.session.as_bytes(), sequence(number)], |row| row.get(0))
            .optional()
    };
    let digest = read().map_err(StoreError::while_doing("read the ledger"))?;
    digest
        .map(|bytes| {
            BatchDigest::try_from(bytes.as_slice())
                .map_err(|error| StoreError::Damaged { what: "ledger", detail: error.to_string() })
        })
        .transpose()
}

/// Sequences are below 2^63: the codec refuses others.
fn sequence(number: BatchNumber) -> i64 {
    i64::try_from(number.sequence).unwrap_or(i64::MAX)
}

fn enter(db: &Connection, agent: i64, admitted: &Admitted) -> rusqlite::Result<()> {
    let number = admitted.batch.number;
    // A batch of which nothing was admitted could still come again: its entry lives as long as one received now.
    let newest_end = admitted.measurements.iter().map(|admitted| admitted.measurement.interval.end()).max();
    let newest_end = newest_end.map_or(admitted.received, |end| end.max(admitted.received));
    db.prepare_cached(
        "INSERT INTO ledger (agent, session, sequence, sha256, newest_end) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        agent,
        number.session.as_bytes(),
        sequence(number),
        admitted.digest.as_bytes(),
        newest_end.as_secs()
    ])?;
    Ok(())
}

/// The numbers of the series that admitted measurements use, by their place in the batch's dictionary. What else stands
/// there was not admitted and leaves no trace.
fn numbers(
    db: &Connection,
    dictionary: &mut Dictionary,
    admitted: &Admitted,
) -> rusqlite::Result<BTreeMap<u32, i64>> {
    let used: BTreeSet<u32> = admitted.measurements.iter().map(|one| one.measurement.series).collect();
    (0_u32..)
        .zip(&admitted.batch.series)
        .filter(|(index, _series)| used.contains(index))
        .map(|(index, series)| Ok((index, dictionary.number_of_series(db, admitted.organisation, series)?)))
        .collect()
}

/// Admission lets no measurement in whose series is not in its batch's dictionary.
fn entries(agent: i64, numbers: &BTreeMap<u32, i64>, admitted: &Admitted) -> Vec<Entry> {
    let clock_offsets = admitted.batch.clock_offset_us.map(ClockOffsets::of);
    let entry = |one: &AdmittedMeasurement| {
        let measurement = &one.measurement;
        Some(Entry {
            agent,
            series: *numbers.get(&measurement.series)?,
            registration: one.registration,
            attribution: one.attribution,
            prefix: one.prefix,
            start: measurement.interval.start(),
            totals: Totals {
                counters: measurement.counters,
                histogram: measurement.histogram.clone(),
                attributes: measurement.attributes.clone(),
                clock_offsets,
            },
        })
    };
    admitted.measurements.iter().filter_map(entry).collect()
}

fn append(db: &Connection, admitted: &Admitted, entries: &[Entry], block: &[u8]) -> rusqlite::Result<()> {
    let starts = || entries.iter().map(|entry| entry.start.as_secs());
    db.prepare_cached(
        "INSERT INTO batch (organisation, received_us, oldest_start, newest_start, block) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        admitted.organisation.0,
        admitted.received.as_micros(),
        starts().min(),
        starts().max(),
        block
    ])?;
    Ok(())
}

fn note_presence(
    db: &Connection,
    agent: i64,
    numbers: &BTreeMap<u32, i64>,
    admitted: &Admitted,
) -> rusqlite::Result<()> {
    let mut spans: BTreeMap<(i64, i64), (Timestamp, Timestamp)> = BTreeMap::new();
    for one in &admitted.measurements {
        let Some(&series) = numbers.get(&one.measurement.series) else { continue };
        let (start, end) = (one.measurement.interval.start(), one.measurement.interval.end());
        let span = spans.entry((series, one.registration.0)).or_insert((start, end));
        *span = (span.0.min(start), span.1.max(end));
    }
    let mut statement = db.prepare_cached(
        "INSERT INTO presence (organisation, agent, registration, series, first, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
    )?;
    for ((series, registration), (first, last)) in spans {
        statement.execute(params![
            admitted.organisation.0,
            agent,
            registration,
            series,
            first.as_secs(),
            last.as_secs()
        ])?;
    }
    Ok(())
}

fn mark_stale(db: &Connection, admitted: &Admitted, entries: &[Entry]) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO stale (resolution, start, organisation, generation) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT DO UPDATE SET generation = generation + 1",
    )?;
    for resolution in ROLLUPS {
        let span = |start: Timestamp| Interval::containing(start, resolution).start().as_secs();
        let starts: BTreeSet<i64> = entries.iter().map(|entry| span(entry.start)).collect();
        for start in starts {
            statement.execute(params![resolution.as_secs(), start, admitted.organisation.0])?;
        }
    }
    Ok(())
}
