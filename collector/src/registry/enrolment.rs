//! Enrolment: a token's secret and an agent's key become an agent of a registration.

use super::{
    AgentKey, Fault, Operator, Registration, RegistrationId, Registry, RegistryError, Role, agents,
    audit::{self, Change},
    callers::Concerns,
    hash_secret, json, keys, names, prefixes, providers, re_enrolment, registrations, row, to_json,
    token_use::{self, Attempt, Outcome},
};
use crate::{organisation::OrganisationId, rfc3339};
use ipnet::IpNet;
use peerlight_proto::{
    enrolment::{EnrolmentRequest, SiteAssertion},
    id::AgentId,
    limits::{MAX_TEXT_BYTES, MAX_UPLINKS},
    time::Timestamp,
};
use rusqlite::{Connection, params};
use std::{collections::BTreeSet, net::IpAddr, time::Duration};
use subtle::ConstantTimeEq as _;

/// A machine that was heard of within this runs still: no other takes its place.
const SILENT_FOR: Duration = Duration::from_mins(5);

/// Why an agent was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The request's key is no key.
    #[error("the public key is not 32 bytes in hexadecimal")]
    MalformedKey,
    /// The token is nobody's.
    #[error(
        "the enrolment token is not one of this collector; ask its operator for a new one (`peerlight-collector token create`)"
    )]
    UnknownToken,
    /// The token is used up, expired, revoked or another agent's.
    #[error(
        "the enrolment token {reason}; ask the collector's operator for a new one (`peerlight-collector token create`)"
    )]
    TokenRefused {
        /// What is wrong with it.
        reason: String,
    },
    /// What the agent's configuration says of its site contradicts the registration.
    #[error("the agent's [site] does not match the registration: {}", mismatches.join("; "))]
    SiteMismatch {
        /// Every contradiction, with both values.
        mismatches: Vec<String>,
    },
    /// The agent's identity is enrolled with another key, or its key by another agent.
    #[error(
        "agent {agent} is enrolled with another key; enrol it with a token of its own (`peerlight-collector agent token`), \
         or delete its state directory to make a new identity"
    )]
    AgentExists {
        /// The agent.
        agent: AgentId,
    },
    /// The machine was set up anew, and its token lets it become the agent that it was. Nothing is enrolled yet.
    #[error("this machine is known as agent {agent}, and is to enrol as that one")]
    KnownAs {
        /// The agent.
        agent: AgentId,
        /// What it measures for.
        registration: Box<Registration>,
    },
    /// The same, but that agent was heard of a moment ago.
    #[error(
        "agent {agent} has this machine's name and was heard of a moment ago; only once it is silent may another machine take \
         its place"
    )]
    StillHeard {
        /// The agent.
        agent: AgentId,
    },
    /// The key is, or once was, another agent's, or was this agent's and has been replaced.
    #[error("this key is, or once was, an agent's; make a new one (`peerlight-agent enrol --new-key`)")]
    KeyKnown,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl Registry {
    /// Enrols an agent. The same token and key get the same answer again, so that a lost answer burns nothing; an agent
    /// that is enrolled already moves to the registration of a new token. Every use of a known token is audited, refused
    /// ones too.
    pub fn enrol(
        &self,
        request: &EnrolmentRequest,
        source: IpAddr,
        now: Timestamp,
    ) -> Result<Registration, EnrolError> {
        let mut key = [0; 32];
        hex::decode_to_slice(&request.public_key, &mut key)
            .map_err(|_not_hexadecimal| EnrolError::MalformedKey)?;
        let newcomer = Newcomer { request, key, source };
        self.change_of(Concerns::Agent(request.agent), "enrol an agent", |transaction| {
            let Some(token) = find_token(transaction, &request.secret)? else {
                return Ok(Err(EnrolError::UnknownToken));
            };
            let registration = registrations::by_id(transaction, token.registration)?
                .ok_or_else(|| Fault::damaged("enrolment token", "its registration is missing"))?;
            let heard = |agent| self.seen_lately(agent).is_some_and(|at| now.since(at) < SILENT_FOR);
            let outcome = match enrol(transaction, &token, (&registration, &heard), &newcomer, now) {
                // What was written so far must go, so this one is the transaction's failure, not its answer.
                Err(EnrolError::Registry(error)) => return Err(Fault::Refused(error)),
                outcome => outcome,
            };
            let (organisation, agent) = (token.organisation, request.agent);
            let attempt = Attempt { token: token.id, organisation, agent, source };
            token_use::record(transaction, attempt, &registration.site, &outcome, now)?;
            Ok(outcome.map(|_enrolled| registration))
        })?
    }
}

