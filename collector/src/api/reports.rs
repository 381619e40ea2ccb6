//! `/api/v1/reports`: what was measured.

pub mod compare;

use super::{error::ApiError, extract::Query};
use crate::{
    app::App,
    organisation::OrganisationId,
    registry::{AgentEntry, Operator, Registrations, Registry, RegistryError},
    report::{Evidence, Groups, Question, QuestionError, Report, answer, render},
    store::{Presence, Store, StoreError},
};
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, header};
use peerlight_proto::time::Timestamp;
use serde::Deserialize;
use std::sync::Arc;

/// The media type of CSV with its header line (RFC 4180).
const CSV: &str = "text/csv; charset=utf-8; header=present";

/// What may be asked; [`Question::read`] reads it. Lists are repeated, `by` and `metric` may be separated by commas.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LatencyQuery {
    /// The span that ends now: `15m`, `1h`, `7d` …; one hour unless given.
    pub last: Option<String>,
    /// The first instant of the span, RFC 3339 or Unix seconds, instead of `last`.
    pub from: Option<String>,
    /// The first instant after the span; now unless given.
    pub to: Option<String>,
    /// What rows are grouped by: provider (unless given), location, site, target, prefix, family.
    pub by: Option<Vec<String>>,
    /// Only these metrics.
    pub metric: Option<Vec<String>>,
    /// Only these providers.
    pub provider: Option<Vec<String>>,
    /// Only these locations; a country's code means all in it.
    pub location: Option<Vec<String>>,
    /// Only these sites.
    pub site: Option<Vec<String>>,
    /// Only these targets, by name, address or identity.
    pub target: Option<Vec<String>>,
    /// One row per group and slot of this length: whole minutes that divide a day.
    pub step: Option<String>,
    /// `json` or `csv`; as `Accept` says unless given.
    pub format: Option<String>,
}

/// What the registry knows at the time of a question.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Every registration, those that have ended included.
    pub registrations: Registrations,
    /// The agents that were revoked, of which nothing is expected any more.
    pub agents: Vec<AgentEntry>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The question names what is not there.
    #[error(transparent)]
    Question(#[from] QuestionError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Adding the rows up panicked or was cancelled.
    #[error("the report was not finished: {0}")]
    Unfinished(#[from] tokio::task::JoinError),
}

impl Snapshot {
    /// What the registry knows now.
    pub fn take(
        registry: &Registry,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            registrations: registry.registrations(organisation),
            agents: registry.revoked_agents(organisation, now)?,
        })
    }
}

/// Latency per provider, or whatever it is asked to be grouped by.
#[utoipa::path(get, path = "/api/v1/reports/latency", tag = "reports", params(LatencyQuery), responses(
    (status = 200, content((Report = "application/json"), (String = "text/csv"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let asked = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let asked = asked.filter(|(name, _)| *name != "format");
    let (question, mut errors) = Question::read(asked, operator.organisation, app.clock.now());
    let csv = wants_csv(&parameters, &headers).unwrap_or_else(|error| {
        errors.push(error);
        false
    });
    let report = ask(&app, question, errors).await?;
    if csv {
        let text = render::csv::render(&report).map_err(|error| {
            tracing::error!(%error, "a report could not be written as CSV");
            ApiError::internal()
        })?;
        return Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(CSV))], text).into_response());
    }
    Ok(Json(report).into_response())
}

/// Answers the question from the app's registry and store, now, unless there are errors in it: then all that is wrong
/// with it is said, names that are not there included.
async fn ask(app: &App, question: Question, mut errors: Vec<String>) -> Result<Report, ApiError> {
    let organisation = question.organisation;
    let snapshot = app.ask(move |registry, now| Snapshot::take(registry, organisation, now)).await?;
    if !errors.is_empty() {
        let presence = app.store.presence(organisation).await?;
        errors.extend(question.unknown_names(&snapshot.registrations, &presence));
        return Err(QuestionError { errors }.into());
    }
    Ok(latency(app.store.as_ref(), Arc::new(snapshot), question, app.clock.now()).await?)
}

/// Answers the question from the store and what the registry knows.
pub async fn latency(
    store: &dyn Store,
    snapshot: Arc<Snapshot>,
    question: Question,
    now: Timestamp,
) -> Result<Report, ReportError> {
    let presence = Arc::new(store.presence(question.organisation).await?);
    latency_given(store, snapshot, presence, question, now).await
}

/// The same where the presence is known: a page asks more than one question.
pub(crate) async fn latency_given(
    store: &dyn Store,
    snapshot: Arc<Snapshot>,
    presence: Arc<Vec<Presence>>,
    question: Question,
    now: Timestamp,
) -> Result<Report, ReportError> {
    let errors = question.unknown_names(&snapshot.registrations, &presence);
    if !errors.is_empty() {
        return Err(QuestionError { errors }.into());
    }
    let query = question.query(&snapshot.registrations);
    let groups = Arc::new(Groups::new(question, snapshot.registrations.clone(), &presence));
    let dropped = store.dropped(query.organisation, query.from, query.to).await?;
    let rows = store.scan(query, Arc::<Groups>::clone(&groups)).await?;
    // Months of rows take a while to add up; the runtime's threads have sockets to serve.
    Ok(tokio::task::spawn_blocking(move || {
        let evidence =
            Evidence { rows: &rows, agents: &snapshot.agents, presence: &presence, dropped: &dropped };
        answer(&groups, &evidence, now)
    })
    .await?)
}

/// Whether CSV is asked for, by parameter before header.
fn wants_csv(parameters: &[(String, String)], headers: &HeaderMap) -> Result<bool, String> {
    match parameters.iter().find(|(name, _)| name == "format").map(|(_, value)| value.as_str()) {
        Some("csv") => return Ok(true),
        Some("json") => return Ok(false),
        Some(_) => return Err("format: write json or csv".to_owned()),
        None => {}
    }
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let position = |kind: &str| accepted.find(kind);
    Ok(position("text/csv").is_some_and(|csv| position("application/json").is_none_or(|json| csv < json)))
}

impl From<QuestionError> for ApiError {
    fn from(error: QuestionError) -> Self {
        Self::invalid("the question cannot be answered", error.errors)
    }
}

impl From<ReportError> for ApiError {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Question(error) => error.into(),
            ReportError::Store(error) => error.into(),
            ReportError::Unfinished(error) => {
                tracing::error!(%error, "a report was not finished");
                Self::internal()
            }
        }
    }
}
