//! Who pushes.

use crate::registry::Registration;
use peerlight_proto::id::AgentId;

/// Who pushed: an agent whose signature was verified, with the registrations that it may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The agent.
    pub agent: AgentId,
    /// Its site's registration now: the valid one, else the last that ended.
    pub registration: Registration,
    /// Every other one of its site, and those of the sites that it enrolled for before.
    pub others: Vec<Registration>,
    /// The sites that it measures side by side; empty for an agent of one site.
    pub uplinks: Vec<String>,
}

impl Caller {
    /// Whether it measures this site beside others: then nothing of it counts for another.
    pub fn measures_beside(&self, site: &str) -> bool {
        let is_it = |one: &Registration| one.is_site(site) && self.uplinks.contains(&one.site);
        std::iter::once(&self.registration).chain(&self.others).any(is_it)
    }
}
