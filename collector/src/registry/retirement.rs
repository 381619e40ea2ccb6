//! Retirement: an agent whose machine is gone in good order asks for nothing any more, and nothing is expected of it.
//!
//! It is a revocation that says why: what holds of revoked agents holds of retired ones.

use super::{
    AgentEntry, Fault, Operator, Registry, RegistryError, Role, agents,
    audit::{self, Change},
    callers::Concerns,
    row,
};
use crate::organisation::OrganisationId;
use peerlight_proto::{id::AgentId, time::Timestamp};
use rusqlite::{Connection, params};

/// Who retires an agent that retires itself, in the audit and in lists.
const ITSELF: &str = "agent";

impl Registry {
    /// Retires an agent for an operator. One that was revoked is retired from then on.
    pub fn retire_agent(
        &self,
        agent: AgentId,
        by: &Operator,
        now: Timestamp,
    ) -> Result<AgentEntry, RegistryError> {
        self.change_of(Concerns::Agent(agent), "retire an agent", |transaction| {
            retire(transaction, agent, by, now)
        })
    }

    /// Retires an agent that asks for it.
    pub fn retire_itself(&self, agent: AgentId, now: Timestamp) -> Result<AgentEntry, RegistryError> {
        self.change_of(Concerns::Agent(agent), "retire an agent", |transaction| {
            let organisation = row(
                transaction,
                "SELECT organisation FROM agent WHERE id = ?1",
                params![agent.as_bytes()],
                |row| Ok(OrganisationId(row.get(0)?)),
            )?
            .ok_or_else(|| Fault::not_found("agent", &agent))?;
            let by = Operator::of(organisation, ITSELF.to_owned(), Role::Reader);
            retire(transaction, agent, &by, now)
        })
    }
}

fn retire(
    connection: &Connection,
    agent: AgentId,
    by: &Operator,
    now: Timestamp,
) -> Result<AgentEntry, Fault> {
    let before = agents::entry(connection, by.organisation, agent, now)?;
    if before.retired_by.is_some() {
        return Ok(before);
    }
    connection.execute(
        "UPDATE agent SET revoked = ifnull(revoked, ?2), retired_by = ?3 WHERE id = ?1",
        params![agent.as_bytes(), now.as_micros(), by.name],
    )?;
    let after = agents::entry(connection, by.organisation, agent, now)?;
    audit::record(connection, by, now, &Change::changed("agent retire", &after.site, &before, &after))?;
    Ok(after)
}
