//! Assignments: the versioned list of targets that the collector hands to an agent.

use crate::target::Target;
use serde::{Deserialize, Serialize};

/// A list of targets. An empty list assigns nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Assignment {
    /// Changes whenever the list does, or the set that it is taken from; also its entity tag.
    pub version: String,
    /// The number of the target set that it is taken from; 0 while there is none.
    #[serde(default)]
    pub set: u32,
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

/// What an agent says of what it was assigned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AssignmentState {
    /// The target set whose assignment is in force; 0 if none is.
    pub held: u32,
    /// The newest assignment, if it was refused: the one before stays in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedAssignment>,
}

/// An assignment that an agent did not take, as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedAssignment {
    /// Its target set; 0 if that could not be read.
    pub set: u32,
    /// Why, and what would permit it. At most [`crate::limits::MAX_REASON_BYTES`] are told to the collector.
    pub reason: String,
}
