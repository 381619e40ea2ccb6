//! The jitter of probes that may be answered in any order, in bounded memory.

use std::collections::BTreeMap;

/// How many turns may be waiting for a neighbour: more than are ever under way, at the shortest interval and deadline.
const WAITING: usize = 1_024;

/// The differences between consecutive answered probes (RFC 3393).
#[derive(Debug, Clone, Default)]
pub(super) struct Jitter {
    /// The last turns that were answered, with their times in microseconds.
    recent: BTreeMap<u32, u64>,
    count: u64,
    sum_us: u64,
}

impl Jitter {
    /// Turn `turn` was answered.
    pub(super) fn record(&mut self, turn: u32, us: u64) {
        for neighbour in [turn.checked_sub(1), turn.checked_add(1)].into_iter().flatten() {
            if let Some(other) = self.recent.get(&neighbour) {
                self.count += 1;
                self.sum_us = self.sum_us.saturating_add(other.abs_diff(us));
            }
        }
        self.recent.insert(turn, us);
        if self.recent.len() > WAITING {
            self.recent.pop_first();
        }
    }

    /// Their mean in microseconds.
    #[expect(clippy::cast_precision_loss, reason = "microseconds and counts of one run stay far below 2^53")]
    pub(super) fn mean_us(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_us as f64 / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As if all had been kept and put in order.
        #[test]
        fn order_does_not_matter(times in prop::collection::btree_map(0_u32..40, 0_u64..10_000, 0..40), seed in any::<u64>()) {
            let mut shuffled: Vec<(u32, u64)> = times.iter().map(|(&turn, &us)| (turn, us)).collect();
            shuffled.sort_by_key(|&(turn, _)| (u64::from(turn) + 1).wrapping_mul(seed | 1));
            let mut jitter = Jitter::default();
            for (turn, us) in shuffled {
                jitter.record(turn, us);
            }
            let differences: Vec<u64> = times
                .iter()
                .filter_map(|(turn, us)| Some(times.get(&(turn + 1))?.abs_diff(*us)))
                .collect();
            prop_assert_eq!((jitter.count, jitter.sum_us), (differences.len() as u64, differences.iter().sum::<u64>()));
        }
    }

    #[test]
    fn a_long_run_keeps_only_its_end() {
        let mut jitter = Jitter::default();
        for turn in 0..100_000 {
            jitter.record(turn, u64::from(turn % 2) * 10);
        }
        assert_eq!((jitter.recent.len(), jitter.mean_us()), (WAITING, Some(10.0)));
    }
}
