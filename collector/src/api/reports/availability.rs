//! `/api/v1/reports/availability`: how much of the time targets answered, and the outages.

use super::{
    ReportError, Snapshot,
    format::{Format, ParquetFile},
    silences,
};
use crate::{
    api::{error::ApiError, extract::Query},
    app::App,
    registry::Operator,
    report::{
        QuestionError,
        availability::{AvailabilityQuestion, AvailabilityReport, Ground, Observing},
        render::{availability, ndjson},
    },
    store::{Retention, Store},
};
use axum::{Extension, extract::State, response::Response};
use http::HeaderMap;
use peerlight_proto::time::Timestamp;
use serde::Deserialize;

/// What may be asked; [`AvailabilityQuestion::read`] reads it.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AvailabilityQuery {
    /// The span that ends now: `1h`, `24h` (unless given), `30d` … Quarter hours, which it takes, are kept for 100 days.
    pub last: Option<String>,
    /// The first instant of the span, RFC 3339 or Unix seconds, instead of `last`; its quarter hour counts whole.
    pub from: Option<String>,
    /// The first instant after the span; three minutes ago unless given or earlier, since what is newer may be on its way.
    pub to: Option<String>,
    /// What rows are grouped by: provider, location, target and family unless given; or site.
    pub by: Option<Vec<String>>,
    /// Only these metrics; icmp.rtt and tcp.connect unless given. May be separated by commas.
    pub metric: Option<Vec<String>>,
    /// Only these providers.
    pub provider: Option<Vec<String>>,
    /// Only these locations; a country's code means all in it.
    pub location: Option<Vec<String>>,
    /// Only these sites.
    pub site: Option<Vec<String>>,
    /// Only these targets, by name, address or identity.
    pub target: Option<Vec<String>>,
    /// `json`, `ndjson`, `csv` or `parquet`; as `Accept` says unless given.
    pub format: Option<String>,
}

/// The share of time with answers, the outages, and the gaps in which agents measured nothing, which are no outages.
#[utoipa::path(get, path = "/api/v1/reports/availability", tag = "reports", params(AvailabilityQuery), responses(
    (status = 200, content((AvailabilityReport = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (ParquetFile = "application/vnd.apache.parquet"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn availability(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (organisation, now) = (operator.organisation, app.clock.now());
    let (question, format, errors) =
        Format::read(&parameters, &headers, |asked| AvailabilityQuestion::read(asked, organisation, now));
    let sight = operator.sight();
    let snapshot = app.ask(move |registry, now| Snapshot::take(registry, &sight, now)).await?;
    let kept = Retention::from(app.config.retention);
    let report = answer(app.store.as_ref(), &snapshot, question, errors, kept, now).await?;
    format.answer(report, availability::csv::render, ndjson::availability)
}

/// Answers from the store and what the registry knows, unless there are errors in the question: then all that is wrong
/// with it is said.
pub(crate) async fn answer(
    store: &dyn Store,
    snapshot: &Snapshot,
    question: AvailabilityQuestion,
    mut errors: Vec<String>,
    kept: Retention,
    now: Timestamp,
) -> Result<AvailabilityReport, ReportError> {
    let registrations = &snapshot.registrations;
    let presence = store.presence(question.question().organisation).await?;
    errors.extend(question.too_old(kept.quarter_hour, now));
    errors.extend(question.question().unknown_names(registrations, &presence));
    if !errors.is_empty() {
        return Err(QuestionError { errors }.into());
    }
    let silences = silences(store, question.question(), registrations, &presence).await?;
    let ground = Ground {
        registrations,
        agents: &snapshot.agents,
        presence: &presence,
        minutes_from: now.minus(kept.minute),
    };
    let mut observing = Observing::new(question, ground, silences, now)
        .map_err(|error| QuestionError { errors: vec![error] })?;
    for part in observing.parts() {
        let units = observing.units();
        let rows = store.scan(part.clone(), units).await?;
        // A fleet's hours take a while to look at; the runtime's threads have sockets to serve.
        let looked = tokio::task::spawn_blocking(move || {
            let closer = observing.closer(&rows);
            (observing, rows, closer)
        });
        let (looking, rows, closer) = looked.await?;
        let mut minutes = Vec::new();
        for (query, few) in closer.asks(&part, &looking) {
            minutes.append(&mut store.scan(query, few).await?);
        }
        let taken = tokio::task::spawn_blocking(move || {
            let mut looking = looking;
            looking.take(rows, minutes, &closer);
            looking
        });
        observing = taken.await?;
    }
    Ok(tokio::task::spawn_blocking(move || observing.finish(now)).await?)
}
