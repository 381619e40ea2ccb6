//! Blocks: how measurements are stored. A block holds cells, each of a row and an interval; rows are told apart by their
//! [`Key`]. There are two kinds.
//!
//! What stays is a block of columns: rows in order, each with its cells. What is alike stands together in a stream of its own,
//! each compressed by itself, and what is usual costs a byte or nothing. The common cell, all of whose few probes were
//! answered, is one byte that says how its samples fall into buckets, one for its first bucket and one for the step to each
//! further one; the exact minimum and maximum are bits within the first and the last bucket, the exact sum is what is left of
//! the guess that the buckets allow.
//!
//! What is soon written again, in the log, is a block of [`records`]; those of many blocks are [`gathered`] to be read.

mod cells;
mod deal;
mod gathered;
mod read;
mod records;
#[cfg(feature = "fuzzing")]
mod reread;
mod stream;
mod sum;
mod write;

pub(super) use cells::{Cells, Starting, View};
pub(super) use gathered::Gathered;
pub(super) use read::{Sink, check, read};
pub(super) use records::{Records, spans};
#[cfg(feature = "fuzzing")]
pub(super) use reread::reread;
pub(super) use write::write;

use crate::store::ClockOffsets;
use peerlight_proto::{
    histogram::{BUCKETS, MAX_BUCKET, highest_of, lowest_of},
    measurement::Counters,
};

/// The first byte of a block of columns.
const VERSION: u8 = 1;

/// What a row is about, by the numbers of the store's dictionaries. Rows stand in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) origin: u32,
    pub(super) agent: u32,
    pub(super) shape: u32,
}

/// The start of the first interval and the end of the last one, in seconds.
pub(super) type Span = (i64, i64);

/// What was measured of a row in an interval, or in all intervals of a rollup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a> {
    /// The start of the interval, in seconds.
    pub(super) start: i64,
    /// The end of the interval; the start where nobody will ask.
    pub(super) end: i64,
    pub(super) counters: &'a Counters,
    /// Ascending bucket ids with their counts, none of them zero.
    pub(super) buckets: &'a [(u16, u64)],
    pub(super) sum_us: u64,
    pub(super) min_us: u64,
    pub(super) max_us: u64,
    pub(super) overflow: u64,
    /// Counts by the places of the block's texts.
    pub(super) attributes: &'a [(u32, u64)],
    pub(super) clock_offsets: Option<ClockOffsets>,
}

/// A block and what it holds.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    /// How many cells.
    pub(super) cells: i64,
    /// How many turns of schedules they account for.
    pub(super) probes: i64,
}

/// The streams of a block of columns, in their order.
#[derive(Debug, Clone, Copy)]
enum Column {
    /// Texts, then the rows: keys, how many cells, what is usual in them.
    Rows,
    /// The starts of cells that do not follow one another regularly.
    Starts,
    /// How the samples of each cell fall into buckets, or that it is not usual.
    Heads,
    /// The counters of cells that are not usual.
    Counters,
    /// The counts of the buckets of cells that are not usual.
    Counts,
    /// The step from the first bucket of a row's cell to that of its next.
    Firsts,
    /// The steps to further buckets.
    Gaps,
    /// The exact minimum and maximum.
    Bits,
    /// The exact sum.
    Sums,
    /// Attributes, overflow and offsets of clocks.
    Beside,
}

impl Column {
    const COUNT: usize = 10;
}

/// What a row says of its cells.
mod row {
    /// Usual is what was usual in the row before.
    pub(super) const SAME_USUAL: u8 = 1;
    /// Its cells follow one another at one distance.
    pub(super) const REGULAR: u8 = 2;
    pub(super) const ATTRIBUTES: u8 = 4;
    pub(super) const OFFSETS: u8 = 8;
    pub(super) const OVERFLOW: u8 = 16;
}

