//! Records: how measurements stand in the log, where they are soon written as columns. Each cell is a record of its own that
//! leans on no other. Those of a metric stand together, so that a reader steps over the others at once.

use super::{
    Cell, Key, Sink, Span, Written, bits_of,
    cells::{index, place_of},
    guess_sum,
    read::{moved, read_counters, read_texts, within},
    stream::{Fault, Stream, put, put_signed},
    write::write_counters,
};
use crate::store::{ClockOffsets, StoreError};
use indexmap::IndexSet;
use peerlight_proto::{histogram::lowest_of, measurement::Counters, metric::Metric};

/// The first byte of a block of records.
pub(super) const VERSION: u8 = 2;

/// What a record says of itself.
mod flag {
    /// It is of the row of the record before.
    pub(super) const SAME_ROW: u8 = 1;
    /// Its counters are written out: not all of its probes were answered or lost.
    pub(super) const COUNTERS: u8 = 2;
    /// So is its length: it is not a minute.
    pub(super) const LENGTH: u8 = 4;
    pub(super) const OVERFLOW: u8 = 8;
    pub(super) const OFFSETS: u8 = 16;
    pub(super) const ATTRIBUTES: u8 = 32;
}

const MINUTE: i64 = 60;
/// About what a record of a minute takes, in bytes.
const USUAL: usize = 40;

/// Records as they come. Their rows may be named by any numbers: those that are written are told last.
#[derive(Debug, Default)]
pub(in super::super) struct Records {
    /// Kinds and values of attributes, each once.
    texts: IndexSet<(String, String)>,
    all: Vec<Unnumbered>,
    /// What they hold.
    bodies: Vec<u8>,
    /// The first start, from which all are told.
    base: Option<i64>,
    probes: i64,
}

/// A record but for the numbers of its row.
#[derive(Debug, Clone, Copy)]
struct Unnumbered {
    metric: Metric,
    flags: u8,
    key: Key,
    /// From the first start on, in seconds.
    offset: i64,
    /// Where what it holds lies.
    body: (u32, u32),
}

impl Records {
    /// Room for about so many usual ones.
    pub(in super::super) fn of_about(records: usize) -> Self {
        Self {
            all: Vec::with_capacity(records),
            bodies: Vec::with_capacity(records * USUAL),
            ..Self::default()
        }
    }

    /// The place of an attribute's kind and value.
    pub(in super::super) fn text(&mut self, kind: &str, value: &str) -> u32 {
        place_of(&mut self.texts, kind, value)
    }

    /// Adds a cell of a metric whose attributes are counted by places here.
    pub(in super::super) fn push(&mut self, metric: Metric, key: Key, cell: &Cell<'_>) {
        let begin = self.bodies.len();
        let flags = write_body(&mut self.bodies, cell);
        let body = (index(begin), index(self.bodies.len()));
        let offset = cell.start.wrapping_sub(*self.base.get_or_insert(cell.start));
        self.all.push(Unnumbered { metric, flags, key, offset, body });
        let scheduled = i64::try_from(cell.counters.scheduled).unwrap_or(i64::MAX);
        self.probes = self.probes.saturating_add(scheduled);
    }

    /// Puts those of a metric together.
    pub(in super::super) fn group(&mut self) {
        self.all.sort_by_key(|record| record.metric);
    }

    /// The block of what was added, each row by the numbers that `number` gives it.
    pub(in super::super) fn block(
        &self,
        mut number: impl FnMut(Key) -> Result<Key, StoreError>,
    ) -> Result<Written, StoreError> {
        let mut block = Vec::with_capacity(self.bodies.len() + self.all.len() * USUAL);
        block.push(VERSION);
        put(&mut block, self.texts.len() as u64);
        for text in self.texts.iter().flat_map(|(kind, value)| [kind, value]) {
            put(&mut block, text.len() as u64);
            block.extend_from_slice(text.as_bytes());
        }
        put_signed(&mut block, self.base.unwrap_or(0));
        let mut group = Group::default();
        for records in self.all.chunk_by(|one, next| one.metric == next.metric) {
            for record in records {
                let (begin, end) = record.body;
                group.append(record, &self.bodies[begin as usize..end as usize], &mut number)?;
            }
            put(&mut block, records[0].metric.number().into());
            put(&mut block, group.bytes.len() as u64);
            block.append(&mut group.bytes);
            group.before = None;
        }
        let cells = i64::try_from(self.all.len()).unwrap_or(i64::MAX);
        Ok(Written { bytes: block, cells, probes: self.probes })
    }
}

