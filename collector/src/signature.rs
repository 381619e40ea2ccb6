//! HTTP Message Signatures (RFC 9421): what agents sign is verified here, what the collector answers is signed here.
//!
//! The only file that imports `httpsig-hyper`. The verifier takes one signature with exactly the components and
//! parameters of the contract, in the order in which the library writes them: created, expires, nonce, alg, keyid, tag.
//! It judges time by the collector's clock, not by the library's.

use crate::api::error::ApiError;
use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header, request::Parts};
use http_body_util::{BodyExt as _, Empty};
use httpsig::prelude::HttpSigResult;
use httpsig_hyper::{
    MessageSignatureReq as _, MessageSignatureRes as _,
    prelude::{AlgorithmName, HttpSignatureParams, SigningKey, message_component::HttpMessageComponentId},
};
use peerlight_proto::{
    http::{REQUEST_COMPONENTS, REQUEST_TAG, RESPONSE_COMPONENTS, RESPONSE_TAG},
    limits::MAX_SIGNATURE_AGE,
    time::Timestamp,
};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use std::{ops::RangeInclusive, sync::LazyLock};
use subtle::ConstantTimeEq as _;

/// The `keyid` of the collector's own signature.
const RESPONSE_KEY_ID: &str = "collector";
/// The only algorithm.
const ALGORITHM: &str = "ed25519";
/// How long a nonce may be, in characters of base64 or base64url.
const NONCE_LENGTH: RangeInclusive<usize> = 16..=128;
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
    key_id: String,
    nonce: String,
    created: Timestamp,
    expires: Timestamp,
    digest: [u8; 32],
    base: Vec<u8>,
    signature: Vec<u8>,
    header: HeaderValue,
}

impl RequestSignature {
    /// Reads the signature of a request from its head alone.
    pub fn read(parts: &Parts) -> Result<Self, SignatureError> {
        let header = only(&parts.headers, &SIGNATURE)?.clone();
        let digest = content_digest(only(&parts.headers, &CONTENT_DIGEST)?)?;
        let request = signed_part(parts)?;
        let malformed = |error: httpsig_hyper::HyperSigError| SignatureError::Malformed(error.to_string());
        let mut signatures = request.extract_signatures().map_err(malformed)?.into_values();
        let (Some((base, made)), None) = (signatures.next(), signatures.next()) else {
            return Err(SignatureError::Malformed(
                "there must be exactly one, of components that are there".into(),
            ));
        };
        let checked = check_parameters(made.signature_params())?;
        let signature = STANDARD
            .decode(made.signature().to_string())
            .map_err(|error| SignatureError::Malformed(error.to_string()))?;
        let Checked { key_id, nonce, created, expires } = checked;
        Ok(Self { key_id, nonce, created, expires, digest, base: base.as_bytes(), signature, header })
    }

    /// The key that it claims to be made with.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// What makes it unique.
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The latest instant at which it would be believed.
    pub fn believed_until(&self) -> Timestamp {
        self.expires.plus(MAX_SKEW)
    }

    /// The value of the request's `signature` header, which binds the answer to it.
    pub const fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// Whether this key made it.
    pub fn verify(&self, public_key: &[u8; 32]) -> Result<(), SignatureError> {
        UnparsedPublicKey::new(&ED25519, public_key)
            .verify(&self.base, &self.signature)
            .map_err(|_unspecified| SignatureError::Wrong)
    }

    /// Whether it was made recently and has not expired, by the collector's clock.
    pub fn is_timely(&self, now: Timestamp) -> bool {
        self.created.minus(MAX_SKEW) <= now && now <= self.created.plus(MAX_SKEW) && now <= self.expires
    }

