//! `/metrics`: the collector observed, for Prometheus.

use super::error::ApiError;
use crate::{app::App, metrics::Levels, organisation::OrganisationId};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use std::time::Duration;

/// How recently an agent must have been heard of to count as seen.
const LATELY: Duration = Duration::from_mins(10);

/// Renders the metrics.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Prometheus's text format", content_type = "text/plain")))]
pub async fn show(State(app): State<App>) -> Result<Response, ApiError> {
    let health = app.store.health().await?;
    let seen = app
        .ask(|registry, now| registry.count_agents_seen(OrganisationId::DEFAULT, now.minus(LATELY)))
        .await?;
    let levels = Levels {
        ledger_entries: health.ledger_entries,
        stale_rollups: health.stale_rollups,
        store_bytes: health.bytes,
        agents_seen: seen as u64,
    };
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], app.metrics.render(levels)).into_response())
}
