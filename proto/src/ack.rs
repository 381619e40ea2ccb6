//! Acknowledgements: the collector's word that a batch is on its disk and counted once.

use crate::{
    drops::Signed,
    id::{BatchDigest, BatchNumber},
    time::Timestamp,
};
use std::fmt;

/// The collector's word. Only one that echoes number and digest counts (rules, §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    /// The batch's number.
    pub number: BatchNumber,
    /// The digest of the bytes that were stored.
    pub digest: BatchDigest,
    /// The collector's clock when it answered.
    pub collector_time: Timestamp,
    /// The batch had been there already.
    pub duplicate: bool,
    /// The measurements that were not admitted.
    pub refused: Vec<Refusal>,
    /// What of the agent's account of what it dropped is on the collector's disk; none where the batch carried nothing of
    /// it, or the collector is older than that.
    pub dropped: Option<Signed>,
}

/// A measurement that was not admitted; the rest of its batch was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its place in the batch.
    pub index: u32,
    /// Why.
    pub code: RefusalCode,
}

/// Why a measurement was not admitted. Names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// Its series is not in the dictionary, or the series' texts, numbers or target are malformed.
    Series,
    /// Its metric is not one that this collector knows.
    UnknownMetric,
    /// Its family, path, clock, HTTP version or handshake is not one that this collector knows.
    UnknownWord,
    /// Its interval is not aligned.
    Interval,
    /// Its counters do not add up, or contradict the histogram.
    Counters,
    /// Its histogram is malformed.
    Histogram,
    /// Its attributes or observed address are malformed.
    Attributes,
    /// Its interval ends too far ahead of the collector's clock.
    Future,
    /// Its interval is older than the collector keeps numbers for.
    TooOld,
    /// Another measurement of the batch has the same series and interval.
    Repeated,
    /// Its uplink is not the agent's registration.
    Uplink,
    /// Its series, or the network that it was measured from, is one more than the collector takes of one agent in a day.
    TooManySeries,
    /// A code of a newer collector.
    Unknown,
}

impl RefusalCode {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::Series,
        Self::UnknownMetric,
        Self::UnknownWord,
        Self::Interval,
        Self::Counters,
        Self::Histogram,
        Self::Attributes,
        Self::Future,
        Self::TooOld,
        Self::Repeated,
        Self::Uplink,
        Self::TooManySeries,
        Self::Unknown,
    ];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::UnknownMetric => "unknown_metric",
            Self::UnknownWord => "unknown_word",
            Self::Interval => "interval",
            Self::Counters => "counters",
            Self::Histogram => "histogram",
            Self::Attributes => "attributes",
            Self::Future => "future",
            Self::TooOld => "too_old",
            Self::Repeated => "repeated",
            Self::Uplink => "uplink",
            Self::TooManySeries => "too_many_series",
            Self::Unknown => "unknown",
        }
    }

    /// The code of this name; names of a newer collector are [`RefusalCode::Unknown`].
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|code| code.as_str() == name).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
