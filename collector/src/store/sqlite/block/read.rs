//! Reading a block, without a step for each cell that allocates.

use super::{
    Above, Cell, Column, FAR, Key, MOST_IN_HEAD, VERSION, WIDE, bits_of, fields, guess_sum, head, offsets,
    records, row,
    stream::{BitReader, Fault, MAX_BLOCK_BYTES, Stream, take},
};
use crate::store::{ClockOffsets, StoreError};
use peerlight_proto::{
    histogram::{MAX_BUCKET, lowest_of},
    measurement::Counters,
};
use std::borrow::Cow;

/// Takes what a block holds.
pub(in super::super) trait Sink {
    /// A block begins whose attributes are counted by places of these kinds and values.
    fn begin(&mut self, texts: &[(&str, &str)]) -> Result<(), StoreError>;

    /// A row begins. Its cells follow if this says that they are wanted.
    fn row(&mut self, key: Key) -> Result<bool, StoreError>;

    /// The next cell of the row.
    fn cell(&mut self, cell: &Cell<'_>);
}

/// Hands over all that a block holds. Every place of an attribute that it hands over is that of a text, every bucket
/// within the range and after the one before it, and no count is zero.
pub(in super::super) fn read(block: &[u8], sink: &mut impl Sink) -> Result<(), StoreError> {
    let mut rest = Stream::new(block);
    match rest.byte()? {
        VERSION => read_columns(rest, sink),
        records::VERSION => records::read(rest, sink),
        _ => Err(Fault::Version.into()),
    }
}

/// Reads all that a block holds and keeps nothing of it. Returns how many cells that are.
pub(in super::super) fn check(block: &[u8]) -> Result<usize, StoreError> {
    let mut count = Count(0);
    read(block, &mut count)?;
    Ok(count.0)
}

/// Counts cells.
struct Count(usize);

impl Sink for Count {
    fn begin(&mut self, _texts: &[(&str, &str)]) -> Result<(), StoreError> {
        Ok(())
    }

    fn row(&mut self, _key: Key) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn cell(&mut self, _cell: &Cell<'_>) {
        self.0 += 1;
    }
}

fn read_columns(mut rest: Stream<'_>, sink: &mut impl Sink) -> Result<(), StoreError> {
    let mut streams: [Cow<'_, [u8]>; Column::COUNT] = Default::default();
    let mut room = MAX_BLOCK_BYTES;
    for stream in &mut streams {
        *stream = take(&mut rest, &mut room)?;
    }
    if rest.left() > 0 {
        return Err(Fault::Follows.into());
    }
    let stream = |column: Column| Stream::new(&streams[column as usize]);
    let mut rows = stream(Column::Rows);
    let texts = read_texts(&mut rows)?;
    sink.begin(&texts)?;
    let base = rows.signed()?;
    let mut reader = Reader {
        starts: stream(Column::Starts),
        heads: stream(Column::Heads),
        counters: stream(Column::Counters),
        counts: stream(Column::Counts),
        firsts: stream(Column::Firsts),
        gaps: stream(Column::Gaps),
        bits: BitReader::new(&streams[Column::Bits as usize]),
        sums: stream(Column::Sums),
        beside: stream(Column::Beside),
        texts: texts.len() as u64,
        usual: Counters::default(),
        usual_total: 0,
        buckets: Vec::new(),
        attributes: Vec::new(),
        above: Above::default(),
    };
    let count = rows.number()?;
    let mut key = Key { origin: 0, agent: 0, shape: 0 };
    for _row in 0..count {
        key = Key {
            origin: moved(key.origin, rows.signed()?)?,
            agent: moved(key.agent, rows.signed()?)?,
            shape: moved(key.shape, rows.signed()?)?,
        };
        reader.row(key, base, &mut rows, sink)?;
    }
    Ok(())
}

pub(super) fn read_texts<'a>(rows: &mut Stream<'a>) -> Result<Vec<(&'a str, &'a str)>, Fault> {
    let count = rows.number()?;
    // Each takes a byte for its length at least.
    let mut texts = Vec::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(rows.left()));
    for _text in 0..count {
        texts.push((rows.text()?, rows.text()?));
    }
    Ok(texts)
}

