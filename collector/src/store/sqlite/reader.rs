//! Readers: snapshots of the database that never wait for the writer.

use super::{
    answer::Answer,
    block::{Cells, Gathered, Sink, read},
    dictionary::Names,
    dropped,
    kept::{KEPT_MEASURED, Kept, SCATTERED, ceil_secs, span_of},
    log,
    plan::{Piece, State, plan},
    presence::{Numbered, Sightings},
    reattribution,
};
use crate::{
    organisation::OrganisationId,
    registry::RegistrationId,
    store::{
        Dropped, Grouping, Health, Presence, Presences, Query, Row, StoreError, given_away::given_away,
        presence::Gathering,
    },
};
use peerlight_proto::{metric::Metric, time::Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A reading connection with what it knows of the dictionaries.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) db: Connection,
    pub(super) names: Names,
    /// For what is read to be written anew: kept for their memory.
    pub(super) cells: Cells,
    pub(super) spare: Cells,
    pub(super) gathered: Gathered,
}

/// The spans of a stripe whose rollups are not to be trusted, by resolution and start.
type Stale = BTreeSet<(i64, i64)>;

impl Reader {
    pub(super) fn new(db: Connection) -> Self {
        Self {
            db,
            names: Names::default(),
            cells: Cells::default(),
            spare: Cells::default(),
            gathered: Gathered::default(),
        }
    }

    /// Runs `read` within one read transaction, so that all of it sees the same instant.
    pub(super) fn snapshot<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let begun = StoreError::while_doing("read a snapshot");
        self.db.execute_batch("BEGIN DEFERRED").map_err(&begun)?;
        let answer = self.names.refresh(&self.db).map_err(&begun).and_then(|()| read(self));
        self.db.execute_batch("COMMIT").map_err(&begun)?;
        answer
    }

    /// Answers a query from what this snapshot holds.
    pub(super) fn scan(&mut self, query: &Query, grouping: &dyn Grouping) -> Result<Vec<Row>, StoreError> {
        let planning = StoreError::while_doing("plan a scan");
        // Intervals start on whole seconds: the first at or after `from`, the last before `to`.
        let (from, to) = (ceil_secs(query.from), ceil_secs(query.to));
        let organisation = query.organisation.0;
        let kept = Kept::read(&self.db).map_err(&planning)?;
        let stale = self.stale(organisation, from, to).map_err(&planning)?;
        // Stripes whose rollups are stale in the same spans are read alike.
        let mut classes: Vec<Stale> = vec![Stale::new()];
        let mut class_of: BTreeMap<u32, usize> = BTreeMap::new();
        for (stripe, stale) in stale {
            let class = classes.iter().position(|class| *class == stale).unwrap_or_else(|| {
                classes.push(stale);
                classes.len() - 1
            });
            class_of.insert(stripe, class);
        }
        let Self { db, names, gathered, .. } = self;
        let mut answer = Answer::new(db, names, query, grouping);
        for (class, stale) in classes.into_iter().enumerate() {
            let known = State { stale, measured_from: kept.measured, quarters_from: kept.quarters };
            for piece in plan(from, to, query.step, &known) {
                let (resolution, from, to) = match piece {
                    Piece::Measured(from, to) => (KEPT_MEASURED, from, to),
                    Piece::Rollups(length, from, to) => (i64::from(length.as_secs()), from, to),
                };
                answer.within(from, to);
                let of_class = |stripe: u32| class_of.get(&stripe).copied().unwrap_or(0) == class;
                each_segment(
                    db,
                    organisation,
                    (resolution, from, to),
                    &query.metrics,
                    of_class,
                    &mut answer,
                )?;
            }
        }
        answer.within(from, to);
        gathered.clear();
        log::each_block(db, organisation, (from, to), |block| {
            gathered.add(&query.metrics, block, |key| answer.row(key))?;
            if gathered.is_crowded() { gathered.drain(&mut answer) } else { Ok(()) }
        })?;
        gathered.drain(&mut answer)?;
        answer.finish()
    }

    fn stale(&self, organisation: i64, from: i64, to: i64) -> rusqlite::Result<BTreeMap<u32, Stale>> {
        let mut of_stripes: BTreeMap<u32, Stale> = BTreeMap::new();
        let mut statement = self.db.prepare_cached(
            "SELECT stripe, resolution, start FROM stale
             WHERE organisation = ?1 AND start < ?2 AND start + 86400 > ?3 AND resolution <> ?4",
        )?;
        let mut rows = statement.query([organisation, to, from, SCATTERED])?;
        while let Some(row) = rows.next()? {
            of_stripes.entry(row.get(0)?).or_default().insert((row.get(1)?, row.get(2)?));
        }
        Ok(of_stripes)
    }

    /// When each agent first and last measured what.
    pub(super) fn presence(&mut self, organisation: OrganisationId) -> Result<Presences, StoreError> {
        let Self { db, names, .. } = self;
        let mut log = Sightings::default();
        log::each_unfolded(db, organisation.0, |batch| log.see(batch))?;
        let mut log = log.by_stripe();
        let done = reattribution::all(db)?;
        let finished = done.iter().rev().filter(|done| done.finished.is_some()).map(|done| &done.order);
        let given = given_away(finished.filter(|order| order.organisation == organisation));
        let nothing: Arc<[_]> = Arc::default();
        let mut stripes = Numbered::stripes(db, organisation.0)
            .map_err(StoreError::while_doing("read the presence of agents"))?;
        stripes.extend(log.keys());
        let mut gathering = Gathering::default();
        // Stripe by stripe, in which agents come in order: a large fleet has millions of series.
        for stripe in stripes {
            let mut presences = Numbered::of_stripe(db, organisation.0, stripe)?;
            if let Some(of_log) = log.remove(&stripe) {
                let seen = of_log.spans().map(|(key, span)| {
                    let registration = names.origin(db, key.origin)?.registration;
                    Ok(((key.agent, registration.0, key.shape), span))
                });
                presences.add(seen.collect::<Result<Vec<_>, StoreError>>()?);
            }
            for ((agent, registration, shape), (first, last)) in presences.iter() {
                let registration = RegistrationId(registration);
                gathering.add(Presence {
                    agent: names.agent(db, agent)?,
                    registration,
                    shape: names.shape(db, shape)?,
                    first: Timestamp::from_secs(first),
                    last: Timestamp::from_secs(last),
                    given_away: Arc::clone(given.get(&registration).unwrap_or(&nothing)),
                });
            }
        }
        Ok(gathering.finish())
    }

    /// What is missing between two instants.
    pub(super) fn dropped(
        &mut self,
        organisation: OrganisationId,
        span: (Timestamp, Timestamp),
    ) -> Result<Vec<Dropped>, StoreError> {
        dropped::between(&self.db, &mut self.names, organisation, span)
    }

    /// How much there is.
    pub(super) fn health(&self) -> rusqlite::Result<Health> {
        let count = |sql: &str| -> rusqlite::Result<u64> {
            self.db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
        };
        let oldest = |sql: &str| self.db.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
        let oldest = [
            oldest("SELECT min(start) FROM segment WHERE resolution = 0")?,
            oldest("SELECT min(oldest_start) FROM batch")?,
        ];
        let newest_or_oldest = |sql: &str| -> rusqlite::Result<Option<i64>> {
            self.db.query_row(sql, [], |row| row.get(0)).optional().map(Option::flatten)
        };
        let newest = [
            newest_or_oldest("SELECT max(start) FROM segment WHERE resolution = 0")?,
            newest_or_oldest("SELECT max(newest_start) FROM batch")?,
        ];
        Ok(Health {
            log_batches: count("SELECT count(*) FROM batch")?,
            ledger_entries: count("SELECT coalesce(sum(count), 0) FROM tally WHERE what = 'ledger'")?,
            stale_rollups: count(&format!("SELECT count(*) FROM stale WHERE resolution <> {SCATTERED}"))?,
            damaged_batches: count("SELECT count(*) FROM damaged")?,
            bytes: count("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")?,
            oldest: oldest.into_iter().flatten().min().map(Timestamp::from_secs),
            oldest_in_log: newest_or_oldest("SELECT received_us FROM batch ORDER BY id LIMIT 1")?
                .map(Timestamp::from_micros),
            newest: newest.into_iter().flatten().max().map(Timestamp::from_secs),
            dropped: dropped::totals(&self.db)?,
            wal_bytes: 0,
        })
    }
}

