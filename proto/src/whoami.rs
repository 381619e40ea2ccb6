//! The answer to `GET /api/v1/whoami`: which public address the collector sees.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the collector saw of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhoAmI {
    /// The address that the request came from; none where the collector cannot know it (behind an untrusted proxy).
    pub address: Option<IpAddr>,
    /// The collector's clock, in microseconds since 1970-01-01T00:00:00Z.
    pub collector_time_us: i64,
}
