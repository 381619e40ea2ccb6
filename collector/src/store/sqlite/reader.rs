//! Readers: snapshots of the database that never wait for the writer.

use super::{
    dictionary::Dictionary,
    kept::{KEPT_BATCHES, KEPT_QUARTERS, ceil_secs},
    plan::{Piece, State, plan},
    reattribution,
};
use crate::{
    organisation::OrganisationId,
    registry::RegistrationId,
    store::{
        Health, Presence, Query, Row, RowKey, StoreError, coding, coding::Entry, given_away::given_away,
        merge::Merge,
    },
};
use peerlight_proto::{
    limits,
    metric::Metric,
    time::{IntervalLength, Timestamp},
};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeSet;

/// A reading connection with what it knows of the dictionaries.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) db: Connection,
    pub(super) dictionary: Dictionary,
}

impl Reader {
    pub(super) fn new(db: Connection) -> Self {
        Self { db, dictionary: Dictionary::default() }
    }

    /// Answers a query from one snapshot.
    pub(super) fn scan(&mut self, query: &Query) -> Result<Vec<Row>, StoreError> {
        self.snapshot(|reader| reader.scan_within(query))
    }

    /// Runs `read` within one read transaction, so that all of it sees the same instant.
    pub(super) fn snapshot<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let begun = StoreError::while_doing("read a snapshot");
        self.db.execute_batch("BEGIN DEFERRED").map_err(&begun)?;
        let answer = self.dictionary.refresh(&self.db).map_err(&begun).and_then(|()| read(self));
        self.db.execute_batch("COMMIT").map_err(&begun)?;
        answer
    }

    fn scan_within(&mut self, query: &Query) -> Result<Vec<Row>, StoreError> {
        // Intervals start on whole seconds: the first at or after `from`, the last before `to`.
        let (from, to) = (ceil_secs(query.from), ceil_secs(query.to));
        let organisation = query.organisation.0;
        let state = self.state(organisation, from, to).map_err(StoreError::while_doing("plan a scan"))?;
        let Self { db, dictionary } = self;
        let mut merge = Merge::new(query.from, query.step);
        for piece in plan(from, to, query.step, &state) {
            let each = |entry| add(&mut merge, db, dictionary, query, &entry);
            match piece {
                Piece::Batches(from, to) => each_of_batches(db, organisation, from, to, each)?,
                Piece::Rollups(length, from, to) => {
                    each_of_rollups(db, organisation, (length, from, to), &query.metrics, each)?;
                }
            }
        }
        Ok(merge.finish())
    }

    fn state(&self, organisation: i64, from: i64, to: i64) -> rusqlite::Result<State> {
        let kept_from = |resolution: i64| -> rusqlite::Result<i64> {
            self.db
                .prepare_cached("SELECT start FROM kept_from WHERE resolution = ?1")?
                .query_row([resolution], |row| row.get(0))
                .optional()
                .map(|start| start.unwrap_or(i64::MIN))
        };
        let stale = self
            .db
            .prepare_cached(
                "SELECT resolution, start FROM stale WHERE organisation = ?1 AND start < ?2 AND start + resolution > ?3",
            )?
            .query_map(params![organisation, to, from], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(State { stale, batches_from: kept_from(KEPT_BATCHES)?, quarters_from: kept_from(KEPT_QUARTERS)? })
    }

    /// When each agent's series were first and last measured.
    pub(super) fn presence(&mut self, organisation: OrganisationId) -> Result<Vec<Presence>, StoreError> {
        let database = StoreError::while_doing("read the presence of agents");
        let rows: Vec<(i64, i64, i64, i64, i64)> = self
            .db
            .prepare_cached(
                "SELECT agent, registration, series, first, last FROM presence WHERE organisation = ?1",
            )
            .and_then(|mut statement| {
                statement
                    .query_map([organisation.0], |row| {
                        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                    })?
                    .collect()
            })
            .map_err(&database)?;
        let done = reattribution::all(&self.db)?;
        let finished = done.iter().rev().filter(|done| done.finished.is_some()).map(|done| &done.order);
        let given = given_away(finished.filter(|order| order.organisation == organisation));
        rows.into_iter()
            .map(|(agent, registration, series, first, last)| {
                Ok(Presence {
                    agent: self.dictionary.agent(&self.db, agent)?,
                    registration: RegistrationId(registration),
                    series: self.dictionary.series(&self.db, series)?.1,
                    first: Timestamp::from_secs(first),
                    last: Timestamp::from_secs(last),
                    given_away: given.get(&RegistrationId(registration)).cloned().unwrap_or_default(),
                })
            })
            .collect()
    }

    /// How much there is.
    pub(super) fn health(&self) -> rusqlite::Result<Health> {
        let count = |sql: &str| -> rusqlite::Result<u64> {
            self.db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
        };
        Ok(Health {
            batches: count("SELECT count(*) FROM batch")?,
            ledger_entries: count("SELECT count(*) FROM ledger")?,
            rollups: count(
                "SELECT count(DISTINCT resolution || ':' || start || ':' || organisation) FROM rollup",
            )?,
            stale_rollups: count("SELECT count(*) FROM stale")?,
            bytes: count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?,
            oldest: self
                .db
                .query_row("SELECT min(oldest_start) FROM batch", [], |row| row.get::<_, Option<i64>>(0))?
                .map(Timestamp::from_secs),
        })
    }
}

