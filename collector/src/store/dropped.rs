//! What is missing from the store: dropped by agents, refused, or set aside.

use crate::registry::RegistrationId;
use peerlight_proto::{ack::RefusalCode, id::AgentId, time::Timestamp};

/// Why a batch that the store held cannot be counted: its file was damaged.
pub const DAMAGED: &str = "damaged";

/// What is missing from the measurements of a UTC hour, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// From which registration; none where that was lost, too: then it is one of the agent's.
    pub registration: Option<RegistrationId>,
    /// The agent, where the registration is not known.
    pub agent: Option<AgentId>,
    /// The start of the hour.
    pub hour: Timestamp,
    /// Whether its agent dropped it, rather than the collector.
    pub by_agent: bool,
    /// Why: a name of [`peerlight_proto::drops::DropReason`], [`refused`] or [`DAMAGED`].
    pub reason: String,
    /// Measurements, as far as their number is known.
    pub measurements: u64,
    /// Turns of schedules that are known to be missing.
    pub turns: u64,
    /// Batches of which nobody knows how many measurements they held.
    pub unread_batches: u64,
    /// The start of the earliest interval.
    pub first: Timestamp,
    /// The end of the latest interval.
    pub last: Timestamp,
}

/// The reason of what was refused by this code.
pub fn refused(code: RefusalCode) -> String {
    format!("refused_{code}")
}
