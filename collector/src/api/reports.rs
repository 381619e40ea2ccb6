//! `/api/v1/reports`: what was measured.

pub mod availability;
pub mod azure_reachability;
pub mod compare;
pub mod edges;
mod format;
pub mod prometheus;
pub mod series;
pub mod time_of_day;
pub mod yardsticks;

use super::{error::ApiError, extract::Query};
use crate::{
    app::App,
    registry::{AgentEntry, Operator, Registrations, Registry, RegistryError, Sight},
    report::{
        Evidence, Groups, Question, QuestionError, Report, answer, render,
        silence::{Listening, Silences},
    },
    store::{Grouping, Presences, Query as StoreQuery, Row, Store, StoreError},
};
use axum::{Extension, extract::State, response::Response};
use format::{Format, ParquetFile};
use futures::{Stream, StreamExt as _, stream};
use http::HeaderMap;
use peerlight_proto::time::Timestamp;
use serde::Deserialize;
use std::sync::Arc;

/// How many parts of a span are scanned at once for one report.
const SCANS: usize = 2;

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
    /// `json`, `ndjson`, `csv` or `parquet`; as `Accept` says unless given.
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
    /// What the registry knows now, as far as it is to be seen: every report selects by these registrations, so that none tells
    /// of others.
    pub fn take(registry: &Registry, sight: &Sight, now: Timestamp) -> Result<Self, RegistryError> {
        Ok(Self {
            registrations: registry.registrations(sight.organisation).seen_by(sight),
            agents: registry.revoked_agents(sight.organisation, now)?,
        })
    }
}

/// Latency per provider, or whatever it is asked to be grouped by.
#[utoipa::path(get, path = "/api/v1/reports/latency", tag = "reports", params(LatencyQuery), responses(
    (status = 200, content((Report = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (ParquetFile = "application/vnd.apache.parquet"))),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    headers: HeaderMap,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, ApiError> {
    let (organisation, now) = (operator.organisation, app.clock.now());
    let (question, format, errors) =
        Format::read(&parameters, &headers, |asked| Question::read(asked, organisation, now));
    let report = ask(&app, &operator, question, errors).await?;
    format.answer(report, render::csv::render, render::ndjson::latency)
}

/// Answers the question from the app's registry and store, now, unless there are errors in it: then all that is wrong
/// with it is said, names that are not there included.
async fn ask(
    app: &App,
    operator: &Operator,
    question: Question,
    mut errors: Vec<String>,
) -> Result<Report, ApiError> {
    let (organisation, sight) = (question.organisation, operator.sight());
    let snapshot = app.ask(move |registry, now| Snapshot::take(registry, &sight, now)).await?;
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
    presence: Arc<Presences>,
    question: Question,
    now: Timestamp,
) -> Result<Report, ReportError> {
    made(
        store,
        (snapshot, presence),
        question,
        |_groups| None,
        move |groups, evidence| answer(groups, evidence, now),
    )
    .await
}

/// The same where it is known what never answers ICMP, too. Of a presence with less in it than there is, coverage alone tells
/// less.
pub(crate) async fn latency_knowing(
    store: &dyn Store,
    known: (Arc<Snapshot>, Arc<Presences>, Silences),
    question: Question,
    now: Timestamp,
) -> Result<Report, ReportError> {
    made_knowing(
        store,
        known,
        question,
        |_groups| None,
        move |groups, evidence| answer(groups, evidence, now),
    )
    .await
}

/// What is made of a question's groups and what the store finds for them, as [`made_knowing`] says, with one question more for what
/// never answers ICMP.
async fn made<T: Send + 'static>(
    store: &dyn Store,
    (snapshot, presence): (Arc<Snapshot>, Arc<Presences>),
    question: Question,
    too_much: impl FnOnce(&Groups) -> Option<String>,
    make: impl FnOnce(&Groups, &Evidence<'_>) -> T + Send + 'static,
) -> Result<T, ReportError> {
    let silences = silences(store, &question, &snapshot.registrations, &presence).await?;
    made_knowing(store, (snapshot, presence, silences), question, too_much, make).await
}

/// What is made of a question's groups and what the store finds for them, unless the question names what is not there or
/// `too_much` says why it asks for more than one answer holds.
async fn made_knowing<T: Send + 'static>(
    store: &dyn Store,
    (snapshot, presence, silences): (Arc<Snapshot>, Arc<Presences>, Silences),
    question: Question,
    too_much: impl FnOnce(&Groups) -> Option<String>,
    make: impl FnOnce(&Groups, &Evidence<'_>) -> T + Send + 'static,
) -> Result<T, ReportError> {
    let errors = question.unknown_names(&snapshot.registrations, &presence);
    if !errors.is_empty() {
        return Err(QuestionError { errors }.into());
    }
    let query = question.query(&snapshot.registrations);
    let groups = Groups::new(question, snapshot.registrations.clone(), &presence).with_silences(silences);
    if let Some(error) = too_much(&groups) {
        return Err(QuestionError { errors: vec![error] }.into());
    }
    let groups = Arc::new(groups);
    let dropped = store.dropped(query.organisation, query.from, query.to).await?;
    let rows = store.scan(query, Arc::<Groups>::clone(&groups)).await?;
    // Months of rows take a while to add up; the runtime's threads have sockets to serve.
    Ok(tokio::task::spawn_blocking(move || {
        let evidence =
            Evidence { rows: &rows, agents: &snapshot.agents, presence: &presence, dropped: &dropped };
        make(&groups, &evidence)
    })
    .await?)
}

/// The end of each of these parts of a span and what the store finds in it, in their order. The next is scanned while one is looked at.
fn scans<G: Grouping + 'static>(
    store: &dyn Store,
    parts: Vec<StoreQuery>,
    grouping: Arc<G>,
) -> impl Stream<Item = Result<(Timestamp, Vec<Row>), StoreError>> {
    let scan = move |part: StoreQuery| {
        let (end, grouping) = (part.to, Arc::clone(&grouping));
        async move { Ok((end, store.scan(part, grouping).await?)) }
    };
    stream::iter(parts).map(scan).buffered(SCANS)
}

/// Where a question's ICMP targets never answer while TCP works, by one question more where that may be.
pub(crate) async fn silences(
    store: &dyn Store,
    question: &Question,
    registrations: &Registrations,
    presence: &Presences,
) -> Result<Silences, StoreError> {
    let Some(listening) = Listening::to(question, registrations, presence).map(Arc::new) else {
        return Ok(Silences::default());
    };
    let grouping: Arc<Listening> = Arc::clone(&listening);
    Ok(listening.hear(&store.scan(listening.query(), grouping).await?))
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
