//! The tags of an agent: given and taken by operators.

use super::{
    AgentEntry, Fault, Operator, Registry, RegistryError, agents,
    audit::{self, Change},
    callers::Concerns,
    tags, to_json,
};
use peerlight_proto::{id::AgentId, time::Timestamp};
use rusqlite::params;
use serde::{Deserialize, Serialize};

/// Tags to give an agent, and to take from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTags {
    /// Those that it is to have.
    #[serde(default)]
    pub add: Vec<String>,
    /// Those that it is to have no more.
    #[serde(default)]
    pub remove: Vec<String>,
}

impl Registry {
    /// Gives an agent tags, and takes some from it.
    pub fn tag_agent(
        &self,
        agent: AgentId,
        new: &NewTags,
        by: &Operator,
        now: Timestamp,
    ) -> Result<AgentEntry, RegistryError> {
        self.change_of(Concerns::Agent(agent), "tag an agent", |transaction| {
            let before = agents::entry(transaction, by.organisation, agent, now)?;
            let mut errors = Vec::new();
            let tags = tags::changed(&before.tags, &new.add, &new.remove, &mut errors);
            if !errors.is_empty() {
                return Err(Fault::invalid("list of tags", errors));
            }
            if tags == before.tags {
                return Ok(before);
            }
            transaction.execute(
                "UPDATE agent SET tags = ?2 WHERE id = ?1",
                params![agent.as_bytes(), to_json(&tags)],
            )?;
            let after = AgentEntry { tags, ..before.clone() };
            let change = Change::changed("agent tag", &after.site, &before, &after);
            audit::record(transaction, by, now, &change)?;
            Ok(after)
        })
    }
}
