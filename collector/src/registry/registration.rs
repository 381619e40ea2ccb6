//! Registrations: the dated entry that ties a site's prefixes to a provider and a location.

use crate::{organisation::OrganisationId, rfc3339};
use ipnet::IpNet;
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The number of a registration in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistrationId(pub i64);

/// A named site's uplink: provider, location and prefixes, for a span of time (rules, §7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Registration {
    /// Its number.
    #[schema(value_type = i64)]
    pub id: RegistrationId,
    /// Who owns it.
    #[schema(value_type = i64)]
    pub organisation: OrganisationId,
    /// The site's name.
    pub site: String,
    /// The provider's name.
    pub provider: String,
    /// The location, as ISO 3166-2.
    pub location: String,
    /// Its prefixes, host bits zero.
    #[schema(value_type = Vec<String>)]
    pub prefixes: Vec<IpNet>,
    /// Whether reports count measurements whose public address could not be observed.
    pub count_declared: bool,
    /// Its first instant.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub valid_from: Timestamp,
    /// The first instant after it, if it has ended.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub valid_to: Option<Timestamp>,
}
