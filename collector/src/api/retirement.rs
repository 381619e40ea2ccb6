//! `/api/v1/retirement`: an agent says that its machine will never ask again.

use super::{error::ApiError, keys::burn_nonce};
use crate::{admission::Caller, app::App};
use axum::{Extension, Json, extract::State};
use bytes::Bytes;
use http::StatusCode;
use peerlight_proto::{
    problem::ProblemType,
    retirement::{RetirementRequest, RetirementResponse},
};

/// What nonces are burnt for.
const NONCE_SCOPE: &str = "retirement";
/// The longest nonce that is kept.
const MAX_NONCE_BYTES: usize = 64;

/// Retires the calling agent: its requests are refused from now on, and reports expect nothing of it.
#[utoipa::path(post, path = "/api/v1/retirement", tag = "agents",
    responses((status = 200, description = "Retired"), (status = 400, description = "Not a retirement"),
        (status = 401, description = "No valid signature, or said before"), (status = 403, description = "Revoked or retired before")))]
pub async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<(StatusCode, Json<RetirementResponse>), ApiError> {
    let malformed = |detail: String| ApiError::agent(ProblemType::Malformed, detail);
    let request: RetirementRequest =
        serde_json::from_slice(&body).map_err(|error| malformed(format!("not a retirement: {error}")))?;
    if request.nonce.is_empty() || request.nonce.len() > MAX_NONCE_BYTES {
        return Err(malformed(format!("its nonce does not have from 1 to {MAX_NONCE_BYTES} bytes")));
    }
    if request.agent != caller.agent {
        return Err(malformed("it names another agent than the one that signed".to_owned()));
    }
    // Said again, it would retire an agent that has enrolled anew meanwhile.
    burn_nonce(&app, NONCE_SCOPE, request.nonce).await?;
    let agent = caller.agent;
    let retired = app.ask_for_agent(move |registry, now| registry.retire_itself(agent, now)).await?;
    tracing::info!(%agent, site = retired.site, "an agent retired");
    Ok((StatusCode::OK, Json(RetirementResponse { agent, collector_time_us: app.clock.now().as_micros() })))
}
