//! Enrolment: the one-time exchange of an operator's token for a place in the registry.

use crate::id::AgentId;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What an operator hands to a site: where the collector is, how to recognise it, and the right to enrol once.
///
/// Its text form is `peerlight1.` and the base64url of its JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// The agents' listener, `https://host:port`.
    pub collector: String,
    /// SHA-256 of the collector's CA certificate (DER), in hexadecimal: what `trust = "pinned"` pins.
    pub ca_sha256: String,
    /// The collector's ed25519 response key, 32 bytes in hexadecimal.
    pub response_key: String,
    /// The secret, 32 random bytes in hexadecimal. The collector keeps only its hash.
    pub secret: String,
    /// The one agent that it is for: a machine without an enrolment becomes that agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
}

/// The secret stays out of logs.
impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken").field("collector", &self.collector).finish_non_exhaustive()
    }
}

/// A text that is not an enrolment token. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not an enrolment token; paste the whole line that `peerlight-collector token create` printed, from `peerlight1.` on"
)]
pub struct ParseTokenError;

const TOKEN_PREFIX: &str = "peerlight1.";

impl EnrolmentToken {
    /// The text form that operators copy.
    pub fn to_text(&self) -> String {
        // Strings alone: serialising them cannot fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for EnrolmentToken {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text
            .trim()
            .strip_prefix(TOKEN_PREFIX)
            .filter(|rest| rest.len() <= 4096)
            .ok_or(ParseTokenError)?;
        let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_undecodable| ParseTokenError)?;
        serde_json::from_slice(&json).map_err(|_malformed| ParseTokenError)
    }
}

/// What an agent sends to `POST /api/v1/enrolments`, signed by the key it enrols.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentRequest {
    /// The identity that the agent made for itself.
    pub agent: AgentId,
    /// Its ed25519 public key, 32 bytes in hexadecimal.
    pub public_key: String,
    /// The token's secret.
    pub secret: String,
    /// What the agent's configuration says of its site, if it says it; a mismatch with the registration refuses enrolment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<SiteAssertion>,
    /// The names of the sites that the agent measures side by side, this one among them; empty for an agent of one site,
    /// which a new token moves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uplinks: Vec<String>,
    /// The machine's name, for people.
    #[serde(default)]
    pub host: String,
    /// The agent's version.
    #[serde(default)]
    pub version: String,
    /// Whether the agent takes the identity that the answer may name in the place of its own: that of this machine before it
    /// was set up anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopts: bool,
}

/// The secret stays out of logs.
impl fmt::Debug for EnrolmentRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentRequest")
            .field("agent", &self.agent)
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}

/// An agent's word about its site. The collector's registration is the truth (rules, §7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteAssertion {
    /// The site's name.
    pub name: String,
    /// The provider's name; empty where nothing is said of it.
    pub provider: String,
    /// The location, as ISO 3166-2; empty where nothing is said of it.
    pub location: String,
    /// The prefixes, in CIDR form.
    #[serde(default)]
    pub prefixes: Vec<String>,
}

/// The answer to an enrolment: the registration that the agent now measures for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentResponse {
    /// The agent.
    pub agent: AgentId,
    /// Its registration, as the collector holds it.
    pub site: SiteAssertion,
    /// The collector's clock, in microseconds since 1970-01-01T00:00:00Z.
    pub collector_time_us: i64,
    /// Nothing is enrolled yet: this machine is known as that agent, and enrols as it once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<AgentId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_hides_its_secret() {
        let token = EnrolmentToken {
            collector: "https://collector.example.com:8443".into(),
            ca_sha256: "00".repeat(32),
            response_key: "11".repeat(32),
            secret: "22".repeat(32),
            agent: None,
        };
        assert_eq!(token.to_text().parse(), Ok(token.clone()));
        assert!(!format!("{token:?}").contains("2222"));
        assert_eq!("peerlight1.!".parse::<EnrolmentToken>(), Err(ParseTokenError));
    }
}
