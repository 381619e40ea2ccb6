//! HTTP message signatures (RFC 9421): the agent signs every request, the collector every answer. The only file that
//! knows the library.
//!
//! An answer is believed only if its signature covers exactly what the contract says, among it the signature of the
//! request that it answers. That binds it to one request with its nonce, so no lifetime is checked: an agent with a
//! wrong clock must still be able to believe its collector.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use httpsig::prelude::{
    AlgorithmName, HttpSigError, HttpSigResult, HttpSignatureParams, PublicKey, SigningKey,
    VerifyingKey as _, message_component::HttpMessageComponentId,
};
use httpsig_hyper::{
    HyperSigError, MessageSignature as _, MessageSignatureReq as _, MessageSignatureRes as _,
};
use peerlight_proto::{
    http::{REQUEST_COMPONENTS, REQUEST_TAG, RESPONSE_COMPONENTS, RESPONSE_TAG},
    id::AgentId,
    time::Timestamp,
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};
use std::{fmt, time::Duration};

/// How long a request's signature is valid: below [`peerlight_proto::limits::MAX_SIGNATURE_AGE`], so that a clock that is a little off does not
/// make it too long.
const LIFETIME: Duration = Duration::from_mins(4);
/// The `keyid` of the collector's signatures.
const COLLECTOR_KEY_ID: &str = "collector";
/// The label of a request's signature.
const LABEL: &str = "sig1";

/// A message as it is signed: the headers and the whole body.
pub type Body = Full<bytes::Bytes>;

/// What could not be signed or believed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The request cannot be signed.
    #[error("cannot sign the request: {0}")]
    Sign(#[source] HyperSigError),
    /// The answer bears no signature of the collector.
    #[error("the answer is not signed by the collector")]
    Unsigned,
    /// The signature does not cover what it must, in the way that it must.
    #[error("the answer's signature does not cover exactly what it must")]
    Coverage,
    /// The body is not the one that was signed.
    #[error("the answer's body does not match its digest")]
    Digest,
    /// The signature is not the collector's, or is for another request.
    #[error("the answer's signature does not verify")]
    Forged,
    /// The collector's key is not an ed25519 public key.
    #[error("the collector's response key is not 32 bytes in hexadecimal")]
    ResponseKey,
}

/// The agent's own key with its name.
pub struct AgentKey {
    agent: AgentId,
    pair: Ed25519KeyPair,
}

/// The private key stays out of logs.
impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentKey").field("agent", &self.agent).finish_non_exhaustive()
    }
}

impl AgentKey {
    /// The key pair of `agent`.
    pub fn new(agent: AgentId, pair: Ed25519KeyPair) -> Self {
        Self { agent, pair }
    }

    /// Whose it is.
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// The public half.
    pub fn public_key(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        bytes
    }

    /// The ed25519 signature over `statement`, which proves that this agent holds the key.
    pub fn prove(&self, statement: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.pair.sign(statement).as_ref());
        bytes
    }

    /// Signs a request whose content type and digest are set, as of `now`.
    pub async fn sign(&self, request: &mut Request<Body>, now: Timestamp) -> Result<(), SignatureError> {
        let created = u64::try_from(now.as_secs()).unwrap_or(0);
        let components = REQUEST_COMPONENTS
            .iter()
            .map(|component| HttpMessageComponentId::try_from(*component))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| SignatureError::Sign(error.into()))?;
        let mut params =
            HttpSignatureParams::try_new(&components).map_err(|error| SignatureError::Sign(error.into()))?;
        params
            .set_created(created)
            .set_expires(created + LIFETIME.as_secs())
            .set_random_nonce()
            .set_key_info(self)
            .set_tag(REQUEST_TAG);
        request.set_message_signature(&params, self, Some(LABEL)).await.map_err(SignatureError::Sign)
    }
}

impl SigningKey for AgentKey {
    fn sign(&self, data: &[u8]) -> HttpSigResult<Vec<u8>> {
        Ok(self.pair.sign(data).as_ref().to_vec())
    }

    fn key_id(&self) -> String {
        self.agent.to_string()
    }

    fn alg(&self) -> AlgorithmName {
        AlgorithmName::Ed25519
    }
}

/// The collector's public key, by which its answers are believed.
#[derive(Debug, Clone)]
pub struct ResponseKey(PublicKey);

impl ResponseKey {
    /// The key from its 32 bytes in hexadecimal.
    pub fn from_hex(text: &str) -> Result<Self, SignatureError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_not_hex| SignatureError::ResponseKey)?;
        PublicKey::from_bytes(&AlgorithmName::Ed25519, &bytes)
            .map(Self)
            .map_err(|_not_a_point| SignatureError::ResponseKey)
    }

    /// Whether the collector signed `response` as the answer to `request`.
    pub fn verify(
        &self,
        response: &Response<Body>,
        body: &[u8],
        request: &Request<Body>,
    ) -> Result<(), SignatureError> {
        if !response.has_message_signature() {
            return Err(SignatureError::Unsigned);
        }
        let params = response.get_signature_params().map_err(|_malformed| SignatureError::Unsigned)?;
        let mut ours = params.iter().filter(|(_, params)| params.tag.as_deref() == Some(RESPONSE_TAG));
        let (Some((label, params)), None) = (ours.next(), ours.next()) else {
            return Err(SignatureError::Unsigned);
        };
        if !covers_exactly(params) {
            return Err(SignatureError::Coverage);
        }
        let digest = response.headers().get("content-digest");
        if digest.map(HeaderValue::as_bytes) != Some(content_digest(body).as_bytes()) {
            return Err(SignatureError::Digest);
        }
        let signatures =
            response.extract_signatures(Some(request)).map_err(|_malformed| SignatureError::Coverage)?;
        let (base, headers) = signatures.get(label).ok_or(SignatureError::Coverage)?;
        let signature = STANDARD
            .decode(headers.signature().to_string())
            .map_err(|_undecodable| SignatureError::Forged)?;
        self.0.verify(&base.as_bytes(), &signature).map_err(|_invalid: HttpSigError| SignatureError::Forged)
    }
}

fn covers_exactly(params: &HttpSignatureParams) -> bool {
    let expected = RESPONSE_COMPONENTS.iter().map(|component| HttpMessageComponentId::try_from(*component));
    params.alg.as_deref() == Some(AlgorithmName::Ed25519.as_str())
        && params.keyid.as_deref() == Some(COLLECTOR_KEY_ID)
        && params.covered_components.len() == RESPONSE_COMPONENTS.len()
        && expected
            .zip(&params.covered_components)
            .all(|(expected, covered)| expected.is_ok_and(|expected| expected == *covered))
}

/// The value of `content-digest` for a body (RFC 9530).
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

#[cfg(test)]
mod tests;
