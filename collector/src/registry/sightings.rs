//! Sightings: when, from where and in which state an agent was last heard of, and whether two machines use its key.

mod overlap;

use self::overlap::Measured;
use super::{AgentHealth, Fault, Registry, RegistryError, row, rows, to_json};
use peerlight_proto::{
    batch::Batch,
    id::{AgentId, SessionId},
    time::Timestamp,
};
use rusqlite::{Connection, params};
use std::{net::IpAddr, sync::PoisonError, time::Duration};

/// The most sessions that are remembered of an agent.
const MAX_SESSIONS: u32 = 16;

/// What a request told of its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When, by the collector's clock.
    pub at: Timestamp,
    /// The address that it came from, where that is known.
    pub address: Option<IpAddr>,
    /// What its batch told, if the request was a push.
    pub batch: Option<BatchSighting>,
}

/// What a batch tells of its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSighting {
    /// The run that measured; the running one, or one whose backlog is being pushed.
    pub session: SessionId,
    /// The start of its oldest interval and the end of its newest, by the agent's clock.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The length of its longest interval.
    pub interval: Duration,
    /// When the batch was made, by the agent's clock.
    pub created: Timestamp,
    /// Collector time minus agent time in microseconds, if the agent has measured it.
    pub clock_offset_us: Option<i64>,
    /// The agent's version.
    pub version: String,
    /// What it had to give up.
    pub health: AgentHealth,
}

impl BatchSighting {
    /// What this batch tells.
    pub fn of(batch: &Batch) -> Self {
        Self {
            session: batch.number.session,
            span: batch.oldest_start().zip(batch.newest_end()),
            interval: batch
                .measurements
                .iter()
                .map(|one| one.interval.length().as_duration())
                .max()
                .unwrap_or_default(),
            created: batch.created,
            clock_offset_us: batch.clock_offset_us,
            version: batch.agent_version.clone(),
            health: (&batch.health).into(),
        }
    }
}

/// More than this wait for nobody's tick.
const MOST_WAITING: usize = 4_096;

impl Registry {
    /// Keeps that an agent was seen, to be noted with others. Returns whether so many wait that they should be noted now.
    pub fn sighting(&self, agent: AgentId, sighting: Sighting) -> bool {
        let mut waiting = self.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push((agent, sighting));
        waiting.len() >= MOST_WAITING
    }

    /// Notes, in one transaction, every sighting that waits: a transaction for each would cost more than storing its batch.
    /// A power cut may lose them; the next requests tell again.
    pub fn note_sightings(&self) -> Result<(), RegistryError> {
        let waiting = std::mem::take(&mut *self.sightings.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        self.jot("note which agents were seen", |transaction| {
            for (agent, sighting) in &waiting {
                note(transaction, *agent, sighting)?;
            }
            Ok(())
        })
    }
}

/// Keeps the latest that is known of an agent.
fn note(connection: &Connection, agent: AgentId, sighting: &Sighting) -> Result<(), Fault> {
    let address = sighting.address.map(|address| address.to_string());
    connection
        .prepare_cached(
            "UPDATE agent SET last_seen = max(ifnull(last_seen, ?2), ?2), address = ifnull(?3, address) WHERE id = ?1",
        )?
        .execute(params![agent.as_bytes(), sighting.at.as_micros(), address])?;
    let Some(batch) = &sighting.batch else { return Ok(()) };
    let interval_ms = u32::try_from(batch.interval.as_millis()).unwrap_or(u32::MAX);
    connection
        .prepare_cached(
            "UPDATE agent SET last_push = max(ifnull(last_push, ?2), ?2), interval_ms = ?3 WHERE id = ?1",
        )?
        .execute(params![agent.as_bytes(), sighting.at.as_micros(), interval_ms])?;
    note_batch(connection, agent, batch)?;
    if let Some(measured) = overlap::live(batch, sighting.at)
        && note_session(connection, agent, batch, measured)?
    {
        connection.execute(
            "UPDATE agent SET cloned_since = ifnull(cloned_since, ?2) WHERE id = ?1",
            params![agent.as_bytes(), sighting.at.as_micros()],
        )?;
    }
    Ok(())
}

/// Health and version of the newest batch; the backlog tells what was true long ago.
fn note_batch(connection: &Connection, agent: AgentId, batch: &BatchSighting) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "UPDATE agent SET version = ?3, clock_offset_us = ifnull(?4, clock_offset_us), session = ?5, health = ?6,
             newest_batch = ?2 WHERE id = ?1 AND (newest_batch IS NULL OR newest_batch <= ?2)",
        )?
        .execute(params![
            agent.as_bytes(),
            batch.created.as_micros().saturating_add(batch.clock_offset_us.unwrap_or(0)),
            batch.version,
            batch.clock_offset_us,
            batch.session.as_bytes(),
            to_json(&batch.health)
        ])?;
    Ok(())
}

/// Widens what is known of the batch's session; true if another session of this agent measured at the same time.
fn note_session(
    connection: &Connection,
    agent: AgentId,
    batch: &BatchSighting,
    measured: Measured,
) -> Result<bool, Fault> {
    let session = batch.session;
    let known = row(
        connection,
        "SELECT first, last FROM agent_session WHERE agent = ?1 AND session = ?2",
        params![agent.as_bytes(), session.as_bytes()],
        |row| Ok(read_measured(row.get(0)?, row.get(1)?)),
    )?;
    let widened = known.map_or(measured, |known| known.widened(measured));
    if known == Some(widened) {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "INSERT INTO agent_session (agent, session, first, last) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (agent, session) DO UPDATE SET first = excluded.first, last = excluded.last",
        )?
        .execute(params![
            agent.as_bytes(),
            session.as_bytes(),
            widened.first.as_micros(),
            widened.last.as_micros()
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM agent_session WHERE agent = ?1 AND session NOT IN
             (SELECT session FROM agent_session WHERE agent = ?1 ORDER BY last DESC LIMIT ?2)",
        )?
        .execute(params![agent.as_bytes(), MAX_SESSIONS])?;
    let others = rows(
        connection,
        "SELECT first, last FROM agent_session WHERE agent = ?1 AND session <> ?2",
        params![agent.as_bytes(), session.as_bytes()],
        |row| Ok(read_measured(row.get(0)?, row.get(1)?)),
    )?;
    Ok(others.into_iter().any(|other| widened.overlaps(other, batch.interval)))
}

fn read_measured(first: i64, last: i64) -> Measured {
    Measured { first: Timestamp::from_micros(first), last: Timestamp::from_micros(last) }
}
