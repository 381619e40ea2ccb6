//! `/api/v1/reports/compare`: one provider against another.

use super::{
    ReportError, Snapshot,
    format::{Format, ParquetFile},
    scans, silences,
};
use crate::{
    api::{error::ApiError, extract::Query},
    app::App,
    registry::Operator,
    report::{
        QuestionError,
        compare::{CompareQuestion, Comparing, Comparison},
        render::{comparison, ndjson},
    },
    store::Store,
};
use axum::{Extension, extract::State, response::Response};
use futures::StreamExt as _;
use http::HeaderMap;
use peerlight_proto::time::Timestamp;
use serde::Deserialize;
use std::{pin::pin, time::Duration};

/// What may be asked; [`CompareQuestion::read`] reads it.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CompareQuery {
    /// The provider that the verdict is about and the one that it is compared with, `A,B`; given twice where a name has a
    /// comma.
    pub providers: Vec<String>,
    /// The span that ends now: `7d` (unless given), `30d` …; verdicts take 6 days, quarter hours are kept for 100.
    pub last: Option<String>,
    /// The first instant of the span, RFC 3339 or Unix seconds, instead of `last`.
    pub from: Option<String>,
    /// The first instant after the span; now unless given. Days are counted back from there.
    pub to: Option<String>,
    /// The metrics to compare by, each for itself; tcp.connect unless given. May be separated by commas.
    pub metric: Option<Vec<String>>,
    /// Only these locations; a country's code means all in it.
    pub location: Option<Vec<String>>,
    /// Only these targets, by name, address or identity.
    pub target: Option<Vec<String>>,
    /// From which difference on one is better: milliseconds, percent of the faster one's median, or both, of which the
    /// lesser decides; `5ms,10%` unless given.
    pub threshold: Option<String>,
    /// `json`, `ndjson`, `csv` or `parquet`; as `Accept` says unless given.
    pub format: Option<String>,
}

/// One provider against another: better, worse, no difference, or insufficient data, for each location and over all.
#[utoipa::path(get, path = "/api/v1/reports/compare", tag = "reports", params(CompareQuery), responses(
    (status = 200, content((Comparison = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (ParquetFile = "application/vnd.apache.parquet"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn compare(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (organisation, now) = (operator.organisation, app.clock.now());
    let (question, format, errors) =
        Format::read(&parameters, &headers, |asked| CompareQuestion::read(asked, organisation, now));
    let sight = operator.sight();
    let snapshot = app.ask(move |registry, now| Snapshot::take(registry, &sight, now)).await?;
    let kept = app.config.retention.quarter_hour;
    let comparison = answer(app.store.as_ref(), snapshot, question, errors, kept, now).await?;
    format.answer(comparison, comparison::csv::render, ndjson::comparison)
}

/// Answers from the store and what the registry knows, unless there are errors in the question: then all that is wrong
/// with it is said. Quarter hours are kept for `kept`.
pub(crate) async fn answer(
    store: &dyn Store,
    snapshot: Snapshot,
    question: CompareQuestion,
    mut errors: Vec<String>,
    kept: Duration,
    now: Timestamp,
) -> Result<Comparison, ReportError> {
    let Snapshot { registrations, .. } = snapshot;
    let presence = store.presence(question.organisation()).await?;
    errors.extend(question.too_old(kept, now));
    errors.extend(question.unknown_names(&registrations, &presence));
    if !errors.is_empty() {
        return Err(QuestionError { errors }.into());
    }
    let days = question.days(&registrations);
    let silences = silences(store, question.question(), &registrations, &presence).await?;
    let mut comparing = Comparing::new(question, registrations, &presence, silences);
    let mut scanned = pin!(scans(store, days, comparing.groups()));
    while let Some(day) = scanned.next().await {
        let (_end, rows) = day?;
        // A fleet's day takes a while to match; the runtime's threads have sockets to serve.
        comparing = tokio::task::spawn_blocking(move || {
            comparing.take(&rows);
            comparing
        })
        .await?;
    }
    Ok(comparing.finish(now))
}