/// A group while its rows are given numbers.
#[derive(Debug, Default)]
struct Group {
    bytes: Vec<u8>,
    /// The row of the record before, as it was named and by its numbers.
    before: Option<(Key, Key)>,
}

impl Group {
    fn append(
        &mut self,
        record: &Unnumbered,
        body: &[u8],
        number: &mut impl FnMut(Key) -> Result<Key, StoreError>,
    ) -> Result<(), StoreError> {
        let bytes = &mut self.bytes;
        if self.before.is_some_and(|(named, _)| named == record.key) {
            bytes.push(record.flags | flag::SAME_ROW);
        } else {
            let key = number(record.key)?;
            let before = self.before.map_or(Key { origin: 0, agent: 0, shape: 0 }, |(_, key)| key);
            self.before = Some((record.key, key));
            bytes.push(record.flags);
            put_signed(bytes, i64::from(key.origin) - i64::from(before.origin));
            put_signed(bytes, i64::from(key.agent) - i64::from(before.agent));
            put_signed(bytes, i64::from(key.shape) - i64::from(before.shape));
        }
        put_signed(bytes, record.offset);
        put(bytes, body.len() as u64);
        bytes.extend_from_slice(body);
        Ok(())
    }
}

/// What a cell holds but for its row and start; returns its flags. Attributes come last: they alone lean on the block.
fn write_body(body: &mut Vec<u8>, cell: &Cell<'_>) -> u8 {
    let mut flags = 0;
    put(body, cell.counters.scheduled);
    let length = cell.end.wrapping_sub(cell.start);
    if length != MINUTE {
        flags |= flag::LENGTH;
        put_signed(body, length);
    }
    put(body, cell.buckets.len() as u64);
    let (mut total, mut beyond) = (0_u64, 0);
    for &(bucket, count) in cell.buckets {
        total = total.saturating_add(count);
        put(body, u64::from(bucket - beyond) << 1 | u64::from(count > 1));
        if count > 1 {
            put(body, count - 2);
        }
        beyond = bucket + 1;
    }
    if *cell.counters != usual(cell.counters.scheduled, total) {
        flags |= flag::COUNTERS;
        write_counters(body, *cell.counters);
    }
    if let (Some(&(first, _)), Some(&(last, _))) = (cell.buckets.first(), cell.buckets.last()) {
        put(body, cell.min_us - lowest_of(first));
        if total > 1 {
            put(body, cell.max_us - lowest_of(last));
        }
        if total > 2 {
            let rest = cell.sum_us.wrapping_sub(guess_sum(cell.buckets, cell.min_us, cell.max_us));
            put_signed(body, rest.cast_signed());
        }
    }
    if cell.overflow > 0 {
        flags |= flag::OVERFLOW;
        put(body, cell.overflow);
    }
    if let Some(ClockOffsets { min_us, max_us }) = cell.clock_offsets {
        flags |= flag::OFFSETS;
        put_signed(body, min_us);
        put_signed(body, max_us.wrapping_sub(min_us));
    }
    if !cell.attributes.is_empty() {
        flags |= flag::ATTRIBUTES;
        for &(place, count) in cell.attributes {
            put(body, u64::from(place));
            put(body, count);
        }
    }
    flags
}

/// The counters of a cell whose probes were answered or lost.
fn usual(scheduled: u64, answered: u64) -> Counters {
    Counters { scheduled, answered, lost: scheduled.saturating_sub(answered), ..Counters::default() }
}

/// The groups of a block, one after another.
pub(super) struct Groups<'a> {
    rest: Stream<'a>,
    base: i64,
    /// The kinds and values by whose places attributes are counted.
    pub(super) texts: Vec<(&'a str, &'a str)>,
}