    /// Whether this is the body that was signed; returns its SHA-256.
    pub fn covers(&self, body: &[u8]) -> Result<[u8; 32], SignatureError> {
        let digest: [u8; 32] = Sha256::digest(body).into();
        if bool::from(digest.ct_eq(&self.digest)) { Ok(digest) } else { Err(SignatureError::Digest) }
    }
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a HeaderValue, SignatureError> {
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

/// The request as its sender signed it: with its authority, which HTTP/1 keeps in a header of its own.
fn signed_part(parts: &Parts) -> Result<Request<Empty<Bytes>>, SignatureError> {
    let authority = match parts.uri.authority() {
        Some(authority) => authority.as_str(),
        None => only(&parts.headers, &header::HOST)?.to_str().map_err(|_reason| SignatureError::Authority)?,
    };
    let path_and_query = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder()
        .scheme("https")
        .authority(authority)
        .path_and_query(path_and_query)
        .build()
        .map_err(|_reason| SignatureError::Authority)?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    for name in [SIGNATURE, SIGNATURE_INPUT, CONTENT_DIGEST, header::CONTENT_TYPE] {
        let value = only(&parts.headers, &name)?.clone();
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

struct Checked {
    key_id: String,
    nonce: String,
    created: Timestamp,
    expires: Timestamp,
}

fn check_parameters(params: &HttpSignatureParams) -> Result<Checked, SignatureError> {
    if params.covered_components != *COVERED_OF_REQUESTS {
        return Err(SignatureError::Components);
    }
    let instant = |seconds: Option<u64>| seconds.and_then(|seconds| i64::try_from(seconds).ok());
    let created = instant(params.created).ok_or(SignatureError::Parameter("created"))?;
    let expires = instant(params.expires)
        .filter(|expires| {
            expires
                .checked_sub(created)
                .and_then(|span| u64::try_from(span).ok())
                .is_some_and(|span| span <= MAX_SIGNATURE_AGE.as_secs())
        })
        .ok_or(SignatureError::Parameter("expires"))?;
    // The library writes texts back without escaping, so only texts that need none are taken.
    let nonce = params
        .nonce
        .as_ref()
        .filter(|nonce| {
            NONCE_LENGTH.contains(&nonce.len())
                && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_".contains(&byte))
        })
        .ok_or(SignatureError::Parameter("nonce"))?;
    let key_id = params
        .keyid
        .as_ref()
        .filter(|key_id| key_id.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .ok_or(SignatureError::Parameter("keyid"))?;
    if params.alg.as_deref() != Some(ALGORITHM) {
        return Err(SignatureError::Parameter("alg"));
    }
    if params.tag.as_deref() != Some(REQUEST_TAG) {
        return Err(SignatureError::Parameter("tag"));
    }
    Ok(Checked {
        key_id: key_id.clone(),
        nonce: nonce.clone(),
        created: Timestamp::from_secs(created),
        expires: Timestamp::from_secs(expires),
    })
}

static COVERED_OF_REQUESTS: LazyLock<Vec<HttpMessageComponentId>> =
    LazyLock::new(|| components(&REQUEST_COMPONENTS));
static COVERED_OF_RESPONSES: LazyLock<Vec<HttpMessageComponentId>> =
    LazyLock::new(|| components(&RESPONSE_COMPONENTS));

/// The components of the contract, as the library has them: a test reads each of its names.
fn components(names: &[&str]) -> Vec<HttpMessageComponentId> {
    names.iter().filter_map(|name| HttpMessageComponentId::try_from(*name).ok()).collect()
}

/// Signs answers to agents.
pub struct ResponseSigner {
    key: ResponseKey,
}

/// The library signs by whatever key it is given; ring's is several times as fast as its own.
struct ResponseKey(Ed25519KeyPair);

impl SigningKey for ResponseKey {
    fn sign(&self, data: &[u8]) -> HttpSigResult<Vec<u8>> {
        Ok(self.0.sign(data).as_ref().to_vec())
    }

    fn key_id(&self) -> String {
        RESPONSE_KEY_ID.to_owned()
    }

    fn alg(&self) -> AlgorithmName {
        AlgorithmName::Ed25519
    }
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
            .map(|pair| Self { key: ResponseKey(pair) })
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
        let digest = STANDARD.encode(Sha256::digest(&body));
        parts.headers.insert(CONTENT_DIGEST, HeaderValue::try_from(format!("sha-256=:{digest}:"))?);
        parts
            .headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/octet-stream"));

        let mut bound_to = Request::new(Empty::<Bytes>::new());
        bound_to.headers_mut().insert(SIGNATURE, request.clone());
        let mut params = HttpSignatureParams::try_new(&COVERED_OF_RESPONSES)?;
        params
            .set_created(u64::try_from(now.as_secs())?)
            .set_alg(&AlgorithmName::Ed25519)
            .set_keyid(RESPONSE_KEY_ID)
            .set_tag(RESPONSE_TAG);
        let mut signed = http::Response::new(Empty::<Bytes>::new());
        *signed.status_mut() = parts.status;
        for name in [header::CONTENT_TYPE, CONTENT_DIGEST] {
            if let Some(value) = parts.headers.get(&name) {
                signed.headers_mut().insert(name, value.clone());
            }
        }
        signed.set_message_signature(&params, &self.key, Some("sig"), Some(&bound_to)).await?;
        for name in [SIGNATURE, SIGNATURE_INPUT] {
            if let Some(value) = signed.headers().get(&name) {
                parts.headers.insert(name, value.clone());
            }
        }
        Ok(Response::from_parts(parts, body.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_reads_every_name_of_the_contract() {
        assert_eq!(COVERED_OF_REQUESTS.len(), REQUEST_COMPONENTS.len());
        assert_eq!(COVERED_OF_RESPONSES.len(), RESPONSE_COMPONENTS.len());
    }
}