/// Adds an entry to an answer, if it was asked for.
fn add(
    merge: &mut Merge,
    db: &Connection,
    dictionary: &mut Dictionary,
    query: &Query,
    entry: &Entry,
) -> Result<(), StoreError> {
    if query.registrations.as_ref().is_some_and(|wanted| !wanted.contains(&entry.registration)) {
        return Ok(());
    }
    let (id, series) = dictionary.series(db, entry.series)?;
    let metric = series.key.metric;
    if !query.metrics.is_empty() && !query.metrics.contains(&metric) {
        return Ok(());
    }
    let key = RowKey {
        registration: entry.registration,
        metric,
        agent: dictionary.agent(db, entry.agent)?,
        attribution: entry.attribution,
        prefix: entry.prefix,
        series: id,
    };
    merge.add(&key, &series, entry.start, &entry.totals);
    Ok(())
}

/// Hands over each measurement that starts in `from..to`.
pub(super) fn each_of_batches(
    db: &Connection,
    organisation: i64,
    from: i64,
    to: i64,
    mut each: impl FnMut(Entry) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let database = StoreError::while_doing("read batches");
    // A batch that holds a measurement of the span may go on this much beyond it.
    let span = i64::try_from(limits::MAX_BATCH_SPAN.as_secs()).unwrap_or(i64::MAX);
    let mut statement = db
        .prepare_cached(
            "SELECT block FROM batch
             WHERE newest_start >= ?1 AND newest_start < ?2 AND oldest_start < ?3 AND organisation = ?4",
        )
        .map_err(&database)?;
    let mut rows =
        statement.query(params![from, to.saturating_add(span), to, organisation]).map_err(&database)?;
    while let Some(row) = rows.next().map_err(&database)? {
        let block = row.get_ref(0).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
        for entry in coding::decode(block)? {
            if (from..to).contains(&entry.start.as_secs()) {
                each(entry)?;
            }
        }
    }
    Ok(())
}

/// Hands over each entry of the rollups of one resolution whose spans start in `from..to`, of these metrics; no metric
/// means every one.
pub(super) fn each_of_rollups(
    db: &Connection,
    organisation: i64,
    (length, from, to): (IntervalLength, i64, i64),
    metrics: &BTreeSet<Metric>,
    mut each: impl FnMut(Entry) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let database = StoreError::while_doing("read rollups");
    let names: BTreeSet<&str> = metrics.iter().map(|metric| metric.name()).collect();
    let mut statement = db
        .prepare_cached(
            "SELECT metric, block FROM rollup
             WHERE resolution = ?1 AND start >= ?2 AND start < ?3 AND organisation = ?4",
        )
        .map_err(&database)?;
    let mut rows = statement.query(params![length.as_secs(), from, to, organisation]).map_err(&database)?;
    while let Some(row) = rows.next().map_err(&database)? {
        // SQLite reads a block's pages only when its column is asked for.
        let metric = row.get_ref(0).and_then(|value| Ok(value.as_str()?)).map_err(&database)?;
        if !names.is_empty() && !names.contains(metric) {
            continue;
        }
        let block = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
        for entry in coding::decode(block)? {
            each(entry)?;
        }
    }
    Ok(())
}
