//! The use of enrolment tokens, written down: who tried which, from where, and what came of it.

use super::{
    EnrolError, Fault, Operator, Role,
    audit::{self, Change},
};
use crate::organisation::OrganisationId;
use peerlight_proto::{id::AgentId, time::Timestamp};
use rusqlite::{Connection, params};
use serde::Serialize;
use std::net::IpAddr;

/// Whoever holds a token may try it for ever; beyond this many uses of one that enrolled nobody anew, no more are written
/// down.
const MOST_REMARKS: u32 = 1_000;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// The agent was enrolled.
    Enrolled,
    /// It was enrolled before by the same token and key, and is told again.
    Again,
    /// It was not.
    Refused,
}

/// Who tries a token, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// Which token.
    pub(super) token: i64,
    /// Whose token.
    pub(super) organisation: OrganisationId,
    /// Who.
    pub(super) agent: AgentId,
    /// From where.
    pub(super) source: IpAddr,
}

/// What is written down.
#[derive(Serialize)]
struct TokenUse {
    token: i64,
    agent: AgentId,
    address: IpAddr,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Writes an attempt with a known token down, in the transaction that judged it.
pub(super) fn record(
    connection: &Connection,
    attempt: Attempt,
    site: &str,
    outcome: &Result<Outcome, EnrolError>,
    now: Timestamp,
) -> Result<(), Fault> {
    let came_of_it = *outcome.as_ref().unwrap_or(&Outcome::Refused);
    if came_of_it != Outcome::Enrolled {
        let remarked = connection.execute(
            "UPDATE enrolment_token SET remarks = remarks + 1 WHERE id = ?1 AND remarks < ?2",
            params![attempt.token, MOST_REMARKS],
        )?;
        if remarked == 0 {
            return Ok(());
        }
    }
    let written = TokenUse {
        token: attempt.token,
        agent: attempt.agent,
        address: attempt.source,
        outcome: came_of_it,
        reason: outcome.as_ref().err().map(ToString::to_string),
    };
    let by = Operator::of(attempt.organisation, "agent".to_owned(), Role::Reader);
    audit::record(connection, &by, now, &Change::added("token use", site, &written))
}