impl<'a> Groups<'a> {
    /// Reads the head of a block.
    pub(super) fn of(block: &'a [u8]) -> Result<Self, Fault> {
        let mut rest = Stream::new(block);
        if rest.byte()? == VERSION { Self::new(rest) } else { Err(Fault::Version) }
    }

    /// Reads what follows the block's version.
    fn new(mut rest: Stream<'a>) -> Result<Self, Fault> {
        let texts = read_texts(&mut rest)?;
        let base = rest.signed()?;
        Ok(Self { rest, base, texts })
    }

    /// The metric of the next one, and its records; none after the last.
    pub(super) fn next(&mut self) -> Result<Option<(Metric, Reader<'a>)>, Fault> {
        if self.rest.left() == 0 {
            return Ok(None);
        }
        let number = u8::try_from(self.rest.number()?).ok();
        let metric = number.and_then(Metric::of_number).ok_or(Fault::Metric)?;
        let length = self.rest.number()?;
        let rest = Stream::new(self.rest.bytes(usize::try_from(length).unwrap_or(usize::MAX))?);
        Ok(Some((metric, Reader { rest, base: self.base, key: None })))
    }
}

/// The records of a group, one after another.
pub(super) struct Reader<'a> {
    rest: Stream<'a>,
    base: i64,
    key: Option<Key>,
}

/// A record that is not read yet.
pub(super) struct Record<'a> {
    pub(super) key: Key,
    /// Whether it says which row it is of, rather than that it is of the one before.
    pub(super) begins_row: bool,
    pub(super) start: i64,
    pub(super) flags: u8,
    pub(super) body: &'a [u8],
}

/// What a cell of a record is read into.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    counters: Counters,
    buckets: Vec<(u16, u64)>,
    attributes: Vec<(u32, u64)>,
}

impl<'a> Reader<'a> {
    /// The next one, unless there is none.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Record<'a>>, Fault> {
        if self.rest.left() == 0 {
            return Ok(None);
        }
        let flags = self.rest.byte()?;
        let begins_row = flags & flag::SAME_ROW == 0;
        let key = if begins_row {
            let before = self.key.unwrap_or(Key { origin: 0, agent: 0, shape: 0 });
            Key {
                origin: moved(before.origin, self.rest.signed()?)?,
                agent: moved(before.agent, self.rest.signed()?)?,
                shape: moved(before.shape, self.rest.signed()?)?,
            }
        } else {
            self.key.ok_or(Fault::Dictionary)?
        };
        self.key = Some(key);
        let start = self.base.wrapping_add(self.rest.signed()?);
        let length = self.rest.number()?;
        let body = self.rest.bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
        Ok(Some(Record { key, begins_row, start, flags, body }))
    }
}

impl Record<'_> {
    /// How long its interval is, in seconds.
    #[inline]
    pub(super) fn length(&self) -> Result<i64, Fault> {
        if self.flags & flag::LENGTH == 0 {
            return Ok(MINUTE);
        }
        let mut body = Stream::new(self.body);
        let _scheduled = body.number()?;
        body.signed()
    }

    /// Reads the cell. `text` says where the text of a place in the block is that an attribute names.
    #[inline]
    pub(super) fn cell<'s>(
        &self,
        text: impl Fn(u64) -> Result<u32, Fault>,
        scratch: &'s mut Scratch,
    ) -> Result<Cell<'s>, Fault> {
        let flags = self.flags;
        let mut body = Stream::new(self.body);
        let scheduled = body.number()?;
        let length = if flags & flag::LENGTH == 0 { MINUTE } else { body.signed()? };
        let total = read_buckets(&mut body, &mut scratch.buckets)?;
        scratch.counters =
            if flags & flag::COUNTERS == 0 { usual(scheduled, total) } else { read_counters(&mut body)? };
        let (min_us, max_us, sum_us) = read_exact(&mut body, &scratch.buckets, total)?;
        let overflow = if flags & flag::OVERFLOW == 0 { 0 } else { body.number()? };
        let clock_offsets = if flags & flag::OFFSETS == 0 {
            None
        } else {
            let min_us = body.signed()?;
            Some(ClockOffsets { min_us, max_us: min_us.wrapping_add(body.signed()?) })
        };
        scratch.attributes.clear();
        if flags & flag::ATTRIBUTES != 0 {
            while body.left() > 0 {
                let place = text(body.number()?)?;
                scratch.attributes.push((place, body.number()?));
            }
        }
        if body.left() > 0 {
            return Err(Fault::Follows);
        }
        Ok(Cell {
            start: self.start,
            end: self.start.wrapping_add(length),
            counters: &scratch.counters,
            buckets: &scratch.buckets,
            sum_us,
            min_us,
            max_us,
            overflow,
            attributes: &scratch.attributes,
            clock_offsets,
        })
    }
}

