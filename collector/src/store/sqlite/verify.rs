//! Verification: whether the file is sound, the ledger's account agrees with what is stored, and rollups with what they were
//! made of. Reads one snapshot and writes nothing, so that a running collector's file can be verified, too.

use super::{
    block::{Cells, Starting, read},
    kept::{HOUR, KEPT_DAYS, KEPT_MEASURED, KEPT_QUARTERS, Kept, day_of, quarter_of},
    log::{folded, stripe_of},
    reader::Reader,
    segment::each_of_unit,
};
use crate::store::StoreError;
use peerlight_proto::metric::Metric;
use rusqlite::{Connection, OpenFlags, params};
use std::{collections::BTreeSet, path::Path};

/// More faults than this are counted, but not told one by one.
const MOST_TOLD: usize = 20;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Segments that were read.
    pub segments: u64,
    /// Histograms in them, of every resolution.
    pub histograms: u64,
    /// Batches of the log that were read.
    pub log_batches: u64,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Rollups that were compared with what is finer: a metric of a stripe of agents in an hour or a day.
    pub rollups: u64,
    /// How many faults there are.
    pub faults: u64,
    /// The first of them.
    pub told: Vec<String>,
}

impl Verification {
    fn fault(&mut self, fault: String) {
        self.faults += 1;
        if self.told.len() < MOST_TOLD {
            self.told.push(fault);
        }
    }
}

/// Opens the file of a store, which another process may own, for reading.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let open = || {
        // Not read-only: a file whose collector was killed has a log of SQLite's that is recovered first.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        db.execute_batch("PRAGMA query_only = ON; PRAGMA busy_timeout = 10000; PRAGMA cache_size = -16384;")?;
        Ok(db)
    };
    open().map_err(StoreError::while_doing("open its database"))
}

