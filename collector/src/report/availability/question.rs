//! What is asked of availability: what every report is asked, over a span that ends where measurements must have arrived.

use crate::{
    organisation::OrganisationId,
    report::{
        Dimension, ON_ITS_WAY, Question,
        question::{kept_since, start_of_minute},
    },
    store::slot_of,
};
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::time::Duration;

/// The span of a question that names none.
pub const DEFAULT_LAST: Duration = Duration::from_hours(24);
/// The longest span.
const MAX_DAYS: u32 = 366;
/// The metrics of a question that names none: what every agent sends often, and what tells by itself whether a target answers.
pub const DEFAULT_METRICS: [Metric; 2] = [Metric::IcmpRtt, Metric::TcpConnect];
/// The coarse look that every span is given first.
pub(super) const QUARTER_HOUR: Duration = Duration::from_mins(15);
const DEFAULT_BY: [Dimension; 4] =
    [Dimension::Provider, Dimension::Location, Dimension::Target, Dimension::Family];
/// The parameters that a question may have.
const PARAMETERS: [&str; 9] =
    ["last", "from", "to", "by", "metric", "provider", "location", "site", "target"];

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct AvailabilityQuestion {
    pub(super) question: Question,
}

impl AvailabilityQuestion {
    /// Reads the parameters of a URL: what can be understood of them, and everything that is wrong with them.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        let (mut question, mut errors, given) =
            Question::read_some(&PARAMETERS, parameters, organisation, now);
        if !given.contains("by") {
            question.by = DEFAULT_BY.to_vec();
        }
        if question.by.contains(&Dimension::Prefix) {
            errors.push("by: prefix is nothing that schedules know; ask by site".to_owned());
        }
        if question.metrics.iter().any(|metric| matches!(metric, Metric::Jitter(_) | Metric::AgentNoise)) {
            errors.push("metric: jitters and agent.noise are of no probe that is answered or not".to_owned());
        }
        if question.metrics.is_empty() {
            question.metrics = DEFAULT_METRICS.into();
        }
        let spanned = given.contains("last") || given.contains("from");
        question.last = if spanned { question.last } else { Some(DEFAULT_LAST) };
        // What was measured since may be on its way: until it is here its absence means nothing.
        let to = start_of_minute(question.to.min(now.minus(ON_ITS_WAY)));
        let from = question.last.map_or(question.from, |last| to.minus(last));
        (question.from, question.to) = (slot_of(from, QUARTER_HOUR), to);
        if from >= to && errors.is_empty() {
            errors.push(
                "the span holds no minute whose measurements must have arrived; make it longer".to_owned(),
            );
        }
        if question.to.since(question.from) > Duration::from_hours(24) * (MAX_DAYS + 1) {
            errors.push(format!("the span is longer than {MAX_DAYS} days"));
        }
        (Self { question }, errors)
    }

    /// What is asked for, as every report reads it.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// What is wrong with the span where quarter hours are kept for `kept`.
    pub fn too_old(&self, kept: Duration, now: Timestamp) -> Option<String> {
        kept_since(self.question.from, kept, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seven minutes past a quarter hour.
    const NOW: Timestamp = Timestamp::from_secs(1_790_000_100 + 420);

    fn read(query: &str) -> (Question, Vec<String>) {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
        let (asked, errors) = AvailabilityQuestion::read(pairs, OrganisationId::DEFAULT, NOW);
        (asked.question, errors)
    }

    #[test]
    fn nothing_asks_for_a_day_of_echoes_and_connects_up_to_what_must_have_arrived() {
        let (asked, errors) = read("");
        assert_eq!(errors, [""; 0]);
        assert_eq!((asked.by.as_slice(), &asked.metrics), (&DEFAULT_BY[..], &DEFAULT_METRICS.into()));
        assert_eq!(NOW.since(asked.to), Duration::from_mins(3));
        assert_eq!(asked.from.as_secs() % 900, 0);
        let span = asked.to.since(asked.from);
        assert!(span >= DEFAULT_LAST && span < DEFAULT_LAST + QUARTER_HOUR, "{span:?}");
    }

    #[test]
    fn an_end_in_the_past_is_kept_and_everything_wrong_is_said_at_once() {
        let (asked, errors) = read("from=1789000000&to=1789900000&by=site&metric=https.tcp");
        assert_eq!((errors.len(), asked.to.as_secs(), asked.by), (0, 1_789_899_960, vec![Dimension::Site]));
        let errors = read("by=prefix&metric=agent.noise&step=1m&last=long").1;
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(read("from=1790000400").1[0].contains("make it longer"));
        assert!(read("last=400d").1[0].contains("longer than 366 days"));
    }
}
