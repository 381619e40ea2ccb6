//! Writing a block.

use super::{
    Above, Cell, Column, FAR, Key, MOST_IN_HEAD, VERSION, WIDE, Written, bits_of,
    cells::View,
    fields, guess_sum, head, offsets, row,
    stream::{BitWriter, MAX_BLOCK_BYTES, append, put, put_signed},
};
use crate::store::{ClockOffsets, StoreError};
use peerlight_proto::{histogram::lowest_of, measurement::Counters};

/// Writes cells that are in order as a block of columns.
pub(in super::super) fn write(cells: View<'_>) -> Result<Written, StoreError> {
    WRITER.with_borrow_mut(|writer| {
        writer.clear();
        writer.texts(cells);
        let base = cells.first_start();
        put_signed(writer.stream(Column::Rows), base);
        put(writer.stream(Column::Rows), cells.rows().count() as u64);
        for (key, row) in cells.rows() {
            writer.row(key, base, row);
        }
        Ok(Written { bytes: writer.finish()?, cells: cells.len(), probes: cells.probes() })
    })
}

thread_local! {
    // Its streams keep their memory from block to block.
    static WRITER: std::cell::RefCell<Writer> = std::cell::RefCell::default();
}

#[derive(Default)]
struct Writer {
    streams: [Vec<u8>; Column::COUNT],
    bits: BitWriter,
    /// Where each of the cells' texts stands in the block.
    places: Vec<u32>,
    key: Option<Key>,
    /// What was usual in the row before: its counters, and how many samples.
    usual: (Counters, u64),
    above: Above,
    /// The attributes of the cell before, within the row.
    attributes: Vec<(u32, u64)>,
}

/// What most cells of a row are like.
#[derive(Debug, Clone, Copy)]
struct Usual<'a> {
    counters: &'a Counters,
    /// How many samples.
    total: u64,
}

impl<'a> Usual<'a> {
    fn of(cell: &Cell<'a>) -> Self {
        Self { counters: cell.counters, total: total(cell) }
    }

    /// Whether the counters are alike. Those of most cells are the same in memory, too.
    #[inline]
    fn counts_as(&self, cell: &Cell<'_>) -> bool {
        std::ptr::eq(self.counters, cell.counters) || self.counters == cell.counters
    }
}

fn total(cell: &Cell<'_>) -> u64 {
    cell.buckets.iter().fold(0, |sum, &(_, count)| sum.saturating_add(count))
}

impl Writer {
    fn stream(&mut self, column: Column) -> &mut Vec<u8> {
        &mut self.streams[column as usize]
    }

    /// The kinds and values that the cells have.
    fn texts(&mut self, cells: View<'_>) {
        let texts = cells.texts();
        let mut used = Vec::new();
        self.places = vec![u32::MAX; texts.len()];
        if !texts.is_empty() {
            for &(place, _count) in cells.rows().flat_map(|(_key, row)| row).flat_map(|cell| cell.attributes)
            {
                if self.places[place as usize] == u32::MAX {
                    self.places[place as usize] = u32::try_from(used.len()).unwrap_or(u32::MAX);
                    used.push(&texts[place as usize]);
                }
            }
        }
        let stream = self.stream(Column::Rows);
        put(stream, used.len() as u64);
        for text in used.into_iter().flat_map(|(kind, value)| [kind, value]) {
            put(stream, text.len() as u64);
            stream.extend_from_slice(text.as_bytes());
        }
    }

