//! Piles: records on their way from the log into segments, put in order without being written anew.

use super::{
    Key, Written,
    cells::place_of,
    deal::{deal, number, ranks},
    records::{Reader, Record, Records, Scratch, VERSION},
    stream::{Fault, Stream, put},
};
use crate::store::StoreError;
use hashbrown::DefaultHashBuilder;
use indexmap::IndexSet;
use std::ops::Range;

/// Records of any number of blocks of the log. Rows are numbered as they come, so that records are put in order by dealing
/// them out to their rows: only rows, of which there are few, are compared.
#[derive(Debug, Default)]
pub(in super::super) struct Pile {
    items: Vec<Item>,
    bytes: Vec<u8>,
    /// The rows by number.
    rows: IndexSet<Key, DefaultHashBuilder>,
    /// Kinds and values of attributes, each once.
    texts: IndexSet<(String, String)>,
    scratch: Scratch,
    records: Records,
    /// Of use for its memory, while records are dealt out.
    dealt: Vec<Item>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    row: u32,
    /// Where its body begins, and how long it is.
    at: u32,
    length: u32,
    flags: u8,
    start: i64,
    end: i64,
    scheduled: u64,
}

/// Places fit 32 bits: what is folded at once is a few megabytes.
fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Pile {
    /// Forgets all, and keeps the memory.
    pub(in super::super) fn clear(&mut self) {
        self.items.clear();
        self.bytes.clear();
        self.rows.clear();
        self.texts.clear();
    }

    /// Adds what a block of the log holds: all of it or, if it is damaged, nothing.
    pub(in super::super) fn add(&mut self, block: &[u8]) -> Result<(), StoreError> {
        let (items, bytes) = (self.items.len(), self.bytes.len());
        let added = self.try_add(block);
        if added.is_err() {
            self.items.truncate(items);
            self.bytes.truncate(bytes);
        }
        added
    }

    fn try_add(&mut self, block: &[u8]) -> Result<(), StoreError> {
        let mut rest = Stream::new(block);
        if rest.byte()? != VERSION {
            return Err(Fault::Version.into());
        }
        let mut records = Reader::new(rest)?;
        let places: Vec<u32> =
            records.texts.iter().map(|(kind, value)| place_of(&mut self.texts, kind, value)).collect();
        let mut row = 0;
        while let Some(record) = records.next()? {
            // All of it is read, to be sure that it can be.
            let cell = record.cell(places.len(), &mut self.scratch)?;
            let (start, end, scheduled) = (cell.start, cell.end, cell.counters.scheduled);
            if record.begins_row {
                row = self.number(record.key, row);
            }
            let at = self.bytes.len();
            self.bytes.extend_from_slice(self.scratch.alone(&record));
            for &(place, count) in self.scratch.attributes() {
                put(&mut self.bytes, u64::from(places[place as usize]));
                put(&mut self.bytes, count);
            }
            let length = index(self.bytes.len() - at);
            self.items.push(Item { row, at: index(at), length, flags: record.flags, start, end, scheduled });
        }
        Ok(())
    }

    /// The number of a row. Mostly it is the one that came after the one before: agents measure the same each minute.
    fn number(&mut self, key: Key, before: u32) -> u32 {
        if self.rows.get_index(before as usize + 1) == Some(&key) {
            return before + 1;
        }
        index(self.rows.insert_full(key).0)
    }

    /// The rows, and from when to when each was measured.
    pub(in super::super) fn spans(&self) -> impl Iterator<Item = (Key, (i64, i64))> {
        let mut spans = vec![None; self.rows.len()];
        for item in &self.items {
            let (first, last) = spans[item.row as usize].get_or_insert((item.start, item.end));
            (*first, *last) = (item.start.min(*first), item.end.max(*last));
        }
        self.rows.iter().zip(spans).filter_map(|(key, span)| Some((*key, span?)))
    }

    /// Makes blocks of it: one for each part that `part` says of rows and starts, each in order. Forgets all.
    pub(in super::super) fn blocks(&mut self, part: impl Fn(Key, i64) -> u32) -> Vec<(u32, Written)> {
        let Self { items, dealt, rows, .. } = self;
        let ranks = ranks(rows.len(), |row| rows[row as usize]);
        let ranks_of: Vec<u32> = items.iter().map(|item| ranks[item.row as usize]).collect();
        deal(items, dealt, &ranks_of, ranks.len());
        for row in items.chunk_by_mut(|one, next| one.row == next.row) {
            // Stable, and mostly so already: batches come in the order in which they were measured.
            row.sort_by_key(|item| item.start);
        }
        let mut parts_of: Vec<u32> =
            items.iter().map(|item| part(rows[item.row as usize], item.start)).collect();
        let parts = number(&mut parts_of);
        let ends = deal(items, dealt, &parts_of, parts.len());
        let begins = std::iter::once(0).chain(ends.clone());
        let spans: Vec<_> = begins.zip(ends).collect();
        let blocks = parts.into_iter().zip(spans).map(|(part, (begin, end))| (part, self.block(begin..end)));
        let blocks = blocks.collect();
        self.clear();
        blocks
    }

    fn block(&mut self, items: Range<usize>) -> Written {
        let Self { items: all, rows, bytes, records, texts, .. } = self;
        let mut named = false;
        for item in &all[items] {
            let record = Record {
                key: rows[item.row as usize],
                begins_row: true,
                start: item.start,
                flags: item.flags,
                body: &bytes[item.at as usize..][..item.length as usize],
            };
            if record.has_attributes() && !std::mem::replace(&mut named, true) {
                records.take_texts(texts);
            }
            records.push_record(&record, item.scheduled);
        }
        records.finish()
    }
}
