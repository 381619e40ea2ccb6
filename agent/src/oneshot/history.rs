//! What became of the last probes of one target over one family, by their turns: for sparklines and smoke. Pure.

use crate::sample::Outcome;
use peerlight_proto::{histogram::micros, measurement::Ending};
use std::collections::VecDeque;

/// How many turns are kept.
const KEPT: usize = 16_384;

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landed {
    /// It was answered after so many microseconds.
    Answered(u32),
    /// It was not: it ended so.
    Failed(Ending),
}

impl Landed {
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered { latency, .. } => {
                Self::Answered(u32::try_from(micros(latency)).unwrap_or(u32::MAX))
            }
            Outcome::Failed(ending) => Self::Failed(ending),
        }
    }

    /// Its time, if it was answered.
    pub(super) const fn us(self) -> Option<u32> {
        match self {
            Self::Answered(us) => Some(us),
            Self::Failed(_) => None,
        }
    }
}

/// The last turns.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The turn of the first slot.
    first: u32,
    /// None where a probe is under way.
    slots: VecDeque<Option<Landed>>,
}

/// What landed of some consecutive turns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Column {
    /// In ascending order, in microseconds.
    pub(super) times: Vec<u32>,
    pub(super) failed: usize,
}

impl History {
    /// The probe of that turn landed. One whose turn was forgotten changes nothing.
    pub(super) fn land(&mut self, turn: u32, landed: Landed) {
        if self.slots.is_empty() {
            self.first = turn;
        }
        while turn < self.first && self.slots.len() < KEPT {
            self.slots.push_front(None);
            self.first -= 1;
        }
        let Some(place) = turn.checked_sub(self.first) else { return };
        for _ in self.slots.len()..=place as usize {
            self.slots.push_back(None);
            if self.slots.len() > KEPT {
                self.slots.pop_front();
                self.first += 1;
            }
        }
        let place = (turn - self.first) as usize;
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Some(landed);
        }
    }

    /// What the newest turn that landed came to.
    pub(super) fn newest(&self) -> Option<Landed> {
        self.slots.iter().rev().find_map(|slot| *slot)
    }

    /// The last that landed, in the order of their turns.
    pub(super) fn last(&self, count: usize) -> Vec<Landed> {
        let mut last: Vec<_> = self.slots.iter().rev().filter_map(|slot| *slot).take(count).collect();
        last.reverse();
        last
    }

    /// The last turns in columns of `span` turns each, the newest last. Columns stand still while the newest one fills.
    pub(super) fn columns(&self, span: u32, count: usize) -> Vec<Column> {
        let span = span.max(1);
        let end =
            self.first.saturating_add(u32::try_from(self.slots.len()).unwrap_or(u32::MAX)).div_ceil(span);
        let start = end.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX)).max(self.first / span);
        (start..end)
            .map(|column| {
                let turns = column * span..column.saturating_add(1).saturating_mul(span);
                let landed = turns.filter_map(|turn| {
                    turn.checked_sub(self.first)
                        .and_then(|place| self.slots.get(place as usize).copied().flatten())
                });
                let mut column = Column::default();
                for landed in landed {
                    match landed.us() {
                        Some(us) => column.times.push(us),
                        None => column.failed += 1,
                    }
                }
                column.times.sort_unstable();
                column
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(turns: impl IntoIterator<Item = (u32, Landed)>) -> History {
        let mut history = History::default();
        for (turn, landed) in turns {
            history.land(turn, landed);
        }
        history
    }

    #[test]
    fn turns_stand_in_their_order_whenever_they_land() {
        let answered = Landed::Answered;
        let history =
            of([(1, answered(11)), (0, answered(10)), (4, Landed::Failed(Ending::Lost)), (3, answered(13))]);
        assert_eq!(history.last(3), [answered(11), answered(13), Landed::Failed(Ending::Lost)]);
        assert_eq!(history.newest(), Some(Landed::Failed(Ending::Lost)));
        let columns = history.columns(2, 10);
        assert_eq!(
            columns.iter().map(|column| column.times.clone()).collect::<Vec<_>>(),
            [vec![10, 11], vec![13], vec![]]
        );
        assert_eq!(columns[2].failed, 1);
        assert_eq!(history.columns(2, 1), columns[2..]);
        assert!(History::default().columns(5, 10).is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let many = u32::try_from(KEPT).unwrap() + 100;
        let mut history = of((0..many).map(|turn| (turn, Landed::Answered(turn))));
        history.land(5, Landed::Failed(Ending::Lost));
        assert_eq!(history.slots.len(), KEPT);
        assert_eq!(history.last(KEPT)[0], Landed::Answered(100));
    }

    proptest! {
        #[test]
        fn every_turn_is_in_one_column(turns in prop::collection::vec(0_u32..300, 0..100), span in 1_u32..40) {
            let distinct: std::collections::BTreeSet<_> = turns.iter().copied().collect();
            let history = of(turns.into_iter().map(|turn| (turn, Landed::Answered(turn))));
            let shown: Vec<u32> = history.columns(span, 1_000).into_iter().flat_map(|column| column.times).collect();
            prop_assert_eq!(shown, distinct.into_iter().collect::<Vec<_>>());
        }
    }
}