/// The token as enrolment needs it.
pub(super) struct Token {
    id: i64,
    pub(super) organisation: OrganisationId,
    pub(super) registration: RegistrationId,
    hash: [u8; 32],
    max_uses: u32,
    uses: u32,
    expires: Timestamp,
    revoked: bool,
    /// The one agent that may use it, and bring a new key.
    agent: Option<AgentId>,
    /// From where it may be used; empty for anywhere.
    sources: Vec<IpNet>,
    tags: Vec<String>,
    /// Whether a machine that was set up anew becomes the agent that it was.
    pub(super) re_enrol: bool,
}

/// Who enrols.
pub(super) struct Newcomer<'a> {
    pub(super) request: &'a EnrolmentRequest,
    key: [u8; 32],
    source: IpAddr,
}

impl From<Fault> for EnrolError {
    fn from(fault: Fault) -> Self {
        Self::Registry(fault.during("enrol an agent"))
    }
}

fn enrol(
    connection: &Connection,
    token: &Token,
    (registration, heard): (&Registration, &dyn Fn(AgentId) -> bool),
    newcomer: &Newcomer<'_>,
    now: Timestamp,
) -> Result<Outcome, EnrolError> {
    let request = newcomer.request;
    if token.revoked {
        return Err(refused("was revoked".to_owned()));
    }
    if !token.sources.is_empty() && !token.sources.iter().any(|prefix| prefix.contains(&newcomer.source)) {
        return Err(refused(format!("may not be used from {}", newcomer.source)));
    }
    if registration.valid_to.is_some_and(|end| end <= now) {
        return Err(refused(format!("is for `{}`, whose registration has ended", registration.site)));
    }
    if let Some(only) = token.agent.filter(|only| *only != request.agent) {
        return Err(refused(format!("is for agent {only} alone")));
    }
    if let Some(site) = &request.site {
        let mismatches = mismatches(connection, site, registration)?;
        if !mismatches.is_empty() {
            return Err(EnrolError::SiteMismatch { mismatches });
        }
    }
    if already(connection, token, request, newcomer.key)? {
        return Ok(Outcome::Again);
    }
    if token.expires <= now {
        return Err(refused(format!("expired at {}", rfc3339::text(token.expires))));
    }
    if token.uses >= token.max_uses {
        return Err(refused("is used up".to_owned()));
    }
    let before = agents::find(connection, token.organisation, request.agent, now)?;
    if let Some(agent) = re_enrolment::predecessor(connection, token, newcomer)? {
        return Err(if heard(agent) {
            EnrolError::StillHeard { agent }
        } else {
            EnrolError::KnownAs { agent, registration: Box::new(registration.clone()) }
        });
    }
    admit_key(connection, token, (newcomer, heard), now)?;
    keep(connection, token, newcomer, now)?;
    let after = agents::entry(connection, token.organisation, request.agent, now)?;
    let by = Operator::of(token.organisation, "agent".to_owned(), Role::Reader);
    let change =
        Change { before: before.as_ref().map(to_json), ..Change::added("agent enrol", &after.site, &after) };
    audit::record(connection, &by, now, &change)?;
    Ok(Outcome::Enrolled)
}

fn refused(reason: String) -> EnrolError {
    EnrolError::TokenRefused { reason }
}

