//! Cells on their way from one block to another: collected from any number of blocks, put in order, and merged.

use super::{
    Cell, Key, Sink,
    deal::{deal, number, sort},
    sum::Sum,
};
use crate::store::{ClockOffsets, StoreError};
use hashbrown::DefaultHashBuilder;
use indexmap::{Equivalent, IndexSet};
use peerlight_proto::measurement::Counters;
use std::collections::BTreeMap;

/// Many cells, in few places in memory. Rows are numbered as they come, so that cells are put in order by dealing them out
/// to their rows: only rows, of which there are few, are compared.
#[derive(Debug, Default)]
pub(in super::super) struct Cells {
    items: Vec<Item>,
    /// The rows by number.
    rows: IndexSet<Key, DefaultHashBuilder>,
    buckets: Vec<(u16, u64)>,
    /// Counters: like those of one of the last few cells once.
    counters: Vec<Counters>,
    besides: Vec<Beside>,
    attributes: Vec<(u32, u64)>,
    /// Kinds and values of attributes, each once.
    texts: IndexSet<(String, String)>,
    /// Where the texts of the block that is being read stand here.
    places: Vec<u32>,
    /// The row that is being read.
    row: u32,
    /// Of use for its memory, while cells are dealt out.
    dealt: Vec<Item>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    row: u32,
    start: i64,
    /// From the start to the end, in seconds.
    length: u32,
    counters: u32,
    /// Where its buckets begin, and how many there are.
    buckets: u32,
    count: u32,
    sum_us: u64,
    min_us: u32,
    max_us: u32,
    /// Its place in `besides`, from one; none has nothing beside.
    beside: u32,
}

/// How many counters are looked at for like ones.
const FEW: usize = 4;

/// What few cells have.
#[derive(Debug, Clone)]
struct Beside {
    overflow: u64,
    attributes: std::ops::Range<u32>,
    clock_offsets: Option<ClockOffsets>,
}

/// A kind and a value to look for: hashed as those that are there.
#[derive(Hash)]
struct Text<'a>(&'a str, &'a str);

impl Equivalent<(String, String)> for Text<'_> {
    fn equivalent(&self, (kind, value): &(String, String)) -> bool {
        (self.0, self.1) == (kind.as_str(), value.as_str())
    }
}

/// The place of a kind and a value among those that there are, which it joins.
pub(super) fn place_of(texts: &mut IndexSet<(String, String)>, kind: &str, value: &str) -> u32 {
    let place = texts.get_index_of(&Text(kind, value));
    index(place.unwrap_or_else(|| texts.insert_full((kind.to_owned(), value.to_owned())).0))
}

/// Places fit 32 bits: what is collected at once is far below.
pub(super) fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Cells of one part, in order.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct View<'a> {
    cells: &'a Cells,
    items: &'a [Item],
}

impl Cells {
    /// Forgets all, and keeps the memory.
    pub(in super::super) fn clear(&mut self) {
        self.items.clear();
        self.rows.clear();
        self.row = 0;
        self.buckets.clear();
        self.counters.clear();
        self.besides.clear();
        self.attributes.clear();
        self.texts.clear();
    }

    /// The place of an attribute's kind and value.
    pub(in super::super) fn text(&mut self, kind: &str, value: &str) -> u32 {
        place_of(&mut self.texts, kind, value)
    }

    /// The number of a row. Mostly it is the one that was asked for before, or the one that came after that.
    #[inline]
    fn number(&self, key: Key, before: u32) -> Option<u32> {
        let is = |row: u32| self.rows.get_index(row as usize) == Some(&key);
        [before, before + 1].into_iter().find(|row| is(*row))
    }

    /// Begins or goes on with a row.
    #[inline]
    fn enter(&mut self, key: Key) {
        self.row = match self.number(key, self.row) {
            Some(row) => row,
            None => index(self.rows.insert_full(key).0),
        };
    }

    /// Adds a cell whose attributes are counted by places here.
    #[inline]
    pub(in super::super) fn push(&mut self, key: Key, cell: &Cell<'_>) {
        self.enter(key);
        self.add(cell);
    }

