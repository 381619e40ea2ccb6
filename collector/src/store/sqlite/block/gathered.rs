//! Records of many blocks on their way to be read row by row.
//!
//! A batch holds one cell of each of its rows: who takes a log batch by batch goes from row to row for each cell, and what is
//! known of a row is far away in memory each time. Records are therefore gathered as they are, dealt out to their rows, and
//! only then read.

use super::{
    Key, Sink, Span,
    cells::{index, place_of},
    deal::{deal, sort},
    records::{Groups, Record, Scratch},
    stream::Fault,
};
use crate::store::StoreError;
use hashbrown::DefaultHashBuilder;
use indexmap::IndexSet;
use peerlight_proto::metric::Metric;
use std::{collections::BTreeSet, ops::Range};

/// So many records are a crowd, some ten megabytes of usual ones: who can do without the rest takes them now …
const MANY: usize = 1 << 17;
/// … and so are fewer that hold so many bytes, as those of an agent do that fills its histograms to the brim.
const MANY_BYTES: usize = 16 << 20;

/// Records that are not read yet.
#[derive(Debug, Default)]
pub(in super::super) struct Gathered {
    /// The rows by number.
    rows: IndexSet<(Metric, Key), DefaultHashBuilder>,
    /// Whether each of them is wanted.
    wanted: Vec<bool>,
    items: Vec<Item>,
    /// What the records hold.
    bodies: Vec<u8>,
    /// Kinds and values of attributes, each once.
    texts: IndexSet<(String, String)>,
    /// Where the texts of one block after another stand in `texts`.
    places: Vec<u32>,
    /// Of use for its memory, while records are dealt out.
    dealt: Vec<Item>,
}

/// A record: where what it holds lies.
#[derive(Debug, Clone, Copy)]
struct Item {
    start: i64,
    row: u32,
    body: u32,
    length: u32,
    /// In `places`, the texts of its block.
    texts: (u32, u32),
    flags: u8,
}

impl Gathered {
    /// Forgets all, and keeps the memory.
    pub(in super::super) fn clear(&mut self) {
        self.rows.clear();
        self.wanted.clear();
        self.items.clear();
        self.bodies.clear();
        self.texts.clear();
        self.places.clear();
    }

    /// Whether there are so many that they should be read before more come.
    pub(in super::super) fn is_crowded(&self) -> bool {
        self.items.len() >= MANY || self.bodies.len() >= MANY_BYTES
    }

    /// Adds what a block of records holds of these metrics, of the rows that are wanted; no metric means every one. All of
    /// it or, if it is seen to be damaged, nothing: what the records hold is not looked at yet.
    pub(in super::super) fn add(
        &mut self,
        metrics: &BTreeSet<Metric>,
        block: &[u8],
        is_wanted: impl FnMut(Key) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let (items, bodies) = (self.items.len(), self.bodies.len());
        self.add_records(metrics, block, is_wanted).inspect_err(|_damaged| {
            self.items.truncate(items);
            self.bodies.truncate(bodies);
        })
    }

    fn add_records(
        &mut self,
        metrics: &BTreeSet<Metric>,
        block: &[u8],
        mut is_wanted: impl FnMut(Key) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let mut groups = Groups::of(block)?;
        let first = index(self.places.len());
        for (kind, value) in &groups.texts {
            self.places.push(place_of(&mut self.texts, kind, value));
        }
        let texts = (first, index(self.places.len()));
        while let Some((metric, mut records)) = groups.next()? {
            if !metrics.is_empty() && !metrics.contains(&metric) {
                continue;
            }
            let mut row = 0;
            while let Some(record) = records.next()? {
                if record.begins_row {
                    let (number, new) = self.rows.insert_full((metric, record.key));
                    if new {
                        self.wanted.push(is_wanted(record.key)?);
                    }
                    row = index(number);
                }
                if self.wanted[row as usize] {
                    let (body, length) = (index(self.bodies.len()), index(record.body.len()));
                    self.bodies.extend_from_slice(record.body);
                    let Record { start, flags, .. } = record;
                    self.items.push(Item { start, row, body, length, texts, flags });
                }
            }
        }
        Ok(())
    }

    /// Hands over all records, row by row, and forgets them.
    pub(in super::super) fn drain(&mut self, sink: &mut impl Sink) -> Result<(), StoreError> {
        let rows: Vec<u32> = self.items.iter().map(|item| item.row).collect();
        deal(&mut self.items, &mut self.dealt, &rows, self.rows.len());
        let read = self.read(0..self.items.len(), sink);
        self.clear();
        read
    }

    /// Puts the records in the order of their metrics, rows and starts.
    pub(in super::super) fn sort(&mut self) {
        let Self { items, dealt, rows, .. } = self;
        let key = |row: u32| rows[row as usize];
        sort((items, dealt), (rows.len(), key), |item| item.row, |item| item.start);
    }

    /// Where the records of each metric stand, once they are in order.
    pub(in super::super) fn metrics(&self) -> Vec<(Metric, Range<usize>)> {
        let mut metrics = Vec::new();
        let mut begin = 0;
        let metric = |item: &Item| self.rows[item.row as usize].0;
        for records in self.items.chunk_by(|one, next| one.row == next.row || metric(one) == metric(next)) {
            metrics.push((metric(&records[0]), begin..begin + records.len()));
            begin += records.len();
        }
        metrics
    }

    /// The rows, and from when to when each was measured.
    pub(in super::super) fn spans(&self) -> Result<Vec<(Key, Span)>, StoreError> {
        let mut spans: Vec<Option<Span>> = vec![None; self.rows.len()];
        for item in &self.items {
            let (_, record) = self.record(item);
            let end = record.start.wrapping_add(record.length()?);
            let (first, last) = spans[item.row as usize].get_or_insert((record.start, end));
            (*first, *last) = (record.start.min(*first), end.max(*last));
        }
        Ok(self.rows.iter().zip(spans).filter_map(|((_, key), span)| Some((*key, span?))).collect())
    }

    /// Hands over the records that stand there, in their order.
    pub(in super::super) fn read(
        &self,
        records: Range<usize>,
        sink: &mut impl Sink,
    ) -> Result<(), StoreError> {
        let texts: Vec<(&str, &str)> =
            self.texts.iter().map(|(kind, value)| (kind.as_str(), value.as_str())).collect();
        sink.begin(&texts)?;
        let mut scratch = Scratch::default();
        for row in self.items[records].chunk_by(|one, next| one.row == next.row) {
            let (_, key) = self.rows[row[0].row as usize];
            if !sink.row(key)? {
                continue;
            }
            for item in row {
                let (texts, record) = self.record(item);
                let text = |place: u64| {
                    usize::try_from(place).ok().and_then(|place| texts.get(place)).ok_or(Fault::Attribute)
                };
                sink.cell(&record.cell(|place| text(place).copied(), &mut scratch)?);
            }
        }
        Ok(())
    }

    /// A record, and where the texts of its block stand.
    #[inline]
    fn record(&self, item: &Item) -> (&[u32], Record<'_>) {
        let (_, key) = self.rows[item.row as usize];
        let body = &self.bodies[item.body as usize..][..item.length as usize];
        let texts = &self.places[item.texts.0 as usize..item.texts.1 as usize];
        (texts, Record { key, begins_row: true, start: item.start, flags: item.flags, body })
    }
}
