//! The dictionaries of agents and series: numbers in blocks, identities outside.

use crate::{organisation::OrganisationId, store::StoreError};
use peerlight_proto::{
    id::{AgentId, SeriesId},
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path, Series, SeriesKey},
    target::Target,
};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};

/// A series as the dictionary stores it.
#[derive(Serialize, Deserialize)]
struct Definition {
    uplink: String,
    target: Target,
    metric: Metric,
    family: Family,
    path: Path,
    clock: Clock,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_version: Option<HttpVersion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handshake: Option<Handshake>,
    probe_interval_ms: u32,
}

/// What one connection knows of the dictionaries. A cache: whoever rolls a transaction back starts a new one.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    agent_numbers: HashMap<AgentId, i64>,
    agents: HashMap<i64, AgentId>,
    series_numbers: HashMap<(OrganisationId, SeriesId), (i64, Series)>,
    series: HashMap<i64, (SeriesId, Arc<Series>)>,
    /// The newest revision of a definition that `series` takes into account.
    revision: i64,
}

impl Dictionary {
    /// The number of an agent, given to it now if it has none.
    pub(super) fn number_of_agent(&mut self, db: &Connection, agent: AgentId) -> rusqlite::Result<i64> {
        if let Some(&number) = self.agent_numbers.get(&agent) {
            return Ok(number);
        }
        db.prepare_cached("INSERT OR IGNORE INTO agent (agent) VALUES (?1)")?.execute([agent.as_bytes()])?;
        let number = find_agent(db, agent)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        self.agent_numbers.insert(agent, number);
        Ok(number)
    }

    /// The number of a series in an organisation, given to it now if it has none. What describes it, such as its target's
    /// name, is brought up to date.
    pub(super) fn number_of_series(
        &mut self,
        db: &Connection,
        organisation: OrganisationId,
        series: &Series,
    ) -> rusqlite::Result<i64> {
        let id = series.key.id();
        if let Some((number, known)) = self.series_numbers.get(&(organisation, id))
            && known == series
        {
            return Ok(*number);
        }
        db.prepare_cached(
            "INSERT INTO series (organisation, series, definition) VALUES (?1, ?2, ?3)
             ON CONFLICT (organisation, series) DO UPDATE SET
                 definition = excluded.definition,
                 revised = 1 + (SELECT coalesce(max(revised), 0) FROM series WHERE revised > 0)
             WHERE definition <> excluded.definition",
        )?
        .execute(params![organisation.0, id.as_bytes(), write_definition(series)])?;
        let number = db
            .prepare_cached("SELECT id FROM series WHERE organisation = ?1 AND series = ?2")?
            .query_row(params![organisation.0, id.as_bytes()], |row| row.get(0))?;
        self.series_numbers.insert((organisation, id), (number, series.clone()));
        Ok(number)
    }

    /// Forgets the definitions that changed since this was last called. To be called at the start of each snapshot.
    pub(super) fn refresh(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let mut statement =
            db.prepare_cached("SELECT id, revised FROM series WHERE revised > 0 AND revised > ?1")?;
        let mut rows = statement.query([self.revision])?;
        let mut newest = self.revision;
        while let Some(row) = rows.next()? {
            self.series.remove(&row.get(0)?);
            newest = newest.max(row.get(1)?);
        }
        self.revision = newest;
        Ok(())
    }

    /// The agent of this number.
    pub(super) fn agent(&mut self, db: &Connection, number: i64) -> Result<AgentId, StoreError> {
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

    /// The series of this number.
    pub(super) fn series(
        &mut self,
        db: &Connection,
        number: i64,
    ) -> Result<(SeriesId, Arc<Series>), StoreError> {
        if let Some((id, series)) = self.series.get(&number) {
            return Ok((*id, Arc::clone(series)));
        }
        let text: Option<String> = db
            .prepare_cached("SELECT definition FROM series WHERE id = ?1")
            .and_then(|mut statement| statement.query_row([number], |row| row.get(0)).optional())
            .map_err(StoreError::while_doing("read a series"))?;
        let series = Arc::new(read_definition(&text.ok_or_else(|| missing("series", number))?)?);
        let id = series.key.id();
        self.series.insert(number, (id, Arc::clone(&series)));
        Ok((id, series))
    }
}

/// The number of an agent, if it has one.
pub(super) fn find_agent(db: &Connection, agent: AgentId) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT id FROM agent WHERE agent = ?1")?
        .query_row([agent.as_bytes()], |row| row.get(0))
        .optional()
}

fn missing(what: &str, number: i64) -> StoreError {
    StoreError::Damaged { what: "dictionary", detail: format!("{what} {number} is not in it") }
}

fn write_definition(series: &Series) -> String {
    let key = &series.key;
    let definition = Definition {
        uplink: key.uplink.clone(),
        target: series.target.clone(),
        metric: key.metric,
        family: key.family,
        path: key.path,
        clock: key.clock,
        http_version: key.http_version,
        handshake: key.handshake,
        probe_interval_ms: series.probe_interval_ms,
    };
    // Texts, numbers and unit variants: serialising them cannot fail.
    serde_json::to_string(&definition).unwrap_or_default()
}

fn read_definition(text: &str) -> Result<Series, StoreError> {
    let definition: Definition = serde_json::from_str(text)
        .map_err(|error| StoreError::Damaged { what: "dictionary", detail: error.to_string() })?;
    Ok(Series {
        key: SeriesKey {
            uplink: definition.uplink,
            target: definition.target.id(),
            metric: definition.metric,
            family: definition.family,
            path: definition.path,
            clock: definition.clock,
            http_version: definition.http_version,
            handshake: definition.handshake,
        },
        target: definition.target,
        probe_interval_ms: definition.probe_interval_ms,
    })
}
