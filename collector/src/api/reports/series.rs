//! `/api/v1/reports/series`: distributions over time.

use super::{
    ReportError, Snapshot,
    format::{Format, ParquetFile},
    made,
};
use crate::{
    api::{error::ApiError, extract::Query},
    app::App,
    registry::Operator,
    report::{
        QuestionError,
        render::{ndjson, series as rendered},
        series::{SeriesQuestion, SeriesReport, series as answer},
    },
    store::{Presences, Store},
};
use axum::{Extension, extract::State, response::Response};
use http::HeaderMap;
use peerlight_proto::time::Timestamp;
use serde::Deserialize;
use std::sync::Arc;

/// What may be asked; [`SeriesQuestion::read`] reads it.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SeriesQuery {
    /// The span that ends now: `15m`, `1h` (unless given), `7d` …
    pub last: Option<String>,
    /// The first instant of the span, RFC 3339 or Unix seconds, instead of `last`.
    pub from: Option<String>,
    /// The first instant after the span; now unless given.
    pub to: Option<String>,
    /// What there is a series of: provider (unless given), location, site, target, prefix, family.
    pub by: Option<Vec<String>>,
    /// Only these metrics; tcp.connect unless given. May be separated by commas.
    pub metric: Option<Vec<String>>,
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

/// How long probes took, slot by slot, as distributions: at most 20,000 slots of all series together.
#[utoipa::path(get, path = "/api/v1/reports/series", tag = "reports", params(SeriesQuery), responses(
    (status = 200, content((SeriesReport = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (ParquetFile = "application/vnd.apache.parquet"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn series(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (organisation, now) = (operator.organisation, app.clock.now());
    let (question, format, mut errors) =
        Format::read(&parameters, &headers, |asked| SeriesQuestion::read(asked, organisation, now));
    let sight = operator.sight();
    let snapshot = app.ask(move |registry, now| Snapshot::take(registry, &sight, now)).await?;
    let presence = app.store.presence(organisation).await?;
    if !errors.is_empty() {
        errors.extend(question.question().unknown_names(&snapshot.registrations, &presence));
        return Err(QuestionError { errors }.into());
    }
    let ground = (Arc::new(snapshot), Arc::new(presence));
    let report = series_given(app.store.as_ref(), ground, question, now).await?;
    format.answer(report, rendered::csv::render, ndjson::series)
}

/// Answers from the store and what the registry and the presence say.
pub(crate) async fn series_given(
    store: &dyn Store,
    (snapshot, presence): (Arc<Snapshot>, Arc<Presences>),
    question: SeriesQuestion,
    now: Timestamp,
) -> Result<SeriesReport, ReportError> {
    let seen = Arc::clone(&presence);
    let asked = question.question().clone();
    let too_much = move |groups: &_| question.too_much(groups, &seen);
    made(store, (snapshot, presence), asked, too_much, move |groups, evidence| answer(groups, evidence, now))
        .await
}
