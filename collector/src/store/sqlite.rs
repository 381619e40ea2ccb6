//! The store on SQLite: a batch log, a ledger and rollups in one file, one thread that writes, snapshots that read.
//!
//! WAL with `synchronous = FULL`: a commit is on disk before it returns, and so before a batch is acknowledged.

mod dictionary;
mod expiry;
mod kept;
#[cfg(test)]
mod kill;
mod log;
mod plan;
mod reader;
mod reattribution;
mod rollups;
#[cfg(test)]
mod tests;
mod writer;

use self::{expiry::Layer, reader::Reader, writer::Writer};
use super::{
    Expired, Health, Presence, PutOutcome, Query, Reattribute, Reattribution, Retention, Row, Store,
    StoreError,
};
use crate::{admission::Admitted, organisation::OrganisationId};
use futures::future::BoxFuture;
use peerlight_proto::{
    id::{BatchDigest, BatchNumber},
    time::Timestamp,
};
use rusqlite::Connection;
use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The first SQLite without the WAL-reset bug (sqlite.org/wal.html#walresetbug).
const OLDEST_SQLITE: i32 = 3_051_003;
/// 2: entries of blocks carry the offsets of clocks. The tables are those of 1. 3: re-attributions.
const SCHEMA_VERSION: i64 = 3;
const SCHEMA: &str = include_str!("sqlite/schema.sql");
const REATTRIBUTION: &str = include_str!("sqlite/reattribution.sql");
/// Readers that are kept for the next question.
const IDLE_READERS: usize = 4;

/// The store on SQLite.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    readers: Arc<Mutex<Vec<Reader>>>,
    /// Held by whoever carries re-attributions out.
    reattributing: tokio::sync::Mutex<()>,
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
        let writer =
            Writer::start(db).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            readers: Arc::default(),
            reattributing: tokio::sync::Mutex::default(),
            _owner: owner,
        })
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

    async fn roll_up_all(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut replaced = 0;
        loop {
            let due = self
                .read(move |reader| {
                    rollups::due(&reader.db, now).map_err(StoreError::while_doing("find stale rollups"))
                })
                .await?;
            let mut progressed = false;
            let mut failure = None;
            for stale in due {
                match self.roll_up_one(stale).await {
                    Ok(done) => {
                        progressed |= done;
                        replaced += u64::from(done);
                    }
                    // One span that cannot be recomputed holds up no other.
                    Err(error) => failure = Some(error),
                }
            }
            // A span that a put touched meanwhile waits for the next turn.
            match (progressed, failure) {
                (true, _) => {}
                (false, Some(error)) => return Err(error),
                (false, None) => return Ok(replaced),
            }
        }
    }

    async fn roll_up_one(&self, stale: rollups::Stale) -> Result<bool, StoreError> {
        let recomputed =
            self.read(move |reader| reader.snapshot(|reader| rollups::recompute(reader, stale))).await?;
        let replace = move |db: &mut Connection| {
            rollups::replace(db, &recomputed).map_err(StoreError::while_doing("replace a rollup"))
        };
        self.writer.run(replace).await
    }

    async fn reattribute_all(&self, now: Timestamp) -> Result<(), StoreError> {
        let _alone = self.reattributing.lock().await;
        loop {
            let read = |reader: &mut Reader| reader.snapshot(|reader| reattribution::next_slice(&reader.db));
            let Some(slice) = self.read(read).await? else { return Ok(()) };
            let write = move |db: &mut Connection| {
                reattribution::write(db, &slice, now)
                    .map_err(StoreError::while_doing("move measurements to another registration"))
            };
            self.writer.run(write).await?;
        }
    }

    async fn expire_all(&self, now: Timestamp, retention: Retention) -> Result<Expired, StoreError> {
        // After a long stop, what is to go may not have been rolled up yet.
        if let Err(error) = self.roll_up_all(now).await {
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
        Ok(expired)
    }
}

impl Store for SqliteStore {
    fn put(&self, admitted: Admitted) -> BoxFuture<'_, Result<PutOutcome, StoreError>> {
        Box::pin(self.writer.put(admitted))
    }

    fn ledgered(&self, number: BatchNumber) -> BoxFuture<'_, Result<Option<BatchDigest>, StoreError>> {
        Box::pin(self.read(move |reader| log::ledgered(&reader.db, number)))
    }

    fn scan(&self, query: Query) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        Box::pin(self.read(move |reader| reader.scan(&query)))
    }

    fn presence(&self, organisation: OrganisationId) -> BoxFuture<'_, Result<Vec<Presence>, StoreError>> {
        Box::pin(self.read(move |reader| reader.snapshot(|reader| reader.presence(organisation))))
    }

    fn roll_up(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(self.roll_up_all(now))
    }

    fn expire(&self, now: Timestamp, retention: Retention) -> BoxFuture<'_, Result<Expired, StoreError>> {
        Box::pin(self.expire_all(now, retention))
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

    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        Box::pin(self.read(|reader| reader.health().map_err(StoreError::while_doing("count what there is"))))
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let lock_path = path.with_added_extension("lock");
    let file = |source| StoreError::File { path: lock_path.clone(), source };
    let owner = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(file)?;
    match owner.try_lock() {
        Ok(()) => Ok(owner),
        Err(TryLockError::WouldBlock) => Err(StoreError::Owned(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(file(source)),
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open(path)?;
        db.execute_batch(
            "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             PRAGMA busy_timeout = 10000; PRAGMA cache_size = -16384; PRAGMA foreign_keys = ON;",
        )?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(db)
    };
    open().map_err(StoreError::while_doing("open its database"))
}

fn migrate(db: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let database = StoreError::while_doing("set up its tables");
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(&database)?;
    match version {
        SCHEMA_VERSION => Ok(()),
        // Blocks of 1 read as they are, with no offset known. From now on older collectors must leave the file alone: they
        // would drop the offsets whenever they roll up, and let expire what waits to be re-attributed.
        0..SCHEMA_VERSION => {
            let transaction = db.transaction().map_err(&database)?;
            if version == 0 {
                transaction.execute_batch(SCHEMA).map_err(&database)?;
            }
            transaction.execute_batch(REATTRIBUTION).map_err(&database)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(&database)?;
            transaction.commit().map_err(&database)
        }
        newer => Err(StoreError::NewerSchema { path: path.to_owned(), version: newer }),
    }
}
