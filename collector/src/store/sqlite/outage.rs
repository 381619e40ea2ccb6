//! The writer while its disk is full or fails: said now and then rather than for each batch, and what room there is in
//! SQLite's own log is used again.

use crate::{lasting::Lasting, store::StoreError};
use peerlight_proto::id::BatchNumber;
use rusqlite::Connection;
use tokio::time::Instant;

/// How long writing has failed, if it does.
#[derive(Debug, Default)]
pub(super) struct Outage(Lasting);

impl Outage {
    /// So many batches could not be written, `batch` among them.
    pub(super) fn fails(&mut self, db: &Connection, batches: usize, batch: BatchNumber, error: &StoreError) {
        if error.trouble().is_none() {
            tracing::error!(%error, %batch, "a batch could not be written; its agent will send it again");
            return;
        }
        let batches = u64::try_from(batches).unwrap_or(u64::MAX);
        let Some(refused) = self.0.fails(batches, Instant::now()) else { return };
        tracing::error!(
            %error, refused,
            "the store cannot be written; agents keep their batches and send them again until it can, and reports go on"
        );
        make_room(db);
    }

    /// A group was written.
    pub(super) fn works(&mut self) {
        if let Some(over) = self.0.works(Instant::now()) {
            tracing::warn!(
                lasted_s = over.lasted.as_secs(),
                refused = over.failures,
                "the store can be written again"
            );
        }
    }
}

/// Puts what the write-ahead log holds into the database, which has room for most of it: pages that are there, or were
/// freed by expiry. Then the log begins anew in its own room. Without this a full disk would keep even the log that it has
/// from being used, since SQLite empties it after a commit only.
fn make_room(db: &Connection) {
    let emptied = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(2));
    tracing::debug!(?emptied, "emptied the write-ahead log as far as the disk permits");
}
