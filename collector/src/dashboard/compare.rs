//! Compare: one provider against another, where both measured the same: verdicts with their reasons, differences with their
//! intervals, and the distributions of both.

mod drawn;

use super::{
    about::About,
    content::{Content, Empty, State as Stead},
    controls::{Choice, Controls, Select, option, usual},
    frame::{Frame, View, address, answer as page, export},
    ground::{Ground, Names},
    view::default_metric,
};
use crate::{
    api::{error::ApiError, reports::compare::answer},
    app::App,
    registry::Operator,
    report::{
        compare::{CompareQuestion, Comparison},
        render::comparison::table::{lossier, sentence},
    },
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use drawn::{Drawn, drawn};
use peerlight_proto::time::Timestamp;
use std::{collections::BTreeSet, time::Duration};

/// The spans that are one click away: a verdict takes six days.
const SPANS: [(&str, Duration); 4] = [
    ("7d", Duration::from_hours(7 * 24)),
    ("14d", Duration::from_hours(14 * 24)),
    ("30d", Duration::from_hours(30 * 24)),
    ("90d", Duration::from_hours(90 * 24)),
];

#[derive(Template)]
#[template(path = "compare.html")]
struct Page {
    frame: Frame,
    controls: Controls,
    renew_every: u64,
    about: About,
    state: Stead,
    shown: Option<Shown>,
}

struct Shown {
    provider: String,
    against: String,
    sentence: String,
    lossier: String,
    method: String,
    threshold: String,
    drawn: Drawn,
    swap: String,
    csv: String,
    json: String,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let (question, names, content) = match Ground::lay(&app, &operator).await {
        Ok(ground) => {
            let asked = completed(asked, &ground);
            let pairs = asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let (question, faults) = CompareQuestion::read(pairs, operator.organisation, now);
            let content = content(&app, &question, &ground, faults, now).await;
            (question, ground.names(), content)
        }
        Err(trouble) => {
            let (question, _) = CompareQuestion::read([], operator.organisation, now);
            (question, Names::default(), trouble.into())
        }
    };
    let status = content.status();
    page(status, &made(&operator, &question, &names, content))
}

/// What is asked, with what is left out: the two providers of which there is most, and the metric that every page shows.
fn completed(mut asked: Vec<(String, String)>, ground: &Ground) -> Vec<(String, String)> {
    asked.retain(|(_, value)| !value.trim().is_empty());
    if !asked.iter().any(|(name, _)| name == "providers") {
        let named = two(ground.measured().map(|entry| (entry.provider.as_str(), entry.location.as_str())));
        asked.extend(named.into_iter().flatten().map(|name| ("providers".to_owned(), name)));
    }
    if !asked.iter().any(|(name, _)| name == "metric") {
        asked.push(("metric".to_owned(), default_metric(&ground.metrics()).to_string()));
    }
    asked
}

/// The two providers that have the most locations in common, the first by name among equals.
fn two<'a>(places: impl Iterator<Item = (&'a str, &'a str)>) -> Option<[String; 2]> {
    let places: BTreeSet<_> = places.collect();
    let providers: Vec<&str> =
        places.iter().map(|(provider, _)| *provider).collect::<BTreeSet<_>>().into_iter().collect();
    let common = |one: &str, other: &str| {
        places.iter().filter(|(name, place)| *name == one && places.contains(&(other, place))).count()
    };
    let pairs = providers
        .iter()
        .enumerate()
        .flat_map(|(at, one)| providers.iter().skip(at + 1).map(move |other| (*one, *other)));
    // Of equals the last is the greatest, so they are asked from their end.
    let pairs: Vec<_> = pairs.collect();
    let (one, other) = pairs.into_iter().rev().max_by_key(|(one, other)| common(one, other))?;
    Some([one.to_owned(), other.to_owned()])
}

async fn content(
    app: &App,
    question: &CompareQuestion,
    ground: &Ground,
    faults: Vec<String>,
    now: Timestamp,
) -> Content<Comparison> {
    if let Some(empty) = ground.empty() {
        return Content::Empty(empty);
    }
    let providers: BTreeSet<_> = ground.measured().map(|entry| entry.provider.as_str()).collect();
    if providers.len() < 2 {
        return Content::Empty(Empty::OneProvider);
    }
    let kept = app.config.retention.quarter_hour;
    let snapshot = ground.snapshot.as_ref().clone();
    answer(app.store.as_ref(), snapshot, question.clone(), faults, kept, now).await.into()
}

fn made(
    operator: &Operator,
    question: &CompareQuestion,
    names: &Names,
    content: Content<Comparison>,
) -> Page {
    let parameters = question.parameters();
    let (answer, state) = content.parts();
    let about = About::of(question.question(), View::Compare.path(), &parameters).up_to(question.question());
    let beside: Vec<_> = parameters.iter().filter(|(name, _)| *name != "providers").cloned().collect();
    let mut controls = Controls::new(
        View::Compare.path(),
        &parameters,
        &SPANS,
        usual(names, &["metric", "location", "target"]),
    );
    controls.hidden.retain(|(name, _)| *name != "providers");
    let [provider, against] = question.providers();
    controls.selects.insert(0, chooser("Is", names, provider));
    controls.selects.insert(1, chooser("better than", names, against));
    Page {
        frame: Frame::new(View::Compare, "Compare".to_owned(), operator, &beside),
        controls,
        renew_every: 0,
        about,
        state,
        shown: answer.map(|comparison| shown(question, &comparison)),
    }
}

/// A selector of one of the two providers.
fn chooser(label: &'static str, names: &Names, chosen: &str) -> Select {
    let offered = names
        .providers
        .iter()
        .map(|name| Choice { chosen: name.to_lowercase() == chosen.to_lowercase(), ..option(name, name) });
    Select { name: "providers", label, options: offered.collect() }
}

fn shown(question: &CompareQuestion, comparison: &Comparison) -> Shown {
    let parameters = question.parameters();
    let api = |format| export("/api/v1/reports/compare", &parameters, format);
    let mut swapped = parameters.clone();
    swapped.swap(0, 1);
    // A page compares by one metric.
    let overall = comparison.metrics.first().map(|one| &one.overall);
    Shown {
        provider: comparison.provider.clone(),
        against: comparison.against.clone(),
        sentence: overall.map(|overall| sentence(comparison, overall)).unwrap_or_default(),
        lossier: overall.map(|overall| lossier(comparison, overall)).unwrap_or_default(),
        method: comparison.method.clone(),
        threshold: comparison.threshold.words(),
        drawn: comparison.metrics.first().map(drawn).unwrap_or_default(),
        swap: address(View::Compare.path(), &swapped),
        csv: api("csv"),
        json: api("json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_are_compared_that_have_the_most_in_common() {
        let places = [("A", "x"), ("A", "y"), ("B", "z"), ("C", "x"), ("C", "y"), ("D", "x")];
        assert_eq!(two(places.into_iter()), Some(["A".to_owned(), "C".to_owned()]));
        assert_eq!(
            two([("B", "x"), ("A", "x"), ("C", "x")].into_iter()),
            Some(["A".to_owned(), "B".to_owned()])
        );
        assert_eq!(two([("A", "x")].into_iter()), None);
    }
}
