//! The spool: batches wait here, durably, until the collector has signed for them.
//!
//! One file per batch, whole or absent, never changed once written; its name sorts by the newest interval in it. A file
//! goes only on the collector's signed word, or, oldest first and counted, when a bound is reached. Acknowledged batches
//! are kept for a day, so that `resend` can restore what a collector lost. One process owns a spool.

mod account;
mod append;
mod bounds;
mod directory;
mod given_up;
pub mod handle;
mod key;
mod letting_go;
pub mod pack;
mod readdress;
pub mod record;
mod resend;
mod split;

pub use bounds::SpoolSettings;
pub use key::Key;
pub use resend::RESEND_REQUEST;

use directory::{Apart, Directory};
use given_up::{GivenUp, GivenUpCounts};
use pack::Draft;
use peerlight_proto::{
    batch::Remarks,
    drops::{DropEntry, DropReason, Signed},
    id::{AgentId, BatchDigest, BatchNumber, SessionId},
    time::Timestamp,
};
use record::{Record, RecordError};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long acknowledged batches are kept.
pub const KEEP_ACKNOWLEDGED: Duration = Duration::from_hours(24);

/// What the spool could not do.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process owns it.
    #[error("the spool {0} is in use by another peerlight-agent; stop that one first")]
    InUse(PathBuf),
    /// The disk refused.
    #[error("cannot {operation} {path}: {source}")]
    Disk {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// This process has given it up.
    #[error("the spool was closed")]
    Closed,
    /// A batch could not be written as bytes.
    #[error("cannot encode a batch: {0}")]
    Encode(io::Error),
}

/// Says on what an operation failed.
fn disk<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> SpoolError + 'a {
    move |source| SpoolError::Disk { operation, path: path.to_owned(), source }
}

/// A batch read from the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub key: Key,
    /// Its number.
    pub number: BatchNumber,
    /// The digest of `bytes`.
    pub digest: BatchDigest,
    /// What goes on the wire.
    pub bytes: Vec<u8>,
}

/// What the spool holds, what was acknowledged since it was opened, and what it had to give up since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Batches waiting.
    pub batches: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// Dropped, oldest first, because a bound was reached.
    pub dropped: u64,
    /// Set aside because the file was torn or corrupt.
    pub corrupt: u64,
    /// Acknowledged by the collector.
    pub acknowledged: u64,
    /// Rejected whole by the collector.
    pub rejected: u64,
    /// Set aside because the collector finds even a single measurement too large.
    pub too_large: u64,
    /// Measurements that the collector refused out of acknowledged batches.
    pub refused_measurements: u64,
    /// Measurements in what was dropped, set aside or rejected, or that the disk did not take, as far as that is known.
    pub lost_measurements: u64,
}

/// The batches that wait on disk. Its operations block on the disk: async code uses [`handle::SharedSpool`].
#[derive(Debug)]
pub struct Spool {
    directory: Directory,
    settings: SpoolSettings,
    agent: AgentId,
    waiting: BTreeMap<Key, u64>,
    /// Bytes of what waits.
    bytes: u64,
    /// Batches that were acknowledged since it was opened.
    acknowledged: u64,
    /// As it stands on disk.
    given_up: GivenUp,
    /// The batch that is being pushed: whether the collector has it is not known, so no bound drops it now.
    in_flight: Option<Key>,
    /// What the disk did not take, until it takes the count of it.
    unwritten: Vec<DropEntry>,
    session: Option<SessionId>,
    next_sequence: u64,
    /// The newest interval that was acknowledged as the newest.
    freshest_acknowledged: Option<Timestamp>,
    /// What batches say of the agent besides.
    remarks: Remarks,
}

impl Spool {
    /// Opens the spool in `directory` for this process alone, and finishes what a crash interrupted.
    pub fn open(directory: &Path, agent: AgentId, settings: SpoolSettings) -> Result<Self, SpoolError> {
        let directory = Directory::open(directory)?;
        split::recover(&directory)?;
        let mut spool = Self {
            given_up: given_up::read(&directory)?,
            directory,
            settings,
            agent,
            waiting: BTreeMap::new(),
            bytes: 0,
            acknowledged: 0,
            in_flight: None,
            unwritten: Vec::new(),
            session: None,
            next_sequence: 0,
            freshest_acknowledged: None,
            remarks: Remarks::default(),
        };
        spool.scan()?;
        Ok(spool)
    }

    /// Numbers the following batches within `session`.
    pub fn begin_session(&mut self, session: SessionId) {
        if self.session != Some(session) {
            self.session = Some(session);
            self.next_sequence = 0;
        }
    }

    /// Has the following batches say so of the agent.
    pub fn remark(&mut self, remarks: Remarks) {
        self.remarks = remarks;
    }

    /// The batch to push next: the newest interval as long as it is news, then the backlog, oldest first.
    pub fn next(&self) -> Option<Key> {
        let (newest, _) = self.waiting.last_key_value()?;
        if self.freshest_acknowledged.is_none_or(|freshest| newest.newest_end > freshest) {
            return Some(*newest);
        }
        self.waiting.first_key_value().map(|(oldest, _)| *oldest)
    }

