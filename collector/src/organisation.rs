//! Organisations: who owns registrations. No question crosses one.

use serde::{Deserialize, Serialize};

/// The number of an organisation in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrganisationId(pub i64);

impl OrganisationId {
    /// The one that every registry starts with.
    pub const DEFAULT: Self = Self(1);
}
