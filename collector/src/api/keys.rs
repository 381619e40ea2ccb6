//! `/api/v1/keys`: how old the calling agent's key is, and a new one that follows it.

use super::error::ApiError;
use crate::{admission::Caller, app::App, key_life::KeyLife, registry::AgentKey, signature::MAX_SKEW};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use axum::{Extension, Json, extract::State};
use bytes::Bytes;
use http::StatusCode;
use peerlight_proto::{
    keys::{KeyRequest, KeyStatus, Rotation, fingerprint},
    limits::MAX_SIGNATURE_AGE,
    problem::ProblemType,
};

/// What nonces are burnt for.
const NONCE_SCOPE: &str = "rotation";

/// Tells the agent how old the key is that signed.
#[utoipa::path(get, path = "/api/v1/keys", tag = "agents",
    responses((status = 200, description = "When the life of the key that signed began and when it ends"),
        (status = 401, description = "No valid signature"), (status = 403, description = "Revoked, or the key is too old: stop")))]
pub async fn show(State(app): State<App>, Extension(key): Extension<AgentKey>) -> Json<KeyStatus> {
    Json(status(&app, key))
}

/// Has a new key follow the one that signed, which is believed until the new one's first request.
///
/// Asking again for the same new key changes nothing, so that a lost answer does no harm.
#[utoipa::path(post, path = "/api/v1/keys", tag = "agents",
    responses((status = 201, description = "When the new key's life began and when it ends"),
        (status = 400, description = "Not a rotation, or not proven"), (status = 401, description = "No valid signature"),
        (status = 403, description = "Revoked, or the key is too old: stop"), (status = 409, description = "The new key is not a new one")))]
pub async fn rotate(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(key): Extension<AgentKey>,
    body: Bytes,
) -> Result<(StatusCode, Json<KeyStatus>), ApiError> {
    let (agent, rotation) = (caller.agent, read(&body)?);
    if (rotation.agent, rotation.key) != (agent, key.public_key) {
        return Err(malformed("it names another agent or key than the one that signed".to_owned()));
    }
    burn_nonce(&app, NONCE_SCOPE, hex::encode(rotation.nonce)).await?;
    let since = app.blocking(move |registry, now| registry.rotate_key(&rotation, now)).await??;
    tracing::info!(%agent, key = fingerprint(&rotation.next), "a new key follows an agent's");
    Ok((StatusCode::CREATED, Json(status(&app, AgentKey { public_key: rotation.next, since }))))
}

/// The rotation that is asked for, once its sender has shown to hold the new key.
fn read(body: &[u8]) -> Result<Rotation, ApiError> {
    let request: KeyRequest =
        serde_json::from_slice(body).map_err(|error| malformed(format!("not a rotation: {error}")))?;
    let (rotation, proof) = request.read().map_err(|error| malformed(error.to_string()))?;
    UnparsedPublicKey::new(&ED25519, rotation.next)
        .verify(&rotation.statement(), &proof)
        .map_err(|_unspecified| malformed("the new key did not make the proof".to_owned()))?;
    Ok(rotation)
}

/// Sees to it that a request is made once, however often it is sent.
pub(super) async fn burn_nonce(app: &App, scope: &'static str, nonce: String) -> Result<(), ApiError> {
    // The signature is believed for less than this from now on.
    let until = app.clock.now().plus(MAX_SIGNATURE_AGE + 2 * MAX_SKEW);
    let fresh =
        app.ask_for_agent(move |registry, now| registry.burn_nonce(scope, &nonce, until, now)).await?;
    if fresh {
        Ok(())
    } else {
        let detail = "this very request was made before; sign a new one";
        Err(ApiError::agent(ProblemType::Unauthenticated, detail))
    }
}

fn status(app: &App, key: AgentKey) -> KeyStatus {
    let life = KeyLife::from(app.config.keys);
    KeyStatus {
        key: hex::encode(key.public_key),
        since_us: key.since.as_micros(),
        expires_us: life.expires(key.since).as_micros(),
        ends_us: life.ends(key.since).as_micros(),
        collector_time_us: app.clock.now().as_micros(),
    }
}

fn malformed(detail: String) -> ApiError {
    ApiError::agent(ProblemType::Malformed, detail)
}