fn find_token(connection: &Connection, secret: &str) -> Result<Option<Token>, Fault> {
    let hash = hash_secret(secret);
    let found = row(
        connection,
        "SELECT id, organisation, registration, hash, max_uses, uses, expires, revoked IS NOT NULL, agent,
         sources, tags, re_enrol FROM enrolment_token WHERE hash = ?1",
        params![hash],
        |row| {
            Ok(Token {
                id: row.get(0)?,
                organisation: OrganisationId(row.get(1)?),
                registration: RegistrationId(row.get(2)?),
                hash: row.get(3)?,
                max_uses: row.get(4)?,
                uses: row.get(5)?,
                expires: Timestamp::from_micros(row.get(6)?),
                revoked: row.get(7)?,
                agent: row.get::<_, Option<[u8; 16]>>(8)?.map(AgentId::new),
                sources: json("token's prefixes", &row.get::<_, String>(9)?)?,
                tags: json("token's tags", &row.get::<_, String>(10)?)?,
                re_enrol: row.get(11)?,
            })
        },
    )?;
    // The index has found it by its hash, of which timing tells nothing; this makes the verdict itself constant.
    Ok(found.filter(|token| bool::from(token.hash.ct_eq(&hash))))
}

/// Whether this token has enrolled this agent with this key, and it still measures for that registration, or for its site
/// beside others.
fn already(
    connection: &Connection,
    token: &Token,
    request: &EnrolmentRequest,
    key: [u8; 32],
) -> Result<bool, Fault> {
    let found = row(
        connection,
        "SELECT 1 FROM enrolment e JOIN agent a ON a.id = e.agent WHERE e.token = ?1 AND e.public_key = ?2
         AND e.agent = ?3 AND a.public_key = ?2 AND a.revoked IS NULL AND (a.registration = ?4 OR ?5 AND EXISTS (
             SELECT 1 FROM registration r JOIN json_each(a.uplinks) uplink ON uplink.value = r.site WHERE r.id = ?4))",
        params![
            token.id,
            key,
            request.agent.as_bytes(),
            token.registration.0,
            !request.uplinks.is_empty()
        ],
        |_row| Ok(()),
    )?;
    Ok(found.is_some())
}