/// Buckets and how many samples they hold.
#[inline]
fn read_buckets(body: &mut Stream<'_>, buckets: &mut Vec<(u16, u64)>) -> Result<u64, Fault> {
    buckets.clear();
    let (mut total, mut beyond) = (0_u64, 0);
    for _bucket in 0..body.number()? {
        let step = body.number()?;
        let bucket = within(beyond + i32::try_from(step >> 1).map_err(|_far| Fault::Bucket)?)?;
        let count = if step & 1 == 0 { 1 } else { body.number()?.checked_add(2).ok_or(Fault::Number)? };
        total = total.saturating_add(count);
        buckets.push((bucket, count));
        beyond = i32::from(bucket) + 1;
    }
    Ok(total)
}

/// The exact minimum, maximum and sum.
#[inline]
fn read_exact(body: &mut Stream<'_>, buckets: &[(u16, u64)], total: u64) -> Result<(u64, u64, u64), Fault> {
    let ([(first, _), ..], [.., (last, _)]) = (buckets, buckets) else { return Ok((0, 0, 0)) };
    let mut value = |bucket: u16| {
        let offset = body.number()?;
        if offset >> bits_of(bucket) > 0 { Err(Fault::Bucket) } else { Ok(lowest_of(bucket) + offset) }
    };
    let min = value(*first)?;
    let max = if total > 1 { value(*last)? } else { min };
    if max < min {
        return Err(Fault::Bucket);
    }
    let sum = match total {
        1 => min,
        2 => min + max,
        _ => guess_sum(buckets, min, max).wrapping_add(body.signed()?.cast_unsigned()),
    };
    Ok((min, max, sum))
}

/// Hands over the row, start and end of each record of a block, and reads no more of it.
pub(in super::super) fn spans(block: &[u8], mut each: impl FnMut(Key, Span)) -> Result<(), StoreError> {
    let mut groups = Groups::of(block)?;
    while let Some((_metric, mut records)) = groups.next()? {
        while let Some(record) = records.next()? {
            each(record.key, (record.start, record.start.wrapping_add(record.length()?)));
        }
    }
    Ok(())
}

/// The block of records that holds these cells, as if all were of this metric.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn records_of(metric: Metric, cells: &super::Cells) -> Result<Written, StoreError> {
    let mut records = Records::default();
    for (key, cell) in cells.iter() {
        let attributes: Vec<(u32, u64)> = cell
            .attributes
            .iter()
            .map(|&(place, count)| {
                let (kind, value) = &cells.all().texts()[place as usize];
                (records.text(kind, value), count)
            })
            .collect();
        records.push(metric, key, &Cell { attributes: &attributes, ..cell });
    }
    records.block(Ok)
}

/// Hands over what a block of records holds. `rest` follows its version.
pub(super) fn read(rest: Stream<'_>, sink: &mut impl Sink) -> Result<(), StoreError> {
    let mut groups = Groups::new(rest)?;
    sink.begin(&groups.texts)?;
    let texts = groups.texts.len() as u64;
    let text = |place: u64| u32::try_from(place).ok().filter(|_| place < texts).ok_or(Fault::Attribute);
    let mut scratch = Scratch::default();
    while let Some((_metric, mut records)) = groups.next()? {
        let mut wanted = false;
        while let Some(record) = records.next()? {
            if record.begins_row {
                wanted = sink.row(record.key)?;
            }
            if wanted {
                sink.cell(&record.cell(text, &mut scratch)?);
            }
        }
    }
    Ok(())
}