    fn row<'a>(&mut self, key: Key, base: i64, cells: impl ExactSizeIterator<Item = Cell<'a>> + Clone) {
        let Some(traits) = Traits::of(cells.clone()) else { return };
        let usual = traits.usual;
        let mut flags = traits.flags;
        if (usual.counters, usual.total) == (&self.usual.0, self.usual.1) {
            flags |= row::SAME_USUAL;
        }
        let before = self.key.replace(key).unwrap_or(Key { origin: 0, agent: 0, shape: 0 });
        let stream = &mut self.streams[Column::Rows as usize];
        put_signed(stream, i64::from(key.origin) - i64::from(before.origin));
        put_signed(stream, i64::from(key.agent) - i64::from(before.agent));
        put_signed(stream, i64::from(key.shape) - i64::from(before.shape));
        stream.push(flags);
        put(stream, cells.len() as u64);
        put_signed(stream, traits.first.wrapping_sub(base));
        put_signed(stream, traits.end.wrapping_sub(traits.last));
        if flags & row::REGULAR != 0 {
            put_signed(stream, traits.distance);
        }
        if flags & row::SAME_USUAL == 0 {
            write_counters(stream, *usual.counters);
            put(stream, usual.total);
            self.usual = (*usual.counters, usual.total);
        }
        self.attributes.clear();
        let (mut before, mut bucket) = (traits.first, 0);
        for (at, cell) in cells.enumerate() {
            if at > 0 && flags & row::REGULAR == 0 {
                put_signed(self.stream(Column::Starts), cell.start.wrapping_sub(before));
            }
            before = cell.start;
            self.samples(&cell, &usual, &mut bucket);
            if flags & (row::ATTRIBUTES | row::OVERFLOW | row::OFFSETS) != 0 {
                self.beside(&cell, flags);
            }
        }
        self.above.end_row();
    }

    /// Counters, and how the samples fall into buckets.
    fn samples(&mut self, cell: &Cell<'_>, usual: &Usual<'_>, first_before: &mut u16) {
        let total = total(cell);
        let usual_counters = usual.counts_as(cell);
        let fall =
            (usual_counters && total == usual.total && total <= MOST_IN_HEAD).then(|| fall(cell.buckets));
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
        let bits = &mut self.streams[Column::Bits as usize];
        self.bits.put(bits, cell.min_us - lowest_of(first), bits_of(first));
        if total > 1 {
            self.bits.put(bits, cell.max_us - lowest_of(last), bits_of(last));
        }
        if total > 2 {
            let rest = cell.sum_us.wrapping_sub(guess_sum(cell.buckets, cell.min_us, cell.max_us));
            put_signed(self.stream(Column::Sums), rest.cast_signed());
        }
    }

    fn beside(&mut self, cell: &Cell<'_>, flags: u8) {
        let Self { streams, attributes, above, places, .. } = self;
        let stream = &mut streams[Column::Beside as usize];
        if flags & row::ATTRIBUTES != 0 {
            if attributes == cell.attributes {
                put(stream, 0);
            } else {
                put(stream, cell.attributes.len() as u64 + 1);
                for &(place, count) in cell.attributes {
                    put(stream, u64::from(places[place as usize]));
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

    fn finish(&mut self) -> Result<Vec<u8>, StoreError> {
        self.bits.finish(&mut self.streams[Column::Bits as usize]);
        let length: usize = self.streams.iter().map(Vec::len).sum();
        if length > MAX_BLOCK_BYTES {
            return Err(StoreError::TooLarge { bytes: length });
        }
        let mut block = Vec::with_capacity(length + 64);
        block.push(VERSION);
        for stream in &self.streams {
            append(&mut block, stream)?;
        }
        Ok(block)
    }

    /// Forgets the last block, and keeps the memory.
    fn clear(&mut self) {
        self.streams.iter_mut().for_each(Vec::clear);
        (self.key, self.usual) = (None, Default::default());
        self.above = Above::default();
    }
}

/// What a row says of its cells.
struct Traits<'a> {
    flags: u8,
    /// What more than half of the cells are like, if any is (Boyer and Moore's vote); else what one of them is like.
    usual: Usual<'a>,
    first: i64,
    last: i64,
    /// The distance at which cells follow one another, if it is one.
    distance: i64,
    /// The latest end.
    end: i64,
    cells: usize,
}

impl<'a> Traits<'a> {
    fn of(cells: impl Iterator<Item = Cell<'a>>) -> Option<Self> {
        let mut traits: Option<Self> = None;
        let mut votes = 0_u32;
        for cell in cells {
            let like = Usual::of(&cell);
            let traits = traits.get_or_insert(Self {
                flags: row::REGULAR,
                usual: like,
                first: cell.start,
                last: cell.start,
                distance: 0,
                end: cell.end,
                cells: 0,
            });
            let distance = cell.start.wrapping_sub(traits.last);
            match traits.cells {
                0 => {}
                1 => traits.distance = distance,
                _ if distance != traits.distance => traits.flags &= !row::REGULAR,
                _ => {}
            }
            traits.cells += 1;
            if votes == 0 {
                (traits.usual, votes) = (like, 1);
            } else if like.total == traits.usual.total && traits.usual.counts_as(&cell) {
                votes += 1;
            } else {
                votes -= 1;
            }
            for (flag, set) in [
                (row::ATTRIBUTES, !cell.attributes.is_empty()),
                (row::OFFSETS, cell.clock_offsets.is_some()),
                (row::OVERFLOW, cell.overflow > 0),
            ] {
                traits.flags |= if set { flag } else { 0 };
            }
            (traits.last, traits.end) = (cell.start, traits.end.max(cell.end));
        }
        traits
    }
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
pub(super) fn write_counters(stream: &mut Vec<u8>, mut counters: Counters) {
    let values = fields(&mut counters).map(|field| *field);
    let set = values.iter().enumerate().fold(0, |set, (place, value)| set | u64::from(*value > 0) << place);
    put(stream, set);
    for value in values.into_iter().filter(|value| *value > 0) {
        put(stream, value);
    }
}
