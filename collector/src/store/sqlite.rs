//! The store on SQLite: a batch log, a ledger and segments in one file, one thread that writes, snapshots that read.
//!
//! A batch is durable in the log. When a quarter hour is over the log is folded into segments, columns of that quarter hour of
//! a metric of some agents, with its rollup beside them; days are made of those. Each answer reads the coarsest that fits and
//! adds what the log still holds.
//!
//! WAL with `synchronous = FULL`: a commit is on disk before it returns, and so before a batch is acknowledged.

mod answer;
mod block;
mod dictionary;
mod dropped;
mod encoded;
mod expiry;
mod fold;
mod kept;
#[cfg(test)]
mod kill;
mod log;
#[cfg(test)]
mod ordeal;
mod outage;
mod plan;
mod presence;
mod reader;
mod reattribution;
mod rollups;
mod segment;
mod slice;
#[cfg(test)]
mod tests;
mod usage;
mod verify;
mod writer;

pub use verify::Verification;

use self::{encoded::Encoded, expiry::Layer, fold::Outstanding, reader::Reader, writer::Writer};
use super::{
    Dropped, Expired, Grouping, Health, Presences, PutOutcome, Query, Reattribute, Reattribution, Retention,
    Row, Store, StoreError, Usage, Watch,
};
use crate::{admission::Admitted, organisation::OrganisationId};
use futures::future::BoxFuture;
use peerlight_proto::{
    id::{BatchDigest, BatchNumber},
    metric::Metric,
    time::Timestamp,
};
use rusqlite::{Connection, config::DbConfig};
use std::{
    fs::{self, File, TryLockError},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

/// The first SQLite without the WAL-reset bug (sqlite.org/wal.html#walresetbug).
const OLDEST_SQLITE: i32 = 3_051_003;
/// Versions below were never released.
const SCHEMA_VERSION: i64 = 7;
const SCHEMA: &str = include_str!("sqlite/schema.sql");
/// Readers that are kept for the next question.
const IDLE_READERS: usize = 4;

/// See [`crate::fuzzing::block`].
#[cfg(feature = "fuzzing")]
pub(crate) fn reread_block(bytes: &[u8]) {
    block::reread(bytes);
}

/// The store on SQLite.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    watch: Arc<Watch>,
    readers: Arc<Mutex<Vec<Reader>>>,
    /// Held by whoever folds, compacts, drops or re-attributes: one at a time, so that only puts come between.
    upkeep: tokio::sync::Mutex<()>,
    /// Held as long as this process owns the file.
    _owner: File,
}

