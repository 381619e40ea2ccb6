//! `/api/v1/batches`: where agents push.

use super::error::{ApiError, unavailable};
use crate::{
    admission::Caller,
    app::App,
    auth::agent::SignedDigest,
    client_address::ClientAddress,
    ingest::{IngestError, Push, ingest},
    metrics::BatchOutcome,
};
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderMap, header};
use peerlight_proto::{
    codec::encode_ack,
    http::{ACK_MEDIA_TYPE, BATCH_MEDIA_TYPE},
    problem::ProblemType,
};
use std::time::Duration;

/// The content coding of a batch.
const CODING: &str = "zstd";
/// When an agent may come back after the disk refused its batch.
const DISK_RETRY_AFTER: Duration = Duration::from_secs(30);
/// When it may come back after the clock jumped.
pub(crate) const CLOCK_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Takes a batch in. The acknowledgement says that it is on disk and counted once.
#[utoipa::path(post, path = "/api/v1/batches", tag = "agents",
    request_body(content_type = "application/vnd.peerlight.batch+protobuf", description = "peerlight.v1.Batch in one zstd frame"),
    responses((status = 200, description = "peerlight.v1.Ack", content_type = "application/vnd.peerlight.ack+protobuf"),
        (status = 400, description = "Not a batch: drop"), (status = 401, description = "No valid signature: stop; or clock skew: retry"),
        (status = 403, description = "Revoked, or nothing registered covers it: stop"), (status = 409, description = "Number reused: drop"),
        (status = 410, description = "Too old: drop"), (status = 413, description = "Too large: split"),
        (status = 415, description = "A version of the wire that this collector does not read: retry; or not this media type"), (status = 422, description = "Another agent's batch: drop"),
        (status = 429, description = "Too often: retry"), (status = 503, description = "Cannot store now: retry")))]
pub async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(address): Extension<ClientAddress>,
    Extension(SignedDigest(digest)): Extension<SignedDigest>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    check_media_type(&headers)?;
    let agent = caller.agent;
    match ingest(&app, Push { caller, address: address.client, body, digest }).await {
        Ok(ack) => Ok(([(header::CONTENT_TYPE, ACK_MEDIA_TYPE)], encode_ack(&ack)).into_response()),
        Err(error) => {
            app.metrics.batch(BatchOutcome::Rejected);
            // What is the collector's own trouble is said once, and not for each batch.
            if !is_the_disks(&error) && !matches!(error, IngestError::Clock) {
                tracing::warn!(%agent, %error, "a batch was rejected");
            }
            Err(problem(&error))
        }
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let is = |name, expected: &str| headers.get(name).is_some_and(|value| value == expected);
    if !is(header::CONTENT_TYPE, BATCH_MEDIA_TYPE) {
        return Err(ApiError::unsupported_media_type(format!("send `Content-Type: {BATCH_MEDIA_TYPE}`")));
    }
    // The body itself tells that it is zstd; a coding that says otherwise was put there on the way.
    if headers.contains_key(header::CONTENT_ENCODING) && !is(header::CONTENT_ENCODING, CODING) {
        return Err(ApiError::unsupported_media_type(format!("send `Content-Encoding: {CODING}`")));
    }
    Ok(())
}

/// Whether nothing can be written at all.
fn is_the_disks(error: &IngestError) -> bool {
    matches!(error, IngestError::Store(error) if error.trouble().is_some())
}

fn problem(error: &IngestError) -> ApiError {
    match error {
        IngestError::Decode(error) => ApiError::agent(error.problem(), error.to_string()),
        IngestError::Admit(error) => ApiError::agent(error.problem(), error.to_string()),
        IngestError::Quota(quota) => {
            ApiError::agent(ProblemType::RateLimited, error.to_string()).retry_after(quota.wait)
        }
        IngestError::NumberReused(_) => ApiError::agent(ProblemType::NumberReused, error.to_string()),
        IngestError::Store(_) if is_the_disks(error) => ApiError::agent(
            ProblemType::Unavailable,
            "the collector's disk is full or fails; keep the batch and send it again",
        )
        .retry_after(DISK_RETRY_AFTER),
        IngestError::Clock => {
            ApiError::agent(ProblemType::Unavailable, error.to_string()).retry_after(CLOCK_RETRY_AFTER)
        }
        IngestError::Store(error) => unavailable("the store failed", error),
        IngestError::Decoder(error) => unavailable("the decoder failed", error),
    }
}
