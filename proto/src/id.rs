//! Identities: who measured, in which run, what, and which bytes.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

/// A text that is not an identity: not hexadecimal, or of the wrong length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected} hexadecimal digits")]
pub struct ParseIdError {
    text: String,
    expected: usize,
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $length]);

        impl $name {
            /// The identity with these bytes.
            pub const fn new(bytes: [u8; $length]) -> Self {
                Self(bytes)
            }

            /// Its bytes, as they stand on the wire.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; $length];
                match hex::decode_to_slice(text, &mut bytes) {
                    Ok(()) => Ok(Self(bytes)),
                    Err(_not_hex) => Err(ParseIdError { text: text.chars().take(80).collect(), expected: 2 * $length }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = std::array::TryFromSliceError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                bytes.try_into().map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

identity! {
    /// One installed agent: random, made beside its key and kept with it.
    AgentId, 16
}
identity! {
    /// One run of an agent process, or one side of a clock step (rules, §4): random.
    SessionId, 16
}
identity! {
    /// What is measured where: see [`crate::target::Target::id`].
    TargetId, 16
}
identity! {
    /// What one histogram is about: see [`crate::series::SeriesKey::id`].
    SeriesId, 16
}
identity! {
    /// An agent's account of what it dropped: random, see [`crate::drops::Account`].
    AccountId, 16
}
identity! {
    /// The SHA-256 of a batch's bytes as they stand on disk and on the wire.
    BatchDigest, 32
}

impl BatchDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// The number of a batch: unique for ever, because sessions are never reused and sequences only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber {
    /// Who measured.
    pub agent: AgentId,
    /// In which run.
    pub session: SessionId,
    /// The how-manieth batch of that run, from 0.
    pub sequence: u64,
}

impl fmt::Display for BatchNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.agent, self.session, self.sequence)
    }
}

/// The first 16 bytes of SHA-256 over `domain` and length-prefixed `fields`, so that no two lists of fields collide.
pub(crate) fn hash_fields(domain: &str, fields: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for field in std::iter::once(domain.as_bytes()).chain(fields.iter().copied()) {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_read_back_what_they_print() {
        let id = AgentId::new([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("xyz".parse::<AgentId>().unwrap_err().to_string(), "`xyz` is not 32 hexadecimal digits");
    }

    #[test]
    fn field_boundaries_are_part_of_the_hash() {
        assert_ne!(hash_fields("t", &[b"ab", b"c"]), hash_fields("t", &[b"a", b"bc"]));
    }
}
