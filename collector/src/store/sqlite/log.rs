//! The log and the ledger: what becomes durable before a batch is acknowledged.

use super::{
    block::{Key, Written},
    dictionary::{Numbers, Session, find_agent, find_session},
    dropped,
    encoded::{Encoded, Measured},
    kept::{KEPT_LEDGER, KEPT_MEASURED},
};
use crate::store::{Origin, PutOutcome, StoreError, crash_point::crash_point};
use hashbrown::DefaultHashBuilder;
use peerlight_proto::{
    id::{BatchDigest, BatchNumber},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash as _, Hasher as _},
};

/// How many agents, by number, share segments: enough for likes to stand beside likes, few enough that one of their hours
/// is read, merged and written in milliseconds.
const STRIPE: u32 = 64;

/// The stripe of an agent.
pub(super) const fn stripe_of(agent: u32) -> u32 {
    agent / STRIPE
}

/// What the writer keeps between batches.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) numbers: Numbers,
    /// Of rows: a new one only makes batches look unlike that are not.
    hashing: DefaultHashBuilder,
    /// The turns of schedules that the present transaction stores.
    stored: i64,
    /// The first second that may be put, as the tables have it. None: not read since they may have changed.
    complete_from: Option<i64>,
}

impl Scratch {
    /// Forgets what a transaction that was rolled back, or another one, made untrue.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Counts what a transaction stored, within it.
    pub(super) fn count(
        &mut self,
        db: &Connection,
        entries: usize,
        received: Timestamp,
    ) -> rusqlite::Result<()> {
        let stored = std::mem::take(&mut self.stored);
        add_to_tally(db, "ledger", i64::try_from(entries).unwrap_or(i64::MAX))?;
        add_to_tally(db, "stored", stored)?;
        db.prepare_cached(
            "INSERT INTO tally (what, count) VALUES ('received', ?1)
             ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
        )?
        .execute([received.as_micros()])?;
        Ok(())
    }

    /// Forgets what a task of the upkeep may have changed.
    pub(super) fn look_again(&mut self) {
        self.complete_from = None;
    }

    fn complete_from(&mut self, db: &Connection) -> Result<i64, StoreError> {
        if let Some(from) = self.complete_from {
            return Ok(from);
        }
        let from: Option<i64> = db
            .prepare_cached("SELECT max(start) FROM kept_from WHERE resolution IN (?1, ?2)")
            .and_then(|mut statement| statement.query_row([KEPT_LEDGER, KEPT_MEASURED], |row| row.get(0)))
            .map_err(StoreError::while_doing("read what is kept"))?;
        let from = from.unwrap_or(i64::MIN);
        self.complete_from = Some(from);
        Ok(from)
    }
}

/// Adds to what is counted as it changes.
pub(super) fn add_to_tally(db: &Connection, what: &str, more: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO tally (what, count) VALUES (?1, ?2)
         ON CONFLICT DO UPDATE SET count = count + excluded.count",
    )?
    .execute(params![what, more])?;
    Ok(())
}

/// Writes a batch within the caller's transaction: ledger entry and block.
pub(super) fn put(db: &Connection, scratch: &mut Scratch, batch: &Encoded) -> Result<PutOutcome, StoreError> {
    let database = StoreError::while_doing("write a batch");
    let number = batch.number;
    let agent = scratch.numbers.agent(db, number.agent).map_err(&database)?;
    let session = scratch.numbers.session(db, agent, number, batch.received).map_err(&database)?;
    dropped::keep_account(db, agent, batch).map_err(&database)?;
    let barred = barred(db, scratch, batch)?;
    crash_point("before-ledger");
    // Most batches are new: to enter one finds that out, too.
    if barred.is_some() || !enter(db, session, batch).map_err(&database)? {
        return Ok(match entry(db, session, number.sequence)? {
            Some(there) if there != batch.digest => PutOutcome::NumberReused,
            there => barred.filter(|_| there.is_none()).unwrap_or(PutOutcome::Duplicate),
        });
    }
    dropped::keep_refused(db, agent, batch).map_err(&database)?;
    crash_point("before-batch");
    if let Some(measured) = &batch.measured {
        let (rows, block) = number_rows(db, scratch, agent, (batch, measured))?;
        append(db, agent, (batch, measured), (rows, &block)).map_err(&database)?;
        scratch.stored += block.probes;
    }
    crash_point("after-batch");
    Ok(PutOutcome::Stored)
}

