//! Shapes: what a series is apart from its uplink. A fleet has few of them, whatever the number of its sites.

use peerlight_proto::{
    id::SeriesId,
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path, Series, SeriesKey},
    target::Target,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A [`Series`] without its uplink.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// What is probed.
    pub target: Arc<Target>,
    /// Which time of a probe.
    pub metric: Metric,
    /// Over which family.
    pub family: Family,
    /// Straight, or through the site's proxy.
    pub path: Path,
    /// What timed it.
    pub clock: Clock,
    /// The HTTP version that was used, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_version: Option<HttpVersion>,
    /// The kind of its TLS handshake, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Handshake>,
    /// How often the target is probed.
    pub probe_interval_ms: u32,
}

impl Shape {
    /// The shape of a series.
    pub fn of(series: &Series) -> Self {
        let key = &series.key;
        Self {
            target: series.target.clone(),
            metric: key.metric,
            family: key.family,
            path: key.path,
            clock: key.clock,
            http_version: key.http_version,
            handshake: key.handshake,
            probe_interval_ms: series.probe_interval_ms,
        }
    }

    /// Whether it describes a series of this shape as the series does itself.
    pub fn describes(&self, series: &Series) -> bool {
        self.target == series.target && self.probe_interval_ms == series.probe_interval_ms
    }

    /// The series of this shape over an uplink.
    pub fn over(&self, uplink: impl Into<Arc<str>>) -> Series {
        Series {
            key: SeriesKey {
                uplink: uplink.into(),
                target: self.target.id(),
                metric: self.metric,
                family: self.family,
                path: self.path,
                clock: self.clock,
                http_version: self.http_version,
                handshake: self.handshake,
            },
            target: self.target.clone(),
            probe_interval_ms: self.probe_interval_ms,
        }
    }

    /// What tells it from other shapes: not the target's name, nor how often it is probed.
    pub fn id(&self) -> SeriesId {
        self.over("").key.id()
    }
}
