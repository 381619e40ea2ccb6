//! Retirement: what an agent sends to `POST /api/v1/retirement`, signed as every request, before its machine goes.

use crate::id::AgentId;
use serde::{Deserialize, Serialize};

/// An agent's word that it will never ask again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetirementRequest {
    /// The agent, which signs.
    pub agent: AgentId,
    /// Random, so that the request counts once.
    pub nonce: String,
}

/// The collector's word that it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetirementResponse {
    /// The agent.
    pub agent: AgentId,
    /// The collector's clock, in microseconds since 1970-01-01T00:00:00Z.
    pub collector_time_us: i64,
}
