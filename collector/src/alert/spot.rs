//! Spots: what a site measures of a target, the smallest thing that an alert can be about.

use crate::report::Group;
use serde::{Deserialize, Serialize};

/// What a site measures of a target.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct Spot {
    /// The site's provider.
    pub provider: String,
    /// Its location, as ISO 3166-2.
    pub location: String,
    /// The site.
    pub site: String,
    /// The target's name.
    pub target: String,
}

impl Spot {
    /// What a row of a report is of that is grouped by provider, location, site and target; none of any other.
    pub fn of(group: &Group) -> Option<Self> {
        Some(Self {
            provider: group.provider.clone()?,
            location: group.location.clone()?,
            site: group.site.clone()?,
            target: group.target.clone()?,
        })
    }
}
