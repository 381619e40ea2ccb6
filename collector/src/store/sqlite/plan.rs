//! Which resolution answers which part of a span: whole fresh days, whole fresh quarter hours, and batches for the rest.

use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// A part of a span and where it is read from. Times are whole seconds, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Rollups of this resolution whose spans start in here.
    Rollups(IntervalLength, i64, i64),
    /// Measurements that start in here.
    Batches(i64, i64),
}

/// What the plan has to know of the store.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Spans whose rollup is not to be trusted, by resolution in seconds and start.
    pub(super) stale: BTreeSet<(u32, i64)>,
    /// The first second that batches are kept from.
    pub(super) batches_from: i64,
    /// The first second that quarter hours are kept from.
    pub(super) quarters_from: i64,
}

/// Cuts `from..to` into pieces, coarsest first where it may be. With a step, no rollup is longer than a slot.
///
/// Where batches are gone a rollup counts as a measurement of its own: it belongs to the span in which it starts.
pub(super) fn plan(from: i64, to: i64, step: Option<Duration>, state: &State) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = from;
    while at < to {
        let (piece, next) = piece_at(at, to, step, state);
        match (pieces.last_mut(), piece) {
            (Some(Piece::Batches(_, end)), Piece::Batches(start, more)) if *end == start => *end = more,
            (Some(Piece::Rollups(last, _, end)), Piece::Rollups(length, start, more))
                if *last == length && *end == start =>
            {
                *end = more;
            }
            (_, piece) => pieces.push(piece),
        }
        at = next;
    }
    pieces
}

fn piece_at(at: i64, to: i64, step: Option<Duration>, state: &State) -> (Piece, i64) {
    for length in [IntervalLength::DAY, IntervalLength::QUARTER_HOUR] {
        let fits_step = step.is_none_or(|step| {
            let (step, length) = (step.as_secs(), u64::from(length.as_secs()));
            step >= length && step.is_multiple_of(length)
        });
        let interval = Interval::containing(Timestamp::from_secs(at), length);
        let (start, end) = (interval.start().as_secs(), interval.end().as_secs());
        let finer_gone = match length {
            IntervalLength::DAY => at < state.quarters_from,
            _ => at < state.batches_from,
        };
        if finer_gone {
            // Nothing finer is left: this rollup counts if it starts in the span.
            let next = end.min(to);
            let from = if start >= at { start } else { end.min(to) };
            return (Piece::Rollups(length, from, next), next);
        }
        if fits_step && start == at && end <= to && !state.stale.contains(&(length.as_secs(), start)) {
            return (Piece::Rollups(length, start, end), end);
        }
    }
    // To the next edge of a quarter hour, where a rollup may take over.
    let edge =
        Interval::containing(Timestamp::from_secs(at), IntervalLength::QUARTER_HOUR).end().as_secs().min(to);
    (Piece::Batches(at, edge), edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: i64 = 900;
    const DAY: i64 = 86_400;

    #[test]
    fn edges_come_from_batches_and_the_middle_from_the_coarsest() {
        let pieces = plan(DAY - QUARTER - 60, 3 * DAY + 60, None, &State::default());
        assert_eq!(
            pieces,
            [
                Piece::Batches(DAY - QUARTER - 60, DAY - QUARTER),
                Piece::Rollups(IntervalLength::QUARTER_HOUR, DAY - QUARTER, DAY),
                Piece::Rollups(IntervalLength::DAY, DAY, 3 * DAY),
                Piece::Batches(3 * DAY, 3 * DAY + 60),
            ]
        );
    }

    #[test]
    fn a_stale_span_is_read_from_what_is_finer() {
        let stale = BTreeSet::from([(86_400, DAY), (900, DAY + QUARTER)]);
        let pieces = plan(DAY, 2 * DAY, None, &State { stale, ..State::default() });
        assert_eq!(
            pieces,
            [
                Piece::Rollups(IntervalLength::QUARTER_HOUR, DAY, DAY + QUARTER),
                Piece::Batches(DAY + QUARTER, DAY + 2 * QUARTER),
                Piece::Rollups(IntervalLength::QUARTER_HOUR, DAY + 2 * QUARTER, 2 * DAY),
            ]
        );
    }

    #[test]
    fn a_step_keeps_rollups_within_its_slots() {
        let hour = plan(0, DAY, Some(Duration::from_hours(1)), &State::default());
        assert_eq!(hour, [Piece::Rollups(IntervalLength::QUARTER_HOUR, 0, DAY)]);
        let minute = plan(0, DAY, Some(Duration::from_mins(1)), &State::default());
        assert_eq!(minute, [Piece::Batches(0, DAY)]);
    }

    #[test]
    fn where_batches_are_gone_a_rollup_belongs_to_the_span_it_starts_in() {
        let state = State { batches_from: 10 * DAY, ..State::default() };
        let pieces = plan(DAY + 60, DAY + 2 * QUARTER + 60, None, &state);
        assert_eq!(
            pieces,
            [Piece::Rollups(IntervalLength::QUARTER_HOUR, DAY + QUARTER, DAY + 2 * QUARTER + 60)]
        );
    }
}
