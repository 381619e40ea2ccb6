//! The dictionaries: numbers in blocks, identities outside.

use crate::{
    admission::Attribution,
    organisation::OrganisationId,
    registry::RegistrationId,
    store::{DESCRIBED_FOR, Origin, Shape, StoreError},
};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use ipnet::IpNet;
use peerlight_proto::{
    id::{AgentId, BatchNumber, SessionId, TargetId},
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path, Series, SeriesKey},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::{hash::BuildHasher as _, sync::Arc};

/// More entries than this are forgotten, and looked up again: agents decide how many sessions and targets there are.
const MOST_CACHED: usize = 1 << 18;

/// What the writer knows of the dictionaries: numbers by identity. A cache: whoever rolls a transaction back starts a
/// new one.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    agents: HashMap<AgentId, u32>,
    sessions: HashMap<(u32, SessionId), Session>,
    origins: HashMap<(OrganisationId, Origin), u32>,
    shapes: HashTable<KnownShape>,
    hasher: DefaultHashBuilder,
}

impl Numbers {
    /// The number of an agent, given to it now if it has none.
    pub(super) fn agent(&mut self, db: &Connection, agent: AgentId) -> rusqlite::Result<u32> {
        if let Some(&number) = self.agents.get(&agent) {
            return Ok(number);
        }
        db.prepare_cached("INSERT OR IGNORE INTO agent (agent) VALUES (?1)")?.execute([agent.as_bytes()])?;
        let number = find_agent(db, agent)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        self.agents.insert(agent, number);
        Ok(number)
    }

    /// An agent's session, which is given a number now if it has none. Its first batch that was received is this one.
    pub(super) fn session(
        &mut self,
        db: &Connection,
        agent: u32,
        first: BatchNumber,
        received: Timestamp,
    ) -> rusqlite::Result<Session> {
        let identity = (agent, first.session);
        if let Some(&session) = self.sessions.get(&identity) {
            return Ok(session);
        }
        let since = Session { number: 0, since: received.as_secs() / 60 }.turn(first.sequence.wrapping_neg());
        db.prepare_cached("INSERT OR IGNORE INTO session (agent, session, since) VALUES (?1, ?2, ?3)")?
            .execute(params![agent, first.session.as_bytes(), since])?;
        let session = find_session(db, agent, first.session)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        if self.sessions.len() >= MOST_CACHED {
            self.sessions.clear();
        }
        self.sessions.insert(identity, session);
        Ok(session)
    }

    /// The number of an origin in an organisation, given to it now if it has none.
    pub(super) fn origin(
        &mut self,
        db: &Connection,
        organisation: OrganisationId,
        origin: &Origin,
    ) -> rusqlite::Result<u32> {
        let identity = (organisation, origin.clone());
        if let Some(&number) = self.origins.get(&identity) {
            return Ok(number);
        }
        let number = number_of_origin(db, organisation, origin)?;
        if self.origins.len() >= MOST_CACHED {
            self.origins.clear();
        }
        self.origins.insert(identity, number);
        Ok(number)
    }

    /// The number of the shape of a series in an organisation, given to it now if it has none. What describes it, such as
    /// its target's name, is brought up to date, but not more often than [`DESCRIBED_FOR`]: agents that call a target by
    /// different names must not make each other's batches dearer.
    pub(super) fn shape(
        &mut self,
        db: &Connection,
        organisation: OrganisationId,
        series: &Series,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let Self { shapes, hasher, .. } = self;
        let hash = hash_of(hasher, organisation, &series.key);
        let same = |known: &KnownShape| known.is_of(organisation, &series.key);
        if let Some(known) = shapes.find(hash, same)
            && (known.shape.describes(series) || now.since(known.described) < DESCRIBED_FOR)
        {
            return Ok(known.number);
        }
        let known = describe(db, organisation, series, now)?;
        let number = known.number;
        if let Ok(outdated) = shapes.find_entry(hash, same) {
            outdated.remove();
        }
        if shapes.len() >= MOST_CACHED {
            shapes.clear();
        }
        shapes.insert_unique(hash, known, |known| hash_of(hasher, known.organisation, &known.key));
        Ok(number)
    }
}

/// A session as the file has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) number: i64,
    /// The minute of its batch 0, had there been one a minute until its first was received.
    since: i64,
}

impl Session {
    /// The turn of its batch of this sequence: distinct for each, and of an agent that makes one a minute its minute.
    pub(super) const fn turn(self, sequence: u64) -> i64 {
        self.since.wrapping_add_unsigned(sequence)
    }
}

