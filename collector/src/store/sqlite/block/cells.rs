//! Cells on their way from one block to another: collected from any number of blocks, put in order, and merged.

use super::{Cell, Key, Sink};
use crate::store::{ClockOffsets, StoreError, joined};
use peerlight_proto::measurement::Counters;
use std::{collections::HashMap, ops::Range};

/// Many cells, in one place in memory each for their buckets and attributes.
#[derive(Debug, Default)]
pub(in super::super) struct Cells {
    items: Vec<Item>,
    buckets: Vec<(u16, u64)>,
    attributes: Vec<(u32, u64)>,
    texts: Texts,
    /// Where the texts of the block that is being read stand here.
    places: Vec<u32>,
    /// The row that is being read.
    key: Option<Key>,
}

#[derive(Debug, Clone)]
struct Item {
    key: Key,
    start: i64,
    end: i64,
    counters: Counters,
    buckets: Range<u32>,
    sum_us: u64,
    min_us: u64,
    max_us: u64,
    overflow: u64,
    attributes: Range<u32>,
    clock_offsets: Option<ClockOffsets>,
}

/// Kinds and values of attributes, each once.
#[derive(Debug, Default)]
struct Texts {
    list: Vec<(String, String)>,
    places: HashMap<(String, String), u32>,
}

impl Texts {
    fn place(&mut self, kind: &str, value: &str) -> u32 {
        let text = (kind.to_owned(), value.to_owned());
        if let Some(&place) = self.places.get(&text) {
            return place;
        }
        let place = index(self.list.len());
        self.list.push(text.clone());
        self.places.insert(text, place);
        place
    }
}