impl SqliteStore {
    /// Opens the store in this file, or makes it. One process at a time owns it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if rusqlite::version_number() < OLDEST_SQLITE {
            return Err(StoreError::UnsafeSqlite(rusqlite::version()));
        }
        let owner = lock(path)?;
        let mut db = connect(path)?;
        migrate(&mut db, path)?;
        let watch = Arc::<Watch>::default();
        let writer = Writer::start(db, Arc::clone(&watch))
            .map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            watch,
            readers: Arc::default(),
            upkeep: tokio::sync::Mutex::default(),
            _owner: owner,
        })
    }

    /// Verifies the store in this file, which a running collector may own. `progress` is told how many of how many steps
    /// are done.
    pub fn verify(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verification, StoreError> {
        verify::verify(path, progress)
    }

    /// When the newest batch that the store in this file holds was received.
    pub fn newest_received(path: &Path) -> Result<Option<Timestamp>, StoreError> {
        let db = verify::open_to_read(path)?;
        db.query_row("SELECT max(count) FROM tally WHERE what = 'received'", [], |row| row.get(0))
            .map(|received: Option<i64>| received.map(Timestamp::from_micros))
            .map_err(StoreError::while_doing("read when its newest batch was received"))
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (readers, path) = (Arc::clone(&self.readers), self.path.clone());
        let work = move || {
            let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut reader = idle.map_or_else(|| connect(&path).map(Reader::new), Ok)?;
            // A reader that failed is not kept: it may be within a transaction.
            let answer = read(&mut reader)?;
            let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() < IDLE_READERS {
                readers.push(reader);
            }
            Ok(answer)
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Closed))
    }

    /// Writes on the writer's thread, between groups of batches.
    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        write: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writer.run(move |db| write(db).map_err(StoreError::while_doing(operation))).await
    }

    /// Folds the log, if its time has come or it `must` be.
    async fn fold(&self, now: Timestamp, must: bool) -> Result<(), StoreError> {
        let find = move |reader: &mut Reader| {
            fold::outstanding(&reader.db, now, must).map_err(StoreError::while_doing("look at the log"))
        };
        let Outstanding { swept, stripes } = self.read(find).await?;
        let mut failure = None;
        for (stripe, batches) in stripes {
            // One stripe that cannot be folded holds up no other; its batches stay in the log, and so do all.
            if let Err(error) = self.fold_stripe(stripe, batches.into()).await {
                if error.is_everyones() {
                    return Err(error);
                }
                failure = Some(error);
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        // Nearly always there is nothing: no transaction is begun for it.
        while swept > 0 && self.write("sweep the log", move |db| fold::sweep(db, swept)).await? {}
        Ok(())
    }

    async fn fold_stripe(&self, stripe: u32, mut batches: Arc<[i64]>) -> Result<(), StoreError> {
        while !batches.is_empty() {
            let offered = Arc::clone(&batches);
            let read = move |reader: &mut Reader| {
                reader.snapshot(|reader| slice::read_slice(reader, stripe, &offered))
            };
            let slice = self.read(read).await?;
            batches = batches[slice.taken..].into();
            self.write("fold the log", move |db| fold::write_slice(db, &slice)).await?;
        }
        Ok(())
    }

    /// Recomputes what is stale and closed. Returns how many spans.
    async fn recompute(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut recomputed = 0;
        loop {
            let find = move |reader: &mut Reader| {
                rollups::due(&reader.db, now).map_err(StoreError::while_doing("find stale rollups"))
            };
            let (mut progressed, mut failure) = (false, None);
            for stale in self.read(find).await? {
                match self.recompute_one(stale).await {
                    Ok(()) => {
                        progressed = true;
                        recomputed += 1;
                    }
                    Err(error) if error.is_everyones() => return Err(error),
                    // One span that cannot be recomputed holds up no other.
                    Err(error) => failure = Some(error),
                }
            }
            match (progressed, failure) {
                (true, _) => {}
                (false, Some(error)) => return Err(error),
                (false, None) => return Ok(recomputed),
            }
        }
    }

    async fn recompute_one(&self, stale: rollups::Stale) -> Result<(), StoreError> {
        let mut metrics: &[Metric] = &Metric::ALL;
        while !metrics.is_empty() {
            let recompute = move |reader: &mut Reader| {
                reader.snapshot(|reader| rollups::recompute(reader, stale, metrics))
            };
            let recomputed = self.read(recompute).await?;
            metrics = recomputed.rest;
            self.write("replace rollups", move |db| rollups::replace(db, &recomputed)).await?;
        }
        Ok(())
    }

    async fn compact_now(&self, now: Timestamp) -> Result<u64, StoreError> {
        let _alone = self.upkeep.lock().await;
        let begun = Instant::now();
        let folded = self.fold(now, false).await;
        let recomputed = self.recompute(now).await;
        let done = folded.and(recomputed);
        self.watch.kept_up(now, begun.elapsed(), &done);
        done
    }

    async fn reattribute_all(&self, now: Timestamp) -> Result<(), StoreError> {
        let _alone = self.upkeep.lock().await;
        let unfinished = |reader: &mut Reader| {
            reattribution::is_unfinished(&reader.db)
                .map_err(StoreError::while_doing("look for re-attributions"))
        };
        if !self.read(unfinished).await? {
            return Ok(());
        }
        self.fold(now, true).await?;
        while let Some(mut work) = self.writer.run(reattribution::next).await? {
            loop {
                let read = move |reader: &mut Reader| {
                    let slice = reader.snapshot(|reader| reattribution::next_slice(reader, &mut work))?;
                    Ok((work, slice))
                };
                let (back, slice) = self.read(read).await?;
                let Some(slice) = slice else {
                    work = back;
                    break;
                };
                let write = move |db: &mut Connection| {
                    reattribution::write_slice(db, &back, &slice)?;
                    Ok(back)
                };
                work = self.write("move measurements to another registration", write).await?;
            }
            self.writer.run(move |db| reattribution::finish(db, &work, now)).await?;
        }
        Ok(())
    }

    async fn expire_all(&self, now: Timestamp, retention: Retention) -> Result<Expired, StoreError> {
        let _alone = self.upkeep.lock().await;
        // After a long stop, what is to go may not have been folded or rolled up yet.
        let folded = self.fold(now, false).await;
        if let Err(error) = folded.and(self.recompute(now).await) {
            tracing::error!(%error, "rollups could not be recomputed; what they would be made of is kept for now");
        }
        let mut expired = Expired::default();
        for layer in Layer::ALL {
            loop {
                let dropped = self.writer.run(move |db| expiry::slice(db, layer, now, &retention)).await?;
                expiry::count(&mut expired, layer, dropped);
                if dropped == 0 {
                    break;
                }
            }
        }
        let before = Layer::Days.keeps_from(now, &retention);
        while self.write("forget what was dropped", move |db| dropped::expire(db, before)).await? {}
        let mut after = Some((i64::MIN, 0));
        while let Some(last) = after {
            after = self.writer.run(move |db| expiry::forget_presence(db, now, &retention, last)).await?;
        }
        Ok(expired)
    }
}

impl Store for SqliteStore {
    fn put(&self, admitted: Admitted) -> BoxFuture<'_, Result<PutOutcome, StoreError>> {
        Box::pin(self.writer.put(Encoded::of(admitted)))
    }

    fn ledgered(&self, number: BatchNumber) -> BoxFuture<'_, Result<Option<BatchDigest>, StoreError>> {
        Box::pin(self.read(move |reader| log::ledgered(&reader.db, number)))
    }

    fn scan(&self, query: Query, grouping: Arc<dyn Grouping>) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        Box::pin(self.read(move |reader| reader.snapshot(|reader| reader.scan(&query, &*grouping))))
    }

    fn presence(&self, organisation: OrganisationId) -> BoxFuture<'_, Result<Presences, StoreError>> {
        Box::pin(self.read(move |reader| reader.snapshot(|reader| reader.presence(organisation))))
    }

    fn dropped(
        &self,
        organisation: OrganisationId,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<Dropped>, StoreError>> {
        Box::pin(self.read(move |reader| reader.dropped(organisation, (from, to))))
    }

    fn compact(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.compact_now(now))
    }

    fn expire(&self, now: Timestamp, retention: Retention) -> BoxFuture<'_, Result<Expired, StoreError>> {
        Box::pin(self.expire_all(now, retention))
    }

    fn newest(&self) -> BoxFuture<'_, Result<Option<Timestamp>, StoreError>> {
        Box::pin(self.read(|reader| expiry::newest(&reader.db)))
    }

    fn begin_reattribution(&self, order: Reattribute) -> BoxFuture<'_, Result<i64, StoreError>> {
        Box::pin(self.writer.run(move |db| reattribution::begin(db, &order)))
    }

    fn reattribute(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.reattribute_all(now))
    }

    fn reattributions(&self) -> BoxFuture<'_, Result<Vec<Reattribution>, StoreError>> {
        Box::pin(self.read(|reader| reattribution::all(&reader.db)))
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        Box::pin(self.read(|reader| reader.snapshot(usage::usage)))
    }

    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        Box::pin(self.read(move |reader| {
            let health = reader.health().map_err(StoreError::while_doing("count what there is"))?;
            // Without one, all is in the file.
            let wal_bytes = fs::metadata(&wal).map_or(0, |wal| wal.len());
            Ok(Health { wal_bytes, ..health })
        }))
    }
}

