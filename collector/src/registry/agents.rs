//! Agents: who has enrolled, for which registration, and how each was last seen.

use super::{
    AgentHealth, AgentKey, Fault, Operator, Registration, RegistrationId, Registry, RegistryError,
    agent_state::{self, Pushed},
    audit::{self, Change},
    callers::{Concerns, Known},
    json, keys, registrations, row,
};
use crate::{key_life::KeyLife, organisation::OrganisationId, rfc3339};
use peerlight_proto::{
    id::{AgentId, SessionId},
    keys::fingerprint,
    time::Timestamp,
};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

/// What verifying a request and admitting a batch need to know of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledAgent {
    /// The agent.
    pub agent: AgentId,
    /// Its ed25519 public key.
    pub public_key: [u8; 32],
    /// When that key's life began.
    pub key_since: Timestamp,
    /// The key that is to follow it.
    pub next_key: Option<AgentKey>,
    /// Its site's registration now: the valid one, else the last that ended.
    pub registration: Registration,
    /// Every other registration that its measurements may count for: of its site, and of the sites that it enrolled for
    /// before.
    pub others: Vec<Registration>,
    /// The sites that it measures side by side; empty for an agent of one site.
    pub uplinks: Vec<String>,
    /// What operators call it by.
    pub tags: Vec<String>,
    /// Whether an operator has revoked it, or it was retired.
    pub revoked: bool,
}

impl EnrolledAgent {
    /// Provider and location of every site that it measures now.
    pub(super) fn places(&self, now: Timestamp) -> Vec<(&str, &str)> {
        let mut present = BTreeMap::new();
        // In the order of time: the last that has begun is the one.
        for one in self.others.iter().filter(|one| self.uplinks.contains(&one.site) && one.valid_from <= now)
        {
            if one.site != self.registration.site {
                present.insert(&one.site, one);
            }
        }
        std::iter::once(&self.registration)
            .chain(present.into_values())
            .map(|one| (one.provider.as_str(), one.location.as_str()))
            .collect()
    }
}

/// An agent as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentEntry {
    /// The agent.
    #[schema(value_type = String)]
    pub agent: AgentId,
    /// The number of its site's registration now: the valid one, else the last that ended.
    #[schema(value_type = i64)]
    pub registration: RegistrationId,
    /// Its site.
    pub site: String,
    /// Its provider.
    pub provider: String,
    /// Its location.
    pub location: String,
    /// When that registration ended. The agent keeps what it measures from then on until the site is registered again.
    #[serde(default, with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub registration_ended: Option<Timestamp>,
    /// The sites that it measures beside that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<AgentSite>,
    /// What operators call it by, to assign targets to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The machine's name, as the agent gave it.
    pub host: String,
    /// The agent's version.
    pub version: String,
    /// Whether that is older than the collector's.
    #[serde(default)]
    pub behind: bool,
    /// When it enrolled.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub enrolled: Timestamp,
    /// The address that it enrolled from.
    pub enrolled_from: String,
    /// When it was last heard of.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_seen: Option<Timestamp>,
    /// The address that it was last heard from.
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The collector's clock minus its clock, in microseconds.
    pub clock_offset_us: Option<i64>,
    /// Its session.
    #[schema(value_type = Option<String>)]
    pub session: Option<SessionId>,
    /// What it had to give up, and what waits on its disk.
    pub health: Option<AgentHealth>,
    /// When it last told that it had to give up more than before.
    #[serde(default, with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_loss: Option<Timestamp>,
    /// Since when two machines have been using its key at once.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub cloned_since: Option<Timestamp>,
    /// When it was revoked, or retired.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked: Option<Timestamp>,
    /// Who retired it, if somebody did: an operator, or `agent` for its own machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_by: Option<String>,
    /// How its key is told from another: how its public half begins.
    #[serde(default)]
    pub key: String,
    /// When the life of its key began.
    #[serde(default, with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub key_since: Option<Timestamp>,
    /// When its key expires.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub key_expires: Option<Timestamp>,
    /// The key that follows with its first request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_key: Option<String>,
    /// What an operator should look into, the gravest first; nothing when all is well.
    #[serde(default)]
    pub state: Vec<String>,
}

impl AgentEntry {
    /// Says when the key expires, and whether that needs an operator.
    #[must_use]
    pub fn judged_by(mut self, life: &KeyLife, now: Timestamp) -> Self {
        self.key_expires = self.key_since.map(|since| life.expires(since));
        if self.revoked.is_none()
            && let Some(since) = self.key_since
        {
            self.state.extend(agent_state::key_concern(since, life, now));
        }
        self
    }
}