/// Why a batch that is not in the ledger is not written: it is part of one that is there, or nobody can tell any more.
fn barred(db: &Connection, scratch: &mut Scratch, batch: &Encoded) -> Result<Option<PutOutcome>, StoreError> {
    if let Some(part) = batch.part {
        let parent = BatchNumber { session: part.session, sequence: part.sequence, ..batch.number };
        if ledgered(db, parent)? == Some(part.digest) {
            return Ok(Some(PutOutcome::Duplicate));
        }
    }
    let complete_from = scratch.complete_from(db)?;
    let too_old = batch.measured.as_ref().is_some_and(|measured| measured.oldest_start < complete_from);
    Ok(too_old.then_some(PutOutcome::TooOld(Timestamp::from_secs(complete_from))))
}

/// What the ledger holds of a number.
pub(super) fn ledgered(db: &Connection, number: BatchNumber) -> Result<Option<BatchDigest>, StoreError> {
    let find = || -> rusqlite::Result<Option<Session>> {
        match find_agent(db, number.agent)? {
            Some(agent) => find_session(db, agent, number.session),
            None => Ok(None),
        }
    };
    match find().map_err(StoreError::while_doing("read the ledger"))? {
        Some(session) => entry(db, session, number.sequence),
        None => Ok(None),
    }
}

fn entry(db: &Connection, session: Session, sequence: u64) -> Result<Option<BatchDigest>, StoreError> {
    let digest: Option<Vec<u8>> = db
        .prepare_cached("SELECT sha256 FROM ledger WHERE turn = ?1 AND session = ?2")
        .and_then(|mut statement| {
            statement.query_row([session.turn(sequence), session.number], |row| row.get(0)).optional()
        })
        .map_err(StoreError::while_doing("read the ledger"))?;
    digest
        .map(|bytes| {
            BatchDigest::try_from(bytes.as_slice())
                .map_err(|error| StoreError::Damaged { what: "ledger", detail: error.to_string() })
        })
        .transpose()
}

/// Enters a batch in the ledger, unless its number is there.
fn enter(db: &Connection, session: Session, batch: &Encoded) -> rusqlite::Result<bool> {
    // A batch of which nothing was admitted could still come again: its entry lives as long as one received now.
    let newest_end = batch.newest_end().map_or(batch.received, |end| end.max(batch.received));
    let entered = db
        .prepare_cached(
            "INSERT OR IGNORE INTO ledger (turn, session, sha256, newest_end) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            session.turn(batch.number.sequence),
            session.number,
            batch.digest.as_bytes(),
            newest_end.as_secs()
        ])?;
    Ok(entered > 0)
}

/// The block of a batch by the numbers of its rows, and the hash of these if all of it is of one minute.
fn number_rows(
    db: &Connection,
    scratch: &mut Scratch,
    agent: u32,
    (batch, measured): (&Encoded, &Measured),
) -> Result<(Option<i64>, Written), StoreError> {
    let Scratch { numbers, hashing, .. } = scratch;
    let number = |origin: &Origin| numbers.origin(db, batch.organisation, origin);
    let origins: Vec<u32> = measured
        .origins
        .iter()
        .map(number)
        .collect::<Result<_, _>>()
        .map_err(StoreError::while_doing("number an origin"))?;
    // Each series comes several times in a backlog.
    let mut shapes: Vec<Option<u32>> = vec![None; measured.series.len()];
    let mut rows = hashing.build_hasher();
    let block = measured.records.block(|Key { origin, shape: series, .. }| {
        let (known, series) = (&mut shapes[series as usize], &measured.series[series as usize]);
        let shape = if let Some(shape) = *known {
            shape
        } else {
            *known.insert(numbers.shape(db, batch.organisation, series, batch.received)?)
        };
        let key = Key { origin: origins[origin as usize], agent, shape };
        key.hash(&mut rows);
        Ok(key)
    })?;
    Ok((measured.of_a_minute.then(|| rows.finish().cast_signed()), block))
}

