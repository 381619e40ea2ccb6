//! What is asked of a comparison: two providers, a span of whole quarter hours, and what difference matters.

use super::threshold::Threshold;
use crate::{
    organisation::OrganisationId,
    registry::Registrations,
    report::{Dimension, Question, question::kept_since},
    store::{Presences, Query, slot_of},
};
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::time::Duration;

/// The span of a comparison that names none: a week.
pub(super) const DEFAULT_LAST: Duration = Duration::from_hours(7 * 24);
/// The most days of a comparison.
pub const MAX_DAYS: u32 = 366;
/// What is compared unless metrics are named: the round trip that every agent measures, whatever it may send.
pub const DEFAULT_METRIC: Metric = Metric::TcpConnect;
/// The length of a cell.
pub(super) const QUARTER_HOUR: Duration = Duration::from_mins(15);
const DAY: Duration = Duration::from_hours(24);

/// The parameters that a comparison may have.
const PARAMETERS: [&str; 8] =
    ["providers", "last", "from", "to", "metric", "location", "target", "threshold"];

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct CompareQuestion {
    /// The span, whole quarter hours of it, and what is asked for in it.
    pub(super) question: Question,
    /// The provider that the verdict is about, and the one that it is compared with, as they were written.
    pub(super) providers: [String; 2],
    /// From which difference on one is better.
    pub(super) threshold: Threshold,
}

impl CompareQuestion {
    /// Reads the parameters of a URL: what can be understood of them, and everything that is wrong with them.
    /// [`Self::unknown_names`] tells what else may be.
    pub fn read<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> (Self, Vec<String>) {
        let (mut names, mut thresholds, mut shared, mut errors) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (name, value) in parameters {
            match name {
                "providers" if !value.trim().is_empty() => names.push(value),
                "threshold" if !value.trim().is_empty() => thresholds.push(value),
                "providers" | "threshold" => {}
                name if PARAMETERS.contains(&name) => shared.push((name, value)),
                name => {
                    let name: String = name.chars().take(80).collect();
                    errors.push(format!(
                        "`{name}` is not a parameter; the parameters are {}",
                        PARAMETERS.join(", ")
                    ));
                }
            }
        }
        let (question, wrong) = Question::read(shared.iter().copied(), organisation, now);
        let spanned =
            shared.iter().any(|(name, value)| matches!(*name, "last" | "from") && !value.trim().is_empty());
        errors.extend(wrong);
        let providers = providers(&names, &mut errors);
        let threshold = match thresholds.as_slice() {
            [] => Threshold::default(),
            [text] => Threshold::parse(text).unwrap_or_else(|error| {
                errors.push(error);
                Threshold::default()
            }),
            _ => {
                errors.push("`threshold` is given more than once".to_owned());
                Threshold::default()
            }
        };
        let mut question = compared(question, &providers, &mut errors);
        span(&mut question, spanned, now, &mut errors);
        (Self { question, providers, threshold }, errors)
    }

    /// What is asked for, as every report reads it.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The provider that the verdict is about, and the one that it is compared with, as they were written.
    pub fn providers(&self) -> &[String; 2] {
        &self.providers
    }

    /// From which difference on one is better.
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// The parameters that ask this again.
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let shared = self.question.parameters().into_iter();
        let shared = shared.filter(|(name, _)| PARAMETERS.contains(name) && *name != "providers");
        let names = self.providers.iter().filter(|name| !name.is_empty());
        let threshold = (self.threshold != Threshold::default()).then(|| self.threshold.to_string());
        names
            .map(|name| ("providers", name.clone()))
            .chain(shared)
            .chain(threshold.map(|text| ("threshold", text)))
            .collect()
    }

    /// Whose measurements.
    pub fn organisation(&self) -> OrganisationId {
        self.question.organisation
    }

    /// What the filters name that is not there, with what is.
    pub fn unknown_names(&self, registrations: &Registrations, presence: &Presences) -> Vec<String> {
        self.question.unknown_names(registrations, presence)
    }

    /// What is wrong with the span where quarter hours are kept for `kept`.
    pub fn too_old(&self, kept: Duration, now: Timestamp) -> Option<String> {
        kept_since(self.question.from, kept, now)
    }

    /// What the store is asked of each day, the latest first: days end at the end of the span, so that each but the first
    /// holds every hour once.
    pub fn days(&self, registrations: &Registrations) -> Vec<Query> {
        let Question { from, to, .. } = self.question;
        let whole = self.question.query(registrations);
        let ends = (0..MAX_DAYS).map(|day| to.minus(DAY * day)).take_while(|end| *end > from);
        ends.map(|end| Query {
            from: end.minus(DAY).max(from),
            to: end,
            metrics: self.question.metrics.clone(),
            step: Some(QUARTER_HOUR),
            ..whole.clone()
        })
        .collect()
    }
}

/// The two names. Names may have commas, so that two values are taken whole.
fn providers(values: &[&str], errors: &mut Vec<String>) -> [String; 2] {
    let named: Vec<&str> = match values {
        [both] => both.split(',').collect(),
        values => values.to_vec(),
    };
    let named: Vec<String> = named.iter().map(|name| name.trim().chars().take(256).collect()).collect();
    match named.as_slice() {
        [one, other] if one.to_lowercase() == other.to_lowercase() => {
            errors.push(format!("providers: `{one}` cannot be compared with itself; name two"));
        }
        [one, other] if !one.is_empty() && !other.is_empty() => return [one.clone(), other.clone()],
        _ => errors.push(
            "providers: name two, as providers=A,B; where a name has a comma, give `providers` twice"
                .to_owned(),
        ),
    }
    [String::new(), String::new()]
}

