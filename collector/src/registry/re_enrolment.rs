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
    let (request, host) = (newcomer.request, printable(&newcomer.request.host));
    if !token.re_enrol || !request.adopts || host.is_empty() {
        return Ok(None);
    }
    let known =
        row(connection, "SELECT 1 FROM agent WHERE id = ?1", params![request.agent.as_bytes()], |_row| {
            Ok(())
        })?;
    if known.is_some() {
        return Ok(None);
    }
    let namesakes = rows(
        connection,
        "SELECT a.id FROM agent a JOIN registration r ON r.id = a.registration WHERE a.host = ?1
         AND r.site = (SELECT site FROM registration WHERE id = ?2) AND a.organisation = ?3
         AND (a.revoked IS NULL OR a.retired_by IS NOT NULL) LIMIT 2",
        params![host, token.registration.0, token.organisation.0],
        |row| Ok(AgentId::new(row.get(0)?)),
    )?;
    Ok(match namesakes.as_slice() {
        [only] => Some(*only),
        _ => None,
    })
}

/// Whether a newcomer that calls itself by a known agent's identity may bring a new key: the same machine at the same site.
pub(super) fn takes_up(
    connection: &Connection,
    token: &Token,
    newcomer: &Newcomer<'_>,
) -> Result<bool, Fault> {
    let (request, host) = (newcomer.request, printable(&newcomer.request.host));
    if !token.re_enrol || !request.adopts || host.is_empty() {
        return Ok(false);
    }
    let same = row(
        connection,
        "SELECT 1 FROM agent a JOIN registration r ON r.id = a.registration WHERE a.id = ?1 AND a.host = ?2
         AND r.site = (SELECT site FROM registration WHERE id = ?3) AND a.organisation = ?4
         AND (a.revoked IS NULL OR a.retired_by IS NOT NULL)",
        params![request.agent.as_bytes(), host, token.registration.0, token.organisation.0],
        |_row| Ok(()),
    )?;
    Ok(same.is_some())
}
