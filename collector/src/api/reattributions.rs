//! `/api/v1/reattributions`: measurements are given to another registration, and what was given before.

use super::{
    error::ApiError,
    extract::{self, Query},
    list::{List, ListQuery},
};
use crate::{
    app::App,
    reattribution::{self, ReattributionEntry, ReattributionError},
    registry::{Operator, RegistrationId},
    rfc3339,
    store::{Reattribute, StoreError},
};
use axum::{Extension, Json, extract::State};
use http::StatusCode;
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// How long a request waits for the end: well within its deadline. The work goes on without it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a reason may be, in characters.
const MAX_REASON: usize = 1_000;

/// Measurements to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReattribution {
    /// The number of the registration that they count for.
    pub from: i64,
    /// The number of the registration that they are to count for.
    pub to: i64,
    /// Only those whose interval starts at or after this instant, RFC 3339 or a date; every one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only those whose interval starts before this instant; now unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why: the audit keeps it.
    pub reason: String,
}

/// Lists the re-attributions, the latest first.
#[utoipa::path(get, path = "/api/v1/reattributions", tag = "registry", params(ListQuery),
    responses((status = 200, body = List<ReattributionEntry>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<ReattributionEntry>>, ApiError> {
    Ok(Json(List::new(reattribution::list(&app, operator.organisation).await?, query.limit)))
}

/// Moves what was measured in a span from one registration to another.
#[utoipa::path(post, path = "/api/v1/reattributions", tag = "registry", request_body = NewReattribution,
    responses((status = 200, body = ReattributionEntry, description = "all of it was moved"),
        (status = 202, body = ReattributionEntry, description = "it is under way and goes on by itself"),
        (status = 404), (status = 422, description = "everything that is wrong with it")))]
pub async fn add(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewReattribution>,
) -> Result<(StatusCode, Json<ReattributionEntry>), ApiError> {
    let now = app.clock.now();
    let (since, until) = span(&new, now)?;
    let (organisation, from, to) = (operator.organisation, RegistrationId(new.from), RegistrationId(new.to));
    let (_from, target) =
        app.ask(move |registry, _now| registry.reattribution_between(organisation, from, to)).await?;
    let order = Reattribute {
        organisation,
        from,
        to,
        prefixes: target.prefixes,
        since,
        until,
        who: operator.name,
        reason: new.reason.trim().to_owned(),
        begun: now,
    };
    let id = app.store.begin_reattribution(order).await.map_err(|error| {
        if matches!(error, StoreError::CutsRollup { .. }) {
            invalid(vec![error.to_string()])
        } else {
            ApiError::from(error)
        }
    })?;
    match tokio::time::timeout(PATIENCE, reattribution::carry_out(&app, &mut BTreeSet::new())).await {
        // Accepted durably: whoever looks next goes on with it.
        Err(_elapsed) => {}
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(failed(&error)),
    }
    let all = reattribution::list(&app, operator.organisation).await?;
    let entry = all.into_iter().find(|entry| entry.id == id).ok_or_else(ApiError::internal)?;
    let status = if entry.finished.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(entry)))
}

/// The span in whole seconds, as intervals start, and everything that is wrong with it and the reason.
fn span(new: &NewReattribution, now: Timestamp) -> Result<(Option<Timestamp>, Timestamp), ApiError> {
    let mut errors = Vec::new();
    let mut instant = |text: &Option<String>| {
        text.as_deref()
            .and_then(|text| rfc3339::parse(text).map_err(|error| errors.push(error.to_string())).ok())
            .map(|at| Timestamp::from_secs(at.plus(Duration::from_micros(999_999)).as_secs()))
    };
    let since = instant(&new.since);
    let until = instant(&new.until).unwrap_or_else(|| Timestamp::from_secs(now.as_secs() + 1));
    if let Some(since) = since.filter(|since| *since >= until) {
        let (since, until) = (rfc3339::text(since), rfc3339::text(until));
        errors.push(format!("the span would begin at {since}, but it ends at {until}"));
    }
    let length = new.reason.trim().chars().count();
    if length == 0 || length > MAX_REASON {
        errors.push(format!("say why in 1 to {MAX_REASON} characters; the audit keeps the reason"));
    }
    if errors.is_empty() { Ok((since, until)) } else { Err(invalid(errors)) }
}

fn invalid(errors: Vec<String>) -> ApiError {
    ApiError::invalid("the re-attribution is not acceptable", errors)
}

fn failed(error: &ReattributionError) -> ApiError {
    tracing::error!(%error, "a re-attribution did not finish; it is tried again");
    ApiError::internal()
}