/// What the head of a cell says, unless it says how the samples of a usual cell fall into buckets (below [`EXPLICIT`]).
mod head {
    /// The counts of its buckets are written out.
    pub(super) const EXPLICIT: u8 = 0x80;
    /// So are its counters.
    pub(super) const COUNTERS: u8 = 0x81;
}

/// The most samples whose fall into buckets fits a head.
const MOST_IN_HEAD: u64 = 8;
/// In `Firsts`: a bucket id follows.
const FAR: u8 = 0x80;
/// In `Gaps`: a bucket id follows.
const WIDE: u8 = 0xff;

/// Of a cell's offsets: none, those of the row before at the same start, or written out.
mod offsets {
    pub(super) const NONE: u8 = 0;
    pub(super) const ABOVE: u8 = 1;
    pub(super) const EXPLICIT: u8 = 2;
}

/// How many bits tell the values of a bucket apart.
const fn bits_of(bucket: u16) -> u32 {
    if bucket < 256 { 0 } else { (bucket as u32 >> 7) - 1 }
}

/// The offsets of clocks in the row before, for the cells that start at the same instants: one batch bears one offset.
#[derive(Debug, Default)]
struct Above {
    before: Vec<(i64, Option<ClockOffsets>)>,
    here: Vec<(i64, Option<ClockOffsets>)>,
    at: usize,
}

impl Above {
    /// What stood above a cell that starts then. Starts ascend within a row.
    #[inline]
    fn find(&mut self, start: i64) -> Option<(i64, Option<ClockOffsets>)> {
        while let Some(&above) = self.before.get(self.at) {
            if above.0 >= start {
                return Some(above).filter(|above| above.0 == start);
            }
            self.at += 1;
        }
        None
    }

    fn push(&mut self, start: i64, offsets: Option<ClockOffsets>) {
        self.here.push((start, offsets));
    }

    fn end_row(&mut self) {
        std::mem::swap(&mut self.before, &mut self.here);
        self.here.clear();
        self.at = 0;
    }
}

/// Twice the middle of each bucket.
static MIDDLES: [u32; BUCKETS] = {
    let mut middles = [0; BUCKETS];
    let mut bucket: u16 = 0;
    while bucket <= MAX_BUCKET {
        #[expect(clippy::cast_possible_truncation, reason = "two minutes in microseconds at most")]
        let middle = (lowest_of(bucket) + highest_of(bucket)) as u32;
        middles[bucket as usize] = middle;
        bucket += 1;
    }
    middles
};

/// What the sum of a cell would be if every sample but the smallest and the largest lay in the middle of its bucket. Wraps
/// round for sums that no fleet reaches; writing and reading do so alike.
#[inline]
fn guess_sum(buckets: &[(u16, u64)], min_us: u64, max_us: u64) -> u64 {
    let middle = |bucket: u16| u64::from(MIDDLES[usize::from(bucket)]);
    let mut doubled: u64 = 0;
    for &(bucket, count) in buckets {
        doubled = doubled.wrapping_add(middle(bucket).wrapping_mul(count));
    }
    if let (Some(&(first, _)), Some(&(last, _))) = (buckets.first(), buckets.last()) {
        doubled = doubled.wrapping_sub(middle(first)).wrapping_sub(middle(last));
    }
    min_us.wrapping_add(max_us).wrapping_add(doubled >> 1)
}

/// The counters in the order in which they are stored.
fn fields(counters: &mut Counters) -> [&mut u64; 12] {
    let Counters {
        scheduled,
        skipped,
        voided,
        dns_failed,
        send_failed,
        answered,
        retransmitted,
        late,
        lost,
        refused,
        duplicate,
        foreign,
    } = counters;
    [
        scheduled,
        skipped,
        voided,
        dns_failed,
        send_failed,
        answered,
        retransmitted,
        late,
        lost,
        refused,
        duplicate,
        foreign,
    ]
}

#[cfg(test)]
mod tests;
