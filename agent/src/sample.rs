//! Samples: the outcome of one probe.

use peerlight_proto::{
    id::TargetId,
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path},
};
use std::{net::IpAddr, time::Duration};

/// The outcome of one probe: one reading for each of its metrics, always the same metrics for a kind of probe, so that
/// every probe counts once in each of its series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Over which family.
    pub family: Family,
    /// Straight or through a proxy.
    pub path: Path,
    /// The address that was probed; none if the name could not be resolved.
    pub address: Option<IpAddr>,
    /// One for each metric.
    pub readings: Vec<Reading>,
    /// What was seen with the probe, by the kinds of `peerlight.proto`: address, status, issuer, front door, error.
    pub attributes: Vec<(&'static str, String)>,
}

/// One metric of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Which.
    pub metric: Metric,
    /// By which clock; of a probe without an answer, the clock that it would have been timed by.
    pub clock: Clock,
    /// How it ended.
    pub outcome: Outcome,
    /// With which HTTP version, where one was agreed on.
    pub http_version: Option<HttpVersion>,
    /// With which TLS handshake, where there was one.
    pub handshake: Option<Handshake>,
}

/// How one metric of a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in time.
    Answered {
        /// The time, by the reading's clock.
        latency: Duration,
        /// The same time by this process's monotonic clock: never shorter than the kernel's, give or take a margin.
        user_latency: Duration,
    },
    /// Anything else; never [`Ending::Answered`].
    Failed(Ending),
}

/// A reply beyond the first, or one that no probe of ours asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray {
    /// The target whose address it came from.
    pub target: TargetId,
    /// The metric that it would have belonged to.
    pub metric: Metric,
    /// Over which family.
    pub family: Family,
    /// A second reply to a probe of ours, rather than a foreign one.
    pub duplicate: bool,
}