#[inline]
pub(super) fn moved(number: u32, step: i64) -> Result<u32, Fault> {
    let moved = i64::from(number).checked_add(step).and_then(|number| u32::try_from(number).ok());
    moved.ok_or(Fault::Dictionary)
}

struct Reader<'a> {
    starts: Stream<'a>,
    heads: Stream<'a>,
    counters: Stream<'a>,
    counts: Stream<'a>,
    firsts: Stream<'a>,
    gaps: Stream<'a>,
    bits: BitReader<'a>,
    sums: Stream<'a>,
    beside: Stream<'a>,
    texts: u64,
    usual: Counters,
    usual_total: u64,
    buckets: Vec<(u16, u64)>,
    attributes: Vec<(u32, u64)>,
    above: Above,
}

impl Reader<'_> {
    fn row(
        &mut self,
        key: Key,
        base: i64,
        rows: &mut Stream<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), StoreError> {
        let flags = rows.byte()?;
        let cells = rows.number()?;
        let mut start = base.wrapping_add(rows.signed()?);
        let beyond = rows.signed()?;
        let distance = if flags & row::REGULAR == 0 { None } else { Some(rows.signed()?) };
        if flags & row::SAME_USUAL == 0 {
            self.usual = read_counters(rows)?;
            self.usual_total = rows.number()?;
        }
        let wanted = sink.row(key)?;
        self.attributes.clear();
        let mut first_bucket = 0;
        // Every cell takes a byte of `heads`: the loop ends with them, whatever the row says.
        for at in 0..cells {
            if at > 0 {
                start = start.wrapping_add(match distance {
                    Some(distance) => distance,
                    None => self.starts.signed()?,
                });
            }
            let counters = self.samples(&mut first_bucket)?;
            let (sum_us, min_us, max_us) = self.exact()?;
            let (overflow, clock_offsets) = self.beside(start, flags)?;
            if wanted {
                sink.cell(&Cell {
                    start,
                    end: if at + 1 == cells { start.wrapping_add(beyond) } else { start },
                    counters: counters.as_ref().unwrap_or(&self.usual),
                    buckets: &self.buckets,
                    sum_us,
                    min_us,
                    max_us,
                    overflow,
                    attributes: &self.attributes,
                    clock_offsets,
                });
            }
        }
        self.above.end_row();
        Ok(())
    }

    /// The buckets of the next cell, and its counters unless they are usual.
    #[inline]
    fn samples(&mut self, first_before: &mut u16) -> Result<Option<Counters>, Fault> {
        self.buckets.clear();
        let head = self.heads.byte()?;
        if head < head::EXPLICIT {
            if self.usual_total > MOST_IN_HEAD {
                return Err(Fault::Kind);
            }
            let mut left = self.usual_total;
            let mut falls = u32::from(head);
            if left == 0 {
                return Ok(None);
            }
            let mut bucket = self.first(first_before)?;
            loop {
                // Up to the next bit that is set the samples are of this bucket.
                let same = u64::from(falls.trailing_zeros()) + 1;
                if same >= left {
                    self.buckets.push((bucket, left));
                    return Ok(None);
                }
                self.buckets.push((bucket, same));
                left -= same;
                falls >>= same;
                bucket = self.next(bucket)?;
            }
        }
        let counters = match head {
            head::EXPLICIT => None,
            head::COUNTERS => Some(read_counters(&mut self.counters)?),
            _ => return Err(Fault::Kind),
        };
        let buckets = self.counts.number()?;
        for place in 0..buckets {
            let count = self.counts.number()?.checked_add(1).ok_or(Fault::Number)?;
            let bucket = match self.buckets.last() {
                Some(&(before, _)) if place > 0 => self.next(before)?,
                _ => self.first(first_before)?,
            };
            self.buckets.push((bucket, count));
        }
        Ok(counters)
    }

    #[inline]
    fn first(&mut self, before: &mut u16) -> Result<u16, Fault> {
        let bucket = match self.firsts.byte()? {
            FAR => i32::from(self.firsts.short()?),
            step => i32::from(*before) + i32::from(step.cast_signed()),
        };
        *before = within(bucket)?;
        Ok(*before)
    }

    #[inline]
    fn next(&mut self, before: u16) -> Result<u16, Fault> {
        let bucket = match self.gaps.byte()? {
            WIDE => i32::from(self.gaps.short()?),
            gap => i32::from(before) + i32::from(gap) + 1,
        };
        if bucket <= i32::from(before) {
            return Err(Fault::Bucket);
        }
        within(bucket)
    }

    /// The exact sum, minimum and maximum of the cell whose buckets were read.
    #[inline]
    fn exact(&mut self) -> Result<(u64, u64, u64), Fault> {
        let ([(first, count), ..], [.., (last, _)]) = (self.buckets.as_slice(), self.buckets.as_slice())
        else {
            return Ok((0, 0, 0));
        };
        let one = self.buckets.len() == 1;
        let min = lowest_of(*first) + self.bits.take(bits_of(*first))?;
        if one && *count == 1 {
            return Ok((min, min, min));
        }
        let max = lowest_of(*last) + self.bits.take(bits_of(*last))?;
        if max < min {
            return Err(Fault::Bucket);
        }
        if matches!(self.buckets.as_slice(), [(_, 2)] | [(_, 1), (_, 1)]) {
            return Ok((min + max, min, max));
        }
        let rest = self.sums.signed()?.cast_unsigned();
        Ok((guess_sum(&self.buckets, min, max).wrapping_add(rest), min, max))
    }

    /// Overflow and offsets; the attributes change in place.
    #[inline]
    fn beside(&mut self, start: i64, flags: u8) -> Result<(u64, Option<ClockOffsets>), Fault> {
        if flags & (row::ATTRIBUTES | row::OVERFLOW | row::OFFSETS) == 0 {
            return Ok((0, None));
        }
        if flags & row::ATTRIBUTES != 0 {
            let many = self.beside.number()?;
            if many > 0 {
                self.attributes.clear();
                for _attribute in 1..many {
                    let place = self.beside.number()?;
                    if place >= self.texts {
                        return Err(Fault::Attribute);
                    }
                    // Below the number of texts, each of which took bytes.
                    self.attributes.push((u32::try_from(place).unwrap_or(u32::MAX), self.beside.number()?));
                }
            }
        }
        let overflow = if flags & row::OVERFLOW == 0 { 0 } else { self.beside.number()? };
        if flags & row::OFFSETS == 0 {
            return Ok((overflow, None));
        }
        let offsets = match self.beside.byte()? {
            offsets::NONE => None,
            offsets::ABOVE => self.above.find(start).ok_or(Fault::Offset)?.1,
            offsets::EXPLICIT => {
                let min_us = self.beside.signed()?;
                Some(ClockOffsets { min_us, max_us: min_us.wrapping_add(self.beside.signed()?) })
            }
            _ => return Err(Fault::Offset),
        };
        self.above.push(start, offsets);
        Ok((overflow, offsets))
    }
}

#[inline]
pub(super) fn within(bucket: i32) -> Result<u16, Fault> {
    match u16::try_from(bucket) {
        Ok(bucket) if bucket <= MAX_BUCKET => Ok(bucket),
        _ => Err(Fault::Bucket),
    }
}

pub(super) fn read_counters(stream: &mut Stream<'_>) -> Result<Counters, Fault> {
    let set = stream.number()?;
    let mut counters = Counters::default();
    for (place, field) in fields(&mut counters).into_iter().enumerate() {
        if set >> place & 1 == 1 {
            *field = stream.number()?;
        }
    }
    if set >> 12 > 0 {
        return Err(Fault::Number);
    }
    Ok(counters)
}
