//! `/api/v1/enrolments`: an agent's key becomes known, against an operator's token.

use super::error::ApiError;
use crate::{
    app::App,
    auth::{
        agent::{check_time, read_body, unauthenticated},
        keys::enrol_again,
    },
    client_address::ClientAddress,
    key_life::{KeyLife, KeyStage},
    registry::{EnrolError, EnrolledAgent, Registration},
    signature::RequestSignature,
};
use axum::{
    Extension, Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use peerlight_proto::{
    enrolment::{EnrolmentRequest, EnrolmentResponse, SiteAssertion},
    limits::MAX_SMALL_BODY_BYTES,
    problem::ProblemType,
};

/// What nonces are burnt for.
const NONCE_SCOPE: &str = "enrolment";

/// Enrols an agent. The request is signed by the key that it brings, so that nobody enrols a key that is not theirs.
#[utoipa::path(post, path = "/api/v1/enrolments", tag = "agents",
    responses((status = 200, description = "Nothing is enrolled yet: the machine is to enrol as the agent that it was"),
        (status = 201, description = "Enrolled: the registration that the agent measures for"),
        (status = 403, description = "The token is refused"),
        (status = 409, description = "The site contradicts the registration, or the agent has another key")))]
pub async fn create(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    request: Request,
) -> Response {
    let (enrolment, signature) = match verified(&app, address, request).await {
        Ok(verified) => verified,
        Err(error) => return error.into_response(),
    };
    let response = match enrol(&app, address, enrolment, &signature).await {
        Ok(answer) => {
            let status = if answer.adopt.is_some() { StatusCode::OK } else { StatusCode::CREATED };
            (status, Json(answer)).into_response()
        }
        Err(error) => error.into_response(),
    };
    app.signer.sign(response, signature.header(), app.clock.now()).await
}

/// The request, once its own key has been shown to have signed it.
async fn verified(
    app: &App,
    address: ClientAddress,
    request: Request,
) -> Result<(EnrolmentRequest, RequestSignature), ApiError> {
    app.rates.attempt(address.nearest()).map_err(|wait| {
        ApiError::agent(ProblemType::RateLimited, "too many enrolments from this address").retry_after(wait)
    })?;
    let (parts, body) = request.into_parts();
    let signature = RequestSignature::read(&parts).map_err(|error| unauthenticated(&error))?;
    let body = read_body(body, MAX_SMALL_BODY_BYTES).await?;
    signature.covers(&body).map_err(|error| unauthenticated(&error))?;
    let malformed = |detail: String| ApiError::agent(ProblemType::Malformed, detail);
    let enrolment: EnrolmentRequest =
        serde_json::from_slice(&body).map_err(|error| malformed(format!("not an enrolment: {error}")))?;
    let mut key = [0; 32];
    hex::decode_to_slice(&enrolment.public_key, &mut key)
        .map_err(|error| malformed(format!("public_key is not 32 bytes in hexadecimal: {error}")))?;
    signature.verify(&key).map_err(|error| unauthenticated(&error))?;
    if signature.key_id() != enrolment.agent.to_string() {
        return Err(malformed("the signature's keyid is not the agent that enrols".into()));
    }
    Ok((enrolment, signature))
}

async fn enrol(
    app: &App,
    address: ClientAddress,
    enrolment: EnrolmentRequest,
    signature: &RequestSignature,
) -> Result<EnrolmentResponse, ApiError> {
    check_time(signature, app.clock.now())?;
    let (nonce, until) = (signature.nonce().to_owned(), signature.believed_until());
    let agent = enrolment.agent;
    let fresh =
        app.ask_for_agent(move |registry, now| registry.burn_nonce(NONCE_SCOPE, &nonce, until, now)).await?;
    if !fresh {
        return Err(ApiError::agent(
            ProblemType::Unauthenticated,
            "this very request was made before; sign a new one",
        ));
    }
    refuse_ended_key(app, &enrolment).await?;
    let enrolled =
        app.blocking(move |registry, now| registry.enrol(&enrolment, address.nearest(), now)).await?;
    if matches!(enrolled, Err(EnrolError::UnknownToken)) && app.metrics.unknown_token(address.nearest()) {
        tracing::warn!(%agent, address = %address.nearest(), "an agent came with a token that this collector never made");
    }
    let collector_time_us = app.clock.now().as_micros();
    let answer = |registration, adopt| EnrolmentResponse {
        agent,
        site: assertion(registration),
        collector_time_us,
        adopt,
    };
    match enrolled {
        Err(EnrolError::KnownAs { agent: known, registration }) => {
            tracing::info!(%agent, %known, site = registration.site, "a machine that was set up anew is to enrol as the agent that it was");
            Ok(answer(*registration, Some(known)))
        }
        enrolled => {
            let registration = enrolled?;
            tracing::info!(%agent, site = registration.site, "an agent enrolled");
            Ok(answer(registration, None))
        }
    }
}

/// An agent whose key is good for nothing any more brings a new one: enrolled with the old one it could not push.
async fn refuse_ended_key(app: &App, enrolment: &EnrolmentRequest) -> Result<(), ApiError> {
    let agent = enrolment.agent;
    let known = app.ask_for_agent(move |registry, now| registry.caller(agent, now)).await?;
    let life = KeyLife::from(app.config.keys);
    let comes_with_it = |known: &EnrolledAgent| hex::encode(known.public_key) == enrolment.public_key;
    match known.filter(comes_with_it).map(|known| known.key_since) {
        Some(since) if life.stage(since, app.clock.now()) == KeyStage::Ended => {
            Err(enrol_again(&life, since))
        }
        Some(_) | None => Ok(()),
    }
}

fn assertion(registration: Registration) -> SiteAssertion {
    SiteAssertion {
        name: registration.site,
        provider: registration.provider,
        location: registration.location,
        prefixes: registration.prefixes.iter().map(ToString::to_string).collect(),
    }
}
