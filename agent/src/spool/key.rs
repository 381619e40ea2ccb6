//! Keys of waiting batches, and the names of their files.

use peerlight_proto::{id::SessionId, time::Timestamp};

/// Behind the name of every batch.
pub(super) const SUFFIX: &str = ".batch";

/// Which waiting batch; the order is that of age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The end of its newest interval.
    pub newest_end: Timestamp,
    /// Its session.
    pub session: SessionId,
    /// Its place in the session.
    pub sequence: u64,
}

/// Sorts by newest interval, then session, then sequence.
pub(super) fn file_name(key: Key) -> String {
    let end = key.newest_end.as_micros().max(0);
    format!("{end:020}-{}-{:016x}{SUFFIX}", key.session, key.sequence)
}

/// Reads back what [`file_name`] wrote, and nothing else.
pub(super) fn parse_file_name(name: &str) -> Option<Key> {
    let mut fields = name.strip_suffix(SUFFIX)?.split('-');
    let (end, session, sequence) = (fields.next()?, fields.next()?, fields.next()?);
    let key = Key {
        newest_end: Timestamp::from_micros(end.parse().ok()?),
        session: session.parse().ok()?,
        sequence: u64::from_str_radix(sequence, 16).ok()?,
    };
    (file_name(key) == name).then_some(key)
}
