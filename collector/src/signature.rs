//! HTTP Message Signatures (RFC 9421): what agents sign is verified here, what the collector answers is signed here.
//!
//! The verifier takes one signature with exactly the components and parameters of the contract, in the order in which
//! agents write them: created, expires, nonce, alg, keyid, tag. Agents sign and verify by the library `httpsig-hyper`, which
//! is the oracle of the tests here; a collector hears of a fleet each minute, and the library's general way of reading cost
//! as much as the verification itself.

mod base;
mod input;

use crate::api::error::ApiError;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use http_body_util::BodyExt as _;
use input::Input;
use peerlight_proto::{http::REQUEST_COMPONENTS, limits::MAX_SIGNATURE_AGE, time::Timestamp};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// The `keyid` of the collector's own signature.
const RESPONSE_KEY_ID: &str = "collector";
/// Its label.
const LABEL: &str = "sig";
/// How far off the collector's clock a signature may have been made.
pub const MAX_SKEW: std::time::Duration = MAX_SIGNATURE_AGE;

const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// Why a signature is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is missing or stands there twice.
    #[error("the request must have exactly one `{0}` header")]
    Header(HeaderName),
    /// The host is missing.
    #[error("the request names no host")]
    Authority,
    /// The headers do not parse as a signature.
    #[error("the signature cannot be read: {0}")]
    Malformed(String),
    /// The signature covers something else than the contract says.
    #[error("the signature must cover exactly {}", REQUEST_COMPONENTS.join(" "))]
    Components,
    /// A parameter is missing or has another value than the contract says.
    #[error("the signature's parameter `{0}` is missing or wrong")]
    Parameter(&'static str),
    /// The key did not make it.
    #[error("the signature does not verify")]
    Wrong,
    /// The body is not the one that was signed.
    #[error("the body does not match its content-digest")]
    Digest,
}

/// A request's signature, read but not yet verified.
#[derive(Debug, Clone)]
pub struct RequestSignature {
    input: Input,
    digest: [u8; 32],
    base: String,
    header: HeaderValue,
}

impl RequestSignature {
    /// Reads the signature of a request from its head alone.
    pub fn read(parts: &Parts) -> Result<Self, SignatureError> {
        let header = one(&parts.headers, &SIGNATURE)?;
        let digest = content_digest(one(&parts.headers, &CONTENT_DIGEST)?)?;
        let input = Input::read(one(&parts.headers, &SIGNATURE_INPUT)?, header)?;
        let base = base::of_request(parts, &input)?;
        Ok(Self { input, digest, base, header: header.clone() })
    }

    /// The key that it claims to be made with.
    pub fn key_id(&self) -> &str {
        &self.input.key_id
    }

    /// What makes it unique.
    pub fn nonce(&self) -> &str {
        &self.input.nonce
    }

    /// The latest instant at which it would be believed.
    pub fn believed_until(&self) -> Timestamp {
        self.input.expires.plus(MAX_SKEW)
    }

    /// The value of the request's `signature` header, which binds the answer to it.
    pub const fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Whether this key made it.
    pub fn verify(&self, public_key: &[u8; 32]) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, public_key)
            .verify(self.base.as_bytes(), &self.input.signature)
            .map_err(|_unspecified| SignatureError::Wrong)
    }

    /// Whether it was made recently and has not expired, by the collector's clock.
    pub fn is_timely(&self, now: Timestamp) -> bool {
        self.input.created.minus(MAX_SKEW) <= now
            && now <= self.input.created.plus(MAX_SKEW)
            && now <= self.input.expires
    }

    /// Whether this is the body that was signed; returns its SHA-256.
    pub fn covers(&self, body: &[u8]) -> Result<[u8; 32], SignatureError> {
        let digest: [u8; 32] = Sha256::digest(body).into();
        if bool::from(digest.ct_eq(&self.digest)) { Ok(digest) } else { Err(SignatureError::Digest) }
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a HeaderValue, SignatureError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(SignatureError::Header(name.clone())),
    }
}

/// The SHA-256 that a `content-digest` header names (RFC 9530): one member, no other algorithm.
fn content_digest(value: &HeaderValue) -> Result<[u8; 32], SignatureError> {
    value
        .to_str()
        .ok()
        .and_then(|text| text.trim().strip_prefix("sha-256=:")?.strip_suffix(':'))
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(SignatureError::Header(CONTENT_DIGEST))
}

/// Signs answers to agents.
pub struct ResponseSigner {
    key: Ed25519KeyPair,
}

impl std::fmt::Debug for ResponseSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseSigner").finish_non_exhaustive()
    }
}

impl ResponseSigner {
    /// A signer with this ed25519 seed.
    pub fn new(seed: &[u8; 32]) -> Result<Self, SignatureError> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(|key| Self { key })
            .map_err(|rejected| SignatureError::Malformed(rejected.to_string()))
    }

    /// Signs an answer, bound to the request with this `signature` header. It carries no expiry: the binding makes it
    /// unique, and an agent whose clock is wrong must be able to believe the answer that tells it so.
    pub async fn sign(&self, response: Response, request: &HeaderValue, now: Timestamp) -> Response {
        match self.try_sign(response, request, now).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(error, "an answer could not be signed");
                ApiError::internal().into_response()
            }
        }
    }

    async fn try_sign(
        &self,
        response: Response,
        request: &HeaderValue,
        now: Timestamp,
    ) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
        let (mut parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let digest = format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(&body)));
        let untyped = HeaderValue::from_static("application/octet-stream");
        let content_type = parts.headers.entry(header::CONTENT_TYPE).or_insert(untyped).clone();
        let signed = base::of_response(parts.status, (&content_type, &digest), request, now)?;
        let signature = STANDARD.encode(self.key.sign(signed.base.as_bytes()));
        let mut set = |name, value: String| -> Result<(), http::header::InvalidHeaderValue> {
            parts.headers.insert(name, HeaderValue::try_from(value)?);
            Ok(())
        };
        set(SIGNATURE, format!("{LABEL}=:{signature}:"))?;
        set(SIGNATURE_INPUT, format!("{LABEL}={}", signed.params))?;
        set(CONTENT_DIGEST, digest)?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

#[cfg(test)]
mod tests;
