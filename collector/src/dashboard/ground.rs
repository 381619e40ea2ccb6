//! What every page about measurements stands on: what the registry knows, who measured what, and what may go wrong.

use super::content::{Content, Empty};
use crate::{
    api::reports::{ReportError, Snapshot, latency_given},
    app::App,
    registry::{Operator, Registration, RegistrationId},
    report::{Question, Report},
    store::Presences,
};
use http::StatusCode;
use peerlight_proto::{metric::Metric, time::Timestamp};
use std::{collections::BTreeSet, sync::Arc};

/// Where those are sent who can do something about it.
const LOG_SAYS_WHY: &str = "The collector's log says why.";

/// What went wrong, as a page tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) status: StatusCode,
    /// In a few words.
    pub(crate) title: &'static str,
    /// Each with what to do.
    pub(crate) errors: Vec<String>,
}

/// What the questions of a page rest on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ground {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) presence: Arc<Presences>,
}

/// The names that a page's selectors offer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Names {
    pub(crate) providers: BTreeSet<String>,
    pub(crate) locations: BTreeSet<String>,
    pub(crate) targets: BTreeSet<String>,
    pub(crate) metrics: BTreeSet<Metric>,
}

impl Trouble {
    /// The question breaks rules.
    pub(crate) fn wrong(errors: Vec<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, title: "This cannot be answered", errors }
    }

    /// Something that the collector needs does not answer.
    pub(crate) fn unavailable(title: &'static str) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, title, errors: vec![LOG_SAYS_WHY.to_owned()] }
    }
}

impl From<ReportError> for Trouble {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Question(error) => Self::wrong(error.errors),
            error @ (ReportError::Store(_) | ReportError::Unfinished(_)) => {
                tracing::error!(%error, "the page has no report");
                Self::unavailable("The store does not answer")
            }
        }
    }
}

impl<A> From<Result<A, ReportError>> for Content<A> {
    fn from(answered: Result<A, ReportError>) -> Self {
        answered.map_or_else(|error| Trouble::from(error).into(), Self::Answer)
    }
}

impl<A> From<Trouble> for Content<A> {
    fn from(trouble: Trouble) -> Self {
        Self::Problem(trouble)
    }
}

impl Ground {
    /// Asks the registry and the store.
    pub(crate) async fn lay(app: &App, operator: &Operator) -> Result<Self, Trouble> {
        let (organisation, sight) = (operator.organisation, operator.sight());
        let snapshot = app
            .ask(move |registry, now| Snapshot::take(registry, &sight, now))
            .await
            .map_err(|_logged| Trouble::unavailable("The registry does not answer"))?;
        let mut presence = app
            .store
            .presence(organisation)
            .await
            .map_err(|error| Trouble::from(ReportError::Store(error)))?;
        if snapshot.registrations.is_restricted() {
            presence.retain(|registration| snapshot.registrations.tells_of(registration));
        }
        Ok(Self { snapshot: Arc::new(snapshot), presence: Arc::new(presence) })
    }

    /// What is missing before any question has an answer.
    pub(crate) fn empty(&self) -> Option<Empty> {
        if self.snapshot.registrations.is_empty() {
            Some(Empty::NoRegistration)
        } else if self.presence.is_empty() {
            Some(Empty::NoMeasurement)
        } else {
            None
        }
    }

    /// What a page shows: the answer, which is asked for only if the question breaks no rule and there is something to ask of.
    pub(crate) async fn content<A>(
        &self,
        faults: Vec<String>,
        answer: impl Future<Output = Result<A, ReportError>>,
    ) -> Content<A> {
        if !faults.is_empty() {
            return Trouble::wrong(faults).into();
        }
        match self.empty() {
            Some(empty) => Content::Empty(empty),
            None => answer.await.into(),
        }
    }

    /// What selectors offer: what was measured, and the places that are registered.
    pub(crate) fn names(&self) -> Names {
        let registrations = || self.snapshot.registrations.iter();
        Names {
            providers: registrations().map(|entry| entry.provider.clone()).collect(),
            locations: registrations().map(|entry| entry.location.clone()).collect(),
            targets: self.presence.shapes().map(|shape| shape.target.name.clone()).collect(),
            metrics: self.metrics(),
        }
    }

    /// The metrics that were measured, each once.
    pub(crate) fn metrics(&self) -> BTreeSet<Metric> {
        let all = self.presence.shapes().map(|shape| shape.metric);
        all.filter(|metric| !matches!(metric, Metric::Jitter(_) | Metric::AgentNoise)).collect()
    }

    /// The registrations that were measured for.
    pub(crate) fn measured(&self) -> impl Iterator<Item = &Registration> {
        let measured: BTreeSet<RegistrationId> = self.presence.registrations().collect();
        self.snapshot.registrations.iter().filter(move |entry| measured.contains(&entry.id))
    }

    /// The report of latency.
    pub(crate) async fn latency(
        &self,
        app: &App,
        question: Question,
        now: Timestamp,
    ) -> Result<Report, ReportError> {
        let (snapshot, presence) = (Arc::clone(&self.snapshot), Arc::clone(&self.presence));
        latency_given(app.store.as_ref(), snapshot, presence, question, now).await
    }
}
