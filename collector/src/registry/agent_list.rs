//! Lists of agents, page by page, and what is asked of all of them at once: none of it reads more than it answers with.

use super::{
    AgentEntry, Registry, RegistryError,
    agents::{SELECT, WITH_REGISTRATION, read},
    count, rows,
};
use crate::organisation::OrganisationId;
use peerlight_proto::{id::AgentId, time::Timestamp};
use rusqlite::params;
use serde::{Deserialize, Serialize};

/// Where an agent stands in the list: by its site, then by its identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AgentPlace {
    /// The site.
    pub site: String,
    /// The agent.
    pub agent: AgentId,
}

/// Which agents to list.
#[derive(Debug, Clone, Default)]
pub struct AgentQuery {
    /// Those that were revoked, too.
    pub revoked: bool,
    /// Only those that stand behind this place.
    pub after: Option<AgentPlace>,
    /// The most of them; all unless given.
    pub limit: Option<usize>,
}

/// The agents of [`SELECT`] in the order of their sites, found from the registrations' side, so that a page
/// begins at its first site and ends early. The plus keeps the planner from an index that holds every agent.
pub(super) const BY_SITE: &str = "FROM registration enrolled CROSS JOIN agent a ON a.registration = enrolled.id \
     JOIN registration r ON r.id = coalesce((SELECT one.id FROM registration one \
       WHERE one.organisation = enrolled.organisation AND one.site = enrolled.site AND one.valid_from <= ?1 \
       ORDER BY one.valid_from DESC, one.id DESC LIMIT 1), enrolled.id) \
     JOIN provider p ON p.id = r.provider JOIN location l ON l.id = r.location \
     WHERE enrolled.organisation = ?2 AND +a.organisation = ?2 AND enrolled.site >= ?3 AND (enrolled.site, a.id) > (?3, ?4) \
     AND (?5 OR a.revoked IS NULL) ORDER BY enrolled.site, a.id LIMIT ?6";

impl Registry {
    /// Every agent in the order of sites, revoked ones too.
    pub fn agents(
        &self,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> Result<Vec<AgentEntry>, RegistryError> {
        self.list_agents(organisation, &AgentQuery { revoked: true, ..AgentQuery::default() }, now)
    }

    /// The agents that are asked for, in the order of sites.
    pub fn list_agents(
        &self,
        organisation: OrganisationId,
        query: &AgentQuery,
        now: Timestamp,
    ) -> Result<Vec<AgentEntry>, RegistryError> {
        self.noted();
        let limit = query.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        // No site is empty, so every agent stands behind this.
        let (site, agent) = match &query.after {
            Some(place) => (place.site.as_str(), place.agent.as_bytes().as_slice()),
            None => ("", [].as_slice()),
        };
        self.read("list the agents", |connection| {
            rows(
                connection,
                &format!("{SELECT} {BY_SITE}"),
                params![now.as_micros(), organisation.0, site, agent, query.revoked, limit],
                |row| read(connection, row, now),
            )
        })
    }

    /// How many agents there are, with those that were revoked if asked for.
    pub fn count_agents(&self, organisation: OrganisationId, revoked: bool) -> Result<usize, RegistryError> {
        self.read("count the agents", |connection| {
            // The index alone tells.
            let of = |condition: &str| {
                let sql = format!("SELECT count(*) FROM agent WHERE organisation = ?1 AND {condition}");
                count(connection, &sql, params![organisation.0])
            };
            Ok(of("revoked IS NULL")? + if revoked { of("revoked IS NOT NULL")? } else { 0 })
        })
    }

    /// The agents that were revoked: reports expect nothing of them any more.
    pub fn revoked_agents(
        &self,
        organisation: OrganisationId,
        now: Timestamp,
    ) -> Result<Vec<AgentEntry>, RegistryError> {
        self.read("list the revoked agents", |connection| {
            rows(
                connection,
                &format!("{SELECT} {WITH_REGISTRATION} WHERE a.organisation = ?2 AND a.revoked IS NOT NULL"),
                params![now.as_micros(), organisation.0],
                |row| read(connection, row, now),
            )
        })
    }
}
