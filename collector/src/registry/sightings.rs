//! Sightings: when, from where and in which state an agent was last heard of, and whether two machines use its key.

mod overlap;
mod refusals;

use self::overlap::Measured;
use super::{AgentHealth, Fault, Registry, RegistryError, json, row, rows, to_json};
use hashbrown::HashMap;
use peerlight_proto::{
    batch::Batch,
    id::{AgentId, SessionId},
    time::Timestamp,
};
use rusqlite::{Connection, params};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

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

    /// When it was made, by the collector's clock as far as its agent knows that.
    fn made(&self) -> i64 {
        self.created.as_micros().saturating_add(self.clock_offset_us.unwrap_or(0))
    }
}

/// How many agents one transaction notes: milliseconds.
const AT_ONCE: usize = 128;
/// How long an agent counts as seen lately.
const LATELY: Duration = Duration::from_mins(10);

/// What is not noted yet, and who was seen lately; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Sightings(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    unnoted: HashMap<AgentId, Unnoted>,
    lately: HashMap<AgentId, Timestamp>,
}

impl Sightings {
    /// Who was seen when, as the file has it.
    pub(super) fn of(connection: &Connection) -> Result<Self, Fault> {
        let seen =
            rows(connection, "SELECT id, last_seen FROM agent WHERE last_seen IS NOT NULL", [], |row| {
                Ok((AgentId::new(row.get(0)?), Timestamp::from_micros(row.get(1)?)))
            })?;
        let lately = seen.into_iter().collect();
        Ok(Self(Arc::new(Mutex::new(Seen { unnoted: HashMap::new(), lately }))))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an agent's requests told since it was last noted.
#[derive(Debug)]
struct Unnoted {
    at: Timestamp,
    address: Option<IpAddr>,
    /// The last push.
    pushed: Option<Pushed>,
    /// Of the batches, the one that was made last: the backlog tells what was true long ago.
    newest: Option<BatchSighting>,
    /// Of the batches that told one in this order, the last.
    clock_offset_us: Option<i64>,
    /// What its sessions measured.
    sessions: Vec<Session>,
    /// When two of these first measured at once.
    cloned: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Pushed {
    at: Timestamp,
    interval: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    id: SessionId,
    measured: Measured,
    interval: Duration,
}

impl Unnoted {
    fn add(&mut self, sighting: Sighting) {
        self.at = self.at.max(sighting.at);
        self.address = sighting.address.or(self.address);
        let Some(batch) = sighting.batch else { return };
        let at = self.pushed.map_or(sighting.at, |pushed| pushed.at.max(sighting.at));
        self.pushed = Some(Pushed { at, interval: batch.interval });
        if let Some(measured) = overlap::live(&batch, sighting.at) {
            self.measured(Session { id: batch.session, measured, interval: batch.interval }, sighting.at);
        }
        if self.newest.as_ref().is_none_or(|newest| newest.made() <= batch.made()) {
            self.clock_offset_us = batch.clock_offset_us.or(self.clock_offset_us);
            self.newest = Some(batch);
        }
    }

    fn measured(&mut self, live: Session, at: Timestamp) {
        let known = self.sessions.iter_mut().find(|known| known.id == live.id);
        let measured = if let Some(known) = known {
            *known = Session { measured: known.measured.widened(live.measured), ..live };
            known.measured
        } else {
            self.sessions.push(live);
            live.measured
        };
        if self.sessions.len() > MAX_SESSIONS as usize
            && let Some(oldest) = (0..self.sessions.len()).min_by_key(|one| self.sessions[*one].measured.last)
        {
            self.sessions.swap_remove(oldest);
        }
        let others = self.sessions.iter().filter(|other| other.id != live.id);
        if others.into_iter().any(|other| measured.overlaps(other.measured, live.interval)) {
            self.cloned.get_or_insert(at);
        }
    }
}

impl Registry {
    /// Keeps that an agent was seen, to be noted with others: what a request tells, the next one tells again, and a
    /// transaction for each would cost more than storing its batch.
    pub fn sighting(&self, agent: AgentId, sighting: Sighting) {
        let mut seen = self.sightings.seen();
        seen.lately.insert(agent, sighting.at);
        let unnoted = seen.unnoted.entry(agent).or_insert_with(|| Unnoted {
            at: sighting.at,
            address: None,
            pushed: None,
            newest: None,
            clock_offset_us: None,
            sessions: Vec::new(),
            cloned: None,
        });
        unnoted.add(sighting);
    }

    /// When this agent was last heard of, if that was lately.
    pub(super) fn seen_lately(&self, agent: AgentId) -> Option<Timestamp> {
        self.sightings.seen().lately.get(&agent).copied()
    }

    /// How many agents were heard of in the last ten minutes.
    pub fn agents_seen_lately(&self, now: Timestamp) -> u64 {
        let mut seen = self.sightings.seen();
        seen.lately.retain(|_agent, at| now.since(*at) <= LATELY);
        seen.lately.len() as u64
    }

    /// The same before agents are listed. On a full disk they are listed all the same, as the file has them.
    pub(super) fn noted(&self) {
        if let Err(error) = self.note_sightings() {
            tracing::debug!(%error, "agents are listed as they were last noted");
        }
    }

    /// Notes every sighting that waits, some agents at a time. A power cut may lose them; the next requests tell again.
    pub fn note_sightings(&self) -> Result<(), RegistryError> {
        let waiting: Vec<(AgentId, Unnoted)> =
            std::mem::take(&mut self.sightings.seen().unnoted).into_iter().collect();
        for some in waiting.chunks(AT_ONCE) {
            self.jot("note which agents were seen", |transaction| {
                some.iter().try_for_each(|(agent, unnoted)| note(transaction, *agent, unnoted))
            })?;
        }
        Ok(())
    }
}

/// Keeps the latest that is known of an agent.
fn note(connection: &Connection, agent: AgentId, unnoted: &Unnoted) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "UPDATE agent SET last_seen = max(ifnull(last_seen, ?2), ?2), address = ifnull(?3, address),
             last_push = max(ifnull(last_push, ?4), ifnull(?4, last_push)), interval_ms = ifnull(?5, interval_ms)
             WHERE id = ?1",
        )?
        .execute(params![
            agent.as_bytes(),
            unnoted.at.as_micros(),
            unnoted.address.map(|address| address.to_string()),
            unnoted.pushed.map(|pushed| pushed.at.as_micros()),
            unnoted.pushed.map(|pushed| u32::try_from(pushed.interval.as_millis()).unwrap_or(u32::MAX)),
        ])?;
    if let Some(newest) = &unnoted.newest {
        note_batch(connection, agent, (newest, unnoted.at), unnoted.clock_offset_us)?;
    }
    let mut cloned = unnoted.cloned;
    for session in &unnoted.sessions {
        if note_session(connection, agent, session)? {
            cloned.get_or_insert(unnoted.at);
        }
    }
    if let Some(since) = cloned {
        connection.execute(
            "UPDATE agent SET cloned_since = ifnull(cloned_since, ?2) WHERE id = ?1",
            params![agent.as_bytes(), since.as_micros()],
        )?;
    }
    Ok(())
}

/// Health and version of the newest batch; the backlog tells what was true long ago.
fn note_batch(
    connection: &Connection,
    agent: AgentId,
    (batch, at): (&BatchSighting, Timestamp),
    clock_offset_us: Option<i64>,
) -> Result<(), Fault> {
    let health = &batch.health;
    let Some(before) = Before::of(connection, agent, batch.made())? else { return Ok(()) };
    let lost_now = (health.lost() > before.lost).then_some(at.as_micros());
    connection
        .prepare_cached(
            "UPDATE agent SET version = ?3, clock_offset_us = ifnull(?4, clock_offset_us), session = ?5, health = ?6,
             newest_batch = ?2, last_loss = ifnull(?7, last_loss) WHERE id = ?1",
        )?
        .execute(params![
            agent.as_bytes(),
            batch.made(),
            batch.version,
            clock_offset_us,
            batch.session.as_bytes(),
            to_json(health),
            lost_now
        ])?;
    let told = (health.held_set, health.refused_set);
    if told == before.sets {
        // Nearly always: an index would be written for nothing.
        return Ok(());
    }
    let remarked = refusals::remark(connection, agent, health, before.remarked_set, at)?;
    connection
        .prepare_cached("UPDATE agent SET held_set = ?2, refused_set = ?3, remarked_set = ?4 WHERE id = ?1")?
        .execute(params![agent.as_bytes(), told.0, told.1, remarked])?;
    Ok(())
}

/// What was known before a batch that was made later.
struct Before {
    /// All that the agent had given up.
    lost: u64,
    /// The target sets that it held and refused.
    sets: (Option<u32>, Option<u32>),
    /// The latest target set whose refusal was written down.
    remarked_set: u32,
}

impl Before {
    /// None if there is no such agent, or a newer batch told of it.
    fn of(connection: &Connection, agent: AgentId, made: i64) -> Result<Option<Self>, Fault> {
        row(
            connection,
            "SELECT health, remarked_set, held_set, refused_set FROM agent
             WHERE id = ?1 AND (newest_batch IS NULL OR newest_batch <= ?2)",
            params![agent.as_bytes(), made],
            |row| {
                let health = row.get::<_, Option<String>>(0)?.map(|text| json("agent's health", &text));
                let health: Option<AgentHealth> = health.transpose()?;
                Ok(Self {
                    lost: health.map_or(0, |health| health.lost()),
                    remarked_set: row.get(1)?,
                    sets: (row.get(2)?, row.get(3)?),
                })
            },
        )
    }
}

/// Widens what is known of the batch's session; true if another session of this agent measured at the same time.
fn note_session(
    connection: &Connection,
    agent: AgentId,
    Session { id: session, measured, interval }: &Session,
) -> Result<bool, Fault> {
    let known = row(
        connection,
        "SELECT first, last FROM agent_session WHERE agent = ?1 AND session = ?2",
        params![agent.as_bytes(), session.as_bytes()],
        |row| Ok(read_measured(row.get(0)?, row.get(1)?)),
    )?;
    let widened = known.map_or(*measured, |known| known.widened(*measured));
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
    Ok(others.into_iter().any(|other| widened.overlaps(other, *interval)))
}

fn read_measured(first: i64, last: i64) -> Measured {
    Measured { first: Timestamp::from_micros(first), last: Timestamp::from_micros(last) }
}
