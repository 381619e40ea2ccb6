//! `/api/v1/status`: whether the collector works and what it holds.

use super::error::ApiError;
use crate::{app::App, registry::Operator, rfc3339};
use axum::{Extension, Json, extract::State};
use peerlight_proto::time::Timestamp;
use serde::Serialize;

/// The collector at a glance.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Status {
    /// The running build.
    pub version: &'static str,
    /// The collector's clock.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String)]
    pub time: Timestamp,
    /// Where agents reach it.
    pub agent_url: String,
    /// SHA-256 of the CA that agents pin.
    pub ca_sha256: String,
    /// What the store holds.
    pub store: StoreStatus,
    /// Registrations that hold now.
    pub registrations: usize,
    /// Agents that are enrolled and not revoked.
    pub agents: usize,
}

/// What the store holds.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct StoreStatus {
    /// Batches that wait in the log to be folded into segments.
    pub log_batches: u64,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Spans whose rollups wait.
    pub stale_rollups: u64,
    /// Batches that were set aside because the file was damaged; no report counts them.
    pub damaged_batches: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The start of the oldest measurement that is kept as it came.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>)]
    pub oldest: Option<Timestamp>,
}

/// Shows the collector at a glance.
#[utoipa::path(get, path = "/api/v1/status", tag = "operation", responses((status = 200, body = Status)))]
pub async fn show(
    State(app): State<App>,
    Extension(operator): Extension<Operator>,
) -> Result<Json<Status>, ApiError> {
    let health = app.store.health().await?;
    let organisation = operator.organisation;
    let registrations = app.registry.registrations(organisation);
    let agents = app.ask(move |registry, _now| registry.count_agents(organisation, false)).await?;
    let now = app.clock.now();
    let holds = |from: Timestamp, to: Option<Timestamp>| from <= now && to.is_none_or(|to| now < to);
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        time: now,
        agent_url: app.identity.agent_url.clone(),
        ca_sha256: app.identity.ca_sha256.clone(),
        store: StoreStatus {
            log_batches: health.log_batches,
            ledger_entries: health.ledger_entries,
            stale_rollups: health.stale_rollups,
            damaged_batches: health.damaged_batches,
            bytes: health.bytes,
            oldest: health.oldest,
        },
        registrations: registrations.iter().filter(|entry| holds(entry.valid_from, entry.valid_to)).count(),
        agents,
    }))
}
