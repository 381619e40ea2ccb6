//! Whether an ID token is to be believed (OpenID Connect Core, 3.1.3.7). `jsonwebtoken` verifies the signature; what the claims say is
//! judged here, by the collector's clock. Pure.

use super::standing::LONGEST_SUBJECT;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse},
};
use peerlight_proto::time::Timestamp;
use serde_json::{Map, Value};
use std::collections::HashSet;
use subtle::ConstantTimeEq as _;

/// What ID tokens may be signed by: public keys alone. `none` signs nothing, and the key of an HMAC would be the client's secret.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// How far the provider's clock may be from this one, in seconds.
const LEEWAY_S: f64 = 60.0;
/// How many keys of a provider are looked at.
const MOST_KEYS: usize = 100;
/// How many keys are tried where a token does not say which signed it.
const MOST_TRIED: usize = 10;

/// What a token has to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: Timestamp,
}

/// Who is meant, and everything that is said of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Believed {
    pub(super) subject: String,
    pub(super) claims: Map<String, Value>,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// It cannot be read, or its algorithm is not known at all.
    #[error("the ID token cannot be read, or is not signed by an algorithm that is known: {0}")]
    Unreadable(String),
    /// The algorithm proves nothing.
    #[error(
        "the ID token is signed by {0:?}, which proves nothing here; let the provider use RS256 or ES256"
    )]
    Algorithm(Algorithm),
    /// No key is known that could have signed it.
    #[error("the provider publishes no key that could have signed the ID token")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("the signature of the ID token does not hold")]
    Signature,
    /// Token or answer are of another issuer.
    #[error("the answer is of another issuer, or of none")]
    Issuer,
    /// It is for another client.
    #[error("the ID token is for another client than `client_id`")]
    Audience,
    /// It answers another attempt.
    #[error("the ID token answers another attempt to sign in")]
    Nonce,
    /// Its time is over.
    #[error(
        "the ID token has expired, or does not say when it does; compare the clocks of provider and collector"
    )]
    Expired,
    /// Its time has yet to come.
    #[error("the ID token is of the future; compare the clocks of provider and collector")]
    NotYet,
    /// It names nobody.
    #[error("the ID token names nobody: `sub` is not of 1 to {LONGEST_SUBJECT} visible ASCII characters")]
    Subject,
}

/// The keys of a JWK set that may sign; what cannot be read, or is for something else, is left out.
pub(super) fn keys(set: &Map<String, Value>) -> Vec<Jwk> {
    let listed = set.get("keys").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let read =
        listed.iter().take(MOST_KEYS).filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
    let signs = |key: &Jwk| {
        !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption))
            && !matches!(key.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_))
    };
    read.filter(signs).collect()
}

/// What the token says, if it is to be believed.
pub(super) fn believe(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Believed, Disbelief> {
    let header =
        jsonwebtoken::decode_header(token).map_err(|error| Disbelief::Unreadable(error.to_string()))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Disbelief::Algorithm(header.alg));
    }
    let fits = |key: &&Jwk| {
        let is_named = header.kid.is_none() || key.common.key_id == header.kid;
        let algorithm = key.common.key_algorithm.is_none_or(|algorithm| algorithm == header.alg.into());
        is_named && algorithm
    };
    let candidates = keys.iter().filter(fits).take(MOST_TRIED);
    let usable = candidates.filter_map(|key| DecodingKey::from_jwk(key).ok());
    let usable: Vec<DecodingKey> = usable.filter(|key| key.family() == header.alg.family()).collect();
    if usable.is_empty() {
        return Err(Disbelief::UnknownKey);
    }
    let claims = usable.iter().find_map(|key| signed(token, key, header.alg)).ok_or(Disbelief::Signature)?;
    let subject = judge(&claims, expected)?;
    Ok(Believed { subject, claims })
}

/// The claims, if this key signed them by this algorithm.
fn signed(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Option<Map<String, Value>> {
    let mut validation = Validation::new(algorithm);
    // By `judge`, whose clock is the collector's.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims = HashSet::new();
    jsonwebtoken::decode(token, key, &validation).ok().map(|token| token.claims)
}

/// Whom the claims mean, if they are meant for us, now.
fn judge(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<String, Disbelief> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let time = |name: &str| claims.get(name).map(|value| value.as_f64().unwrap_or(f64::NAN));
    if text("iss") != Some(expected.issuer) {
        return Err(Disbelief::Issuer);
    }
    if !is_for(expected.client_id, claims) {
        return Err(Disbelief::Audience);
    }
    let nonce = text("nonce").unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Disbelief::Nonce);
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds of a date are far below 2^52")]
    let now = expected.now.as_secs() as f64;
    // What is not a number is never in time.
    if !time("exp").is_some_and(|ends| now < ends + LEEWAY_S) {
        return Err(Disbelief::Expired);
    }
    let begun = |name: &str| time(name).is_none_or(|begins| begins <= now + LEEWAY_S);
    if !begun("nbf") || !begun("iat") {
        return Err(Disbelief::NotYet);
    }
    let is_subject = |subject: &&str| {
        (1..=LONGEST_SUBJECT).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_graphic())
    };
    text("sub").filter(is_subject).map(str::to_owned).ok_or(Disbelief::Subject)
}

/// Whether the audience is this client, and whoever else it is, that the token was made for this client (`azp`).
fn is_for(client_id: &str, claims: &Map<String, Value>) -> bool {
    let (is_ours, is_others_too) = match claims.get("aud") {
        Some(Value::String(one)) => (one == client_id, false),
        Some(Value::Array(all)) => (all.iter().any(|one| one == client_id), all.len() > 1),
        _ => (false, false),
    };
    match claims.get("azp") {
        Some(party) => is_ours && party == client_id,
        None => is_ours && !is_others_too,
    }
}

#[cfg(test)]
mod tests;
