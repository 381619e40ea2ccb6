//! The letter: what a provider's line did over a span as one page that can be mailed and printed. Style and drawings are in it, nothing is
//! loaded, nothing runs, and no link leads to a collector that its reader cannot reach.

use super::{
    about::About,
    assets,
    availability::drawn::{Drawn, drawn},
    ground::{Ground, Trouble},
    latency::{self, Figures},
    view,
};
use crate::{
    api::{
        error::ApiError,
        extract::Query,
        reports::{LatencyQuery, ReportError, availability, edges},
    },
    app::App,
    registry::Operator,
    report::{
        Dimension, Question, QuestionError,
        availability::{AvailabilityQuestion, DEFAULT_METRICS},
        edges::{EdgesQuestion, EdgesReport},
        render::edges::table as doors,
    },
    rfc3339,
    store::Retention,
};
use askama::Template;
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header};
use peerlight_proto::time::Timestamp;
use std::sync::Arc;

/// The span of a letter that names none.
const DEFAULT_LAST: &str = "30d";
const BY: [Dimension; 2] = [Dimension::Provider, Dimension::Location];
/// What paper needs beside the pages' own style.
const PRINT: &str = include_str!("assets/print.css");

#[derive(Template)]
#[template(path = "letter.html")]
struct Letter {
    style: String,
    title: String,
    made: String,
    version: &'static str,
    about: About,
    figures: Figures,
    availability: Result<Drawn, String>,
    doors: Result<Vec<Door>, String>,
}

/// A front door's line.
struct Door {
    group: String,
    name: String,
    figures: [String; 4],
    nearest: String,
    first: String,
    last: String,
}

/// One page with figures, charts, outages and front doors, whole in itself: 30 days by provider and location unless asked otherwise.
#[utoipa::path(get, path = "/api/v1/reports/html", tag = "reports", params(LatencyQuery), responses(
    (status = 200, content((String = "text/html"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub(crate) async fn letter(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(mut asked): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let given = |name: &str| asked.iter().any(|(key, value)| key == name && !value.trim().is_empty());
    let (spanned, grouped) = (given("last") || given("from"), given("by"));
    if !spanned {
        asked.push(("last".to_owned(), DEFAULT_LAST.to_owned()));
    }
    let pairs = asked.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (mut question, mut errors) = Question::read(pairs, operator.organisation, now);
    if !grouped {
        question.by = BY.to_vec();
    }
    let ground = Ground::lay(&app, &operator).await.map_err(refused)?;
    errors.extend(question.unknown_names(&ground.snapshot.registrations, &ground.presence));
    if !errors.is_empty() {
        return Err(QuestionError { errors }.into());
    }
    let (question, _faults) = view::answerable(question, Vec::new(), &ground, now);
    let page = made(&app, &question, &ground, now).await?;
    let html = page.render().map_err(|error| {
        tracing::error!(%error, "the letter could not be rendered");
        ApiError::internal()
    })?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        // It is for keeping: the pages' policy would not show a style within it.
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment; filename=\"peerlight-report.html\""),
        ),
    ];
    Ok((headers, html).into_response())
}

fn refused(trouble: Trouble) -> ApiError {
    if trouble.status == StatusCode::UNPROCESSABLE_ENTITY {
        QuestionError { errors: trouble.errors }.into()
    } else {
        ApiError::internal()
    }
}

async fn made(app: &App, question: &Question, ground: &Ground, now: Timestamp) -> Result<Letter, ApiError> {
    let answer = latency::answer(app, question, ground, now).await?;
    let about = About::of(question, "", &Vec::new());
    let whom = if question.providers.is_empty() {
        "Every provider".to_owned()
    } else {
        question.providers.iter().cloned().collect::<Vec<_>>().join(", ")
    };
    Ok(Letter {
        style: [assets::STYLE.content(), PRINT].concat(),
        title: format!("{whom}: how Microsoft's cloud was reached"),
        made: rfc3339::seconds(now),
        version: env!("CARGO_PKG_VERSION"),
        figures: unlinked(latency::figures(question, &answer)),
        availability: outages(app, question, ground, now).await?,
        doors: front_doors(app, question, ground, now).await?,
        about: About {
            span: format!("{} to {}", rfc3339::seconds(question.from), rfc3339::seconds(question.to)),
            ..about
        },
    })
}

/// The figures without the ways to where they come from.
fn unlinked(mut figures: Figures) -> Figures {
    figures.csv.clear();
    figures.json.clear();
    for name in figures.table.rows.iter_mut().flat_map(|row| &mut row.names) {
        name.href.clear();
    }
    figures
}

/// The question's filters and span, grouped like it.
fn parameters(question: &Question) -> Vec<(&'static str, String)> {
    let own = question
        .parameters()
        .into_iter()
        .filter(|(name, _)| !["metric", "last", "from", "to"].contains(name));
    own.chain([("from", rfc3339::text(question.from)), ("to", rfc3339::text(question.to))]).collect()
}

/// When targets answered, or why that is not told.
async fn outages(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<Result<Drawn, String>, ApiError> {
    let parameters = parameters(question);
    let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    // Of phases of HTTPS the connects tell; what a question of one metric asks is that metric.
    let metric =
        question.metrics.first().filter(|metric| DEFAULT_METRICS.contains(metric)).map(ToString::to_string);
    let metric = metric.as_deref().map(|metric| ("metric", metric));
    let (asked, errors) = AvailabilityQuestion::read(pairs.chain(metric), question.organisation, now);
    let kept = Retention::from(app.config.retention);
    told(availability::answer(app.store.as_ref(), &ground.snapshot, asked, errors, kept, now).await)
        .map(|report| report.map(|report| drawn(&report)))
}

/// The front doors, or why they are not told.
async fn front_doors(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<Result<Vec<Door>, String>, ApiError> {
    let parameters = parameters(question);
    let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let (asked, errors) = EdgesQuestion::read(pairs, question.organisation, now);
    if !errors.is_empty() {
        return Ok(Err(errors.join("; ")));
    }
    let organisation = question.organisation;
    let locations = app.ask(move |registry, _now| registry.locations(organisation)).await?;
    let known = (Arc::clone(&ground.snapshot), Arc::clone(&ground.presence));
    let report = edges::edges_given(app.store.as_ref(), known, edges::places(&locations), asked, now).await;
    told(report).map(|report| report.map(|report| lines(&report)))
}

fn lines(report: &EdgesReport) -> Vec<Door> {
    let all = report.rows.iter().flat_map(|row| row.front_doors.iter().map(move |door| (row, door)));
    all.map(|(row, door)| Door {
        group: row.group.label(&report.question.by),
        name: doors::called(door),
        figures: doors::figures_of(door),
        nearest: doors::nearness(row, door),
        first: rfc3339::seconds(door.first_seen),
        last: rfc3339::seconds(door.last_seen),
    })
    .collect()
}

/// A part that cannot be told says so in its place; a store that fails ends the whole.
fn told<R>(answered: Result<R, ReportError>) -> Result<Result<R, String>, ApiError> {
    match answered {
        Ok(report) => Ok(Ok(report)),
        Err(ReportError::Question(error)) => Ok(Err(error.errors.join("; "))),
        Err(error @ (ReportError::Store(_) | ReportError::Unfinished(_))) => Err(error.into()),
    }
}
