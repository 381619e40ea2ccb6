//! Cells that become one: a row's within a slot.

use super::Cell;
use crate::store::{ClockOffsets, joined};
use peerlight_proto::{histogram::BUCKETS, measurement::Counters};

/// Cells that are added up. Counts are dense, and only those that were touched are looked at.
pub(super) struct Sum {
    counts: Vec<u64>,
    touched: Vec<u16>,
    buckets: Vec<(u16, u64)>,
    attributes: Vec<(u32, u64)>,
    counters: Counters,
    /// Start and end, once there is a cell.
    span: Option<(i64, i64)>,
    total_us: u64,
    /// Smallest and largest, once there is a sample.
    bounds: Option<(u64, u64)>,
    overflow: u64,
    clock_offsets: Option<ClockOffsets>,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            touched: Vec::new(),
            buckets: Vec::new(),
            attributes: Vec::new(),
            counters: Counters::default(),
            span: None,
            total_us: 0,
            bounds: None,
            overflow: 0,
            clock_offsets: None,
        }
    }
}

impl Sum {
    /// Adds a cell.
    #[inline]
    pub(super) fn add(&mut self, cell: &Cell<'_>) {
        self.span = Some(match self.span {
            Some((start, end)) => (start.min(cell.start), end.max(cell.end)),
            None => (cell.start, cell.end),
        });
        self.counters.merge(cell.counters);
        self.clock_offsets = joined(self.clock_offsets, cell.clock_offsets);
        self.attributes.extend_from_slice(cell.attributes);
        if cell.buckets.is_empty() {
            return;
        }
        for &(bucket, count) in cell.buckets {
            let sum = &mut self.counts[usize::from(bucket)];
            if *sum == 0 {
                self.touched.push(bucket);
            }
            *sum = sum.saturating_add(count);
        }
        self.bounds = Some(match self.bounds {
            Some((min, max)) => (min.min(cell.min_us), max.max(cell.max_us)),
            None => (cell.min_us, cell.max_us),
        });
        self.total_us = self.total_us.saturating_add(cell.sum_us);
        self.overflow = self.overflow.saturating_add(cell.overflow);
    }

    /// Hands over the sum, and begins anew.
    pub(super) fn take(&mut self, each: impl FnOnce(&Cell<'_>)) {
        self.touched.sort_unstable();
        self.buckets.clear();
        for bucket in self.touched.drain(..) {
            self.buckets.push((bucket, std::mem::take(&mut self.counts[usize::from(bucket)])));
        }
        self.attributes.sort_unstable();
        self.attributes.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
        let (start, end) = self.span.take().unwrap_or_default();
        let (min_us, max_us) = self.bounds.take().unwrap_or_default();
        each(&Cell {
            start,
            end,
            counters: &self.counters,
            buckets: &self.buckets,
            sum_us: self.total_us,
            min_us,
            max_us,
            overflow: self.overflow,
            attributes: &self.attributes,
            clock_offsets: self.clock_offsets,
        });
        self.attributes.clear();
        (self.counters, self.clock_offsets) = (Counters::default(), None);
        (self.total_us, self.overflow) = (0, 0);
    }
}
