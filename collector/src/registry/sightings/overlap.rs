//! Whether two sessions of one key measured at once, which one machine cannot: an agent begins a session after it ended the
//! last. Pure.
//!
//! Only batches that arrive as they are made are evidence: the collector's own clock vouches for them. What waited in a
//! spool, or was numbered by a clock that has been set since, says nothing about who is running.

use super::BatchSighting;
use peerlight_proto::time::Timestamp;
use std::time::Duration;

/// How far a batch's own account of when it was made may be from its arrival.
const VOUCHED: Duration = Duration::from_secs(5);
/// How long after the end of its newest interval a batch is made at the latest: probes' deadlines are shorter.
const CLOSING: Duration = Duration::from_mins(1);

/// The span of time that a session measured, on the collector's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// What a batch that arrived at `at` measured, if it was made just then and its agent knows its clock.
pub(super) fn live(batch: &BatchSighting, at: Timestamp) -> Option<Measured> {
    let offset = batch.clock_offset_us?;
    let (first, last) = batch.span?;
    let correct = |instant: Timestamp| Timestamp::from_micros(instant.as_micros().saturating_add(offset));
    let (created, last) = (correct(batch.created), correct(last));
    let arrived_at_once = at.minus(VOUCHED) <= created && created <= at.plus(VOUCHED);
    let closed_at_once = last <= created && created <= last.plus(CLOSING);
    (arrived_at_once && closed_at_once).then(|| Measured { first: correct(first), last })
}

impl Measured {
    pub(super) fn widened(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// Whether both were measuring at once. A session's first interval begins before the session does, so one `interval` of
    /// the later one may be shared; the rest is what two clocks may be off by.
    pub(super) fn overlaps(self, other: Self, interval: Duration) -> bool {
        let slack = VOUCHED.saturating_mul(2).max(interval / 2);
        self.last.min(other.last).since(self.first.max(other.first)) > interval.saturating_add(slack)
    }
}

#[cfg(test)]
mod tests;
