//! The agent: probes Microsoft's cloud from a site, keeps histograms through outages, and pushes them to the collector.

pub mod catalogue;
pub mod oneshot;
pub mod probe;
pub mod sample;
