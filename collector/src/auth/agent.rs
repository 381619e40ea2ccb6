//! Agents: the signature of the head first, then the body through a hard limit; every answer after that is signed.

use crate::{
    admission::Caller,
    api::error::ApiError,
    app::App,
    auth::keys,
    cost::Stage,
    registry::{EnrolledAgent, Signer},
    signature::{RequestSignature, SignatureError},
};
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use peerlight_proto::{
    http::BATCHES_PATH,
    id::{AgentId, BatchDigest},
    limits::{MAX_BODY_BYTES, MAX_SMALL_BODY_BYTES},
    problem::ProblemType,
    time::Timestamp,
};
use std::time::Duration;
use tokio::time::Instant;

/// The SHA-256 of the body, as the signature covers it; handlers find it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedDigest(pub BatchDigest);

/// Lets a request of an enrolled agent through, with its [`Caller`] and the body's [`SignedDigest`].
pub async fn require_agent(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (signature, agent, signer) = match identify(&app, &parts).await {
        Ok(identified) => identified,
        Err(error) => return error.into_response(),
    };
    // Held until the answer is made.
    let turn = pushes(&parts).then(|| app.turns.begin(agent.agent, Instant::now())).transpose();
    let response = match turn {
        Err(wait) => crowded(wait).into_response(),
        Ok(_turn) => match admit_request(&app, (parts, body), &signature, (agent, signer)).await {
            Ok(request) => next.run(request).await,
            Err(error) => error.into_response(),
        },
    };
    let answer = app.signer.sign(response, signature.header(), app.clock.now());
    app.metrics.costs().spend_on(Stage::Answer, answer).await
}

/// Which enrolled agent signed the head.
async fn identify(app: &App, parts: &Parts) -> Result<(RequestSignature, EnrolledAgent, Signer), ApiError> {
    let signature = app
        .metrics
        .costs()
        .spend(Stage::Signature, || RequestSignature::read(parts))
        .map_err(|error| unauthenticated(&error))?;
    let unknown = || {
        ApiError::agent(
            ProblemType::Unauthenticated,
            "this collector knows no such agent; enrol it with a token (`peerlight-agent enrol`)",
        )
    };
    let id: AgentId = signature.key_id().parse().map_err(|_reason| unknown())?;
    if let Some(wait) = pushes(parts).then(|| app.turns.put_off(id, Instant::now())).flatten() {
        return Err(crowded(wait));
    }
    let agent = match app.registry.known_caller(id, app.clock.now()) {
        Some(agent) => agent,
        None => {
            app.ask_for_agent(move |registry, now| registry.caller(id, now)).await?.ok_or_else(unknown)?
        }
    };
    let costs = app.metrics.costs();
    let signer = costs.spend(Stage::Signature, || agent.signer(|key| signature.verify(key)));
    let signer = signer.map_err(|error| unauthenticated(&error))?;
    Ok((signature, agent, signer))
}

fn pushes(parts: &Parts) -> bool {
    parts.uri.path() == BATCHES_PATH
}

/// More agents push than the collector can take at once: the batch waits where it is.
fn crowded(wait: Duration) -> ApiError {
    ApiError::agent(ProblemType::Unavailable, "more agents push than can be served at once; come again")
        .retry_after(wait)
}

/// Whether the agent may ask now, and whether the body is the one that it signed.
async fn admit_request(
    app: &App,
    (mut parts, body): (Parts, Body),
    signature: &RequestSignature,
    (agent, signer): (EnrolledAgent, Signer),
) -> Result<Request, ApiError> {
    if agent.revoked {
        return Err(ApiError::agent(
            ProblemType::Forbidden,
            "this agent was revoked or retired; enrol it again with a new token",
        ));
    }
    check_time(signature, app.clock.now())?;
    app.rates.agent(agent.agent).map_err(|wait| {
        ApiError::agent(ProblemType::RateLimited, "this agent asks too often").retry_after(wait)
    })?;
    keys::admit(app, agent.agent, signer, parts.uri.path()).await?;
    let limit = if pushes(&parts) { MAX_BODY_BYTES } else { MAX_SMALL_BODY_BYTES };
    let body = read_body(body, limit).await?;
    let digest = app.metrics.costs().spend(Stage::Signature, || signature.covers(&body));
    let digest = digest.map_err(|error| unauthenticated(&error))?;
    parts.extensions.insert(SignedDigest(BatchDigest::new(digest)));
    parts.extensions.insert(signer.key);
    parts.extensions.insert(Caller {
        agent: agent.agent,
        registration: agent.registration,
        others: agent.others,
        uplinks: agent.uplinks,
    });
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// A signature that was not made now is believed to be its agent's, and refused with the collector's time.
pub(crate) fn check_time(signature: &RequestSignature, now: Timestamp) -> Result<(), ApiError> {
    if signature.is_timely(now) {
        return Ok(());
    }
    Err(ApiError::agent(ProblemType::ClockSkew, "sign again by the collector's clock").at(now))
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_body(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ApiError::agent(ProblemType::TooLarge, format!("the body is over {limit} bytes")))
        }
        Err(_aborted_or_too_slow) => Err(ApiError::timed_out()),
    }
}

/// The answer to a signature that is not believed: the agent keeps what it has.
pub(crate) fn unauthenticated(error: &SignatureError) -> ApiError {
    ApiError::agent(ProblemType::Unauthenticated, error.to_string())
}
