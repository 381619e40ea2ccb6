//! The course of one agent's probes of one target: runs of one state, and between them nothing. Pure.

use super::state::{FEWEST_UNANSWERED, State};
use peerlight_proto::time::Timestamp;
use std::time::Duration;

/// What was seen of a span: a minute or a quarter hour, cut to what was asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sight {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) state: State,
    /// Probes that nobody answered.
    pub(super) unanswered: u64,
    /// How exactly its start and its end are known: to a minute, or to the quarter hour whose minutes nobody could look at.
    pub(super) resolution: [Duration; 2],
}

/// The sights that follow one another in one state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Run {
    pub(super) sight: Sight,
    /// Whether an answer stands before it, so that its start is known, and behind it.
    pub(super) known: [bool; 2],
}

/// The runs of an agent's schedule of one target, in order and apart.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    cadence: Duration,
    runs: Vec<Sight>,
}

/// What a part of a timeline was, as reports count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Answered,
    Outage,
    Undecided,
    Refused,
    NotMeasuring,
    Silent,
}

impl Timeline {
    /// Of a schedule with a turn each `cadence`.
    pub(super) fn new(cadence: Duration) -> Self {
        Self { cadence, runs: Vec::new() }
    }

    /// Adds what was seen next.
    pub(super) fn see(&mut self, sight: Sight) {
        if let Some(last) = self.runs.last_mut() {
            // Where no turn was due in between, nothing was missed in between.
            if sight.from.since(last.to) < self.cadence {
                last.to = sight.from;
            }
            if last.to == sight.from && last.state == sight.state {
                last.to = sight.to;
                last.unanswered = last.unanswered.saturating_add(sight.unanswered);
                last.resolution[1] = sight.resolution[1];
                return;
            }
        }
        self.runs.push(sight);
    }

    /// Whether probes left at any time in this span.
    pub(super) fn measured_within(&self, from: Timestamp, to: Timestamp) -> bool {
        let first = self.runs.partition_point(|run| run.to <= from);
        self.runs.iter().skip(first).take_while(|run| run.from < to).any(|run| run.state.is_measuring())
    }

    /// All parts in order, those included in which nothing was accounted for although turns were expected in `expected`.
    pub(super) fn parts(&self, expected: &[(Timestamp, Timestamp)]) -> Vec<(Part, Run)> {
        let silent = |from: Timestamp, to: Timestamp| {
            let within = expected.iter().map(move |(start, end)| (from.max(*start), to.min(*end)));
            within.filter(|(from, to)| from < to).map(|(from, to)| {
                let sight = Sight {
                    from,
                    to,
                    state: State::NotMeasuring,
                    unanswered: 0,
                    resolution: [Duration::ZERO; 2],
                };
                (Part::Silent, Run { sight, known: [false; 2] })
            })
        };
        let mut parts = Vec::with_capacity(self.runs.len());
        let mut at = Timestamp::from_micros(i64::MIN);
        for (place, sight) in self.runs.iter().enumerate() {
            parts.extend(silent(at, sight.from));
            let before = place.checked_sub(1).and_then(|before| self.runs.get(before));
            let before = before.filter(|before| before.to == sight.from);
            let after = self.runs.get(place + 1).filter(|after| after.from == sight.to);
            let known = [before, after].map(|beside| {
                beside.is_some_and(|beside| matches!(beside.state, State::Answered | State::Refused))
            });
            // An end is known no better than what stands beyond it.
            let [start, end] = sight.resolution;
            let start = before.map_or(start, |before| start.max(before.resolution[1]));
            let end = after.map_or(end, |after| end.max(after.resolution[0]));
            let part = match sight.state {
                State::Answered => Part::Answered,
                State::Refused => Part::Refused,
                State::Unanswered if sight.unanswered >= FEWEST_UNANSWERED => Part::Outage,
                State::Unanswered => Part::Undecided,
                State::NotMeasuring => Part::NotMeasuring,
            };
            parts.push((part, Run { sight: Sight { resolution: [start, end], ..*sight }, known }));
            at = sight.to;
        }
        parts.extend(silent(at, Timestamp::from_micros(i64::MAX)));
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(minute * 60)
    }