/// A site that an agent measures beside another, over an uplink of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentSite {
    /// The number of the site's registration now: the valid one, else the last that ended.
    #[schema(value_type = i64)]
    pub registration: RegistrationId,
    /// The site.
    pub site: String,
    /// Its provider.
    pub provider: String,
    /// Its location.
    pub location: String,
    /// When that registration ended.
    #[serde(default, with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub registration_ended: Option<Timestamp>,
}

/// What [`read`] reads.
pub(super) const SELECT: &str = "SELECT a.id, r.id, r.site, p.name, l.code, a.host, a.version, a.enrolled, \
                      a.enrolled_from, a.last_seen, a.address, a.clock_offset_us, a.session, a.health, \
                      a.cloned_since, a.revoked, CASE WHEN r.valid_to <= ?1 THEN r.valid_to END, \
                      a.last_push, a.interval_ms, a.uplinks, a.public_key, a.key_since, a.next_key, \
                      a.tags, a.retired_by, a.last_loss";

/// Agents `a`, each with its site's registration `r` at the instant `?1` (the valid one, else the last that ended), the
/// provider `p` and the location `l`. A site has one registration at a time, so the last that has begun is the one.
pub(super) const WITH_REGISTRATION: &str = "FROM agent a JOIN registration enrolled ON enrolled.id = a.registration \
     JOIN registration r ON r.id = coalesce((SELECT one.id FROM registration one \
       WHERE one.organisation = enrolled.organisation AND one.site = enrolled.site AND one.valid_from <= ?1 \
       ORDER BY one.valid_from DESC, one.id DESC LIMIT 1), enrolled.id) \
     JOIN provider p ON p.id = r.provider JOIN location l ON l.id = r.location";

impl Registry {
    /// Who this agent is, if it has enrolled.
    pub fn caller(&self, agent: AgentId, now: Timestamp) -> Result<Option<EnrolledAgent>, RegistryError> {
        if let Some(known) = self.known_caller(agent, now) {
            return Ok(Some(known));
        }
        self.read("look an agent up", |connection| {
            let Some(known) = known(connection, agent)?.map(Arc::new) else { return Ok(None) };
            let missing =
                || Fault::damaged("agent", &format!("registration {} is missing", known.enrolled.0));
            let caller = known.at(agent, now).ok_or_else(missing)?;
            self.callers.keep(agent, &known);
            Ok(Some(caller))
        })
    }

    /// Who this agent is, if that is in memory.
    pub fn known_caller(&self, agent: AgentId, now: Timestamp) -> Option<EnrolledAgent> {
        self.callers.get(agent)?.at(agent, now)
    }

    /// One agent.
    pub fn agent(
        &self,
        organisation: OrganisationId,
        agent: AgentId,
        now: Timestamp,
    ) -> Result<AgentEntry, RegistryError> {
        self.noted();
        self.read("show an agent", |connection| entry(connection, organisation, agent, now))
    }

    /// Revokes an agent: from now on its requests are refused. Only a new token for the same key lets it in again.
    pub fn revoke_agent(
        &self,
        agent: AgentId,
        by: &Operator,
        now: Timestamp,
    ) -> Result<AgentEntry, RegistryError> {
        self.change_of(Concerns::Agent(agent), "revoke an agent", |transaction| {
            let before = entry(transaction, by.organisation, agent, now)?;
            if before.revoked.is_some() {
                return Ok(before);
            }
            transaction.execute(
                "UPDATE agent SET revoked = ?2 WHERE id = ?1",
                params![agent.as_bytes(), now.as_micros()],
            )?;
            let after = entry(transaction, by.organisation, agent, now)?;
            let change = Change::changed("agent revoke", &after.site, &before, &after);
            audit::record(transaction, by, now, &change)?;
            Ok(after)
        })
    }
}

/// What the tables say of an agent that calls.
fn known(connection: &Connection, agent: AgentId) -> Result<Option<Known>, Fault> {
    let registrations = registrations::of_agent(connection, agent)?;
    row(
        connection,
        "SELECT public_key, registration, revoked IS NOT NULL, uplinks, key_since, next_key, next_key_since, tags
         FROM agent WHERE id = ?1",
        params![agent.as_bytes()],
        |row| {
            Ok(Known {
                public_key: row.get(0)?,
                enrolled: RegistrationId(row.get(1)?),
                revoked: row.get(2)?,
                uplinks: json("agent's uplinks", &row.get::<_, String>(3)?)?,
                key_since: Timestamp::from_micros(row.get(4)?),
                next_key: keys::read_next(row.get(5)?, row.get(6)?),
                tags: json("agent's tags", &row.get::<_, String>(7)?)?,
                registrations,
            })
        },
    )
}

