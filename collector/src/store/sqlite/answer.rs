//! The answer to a query while it is added up: cells fall into groups and slots, and add to dense counts.

use super::{
    block::{Cell, Key, Sink},
    dictionary::Names,
};
use crate::store::{Agents, ClockOffsets, Grouping, Query, Row, StoreError, Totals, joined, slot_of};
use hashbrown::HashMap;
use indexmap::IndexSet;
use peerlight_proto::{
    histogram::{BUCKETS, Histogram},
    id::AgentId,
    measurement::{Attribute, Counters},
    time::Timestamp,
};
use rusqlite::Connection;
use std::sync::Arc;

/// Adds up what is read.
pub(super) struct Answer<'a> {
    db: &'a Connection,
    names: &'a mut Names,
    query: &'a Query,
    grouping: &'a dyn Grouping,
    times: bool,
    /// Only cells that start in these seconds count.
    span: (i64, i64),
    /// What was met by origin, shape and, where they are kept apart, agent, and its place in `wanted`. None: nobody asks for
    /// it.
    known: HashMap<(u32, u32, Option<u32>), Option<usize>>,
    wanted: Vec<Wanted>,
    /// The place of each group and slot in `sums`.
    places: HashMap<(u32, i64), usize>,
    #[expect(
        clippy::vec_box,
        reason = "a sum is some hundred bytes: it moves by its address when more come, and at the end"
    )]
    sums: Vec<Box<Sum>>,
    /// Every kind and value of attributes, once.
    texts: IndexSet<(String, String)>,
    /// Where the texts of the block that is being read stand in `texts`.
    block_texts: Vec<usize>,
    /// The row that is being read, if it is wanted: its place in `wanted`, and its agent.
    row: Option<(usize, u32)>,
}

/// What adds to a group.
#[derive(Debug)]
struct Wanted {
    group: u32,
    /// The slot, agent and place of its last cell.
    last: Option<(i64, u32, usize)>,
}

impl<'a> Answer<'a> {
    pub(super) fn new(
        db: &'a Connection,
        names: &'a mut Names,
        query: &'a Query,
        grouping: &'a dyn Grouping,
    ) -> Self {
        Self {
            db,
            names,
            query,
            grouping,
            times: grouping.wants_times(),
            span: (0, 0),
            known: HashMap::new(),
            wanted: Vec::new(),
            places: HashMap::new(),
            sums: Vec::new(),
            texts: IndexSet::new(),
            block_texts: Vec::new(),
            row: None,
        }
    }

    /// From now on only what starts in these seconds counts.
    pub(super) fn within(&mut self, from: i64, to: i64) {
        self.span = (from, to);
    }

    /// The rows, in the order of their groups and slots.
    pub(super) fn finish(mut self) -> Result<Vec<Row>, StoreError> {
        let mut places: Vec<((u32, i64), usize)> = self.places.into_iter().collect();
        places.sort_unstable();
        // What grows piece by piece is copied over and over.
        let mut buckets = Vec::new();
        let rows = places.into_iter().map(|((group, slot), place)| {
            let sum = std::mem::take(&mut self.sums[place]);
            sum.into_row(group, Timestamp::from_micros(slot), &self.texts, &mut buckets)
        });
        rows.collect()
    }

    fn group_of(&mut self, key: Key) -> Result<Option<u32>, StoreError> {
        let origin = self.names.origin(self.db, key.origin)?;
        if self.query.registrations.as_ref().is_some_and(|wanted| !wanted.contains(&origin.registration)) {
            return Ok(None);
        }
        let shape = self.names.shape(self.db, key.shape)?;
        let agent: Option<AgentId> = if self.grouping.keeps_agents_apart() {
            Some(self.names.agent(self.db, key.agent)?)
        } else {
            None
        };
        Ok(self.grouping.group(&origin, &shape, agent))
    }

    /// The place of the sum that a cell of the row adds to which starts then.
    #[inline]
    fn place(&mut self, (row, agent): (usize, u32), start: i64) -> usize {
        let slot = match self.query.step {
            Some(step) => slot_of(Timestamp::from_secs(start), step).as_micros(),
            None => self.query.from.as_micros(),
        };
        match self.wanted[row].last {
            Some((last, of, place)) if (last, of) == (slot, agent) => place,
            _ => self.place_of((row, agent), slot),
        }
    }

    fn place_of(&mut self, (row, agent): (usize, u32), slot: i64) -> usize {
        let Wanted { group, last } = &mut self.wanted[row];
        let next = self.sums.len();
        let place = *self.places.entry((*group, slot)).or_insert(next);
        if place == next {
            self.sums.push(Box::default());
        }
        self.sums[place].agents.insert(agent);
        *last = Some((slot, agent, place));
        place
    }
}

