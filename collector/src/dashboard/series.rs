//! Series: how long probes took over time as smoke, for each group that is asked for.

use super::{
    about::{About, renew_every},
    content::{Content, State as Stead},
    controls::{Choice, Controls, Select, usual},
    frame::{Frame, View, answer as page},
    ground::{Ground, Names},
    smoke::{MAX_SMOKES, Smoke, smokes},
    view::{self, SPANS, address},
};
use crate::{
    api::{
        error::ApiError,
        reports::{ReportError, series::series_given},
    },
    app::App,
    registry::Operator,
    report::{
        Dimension, Question, Report,
        series::{SeriesQuestion, SeriesReport},
    },
};
use askama::Template;
use axum::{
    Extension,
    extract::{Query, State},
    response::Response,
};
use peerlight_proto::{duration, time::Timestamp};
use std::{sync::Arc, time::Duration};

/// The groupings that are offered; others may stand in the address.
const GROUPINGS: [(&str, &[Dimension]); 6] = [
    ("provider", &[Dimension::Provider]),
    ("provider and location", &[Dimension::Provider, Dimension::Location]),
    ("provider and target", &[Dimension::Provider, Dimension::Target]),
    ("provider and family", &[Dimension::Provider, Dimension::Family]),
    ("location", &[Dimension::Location]),
    ("site", &[Dimension::Provider, Dimension::Location, Dimension::Site]),
];

/// What the page is made of.
struct Answer {
    series: SeriesReport,
    /// The same groups over the whole span.
    whole: Report,
    step: Duration,
}

#[derive(Template)]
#[template(path = "series.html")]
struct Page {
    frame: Frame,
    controls: Controls,
    renew_every: u64,
    about: About,
    state: Stead,
    shown: Option<Shown>,
}

struct Shown {
    smokes: Vec<Smoke>,
    more: usize,
    step: String,
    wider: String,
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
    let grouped = asked.iter().any(|(name, value)| name == "by" && !value.trim().is_empty());
    let pairs = asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (question, faults) = Question::read(pairs, operator.organisation, now);
    let own_step = question.step;
    let (question, names, content) = match Ground::lay(&app, &operator).await {
        Ok(ground) => {
            let (mut question, faults) = view::answerable(question, faults, &ground, now);
            if !grouped {
                question.by = fitting(&question);
            }
            question.step = own_step.filter(|_| faults.is_empty());
            let content = ground.content(faults, answer(&app, &question, &ground, now)).await;
            (question, ground.names(), content)
        }
        Err(trouble) => (question, Names::default(), trouble.into()),
    };
    let status = content.status();
    page(status, &made(&operator, &question, &names, content, now))
}

/// What a question that names no grouping is grouped by: the provider, and whatever it narrows down to.
fn fitting(question: &Question) -> Vec<Dimension> {
    let narrowed = [
        (Dimension::Location, !question.locations.is_empty()),
        (Dimension::Site, !question.sites.is_empty()),
        (Dimension::Target, !question.targets.is_empty()),
    ];
    let narrowed = narrowed.into_iter().filter(|(_, narrowed)| *narrowed).map(|(dimension, _)| dimension);
    std::iter::once(Dimension::Provider).chain(narrowed).collect()
}

async fn answer(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<Answer, ReportError> {
    let whole = ground.latency(app, Question { step: None, ..question.clone() }, now).await?;
    // Slots of which each series has, on average, enough probes for its percentiles.
    let step = question.step.unwrap_or_else(|| view::step(&whole, whole.rows.len()));
    let asked = SeriesQuestion::of(Question { step: Some(step), ..question.clone() });
    let known = (Arc::clone(&ground.snapshot), Arc::clone(&ground.presence));
    let series = series_given(app.store.as_ref(), known, asked, now).await?;
    Ok(Answer { series, whole, step })
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
    let about = About::of(question, View::Series.path(), &parameters);
    let mut selects = usual(names, &["metric", "provider", "location", "target"]);
    let value = |by: &[Dimension]| by.iter().map(|dimension| dimension.name()).collect::<Vec<_>>().join(",");
    let offered = GROUPINGS.iter().map(|(label, by)| Choice {
        value: value(by),
        label: (*label).to_owned(),
        href: String::new(),
        chosen: false,
    });
    selects.insert(1, Select { name: "by", label: "By", options: offered.collect() });
    Page {
        frame: Frame::new(View::Series, format!("{} over time", about.metric), operator, &parameters),
        controls: Controls::new(View::Series.path(), &parameters, &SPANS, selects),
        renew_every: renew_every(question),
        about: about.measured(answer.as_ref().and_then(|answer| answer.series.measured_until), now),
        state,
        shown: answer.map(|answer| shown(question, &answer)),
    }
}

fn shown(question: &Question, answer: &Answer) -> Shown {
    let asked = Question { step: Some(answer.step), ..question.clone() };
    let api = |format| address("/api/v1/reports/series", &asked, &[("format", format)]);
    Shown {
        smokes: smokes(&answer.series, &answer.whole, answer.step),
        more: answer.series.series.len().saturating_sub(MAX_SMOKES),
        step: duration::text(answer.step),
        wider: address(View::Series.path(), &wider(question), &[]),
        csv: api("csv"),
        json: api("json"),
    }
}

/// The same over twice the span, around it; up to now where it ends now.
fn wider(question: &Question) -> Question {
    let span = question.to.since(question.from);
    match question.last {
        Some(last) => Question { last: Some(last * 2), step: None, ..question.clone() },
        None => Question {
            from: question.from.minus(span / 2),
            to: question.to.plus(span / 2),
            step: None,
            ..question.clone()
        },
    }
}
