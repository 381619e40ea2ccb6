//! The fleet at a glance: how many agents want looking into, and each of them as Prometheus has it. Pure but for reading pages.

mod exposition;

pub use exposition::Exposition;

use crate::{
    key_life::KeyLife,
    organisation::OrganisationId,
    registry::{AgentEntry, AgentPlace, AgentQuery, Registry, RegistryError},
};
use peerlight_proto::time::Timestamp;
use std::collections::BTreeMap;

/// How many agents are read at once: the registry has time for others in between.
const PAGE: usize = 1_000;

/// What was counted of all agents that are neither revoked nor retired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Those that an operator should look into.
    pub unhealthy: u64,
    /// Those whose version is older than the collector's.
    pub behind: u64,
    /// Those that refuse the targets that they are assigned.
    pub refusing: u64,
    /// All, by their version.
    pub versions: BTreeMap<String, u64>,
}

impl Census {
    /// Counts an agent.
    pub fn add(&mut self, agent: &AgentEntry) {
        self.unhealthy += u64::from(!agent.state.is_empty());
        self.behind += u64::from(agent.behind);
        let refused = agent.health.as_ref().and_then(|health| health.refused_set);
        self.refusing += u64::from(refused.is_some());
        *self.versions.entry(agent.version.clone()).or_default() += 1;
    }
}

/// Shows `see` every agent that is neither revoked nor retired, page by page.
pub fn each_agent(
    registry: &Registry,
    organisation: OrganisationId,
    (life, now): (&KeyLife, Timestamp),
    mut see: impl FnMut(&AgentEntry),
) -> Result<(), RegistryError> {
    let mut after = None;
    loop {
        let query = AgentQuery { revoked: false, after, limit: Some(PAGE) };
        let agents = registry.list_agents(organisation, &query, now)?;
        let Some(last) = agents.last() else { return Ok(()) };
        after = Some(AgentPlace { site: last.site.clone(), agent: last.agent });
        for agent in agents {
            see(&agent.judged_by(life, now));
        }
    }
}
