//! `/metrics`: the collector observed, for Prometheus.

use super::{error::ApiError, status::vitals};
use crate::{app::App, organisation::OrganisationId};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

/// Renders the metrics.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Prometheus's text format", content_type = "text/plain")))]
pub async fn show(State(app): State<App>) -> Result<Response, ApiError> {
    let vitals = vitals(&app, OrganisationId::DEFAULT).await?;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], app.metrics.render(&vitals)).into_response())
}