    /// Adds a cell to the row that was entered last.
    #[inline]
    fn add(&mut self, cell: &Cell<'_>) {
        let buckets = index(self.buckets.len());
        self.buckets.extend_from_slice(cell.buckets);
        let alike = self.counters.iter().rev().take(FEW).position(|counters| counters == cell.counters);
        let counters = if let Some(back) = alike {
            self.counters.len() - 1 - back
        } else {
            self.counters.push(*cell.counters);
            self.counters.len() - 1
        };
        let mut beside = 0;
        if cell.overflow > 0 || cell.clock_offsets.is_some() || !cell.attributes.is_empty() {
            let attributes = index(self.attributes.len());
            self.attributes.extend_from_slice(cell.attributes);
            self.besides.push(Beside {
                overflow: cell.overflow,
                attributes: attributes..index(self.attributes.len()),
                clock_offsets: cell.clock_offsets,
            });
            beside = index(self.besides.len());
        }
        self.items.push(Item {
            row: self.row,
            start: cell.start,
            length: u32::try_from(cell.end.saturating_sub(cell.start)).unwrap_or(0),
            counters: index(counters),
            buckets,
            count: index(cell.buckets.len()),
            sum_us: cell.sum_us,
            // At most 60 s.
            min_us: u32::try_from(cell.min_us).unwrap_or(u32::MAX),
            max_us: u32::try_from(cell.max_us).unwrap_or(u32::MAX),
            beside,
        });
    }

    /// The cells with their keys, in their order.
    pub(in super::super) fn iter(&self) -> impl Iterator<Item = (Key, Cell<'_>)> {
        self.items.iter().map(|item| (self.key(item), self.view(item)))
    }

    /// All of them, which must be in order to be written.
    pub(in super::super) fn all(&self) -> View<'_> {
        View { cells: self, items: &self.items }
    }

    #[inline]
    fn key(&self, item: &Item) -> Key {
        self.rows[item.row as usize]
    }

    #[inline]
    fn view(&self, item: &Item) -> Cell<'_> {
        let none = Beside { overflow: 0, attributes: 0..0, clock_offsets: None };
        let beside = if item.beside == 0 { &none } else { &self.besides[item.beside as usize - 1] };
        let (overflow, clock_offsets) = (beside.overflow, beside.clock_offsets);
        let attributes = beside.attributes.start as usize..beside.attributes.end as usize;
        Cell {
            start: item.start,
            end: item.start + i64::from(item.length),
            counters: &self.counters[item.counters as usize],
            buckets: &self.buckets[item.buckets as usize..][..item.count as usize],
            sum_us: item.sum_us,
            min_us: u64::from(item.min_us),
            max_us: u64::from(item.max_us),
            overflow,
            attributes: &self.attributes[attributes],
            clock_offsets,
        }
    }

    /// Gives rows other keys.
    pub(in super::super) fn rename(&mut self, mut rename: impl FnMut(Key, &Cell<'_>) -> Key) {
        let mut items = std::mem::take(&mut self.items);
        let mut rows = IndexSet::default();
        for item in &mut items {
            item.row = index(rows.insert_full(rename(self.key(item), &self.view(item))).0);
        }
        (self.items, self.rows) = (items, rows);
    }

    /// Whether both hold the same, in the same order.
    pub(in super::super) fn is_same_as(&self, other: &Self) -> bool {
        let named = |cells: &Self, cell: &Cell<'_>| -> BTreeMap<(String, String), u64> {
            let attributes = cell.attributes.iter();
            attributes.map(|(place, count)| (cells.texts[*place as usize].clone(), *count)).collect()
        };
        self.items.len() == other.items.len()
            && self.iter().zip(other.iter()).all(|((key, one), (other_key, two))| {
                (key, one.start, one.counters, one.buckets)
                    == (other_key, two.start, two.counters, two.buckets)
                    && (one.sum_us, one.min_us, one.max_us, one.overflow, one.clock_offsets)
                        == (two.sum_us, two.min_us, two.max_us, two.overflow, two.clock_offsets)
                    && named(self, &one) == named(other, &two)
            })
    }

    /// Puts the cells in the order of their rows and starts.
    pub(in super::super) fn sort(&mut self) {
        if self.items.is_sorted_by_key(|item| (self.key(item), item.start)) {
            return;
        }
        let Self { items, dealt, rows, .. } = self;
        let key = |row: u32| rows[row as usize];
        sort((items, dealt), (rows.len(), key), |item| item.row, |item| item.start);
    }

    /// Distributes cells that are in order by what is said of their starts: each part is in order, too.
    pub(in super::super) fn parts<P: Ord + Copy>(
        &mut self,
        of_start: impl Fn(i64) -> P,
    ) -> Vec<(P, View<'_>)> {
        let of_items: Vec<P> = self.items.iter().map(|item| of_start(item.start)).collect();
        let (parts, numbers) = number(&of_items);
        let ends = deal(&mut self.items, &mut self.dealt, &numbers, parts.len());
        let begins = std::iter::once(0).chain(ends.clone());
        let spans = begins.zip(ends);
        parts
            .into_iter()
            .zip(spans)
            .map(|(part, (begin, end))| (part, View { cells: self, items: &self.items[begin..end] }))
            .collect()
    }

    /// Puts the cells in order and merges those of one row and start. `spare` is of use only for its memory.
    pub(in super::super) fn merge(&mut self, spare: &mut Self) {
        self.sort();
        self.unite(spare);
    }

    /// Merges the cells of one row and start, which must be in order. `spare` is of use only for its memory.
    pub(in super::super) fn unite(&mut self, spare: &mut Self) {
        let twice = |pair: &[Item]| (pair[0].row, pair[0].start) == (pair[1].row, pair[1].start);
        if self.items.windows(2).any(twice) {
            self.merge_by(|start| start, spare);
            std::mem::swap(self, spare);
        }
    }

    /// Makes the cells of each row and slot one, which starts where its slot does. They must be in order.
    pub(in super::super) fn merge_by(&self, slot: impl Fn(i64) -> i64, merged: &mut Self) {
        merged.clear();
        merged.texts.clone_from(&self.texts);
        let mut sum = Sum::default();
        for items in
            self.items.chunk_by(|one, next| one.row == next.row && slot(one.start) == slot(next.start))
        {
            for item in items {
                sum.add(&self.view(item));
            }
            let start = slot(items[0].start);
            sum.take(|cell| merged.push(self.key(&items[0]), &Cell { start, ..*cell }));
        }
    }
}

