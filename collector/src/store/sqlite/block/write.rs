//! Writing a block.

use super::{
    Above, Cell, Cells, Column, FAR, Key, MOST_IN_HEAD, VERSION, WIDE, bits_of, fields, guess_sum, head,
    offsets, row,
    stream::{BitWriter, append, put, put_signed},
};
use crate::store::{ClockOffsets, StoreError};
use peerlight_proto::{histogram::lowest_of, measurement::Counters};

/// How the streams of a block are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Coding {
    /// As they are: what is soon written again.
    Plain,
    /// Compressed, each by itself.
    Compressed,
}

/// Writes cells that are in order as a block.
pub(in super::super) fn write(cells: &Cells, coding: Coding) -> Result<Vec<u8>, StoreError> {
    let mut writer = Writer::default();
    writer.texts(cells.texts());
    let base = cells.iter().map(|(_key, cell)| cell.start).min().unwrap_or(0);
    put_signed(&mut writer.streams[Column::Rows as usize], base);
    put(&mut writer.streams[Column::Rows as usize], cells.rows().count() as u64);
    for (key, row) in cells.rows() {
        writer.row(key, base, row);
    }
    writer.finish(coding)
}

#[derive(Default)]
struct Writer {
    streams: [Vec<u8>; Column::COUNT],
    bits: BitWriter,
    key: Option<Key>,
    usual: Usual,
    above: Above,
    /// The attributes of the cell before, within the row.
    attributes: Vec<(u32, u64)>,
}

/// What most cells of a row are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Usual {
    counters: Counters,
    /// How many samples.
    total: u64,
}

impl Usual {
    fn of(cell: &Cell<'_>) -> Self {
        Self { counters: *cell.counters, total: total(cell) }
    }
}

fn total(cell: &Cell<'_>) -> u64 {
    cell.buckets.iter().fold(0, |sum, &(_, count)| sum.saturating_add(count))
}

impl Writer {
    fn stream(&mut self, column: Column) -> &mut Vec<u8> {
        &mut self.streams[column as usize]
    }

    fn texts(&mut self, texts: &[(String, String)]) {
        let stream = self.stream(Column::Rows);
        put(stream, texts.len() as u64);
        for text in texts.iter().flat_map(|(kind, value)| [kind, value]) {
            put(stream, text.len() as u64);
            stream.extend_from_slice(text.as_bytes());
        }
    }

