//! What is kept of each resolution, and in which seconds the file counts time.

use peerlight_proto::time::{IntervalLength, Timestamp};
use rusqlite::{Connection, OptionalExtension as _};

/// Where `kept_from` tells of the ledger.
pub(super) const KEPT_LEDGER: i64 = -1;
/// Where `kept_from` tells of what was measured; the resolution of its segments.
pub(super) const KEPT_MEASURED: i64 = 0;
/// Where `kept_from` tells of quarter hours; the resolution of their segments.
pub(super) const KEPT_QUARTERS: i64 = IntervalLength::QUARTER_HOUR.as_secs() as i64;
/// Where `kept_from` tells of days; the resolution of their segments.
pub(super) const KEPT_DAYS: i64 = IntervalLength::DAY.as_secs() as i64;

/// An hour in seconds.
pub(super) const HOUR: i64 = 3_600;
/// Where `stale` tells of hours whose quarter hours stand in several segments, and are to stand in one.
pub(super) const SCATTERED: i64 = HOUR;

/// The first second of the UTC day of a second.
pub(super) const fn day_of(second: i64) -> i64 {
    second - second.rem_euclid(KEPT_DAYS)
}

/// The first second of the hour of a second: what a segment of quarter hours covers at most.
pub(super) const fn hour_of(second: i64) -> i64 {
    second - second.rem_euclid(HOUR)
}

/// The first second of the quarter hour of a second: what a segment of measurements covers, so that the edge of a question
/// costs no more than that.
pub(super) const fn quarter_of(second: i64) -> i64 {
    second - second.rem_euclid(KEPT_QUARTERS)
}

/// The first second at which a segment of this resolution can start that holds a second.
pub(super) const fn span_of(resolution: i64, second: i64) -> i64 {
    match resolution {
        KEPT_DAYS => day_of(second),
        KEPT_QUARTERS => hour_of(second),
        _ => quarter_of(second),
    }
}

/// The first whole second at or after an instant.
pub(super) fn ceil_secs(instant: Timestamp) -> i64 {
    Timestamp::from_micros(instant.as_micros().saturating_add(999_999)).as_secs()
}

/// The first second that is kept in full of days, quarter hours and what was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) days: i64,
    pub(super) quarters: i64,
    pub(super) measured: i64,
}

impl Kept {
    /// As the tables have it.
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let mut statement = db.prepare_cached("SELECT start FROM kept_from WHERE resolution = ?1")?;
        let mut from = |resolution: i64| {
            let start = statement.query_row([resolution], |row| row.get(0)).optional();
            start.map(|start| start.unwrap_or(i64::MIN))
        };
        let (days, quarters) = (from(KEPT_DAYS)?, from(KEPT_QUARTERS)?);
        Ok(Self { days, quarters, measured: from(KEPT_MEASURED)?.max(quarters) })
    }
}
