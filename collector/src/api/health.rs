//! `/healthz` (the process answers) and `/readyz` (what it needs answers as well).

use super::error::ApiError;
use crate::app::App;
use axum::extract::State;
use peerlight_proto::id::{AgentId, BatchNumber, SessionId};

/// Says that the process answers.
#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, description = "It does")))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Says whether store and registry answer.
#[utoipa::path(get, path = "/readyz", tag = "operation",
    responses((status = 200, description = "They do"), (status = 503, description = "One does not")))]
pub async fn readyz(State(app): State<App>) -> Result<&'static str, ApiError> {
    let mut faults = Vec::new();
    // Anyone may ask, so the question is the cheapest that reads the disk: a number that nobody has.
    let nobodys = BatchNumber { agent: AgentId::new([0; 16]), session: SessionId::new([0; 16]), sequence: 0 };
    if let Err(error) = app.store.ledgered(nobodys).await {
        tracing::error!(%error, "the store does not answer");
        faults.push("the store does not answer".to_owned());
    }
    if app.ask(|registry, _now| registry.check()).await.is_err() {
        faults.push("the registry does not answer".to_owned());
    }
    if faults.is_empty() { Ok("ready\n") } else { Err(ApiError::not_ready(faults)) }
}