/// Takes the file for this process, whose number it leaves for whom it keeps out.
pub(crate) fn lock(path: &Path) -> Result<File, StoreError> {
    let lock_path = path.with_added_extension("lock");
    let file = |source| StoreError::File { path: lock_path.clone(), source };
    let mut options = File::options();
    let mut owner =
        options.create(true).truncate(false).read(true).write(true).open(&lock_path).map_err(file)?;
    match owner.try_lock() {
        Ok(()) => {
            owner.set_len(0).map_err(file)?;
            // A full disk keeps nobody from owning the file; whoever is kept out is then not told by whom.
            let _told = writeln!(owner, "{}", std::process::id());
            Ok(owner)
        }
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Where locks keep readers out, too, nobody knows.
            let process = owner.read_to_string(&mut text).ok().and_then(|_length| text.trim().parse().ok());
            Err(StoreError::Owned { path: path.to_owned(), process })
        }
        Err(TryLockError::Error(source)) => Err(file(source)),
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open(path)?;
        db.execute_batch(
            "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA busy_timeout = 10000; PRAGMA cache_size = -16384; PRAGMA foreign_keys = ON;
             PRAGMA wal_autocheckpoint = 1024; PRAGMA journal_size_limit = 67108864;",
        )?;
        // Else a statement whose plan could depend on what is bound to it is planned anew each time.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(db)
    };
    open().map_err(StoreError::while_doing("open its database"))
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let database = StoreError::while_doing("set up its tables");
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&database)?;
    if version == 0 {
        let transaction = db.transaction().map_err(&database)?;
        transaction.execute_batch(SCHEMA).map_err(&database)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(&database)?;
        return transaction.commit().map_err(&database);
    }
    check_version(version, path)
}

/// Whether this build reads a file of this version.
fn check_version(version: i64, path: &Path) -> Result<(), StoreError> {
    match version {
        SCHEMA_VERSION => Ok(()),
        older if older < SCHEMA_VERSION => {
            Err(StoreError::UnreleasedSchema { path: path.to_owned(), version: older })
        }
        newer => Err(StoreError::NewerSchema { path: path.to_owned(), version: newer }),
    }
}
