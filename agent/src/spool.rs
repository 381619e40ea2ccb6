//! The spool: batches wait here, durably, until the collector has signed for them.
//!
//! One file per batch, whole or absent, never changed once written; its name sorts by the newest interval in it. A file
//! goes only on the collector's signed word, or, oldest first and counted, when a bound is reached. Acknowledged batches
//! are kept for a day, so that `resend` can restore what a collector lost. One process owns a spool.

mod directory;
mod given_up;
pub mod handle;
mod key;
pub mod pack;
pub mod record;
mod resend;
mod split;

pub use key::Key;
pub use resend::RESEND_REQUEST;

use directory::Directory;
use key::file_name;
use pack::Draft;
use peerlight_proto::{
    batch::{Batch, Health},
    codec::encode_batch,
    id::{AgentId, BatchDigest, BatchNumber, SessionId},
    limits,
    time::Timestamp,
};
use record::{Record, RecordError};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How much a spool may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Bytes of waiting batches.
    pub max_bytes: u64,
    /// Age of a waiting batch's newest interval; applied once the collector's clock is known.
    pub max_age: Duration,
}

impl SpoolSettings {
    /// Bytes unless told otherwise: weeks of a hundred targets.
    pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;
    /// Age unless told otherwise, and the most: what the collector accepts.
    pub const DEFAULT_MAX_AGE: Duration = limits::ACCEPTANCE_HORIZON;
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self { max_bytes: Self::DEFAULT_MAX_BYTES, max_age: Self::DEFAULT_MAX_AGE }
    }
}

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
}

/// The batches that wait on disk. Its operations block on the disk: async code uses [`handle::SharedSpool`].
#[derive(Debug)]
pub struct Spool {
    directory: Directory,
    settings: SpoolSettings,
    agent: AgentId,
    waiting: BTreeMap<Key, u64>,
    counts: Counts,
    session: Option<SessionId>,
    next_sequence: u64,
    /// The newest interval that was acknowledged as the newest.
    freshest_acknowledged: Option<Timestamp>,
}

