//! What an agent says of itself with each batch.

use peerlight_proto::batch::Health;
use serde::{Deserialize, Serialize};

/// What an agent had to give up since its spool was made, what waits on its disk, and how its machine is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentHealth {
    /// Batches waiting.
    pub spooled_batches: u64,
    /// Their bytes.
    pub spooled_bytes: u64,
    /// Batches dropped because the spool was full.
    pub dropped_batches: u64,
    /// Batches set aside because their file was corrupt.
    pub corrupt_batches: u64,
    /// Measurements that the collector refused.
    pub refused_measurements: u64,
    /// Batches that the collector rejected whole.
    pub rejected_batches: u64,
    /// How late probes left in the newest interval: the 99th percentile, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise_p99_us: Option<u64>,
    /// The target set whose assignment is in force there; 0 if none is, absent if the agent does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_set: Option<u32>,
    /// The target set that it refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_set: Option<u32>,
    /// Why it refuses that one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub refusal: String,
    /// What is wrong on its machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl AgentHealth {
    /// All that it had to give up: it only grows, unless its spool was made anew.
    pub(super) fn lost(&self) -> u64 {
        [self.dropped_batches, self.corrupt_batches, self.refused_measurements, self.rejected_batches]
            .into_iter()
            .fold(0, u64::saturating_add)
    }
}

impl From<&Health> for AgentHealth {
    fn from(health: &Health) -> Self {
        let assignment = health.remarks.assignment.as_ref();
        let refused = assignment.and_then(|assignment| assignment.refused.as_ref());
        Self {
            spooled_batches: health.spooled_batches,
            spooled_bytes: health.spooled_bytes,
            dropped_batches: health.dropped_batches,
            corrupt_batches: health.corrupt_batches,
            refused_measurements: health.refused_measurements,
            rejected_batches: health.rejected_batches,
            noise_p99_us: health.remarks.noise_p99_us,
            held_set: assignment.map(|assignment| assignment.held),
            refused_set: refused.map(|refused| refused.set),
            refusal: refused.map(|refused| refused.reason.clone()).unwrap_or_default(),
            problems: health.remarks.problems.clone(),
        }
    }
}
