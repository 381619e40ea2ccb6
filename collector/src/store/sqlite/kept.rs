//! What is kept of each resolution, and in which seconds the file counts time.

use peerlight_proto::time::{Interval, IntervalLength, Timestamp};

/// Where `kept_from` tells of the ledger.
pub(super) const KEPT_LEDGER: i64 = -1;
/// Where `kept_from` tells of batches.
pub(super) const KEPT_BATCHES: i64 = 0;
/// Where `kept_from` tells of quarter hours.
pub(super) const KEPT_QUARTERS: i64 = IntervalLength::QUARTER_HOUR.as_secs() as i64;
/// Where `kept_from` tells of days.
pub(super) const KEPT_DAYS: i64 = IntervalLength::DAY.as_secs() as i64;

/// The first second of the UTC day of a second.
pub(super) const fn day_of(second: i64) -> i64 {
    Interval::containing(Timestamp::from_secs(second), IntervalLength::DAY).start().as_secs()
}

/// The first whole second at or after an instant.
pub(super) fn ceil_secs(instant: Timestamp) -> i64 {
    Timestamp::from_micros(instant.as_micros().saturating_add(999_999)).as_secs()
}