/// The question that matches cells.
fn compared(question: Question, providers: &[String; 2], errors: &mut Vec<String>) -> Question {
    let mut metrics = question.metrics;
    if metrics.remove(&Metric::AgentNoise) {
        errors.push("metric: agent.noise is the agents' own and no provider's; compare another".to_owned());
    }
    if metrics.is_empty() {
        metrics.insert(DEFAULT_METRIC);
    }
    Question {
        by: vec![Dimension::Provider, Dimension::Location, Dimension::Target, Dimension::Family],
        metrics,
        providers: providers.iter().filter(|name| !name.is_empty()).cloned().collect(),
        step: Some(QUARTER_HOUR),
        ..question
    }
}

/// Makes the span whole quarter hours that are over.
fn span(question: &mut Question, spanned: bool, now: Timestamp, errors: &mut Vec<String>) {
    let to = slot_of(question.to.min(now), QUARTER_HOUR);
    let last = if spanned { question.last } else { Some(DEFAULT_LAST) };
    let from = slot_of(last.map_or(question.from, |last| to.minus(last)), QUARTER_HOUR);
    if from >= to && errors.is_empty() {
        errors.push("the span holds no quarter hour that is over; make it longer".to_owned());
    }
    if to.since(from) > DAY * MAX_DAYS {
        errors.push(format!("the span is longer than {MAX_DAYS} days"));
    }
    (question.from, question.to, question.last) = (from, to, last);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seven minutes past a quarter hour.
    const NOW: Timestamp = Timestamp::from_secs(1_790_000_100 + 420);

    fn read(query: &str) -> (CompareQuestion, Vec<String>) {
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let pairs = pairs.iter().map(|(name, value)| (&**name, &**value));
        CompareQuestion::read(pairs, OrganisationId::DEFAULT, NOW)
    }

    fn asked(query: &str) -> CompareQuestion {
        let (question, errors) = read(query);
        assert_eq!(errors, [""; 0]);
        question
    }

    #[test]
    fn two_names_ask_for_a_week_of_connects_in_whole_quarter_hours() {
        let asked = asked("providers=Aurora,+Borealis");
        assert_eq!(asked.providers, ["Aurora", "Borealis"]);
        assert_eq!(asked.question.metrics, [DEFAULT_METRIC].into());
        let Question { from, to, .. } = asked.question;
        assert_eq!(
            (to.as_secs() % 900, NOW.since(to), to.since(from)),
            (0, Duration::from_mins(7), DEFAULT_LAST)
        );
    }

    #[test]
    fn names_with_commas_are_given_one_by_one() {
        let asked = asked(
            "providers=A,+Inc.&providers=B&threshold=2ms&metric=icmp.rtt,udp.rtt&last=10d&target=x&location=GB",
        );
        assert_eq!(asked.providers, ["A, Inc.", "B"]);
        assert_eq!((asked.threshold.ms, asked.threshold.percent), (Some(2.0), None));
        assert_eq!(asked.question.metrics, [Metric::IcmpRtt, Metric::UdpRtt].into());
    }

    #[test]
    fn the_parameters_of_a_question_ask_it_again() {
        for query in [
            "providers=A,+Inc.&providers=B&threshold=2ms&metric=icmp.rtt&last=10d",
            "providers=A,B",
            "providers=A,B&from=1789000000&to=1789999200&threshold=3%25",
        ] {
            let question = asked(query);
            let parameters = question.parameters();
            let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
            assert_eq!(CompareQuestion::read(pairs, OrganisationId::DEFAULT, NOW), (question, Vec::new()));
        }
    }

    #[test]
    fn days_are_counted_back_from_the_end_and_touch_each_other() {
        let asked = asked("providers=A,B&last=60h");
        let days = asked.days(&Registrations::default());
        let lengths: Vec<_> = days.iter().map(|day| day.to.since(day.from).as_secs() / 3_600).collect();
        assert_eq!(lengths, [24, 24, 12]);
        assert!(days.is_sorted_by(|later, earlier| later.from == earlier.to));
        assert_eq!((days[0].to, days[2].from), (asked.question.to, asked.question.from));
        assert!(
            days.iter().all(|day| day.step == Some(QUARTER_HOUR) && day.metrics == [DEFAULT_METRIC].into())
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let (_, errors) =
            read("providers=A&by=site&provider=x&threshold=much&metric=agent.noise,ping&last=5s&to=now");
        insta::assert_snapshot!(errors.join("\n"));
        for (query, error) in [
            ("", "providers: name two"),
            ("providers=A,a", "compared with itself"),
            ("providers=A,B,C", "name two"),
            ("providers=A,B&from=1700000000", "longer than 366 days"),
            ("providers=A,B&from=1790000460", "no quarter hour that is over"),
            ("providers=A,B&threshold=1ms&threshold=2ms", "more than once"),
        ] {
            let errors = read(query).1.join("\n");
            assert!(errors.contains(error), "{query}: {errors}");
        }
    }

    #[test]
    fn a_span_beyond_the_quarter_hours_names_where_it_may_begin() {
        let asked = asked("providers=A,B&last=99d");
        assert_eq!(asked.too_old(Duration::from_hours(100 * 24), NOW), None);
        let error = asked.too_old(Duration::from_hours(90 * 24), NOW).unwrap();
        assert!(error.contains("kept for 90d") && error.contains("2026-06-23T00:00:00Z"), "{error}");
    }
}
