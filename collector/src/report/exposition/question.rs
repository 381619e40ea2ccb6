//! What is asked for monitoring systems: what every report is asked, but that the span is the newest whole window.

use super::WAITS;
use crate::{organisation::OrganisationId, report::Question, store::slot_of};
use peerlight_proto::{duration, time::Timestamp};
use std::time::Duration;

/// The length of a window that nobody names.
const WINDOW: Duration = Duration::from_mins(1);
/// The longest: a sample is told of when it is no news any more.
const LONGEST_WINDOW: Duration = Duration::from_hours(1);
/// The parameters that a question may have.
const PARAMETERS: [&str; 7] = ["by", "metric", "provider", "location", "site", "target", "step"];

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpositionQuestion {
    question: Question,
}

impl ExpositionQuestion {
    /// Reads the parameters of a URL: what can be understood of them, and everything that is wrong with them.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        let (mut question, mut errors, _given) =
            Question::read_some(&PARAMETERS, parameters, organisation, now);
        let step = *question.step.get_or_insert(WINDOW);
        if step > LONGEST_WINDOW {
            errors.push(format!("step: a window has {} at most", duration::text(LONGEST_WINDOW)));
        }
        question.to = slot_of(now.minus(WAITS), step);
        question.from = question.to.minus(step);
        question.last = None;
        (Self { question }, errors)
    }

    /// The question of the report of latency that holds the figures.
    pub fn into_question(self) -> Question {
        self.question
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_the_newest_whole_one_that_must_have_arrived() {
        let now = Timestamp::from_secs(1_790_000_059);
        let window = |pairs: &[(&'static str, &'static str)]| {
            let (asked, errors) = ExpositionQuestion::read(pairs.to_vec(), OrganisationId::DEFAULT, now);
            assert_eq!(errors, [""; 0]);
            let Question { from, to, .. } = asked.into_question();
            (
                to.since(from).as_secs(),
                now.since(to).as_secs(),
                to.since(Timestamp::default()).as_secs() % to.since(from).as_secs(),
            )
        };
        assert_eq!(window(&[]), (60, 139, 0));
        assert_eq!(window(&[("step", "15m")]), (900, 859, 0));
        let wrong = |name, value| {
            ExpositionQuestion::read([(name, value)], OrganisationId::DEFAULT, now).1.join("; ")
        };
        assert_eq!(wrong("step", "2h"), "step: a window has 1h at most");
        assert!(wrong("last", "1h").contains("`last` is not a parameter"));
    }
}
