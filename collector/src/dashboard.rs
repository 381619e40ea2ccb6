//! The dashboard: what was measured as a page, drawn by the server, live, and whole without JavaScript.

mod assets;
mod chart;
mod page;
mod sign_in;
mod table;
mod view;

use crate::{
    api::{
        error::ApiError,
        reports::{ReportError, Snapshot, latency_given},
    },
    app::App,
    registry::{Operator, RegistrationId},
    report::{Dimension, Question, QuestionError},
    store::Presence,
};
use axum::{
    Extension, Router,
    extract::{Query, State},
    response::{Html, IntoResponse as _, Response},
    routing::get,
};
use http::StatusCode;
use page::{Answer, Content, Empty};
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::{collections::BTreeSet, sync::Arc};

pub(crate) use sign_in::sign_in;

/// The page; operators only.
pub fn pages() -> Router<App> {
    Router::new().route("/", get(show))
}

/// What pages load; nothing in it is anybody's.
pub fn assets() -> Router<App> {
    Router::new().route("/assets/{name}", get(assets::serve))
}

/// Shows the page, or with `fragment` the part of it that is renewed.
async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let only_fragment = parameters.iter().any(|(name, _)| name == "fragment");
    let asked = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let asked = asked.filter(|(name, _)| *name != "fragment");
    let (question, faults) = Question::read(asked, operator.organisation, now);
    let Shown { status, question, measured, content } = match evidence(&app, &question).await {
        Ok(evidence) => shown(&app, question, faults, evidence, now).await,
        Err(title) => Shown {
            status: StatusCode::SERVICE_UNAVAILABLE,
            question,
            measured: BTreeSet::new(),
            content: Content::Problem { title, errors: vec!["The collector's log says why.".to_owned()] },
        },
    };
    let html = if only_fragment {
        page::fragment(&question, content, now)
    } else {
        page::page(&question, &measured, content, now)
    };
    match html {
        Ok(html) => Ok((status, Html(html)).into_response()),
        Err(error) => {
            tracing::error!(%error, "the page could not be rendered");
            Err(ApiError::internal())
        }
    }
}

/// What a page is made of.
struct Shown {
    status: StatusCode,
    question: Question,
    measured: BTreeSet<Metric>,
    content: Content,
}

/// What every question of a page rests on.
struct Ground {
    snapshot: Arc<Snapshot>,
    presence: Arc<Vec<Presence>>,
}

async fn evidence(app: &App, question: &Question) -> Result<Ground, &'static str> {
    let organisation = question.organisation;
    let snapshot = app
        .ask(move |registry, now| Snapshot::take(registry, organisation, now))
        .await
        .map_err(|_logged| "The registry does not answer")?;
    let presence = app.store.presence(organisation).await.map_err(|error| {
        tracing::error!(%error, "the store failed");
        "The store does not answer"
    })?;
    Ok(Ground { snapshot: Arc::new(snapshot), presence: Arc::new(presence) })
}

async fn shown(
    app: &App,
    mut question: Question,
    mut faults: Vec<String>,
    ground: Ground,
    now: Timestamp,
) -> Shown {
    if !faults.is_empty() {
        faults.extend(question.unknown_names(&ground.snapshot.registrations, &ground.presence));
        // The controls stand on what can be answered.
        question = Question::new(question.organisation, now);
    }
    let measured: BTreeSet<Metric> = ground
        .presence
        .iter()
        .map(|seen| seen.shape.metric)
        .filter(|metric| !matches!(metric, Metric::Jitter(_)))
        .collect();
    // A page shows one metric, so that its figures and axes can be compared.
    let metric = question.metrics.first().copied().unwrap_or_else(|| view::default_metric(&measured));
    question.metrics = BTreeSet::from([metric]);
    question.step = None;
    let (status, content) = if !faults.is_empty() {
        (StatusCode::UNPROCESSABLE_ENTITY, wrong(QuestionError { errors: faults }))
    } else if ground.snapshot.registrations.is_empty() {
        (StatusCode::OK, Content::Empty(Empty::NoRegistration))
    } else if ground.presence.is_empty() {
        (StatusCode::OK, Content::Empty(Empty::NoMeasurement))
    } else {
        match answer(app, &question, &ground, now).await {
            Ok(answer) => (StatusCode::OK, Content::Answer(Box::new(answer))),
            Err(ReportError::Question(error)) => (StatusCode::UNPROCESSABLE_ENTITY, wrong(error)),
            Err(error @ (ReportError::Store(_) | ReportError::Unfinished(_))) => {
                tracing::error!(%error, "the page has no report");
                let errors = vec!["The collector's log says why.".to_owned()];
                let title = "The store does not answer";
                (StatusCode::SERVICE_UNAVAILABLE, Content::Problem { title, errors })
            }
        }
    };
    Shown { status, question, measured, content }
}

fn wrong(error: QuestionError) -> Content {
    Content::Problem { title: "This cannot be answered", errors: error.errors }
}

/// The figures over the span, and over time by provider.
async fn answer(
    app: &App,
    question: &Question,
    ground: &Ground,
    now: Timestamp,
) -> Result<Answer, ReportError> {
    let ask = |question: Question| {
        latency_given(
            app.store.as_ref(),
            Arc::clone(&ground.snapshot),
            Arc::clone(&ground.presence),
            question,
            now,
        )
    };
    let report = ask(question.clone()).await?;
    let measured: BTreeSet<RegistrationId> = ground.presence.iter().map(|seen| seen.registration).collect();
    let wanted = ground
        .snapshot
        .registrations
        .iter()
        .filter(|entry| question.wants(entry) && measured.contains(&entry.id));
    let providers: BTreeSet<&str> = wanted.map(|entry| entry.provider.as_str()).collect();
    let step = view::step(&report, providers.len());
    let course = Question { by: vec![Dimension::Provider], step: Some(step), ..question.clone() };
    Ok(Answer { report, course: ask(course).await?, step })
}
