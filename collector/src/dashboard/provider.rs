//! Provider: everything about one provider at one look: each location with its figures, trend, availability, Microsoft's yardsticks,
//! and the verdict against others where they can be compared.

mod beside;
mod lists;
mod rows;

use super::{
    about::{About, renew_every},
    chart::{Chart, MAX_CHARTS, charts},
    content::{Content, State as Stead},
    controls::{Controls, Parameters, Select, option, usual},
    frame::{Frame, View, answer as page},
    ground::{Ground, Names},
    list::List,
    overview::location_names,
    trend::Trend,
    view::{self, SPANS, address},
};
use crate::{
    api::{error::ApiError, reports::ReportError},
    app::App,
    registry::Operator,
    report::{
        Dimension, Question, ReportRow, availability::AvailabilityReport, compare::Comparison,
        yardsticks::YardsticksReport,
    },
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use peerlight_proto::{duration, time::Timestamp};
use rows::Row;
use std::{collections::BTreeMap, time::Duration};
use tokio::join;

/// The span of a page that names none: what a comparison takes.
const DEFAULT_LAST: Duration = Duration::from_hours(7 * 24);

/// What the page is made of. What one part cannot tell is said in its place.
struct Answer {
    trend: Trend,
    availability: Result<AvailabilityReport, String>,
    yardsticks: Result<YardsticksReport, String>,
    /// Against each of those that measured at a location of this provider, too.
    verdicts: Vec<Result<Comparison, String>>,
    /// What people call locations.
    names: BTreeMap<String, String>,
}

#[derive(Template)]
#[template(path = "provider.html")]
struct Page {
    frame: Frame,
    controls: Controls,
    renew_every: u64,
    about: About,
    state: Stead,
    provider: String,
    shown: Option<Shown>,
}

struct Shown {
    rows: Vec<Row>,
    charts: Vec<Chart>,
    more_charts: bool,
    step: String,
    compared: bool,
    letter: String,
    csv: String,
    json: String,
    tables: Vec<List>,
    untold: Vec<String>,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let (question, faults) = view::spanning(&asked, DEFAULT_LAST, operator.organisation, now);
    let (question, names, content) = match Ground::lay(&app, &operator).await {
        Ok(ground) => {
            let (question, mut faults) = view::answerable(question, faults, &ground, now);
            let question = of_one(question, &ground, &mut faults);
            let content = ground.content(faults, Box::pin(answer(&app, &question, &ground, now))).await;
            (question, ground.names(), content)
        }
        Err(trouble) => (question, Names::default(), trouble.into()),
    };
    let status = content.status();
    page(status, &made(&operator, &question, &names, content, now))
}

/// The question by location of one provider: the first by name that has measured, unless one is named.
fn of_one(mut question: Question, ground: &Ground, faults: &mut Vec<String>) -> Question {
    question.by = vec![Dimension::Location];
    if question.providers.len() > 1 {
        faults.push("provider: this page is of one; name only one".to_owned());
    }
    if question.providers.is_empty() {
        let registered = || ground.snapshot.registrations.iter().map(|entry| &entry.provider).min();
        let first = ground.measured().map(|entry| &entry.provider).min().or_else(registered);
        question.providers = first.cloned().into_iter().collect();
    } else {
        // As it is registered rather than as it was typed.
        let registered = ground.snapshot.registrations.iter().find(|entry| {
            question.providers.iter().any(|name| crate::report::is_same(&entry.provider, name))
        });
        question.providers =
            registered.map_or_else(|| question.providers.clone(), |entry| [entry.provider.clone()].into());
    }
    question
}

async fn answer(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<Answer, ReportError> {
    let (trend, availability, yardsticks, verdicts, names) = join!(
        Trend::find(app, question, ground, now),
        beside::availability(app, question, ground, now),
        beside::yardsticks(app, question, ground, now),
        beside::verdicts(app, question, ground, now),
        location_names(app, question.organisation),
    );
    Ok(Answer { trend: trend?, availability, yardsticks, verdicts, names })
}

/// The parameters of the page: the provider, the span and whatever else narrows it.
fn parameters(question: &Question) -> Parameters {
    question.parameters().into_iter().filter(|(name, _)| !["by", "step"].contains(name)).collect()
}

fn made(
    operator: &Operator,
    question: &Question,
    names: &Names,
    content: Content<Answer>,
    now: Timestamp,
) -> Page {
    let parameters = parameters(question);
    let provider = question.providers.first().cloned().unwrap_or_default();
    let (answer, state) = content.parts();
    let about = About::of(question, View::Provider.path(), &parameters);
    let mut selects = usual(names, &["metric", "location", "target"]);
    let offered = names.providers.iter().map(|name| option(name, name)).collect();
    selects.insert(0, Select { name: "provider", label: "Provider", options: offered });
    let title = if provider.is_empty() { "Provider".to_owned() } else { provider.clone() };
    Page {
        frame: Frame::new(View::Provider, title, operator, &parameters),
        controls: Controls::new(View::Provider.path(), &parameters, &SPANS, selects),
        renew_every: renew_every(question).min(1) * RENEW_EVERY,
        about: about.measured(answer.as_ref().and_then(|answer| answer.trend.report.measured_until), now),
        state,
        provider,
        shown: answer.map(|answer| shown(question, &answer, &parameters)),
    }
}

/// How often an open page is renewed, in seconds: it asks more than others, of days that hardly change.
const RENEW_EVERY: u64 = 60;

/// What a chart is of.
fn location_of(row: &ReportRow) -> String {
    row.group.label(&[Dimension::Location])
}

fn shown(question: &Question, answer: &Answer, parameters: &Parameters) -> Shown {
    let api = |format| address("/api/v1/reports/latency", question, &[("format", format)]);
    let places = answer.trend.report.rows.len();
    let untold = [answer.availability.as_ref().err(), answer.yardsticks.as_ref().err()];
    let untold =
        untold.into_iter().flatten().chain(answer.verdicts.iter().filter_map(|one| one.as_ref().err()));
    Shown {
        rows: rows::rows(question, answer),
        charts: if places == 0 {
            Vec::new()
        } else {
            charts(&answer.trend.course, answer.trend.step, location_of)
        },
        more_charts: places > MAX_CHARTS,
        step: duration::text(answer.trend.step),
        compared: !answer.verdicts.is_empty(),
        letter: super::frame::address("/api/v1/reports/html", parameters),
        csv: api("csv"),
        json: api("json"),
        untold: untold.cloned().collect(),
        tables: lists::lists(question, answer),
    }
}