    /// `a`nswered, `u`nanswered, `r`efused, `n`ot measuring, anything else silent: a minute each.
    fn timeline(text: &str, lost: u64, cadence: u64) -> Timeline {
        let mut timeline = Timeline::new(Duration::from_secs(cadence));
        for (minute, kind) in (0..).zip(text.chars()) {
            let state = match kind {
                'a' => State::Answered,
                'u' => State::Unanswered,
                'r' => State::Refused,
                'n' => State::NotMeasuring,
                _ => continue,
            };
            let unanswered = if state == State::Unanswered { lost } else { 0 };
            let (from, to) = (at(minute), at(minute + 1));
            timeline.see(Sight { from, to, state, unanswered, resolution: [MINUTE; 2] });
        }
        timeline
    }

    fn parts(text: &str, lost: u64, cadence: u64) -> Vec<(Part, u64, [bool; 2])> {
        let whole = [(at(0), at(i64::try_from(text.len()).unwrap()))];
        let parts = timeline(text, lost, cadence).parts(&whole);
        let short =
            |(part, run): (Part, Run)| (part, run.sight.to.since(run.sight.from).as_secs() / 60, run.known);
        parts.into_iter().map(short).collect()
    }

    proptest! {
        #[test]
        fn parts_fill_what_was_expected_and_touch_each_other(text in "[aurn-]{1,40}", lost in 1_u64..4) {
            let found = timeline(&text, lost, 10).parts(&[(at(0), at(i64::try_from(text.len()).unwrap()))]);
            let mut next = at(0);
            for (_, run) in &found {
                prop_assert_eq!(run.sight.from, next);
                next = run.sight.to;
            }
            prop_assert_eq!(next, at(i64::try_from(text.len()).unwrap()));
            let minutes = |wanted: Part| found.iter().filter(|(part, _)| *part == wanted)
                .map(|(_, run)| run.sight.to.since(run.sight.from).as_secs() / 60).sum::<u64>();
            let count = |kind: char| text.chars().filter(|there| *there == kind).count() as u64;
            prop_assert_eq!(minutes(Part::Answered), count('a'));
            prop_assert_eq!(minutes(Part::Outage) + minutes(Part::Undecided), count('u'));
            prop_assert_eq!(minutes(Part::Silent), count('-'));
        }
    }

    #[test]
    fn an_agent_that_sleeps_has_a_gap_and_no_outage_and_hides_where_one_ends() {
        use Part::{Answered, NotMeasuring, Outage, Silent};
        assert_eq!(
            parts("aauu--uuna", 6, 10),
            [
                (Answered, 2, [false; 2]),
                (Outage, 2, [true, false]),
                (Silent, 2, [false; 2]),
                (Outage, 2, [false; 2]),
                (NotMeasuring, 1, [false, true]),
                (Answered, 1, [false; 2]),
            ]
        );
    }

    #[test]
    fn two_probes_are_undecided_and_three_in_a_row_an_outage() {
        use Part::{Answered, Outage, Undecided};
        assert_eq!(parts("auua", 1, 60)[1], (Undecided, 2, [true; 2]));
        assert_eq!(parts("auuua", 1, 60)[1], (Outage, 3, [true; 2]));
        assert_eq!(parts("auaua", 2, 10).iter().filter(|part| part.0 == Undecided).count(), 2);
        assert_eq!(parts("a", 0, 10), [(Answered, 1, [false; 2])]);
    }

    #[test]
    fn minutes_in_which_no_turn_was_due_are_no_gap() {
        assert_eq!(parts("a-a-a-", 0, 120)[..1], [(Part::Answered, 5, [false; 2])]);
        assert_eq!(parts("a--a", 0, 120).len(), 3, "two turns were missed");
    }
}