/// One agent as lists show it; it must be there.
pub(super) fn entry(
    connection: &Connection,
    organisation: OrganisationId,
    agent: AgentId,
    now: Timestamp,
) -> Result<AgentEntry, Fault> {
    find(connection, organisation, agent, now)?.ok_or_else(|| Fault::not_found("agent", &agent))
}

/// One agent as lists show it, if it has enrolled.
pub(super) fn find(
    connection: &Connection,
    organisation: OrganisationId,
    agent: AgentId,
    now: Timestamp,
) -> Result<Option<AgentEntry>, Fault> {
    row(
        connection,
        &format!("{SELECT} {WITH_REGISTRATION} WHERE a.organisation = ?2 AND a.id = ?3"),
        params![now.as_micros(), organisation.0, agent.as_bytes()],
        |row| read(connection, row, now),
    )
}

/// The registrations, now, of the sites that an agent measures side by side.
pub(super) fn beside(
    connection: &Connection,
    agent: AgentId,
    uplinks: &[String],
    now: Timestamp,
) -> Result<BTreeMap<String, Registration>, Fault> {
    let mut present = BTreeMap::new();
    if uplinks.is_empty() {
        return Ok(present);
    }
    // In the order of time: the last that has begun is the one.
    for registration in registrations::of_agent(connection, agent)? {
        if uplinks.contains(&registration.site) && registration.valid_from <= now {
            present.insert(registration.site.clone(), registration);
        }
    }
    Ok(present)
}

/// Reads a row of [`SELECT`].
pub(super) fn read(connection: &Connection, row: &Row<'_>, now: Timestamp) -> Result<AgentEntry, Fault> {
    let instant =
        |column: usize| Ok::<_, Fault>(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros));
    let address = row.get::<_, Option<String>>(10)?.map(|text| text.parse()).transpose();
    let health = row.get::<_, Option<String>>(13)?.map(|text| json("agent's health", &text)).transpose()?;
    let pushed = instant(17)?
        .zip(row.get::<_, Option<u32>>(18)?)
        .map(|(at, interval_ms)| Pushed { at, interval: Duration::from_millis(interval_ms.into()) });
    let (agent, site) = (AgentId::new(row.get(0)?), row.get::<_, String>(2)?);
    let uplinks: Vec<String> = json("agent's uplinks", &row.get::<_, String>(19)?)?;
    let others = beside(connection, agent, &uplinks, now)?.into_values().filter(|one| one.site != site);
    let others = others.map(|one| AgentSite {
        registration: one.id,
        registration_ended: one.valid_to.filter(|end| *end <= now),
        site: one.site,
        provider: one.provider,
        location: one.location,
    });
    let version: String = row.get(6)?;
    let entry = AgentEntry {
        others: others.collect(),
        agent,
        registration: RegistrationId(row.get(1)?),
        site,
        provider: row.get(3)?,
        location: row.get(4)?,
        tags: json("agent's tags", &row.get::<_, String>(23)?)?,
        host: row.get(5)?,
        behind: agent_state::is_behind(&version, env!("CARGO_PKG_VERSION")),
        version,
        enrolled: Timestamp::from_micros(row.get(7)?),
        enrolled_from: row.get(8)?,
        last_seen: instant(9)?,
        address: address.map_err(|error| Fault::damaged("agent's address", &error))?,
        clock_offset_us: row.get(11)?,
        session: row.get::<_, Option<[u8; 16]>>(12)?.map(SessionId::new),
        health,
        last_loss: instant(25)?,
        cloned_since: instant(14)?,
        revoked: instant(15)?,
        retired_by: row.get(24)?,
        registration_ended: instant(16)?,
        key: fingerprint(&row.get(20)?),
        key_since: instant(21)?,
        key_expires: None,
        next_key: row.get::<_, Option<_>>(22)?.as_ref().map(fingerprint),
        state: Vec::new(),
    };
    Ok(AgentEntry { state: agent_state::concerns(&entry, pushed, now), ..entry })
}
