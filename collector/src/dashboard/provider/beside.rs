//! What stands beside a provider's figures: availability, yardsticks and comparisons, each of which may fail by itself.

use super::super::ground::{Ground, Trouble};
use crate::{
    api::reports::{ReportError, availability, compare},
    app::App,
    report::{
        Question,
        availability::{AvailabilityQuestion, AvailabilityReport, DEFAULT_METRICS},
        compare::{CompareQuestion, Comparison},
        is_same,
        yardsticks::{YardsticksQuestion, YardsticksReport, yardsticks as hold},
    },
    store::Retention,
};
use peerlight_proto::time::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// With how many others one is compared: each takes a scan of its own.
pub(super) const MAX_COMPARED: usize = 3;
/// The span of comparisons, whatever that of the page: a verdict takes six days, and each day of each comparison is a scan.
const COMPARED: Duration = Duration::from_hours(7 * 24);

/// The span of a question and what else narrows it, without grouping and metric.
fn narrowed(question: &Question, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let own = question.parameters().into_iter();
    own.filter(|(name, _)| !["by", "metric", "step"].contains(name)).chain(more.iter().cloned()).collect()
}

fn pairs<'a>(parameters: &'a [(&'static str, String)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    parameters.iter().map(|(name, value)| (*name, value.as_str()))
}

/// Why a part is not told, in words.
fn why(what: &str, error: ReportError) -> String {
    format!("{what}: {}", Trouble::from(error).errors.join("; "))
}

/// When targets answered, by location.
pub(super) async fn availability(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<AvailabilityReport, String> {
    let mut parameters = narrowed(question, &[("by", "location".to_owned())]);
    let metric = question.metrics.first().filter(|metric| DEFAULT_METRICS.contains(metric));
    parameters.extend(metric.map(|metric| ("metric", metric.to_string())));
    let (asked, faults) = AvailabilityQuestion::read(pairs(&parameters), question.organisation, now);
    let kept = Retention::from(app.config.retention);
    let answered = availability::answer(app.store.as_ref(), &ground.snapshot, asked, faults, kept, now).await;
    answered.map_err(|error| why("Availability is not known", error))
}

/// Microsoft's yardsticks, by location.
pub(super) async fn yardsticks(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<YardsticksReport, String> {
    let parameters = narrowed(question, &[("by", "location".to_owned())]);
    let (asked, faults) = YardsticksQuestion::read(pairs(&parameters), question.organisation, now);
    if !faults.is_empty() {
        return Err(format!("Yardsticks are not held: {}", faults.join("; ")));
    }
    let report = ground.latency(app, asked.into_question(), now).await;
    report.map(hold).map_err(|error| why("Yardsticks are not held", error))
}

/// Against each of those with the most locations in common.
pub(super) async fn verdicts(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Vec<Result<Comparison, String>> {
    let Some(own) = question.providers.first() else { return Vec::new() };
    let places = ground.measured().map(|entry| (entry.provider.as_str(), entry.location.as_str()));
    let mut verdicts = Vec::new();
    for other in others(own, places) {
        let parameters = compared(question, own, &other);
        let (asked, faults) = CompareQuestion::read(pairs(&parameters), question.organisation, now);
        let (kept, snapshot) = (app.config.retention.quarter_hour, ground.snapshot.as_ref().clone());
        let answered = compare::answer(app.store.as_ref(), snapshot, asked, faults, kept, now).await;
        verdicts.push(answered.map_err(|error| why(&format!("It is not compared with {other}"), error)));
    }
    verdicts
}

/// What is asked of a comparison: the last week, or of a span that ends in the past its last week.
pub(super) fn compared(question: &Question, own: &str, other: &str) -> Vec<(&'static str, String)> {
    let (from, last) = match question.last {
        Some(_) => (question.from, Some(COMPARED)),
        None => (question.from.max(question.to.minus(COMPARED)), None),
    };
    let question = &Question { from, last, ..question.clone() };
    let rest = narrowed(question, &[]).into_iter().filter(|(name, _)| !["provider", "site"].contains(name));
    let metric = question.metrics.iter().map(|metric| ("metric", metric.to_string()));
    let named = [("providers", own.to_owned()), ("providers", other.to_owned())].into_iter();
    named.chain(rest).chain(metric).collect()
}

/// Who measured at the most locations of `own`, too; the first by name among equals.
fn others<'a>(own: &str, places: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let places: BTreeSet<_> = places.collect();
    let ours: BTreeSet<_> =
        places.iter().filter(|(provider, _)| is_same(provider, own)).map(|(_, place)| *place).collect();
    let mut common: BTreeMap<&str, usize> = BTreeMap::new();
    for (provider, place) in &places {
        if !is_same(provider, own) && ours.contains(place) {
            *common.entry(provider).or_default() += 1;
        }
    }
    let mut common: Vec<_> = common.into_iter().collect();
    common.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    common.into_iter().take(MAX_COMPARED).map(|(provider, _)| provider.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::organisation::OrganisationId;

    #[test]
    fn those_are_compared_that_have_the_most_in_common() {
        let places =
            [("A", "x"), ("A", "y"), ("B", "x"), ("C", "x"), ("C", "y"), ("D", "z"), ("E", "y"), ("F", "y")];
        assert_eq!(others("a", places.into_iter()), ["C", "B", "E"]);
        assert_eq!(others("D", places.into_iter()), [""; 0]);
    }

    #[test]
    fn comparisons_are_over_the_last_week_of_a_span() {
        let now = Timestamp::from_secs(1_790_000_000);
        let over = |last| {
            let question = Question {
                last: Some(Duration::from_hours(last)),
                sites: ["leeds-1".to_owned()].into(),
                providers: ["A".to_owned()].into(),
                locations: ["GB".to_owned()].into(),
                ..Question::new(OrganisationId::DEFAULT, now)
            };
            compared(&question, "A", "B")
        };
        let own = |name, value: &str| (name, value.to_owned());
        let week = [own("providers", "A"), own("providers", "B"), own("last", "7d"), own("location", "GB")];
        assert_eq!(over(24), week);
        assert_eq!(over(30 * 24), week);
        let month = Question {
            from: now.minus(Duration::from_hours(30 * 24)),
            ..Question::new(OrganisationId::DEFAULT, now)
        };
        let past = compared(&Question { last: None, ..month }, "A", "B");
        assert!(
            past.contains(&own("from", "2026-09-14T14:13:20Z"))
                && past.contains(&own("to", "2026-09-21T14:13:20Z")),
            "{past:?}"
        );
    }
}