/// A shape as the file has it.
#[derive(Debug)]
struct KnownShape {
    organisation: OrganisationId,
    shape: Shape,
    /// Its key over no uplink.
    key: SeriesKey,
    number: u32,
    /// When its description last changed.
    described: Timestamp,
}

impl KnownShape {
    /// Whether it is the shape of this key in the organisation.
    fn is_of(&self, organisation: OrganisationId, key: &SeriesKey) -> bool {
        self.organisation == organisation && about(&self.key) == about(key)
    }
}

/// What tells a shape from others: all of its key but the uplink.
const fn about(key: &SeriesKey) -> About {
    let how = (key.family, key.path, key.clock, key.http_version, key.handshake);
    (key.target, key.metric, how)
}

type About = (TargetId, Metric, (Family, Path, Clock, Option<HttpVersion>, Option<Handshake>));

/// Hashes what tells a shape from others.
fn hash_of(hasher: &DefaultHashBuilder, organisation: OrganisationId, key: &SeriesKey) -> u64 {
    hasher.hash_one((organisation, about(key)))
}

/// Writes a shape's description, unless the one that is there is too young, and reads what is there then.
fn describe(
    db: &Connection,
    organisation: OrganisationId,
    series: &Series,
    now: Timestamp,
) -> Result<KnownShape, StoreError> {
    let described = Shape::of(series);
    let id = described.id();
    let write = || -> rusqlite::Result<(u32, String, i64)> {
        db.prepare_cached(
            "INSERT INTO shape (organisation, shape, definition, described_us) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (organisation, shape) DO UPDATE SET
                 definition = excluded.definition,
                 described_us = excluded.described_us,
                 revised = 1 + (SELECT coalesce(max(revised), 0) FROM shape WHERE revised > 0)
             WHERE definition <> excluded.definition AND described_us <= excluded.described_us - ?5",
        )?
        // Texts, numbers and unit variants: serialising them cannot fail.
        .execute(params![
            organisation.0,
            id.as_bytes(),
            serde_json::to_string(&described).unwrap_or_default(),
            now.as_micros(),
            i64::try_from(DESCRIBED_FOR.as_micros()).unwrap_or(i64::MAX)
        ])?;
        db.prepare_cached(
            "SELECT id, definition, described_us FROM shape WHERE organisation = ?1 AND shape = ?2",
        )?
        .query_row(params![organisation.0, id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
    };
    let (number, definition, described_us) = write().map_err(StoreError::while_doing("describe a shape"))?;
    let there = read_shape(&definition)?;
    // A decoder's series share their targets, and those that are one in memory need not be compared.
    let shape = if there == described { described } else { there };
    let described = Timestamp::from_micros(described_us);
    let key = shape.over("").key;
    Ok(KnownShape { organisation, shape, key, number, described })
}

fn read_shape(definition: &str) -> Result<Shape, StoreError> {
    serde_json::from_str(definition)
        .map_err(|error| StoreError::Damaged { what: "dictionary", detail: error.to_string() })
}

/// What a reader knows of the dictionaries: identities by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    agents: HashMap<u32, AgentId>,
    origins: HashMap<u32, Arc<Origin>>,
    shapes: HashMap<u32, Arc<Shape>>,
    /// The newest revision of a definition that `shapes` takes into account.
    revision: i64,
}

impl Names {
    /// Forgets the definitions that changed since this was last called. To be called at the start of each snapshot.
    pub(super) fn refresh(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let mut statement =
            db.prepare_cached("SELECT id, revised FROM shape WHERE revised > 0 AND revised > ?1")?;
        let mut rows = statement.query([self.revision])?;
        let mut newest = self.revision;
        while let Some(row) = rows.next()? {
            self.shapes.remove(&row.get::<_, u32>(0)?);
            newest = newest.max(row.get(1)?);
        }
        self.revision = newest;
        Ok(())
    }

    /// The agent of this number.
    pub(super) fn agent(&mut self, db: &Connection, number: u32) -> Result<AgentId, StoreError> {
        if let Some(&agent) = self.agents.get(&number) {
            return Ok(agent);
        }
        let bytes: Option<Vec<u8>> = db
            .prepare_cached("SELECT agent FROM agent WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([number], |row| row.get(0)).optional())
            .map_err(StoreError::while_doing("read an agent"))?;
        let agent = bytes.and_then(|bytes| AgentId::try_from(bytes.as_slice()).ok());
        let agent = agent.ok_or_else(|| missing("agent", number))?;
        self.agents.insert(number, agent);
        Ok(agent)
    }

    /// The origin of this number.
    pub(super) fn origin(&mut self, db: &Connection, number: u32) -> Result<Arc<Origin>, StoreError> {
        if let Some(origin) = self.origins.get(&number) {
            return Ok(Arc::clone(origin));
        }
        let origin = db
            .prepare_cached("SELECT registration, uplink, attribution, prefix FROM origin WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([number], |row| Ok(read_origin(row))).optional())
            .map_err(StoreError::while_doing("read an origin"))?;
        let origin = Arc::new(origin.ok_or_else(|| missing("origin", number))??);
        self.origins.insert(number, Arc::clone(&origin));
        Ok(origin)
    }

    /// The shape of this number.
    pub(super) fn shape(&mut self, db: &Connection, number: u32) -> Result<Arc<Shape>, StoreError> {
        if let Some(shape) = self.shapes.get(&number) {
            return Ok(Arc::clone(shape));
        }
        let text: Option<String> = db
            .prepare_cached("SELECT definition FROM shape WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([number], |row| row.get(0)).optional())
            .map_err(StoreError::while_doing("read a shape"))?;
        let shape = Arc::new(read_shape(&text.ok_or_else(|| missing("shape", number))?)?);
        self.shapes.insert(number, Arc::clone(&shape));
        Ok(shape)
    }
}

/// The number of an agent, if it has one.
pub(super) fn find_agent(db: &Connection, agent: AgentId) -> rusqlite::Result<Option<u32>> {
    db.prepare_cached("SELECT id FROM agent WHERE agent = ?1")?
        .query_row([agent.as_bytes()], |row| row.get(0))
        .optional()
}

/// An agent's session, if it has a number.
pub(super) fn find_session(
    db: &Connection,
    agent: u32,
    session: SessionId,
) -> rusqlite::Result<Option<Session>> {
    db.prepare_cached("SELECT id, since FROM session WHERE agent = ?1 AND session = ?2")?
        .query_row(params![agent, session.as_bytes()], |row| {
            Ok(Session { number: row.get(0)?, since: row.get(1)? })
        })
        .optional()
}

/// The number of an origin, given to it now if it has none.
pub(super) fn number_of_origin(
    db: &Connection,
    organisation: OrganisationId,
    origin: &Origin,
) -> rusqlite::Result<u32> {
    let attribution = match origin.attribution {
        Attribution::Verified => 0,
        Attribution::Declared => 1,
        Attribution::OffPrefix => 2,
    };
    // No prefix is an empty text: a NULL would be distinct from every other.
    let prefix = origin.prefix.map_or_else(String::new, |prefix| prefix.to_string());
    let identity = params![organisation.0, origin.registration.0, origin.uplink, attribution, prefix];
    db.prepare_cached(
        "INSERT OR IGNORE INTO origin (organisation, registration, uplink, attribution, prefix) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(identity)?;
    db.prepare_cached(
        "SELECT id FROM origin WHERE organisation = ?1 AND registration = ?2 AND uplink = ?3 AND attribution = ?4 AND prefix = ?5",
    )?
    .query_row(identity, |row| row.get(0))
}

/// Every origin of a registration, by number.
pub(super) fn origins_of(
    db: &Connection,
    organisation: OrganisationId,
    registration: RegistrationId,
) -> Result<Vec<(u32, Origin)>, StoreError> {
    let database = StoreError::while_doing("read origins");
    let mut statement = db
        .prepare_cached(
            "SELECT registration, uplink, attribution, prefix, id FROM origin WHERE organisation = ?1 AND registration = ?2",
        )
        .map_err(&database)?;
    let mut rows = statement.query(params![organisation.0, registration.0]).map_err(&database)?;
    let mut origins = Vec::new();
    while let Some(row) = rows.next().map_err(&database)? {
        origins.push((row.get(4).map_err(&database)?, read_origin(row)?));
    }
    Ok(origins)
}

/// Reads the columns registration, uplink, attribution and prefix.
fn read_origin(row: &Row<'_>) -> Result<Origin, StoreError> {
    let damaged = |detail: String| StoreError::Damaged { what: "dictionary", detail };
    let read = || -> rusqlite::Result<(i64, Arc<str>, i64, String)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    };
    let (registration, uplink, attribution, prefix) =
        read().map_err(StoreError::while_doing("read an origin"))?;
    Ok(Origin {
        registration: RegistrationId(registration),
        uplink,
        attribution: match attribution {
            0 => Attribution::Verified,
            1 => Attribution::Declared,
            2 => Attribution::OffPrefix,
            unknown => return Err(damaged(format!("attribution {unknown}"))),
        },
        prefix: match prefix.as_str() {
            "" => None,
            text => Some(text.parse::<IpNet>().map_err(|error| damaged(error.to_string()))?),
        },
    })
}

fn missing(what: &str, number: u32) -> StoreError {
    StoreError::Damaged { what: "dictionary", detail: format!("{what} {number} is not in it") }
}
