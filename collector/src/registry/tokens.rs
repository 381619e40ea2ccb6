//! Enrolment tokens: the right of machines to join one registration, made by an operator and shown once.

mod terms;

use super::{
    Fault, Operator, Registration, RegistrationId, Registry, RegistryError, agents,
    audit::{self, Change},
    callers::Concerns,
    count, hash_secret, json, new_secret, registrations, row, rows, to_json,
};
use crate::{organisation::OrganisationId, rfc3339};
use ipnet::IpNet;
use peerlight_proto::{enrolment::EnrolmentToken, id::AgentId, time::Timestamp};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use std::fmt;
use terms::{Terms, check_life};

/// What a token tells an agent about its collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The agents' listener, `https://host:port`.
    pub agent_url: String,
    /// SHA-256 of the collector's CA certificate, in hexadecimal.
    pub ca_sha256: String,
    /// The collector's ed25519 response key, in hexadecimal.
    pub response_key: String,
}

/// A token to make.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// The registration that it enrols for.
    #[schema(value_type = i64)]
    pub registration: RegistrationId,
    /// How many agents may use it; one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// How long it holds, in seconds; 7 days unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_s: Option<u64>,
    /// The prefixes, in CIDR form, from which it may be used; from anywhere unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// What agents are tagged with that it enrols.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether a machine that was set up anew becomes the agent of the same site that had its name, once that is silent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub re_enrol: bool,
}

/// A token to make with which an enrolled agent brings a new key, in the place of one that it lost or that has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKeyToken {
    /// How long it holds, in seconds; 7 days unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life_s: Option<u64>,
}

/// A token just made. Its text is shown this once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IssuedToken {
    /// What agents are given: `peerlight1.…`.
    pub token: String,
    /// What lists show of it.
    #[serde(flatten)]
    pub entry: TokenEntry,
}

/// The token stays out of logs.
impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// A token as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenEntry {
    /// Its number.
    pub id: i64,
    /// The registration that it enrols for.
    #[schema(value_type = i64)]
    pub registration: RegistrationId,
    /// The registration's site.
    pub site: String,
    /// The one agent that may use it, and bring a new key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentId>,
    /// The prefixes from which it may be used; empty for anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub sources: Vec<IpNet>,
    /// What agents are tagged with that it enrols.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether a machine that was set up anew becomes the agent of the same site that had its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub re_enrol: bool,
    /// How many agents may use it.
    pub max_uses: u32,
    /// How many have.
    pub uses: u32,
    /// When it stops holding.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub expires: Timestamp,
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When it was revoked.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked: Option<Timestamp>,
}

impl TokenEntry {
    /// Whether it can still enrol an agent.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.uses < self.max_uses && now < self.expires
    }
}

/// Which tokens to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokenQuery {
    /// Those that are used up, expired or revoked, too.
    pub all: bool,
    /// Only those with a number below this one.
    pub before: Option<i64>,
    /// The most of them; all unless given.
    pub limit: Option<usize>,
}

const SELECT: &str = "SELECT t.id, t.registration, r.site, t.max_uses, t.uses, t.expires, t.created, t.created_by, \
                      t.revoked, t.agent, t.sources, t.tags, t.re_enrol FROM enrolment_token t JOIN registration r ON r.id = t.registration";

impl Registry {
    /// Makes a token for a registration. Only its hash is kept.
    pub fn create_token(
        &self,
        new: &NewToken,
        identity: &Identity,
        by: &Operator,
        now: Timestamp,
    ) -> Result<IssuedToken, RegistryError> {
        let terms = Terms::check(new)?;
        let secret = new_secret();
        let entry = self.change_of(Concerns::Nobody, "create an enrolment token", |transaction| {
            let registration = registrations::by_id(transaction, new.registration)?
                .filter(|registration| registration.organisation == by.organisation)
                .ok_or_else(|| Fault::not_found("registration", &new.registration.0))?;
            let entry = TokenEntry {
                id: 0,
                registration: registration.id,
                site: registration.site.clone(),
                agent: None,
                sources: terms.sources,
                tags: terms.tags,
                re_enrol: new.re_enrol,
                max_uses: terms.max_uses,
                uses: 0,
                expires: now.plus(terms.life),
                created: now,
                created_by: by.name.clone(),
                revoked: None,
            };
            keep(transaction, ("token create", entry), &registration, &secret, by)
        })?;
        Ok(issue(secret, identity, entry))
    }

    /// Makes a token with which one enrolled agent brings a new key. Only its hash is kept.
    pub fn create_key_token(
        &self,
        agent: AgentId,
        new: NewKeyToken,
        identity: &Identity,
        by: &Operator,
        now: Timestamp,
    ) -> Result<IssuedToken, RegistryError> {
        let life = check_life(new.life_s)
            .map_err(|fault| RegistryError::Invalid { what: "enrolment token", errors: vec![fault] })?;
        let secret = new_secret();
        let entry = self.change("create an enrolment token", |transaction| {
            let agent = agents::entry(transaction, by.organisation, agent, now)?;
            let registration = registrations::by_id(transaction, agent.registration)?
                .ok_or_else(|| Fault::damaged("agent", "its registration is missing"))?;
            let entry = TokenEntry {
                id: 0,
                registration: registration.id,
                site: registration.site.clone(),
                agent: Some(agent.agent),
                sources: Vec::new(),
                tags: Vec::new(),
                re_enrol: false,
                max_uses: 1,
                uses: 0,
                expires: now.plus(life),
                created: now,
                created_by: by.name.clone(),
                revoked: None,
            };
            keep(transaction, ("agent token", entry), &registration, &secret, by)
        })?;
        Ok(issue(secret, identity, entry))
    }

