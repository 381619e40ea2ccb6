//! Keys: an agent's key has a life, and before its end a new one follows it.
//!
//! The request is signed by the key that the agent has, and its body proves that the agent holds the new one, too. So
//! nobody puts a key of their own in another's place, and nobody claims a key that is another's.

use crate::id::AgentId;
use serde::{Deserialize, Serialize};

/// What the new key signs begins with this, so that the signature means nothing else.
const PURPOSE: &[u8] = b"peerlight key rotation 1\0";

/// What an agent sends to `POST /api/v1/keys`. Bytes are in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRequest {
    /// The agent.
    pub agent: AgentId,
    /// The key that it has: the one that signs the request.
    pub key: String,
    /// The key that is to follow.
    pub next: String,
    /// 32 random bytes that are burnt at the collector.
    pub nonce: String,
    /// The new key's ed25519 signature over [`Rotation::statement`].
    pub proof: String,
}

/// A request whose fields are not what they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRequestError {
    /// A field is not so many bytes in hexadecimal.
    #[error("`{0}` is not {1} bytes in hexadecimal")]
    NotHexadecimal(&'static str, usize),
    /// A key cannot follow itself.
    #[error("`next` is the same key")]
    SameKey,
}

/// From which key to which an agent goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The agent.
    pub agent: AgentId,
    /// The key that it has.
    pub key: [u8; 32],
    /// The key that is to follow.
    pub next: [u8; 32],
    /// What makes the request unique.
    pub nonce: [u8; 32],
}

impl Rotation {
    /// What the new key signs.
    pub fn statement(&self) -> Vec<u8> {
        [PURPOSE, self.agent.as_bytes(), &self.key, &self.next, &self.nonce].concat()
    }

    /// The request, with the new key's signature over [`Self::statement`].
    pub fn request(&self, proof: &[u8]) -> KeyRequest {
        KeyRequest {
            agent: self.agent,
            key: hex::encode(self.key),
            next: hex::encode(self.next),
            nonce: hex::encode(self.nonce),
            proof: hex::encode(proof),
        }
    }
}

impl KeyRequest {
    /// The rotation that is asked for, and the proof, which is still to be verified.
    pub fn read(&self) -> Result<(Rotation, [u8; 64]), KeyRequestError> {
        let rotation = Rotation {
            agent: self.agent,
            key: bytes("key", &self.key)?,
            next: bytes("next", &self.next)?,
            nonce: bytes("nonce", &self.nonce)?,
        };
        if rotation.key == rotation.next {
            return Err(KeyRequestError::SameKey);
        }
        Ok((rotation, bytes("proof", &self.proof)?))
    }
}

/// The answer to `POST /api/v1/keys`, about the new key, and to `GET`, about the key that signed the question. Instants are
/// microseconds since 1970-01-01T00:00:00Z on the collector's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// The public key, in hexadecimal.
    pub key: String,
    /// When its life began.
    pub since_us: i64,
    /// From when on it serves for nothing but to be followed by a new one.
    pub expires_us: i64,
    /// From when on it serves for nothing at all.
    pub ends_us: i64,
    /// The collector's clock.
    pub collector_time_us: i64,
}

/// How people are shown a public key: enough of it to tell two apart.
pub fn fingerprint(public_key: &[u8; 32]) -> String {
    hex::encode(&public_key[..8])
}

fn bytes<const N: usize>(field: &'static str, text: &str) -> Result<[u8; N], KeyRequestError> {
    let mut bytes = [0; N];
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_not_hexadecimal) => Err(KeyRequestError::NotHexadecimal(field, N)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROTATION: Rotation =
        Rotation { agent: AgentId::new([1; 16]), key: [2; 32], next: [3; 32], nonce: [4; 32] };

    #[test]
    fn a_request_reads_back_and_names_the_field_that_is_wrong() {
        let request = ROTATION.request(&[5; 64]);
        assert_eq!(request.read(), Ok((ROTATION, [5; 64])));
        let short = KeyRequest { proof: "05".repeat(63), ..request.clone() };
        assert_eq!(short.read(), Err(KeyRequestError::NotHexadecimal("proof", 64)));
        let same = KeyRequest { next: request.key.clone(), ..request };
        assert_eq!(same.read(), Err(KeyRequestError::SameKey));
    }

    #[test]
    fn whatever_changes_changes_the_statement() {
        let statements = [
            ROTATION,
            Rotation { agent: AgentId::new([9; 16]), ..ROTATION },
            Rotation { key: [9; 32], ..ROTATION },
            Rotation { next: [9; 32], ..ROTATION },
            Rotation { nonce: [9; 32], ..ROTATION },
        ]
        .map(|rotation| rotation.statement());
        let different: std::collections::BTreeSet<_> = statements.iter().collect();
        assert_eq!(different.len(), statements.len());
    }
}
