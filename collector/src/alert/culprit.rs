//! Culprits: who is to blame, from one site to everything.

use super::Spot;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who is to blame.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Culprit {
    /// One site: its line, or what stands there.
    Site {
        /// Its provider.
        provider: String,
        /// Its location.
        location: String,
        /// Which.
        site: String,
    },
    /// A provider in one location.
    ProviderAt {
        /// Which.
        provider: String,
        /// Where.
        location: String,
    },
    /// A provider everywhere.
    Provider {
        /// Which.
        provider: String,
    },
    /// A place, whatever the provider.
    Location {
        /// Which.
        location: String,
    },
    /// What stands behind one front door.
    Edge {
        /// Its code.
        edge: String,
    },
    /// One target, whoever measures it.
    Target {
        /// Its name.
        target: String,
    },
    /// Everything: most likely the collector's own connection, or the Internet.
    Everything,
}

impl Culprit {
    /// Whether what was measured at a spot is its doing. `edge` is the front door that serves the spot, if it is known.
    pub fn covers(&self, spot: &Spot, edge: Option<&str>) -> bool {
        match self {
            Self::Site { provider, location, site } => {
                (provider, location, site) == (&spot.provider, &spot.location, &spot.site)
            }
            Self::ProviderAt { provider, location } => {
                (provider, location) == (&spot.provider, &spot.location)
            }
            Self::Provider { provider } => *provider == spot.provider,
            Self::Location { location } => *location == spot.location,
            Self::Edge { edge: door } => edge == Some(door.as_str()),
            Self::Target { target } => *target == spot.target,
            Self::Everything => true,
        }
    }

    /// How much it holds: a wider culprit takes the place of a narrower one.
    const fn width(&self) -> u8 {
        match self {
            Self::Site { .. } => 0,
            Self::ProviderAt { .. } => 1,
            Self::Provider { .. } | Self::Location { .. } | Self::Edge { .. } | Self::Target { .. } => 2,
            Self::Everything => 3,
        }
    }

    /// Whether it holds more than `other`.
    pub fn is_wider_than(&self, other: &Self) -> bool {
        self.width() > other.width()
    }

    /// Its names by what they are of.
    pub fn names(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Site { provider, location, site } => {
                vec![("provider", provider), ("location", location), ("site", site)]
            }
            Self::ProviderAt { provider, location } => vec![("provider", provider), ("location", location)],
            Self::Provider { provider } => vec![("provider", provider)],
            Self::Location { location } => vec![("location", location)],
            Self::Target { target } => vec![("target", target)],
            Self::Edge { edge } => vec![("edge", edge)],
            Self::Everything => Vec::new(),
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Site { provider, location, site } => format!("site {site} ({provider} at {location})"),
            Self::ProviderAt { provider, location } => format!("provider {provider} at {location}"),
            Self::Provider { provider } => format!("provider {provider}"),
            Self::Location { location } => format!("every provider at {location}"),
            Self::Edge { edge } => format!("front door {edge}"),
            Self::Target { target } => format!("target {target}"),
            Self::Everything => "everything".to_owned(),
        };
        f.pad(&text)
    }
}