/// Verifies the store in this file. `progress` is told how many of how many steps are done.
pub(super) fn verify(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verification, StoreError> {
    let mut reader = Reader::new(open_to_read(path)?);
    let version: i64 = reader
        .db
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(StoreError::while_doing("read its version"))?;
    super::check_version(version, path)?;
    reader.snapshot(|reader| {
        let mut found = Verification::default();
        check_pages(&reader.db, &mut found).map_err(StoreError::while_doing("check its pages"))?;
        let units = units(&reader.db).map_err(StoreError::while_doing("list its segments"))?;
        let segments = count(&reader.db, "SELECT count(*) FROM segment")?;
        let steps = segments + units.len() as u64;
        let measured = check_segments(&reader.db, &mut found, &mut |done| progress(done, steps))?;
        let logged = check_log(&reader.db, &mut found)?;
        check_account(&reader.db, &mut found, measured + logged)?;
        for (done, unit) in (segments..).zip(&units) {
            check_rollup(reader, unit, &mut found)?;
            progress(done + 1, steps);
        }
        Ok(found)
    })
}

fn count(db: &Connection, sql: &str) -> Result<u64, StoreError> {
    db.query_row(sql, [], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
        .map_err(StoreError::while_doing("count what there is"))
}

fn check_pages(db: &Connection, found: &mut Verification) -> rusqlite::Result<()> {
    let mut statement = db.prepare("PRAGMA integrity_check")?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for line in lines.into_iter().filter(|line| line != "ok") {
        found.fault(format!("the file: {line}"));
    }
    Ok(())
}

/// Reads every segment. Returns the turns of schedules that those of measurements account for.
fn check_segments(
    db: &Connection,
    found: &mut Verification,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, StoreError> {
    let database = StoreError::while_doing("read segments");
    let mut statement = db
        .prepare("SELECT resolution, metric, start, stripe, cells, probes, block FROM segment")
        .map_err(&database)?;
    let mut rows = statement.query([]).map_err(&database)?;
    let (mut cells, mut measured) = (Cells::default(), 0);
    while let Some(row) = rows.next().map_err(&database)? {
        let read_row = || -> rusqlite::Result<(i64, String, i64, i64, i64, i64)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        };
        let (resolution, metric, start, stripe, held, probes) = read_row().map_err(&database)?;
        let block = row.get_ref(6).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
        let what =
            || format!("the segment of {metric}, resolution {resolution}, from {start}, stripe {stripe}");
        cells.clear();
        match read(block, &mut cells) {
            Err(error) => found.fault(format!("{}: {error}", what())),
            Ok(()) if (cells.all().len(), cells.all().probes()) != (held, probes) => {
                found.fault(format!("{} does not hold what it is said to", what()));
            }
            Ok(()) => {}
        }
        if resolution == KEPT_MEASURED {
            measured += probes.unsigned_abs();
        }
        found.segments += 1;
        found.histograms += held.unsigned_abs();
        progress(found.segments);
    }
    Ok(measured)
}

/// Reads what the log holds that is not in segments. Returns the turns of schedules that it accounts for.
fn check_log(db: &Connection, found: &mut Verification) -> Result<u64, StoreError> {
    let database = StoreError::while_doing("read the log");
    let folded = folded(db).map_err(&database)?;
    let mut statement = db.prepare("SELECT id, agent, probes, block FROM batch").map_err(&database)?;
    let mut rows = statement.query([]).map_err(&database)?;
    let (mut cells, mut logged) = (Cells::default(), 0);
    while let Some(row) = rows.next().map_err(&database)? {
        let read_row =
            || -> rusqlite::Result<(i64, u32, i64)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
        let (id, agent, probes) = read_row().map_err(&database)?;
        if folded.get(&stripe_of(agent)).is_some_and(|upto| id <= *upto) {
            continue;
        }
        let block = row.get_ref(3).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
        cells.clear();
        match read(block, &mut cells) {
            Err(error) => found.fault(format!("batch {id} of the log: {error}")),
            Ok(()) if cells.all().probes() != probes => {
                found.fault(format!("batch {id} of the log does not hold what it is said to"));
            }
            Ok(()) => {}
        }
        logged += probes.unsigned_abs();
        found.log_batches += 1;
    }
    Ok(logged)
}

/// Whether all that was ever stored is still there, expired or set aside, and the ledger as long as it should be.
fn check_account(db: &Connection, found: &mut Verification, there: u64) -> Result<(), StoreError> {
    let tally =
        |what: &str| count(db, &format!("SELECT coalesce(sum(count), 0) FROM tally WHERE what = '{what}'"));
    let (stored, expired, damaged) = (tally("stored")?, tally("expired")?, tally("damaged")?);
    if stored != there + expired + damaged {
        found.fault(format!(
            "{stored} turns of schedules were acknowledged, but {there} are there, {expired} expired and {damaged} were set aside"
        ));
    }
    if damaged > 0 {
        found.fault(format!(
            "{damaged} turns of schedules were set aside in damaged batches; no report counts them"
        ));
    }
    found.ledger_entries = count(db, "SELECT count(*) FROM ledger")?;
    let entries = tally("ledger")?;
    if entries != found.ledger_entries {
        found.fault(format!("the ledger holds {} entries, but {entries} were entered", found.ledger_entries));
    }
    Ok(())
}

/// A metric of a stripe in a span, whose rollup is to be compared.
#[derive(Debug)]
struct Unit {
    organisation: i64,
    stripe: u32,
    metric: String,
    resolution: i64,
    start: i64,
    /// The starts of its quarter hours that are stale.
    stale: BTreeSet<i64>,
}

/// The rollups that are fresh and of which all that is finer is kept.
fn units(db: &Connection) -> rusqlite::Result<Vec<Unit>> {
    let kept = Kept::read(db)?;
    let stale: BTreeSet<(i64, i64, i64, u32)> = db
        .prepare("SELECT resolution, start, organisation, stripe FROM stale")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut units = Vec::new();
    for (resolution, finer, length, from) in [
        (KEPT_QUARTERS, KEPT_MEASURED, HOUR, kept.measured),
        (KEPT_DAYS, KEPT_QUARTERS, KEPT_DAYS, kept.quarters),
    ] {
        let mut statement = db.prepare(
            "SELECT DISTINCT organisation, stripe, metric, start - start % ?3 FROM segment
             WHERE resolution IN (?1, ?2) AND start >= ?4",
        )?;
        let mut rows = statement.query(params![resolution, finer, length, from])?;
        while let Some(row) = rows.next()? {
            let (organisation, stripe, start): (i64, u32, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
            let is_stale = |start: i64| stale.contains(&(resolution, start, organisation, stripe));
            let mut unit =
                Unit { organisation, stripe, metric: row.get(2)?, resolution, start, stale: BTreeSet::new() };
            if resolution == KEPT_QUARTERS {
                let quarters = [0, 1, 2, 3].map(|number| start + number * KEPT_QUARTERS);
                unit.stale = quarters.into_iter().filter(|quarter| is_stale(*quarter)).collect();
            } else if is_stale(start) {
                continue;
            }
            units.push(unit);
        }
    }
    Ok(units)
}

/// Makes a rollup again and compares.
fn check_rollup(reader: &mut Reader, unit: &Unit, found: &mut Verification) -> Result<(), StoreError> {
    let Reader { db, cells, spare, .. } = reader;
    let Unit { organisation, stripe, metric: name, resolution, start, stale } = unit;
    let Some(metric) = Metric::ALL.into_iter().find(|metric| metric.name() == name) else {
        found.fault(format!("there is no metric {name}"));
        return Ok(());
    };
    let (finer, end) = if *resolution == KEPT_DAYS {
        (KEPT_QUARTERS, start + KEPT_DAYS)
    } else {
        (KEPT_MEASURED, start + HOUR)
    };
    let mut there = Cells::default();
    cells.clear();
    let of = (*organisation, *stripe);
    let is_fresh = |start: i64| !stale.contains(&quarter_of(start));
    let (mut made_of, mut made) = (Starting(cells, is_fresh), Starting(&mut there, is_fresh));
    // What does not decode was told before.
    let read = each_of_unit(db, of, (finer, *start, end), metric, |_id, block| read(block, &mut made_of))
        .and_then(|()| {
            each_of_unit(db, of, (*resolution, *start, end), metric, |_id, block| read(block, &mut made))
        });
    if matches!(read, Err(StoreError::Damaged { .. })) {
        return Ok(());
    }
    read?;
    cells.merge(spare);
    cells.merge_by(if *resolution == KEPT_DAYS { day_of } else { quarter_of }, spare);
    there.sort();
    if !spare.is_same_as(&there) {
        found.fault(format!(
            "the rollup of {name}, resolution {resolution}, from {start}, stripe {stripe} differs from what it was made of"
        ));
    }
    found.rollups += 1;
    Ok(())
}
