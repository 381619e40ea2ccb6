//! Registrations: the dated entry that ties a site's prefixes to a provider and a location.

use crate::organisation::OrganisationId;
use ipnet::IpNet;
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The number of a registration in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RegistrationId(pub i64);

/// A named site's uplink: provider, location and prefixes, for a span of time (rules, §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its number.
    pub id: RegistrationId,
    /// Who owns it.
    pub organisation: OrganisationId,
    /// The site's name.
    pub site: String,
    /// The provider's name.
    pub provider: String,
    /// The location, as ISO 3166-2.
    pub location: String,
    /// Its prefixes, host bits zero.
    pub prefixes: Vec<IpNet>,
    /// Whether reports count measurements whose public address could not be observed.
    pub count_declared: bool,
    /// Its first instant.
    pub valid_from: Timestamp,
    /// The first instant after it, if it has ended.
    pub valid_to: Option<Timestamp>,
}
