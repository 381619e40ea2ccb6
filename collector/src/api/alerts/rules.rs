//! `/api/v1/alerts/rules`: what is looked for.

use crate::{
    api::{error::ApiError, extract},
    app::App,
    registry::{AlertRules, NewRules, Operator},
};
use axum::{Extension, Json, extract::State};

/// Shows the rules in force.
#[utoipa::path(get, path = "/api/v1/alerts/rules", tag = "alerts", responses((status = 200, body = AlertRules)))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<AlertRules>, ApiError> {
    Ok(Json(app.ask(move |registry, _now| registry.alert_rules(operator.organisation)).await?))
}

/// Puts rules in the place of those in force.
#[utoipa::path(put, path = "/api/v1/alerts/rules", tag = "alerts", request_body = NewRules,
    responses((status = 200, body = AlertRules), (status = 422, description = "everything that is wrong with them")))]
pub async fn set(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    extract::Json(new): extract::Json<NewRules>,
) -> Result<Json<AlertRules>, ApiError> {
    Ok(Json(app.ask(move |registry, now| registry.set_alert_rules(new, &operator, now)).await?))
}