/// Hands over the segments of one resolution that may hold what starts in the seconds `from..to`, of these metrics (no
/// metric means every one) and of the stripes that are wanted.
fn each_segment(
    db: &Connection,
    organisation: i64,
    (resolution, from, to): (i64, i64, i64),
    metrics: &BTreeSet<Metric>,
    wanted: impl Fn(u32) -> bool,
    sink: &mut impl Sink,
) -> Result<(), StoreError> {
    let database = StoreError::while_doing("read segments");
    let every = Metric::ALL;
    let metrics: Vec<Metric> =
        if metrics.is_empty() { every.to_vec() } else { metrics.iter().copied().collect() };
    let first = if from == i64::MIN { from } else { span_of(resolution, from) };
    let mut statement = db
        .prepare_cached(
            "SELECT stripe, block FROM segment
             WHERE organisation = ?1 AND resolution = ?2 AND metric = ?3 AND start >= ?4 AND start < ?5",
        )
        .map_err(&database)?;
    for metric in metrics {
        let mut rows = statement
            .query(params![organisation, resolution, metric.name(), first, to])
            .map_err(&database)?;
        while let Some(row) = rows.next().map_err(&database)? {
            // SQLite reads a block's pages only when its column is asked for.
            if wanted(row.get(0).map_err(&database)?) {
                let block = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
                read(block, sink)?;
            }
        }
    }
    Ok(())
}
