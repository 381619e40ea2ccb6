//! `/api/v1/assignment`: the targets that the calling agent is given.

use super::error::ApiError;
use crate::{admission::Caller, app::App};
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Hands out the agent's targets; 304 if it has this version already.
#[utoipa::path(get, path = "/api/v1/assignment", tag = "agents",
    responses((status = 200, description = "The versioned list of targets"), (status = 304, description = "Unchanged"),
        (status = 401, description = "No valid signature")))]
pub async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let assignment = app.ask_for_agent(move |registry, now| registry.assignment(caller.agent, now)).await?;
    let tag = HeaderValue::try_from(format!("\"{}\"", assignment.version))
        .map_err(|_unprintable| ApiError::internal())?;
    let held = headers.get(header::IF_NONE_MATCH);
    let mut response = if held == Some(&tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(assignment).into_response()
    };
    response.headers_mut().insert(header::ETAG, tag);
    Ok(response)
}