    /// Says that this batch is being pushed, and no other.
    pub(crate) const fn pushes(&mut self, key: Key) {
        self.in_flight = Some(key);
    }

    /// Reads a waiting batch. None if it was torn or corrupt: then it is set aside and counted.
    pub fn read(&mut self, key: Key) -> Result<Option<Waiting>, SpoolError> {
        let file = self.directory.read(key)?;
        match file.as_deref().map_or(Err(RecordError::Torn), |file| self.parse(key, file)) {
            Ok(record) => Ok(Some(Waiting {
                key,
                number: record.number,
                digest: record.digest,
                bytes: record.bytes.to_vec(),
            })),
            Err(error) => {
                let file = self.directory.batch(key);
                tracing::warn!(file = %file.display(), %error, "a spooled batch is damaged and was set aside");
                self.let_go(&[key], DropReason::Corrupt, Some(Apart::Corrupt), |counts| counts.corrupt += 1)?;
                Ok(None)
            }
        }
    }

    /// The record of the batch with this key, if the file holds it.
    fn parse<'a>(&self, key: Key, file: &'a [u8]) -> Result<Record<'a>, RecordError> {
        let record = Record::parse(file)?;
        let named = record.key() == key && record.number.agent == self.agent;
        if named { Ok(record) } else { Err(RecordError::Misnamed) }
    }

    /// The collector signed for the batch, and maybe for a part of the account of what was dropped: the batch waits no longer,
    /// but is kept for a day.
    pub fn acknowledge(
        &mut self,
        key: Key,
        refused: u64,
        dropped: Option<Signed>,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        if let Some(signed) = dropped {
            // Written with the next loss; until then a restart makes the agent tell again, which changes nothing.
            self.given_up.account.sign(signed);
        }
        if self.waiting.last_key_value().is_some_and(|(newest, _)| *newest == key) {
            self.freshest_acknowledged = self.freshest_acknowledged.max(Some(key.newest_end));
        }
        if refused > 0 {
            // The collector counted them by itself when it stored the batch.
            self.give_up(
                |counts| {
                    counts.refused_measurements += refused;
                    Vec::new()
                },
                Vec::new(),
            )?;
        }
        resend::keep(&self.directory, key, now)?;
        self.forget(key);
        self.acknowledged += 1;
        Ok(())
    }

    /// The collector's signed word is that the batch can never be stored: it is deleted and counted.
    pub fn reject(&mut self, key: Key, reason: DropReason) -> Result<(), SpoolError> {
        self.let_go(&[key], reason, None, |counts| counts.rejected += 1)
    }

    /// Replaces a batch by two smaller ones, each saying which part of it it is. False if it has one measurement.
    pub fn split(&mut self, waiting: &Waiting, created: Timestamp) -> Result<bool, SpoolError> {
        split::split(self, waiting, created)
    }

    /// The collector wants the batch in parts, but it cannot be divided: it waits no longer, is kept apart and counted.
    pub fn set_too_large_aside(&mut self, key: Key) -> Result<(), SpoolError> {
        self.let_go(&[key], DropReason::TooLarge, Some(Apart::TooLarge), |counts| counts.too_large += 1)
    }

    /// Makes the batches that were acknowledged since `since` wait again; says how many.
    pub fn resend(&mut self, since: Timestamp) -> Result<u64, SpoolError> {
        let again = resend::restore(&self.directory, since)?;
        self.scan()?;
        Ok(again)
    }

    /// Removes acknowledged batches that are past their day or beyond half of the spool's bound.
    pub fn prune_acknowledged(&mut self, now: Timestamp) -> Result<(), SpoolError> {
        resend::prune(&self.directory, now.minus(KEEP_ACKNOWLEDGED), self.settings.max_bytes / 2)
    }

    /// Gives the spool up, so that another process may open it.
    pub fn close(&mut self) {
        self.directory.close();
    }

    /// What it holds and gave up.
    pub fn counts(&self) -> Counts {
        let GivenUpCounts { dropped, corrupt, rejected, too_large, refused_measurements, lost_measurements } =
            self.given_up.counts;
        Counts {
            batches: self.waiting.len() as u64,
            bytes: self.bytes,
            dropped,
            corrupt,
            acknowledged: self.acknowledged,
            rejected,
            too_large,
            refused_measurements,
            lost_measurements,
        }
    }

    /// The keys of what waits, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.waiting.keys().copied()
    }

    /// Takes in what is in the directory and was not known yet.
    fn scan(&mut self) -> Result<(), SpoolError> {
        self.finish()?;
        for (key, bytes) in self.directory.batches()? {
            if !self.waiting.contains_key(&key) {
                self.remember(key, bytes);
            }
        }
        self.keep_within_bytes()
    }

    fn remember(&mut self, key: Key, bytes: u64) {
        self.waiting.insert(key, bytes);
        self.bytes += bytes;
    }

    fn forget(&mut self, key: Key) {
        if self.in_flight == Some(key) {
            self.in_flight = None;
        }
        if let Some(bytes) = self.waiting.remove(&key) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
