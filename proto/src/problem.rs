//! Problems: why the collector did not do what an agent asked, and what the agent does next (RFC 9457).

use serde::{Deserialize, Serialize};
use std::fmt;

/// What an agent does with a batch after a problem (rules, §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Delete the batch and count it: sending it again can never help.
    Drop,
    /// Send it as smaller batches.
    Split,
    /// Keep it and send it again later.
    Retry,
    /// Keep everything and stop pushing until an operator acts.
    Stop,
}

/// The kinds of problem that agents meet. URIs are stable; agents treat unknown ones as [`Class::Retry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemType {
    /// The body is not a batch.
    Malformed,
    /// The batch has a version of the wire that the collector does not read: most likely it is older than the agent.
    UnsupportedVersion,
    /// The batch's number names another agent than the one that signed.
    WrongAgent,
    /// The number was used before for other bytes.
    NumberReused,
    /// Every interval is older than the collector's acceptance horizon.
    TooOld,
    /// The body or what it inflates to is over a limit.
    TooLarge,
    /// More measurements or series than a batch may hold.
    TooMany,
    /// The signature's time is too far from the collector's; `collector_time_us` says what to correct by.
    ClockSkew,
    /// Too many requests.
    RateLimited,
    /// The collector cannot store now.
    Unavailable,
    /// No valid signature of an agent that the collector knows.
    Unauthenticated,
    /// The agent is known but may not do this: revoked, or enrolled for nothing.
    Forbidden,
    /// No registration of the agent's site covers what it measured: the last one has ended, or the first has not begun.
    RegistrationEnded,
    /// The enrolment token is wrong, used up or expired.
    TokenRefused,
    /// The agent's `[site]` contradicts the registration.
    SiteMismatch,
    /// The agent's identity is enrolled with another key.
    AgentExists,
    /// The agent's key is older than the collector lets keys become.
    KeyExpired,
    /// The key that was to follow is, or once was, another's or this agent's own.
    KeyRefused,
}

impl ProblemType {
    /// Every type.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::UnsupportedVersion,
        Self::WrongAgent,
        Self::NumberReused,
        Self::TooOld,
        Self::TooLarge,
        Self::TooMany,
        Self::ClockSkew,
        Self::RateLimited,
        Self::Unavailable,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::RegistrationEnded,
        Self::TokenRefused,
        Self::SiteMismatch,
        Self::AgentExists,
        Self::KeyExpired,
        Self::KeyRefused,
    ];

    /// The stable URI that stands in a problem's `type`.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Malformed => "urn:peerlight:problem:malformed",
            Self::UnsupportedVersion => "urn:peerlight:problem:unsupported-version",
            Self::WrongAgent => "urn:peerlight:problem:wrong-agent",
            Self::NumberReused => "urn:peerlight:problem:number-reused",
            Self::TooOld => "urn:peerlight:problem:too-old",
            Self::TooLarge => "urn:peerlight:problem:too-large",
            Self::TooMany => "urn:peerlight:problem:too-many",
            Self::ClockSkew => "urn:peerlight:problem:clock-skew",
            Self::RateLimited => "urn:peerlight:problem:rate-limited",
            Self::Unavailable => "urn:peerlight:problem:unavailable",
            Self::Unauthenticated => "urn:peerlight:problem:unauthenticated",
            Self::Forbidden => "urn:peerlight:problem:forbidden",
            Self::RegistrationEnded => "urn:peerlight:problem:registration-ended",
            Self::TokenRefused => "urn:peerlight:problem:token-refused",
            Self::SiteMismatch => "urn:peerlight:problem:site-mismatch",
            Self::AgentExists => "urn:peerlight:problem:agent-exists",
            Self::KeyExpired => "urn:peerlight:problem:key-expired",
            Self::KeyRefused => "urn:peerlight:problem:key-refused",
        }
    }

    /// What the agent does next.
    pub const fn class(self) -> Class {
        match self {
            Self::Malformed | Self::WrongAgent | Self::NumberReused | Self::TooOld => Class::Drop,
            Self::TooLarge | Self::TooMany => Class::Split,
            Self::UnsupportedVersion | Self::ClockSkew | Self::RateLimited | Self::Unavailable => {
                Class::Retry
            }
            Self::Unauthenticated
            | Self::Forbidden
            | Self::RegistrationEnded
            | Self::TokenRefused
            | Self::SiteMismatch
            | Self::AgentExists
            | Self::KeyExpired
            | Self::KeyRefused => Class::Stop,
        }
    }

    /// The type of this URI.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.uri() == uri)
    }
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The stable URI of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The type in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong here, and what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What an agent does next; absent where no agent asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Every check that failed, where several were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The collector's clock, in microseconds since 1970-01-01T00:00:00Z, where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector_time_us: Option<i64>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        for error in &self.errors {
            write!(f, "; {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_known_by_its_uri() {
        for kind in ProblemType::ALL {
            assert_eq!(ProblemType::from_uri(kind.uri()), Some(kind));
        }
        assert_eq!(ProblemType::from_uri("about:blank"), None);
    }
}
