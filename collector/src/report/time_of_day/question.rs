//! What is asked of the time of day: what every report is asked, over whole quarter hours, and which days count.

use crate::{
    organisation::OrganisationId,
    registry::Registrations,
    report::{Dimension, Question, compare::DEFAULT_METRIC, question::kept_since},
    store::{Query, slot_of},
};
use peerlight_proto::{metric::Metric, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The span of a question that names none: four weeks, in which each day of the week comes as often.
pub const DEFAULT_LAST: Duration = Duration::from_hours(28 * 24);
/// The longest span.
const MAX_DAYS: u32 = 366;
const QUARTER_HOUR: Duration = Duration::from_mins(15);
const DAY: Duration = Duration::from_hours(24);
/// The parameters that a question may have.
const PARAMETERS: [&str; 9] =
    ["last", "from", "to", "by", "metric", "provider", "location", "site", "target"];

/// Which days count, by the date at the location.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Days {
    /// Every day.
    All,
    /// The days outside the weekend of the location's country.
    Weekdays,
    /// The weekend of the location's country.
    Weekends,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeOfDayQuestion {
    pub(super) question: Question,
    /// One row for each of these.
    pub(super) days: Vec<Days>,
}

impl TimeOfDayQuestion {
    /// Reads the parameters of a URL: what can be understood of them, and everything that is wrong with them.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        let (own, shared): (Vec<_>, Vec<_>) = parameters.into_iter().partition(|(name, _)| *name == "days");
        let (mut question, mut errors, given) = Question::read_some(&PARAMETERS, shared, organisation, now);
        let own: Vec<&str> =
            own.iter().map(|(_, value)| value.trim()).filter(|value| !value.is_empty()).collect();
        let days = days(&own).unwrap_or_else(|error| {
            errors.push(error);
            vec![Days::All]
        });
        // Hours are local to a location, so that rows of more than one would have none.
        if !question.by.contains(&Dimension::Location) {
            question.by.push(Dimension::Location);
        }
        if question.metrics.remove(&Metric::AgentNoise) {
            errors.push("metric: agent.noise is the agents' own; ask for another".to_owned());
        }
        if question.metrics.is_empty() {
            question.metrics.insert(DEFAULT_METRIC);
        }
        let to = slot_of(question.to.min(now), QUARTER_HOUR);
        let last =
            if given.contains("last") || given.contains("from") { question.last } else { Some(DEFAULT_LAST) };
        let from = slot_of(last.map_or(question.from, |last| to.minus(last)), QUARTER_HOUR);
        if from >= to && errors.is_empty() {
            errors.push("the span holds no quarter hour that is over; make it longer".to_owned());
        }
        if to.since(from) > DAY * MAX_DAYS {
            errors.push(format!("the span is longer than {MAX_DAYS} days"));
        }
        (question.from, question.to, question.last) = (from, to, last);
        (Self { question, days }, errors)
    }

    /// What is asked for, as every report reads it.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The parameters that ask this again.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let days = match self.days.as_slice() {
            [Days::Weekdays] => Some("weekdays"),
            [Days::Weekends] => Some("weekends"),
            [Days::Weekdays, Days::Weekends] => Some("apart"),
            _ => None,
        };
        let own = self.question.parameters().into_iter().filter(|(name, _)| PARAMETERS.contains(name));
        own.chain(days.map(|days| ("days", days.to_owned()))).collect()
    }

    /// What is wrong with the span where quarter hours are kept for `kept`.
    pub fn too_old(&self, kept: Duration, now: Timestamp) -> Option<String> {
        kept_since(self.question.from, kept, now)
    }

    /// What the store is asked, in this order: a day at a time, so that no more is held.
    pub fn parts(&self, registrations: &Registrations) -> Vec<Query> {
        let whole = self.question.query(registrations);
        let Question { from, to, .. } = self.question;
        let starts = (0..MAX_DAYS).map(|day| from.plus(DAY * day)).take_while(|start| *start < to);
        starts
            .map(|start| Query {
                from: start,
                to: start.plus(DAY).min(to),
                metrics: self.question.metrics.clone(),
                step: Some(QUARTER_HOUR),
                ..whole.clone()
            })
            .collect()
    }
}

fn days(values: &[&str]) -> Result<Vec<Days>, String> {
    match values {
        [] | ["all"] => Ok(vec![Days::All]),
        ["weekdays"] => Ok(vec![Days::Weekdays]),
        ["weekends"] => Ok(vec![Days::Weekends]),
        ["apart"] => Ok(vec![Days::Weekdays, Days::Weekends]),
        _ => Err("days: write all, weekdays, weekends, or apart for a row of each".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seven minutes past a quarter hour.
    const NOW: Timestamp = Timestamp::from_secs(1_790_000_100 + 420);

    fn read(query: &str) -> (TimeOfDayQuestion, Vec<String>) {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
        TimeOfDayQuestion::read(pairs, OrganisationId::DEFAULT, NOW)
    }

    #[test]
    fn nothing_asks_for_four_weeks_of_connects_and_a_location_is_always_told() {
        let (asked, errors) = read("");
        assert_eq!(errors, [""; 0]);
        let Question { from, to, by, metrics, .. } = &asked.question;
        assert_eq!(
            (to.since(*from), to.as_secs() % 900, NOW.since(*to)),
            (DEFAULT_LAST, 0, Duration::from_mins(7))
        );
        assert_eq!(
            (by.as_slice(), metrics),
            (&[Dimension::Provider, Dimension::Location][..], &[DEFAULT_METRIC].into())
        );
        assert_eq!(asked.parts(&Registrations::default()).len(), 28);
        assert_eq!(read("by=site,location").0.question.by, [Dimension::Site, Dimension::Location]);
        assert_eq!(read("days=apart").0.days, [Days::Weekdays, Days::Weekends]);
    }

    #[test]
    fn the_parameters_of_a_question_ask_it_again() {
        for query in ["", "days=apart&by=site&last=60d", "days=weekends&from=1789000200&to=1789999200"] {
            let question = read(query).0;
            let parameters = question.parameters();
            let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
            let again = TimeOfDayQuestion::read(pairs, OrganisationId::DEFAULT, NOW);
            assert_eq!(again, (question, Vec::new()));
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let errors = read("days=some&metric=agent.noise,ping&last=5s&step=1h").1;
        assert_eq!(errors.len(), 4, "{errors:?}");
        assert!(read("days=all&days=weekdays").1[0].contains("write all, weekdays"));
        assert!(read("last=400d").1[0].contains("longer than 366 days"));
    }
}