    fn row<'a>(&mut self, key: Key, base: i64, cells: impl Iterator<Item = Cell<'a>> + Clone) {
        let usual = usual_of(cells.clone());
        let Some(first) = cells.clone().next() else { return };
        let last = cells.clone().last().unwrap_or(first);
        let distance = regular_distance(cells.clone());
        let mut flags = 0;
        for (flag, set) in [
            (row::SAME_USUAL, usual == self.usual),
            (row::REGULAR, distance.is_some()),
            (row::ATTRIBUTES, cells.clone().any(|cell| !cell.attributes.is_empty())),
            (row::OFFSETS, cells.clone().any(|cell| cell.clock_offsets.is_some())),
            (row::OVERFLOW, cells.clone().any(|cell| cell.overflow > 0)),
        ] {
            flags |= if set { flag } else { 0 };
        }
        let end = cells.clone().map(|cell| cell.end).max().unwrap_or(last.end);

        let before = self.key.replace(key).unwrap_or(Key { origin: 0, agent: 0, shape: 0 });
        let stream = self.stream(Column::Rows);
        put_signed(stream, i64::from(key.origin) - i64::from(before.origin));
        put_signed(stream, i64::from(key.agent) - i64::from(before.agent));
        put_signed(stream, i64::from(key.shape) - i64::from(before.shape));
        stream.push(flags);
        put(stream, cells.clone().count() as u64);
        put_signed(stream, first.start.wrapping_sub(base));
        put_signed(stream, end.wrapping_sub(last.start));
        if let Some(distance) = distance {
            put_signed(stream, distance);
        }
        if flags & row::SAME_USUAL == 0 {
            write_counters(stream, usual.counters);
            put(stream, usual.total);
            self.usual = usual;
        }
        if distance.is_none() {
            let mut before = first.start;
            for cell in cells.clone().skip(1) {
                put_signed(self.stream(Column::Starts), cell.start.wrapping_sub(before));
                before = cell.start;
            }
        }
        self.attributes.clear();
        let mut bucket = 0;
        for cell in cells {
            self.samples(&cell, &mut bucket);
            self.beside(&cell, flags);
        }
        self.above.end_row();
    }

    /// Counters, and how the samples fall into buckets.
    fn samples(&mut self, cell: &Cell<'_>, first_before: &mut u16) {
        let total = total(cell);
        let usual_counters = *cell.counters == self.usual.counters;
        let fall = (usual_counters && total == self.usual.total && total <= MOST_IN_HEAD)
            .then(|| fall(cell.buckets));
        if let Some(fall) = fall {
            self.stream(Column::Heads).push(fall);
        } else {
            let head = if usual_counters { head::EXPLICIT } else { head::COUNTERS };
            self.stream(Column::Heads).push(head);
            if !usual_counters {
                write_counters(self.stream(Column::Counters), *cell.counters);
            }
            let counts = self.stream(Column::Counts);
            put(counts, cell.buckets.len() as u64);
            for &(_, count) in cell.buckets {
                put(counts, count - 1);
            }
        }
        let (Some(&(first, _)), Some(&(last, _))) = (cell.buckets.first(), cell.buckets.last()) else {
            return;
        };
        let firsts = self.stream(Column::Firsts);
        match i8::try_from(i32::from(first) - i32::from(*first_before)) {
            Ok(step) if step.cast_unsigned() != FAR => firsts.push(step.cast_unsigned()),
            _ => {
                firsts.push(FAR);
                firsts.extend_from_slice(&first.to_le_bytes());
            }
        }
        *first_before = first;
        let gaps = self.stream(Column::Gaps);
        for pair in cell.buckets.windows(2) {
            match u8::try_from(pair[1].0 - pair[0].0 - 1) {
                Ok(gap) if gap != WIDE => gaps.push(gap),
                _ => {
                    gaps.push(WIDE);
                    gaps.extend_from_slice(&pair[1].0.to_le_bytes());
                }
            }
        }
        self.bits.put(cell.min_us - lowest_of(first), bits_of(first));
        if total > 1 {
            self.bits.put(cell.max_us - lowest_of(last), bits_of(last));
        }
        if total > 2 {
            let rest = cell.sum_us.wrapping_sub(guess_sum(cell.buckets, cell.min_us, cell.max_us));
            put_signed(self.stream(Column::Sums), rest.cast_signed());
        }
    }

    fn beside(&mut self, cell: &Cell<'_>, flags: u8) {
        let Self { streams, attributes, above, .. } = self;
        let stream = &mut streams[Column::Beside as usize];
        if flags & row::ATTRIBUTES != 0 {
            if attributes == cell.attributes {
                put(stream, 0);
            } else {
                put(stream, cell.attributes.len() as u64 + 1);
                for &(place, count) in cell.attributes {
                    put(stream, u64::from(place));
                    put(stream, count);
                }
                attributes.clear();
                attributes.extend_from_slice(cell.attributes);
            }
        }
        if flags & row::OVERFLOW != 0 {
            put(stream, cell.overflow);
        }
        if flags & row::OFFSETS != 0 {
            let there = above.find(cell.start).map(|(_start, offsets)| offsets);
            match cell.clock_offsets {
                None => stream.push(offsets::NONE),
                same if there == Some(same) => stream.push(offsets::ABOVE),
                Some(ClockOffsets { min_us, max_us }) => {
                    stream.push(offsets::EXPLICIT);
                    put_signed(stream, min_us);
                    put_signed(stream, max_us.wrapping_sub(min_us));
                }
            }
            above.push(cell.start, cell.clock_offsets);
        }
    }

    fn finish(mut self, coding: Coding) -> Result<Vec<u8>, StoreError> {
        self.streams[Column::Bits as usize] = self.bits.finish();
        let mut block = vec![VERSION];
        for stream in &self.streams {
            append(&mut block, stream, coding == Coding::Compressed)?;
        }
        Ok(block)
    }
}

/// What more than half of a row's cells are like, if any is (Boyer and Moore's vote); else what one of them is like.
fn usual_of<'a>(cells: impl Iterator<Item = Cell<'a>>) -> Usual {
    let (mut usual, mut votes) = (Usual::default(), 0_u32);
    for cell in cells {
        let of = Usual::of(&cell);
        if votes == 0 {
            (usual, votes) = (of, 1);
        } else if of == usual {
            votes += 1;
        } else {
            votes -= 1;
        }
    }
    usual
}

/// The one distance at which cells start after each other, if there is one.
fn regular_distance<'a>(cells: impl Iterator<Item = Cell<'a>> + Clone) -> Option<i64> {
    let distances = cells.clone().zip(cells.skip(1)).map(|(one, next)| next.start.wrapping_sub(one.start));
    let mut regular = None;
    for distance in distances {
        if regular.is_some_and(|regular| regular != distance) {
            return None;
        }
        regular = Some(distance);
    }
    Some(regular.unwrap_or(0))
}

/// How at most eight samples fall into buckets: bit i says that sample i + 2 is the first of its bucket.
fn fall(buckets: &[(u16, u64)]) -> u8 {
    let mut fall = 0;
    let mut samples = 0;
    for &(_, count) in buckets {
        if samples > 0 {
            fall |= 1 << (samples - 1);
        }
        samples += count;
    }
    fall
}

/// Appends which counters are not zero, and those.
fn write_counters(stream: &mut Vec<u8>, mut counters: Counters) {
    let values = fields(&mut counters).map(|field| *field);
    let set = values.iter().enumerate().fold(0, |set, (place, value)| set | u64::from(*value > 0) << place);
    put(stream, set);
    for value in values.into_iter().filter(|value| *value > 0) {
        put(stream, value);
    }
}
