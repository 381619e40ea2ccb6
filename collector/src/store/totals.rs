//! What adds up when rows merge: counters, times, what was seen, and how far clocks were off.

use peerlight_proto::{
    histogram::Histogram,
    measurement::{Attribute, Counters},
};

/// What one or many measurements hold. Merging is commutative and associative, so an answer does not depend on what was
/// batched or rolled up with what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// What became of the probes.
    pub counters: Counters,
    /// The times of the answered ones.
    pub histogram: Histogram,
    /// What was seen with them.
    pub attributes: Vec<Attribute>,
    /// The offsets that travelled with the batches; none where no agent knew its own.
    pub clock_offsets: Option<ClockOffsets>,
}

impl Totals {
    /// Adds what others hold.
    pub fn merge(&mut self, more: &Self) {
        self.counters.merge(&more.counters);
        self.histogram.merge(&more.histogram);
        merge_attributes(&mut self.attributes, &more.attributes);
        self.clock_offsets = joined(self.clock_offsets, more.clock_offsets);
    }
}

/// Offsets of clocks, collector minus agent, in microseconds: the least and the greatest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffsets {
    /// The least.
    pub min_us: i64,
    /// The greatest.
    pub max_us: i64,
}

impl ClockOffsets {
    /// A single one.
    pub const fn of(offset_us: i64) -> Self {
        Self { min_us: offset_us, max_us: offset_us }
    }

    /// The one furthest from zero: of two that are as far, the positive one.
    pub fn furthest_us(self) -> i64 {
        if self.min_us.unsigned_abs() > self.max_us.unsigned_abs() { self.min_us } else { self.max_us }
    }

    fn joined(self, other: Self) -> Self {
        Self { min_us: self.min_us.min(other.min_us), max_us: self.max_us.max(other.max_us) }
    }
}

/// The offsets of both, as far as they are known.
pub(crate) fn joined(one: Option<ClockOffsets>, other: Option<ClockOffsets>) -> Option<ClockOffsets> {
    one.into_iter().chain(other).reduce(ClockOffsets::joined)
}

/// Adds counts by kind and value, in the order of both. Nothing is cut here: a cut would make the answer depend on the
/// order of merging.
pub(crate) fn merge_attributes(into: &mut Vec<Attribute>, more: &[Attribute]) {
    for attribute in more {
        let place = into
            .binary_search_by(|there| (&there.kind, &there.value).cmp(&(&attribute.kind, &attribute.value)));
        match place {
            Ok(at) => into[at].count = into[at].count.saturating_add(attribute.count),
            Err(at) => into.insert(at, attribute.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn totals() -> impl Strategy<Value = Totals> {
        let values = prop::collection::vec(0..100_000_u64, 0..6);
        (values, 0..3_u8, prop::option::of(any::<i64>())).prop_map(|(values, edge, offset)| {
            let mut totals = Totals::default();
            totals.merge(&Totals {
                counters: Counters { answered: values.len() as u64, ..Counters::default() },
                attributes: vec![Attribute {
                    kind: "edge".into(),
                    value: edge.to_string(),
                    count: values.len() as u64,
                }],
                histogram: Histogram::from_values(values),
                clock_offsets: offset.map(ClockOffsets::of),
            });
            totals
        })
    }

    fn merged(one: &Totals, other: &Totals) -> Totals {
        let mut one = one.clone();
        one.merge(other);
        one
    }

    proptest! {
        #[test]
        fn merging_depends_neither_on_order_nor_on_grouping(a in totals(), b in totals(), c in totals()) {
            prop_assert_eq!(merged(&a, &b), merged(&b, &a));
            prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            prop_assert_eq!(merged(&a, &Totals::default()), a);
        }

        #[test]
        fn the_furthest_offset_of_all_survives_any_merge(offsets in prop::collection::vec(any::<i64>(), 1..20)) {
            let kept = offsets.iter().map(|us| Some(ClockOffsets::of(*us))).fold(None, joined).unwrap();
            let furthest = offsets.iter().map(|us| us.unsigned_abs()).max().unwrap();
            prop_assert_eq!(kept.furthest_us().unsigned_abs(), furthest);
            prop_assert!(offsets.contains(&kept.furthest_us()));
        }
    }
}
