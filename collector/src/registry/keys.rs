//! The keys that agents are known by: the one that is used, the one that is to follow it, and those that never come back.
//!
//! The key that is used is believed until the first request that the next one signs. So an agent that dies anywhere in
//! between comes back with whichever key it still has.

use super::{
    EnrolledAgent, Fault, Operator, Registry, RegistryError, Role, agents,
    audit::{self, Change},
    row,
};
use crate::organisation::OrganisationId;
use peerlight_proto::{id::AgentId, keys::Rotation, time::Timestamp};
use rusqlite::{Connection, params};

/// Why no new key follows.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The key that the request names is not the one that the agent is known by: another request was faster.
    #[error("the key that signed was replaced meanwhile; sign with the one that the agent has now")]
    Replaced,
    /// The new key is known already.
    #[error("the new key is, or once was, an agent's; make another one")]
    Known,
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// A key of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentKey {
    /// The ed25519 public key.
    pub public_key: [u8; 32],
    /// When its life began.
    pub since: Timestamp,
}

/// The key that signed a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signer {
    /// The key.
    pub key: AgentKey,
    /// Whether it is the one that is to follow, which is used for the first time.
    pub first_use: bool,
}

impl EnrolledAgent {
    /// Which of the agent's keys `verify` accepts; else its word on the key that is used.
    pub fn signer<E>(&self, verify: impl Fn(&[u8; 32]) -> Result<(), E>) -> Result<Signer, E> {
        let current = AgentKey { public_key: self.public_key, since: self.key_since };
        let refused = match verify(&current.public_key) {
            Ok(()) => return Ok(Signer { key: current, first_use: false }),
            Err(refused) => refused,
        };
        let next = self.next_key.filter(|next| verify(&next.public_key).is_ok());
        next.map(|key| Signer { key, first_use: true }).ok_or(refused)
    }
}

impl Registry {
    /// Makes the key known that is to follow. Asking again for the same one changes nothing; another one takes the place of
    /// one that was never used. Returns when its life began.
    pub fn rotate_key(&self, rotation: &Rotation, now: Timestamp) -> Result<Timestamp, RotationError> {
        self.change("have a new key follow", |transaction| {
            let Some(keys) = of(transaction, rotation.agent)? else {
                return Err(Fault::not_found("agent", &rotation.agent));
            };
            if keys.used != rotation.key {
                return Ok(Err(RotationError::Replaced));
            }
            if let Some(next) = keys.next.filter(|next| next.public_key == rotation.next) {
                return Ok(Ok(next.since));
            }
            if is_known(transaction, &rotation.next)? {
                return Ok(Err(RotationError::Known));
            }
            audited(transaction, "agent key rotate", (rotation.agent, keys.organisation), now, || {
                Ok(transaction.execute(
                    "UPDATE agent SET next_key = ?2, next_key_since = ?3 WHERE id = ?1",
                    params![rotation.agent.as_bytes(), rotation.next, now.as_micros()],
                )?)
            })?;
            Ok(Ok(now))
        })?
    }

    /// The key that is to follow was used: from now on it alone is believed. Does nothing if it is in use already.
    pub fn use_next_key(&self, agent: AgentId, next: &[u8; 32], now: Timestamp) -> Result<(), RegistryError> {
        self.change("use a new key", |transaction| {
            let Some(keys) = of(transaction, agent)? else { return Ok(()) };
            let Some(next) = keys.next.filter(|known| known.public_key == *next) else { return Ok(()) };
            audited(transaction, "agent key use", (agent, keys.organisation), now, || {
                replace(transaction, agent, &keys.used, next, now)
            })
        })
    }
}

/// What is known of an agent's keys.
pub(super) struct Keys {
    organisation: OrganisationId,
    /// The one that is used.
    pub(super) used: [u8; 32],
    /// The one that is to follow.
    pub(super) next: Option<AgentKey>,
}

/// An agent's keys, if it has enrolled.
pub(super) fn of(connection: &Connection, agent: AgentId) -> Result<Option<Keys>, Fault> {
    row(
        connection,
        "SELECT organisation, public_key, next_key, next_key_since FROM agent WHERE id = ?1",
        params![agent.as_bytes()],
        |row| {
            Ok(Keys {
                organisation: OrganisationId(row.get(0)?),
                used: row.get(1)?,
                next: read_next(row.get(2)?, row.get(3)?),
            })
        },
    )
}

/// The key that is to follow, of its two columns.
pub(super) fn read_next(public_key: Option<[u8; 32]>, since: Option<i64>) -> Option<AgentKey> {
    let (public_key, since) = public_key.zip(since)?;
    Some(AgentKey { public_key, since: Timestamp::from_micros(since) })
}

/// Whether the key is, or once was, some agent's.
pub(super) fn is_known(connection: &Connection, key: &[u8; 32]) -> Result<bool, Fault> {
    let found = row(
        connection,
        "SELECT 1 FROM agent WHERE public_key = ?1 UNION ALL SELECT 1 FROM agent WHERE next_key = ?1
         UNION ALL SELECT 1 FROM retired_key WHERE public_key = ?1",
        params![key],
        |_row| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Puts `new` in the place of `old` and of any key that was to follow; `old` never comes back.
pub(super) fn replace(
    connection: &Connection,
    agent: AgentId,
    old: &[u8; 32],
    new: AgentKey,
    now: Timestamp,
) -> Result<usize, Fault> {
    connection.execute(
        "INSERT OR IGNORE INTO retired_key (public_key, agent, at) VALUES (?1, ?2, ?3)",
        params![old, agent.as_bytes(), now.as_micros()],
    )?;
    Ok(connection.execute(
        "UPDATE agent SET public_key = ?2, key_since = ?3, next_key = NULL, next_key_since = NULL WHERE id = ?1",
        params![agent.as_bytes(), new.public_key, new.since.as_micros()],
    )?)
}

/// Changes an agent's keys and writes down what they were and are.
fn audited(
    connection: &Connection,
    what: &'static str,
    (agent, organisation): (AgentId, OrganisationId),
    now: Timestamp,
    change: impl FnOnce() -> Result<usize, Fault>,
) -> Result<(), Fault> {
    let before = agents::entry(connection, organisation, agent, now)?;
    change()?;
    let after = agents::entry(connection, organisation, agent, now)?;
    let by = Operator::of(organisation, "agent".to_owned(), Role::Reader);
    audit::record(connection, &by, now, &Change::changed(what, &after.site, &before, &after))
}