/// Places fit 32 bits: what is collected at once is far below.
fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Cells {
    /// Forgets all, and keeps the memory.
    pub(in super::super) fn clear(&mut self) {
        self.items.clear();
        self.buckets.clear();
        self.attributes.clear();
        self.texts.list.clear();
        self.texts.places.clear();
    }

    pub(in super::super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The place of an attribute's kind and value.
    pub(in super::super) fn text(&mut self, kind: &str, value: &str) -> u32 {
        self.texts.place(kind, value)
    }

    /// Kinds and values, by their places.
    pub(super) fn texts(&self) -> &[(String, String)] {
        &self.texts.list
    }

    /// Adds a cell whose attributes are counted by places here.
    pub(in super::super) fn push(&mut self, key: Key, cell: &Cell<'_>) {
        let buckets = index(self.buckets.len());
        self.buckets.extend_from_slice(cell.buckets);
        let attributes = index(self.attributes.len());
        self.attributes.extend_from_slice(cell.attributes);
        self.items.push(Item {
            key,
            start: cell.start,
            end: cell.end,
            counters: *cell.counters,
            buckets: buckets..index(self.buckets.len()),
            sum_us: cell.sum_us,
            min_us: cell.min_us,
            max_us: cell.max_us,
            overflow: cell.overflow,
            attributes: attributes..index(self.attributes.len()),
            clock_offsets: cell.clock_offsets,
        });
    }

    /// The cells with their keys, in their order.
    pub(in super::super) fn iter(&self) -> impl Iterator<Item = (Key, Cell<'_>)> {
        self.items.iter().map(|item| (item.key, self.view(item)))
    }

    /// The rows one after another: each with its cells.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Key, impl Iterator<Item = Cell<'_>> + Clone)> {
        let rows = self.items.chunk_by(|one, next| one.key == next.key);
        rows.map(|row| (row[0].key, row.iter().map(|item| self.view(item))))
    }

    fn view<'a>(&'a self, item: &'a Item) -> Cell<'a> {
        Cell {
            start: item.start,
            end: item.end,
            counters: &item.counters,
            buckets: &self.buckets[item.buckets.start as usize..item.buckets.end as usize],
            sum_us: item.sum_us,
            min_us: item.min_us,
            max_us: item.max_us,
            overflow: item.overflow,
            attributes: &self.attributes[item.attributes.start as usize..item.attributes.end as usize],
            clock_offsets: item.clock_offsets,
        }
    }

    /// Gives rows other keys.
    pub(in super::super) fn rename(&mut self, mut rename: impl FnMut(Key, &Cell<'_>) -> Key) {
        let mut items = std::mem::take(&mut self.items);
        for item in &mut items {
            item.key = rename(item.key, &self.view(item));
        }
        self.items = items;
    }

    /// Puts the cells in the order of their rows and starts.
    pub(in super::super) fn sort(&mut self) {
        let order = |item: &Item| (item.key, item.start);
        if !self.items.is_sorted_by_key(order) {
            self.items.sort_by_key(order);
        }
    }

    /// The same in order, the cells of one row and slot merged into one, which starts where its slot does: where a cell does
    /// unless they are coarser.
    pub(in super::super) fn merged(mut self, slot: impl Fn(i64) -> i64) -> Self {
        self.sort();
        let items = std::mem::take(&mut self.items);
        let (mut buckets, mut attributes) = (Vec::new(), Vec::new());
        let mut merged = Self::default();
        for slots in items.chunk_by(|one, next| one.key == next.key && slot(one.start) == slot(next.start)) {
            let [first, rest @ ..] = slots else { continue };
            let start = slot(first.start);
            if rest.is_empty() {
                merged.push(first.key, &Cell { start, ..self.view(first) });
                continue;
            }
            buckets.clear();
            attributes.clear();
            let mut sum = Item { start, ..first.clone() };
            for (place, item) in slots.iter().enumerate() {
                let cell = self.view(item);
                if place > 0 {
                    sum.add(&cell, buckets.is_empty());
                }
                buckets.extend_from_slice(cell.buckets);
                attributes.extend_from_slice(cell.attributes);
            }
            add_up(&mut buckets);
            add_up(&mut attributes);
            let sum = Cell {
                start,
                end: sum.end,
                counters: &sum.counters,
                buckets: &buckets,
                sum_us: sum.sum_us,
                min_us: sum.min_us,
                max_us: sum.max_us,
                overflow: sum.overflow,
                attributes: &attributes,
                clock_offsets: sum.clock_offsets,
            };
            merged.push(first.key, &sum);
        }
        merged.texts = self.texts;
        merged
    }

    /// Distributes the cells by what `part` says of them, each part with all texts.
    pub(in super::super) fn split<P: Ord>(&self, part: impl Fn(Key, &Cell<'_>) -> P) -> Vec<(P, Self)> {
        let mut parts: std::collections::BTreeMap<P, Self> = std::collections::BTreeMap::new();
        for (key, cell) in self.iter() {
            parts.entry(part(key, &cell)).or_default().take_over(key, &cell, &self.texts);
        }
        parts.into_iter().collect()
    }

    /// Adds all cells of another collection.
    pub(in super::super) fn append(&mut self, more: &Self) {
        for (key, cell) in more.iter() {
            self.take_over(key, &cell, &more.texts);
        }
    }

    /// The same in parts of about so many cells, each of whole rows.
    pub(in super::super) fn parts(&self, many: usize) -> Vec<Self> {
        let mut parts = vec![Self::default()];
        for (key, row) in self.rows() {
            if parts.last().is_some_and(|part| part.len() >= many) {
                parts.push(Self::default());
            }
            if let Some(part) = parts.last_mut() {
                row.for_each(|cell| part.take_over(key, &cell, &self.texts));
            }
        }
        parts
    }

    /// Adds a cell of another collection, whose texts these are.
    fn take_over(&mut self, key: Key, cell: &Cell<'_>, texts: &Texts) {
        if cell.attributes.is_empty() {
            return self.push(key, cell);
        }
        let attributes: Vec<(u32, u64)> = cell
            .attributes
            .iter()
            .map(|&(place, count)| {
                let (kind, value) = &texts.list[place as usize];
                (self.text(kind, value), count)
            })
            .collect();
        self.push(key, &Cell { attributes: &attributes, ..*cell });
    }
}

impl Item {
    /// Adds all but buckets and attributes; `first` if no sample was added before.
    fn add(&mut self, cell: &Cell<'_>, first: bool) {
        self.end = self.end.max(cell.end);
        self.counters.merge(cell.counters);
        self.clock_offsets = joined(self.clock_offsets, cell.clock_offsets);
        if cell.buckets.is_empty() {
            return;
        }
        (self.min_us, self.max_us) = if first {
            (cell.min_us, cell.max_us)
        } else {
            (self.min_us.min(cell.min_us), self.max_us.max(cell.max_us))
        };
        self.sum_us = self.sum_us.saturating_add(cell.sum_us);
        self.overflow = self.overflow.saturating_add(cell.overflow);
    }
}

/// Puts counts in the order of what they count, and adds up those of the same.
fn add_up<T: Copy + Ord>(counts: &mut Vec<(T, u64)>) {
    counts.sort_unstable_by_key(|&(what, _count)| what);
    counts.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.saturating_add(next.1);
        }
        same
    });
}

impl Sink for Cells {
    fn begin(&mut self, texts: &[(&str, &str)]) -> Result<(), StoreError> {
        self.places.clear();
        for (kind, value) in texts {
            let place = self.texts.place(kind, value);
            self.places.push(place);
        }
        Ok(())
    }

    fn row(&mut self, key: Key) -> Result<bool, StoreError> {
        self.key = Some(key);
        Ok(true)
    }

    fn cell(&mut self, cell: &Cell<'_>) {
        let Some(key) = self.key else { return };
        self.push(key, cell);
        // The reader has checked that each place is that of a text.
        if let Some(item) = self.items.last() {
            for (place, _count) in &mut self.attributes[item.attributes.start as usize..] {
                *place = self.places[*place as usize];
            }
        }
    }
}
