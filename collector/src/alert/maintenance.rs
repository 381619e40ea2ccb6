//! Maintenance: spans in which trouble is expected, so that nobody is told of it.

use super::{Scope, Spot};
use crate::rfc3339;
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A span in which nothing new is judged in a scope: neither bad nor good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Maintenance {
    /// Its number.
    pub id: i64,
    /// Where.
    pub scope: Scope,
    /// The first instant.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first instant after it.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// What for.
    pub reason: String,
    /// Who expects it.
    pub created_by: String,
}

/// A maintenance window to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMaintenance {
    /// Where; everywhere unless given.
    #[serde(default)]
    pub scope: Scope,
    /// The first instant, RFC 3339; now unless given.
    #[serde(default)]
    pub from: Option<String>,
    /// The first instant after it.
    pub to: String,
    /// What for.
    pub reason: String,
}

impl Maintenance {
    /// Whether trouble at a spot is expected now.
    pub fn covers(&self, spot: &Spot, now: Timestamp) -> bool {
        self.from <= now && now < self.to && self.scope.holds(spot)
    }
}
