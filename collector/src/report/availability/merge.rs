//! From the runs of single agents to what a row tells: spans that overlap are one, and say how many agents they hit. Pure.

use super::timeline::{Part, Run};
use peerlight_proto::time::Timestamp;
use std::{collections::BTreeSet, time::Duration};

/// A span of one agent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    /// The agent's number.
    pub(super) agent: u32,
    pub(super) part: Part,
    pub(super) run: Run,
}

/// Spans of one kind that overlap, as one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Merged {
    pub(super) part: Part,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// Whether its ends are known: answers stand beyond them.
    pub(super) known: [bool; 2],
    /// Probes that nobody answered.
    pub(super) unanswered: u64,
    pub(super) resolution: Duration,
    /// Whom it hit.
    pub(super) agents: BTreeSet<u32>,
}

impl Merged {
    fn of(span: &Span) -> Self {
        let Run { sight, known } = span.run;
        Self {
            part: span.part,
            from: sight.from,
            to: sight.to,
            known,
            unanswered: sight.unanswered,
            resolution: sight.resolution[0].max(sight.resolution[1]),
            agents: [span.agent].into(),
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.to.since(self.from)
    }

    fn join(&mut self, more: Self) {
        // A start or end is known where one agent's is that reaches as far as any.
        if more.from == self.from {
            self.known[0] |= more.known[0];
        }
        match more.to.cmp(&self.to) {
            std::cmp::Ordering::Greater => (self.to, self.known[1]) = (more.to, more.known[1]),
            std::cmp::Ordering::Equal => self.known[1] |= more.known[1],
            std::cmp::Ordering::Less => {}
        }
        self.unanswered = self.unanswered.saturating_add(more.unanswered);
        self.resolution = self.resolution.max(more.resolution);
        self.agents.extend(more.agents);
    }
}

/// Makes spans of one kind that share a moment one, in the order of their starts.
pub(super) fn merged(mut spans: Vec<Span>) -> Vec<Merged> {
    spans.sort_by_key(|span| (span.run.sight.from, span.run.sight.to, span.agent));
    let mut open: Vec<Merged> = Vec::new();
    for span in spans {
        let next = Merged::of(&span);
        match open.iter_mut().rev().find(|last| last.part == next.part) {
            Some(last) if next.from < last.to => last.join(next),
            _ => open.push(next),
        }
    }
    open
}

/// The longest of them, in the order of their starts.
pub(super) fn longest(mut all: Vec<Merged>, most: usize) -> Vec<Merged> {
    if all.len() > most {
        all.sort_by_key(|one| std::cmp::Reverse(one.length()));
        all.truncate(most);
        all.sort_by_key(|one| one.from);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::availability::{state::State, timeline::Sight};
    use proptest::prelude::*;

    fn span(agent: u32, from: i64, to: i64, known: [bool; 2]) -> Span {
        let (from, to) = (Timestamp::from_secs(from * 60), Timestamp::from_secs(to * 60));
        let sight = Sight {
            from,
            to,
            state: State::Unanswered,
            unanswered: 6,
            resolution: [Duration::from_mins(1); 2],
        };
        Span { agent, part: Part::Outage, run: Run { sight, known } }
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((0_u32..5, 0_i64..100, 1_i64..20), 1..30).prop_map(|spans| {
            spans
                .into_iter()
                .map(|(agent, from, length)| span(agent, from, from + length, [true; 2]))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_merged_covers_the_same_moments_once_in_any_order(mut spans in spans()) {
            let found = merged(spans.clone());
            prop_assert!(found.windows(2).all(|pair| pair[0].to <= pair[1].from));
            let minute = |minute: i64| Timestamp::from_secs(minute * 60 + 30);
            for at in (0..130).map(minute) {
                let hit = spans.iter().any(|span| (span.run.sight.from..span.run.sight.to).contains(&at));
                prop_assert_eq!(found.iter().any(|one| (one.from..one.to).contains(&at)), hit);
            }
            let agents: BTreeSet<u32> = spans.iter().map(|span| span.agent).collect();
            prop_assert_eq!(found.iter().flat_map(|one| one.agents.clone()).collect::<BTreeSet<_>>(), agents);
            spans.reverse();
            prop_assert_eq!(merged(spans), found);
        }
    }

    #[test]
    fn an_end_is_known_by_whoever_saw_the_furthest() {
        let found = merged(vec![
            span(1, 0, 5, [true, true]),
            span(2, 3, 9, [true, false]),
            span(3, 9, 10, [true; 2]),
        ]);
        let [first, second] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((first.known, first.agents.len(), first.unanswered), ([true, false], 2, 12));
        assert_eq!((first.length(), second.length()), (Duration::from_mins(9), Duration::from_mins(1)));
        let known = merged(vec![span(1, 0, 5, [false, false]), span(2, 0, 5, [true, true])]);
        assert_eq!(known[0].known, [true, true]);
    }

    #[test]
    fn the_longest_are_kept_in_order() {
        let all = merged(vec![span(1, 0, 1, [true; 2]), span(1, 2, 5, [true; 2]), span(1, 6, 8, [true; 2])]);
        let kept = longest(all, 2);
        assert_eq!(kept.iter().map(|one| one.from.as_secs() / 60).collect::<Vec<_>>(), [2, 6]);
    }
}