impl Spool {
    /// Opens the spool in `directory` for this process alone, and finishes what a crash interrupted.
    pub fn open(directory: &Path, agent: AgentId, settings: SpoolSettings) -> Result<Self, SpoolError> {
        let directory = Directory::open(directory)?;
        split::recover(&directory)?;
        let mut spool = Self {
            counts: given_up::read(&directory)?,
            directory,
            settings,
            agent,
            waiting: BTreeMap::new(),
            session: None,
            next_sequence: 0,
            freshest_acknowledged: None,
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

    /// Writes a batch. It is durable when this returns, and what was written never changes.
    pub fn append(
        &mut self,
        draft: Draft,
        created: Timestamp,
        offset_us: Option<i64>,
    ) -> Result<Vec<Key>, SpoolError> {
        let mut drafts = vec![draft];
        let mut keys = Vec::new();
        while let Some(draft) = drafts.pop() {
            let batch = self.batch(draft, created, offset_us);
            let bytes = encode_batch(&batch).map_err(SpoolError::Encode)?;
            if bytes.len() > limits::MAX_BODY_BYTES && batch.measurements.len() > 1 {
                let draft = Draft { series: batch.series, measurements: batch.measurements };
                drafts.extend(draft.halves());
                continue;
            }
            self.next_sequence += 1;
            let key = self.write(&batch, &bytes)?;
            keys.push(key);
        }
        self.keep_within_bytes()?;
        Ok(keys)
    }

    /// The batch to push next: the newest interval as long as it is news, then the backlog, oldest first.
    pub fn next(&self) -> Option<Key> {
        let (newest, _) = self.waiting.last_key_value()?;
        if self.freshest_acknowledged.is_none_or(|freshest| newest.newest_end > freshest) {
            return Some(*newest);
        }
        self.waiting.first_key_value().map(|(oldest, _)| *oldest)
    }

    /// Reads a waiting batch. None if it was torn or corrupt: then it is set aside and counted.
    pub fn read(&mut self, key: Key) -> Result<Option<Waiting>, SpoolError> {
        let Some(file) = self.directory.read(key)? else {
            self.forget(key);
            self.give_up(|counts| counts.corrupt += 1)?;
            return Ok(None);
        };
        match Record::parse(&file) {
            Ok(record) if record.key() == key && record.number.agent == self.agent => Ok(Some(Waiting {
                key,
                number: record.number,
                digest: record.digest,
                bytes: record.bytes.to_vec(),
            })),
            Ok(_misnamed) => self.set_aside(key, RecordError::Misnamed).map(|()| None),
            Err(error) => self.set_aside(key, error).map(|()| None),
        }
    }

    /// The collector signed for the batch: it waits no longer, but is kept for a day.
    pub fn acknowledge(&mut self, key: Key, refused: u64, now: Timestamp) -> Result<(), SpoolError> {
        if self.waiting.last_key_value().is_some_and(|(newest, _)| *newest == key) {
            self.freshest_acknowledged = self.freshest_acknowledged.max(Some(key.newest_end));
        }
        if refused > 0 {
            self.give_up(|counts| counts.refused_measurements += refused)?;
        }
        resend::keep(&self.directory, key, now)?;
        self.forget(key);
        self.counts.acknowledged += 1;
        Ok(())
    }

    /// The collector's signed word is that the batch can never be stored: it is deleted and counted.
    pub fn reject(&mut self, key: Key) -> Result<(), SpoolError> {
        self.give_up(|counts| counts.rejected += 1)?;
        self.delete(key)
    }

    /// Replaces a batch by two smaller ones, each saying which part of it it is. False if it has one measurement.
    pub fn split(&mut self, waiting: &Waiting, created: Timestamp) -> Result<bool, SpoolError> {
        split::split(self, waiting, created)
    }

    /// The collector wants the batch in parts, but it cannot be divided: it waits no longer, is kept apart and counted.
    pub fn set_too_large_aside(&mut self, key: Key) -> Result<(), SpoolError> {
        self.give_up(|counts| counts.too_large += 1)?;
        self.directory.set_aside(key, directory::Apart::TooLarge)?;
        self.forget(key);
        Ok(())
    }

    /// Drops what is older than the bound at `now`, oldest first, and counts it.
    pub fn expire(&mut self, now: Timestamp) -> Result<(), SpoolError> {
        let horizon = now.minus(self.settings.max_age);
        let old = self.waiting.keys().copied().take_while(|key| key.newest_end < horizon).collect();
        self.drop_oldest(old)
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
        self.counts
    }

    /// The keys of what waits, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.waiting.keys().copied()
    }

    fn batch(&self, draft: Draft, created: Timestamp, offset_us: Option<i64>) -> Batch {
        Batch {
            number: BatchNumber {
                agent: self.agent,
                session: self.session.unwrap_or(SessionId::new([0; 16])),
                sequence: self.next_sequence,
            },
            created,
            clock_offset_us: offset_us,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            part: None,
            health: Health {
                spooled_batches: self.counts.batches,
                spooled_bytes: self.counts.bytes,
                dropped_batches: self.counts.dropped,
                corrupt_batches: self.counts.corrupt,
                refused_measurements: self.counts.refused_measurements,
                rejected_batches: self.counts.rejected,
            },
            series: draft.series,
            measurements: draft.measurements,
        }
    }

    fn write(&mut self, batch: &Batch, bytes: &[u8]) -> Result<Key, SpoolError> {
        let record = Record::new(batch, bytes);
        let key = record.key();
        let length = self.directory.write(&file_name(key), &record)?;
        self.remember(key, length);
        Ok(key)
    }

    fn keep_within_bytes(&mut self) -> Result<(), SpoolError> {
        let mut excess = self.counts.bytes.saturating_sub(self.settings.max_bytes);
        let mut old = Vec::new();
        for (&key, &bytes) in &self.waiting {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(bytes);
            old.push(key);
        }
        self.drop_oldest(old)
    }

    fn drop_oldest(&mut self, old: Vec<Key>) -> Result<(), SpoolError> {
        if !old.is_empty() {
            self.give_up(|counts| counts.dropped += old.len() as u64)?;
        }
        old.into_iter().try_for_each(|key| self.delete(key))
    }

    /// Counts durably what is about to be given up: a crash in between counts too much, never too little.
    fn give_up(&mut self, count: impl FnOnce(&mut Counts)) -> Result<(), SpoolError> {
        count(&mut self.counts);
        given_up::write(&self.directory, &self.counts)
    }

    fn delete(&mut self, key: Key) -> Result<(), SpoolError> {
        self.directory.remove(key)?;
        self.forget(key);
        Ok(())
    }

    fn set_aside(&mut self, key: Key, why: RecordError) -> Result<(), SpoolError> {
        let file = self.directory.batch(key);
        tracing::warn!(file = %file.display(), error = %why, "a spooled batch is damaged and was set aside");
        self.give_up(|counts| counts.corrupt += 1)?;
        self.directory.set_aside(key, directory::Apart::Corrupt)?;
        self.forget(key);
        Ok(())
    }

    /// Takes in what is in the directory and was not known yet.
    fn scan(&mut self) -> Result<(), SpoolError> {
        for (key, bytes) in self.directory.batches()? {
            if !self.waiting.contains_key(&key) {
                self.remember(key, bytes);
            }
        }
        self.keep_within_bytes()
    }

    fn remember(&mut self, key: Key, bytes: u64) {
        self.waiting.insert(key, bytes);
        self.counts.batches += 1;
        self.counts.bytes += bytes;
    }

    fn forget(&mut self, key: Key) {
        if let Some(bytes) = self.waiting.remove(&key) {
            self.counts.batches -= 1;
            self.counts.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests;
