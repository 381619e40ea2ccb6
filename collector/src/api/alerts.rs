//! `/api/v1/alerts`: what is wrong, who is to blame, and what operators say to that.

pub mod maintenance;
pub mod rules;

use super::{
    error::ApiError,
    extract::{self, Path, Query},
    list::{List, ListQuery},
    reports::Snapshot,
};
use crate::{
    alert::{
        Alert, Rule,
        replay::{Plan, Replay, replay},
    },
    app::App,
    registry::{AlertNote, AlertSilence, DeliveryEntry, Operator, Sight},
    store::Retention,
};
use axum::{Extension, Json, extract::State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An alert, and who was told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AlertDetail {
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
    /// What receivers were told, or are still to be, the first first.
    pub deliveries: Vec<DeliveryEntry>,
}

/// What is replayed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayQuestion {
    /// The span that ends now: `1d`, `30d` …
    pub last: String,
    /// The rules; those in force unless given.
    #[serde(default)]
    pub rules: Option<Vec<Rule>>,
}

/// Lists the alerts that are not over, the latest first; with `all` those that are, too.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(ListQuery),
    responses((status = 200, body = List<Alert>)))]
pub async fn list(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<Alert>>, ApiError> {
    let alerts = app.ask(move |registry, _now| registry.alerts(operator.organisation, query.all)).await?;
    Ok(Json(List::new(alerts, query.limit)))
}

/// Shows an alert, and who was told of it.
#[utoipa::path(get, path = "/api/v1/alerts/{id}", tag = "alerts", params(("id" = u64, Path)),
    responses((status = 200, body = AlertDetail), (status = 404, description = "there is no such alert")))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<u64>,
) -> Result<Json<AlertDetail>, ApiError> {
    let organisation = operator.organisation;
    let detail = app.ask(move |registry, _now| {
        let alert = registry.alert(organisation, id)?;
        Ok(AlertDetail { alert, deliveries: registry.deliveries(organisation, id)? })
    });
    Ok(Json(detail.await?))
}

/// Notes that the operator looks after an alert.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/acknowledgement", tag = "alerts", params(("id" = u64, Path)),
    request_body = AlertNote, responses((status = 200, body = Alert),
    (status = 404, description = "there is no such alert"), (status = 409, description = "it is over")))]
pub async fn acknowledge(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<u64>,
    extract::Json(note): extract::Json<AlertNote>,
) -> Result<Json<Alert>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.acknowledge_alert(id, &note, &operator, now)).await?))
}

/// Keeps people from being told of an alert until an instant, but that it is over.
#[utoipa::path(post, path = "/api/v1/alerts/{id}/silence", tag = "alerts", params(("id" = u64, Path)),
    request_body = AlertSilence, responses((status = 200, body = Alert),
    (status = 404, description = "there is no such alert"), (status = 409, description = "it is over"),
    (status = 422, description = "the instant cannot be used")))]
pub async fn silence(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Path(id): Path<u64>,
    extract::Json(silence): extract::Json<AlertSilence>,
) -> Result<Json<Alert>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.silence_alert(id, &silence, &operator, now)).await?))
}

/// Runs rules over what is stored and tells what they would have told. Nothing is changed, and nobody is told.
#[utoipa::path(post, path = "/api/v1/alerts/replay", tag = "alerts", request_body = ReplayQuestion,
    responses((status = 200, body = Replay), (status = 422, description = "everything that is wrong with it")))]
pub async fn replay_rules(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(asked): extract::Json<ReplayQuestion>,
) -> Result<Json<Replay>, ApiError> {
    let (organisation, now) = (operator.organisation, app.clock.now());
    let wrong = |errors| ApiError::invalid("this cannot be replayed", errors);
    let last = humantime::parse_duration(&asked.last)
        .map_err(|error| wrong(vec![format!("last: `{}` is not a span such as 7d: {error}", asked.last)]))?;
    let (rules, snapshot) = app
        .ask(move |registry, now| {
            let rules = asked.rules.map_or_else(|| Ok(registry.alert_rules(organisation)?.rules), Ok)?;
            Ok((rules, Snapshot::take(registry, &Sight::whole(organisation), now)?))
        })
        .await?;
    let plan = Plan::last(organisation, (last, app.config.alerts.delay), rules, now);
    let errors = plan.faults(Retention::from(app.config.retention).minute, now);
    if !errors.is_empty() {
        return Err(wrong(errors));
    }
    Ok(Json(replay(app.store.as_ref(), Arc::new(snapshot), plan, now).await?))
}
