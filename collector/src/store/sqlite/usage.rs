//! Usage: what the store's bytes are spent on.

use super::{
    block::{Cell, Key, Sink, read},
    kept::{KEPT_DAYS, KEPT_MEASURED, KEPT_QUARTERS, day_of},
    reader::Reader,
};
use crate::{
    registry::RegistrationId,
    store::{ResolutionUsage, StoreError, Usage},
};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::{BTreeMap, HashMap};

/// What a ledger entry takes, keys and index included: as measured.
const LEDGER_ENTRY_BYTES: u64 = 68;

/// What the bytes are spent on, from one snapshot.
pub(super) fn usage(reader: &mut Reader) -> Result<Usage, StoreError> {
    let database = StoreError::while_doing("add up what it holds");
    let Reader { db, names, .. } = reader;
    let count = |sql: &str| -> Result<u64, StoreError> {
        db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs).map_err(&database)
    };
    let newest_day = newest_whole_day(db).map_err(&database)?;
    let resolution = |seconds| resolution(db, seconds, newest_day).map_err(&database);
    let ledger_entries = count("SELECT coalesce(sum(count), 0) FROM tally WHERE what = 'ledger'")?;
    let mut usage = Usage {
        measured: resolution(KEPT_MEASURED)?,
        quarter_hours: resolution(KEPT_QUARTERS)?,
        days: resolution(KEPT_DAYS)?,
        log_batches: count("SELECT count(*) FROM batch")?,
        log_bytes: count("SELECT coalesce(sum(length(block)), 0) FROM batch")?,
        ledger_entries,
        ledger_bytes: ledger_entries * LEDGER_ENTRY_BYTES,
        file_bytes: count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?,
        free_bytes: count("SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size")?,
        newest_day: newest_day.map(Timestamp::from_secs),
        registrations: BTreeMap::new(),
    };
    if let Some(day) = newest_day {
        let of_origin = by_origin(db, day)?;
        for (origin, (histograms, bytes)) in of_origin {
            let registration: RegistrationId = names.origin(db, origin)?.registration;
            let sum = usage.registrations.entry(registration).or_default();
            *sum = (sum.0 + histograms, sum.1 + bytes);
        }
    }
    Ok(usage)
}

/// The start of the newest UTC day that is over and rolled up; else of the newest day.
fn newest_whole_day(db: &Connection) -> rusqlite::Result<Option<i64>> {
    let newest = |resolution: i64| {
        db.prepare_cached("SELECT max(start) FROM segment WHERE resolution = ?1")?
            .query_row([resolution], |row| row.get::<_, Option<i64>>(0))
            .optional()
            .map(Option::flatten)
    };
    match newest(KEPT_DAYS)? {
        Some(day) => Ok(Some(day)),
        None => Ok(newest(KEPT_MEASURED)?.map(day_of)),
    }
}

fn resolution(db: &Connection, seconds: i64, newest_day: Option<i64>) -> rusqlite::Result<ResolutionUsage> {
    let of = |from: i64, to: i64| {
        db.prepare_cached(
            "SELECT count(*), coalesce(sum(cells), 0), coalesce(sum(length(block)), 0), min(start) FROM segment
             WHERE resolution = ?1 AND start >= ?2 AND start < ?3",
        )?
        .query_row(params![seconds, from, to], |row| {
            let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
            Ok((number(0)?, number(1)?, number(2)?, row.get::<_, Option<i64>>(3)?))
        })
    };
    let (segments, histograms, bytes, oldest) = of(i64::MIN, i64::MAX)?;
    let day = newest_day.map_or(Ok((0, 0, 0, None)), |day| of(day, day + KEPT_DAYS))?;
    Ok(ResolutionUsage {
        segments,
        histograms,
        bytes,
        oldest: oldest.map(Timestamp::from_secs),
        newest_day_histograms: day.1,
        newest_day_bytes: day.2,
    })
}

/// Histograms of a day by origin, and their part of the bytes of the segments that they stand in.
fn by_origin(db: &Connection, day: i64) -> Result<HashMap<u32, (u64, u64)>, StoreError> {
    let database = StoreError::while_doing("read segments");
    let mut statement = db
        .prepare_cached("SELECT block FROM segment WHERE resolution = ?1 AND start >= ?2 AND start < ?3")
        .map_err(&database)?;
    let mut rows = statement.query(params![KEPT_MEASURED, day, day + KEPT_DAYS]).map_err(&database)?;
    let mut sums: HashMap<u32, (u64, u64)> = HashMap::new();
    while let Some(row) = rows.next().map_err(&database)? {
        let block = row.get_ref(0).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
        let mut counting = Counting::default();
        read(block, &mut counting)?;
        let all: u64 = counting.of_origin.values().sum();
        for (origin, histograms) in counting.of_origin {
            let sum = sums.entry(origin).or_default();
            *sum = (sum.0 + histograms, sum.1 + block.len() as u64 * histograms / all.max(1));
        }
    }
    Ok(sums)
}

/// Counts cells by origin.
#[derive(Default)]
struct Counting {
    of_origin: HashMap<u32, u64>,
    origin: u32,
}

impl Sink for Counting {
    fn begin(&mut self, _texts: &[(&str, &str)]) -> Result<(), StoreError> {
        Ok(())
    }

    fn row(&mut self, key: Key) -> Result<bool, StoreError> {
        self.origin = key.origin;
        Ok(true)
    }

    fn cell(&mut self, _cell: &Cell<'_>) {
        *self.of_origin.entry(self.origin).or_default() += 1;
    }
}