/// An identity keeps its key and a key its identity, unless the token is this agent's own: then a new key takes the place
/// of the one that was lost or has expired. A key that was replaced never comes back.
fn admit_key(
    connection: &Connection,
    token: &Token,
    (newcomer, heard): (&Newcomer<'_>, &dyn Fn(AgentId) -> bool),
    now: Timestamp,
) -> Result<(), EnrolError> {
    let (agent, key) = (newcomer.request.agent, newcomer.key);
    let own = keys::of(connection, agent)?;
    if own.as_ref().is_some_and(|own| own.used == key) {
        return Ok(());
    }
    let is_to_follow = own.as_ref().and_then(|own| own.next).is_some_and(|next| next.public_key == key);
    if !is_to_follow && keys::is_known(connection, &key)? {
        return Err(EnrolError::KeyKnown);
    }
    match own {
        None => Ok(()),
        Some(own) if token.agent == Some(agent) || re_enrolment::takes_up(connection, token, newcomer)? => {
            if token.agent.is_none() && heard(agent) {
                return Err(EnrolError::StillHeard { agent });
            }
            let new = AgentKey { public_key: key, since: now };
            keys::replace(connection, agent, &own.used, new, now)?;
            Ok(())
        }
        Some(_other_key) => Err(EnrolError::AgentExists { agent }),
    }
}

fn keep(
    connection: &Connection,
    token: &Token,
    newcomer: &Newcomer<'_>,
    now: Timestamp,
) -> Result<(), Fault> {
    let agent = newcomer.request.agent;
    connection.execute(
        "INSERT INTO agent (id, organisation, registration, public_key, key_since, host, version, enrolled, enrolled_from)
         VALUES (?1, ?2, ?3, ?4, ?7, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET organisation = excluded.organisation, registration = excluded.registration,
         host = excluded.host, version = excluded.version, enrolled = excluded.enrolled,
         enrolled_from = excluded.enrolled_from, revoked = NULL, retired_by = NULL, cloned_since = NULL",
        params![
            agent.as_bytes(),
            token.organisation.0,
            token.registration.0,
            newcomer.key,
            printable(&newcomer.request.host),
            printable(&newcomer.request.version),
            now.as_micros(),
            newcomer.source.to_string()
        ],
    )?;
    connection.execute(
        "INSERT OR REPLACE INTO enrolment (token, public_key, agent, at) VALUES (?1, ?2, ?3, ?4)",
        params![token.id, newcomer.key, agent.as_bytes(), now.as_micros()],
    )?;
    connection.execute("UPDATE enrolment_token SET uses = uses + 1 WHERE id = ?1", params![token.id])?;
    let tags = all_tags(connection, agent, &token.tags)?;
    connection.execute(
        "UPDATE agent SET uplinks = ?2, tags = ?3 WHERE id = ?1",
        params![agent.as_bytes(), to_json(&uplinks(connection, newcomer.request)?), to_json(&tags)],
    )?;
    Ok(())
}

/// The tags that the agent has, and those of its token.
fn all_tags(connection: &Connection, agent: AgentId, more: &[String]) -> Result<BTreeSet<String>, Fault> {
    let present =
        row(connection, "SELECT tags FROM agent WHERE id = ?1", params![agent.as_bytes()], |row| {
            json::<BTreeSet<String>>("agent's tags", &row.get::<_, String>(0)?)
        })?;
    Ok(present.into_iter().flatten().chain(more.iter().cloned()).collect())
}

/// The sites that the agent measures side by side, as far as it has enrolled for them.
fn uplinks(connection: &Connection, request: &EnrolmentRequest) -> Result<BTreeSet<String>, Fault> {
    let wanted: BTreeSet<String> =
        request.uplinks.iter().take(MAX_UPLINKS).map(|name| names::fold(name)).collect();
    let enrolled = registrations::of_agent(connection, request.agent)?;
    Ok(enrolled.into_iter().map(|one| one.site).filter(|site| wanted.contains(&names::fold(site))).collect())
}

/// A text of an agent, fit to be shown: no control characters, not too long.
pub(super) fn printable(text: &str) -> String {
    let mut shown: String = text.chars().filter(|character| !character.is_control()).collect();
    while shown.len() > MAX_TEXT_BYTES {
        shown.pop();
    }
    shown
}

/// Every contradiction between an agent's word and the registration. What the agent does not say cannot contradict.
fn mismatches(
    connection: &Connection,
    site: &SiteAssertion,
    registration: &Registration,
) -> Result<Vec<String>, Fault> {
    let mut found = Vec::new();
    let mut contradicts = |what: &str, agent: &str, collector: &str| {
        found.push(format!("{what} `{}` on the agent, `{collector}` at the collector", printable(agent)));
    };
    if site.name != registration.site {
        contradicts("name", &site.name, &registration.site);
    }
    let called_so = names::fold(&site.provider) == names::fold(&registration.provider)
        || providers::present(connection, registration.organisation)?
            .iter()
            .any(|provider| provider.name == registration.provider && provider.is_called(&site.provider));
    if !called_so && !site.provider.is_empty() {
        contradicts("provider", &site.provider, &registration.provider);
    }
    if !site.location.is_empty() && !site.location.trim().eq_ignore_ascii_case(&registration.location) {
        contradicts("location", &site.location, &registration.location);
    }
    let theirs: Option<BTreeSet<IpNet>> =
        site.prefixes.iter().map(|text| prefixes::parse(text).ok()).collect();
    let ours: BTreeSet<IpNet> = registration.prefixes.iter().copied().collect();
    if !site.prefixes.is_empty() && theirs.as_ref() != Some(&ours) {
        let listed: Vec<String> = registration.prefixes.iter().map(ToString::to_string).collect();
        contradicts("prefixes", &site.prefixes.join(", "), &listed.join(", "));
    }
    Ok(found)
}
