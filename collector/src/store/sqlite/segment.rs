//! Segments: what stays of measurements and rollups, in rows of a block of columns each.

use super::block::{View, Written, write};
use crate::store::StoreError;
use peerlight_proto::metric::Metric;
use rusqlite::{Connection, params};

/// How many cells a block holds: some hundred kilobytes.
const CELLS: usize = 1 << 16;
/// How many buckets: some megabytes, where an agent fills its histograms to the brim. What a block can be is far above.
const BUCKETS: usize = 1 << 21;

/// What a segment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) organisation: i64,
    pub(super) stripe: u32,
    pub(super) resolution: i64,
    pub(super) metric: Metric,
    pub(super) start: i64,
}

/// A segment that is to be written.
#[derive(Debug)]
pub(super) struct Segment {
    place: Place,
    block: Written,
}

impl Segment {
    /// How many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.block.bytes.len()
    }

    /// Adds it to those of its place.
    pub(super) fn insert(&self, db: &Connection) -> rusqlite::Result<()> {
        let Place { organisation, stripe, resolution, metric, start } = self.place;
        db.prepare_cached(
            "INSERT INTO segment (organisation, resolution, metric, start, stripe, part, cells, probes, block)
             VALUES (?1, ?2, ?3, ?4, ?5,
                     (SELECT coalesce(max(part), 0) + 1 FROM segment WHERE organisation = ?1 AND resolution = ?2
                      AND metric = ?3 AND start = ?4 AND stripe = ?5), ?6, ?7, ?8)",
        )?
        .execute(params![
            organisation,
            resolution,
            metric.name(),
            start,
            stripe,
            self.block.cells,
            self.block.probes,
            self.block.bytes
        ])?;
        Ok(())
    }
}

/// The segments of cells that are in order and of one place: mostly one.
pub(super) fn segments(place: Place, cells: View<'_>) -> impl Iterator<Item = Result<Segment, StoreError>> {
    cells.pieces(CELLS, BUCKETS).into_iter().map(move |piece| Ok(Segment { place, block: write(piece)? }))
}

/// Whether there is a segment of a place.
pub(super) fn is_there(db: &Connection, place: Place) -> rusqlite::Result<bool> {
    let Place { organisation, stripe, resolution, metric, start } = place;
    db.prepare_cached(
        "SELECT 1 FROM segment
         WHERE organisation = ?1 AND resolution = ?2 AND metric = ?3 AND start = ?4 AND stripe = ?5 LIMIT 1",
    )?
    .exists(params![organisation, resolution, metric.name(), start, stripe])
}

/// Hands over the segments of one resolution, metric and stripe that start in the seconds `from..to`.
pub(super) fn each_of_unit(
    db: &Connection,
    (organisation, stripe): (i64, u32),
    (resolution, from, to): (i64, i64, i64),
    metric: Metric,
    mut each: impl FnMut(i64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let database = StoreError::while_doing("read segments");
    let mut statement = db
        .prepare_cached(
            "SELECT id, block FROM segment
             WHERE organisation = ?1 AND resolution = ?2 AND metric = ?3 AND start >= ?4 AND start < ?5 AND stripe = ?6",
        )
        .map_err(&database)?;
    let mut rows = statement
        .query(params![organisation, resolution, metric.name(), from, to, stripe])
        .map_err(&database)?;
    while let Some(row) = rows.next().map_err(&database)? {
        let block = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(&database)?;
        each(row.get(0).map_err(&database)?, block)?;
    }
    Ok(())
}
