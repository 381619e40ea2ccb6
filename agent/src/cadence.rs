//! How often the agent looks for what changes elsewhere: its assignment and its public address.

use std::time::Duration;

/// How often to ask the collector, and to look for a reason to ask at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// The wait after an answer.
    pub period: Duration,
    /// The wait after a failure, or while the agent is not enrolled.
    pub retry: Duration,
    /// How often this machine is looked at for a change that makes asking urgent.
    pub look: Duration,
}

impl Default for Cadence {
    fn default() -> Self {
        Self { period: Duration::from_mins(5), retry: Duration::from_mins(1), look: Duration::from_secs(3) }
    }
}
