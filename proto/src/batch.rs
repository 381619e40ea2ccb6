//! Batches: measurements sent together, immutable from their first byte on disk.

use crate::{
    assignment::AssignmentState,
    drops::Account,
    id::{BatchDigest, BatchNumber, SessionId},
    measurement::Measurement,
    series::Series,
    time::Timestamp,
};

/// Measurements sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub number: BatchNumber,
    /// The agent's wall clock when it was made.
    pub created: Timestamp,
    /// Collector time minus agent time in microseconds, as the last acknowledgement showed it.
    pub clock_offset_us: Option<i64>,
    /// The agent's version.
    pub agent_version: String,
    /// Which part of which larger batch it is, if the collector asked for a split.
    pub part: Option<Part>,
    /// What the agent had to give up so far.
    pub health: Health,
    /// The dictionary that measurements point into.
    pub series: Vec<Series>,
    /// The measurements.
    pub measurements: Vec<Measurement>,
}

impl Batch {
    /// The latest end of its intervals.
    pub fn newest_end(&self) -> Option<Timestamp> {
        self.measurements.iter().map(|measurement| measurement.interval.end()).max()
    }

    /// The earliest start of its intervals.
    pub fn oldest_start(&self) -> Option<Timestamp> {
        self.measurements.iter().map(|measurement| measurement.interval.start()).min()
    }
}

/// Which part of a larger batch this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The parent's session.
    pub session: SessionId,
    /// The parent's sequence.
    pub sequence: u64,
    /// The parent's digest.
    pub digest: BatchDigest,
    /// Which part, from 0.
    pub index: u32,
    /// Of how many.
    pub count: u32,
}

/// What waits in the agent's spool, and what it had to give up since its spool was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Batches waiting now.
    pub spooled_batches: u64,
    /// Their bytes.
    pub spooled_bytes: u64,
    /// Batches dropped, oldest first, because the spool's bound was reached.
    pub dropped_batches: u64,
    /// Batches set aside because their file was torn or corrupt.
    pub corrupt_batches: u64,
    /// Measurements refused by the collector.
    pub refused_measurements: u64,
    /// Batches rejected whole by the collector.
    pub rejected_batches: u64,
    /// What was dropped, when and why, as far as the collector has not signed for it.
    pub dropped: Option<Account>,
    /// How the agent was when it made the batch.
    pub remarks: Remarks,
}

/// How an agent is, for its operator.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remarks {
    /// How late its probes left in the interval that was closed last: the 99th percentile, in microseconds. None where
    /// none left.
    pub noise_p99_us: Option<u64>,
    /// What became of what it was assigned. None: it does not say.
    pub assignment: Option<AssignmentState>,
    /// What is wrong on its machine, each in one line; at most [`crate::limits::MAX_PROBLEMS`].
    pub problems: Vec<String>,
}
