//! The log and the ledger: what becomes durable before a batch is acknowledged.

use super::dictionary::{Dictionary, find_agent};
use crate::{
    ingest::Admitted,
    store::{PutOutcome, ROLLUPS, StoreError, coding, coding::Entry, crash_point::crash_point},
};
use peerlight_proto::{
    id::{BatchDigest, BatchNumber},
    time::{Interval, Timestamp},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeSet;

/// Writes an admitted batch within the caller's transaction: ledger entry, block, presence and stale marks.
pub(super) fn put(
    db: &Connection,
    dictionary: &mut Dictionary,
    admitted: &Admitted,
) -> Result<PutOutcome, StoreError> {
    if let Some(there) = ledgered(db, admitted.batch.number)? {
        return Ok(if there == admitted.digest { PutOutcome::Duplicate } else { PutOutcome::NumberReused });
    }
    let database = StoreError::while_doing("write a batch");
    let agent = dictionary.number_of_agent(db, admitted.batch.number.agent).map_err(&database)?;
    crash_point("before-ledger");
    enter(db, agent, admitted).map_err(&database)?;
    crash_point("before-batch");
    let entries = entries(db, dictionary, agent, admitted).map_err(&database)?;
    if !entries.is_empty() {
        let block = coding::encode(&entries)?;
        append(db, admitted, &entries, &block).map_err(&database)?;
        note_presence(db, admitted, &entries).map_err(&database)?;
        mark_stale(db, admitted, &entries).map_err(&database)?;
    }
    crash_point("after-batch");
    Ok(PutOutcome::Stored)
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

fn entries(
    db: &Connection,
    dictionary: &mut Dictionary,
    agent: i64,
    admitted: &Admitted,
) -> rusqlite::Result<Vec<Entry>> {
    let numbers: Vec<i64> = admitted
        .batch
        .series
        .iter()
        .map(|series| dictionary.number_of_series(db, series))
        .collect::<rusqlite::Result<_>>()?;
    let number = |index: u32| usize::try_from(index).ok().and_then(|index| numbers.get(index).copied());
    Ok(admitted
        .measurements
        .iter()
        .filter_map(|one| {
            let measurement = &one.measurement;
            Some(Entry {
                agent,
                series: number(measurement.series)?,
                registration: one.registration,
                attribution: one.attribution,
                prefix: one.prefix,
                start: measurement.interval.start(),
                counters: measurement.counters,
                histogram: measurement.histogram.clone(),
                attributes: measurement.attributes.clone(),
            })
        })
        .collect())
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

fn note_presence(db: &Connection, admitted: &Admitted, entries: &[Entry]) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT INTO presence (organisation, agent, registration, series, first, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)",
    )?;
    for (entry, one) in entries.iter().zip(&admitted.measurements) {
        let end = one.measurement.interval.end().as_secs();
        statement.execute(params![
            admitted.organisation.0,
            entry.agent,
            entry.registration.0,
            entry.series,
            entry.start.as_secs(),
            end
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
