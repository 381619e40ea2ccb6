//! Assignments: the versioned list of targets that the collector hands to an agent.

use crate::target::Target;
use serde::{Deserialize, Serialize};

/// A list of targets. An empty list assigns nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Assignment {
    /// Changes whenever the list does; also its entity tag.
    pub version: String,
    /// The targets, each with its own schedule.
    pub targets: Vec<AssignedTarget>,
}

/// One target of an assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedTarget {
    /// The target.
    #[serde(flatten)]
    pub target: Target,
    /// The time between two probes, in milliseconds; the agent's default for the probe's kind when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u32>,
}
