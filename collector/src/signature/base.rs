//! Signature bases (RFC 9421, §2.5): the bytes that are signed of a request and of its answer. The contract covers the same
//! components each time, so that each is one text with its values put in.

use super::{
    SignatureError,
    input::{ALGORITHM, Input},
    one,
};
use http::{HeaderValue, header, request::Parts};
use peerlight_proto::{
    http::{REQUEST_TAG, RESPONSE_TAG},
    time::Timestamp,
};

/// What an agent signed, if `input` is its signature. The authority stands in the target, or as HTTP/1 has it in a header of its own;
/// the parameters stand in the order in which agents write them, in any other they do not verify.
pub(super) fn of_request(parts: &Parts, input: &Input) -> Result<String, SignatureError> {
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => text(one(&parts.headers, &header::HOST)?, SignatureError::Authority)?,
    }
    .to_ascii_lowercase();
    let field =
        |name| one(&parts.headers, name).and_then(|value| text(value, SignatureError::Header(name.clone())));
    let Input { created, expires, nonce, key_id, .. } = input;
    Ok(format!(
        "\"@method\": {}\n\"@authority\": {authority}\n\"@path\": {}\n\"@query\": ?{}\n\"content-type\": {}\n\"content-digest\": {}\n\
         \"@signature-params\": (\"@method\" \"@authority\" \"@path\" \"@query\" \"content-type\" \"content-digest\")\
         ;created={};expires={};nonce=\"{nonce}\";alg=\"{ALGORITHM}\";keyid=\"{key_id}\";tag=\"{REQUEST_TAG}\"",
        parts.method,
        parts.uri.path(),
        parts.uri.query().unwrap_or_default(),
        field(&header::CONTENT_TYPE)?,
        field(&super::CONTENT_DIGEST)?,
        created.as_secs(),
        expires.as_secs(),
    ))
}

/// What the collector signs of an answer: its base, and the parameters, which also stand in its `signature-input`.
pub(super) struct OfResponse {
    pub(super) base: String,
    pub(super) params: String,
}

/// The answer with these values to the request with this `signature` header, as of `now`.
pub(super) fn of_response(
    status: http::StatusCode,
    (content_type, digest): (&HeaderValue, &str),
    request: &HeaderValue,
    now: Timestamp,
) -> Result<OfResponse, SignatureError> {
    let params = format!(
        "(\"@status\" \"content-type\" \"content-digest\" \"signature\";req);created={};alg=\"{ALGORITHM}\";keyid=\"{}\";tag=\"{RESPONSE_TAG}\"",
        now.as_secs(),
        super::RESPONSE_KEY_ID,
    );
    let base = format!(
        "\"@status\": {}\n\"content-type\": {}\n\"content-digest\": {digest}\n\"signature\";req: {}\n\"@signature-params\": {params}",
        status.as_u16(),
        text(content_type, SignatureError::Header(header::CONTENT_TYPE))?,
        text(request, SignatureError::Header(super::SIGNATURE))?,
    );
    Ok(OfResponse { base, params })
}

fn text(value: &HeaderValue, fault: SignatureError) -> Result<&str, SignatureError> {
    value.to_str().map_err(|_not_ascii| fault)
}
