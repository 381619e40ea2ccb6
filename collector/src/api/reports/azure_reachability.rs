//! `/api/v1/reports/azure-reachability`: latency by day in the shape of Azure Network Watcher's report.

use super::ask;
use crate::{
    api::{error::ApiError, extract::Query},
    app::App,
    registry::Operator,
    report::azure_reachability::{
        AzureReachabilityQuestion, AzureReachabilityReport, azure_reachability as shaped,
    },
};
use axum::{Extension, Json, extract::State};
use serde::Deserialize;

/// What may be asked; [`AzureReachabilityQuestion::read`] reads it.
#[derive(Debug, Clone, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AzureReachabilityQuery {
    /// The location, or a country's code for all in it.
    pub location: String,
    /// The span that ends now: `7d`, `30d` (unless given) … Days are UTC's, and whole but for the last.
    pub last: Option<String>,
    /// The first instant of the span, RFC 3339 or Unix seconds, instead of `last`.
    pub from: Option<String>,
    /// The first instant after the span; now unless given.
    pub to: Option<String>,
    /// Which time of a probe; tcp.connect unless given.
    pub metric: Option<String>,
    /// Only these providers.
    pub provider: Option<Vec<String>>,
    /// Only these targets, by name, address or identity.
    pub target: Option<Vec<String>>,
}

/// Latency at a location, day by day for each provider and target, as Azure's `azureReachabilityReport` has it, with a score from 1
/// to 100 (100 for the least median of the answer); median, loss and number of probes stand beside the score.
#[utoipa::path(get, path = "/api/v1/reports/azure-reachability", tag = "reports", params(AzureReachabilityQuery), responses(
    (status = 200, body = AzureReachabilityReport),
    (status = 422, description = "everything that is wrong with the question")))]
pub async fn azure_reachability(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<AzureReachabilityReport>, ApiError> {
    let asked = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (question, errors) = AzureReachabilityQuestion::read(asked, operator.organisation, app.clock.now());
    let (question, place) = question.into_parts();
    Ok(Json(shaped(&ask(&app, &operator, question, errors).await?, place)))
}
