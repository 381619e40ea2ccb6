//! `/api/v1/reports/edges` and `/api/v1/reports/physics`: which front doors served, and how long light takes to them.

use super::{
    ReportError, Snapshot,
    format::{Format, ParquetFile},
    made,
};
use crate::{
    api::{error::ApiError, extract::Query},
    app::App,
    geography::{Places, Point},
    registry::{Location, Operator},
    report::{
        Evidence, Groups, QuestionError,
        edges::{EdgesQuestion, EdgesReport},
        physics::PhysicsReport,
        render::{edges as edges_rendered, ndjson, physics as physics_rendered},
    },
    store::{Presences, Store},
};
use axum::{Extension, extract::State, response::Response};
use http::HeaderMap;
use peerlight_proto::time::Timestamp;
use serde::Deserialize;
use std::sync::Arc;

/// What may be asked; [`EdgesQuestion::read`] reads it.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EdgesQuery {
    /// The span that ends now: `1h`, `24h` (unless given), `30d` …
    pub last: Option<String>,
    /// The first instant of the span, RFC 3339 or Unix seconds, instead of `last`.
    pub from: Option<String>,
    /// The first instant after the span; now unless given.
    pub to: Option<String>,
    /// What rows are grouped by: provider, location and target unless given; or site, prefix, family. Location always is.
    pub by: Option<Vec<String>>,
    /// Only these providers.
    pub provider: Option<Vec<String>>,
    /// Only these locations; a country's code means all in it.
    pub location: Option<Vec<String>>,
    /// Only these sites.
    pub site: Option<Vec<String>>,
    /// Only these targets, by name, address or identity.
    pub target: Option<Vec<String>>,
    /// The length of slots: whole minutes that divide a day; unless given the shortest that makes at most 180 of the span.
    pub step: Option<String>,
    /// `json`, `ndjson`, `csv` or `parquet`; as `Accept` says unless given.
    pub format: Option<String>,
}

/// Which of Microsoft's front doors served HTTPS requests, over time, and whether it is the nearest that is known.
#[utoipa::path(get, path = "/api/v1/reports/edges", tag = "reports", params(EdgesQuery), responses(
    (status = 200, content((EdgesReport = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (ParquetFile = "application/vnd.apache.parquet"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn edges(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let (question, format, errors) =
        Format::read(&parameters, &headers, |asked| EdgesQuestion::read(asked, operator.organisation, now));
    let (ground, places) = ground(&app, &operator, &question, errors).await?;
    let report = edges_given(app.store.as_ref(), ground, places, question, now).await?;
    format.answer(report, edges_rendered::csv::render, ndjson::edges)
}

/// Connects beside the least that light in fibre takes to the front door that served.
#[utoipa::path(get, path = "/api/v1/reports/physics", tag = "reports", params(EdgesQuery), responses(
    (status = 200, content((PhysicsReport = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (ParquetFile = "application/vnd.apache.parquet"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn physics(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let (question, format, errors) =
        Format::read(&parameters, &headers, |asked| EdgesQuestion::read(asked, operator.organisation, now));
    let (ground, places) = ground(&app, &operator, &question, errors).await?;
    let make = move |groups: &Groups, evidence: &Evidence<'_>| {
        crate::report::physics::physics(groups, evidence, &places, now)
    };
    let report = slotted(app.store.as_ref(), ground, question, make).await?;
    format.answer(report, physics_rendered::csv::render, ndjson::physics)
}

/// What both rest on.
type Ground = (Arc<Snapshot>, Arc<Presences>);

/// What the registry and the presence say, and where locations are, unless there are errors in the question: then all that is wrong
/// with it is said.
async fn ground(
    app: &App,
    operator: &Operator,
    question: &EdgesQuestion,
    mut errors: Vec<String>,
) -> Result<(Ground, Places), ApiError> {
    let organisation = operator.organisation;
    let sight = operator.sight();
    let ask = move |registry: &_, now| {
        Ok((Snapshot::take(registry, &sight, now)?, registry.locations(organisation)?))
    };
    let (snapshot, locations) = app.ask(ask).await?;
    let presence = app.store.presence(organisation).await?;
    if !errors.is_empty() {
        errors.extend(question.slotted().question().unknown_names(&snapshot.registrations, &presence));
        return Err(QuestionError { errors }.into());
    }
    Ok(((Arc::new(snapshot), Arc::new(presence)), places(&locations)))
}

/// Where the locations with coordinates are; of a code that was added again, its last.
pub(crate) fn places(locations: &[Location]) -> Places {
    let point = |location: &Location| {
        let (latitude, longitude) = (location.latitude?, location.longitude?);
        Some((location.code.clone(), Point { latitude, longitude }))
    };
    Places::of(locations.iter().filter_map(point))
}

/// Answers from the store and what the registry and the presence say.
pub(crate) async fn edges_given(
    store: &dyn Store,
    ground: Ground,
    places: Places,
    question: EdgesQuestion,
    now: Timestamp,
) -> Result<EdgesReport, ReportError> {
    let make = move |groups: &Groups, evidence: &Evidence<'_>| {
        crate::report::edges::edges(groups, evidence, &places, now)
    };
    slotted(store, ground, question, make).await
}

/// Both reports of one question, from one scan of the store.
pub(crate) async fn both_given(
    store: &dyn Store,
    ground: Ground,
    places: Places,
    question: EdgesQuestion,
    now: Timestamp,
) -> Result<(EdgesReport, PhysicsReport), ReportError> {
    let make = move |groups: &Groups, evidence: &Evidence<'_>| {
        (
            crate::report::edges::edges(groups, evidence, &places, now),
            crate::report::physics::physics(groups, evidence, &places, now),
        )
    };
    slotted(store, ground, question, make).await
}

async fn slotted<T: Send + 'static>(
    store: &dyn Store,
    (snapshot, presence): Ground,
    question: EdgesQuestion,
    make: impl FnOnce(&Groups, &Evidence<'_>) -> T + Send + 'static,
) -> Result<T, ReportError> {
    let asked = question.slotted().question().clone();
    let seen = Arc::clone(&presence);
    let too_much = move |groups: &Groups| question.slotted().too_much(groups, &seen);
    made(store, (snapshot, presence), asked, too_much, make).await
}
