//! Which resolution answers which part of a span: whole fresh days, whole fresh quarter hours, and what was measured for the rest.

use peerlight_proto::time::{Interval, IntervalLength, Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// A part of a span and where it is read from. Times are whole seconds, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// Rollups of this resolution whose spans start in here.
    Rollups(IntervalLength, i64, i64),
    /// Measurements that start in here.
    Measured(i64, i64),
}

/// What the plan has to know of the store.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Spans whose rollups are not to be trusted: days and quarter hours, by resolution and start.
    pub(super) stale: BTreeSet<(i64, i64)>,
    /// The first second that measurements are kept from.
    pub(super) measured_from: i64,
    /// The first second that quarter hours are kept from.
    pub(super) quarters_from: i64,
}

/// Cuts `from..to` into pieces, coarsest first where it may be. With a step, no rollup is longer than a slot.
///
/// Where measurements are gone a rollup counts as a measurement of its own: it belongs to the span in which it starts.
pub(super) fn plan(from: i64, to: i64, step: Option<Duration>, state: &State) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = from;
    while at < to {
        let (piece, next) = piece_at(at, to, step, state);
        match (pieces.last_mut(), piece) {
            (Some(Piece::Measured(_, end)), Piece::Measured(start, more)) if *end == start => *end = more,
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
            _ => at < state.measured_from,
        };
        if finer_gone {
            // Nothing finer is left: this rollup counts if it starts in the span.
            let next = end.min(to);
            let from = if start >= at { start } else { end.min(to) };
            return (Piece::Rollups(length, from, next), next);
        }
        let resolution = i64::from(length.as_secs());
        let fresh = !state.stale.contains(&(resolution, start));
        if fits_step && start == at && end <= to && fresh {
            return (Piece::Rollups(length, start, end), end);
        }
    }
    // To the next edge of a quarter hour, where a rollup may take over.
    let edge =
        Interval::containing(Timestamp::from_secs(at), IntervalLength::QUARTER_HOUR).end().as_secs().min(to);
    (Piece::Measured(at, edge), edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER: i64 = 900;
    const HOUR: i64 = 3_600;
    const DAY: i64 = 86_400;

    #[test]
    fn edges_come_from_measurements_and_the_middle_from_the_coarsest() {
        let pieces = plan(DAY - QUARTER - 60, 3 * DAY + 60, None, &State::default());
        assert_eq!(
            pieces,
            [
                Piece::Measured(DAY - QUARTER - 60, DAY - QUARTER),
                Piece::Rollups(IntervalLength::QUARTER_HOUR, DAY - QUARTER, DAY),
                Piece::Rollups(IntervalLength::DAY, DAY, 3 * DAY),
                Piece::Measured(3 * DAY, 3 * DAY + 60),
            ]
        );
    }

    #[test]
    fn a_stale_span_is_read_from_what_is_finer() {
        let stale = BTreeSet::from([(86_400, DAY), (900, DAY + HOUR)]);
        let pieces = plan(DAY, 2 * DAY, None, &State { stale, ..State::default() });
        assert_eq!(
            pieces,
            [
                Piece::Rollups(IntervalLength::QUARTER_HOUR, DAY, DAY + HOUR),
                Piece::Measured(DAY + HOUR, DAY + HOUR + QUARTER),
                Piece::Rollups(IntervalLength::QUARTER_HOUR, DAY + HOUR + QUARTER, 2 * DAY),
            ]
        );
    }

    #[test]
    fn a_step_keeps_rollups_within_its_slots() {
        let hour = plan(0, DAY, Some(Duration::from_hours(1)), &State::default());
        assert_eq!(hour, [Piece::Rollups(IntervalLength::QUARTER_HOUR, 0, DAY)]);
        let minute = plan(0, DAY, Some(Duration::from_mins(1)), &State::default());
        assert_eq!(minute, [Piece::Measured(0, DAY)]);
    }

    #[test]
    fn where_measurements_are_gone_a_rollup_belongs_to_the_span_it_starts_in() {
        let state = State { measured_from: 10 * DAY, ..State::default() };
        let pieces = plan(DAY + 60, DAY + 2 * QUARTER + 60, None, &state);
        assert_eq!(
            pieces,
            [Piece::Rollups(IntervalLength::QUARTER_HOUR, DAY + QUARTER, DAY + 2 * QUARTER + 60)]
        );
    }
}
