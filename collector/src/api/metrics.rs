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
    let now = app.clock.now();
    let agents = app.ask(|registry, now| registry.agents(OrganisationId::DEFAULT, now)).await?;
    let seen = agents.iter().filter(|agent| agent.last_seen.is_some_and(|seen| now.since(seen) <= LATELY));
    let levels = Levels {
        ledger_entries: health.ledger_entries,
        stale_rollups: health.stale_rollups,
        store_bytes: health.bytes,
        agents_seen: seen.count() as u64,
    };
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], app.metrics.render(levels)).into_response())
}