    /// The tokens that are asked for, newest first.
    pub fn tokens(
        &self,
        organisation: OrganisationId,
        query: &TokenQuery,
        now: Timestamp,
    ) -> Result<Vec<TokenEntry>, RegistryError> {
        let before = query.before.unwrap_or(i64::MAX);
        let limit = query.limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let which = which(query.all);
        self.read("list the enrolment tokens", |connection| {
            rows(
                connection,
                &format!("{SELECT} WHERE {which} AND t.id < ?3 ORDER BY t.id DESC LIMIT ?4"),
                params![organisation.0, now.as_micros(), before, limit],
                read,
            )
        })
    }

    /// How many tokens there are: those that still hold, or all.
    pub fn count_tokens(
        &self,
        organisation: OrganisationId,
        all: bool,
        now: Timestamp,
    ) -> Result<usize, RegistryError> {
        self.read("count the enrolment tokens", |connection| {
            let sql = format!("SELECT count(*) FROM enrolment_token t WHERE {}", which(all));
            count(connection, &sql, params![organisation.0, now.as_micros()])
        })
    }

    /// Revokes a token: it enrols nobody from now on. Agents that it has enrolled stay.
    pub fn revoke_token(&self, id: i64, by: &Operator, now: Timestamp) -> Result<TokenEntry, RegistryError> {
        self.change("revoke an enrolment token", |transaction| {
            let before = row(
                transaction,
                &format!("{SELECT} WHERE t.organisation = ?1 AND t.id = ?2"),
                params![by.organisation.0, id],
                read,
            )?
            .ok_or_else(|| Fault::not_found("token", &id))?;
            if before.revoked.is_some() {
                return Ok(before);
            }
            transaction.execute(
                "UPDATE enrolment_token SET revoked = ?2 WHERE id = ?1",
                params![id, now.as_micros()],
            )?;
            let after = TokenEntry { revoked: Some(now), ..before.clone() };
            audit::record(
                transaction,
                by,
                now,
                &Change::changed("token revoke", &after.site, &before, &after),
            )?;
            Ok(after)
        })
    }
}

/// The condition on tokens `t` of the organisation `?1` at the instant `?2`, as [`TokenEntry::holds`] has it.
const fn which(all: bool) -> &'static str {
    if all {
        "t.organisation = ?1 AND ?2 IS NOT NULL"
    } else {
        "t.organisation = ?1 AND t.revoked IS NULL AND t.uses < t.max_uses AND t.expires > ?2"
    }
}

/// Keeps a token's hash, and writes down who made it.
fn keep(
    connection: &Connection,
    (what, mut entry): (&'static str, TokenEntry),
    registration: &Registration,
    secret: &str,
    by: &Operator,
) -> Result<TokenEntry, Fault> {
    let now = entry.created;
    if registration.valid_to.is_some_and(|end| end <= now) {
        return Err(Fault::conflict(format!("the registration of `{}` has ended", registration.site)));
    }
    connection.execute(
        "INSERT INTO enrolment_token (organisation, registration, hash, agent, max_uses, expires, created, created_by,
         sources, tags, re_enrol) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            by.organisation.0,
            entry.registration.0,
            hash_secret(secret),
            entry.agent.as_ref().map(AgentId::as_bytes),
            entry.max_uses,
            entry.expires.as_micros(),
            now.as_micros(),
            entry.created_by,
            to_json(&entry.sources),
            to_json(&entry.tags),
            entry.re_enrol
        ],
    )?;
    entry.id = connection.last_insert_rowid();
    audit::record(connection, by, now, &Change::added(what, &entry.site, &entry))?;
    Ok(entry)
}

/// The token as its agent is given it.
fn issue(secret: String, identity: &Identity, entry: TokenEntry) -> IssuedToken {
    let token = EnrolmentToken {
        collector: identity.agent_url.clone(),
        ca_sha256: identity.ca_sha256.clone(),
        response_key: identity.response_key.clone(),
        secret,
        agent: entry.agent,
    };
    IssuedToken { token: token.to_text(), entry }
}

fn read(row: &Row<'_>) -> Result<TokenEntry, Fault> {
    Ok(TokenEntry {
        id: row.get(0)?,
        registration: RegistrationId(row.get(1)?),
        site: row.get(2)?,
        agent: row.get::<_, Option<[u8; 16]>>(9)?.map(AgentId::new),
        sources: json("token's prefixes", &row.get::<_, String>(10)?)?,
        tags: json("token's tags", &row.get::<_, String>(11)?)?,
        re_enrol: row.get(12)?,
        max_uses: row.get(3)?,
        uses: row.get(4)?,
        expires: Timestamp::from_micros(row.get(5)?),
        created: Timestamp::from_micros(row.get(6)?),
        created_by: row.get(7)?,
        revoked: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_micros),
    })
}
