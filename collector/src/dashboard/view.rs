//! What a page is asked to show: a question, and the addresses of the questions beside it.

use super::ground::Ground;
use crate::{
    organisation::OrganisationId,
    report::{
        Dimension, Question, Report,
        slots::{MOST_SLOTS, STEPS, days_over, slots},
    },
};
use peerlight_proto::{duration, metric::Metric, time::Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// The spans that are one click away.
pub(crate) const SPANS: [(&str, Duration); 6] = [
    ("15m", Duration::from_mins(15)),
    ("1h", Duration::from_hours(1)),
    ("6h", Duration::from_hours(6)),
    ("24h", Duration::from_hours(24)),
    ("7d", Duration::from_hours(7 * 24)),
    ("30d", Duration::from_hours(30 * 24)),
];
/// The groupings that are offered; others may stand in the address.
pub(crate) const GROUPINGS: [(&str, &[Dimension]); 7] = [
    ("provider", &[Dimension::Provider]),
    ("provider and location", &[Dimension::Provider, Dimension::Location]),
    ("provider and target", &[Dimension::Provider, Dimension::Target]),
    ("provider and family", &[Dimension::Provider, Dimension::Family]),
    ("location and provider", &[Dimension::Location, Dimension::Provider]),
    ("target and provider", &[Dimension::Target, Dimension::Provider]),
    ("site", &[Dimension::Provider, Dimension::Location, Dimension::Site]),
];
/// Which metric is shown first where several were measured.
const PREFERRED: [Metric; 5] =
    [Metric::TcpConnect, Metric::IcmpRtt, Metric::HttpsTtfb, Metric::UdpRtt, Metric::DnsLookup];
/// With fewer slots than this a chart shows no course.
const FEWEST_SLOTS: u64 = 8;

/// The question of a page that groups by itself and shows `last` unless it is told another span, and everything that is wrong with it.
pub(crate) fn spanning(
    asked: &[(String, String)],
    last: Duration,
    organisation: OrganisationId,
    now: Timestamp,
) -> (Question, Vec<String>) {
    let is_spanned =
        asked.iter().any(|(name, value)| (name == "last" || name == "from") && !value.is_empty());
    let last = (!is_spanned).then(|| duration::text(last));
    let given =
        asked.iter().filter(|(name, _)| name != "by").map(|(name, value)| (name.as_str(), value.as_str()));
    Question::read(given.chain(last.as_deref().map(|last| ("last", last))), organisation, now)
}

/// The metric that a page shows unless it is told another.
pub(crate) fn default_metric(measured: &BTreeSet<Metric>) -> Metric {
    let preferred = PREFERRED.into_iter().find(|metric| measured.contains(metric));
    preferred.or_else(|| measured.first().copied()).unwrap_or(Metric::TcpConnect)
}

/// The question as a page can answer it, and everything that is wrong with it: one metric is shown, so that figures and axes
/// can be compared, and controls stand on what can be answered.
pub(crate) fn answerable(
    question: Question,
    mut faults: Vec<String>,
    ground: &Ground,
    now: Timestamp,
) -> (Question, Vec<String>) {
    let mut question = if faults.is_empty() {
        question
    } else {
        faults.extend(question.unknown_names(&ground.snapshot.registrations, &ground.presence));
        Question::new(question.organisation, now)
    };
    let metric = question.metrics.first().copied();
    question.metrics = BTreeSet::from([metric.unwrap_or_else(|| default_metric(&ground.metrics()))]);
    question.step = None;
    (question, faults)
}

/// The length of a chart's slots: the shortest in which each of so many providers has, on average, enough probes for a
/// 95th percentile, or else for a median. Days where the span is long.
pub(crate) fn step(report: &Report, providers: usize) -> Duration {
    let whole = report.to.since(report.from);
    if let Some(days) = days_over(whole) {
        return days;
    }
    let span = whole.as_secs().max(1);
    let answered = report.rows.iter().map(|row| row.answered).fold(0, u64::saturating_add);
    let each = answered / u64::try_from(providers.max(1)).unwrap_or(u64::MAX);
    let allowed = || STEPS.into_iter().filter(|step| slots(whole, *step) <= MOST_SLOTS);
    let enough = |needed: u64| {
        allowed().find(|step| each.saturating_mul(step.as_secs()) >= needed.saturating_mul(span))
    };
    enough(20)
        .filter(|step| slots(whole, *step) >= FEWEST_SLOTS)
        .or_else(|| enough(10).filter(|step| slots(whole, *step) >= FEWEST_SLOTS))
        .or_else(|| allowed().next())
        .unwrap_or(Duration::from_hours(24))
}

/// The address of `path` with this question.
pub(crate) fn address(path: &str, question: &Question, more: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(question.parameters())
        .extend_pairs(more)
        .finish();
    format!("{path}?{query}")
}

/// The question with a name of a group added to its filters.
pub(crate) fn narrowed(question: &Question, dimension: Dimension, name: &str) -> Option<Question> {
    let mut narrowed = question.clone();
    filter_mut(&mut narrowed, dimension)?.insert(name.to_owned());
    // What has one value left says nothing as a column; the next finer one does.
    if dimension == Dimension::Provider && narrowed.by == [Dimension::Provider] {
        narrowed.by = vec![Dimension::Provider, Dimension::Location];
    } else if dimension == Dimension::Location && !narrowed.by.contains(&Dimension::Site) {
        narrowed.by.push(Dimension::Site);
    }
    (narrowed != *question).then_some(narrowed)
}

fn filter_mut(question: &mut Question, dimension: Dimension) -> Option<&mut BTreeSet<String>> {
    match dimension {
        Dimension::Provider => Some(&mut question.providers),
        Dimension::Location => Some(&mut question.locations),
        Dimension::Site => Some(&mut question.sites),
        Dimension::Target => Some(&mut question.targets),
        Dimension::Prefix | Dimension::Family => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        organisation::OrganisationId,
        report::fixture::{Evidence, answer, registration, row, series},
    };

    fn question(last: Duration) -> Question {
        let now = Timestamp::from_secs(1_790_000_000);
        Question { from: now.minus(last), ..Question::new(OrganisationId::DEFAULT, now) }
    }

    fn step_of(last: Duration, answered: usize) -> u64 {
        let question = question(last);
        let rows = [row(1, &series(Metric::TcpConnect, "edge"), &vec![9_000; answered], 0)];
        let registrations = [registration(1, "Aurora", "GB-LND")];
        let evidence = Evidence { rows: &rows, registrations: &registrations, ..Evidence::default() };
        step(&answer(&question, &evidence, question.to), 1).as_secs() / 60
    }

    #[test]
    fn slots_are_long_enough_for_percentiles_and_short_enough_for_a_course() {
        let hour = Duration::from_hours(1);
        assert_eq!(step_of(hour, 1_200), 1);
        assert_eq!(step_of(hour, 360), 5, "6 probes a minute have no 95th percentile");
        assert_eq!(step_of(hour, 10), 1, "nothing helps: show the counts at least");
        assert_eq!(
            step_of(Duration::from_mins(15), 270),
            1,
            "a median over 15 minutes rather than three points"
        );
        assert_eq!(step_of(7 * 24 * hour, 10_000_000), 60);
        assert_eq!(step_of(30 * 24 * hour, 10_000_000), 1_440, "days are read from rollups of days");
    }

    #[test]
    fn narrowing_keeps_the_rest_of_the_question() {
        let question = question(Duration::from_hours(1));
        let narrowed = narrowed(&question, Dimension::Provider, "A & B").unwrap();
        assert!(address("/", &narrowed, &[]).ends_with("by=provider%2Clocation&provider=A+%26+B"));
        assert_eq!(super::narrowed(&question, Dimension::Family, "v4"), None);
    }

    #[test]
    fn the_metric_that_most_know_is_shown_first() {
        let shown = |measured: &[Metric]| default_metric(&measured.iter().copied().collect());
        assert_eq!(shown(&[Metric::IcmpRtt, Metric::TcpConnect]), Metric::TcpConnect);
        assert_eq!(shown(&[Metric::HttpsTotal]), Metric::HttpsTotal);
        assert_eq!(shown(&[]), Metric::TcpConnect);
    }
}
