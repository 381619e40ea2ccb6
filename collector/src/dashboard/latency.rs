//! Latency: percentiles, loss and coverage as a table with their intervals, and over time by provider.

use super::{
    about::{About, renew_every},
    chart::{self, Chart, MAX_CHARTS, charts},
    content::{Content, State as Stead},
    controls::{Choice, Controls, Select, usual},
    frame::{Frame, View, answer as page},
    ground::{Ground, Names},
    table::{PERCENTILES, Table, table},
    view::{self, GROUPINGS, SPANS, address},
};
use crate::{
    api::{error::ApiError, reports::ReportError},
    app::App,
    registry::Operator,
    report::{Dimension, Missing, Question, Report},
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use peerlight_proto::{duration, time::Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// Figures: over the span, and over time.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// By what was asked for.
    report: Report,
    /// By provider, in slots of `step`.
    course: Report,
    /// The length of a slot.
    step: Duration,
}

#[derive(Template)]
#[template(path = "latency.html")]
struct Page {
    frame: Frame,
    controls: Controls,
    renew_every: u64,
    about: About,
    state: Stead,
    figures: Option<Figures>,
}

pub(super) struct Figures {
    pub(super) table: Table,
    pub(super) percentiles: [&'static str; 9],
    pub(super) charts: Vec<Chart>,
    more_charts: bool,
    pub(super) step: String,
    pub(super) intervals: String,
    pub(super) missing: Vec<String>,
    pub(super) csv: String,
    pub(super) json: String,
}

/// Shows the page.
pub(super) async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let pairs = asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (question, faults) = Question::read(pairs, operator.organisation, now);
    let (question, names, content) = match Ground::lay(&app, &operator).await {
        Ok(ground) => {
            let (question, faults) = view::answerable(question, faults, &ground, now);
            let content = ground.content(faults, answer(&app, &question, &ground, now)).await;
            (question, ground.names(), content)
        }
        Err(trouble) => (question, Names::default(), trouble.into()),
    };
    let status = content.status();
    page(status, &made(&operator, &question, &names, content, now))
}

/// The figures over the span, and over time by provider.
pub(super) async fn answer(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<Answer, ReportError> {
    let report = ground.latency(app, question.clone(), now).await?;
    let wanted = ground.measured().filter(|entry| question.wants(entry));
    let providers: BTreeSet<&str> = wanted.map(|entry| entry.provider.as_str()).collect();
    let step = view::step(&report, providers.len());
    let course = Question { by: vec![Dimension::Provider], step: Some(step), ..question.clone() };
    Ok(Answer { report, course: ground.latency(app, course, now).await?, step })
}

fn made(
    operator: &Operator,
    question: &Question,
    names: &Names,
    content: Content<Answer>,
    now: Timestamp,
) -> Page {
    let parameters = question.parameters();
    let (answer, state) = content.parts();
    let about = About::of(question, View::Latency.path(), &parameters);
    let mut selects = usual(names, &["metric", "provider", "location", "target"]);
    selects.insert(1, groupings(question));
    Page {
        frame: Frame::new(View::Latency, format!("{} latency", about.metric), operator, &parameters),
        controls: Controls::new(View::Latency.path(), &parameters, &SPANS, selects),
        renew_every: renew_every(question),
        about: about.measured(answer.as_ref().and_then(|answer| answer.report.measured_until), now),
        state,
        figures: answer.map(|answer| figures(question, &answer)),
    }
}

pub(super) fn figures(question: &Question, answer: &Answer) -> Figures {
    let Answer { report, course, step } = answer;
    let charts = if report.rows.is_empty() { Vec::new() } else { charts(course, *step, chart::title) };
    let courses = course.rows.iter().map(chart::title).collect::<BTreeSet<_>>();
    let api = |format| address("/api/v1/reports/latency", question, &[("format", format)]);
    Figures {
        table: table(report, question),
        percentiles: PERCENTILES,
        more_charts: courses.len() > MAX_CHARTS,
        charts,
        step: duration::text(*step),
        intervals: report.intervals.clone(),
        missing: report.dropped.iter().map(Missing::sentence).collect(),
        csv: api("csv"),
        json: api("json"),
    }
}

fn groupings(question: &Question) -> Select {
    let value = |by: &[Dimension]| by.iter().map(|dimension| dimension.name()).collect::<Vec<_>>().join(",");
    let offered = GROUPINGS.iter().map(|(label, by)| Choice {
        value: value(by),
        label: (*label).to_owned(),
        href: String::new(),
        chosen: question.by == *by,
    });
    Select { name: "by", label: "By", options: offered.collect() }
}
