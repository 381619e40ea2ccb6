//! Machines that were set up anew: where their token allows it, they become the agents that they were.
//!
//! A machine is known by its name at its site. So that nobody takes a running agent's place, that one must have been silent for
//! a while; who was revoked for good stays away.

use super::{
    Fault,
    enrolment::{Newcomer, Token, printable},
    row, rows,
};
use peerlight_proto::id::AgentId;
use rusqlite::{Connection, params};

/// The agent that this newcomer was, if its token lets it become that one again. None where several had its name.
pub(super) fn predecessor(
    connection: &Connection,
    token: &Token,
    newcomer: &Newcomer<'_>,
) -> Result<Option<AgentId>, Fault> {
    let namesakes = namesakes(connection, token, newcomer)?;
    let [only] = namesakes.as_slice() else { return Ok(None) };
    let known = row(
        connection,
        "SELECT 1 FROM agent WHERE id = ?1",
        params![newcomer.request.agent.as_bytes()],
        |_row| Ok(()),
    )?;
    Ok(known.is_none().then_some(*only))
}

/// Whether a newcomer that calls itself by a known agent's identity may bring a new key: the same machine at the same site.
pub(super) fn takes_up(
    connection: &Connection,
    token: &Token,
    newcomer: &Newcomer<'_>,
) -> Result<bool, Fault> {
    Ok(namesakes(connection, token, newcomer)?.contains(&newcomer.request.agent))
}

/// The agents that had the newcomer's name at its site and were not revoked for good; none where its token, or it, does not
/// want to take one's place.
fn namesakes(connection: &Connection, token: &Token, newcomer: &Newcomer<'_>) -> Result<Vec<AgentId>, Fault> {
    let host = printable(&newcomer.request.host);
    if !token.re_enrol || !newcomer.request.adopts || host.is_empty() {
        return Ok(Vec::new());
    }
    rows(
        connection,
        "SELECT a.id FROM agent a JOIN registration r ON r.id = a.registration WHERE a.host = ?1
         AND r.site = (SELECT site FROM registration WHERE id = ?2) AND a.organisation = ?3
         AND (a.revoked IS NULL OR a.retired_by IS NOT NULL)",
        params![host, token.registration.0, token.organisation.0],
        |row| Ok(AgentId::new(row.get(0)?)),
    )
}