impl Sink for Answer<'_> {
    fn begin(&mut self, texts: &[(&str, &str)]) -> Result<(), StoreError> {
        self.block_texts.clear();
        for (kind, value) in texts {
            let (place, _new) = self.texts.insert_full(((*kind).to_owned(), (*value).to_owned()));
            self.block_texts.push(place);
        }
        Ok(())
    }

    fn row(&mut self, key: Key) -> Result<bool, StoreError> {
        let agent = self.grouping.keeps_agents_apart().then_some(key.agent);
        let known = (key.origin, key.shape, agent);
        let row = if let Some(row) = self.known.get(&known) {
            *row
        } else {
            let group = self.group_of(key)?;
            let row = group.map(|group| {
                self.wanted.push(Wanted { group, last: None });
                self.wanted.len() - 1
            });
            self.known.insert(known, row);
            row
        };
        self.row = row.map(|row| (row, key.agent));
        Ok(self.row.is_some())
    }

    #[inline]
    fn cell(&mut self, cell: &Cell<'_>) {
        let (from, to) = self.span;
        let Some(row) = self.row.filter(|_| (from..to).contains(&cell.start)) else { return };
        let place = self.place(row, cell.start);
        let sum = &mut self.sums[place];
        sum.counters.merge(cell.counters);
        if self.times {
            sum.add_times(cell, &self.block_texts);
        }
    }
}

/// How many buckets a page holds: a quarter of an octave of times.
const PAGE: usize = 32;
const PAGES: usize = BUCKETS.div_ceil(PAGE);
const _: () = assert!(PAGES < u8::MAX as usize, "a page's number, plus one, fits a byte");

/// Counts of buckets. Latencies of a group lie in a few parts of an octave: pages of counts are dense where there are any, and
/// few and small all the same.
#[derive(Debug)]
struct Pages {
    /// Where the counts of each page stand, from one; zero where there are none.
    places: [u8; PAGES],
    counts: Vec<[u64; PAGE]>,
}

impl Default for Pages {
    fn default() -> Self {
        Self { places: [0; PAGES], counts: Vec::new() }
    }
}

impl Pages {
    #[inline]
    fn add(&mut self, bucket: u16, count: u64) {
        let (page, place) = (usize::from(bucket) / PAGE, usize::from(bucket) % PAGE);
        if self.places[page] == 0 {
            self.counts.push([0; PAGE]);
            self.places[page] = u8::try_from(self.counts.len()).unwrap_or(u8::MAX);
        }
        let sum = &mut self.counts[usize::from(self.places[page]) - 1][place];
        *sum = sum.saturating_add(count);
    }

    /// Adds the buckets that there are, in order, to these.
    fn collect(&self, buckets: &mut Vec<(u16, u64)>) {
        for (page, place) in self.places.iter().enumerate().filter(|(_, place)| **place > 0) {
            for (offset, &count) in self.counts[usize::from(*place) - 1].iter().enumerate() {
                if count > 0 {
                    buckets.push((u16::try_from(page * PAGE + offset).unwrap_or(u16::MAX), count));
                }
            }
        }
    }
}

/// What one row of an answer adds up to so far.
#[derive(Debug, Default)]
struct Sum {
    counters: Counters,
    pages: Pages,
    total_us: u64,
    /// Smallest and largest, once there is a sample.
    bounds: Option<(u64, u64)>,
    overflow: u64,
    attributes: HashMap<usize, u64>,
    clock_offsets: Option<ClockOffsets>,
    agents: Agents,
}

impl Sum {
    #[inline]
    fn add_times(&mut self, cell: &Cell<'_>, texts: &[usize]) {
        for &(bucket, count) in cell.buckets {
            self.pages.add(bucket, count);
        }
        if !cell.buckets.is_empty() {
            self.total_us = self.total_us.saturating_add(cell.sum_us);
            self.overflow = self.overflow.saturating_add(cell.overflow);
            self.bounds = Some(match self.bounds {
                Some((min, max)) => (min.min(cell.min_us), max.max(cell.max_us)),
                None => (cell.min_us, cell.max_us),
            });
        }
        if cell.clock_offsets.is_some() {
            self.clock_offsets = joined(self.clock_offsets, cell.clock_offsets);
        }
        for &(place, count) in cell.attributes {
            let sum = self.attributes.entry(texts[place as usize]).or_default();
            *sum = sum.saturating_add(count);
        }
    }

    /// The row. `buckets` is of use only for its memory.
    fn into_row(
        self: Box<Self>,
        group: u32,
        slot: Timestamp,
        texts: &IndexSet<(String, String)>,
        buckets: &mut Vec<(u16, u64)>,
    ) -> Result<Row, StoreError> {
        buckets.clear();
        self.pages.collect(buckets);
        let (min, max) = self.bounds.unwrap_or_default();
        let histogram =
            Histogram::from_parts(buckets.clone(), self.total_us, min, max, self.overflow).map_err(
                |error| StoreError::Damaged { what: "block of measurements", detail: error.to_string() },
            )?;
        let mut attributes: Vec<Attribute> = self
            .attributes
            .into_iter()
            .map(|(place, count)| {
                let (kind, value) = texts[place].clone();
                Attribute { kind, value, count }
            })
            .collect();
        attributes.sort_by(|one, other| (&one.kind, &one.value).cmp(&(&other.kind, &other.value)));
        Ok(Row {
            group,
            slot,
            totals: Totals {
                counters: self.counters,
                histogram,
                attributes,
                clock_offsets: self.clock_offsets,
            },
            agents: Arc::new(self.agents),
        })
    }
}