fn append(
    db: &Connection,
    agent: u32,
    (batch, measured): (&Encoded, &Measured),
    (rows, block): (Option<i64>, &Written),
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO batch (organisation, agent, received_us, oldest_start, newest_start, probes, rows, block)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        batch.organisation.0,
        agent,
        batch.received.as_micros(),
        measured.oldest_start,
        measured.newest_start,
        block.probes,
        rows,
        block.bytes
    ])?;
    Ok(())
}

/// A batch of the log, as its index tells it.
pub(super) struct Logged<'a> {
    pub(super) agent: u32,
    /// The start of its oldest interval.
    pub(super) oldest_start: i64,
    /// The hash of its rows, if all of it is of one minute.
    pub(super) rows: Option<i64>,
    id: i64,
    db: &'a Connection,
}

impl Logged<'_> {
    /// Reads its block of records.
    pub(super) fn read(&self, read: impl FnOnce(&[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let database = StoreError::while_doing("read the log");
        let mut statement =
            self.db.prepare_cached("SELECT block FROM batch WHERE id = ?1").map_err(&database)?;
        let mut rows = statement.query([self.id]).map_err(&database)?;
        let Some(row) = rows.next().map_err(&database)? else { return Ok(()) };
        read(row.get_ref(0).and_then(|block| Ok(block.as_blob()?)).map_err(&database)?)
    }
}

/// Hands over an organisation's batches that are not in segments, without their blocks.
pub(super) fn each_unfolded(
    db: &Connection,
    organisation: i64,
    mut each: impl FnMut(&Logged<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let database = StoreError::while_doing("read the log");
    let folded = folded(db).map_err(&database)?;
    let mut statement = db
        .prepare_cached(
            "SELECT id, agent, oldest_start, rows FROM batch INDEXED BY batch_by_time WHERE organisation = ?1",
        )
        .map_err(&database)?;
    let mut rows = statement.query([organisation]).map_err(&database)?;
    while let Some(row) = rows.next().map_err(&database)? {
        let read = || -> rusqlite::Result<Logged<'_>> {
            Ok(Logged {
                id: row.get(0)?,
                agent: row.get(1)?,
                oldest_start: row.get(2)?,
                rows: row.get(3)?,
                db,
            })
        };
        let batch = read().map_err(&database)?;
        if folded.get(&stripe_of(batch.agent)).is_none_or(|upto| batch.id > *upto) {
            each(&batch)?;
        }
    }
    Ok(())
}

/// Hands over the blocks of an organisation's batches that may have measurements which start in `from..to` and that are not
/// in segments.
pub(super) fn each_block(
    db: &Connection,
    organisation: i64,
    (from, to): (i64, i64),
    mut each: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let database = StoreError::while_doing("read the log");
    let folded = folded(db).map_err(&database)?;
    // The index says at once that no batch is of a past hour. Those that are stand mostly one after another: to read them
    // in the order of the table costs less than to look each up.
    let asked = (from, to, organisation);
    let (first, last): (Option<i64>, Option<i64>) = db
        .prepare_cached(
            "SELECT min(id), max(id) FROM batch INDEXED BY batch_by_time
             WHERE oldest_start < ?2 AND newest_start >= ?1 AND organisation = ?3",
        )
        .and_then(|mut statement| statement.query_row(asked, |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(&database)?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(()) };
    let mut statement = db
        .prepare_cached(
            "SELECT id, agent, block FROM batch NOT INDEXED
             WHERE id BETWEEN ?4 AND ?5 AND newest_start >= ?1 AND oldest_start < ?2 AND organisation = ?3",
        )
        .map_err(&database)?;
    let mut rows = statement.query(params![from, to, organisation, first, last]).map_err(&database)?;
    while let Some(row) = rows.next().map_err(&database)? {
        let (id, agent): (i64, u32) = (row.get(0).map_err(&database)?, row.get(1).map_err(&database)?);
        if folded.get(&stripe_of(agent)).is_none_or(|upto| id > *upto) {
            each(row.get_ref(2).and_then(|block| Ok(block.as_blob()?)).map_err(&database)?)?;
        }
    }
    Ok(())
}

/// Up to which batch each stripe has been folded, of those that the log may still hold.
pub(super) fn folded(db: &Connection) -> rusqlite::Result<HashMap<u32, i64>> {
    db.prepare_cached("SELECT stripe, batch FROM folded")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
