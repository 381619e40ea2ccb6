//! Writing: measurements become batches on disk, numbered, each as large as the wire allows.

use super::{Draft, Key, Spool, SpoolError, account, key::file_name, record::Record};
use peerlight_proto::{
    batch::{Batch, Health},
    codec::encode_batch,
    drops::DropReason,
    id::{BatchNumber, SessionId},
    limits,
    time::Timestamp,
};

impl Spool {
    /// Writes a batch. It is durable when this returns, and what was written never changes. What the disk does not take is
    /// lost, and counted.
    pub fn append(
        &mut self,
        draft: Draft,
        created: Timestamp,
        offset_us: Option<i64>,
    ) -> Result<Vec<Key>, SpoolError> {
        let mut drafts = vec![draft];
        let (mut keys, mut failure) = (Vec::new(), None);
        while let Some(draft) = drafts.pop() {
            let batch = self.batch(draft, created, offset_us);
            match encode_batch(&batch).map_err(SpoolError::Encode) {
                Ok(bytes) if bytes.len() > limits::MAX_BODY_BYTES && batch.measurements.len() > 1 => {
                    drafts.extend(Draft::of(batch).halves());
                }
                Ok(bytes) => {
                    self.next_sequence += 1;
                    match self.write(&batch, &bytes) {
                        Ok(key) => keys.push(key),
                        Err(error) => failure = Some(self.lose(&Draft::of(batch), error)),
                    }
                }
                Err(error) => failure = Some(self.lose(&Draft::of(batch), error)),
            }
        }
        if let Some(error) = failure {
            return Err(error);
        }
        if !self.unwritten.is_empty() {
            self.give_up(|_counts| Vec::new(), Vec::new())?;
        }
        self.keep_within_bytes()?;
        Ok(keys)
    }

    /// Counts what could not be written, in memory for now: its disk just failed.
    fn lose(&mut self, draft: &Draft, error: SpoolError) -> SpoolError {
        self.unwritten.extend(account::content(draft, DropReason::Unwritable));
        error
    }

    /// The next batch, which holds `draft`.
    pub(super) fn batch(&self, draft: Draft, created: Timestamp, offset_us: Option<i64>) -> Batch {
        let counts = self.counts();
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
                spooled_batches: counts.batches,
                spooled_bytes: counts.bytes,
                dropped_batches: counts.dropped,
                corrupt_batches: counts.corrupt,
                refused_measurements: counts.refused_measurements,
                rejected_batches: counts.rejected,
                dropped: self.given_up.account.part(),
                remarks: self.remarks.clone(),
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
}
