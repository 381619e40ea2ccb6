//! That an agent refuses what it is assigned, written down once for each agent and target set.

use crate::{
    organisation::OrganisationId,
    registry::{
        AgentHealth, Fault, Operator, Role,
        audit::{self, Change},
        row, target_sets,
    },
};
use peerlight_proto::{id::AgentId, time::Timestamp};
use rusqlite::{Connection, params};
use serde::Serialize;

/// What is written down.
#[derive(Serialize)]
struct Refusal<'a> {
    agent: AgentId,
    target_set: u32,
    reason: &'a str,
}

/// Writes a refusal down if it is of a later set than `remarked`, the latest so far, and answers with the latest then. So an
/// agent can be written about no more often than its operator makes sets.
pub(super) fn remark(
    connection: &Connection,
    agent: AgentId,
    health: &AgentHealth,
    remarked: u32,
    at: Timestamp,
) -> Result<u32, Fault> {
    let Some(set) = health.refused_set.filter(|set| *set > remarked) else { return Ok(remarked) };
    let found = row(
        connection,
        "SELECT a.organisation, r.site FROM agent a JOIN registration r ON r.id = a.registration WHERE a.id = ?1",
        params![agent.as_bytes()],
        |row| Ok((OrganisationId(row.get(0)?), row.get::<_, String>(1)?)),
    )?;
    let Some((organisation, site)) = found else { return Ok(remarked) };
    if set > target_sets::newest(connection, organisation)? {
        return Ok(remarked);
    }
    let by = Operator::of(organisation, "agent".to_owned(), Role::Reader);
    let written = Refusal { agent, target_set: set, reason: &health.refusal };
    audit::record(connection, &by, at, &Change::added("target refuse", &site, &written))?;
    Ok(set)
}
