//! `/api/v1/reports/time-of-day`: latency and loss by the hour that clocks show at the location.

use super::{
    ReportError, Snapshot,
    format::{Format, ParquetFile},
    scans, silences,
};
use crate::{
    api::{error::ApiError, extract::Query},
    app::App,
    registry::{Location, Operator, Registrations},
    report::{
        QuestionError,
        render::{ndjson, time_of_day},
        time_of_day::{Gathering, TimeOfDayQuestion, TimeOfDayReport},
    },
    store::Store,
};
use axum::{Extension, extract::State, response::Response};
use futures::StreamExt as _;
use http::HeaderMap;
use peerlight_proto::time::Timestamp;
use serde::Deserialize;
use std::pin::pin;

/// What may be asked; [`TimeOfDayQuestion::read`] reads it.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TimeOfDayQuery {
    /// The span that ends now: `7d`, `28d` (unless given) … Quarter hours, which it takes, are kept for 100 days.
    pub last: Option<String>,
    /// The first instant of the span, RFC 3339 or Unix seconds, instead of `last`.
    pub from: Option<String>,
    /// The first instant after the span; now unless given.
    pub to: Option<String>,
    /// What rows are grouped by besides the location: provider (unless given), site, target, prefix, family.
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
    /// Which days count, by the date and the weekend at the location: `all` (unless given), `weekdays`, `weekends`, or
    /// `apart` for a row of each.
    pub days: Option<String>,
    /// `json`, `ndjson`, `csv` or `parquet`; as `Accept` says unless given.
    pub format: Option<String>,
}

/// Latency and loss by the hour at the location, and how much slower its busy hour is than its quiet one.
#[utoipa::path(get, path = "/api/v1/reports/time-of-day", tag = "reports", params(TimeOfDayQuery), responses(
    (status = 200, content((TimeOfDayReport = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (ParquetFile = "application/vnd.apache.parquet"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn time_of_day(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (organisation, now) = (operator.organisation, app.clock.now());
    let (question, format, mut errors) =
        Format::read(&parameters, &headers, |asked| TimeOfDayQuestion::read(asked, organisation, now));
    let sight = operator.sight();
    let (snapshot, locations) = app
        .ask(move |registry, now| {
            Ok((Snapshot::take(registry, &sight, now)?, registry.locations(organisation)?))
        })
        .await?;
    errors.extend(question.too_old(app.config.retention.quarter_hour, now));
    let known = (snapshot.registrations, locations);
    let report = answer(app.store.as_ref(), known, question, errors, now).await?;
    format.answer(report, time_of_day::csv::render, ndjson::time_of_day)
}

/// Answers from the store and what the registry knows, unless there are errors in the question: then all that is wrong
/// with it is said.
pub(crate) async fn answer(
    store: &dyn Store,
    (registrations, locations): (Registrations, Vec<Location>),
    question: TimeOfDayQuestion,
    mut errors: Vec<String>,
    now: Timestamp,
) -> Result<TimeOfDayReport, ReportError> {
    let presence = store.presence(question.question().organisation).await?;
    errors.extend(question.question().unknown_names(&registrations, &presence));
    if !errors.is_empty() {
        return Err(QuestionError { errors }.into());
    }
    let silences = silences(store, question.question(), &registrations, &presence).await?;
    let parts = question.parts(&registrations);
    let mut gathering = Gathering::new(question, registrations, &locations, &presence, silences);
    let mut scanned = pin!(scans(store, parts, gathering.groups()));
    while let Some(part) = scanned.next().await {
        let (end, rows) = part?;
        // A fleet's day takes a while to add up; the runtime's threads have sockets to serve.
        gathering = tokio::task::spawn_blocking(move || {
            gathering.take(&rows, end);
            gathering
        })
        .await?;
    }
    Ok(tokio::task::spawn_blocking(move || gathering.finish(now)).await?)
}
