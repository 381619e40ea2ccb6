//! `/metrics`: the collector observed, for Prometheus.

use super::error::ApiError;
use crate::{app::App, metrics::Levels};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

/// Renders the metrics.
#[utoipa::path(get, path = "/metrics", tag = "operation",
    responses((status = 200, description = "Prometheus's text format", content_type = "text/plain")))]
pub async fn show(State(app): State<App>) -> Result<Response, ApiError> {
    let health = app.store.health().await?;
    let levels = Levels {
        ledger_entries: health.ledger_entries,
        stale_rollups: health.stale_rollups,
        store_bytes: health.bytes,
        agents_seen: app.registry.agents_seen_lately(app.clock.now()),
    };
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], app.metrics.render(levels)).into_response())
}