impl<'a> View<'a> {
    /// Kinds and values, by their places.
    pub(super) fn texts(self) -> &'a IndexSet<(String, String)> {
        &self.cells.texts
    }

    /// The rows one after another: each with its cells.
    pub(in super::super) fn rows(
        self,
    ) -> impl Iterator<Item = (Key, impl ExactSizeIterator<Item = Cell<'a>> + Clone)> {
        let rows = self.items.chunk_by(|one, next| one.row == next.row);
        rows.map(move |row| (self.cells.key(&row[0]), row.iter().map(move |item| self.cells.view(item))))
    }

    /// How many there are.
    pub(in super::super) fn len(self) -> i64 {
        i64::try_from(self.items.len()).unwrap_or(i64::MAX)
    }

    /// How many turns of schedules they account for.
    pub(in super::super) fn probes(self) -> i64 {
        let scheduled = self.items.iter().map(|item| self.cells.counters[item.counters as usize].scheduled);
        i64::try_from(scheduled.fold(0, u64::saturating_add)).unwrap_or(i64::MAX)
    }

    /// The first start.
    pub(super) fn first_start(self) -> i64 {
        self.items.iter().map(|item| item.start).min().unwrap_or(0)
    }

    /// The same in pieces of whole rows, each of which ends when it has so many cells, or so many buckets.
    pub(in super::super) fn pieces(self, cells: usize, buckets: usize) -> Vec<Self> {
        let mut pieces = Vec::new();
        let (mut begin, mut end, mut held) = (0, 0, 0);
        for row in self.items.chunk_by(|one, next| one.row == next.row) {
            end += row.len();
            held += row.iter().map(|item| item.count as usize).sum::<usize>();
            if end - begin >= cells || held >= buckets || end == self.items.len() {
                pieces.push(View { cells: self.cells, items: &self.items[begin..end] });
                (begin, held) = (end, 0);
            }
        }
        pieces
    }
}

impl Sink for Cells {
    fn begin(&mut self, texts: &[(&str, &str)]) -> Result<(), StoreError> {
        self.places.clear();
        for (kind, value) in texts {
            let place = self.text(kind, value);
            self.places.push(place);
        }
        Ok(())
    }

    fn row(&mut self, key: Key) -> Result<bool, StoreError> {
        self.enter(key);
        Ok(true)
    }

    #[inline]
    fn cell(&mut self, cell: &Cell<'_>) {
        self.add(cell);
        if !cell.attributes.is_empty() {
            // The reader has checked that each place is that of a text.
            let first = self.attributes.len() - cell.attributes.len();
            for (place, _count) in &mut self.attributes[first..] {
                *place = self.places[*place as usize];
            }
        }
    }
}

/// Takes what starts when it is wanted, and leaves the rest.
pub(in super::super) struct Starting<'a, F>(pub(in super::super) &'a mut Cells, pub(in super::super) F);

impl<F: Fn(i64) -> bool> Sink for Starting<'_, F> {
    fn begin(&mut self, texts: &[(&str, &str)]) -> Result<(), StoreError> {
        self.0.begin(texts)
    }

    fn row(&mut self, key: Key) -> Result<bool, StoreError> {
        self.0.row(key)
    }

    fn cell(&mut self, cell: &Cell<'_>) {
        if (self.1)(cell.start) {
            self.0.cell(cell);
        }
    }
}
