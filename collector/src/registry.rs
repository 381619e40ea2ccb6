//! The registry: providers, locations, registrations, agents, targets and tokens, and who changed them.
//!
//! Small, transactional, and the truth about whose a measurement is. Methods are short blocking calls on one
//! connection; async callers use `spawn_blocking` where it matters.

mod agent_health;
mod agent_list;
mod agent_state;
mod agent_tags;
mod agents;
mod alerts;
mod assignments;
mod audit;
mod callers;
mod directory;
mod ending;
mod enrolment;
mod error;
pub mod import;
mod index;
mod keys;
mod locations;
mod names;
mod nonces;
mod operators;
mod persons;
pub mod prefixes;
mod provider_links;
mod providers;
mod re_enrolment;
mod reattribution;
mod registration;
mod registrations;
mod retirement;
mod roll_out;
mod schema;
mod sightings;
mod tags;
mod target_sets;
mod targets;
mod time_zones;
mod token_use;
mod tokens;

pub use agent_health::AgentHealth;
pub use agent_list::{AgentPlace, AgentQuery};
pub use agent_tags::NewTags;
pub use agents::{AgentEntry, AgentSite, EnrolledAgent};
pub use alerts::{
    AlertNote, AlertRules, AlertSilence, Delivery, DeliveryEntry, DeliveryOutcome, NewRules, Undelivered,
};
pub use audit::AuditEntry;
pub use directory::{DirectoryEntry, directory, directory_entry};
pub use enrolment::EnrolError;
pub use error::RegistryError;
pub use index::{RegistrationIndex, Registrations};
pub use keys::{AgentKey, RotationError, Signer};
pub use locations::{Location, NewLocation};
pub use operators::{IssuedOperatorToken, NewOperatorToken, Operator, OperatorToken, Role, Sight};
pub use persons::Person;
pub use provider_links::{IssuedProviderLink, NewProviderLink, ProviderLink};
pub use providers::{NewProvider, Provider, ProviderKind};
pub use registration::{Registration, RegistrationId};
pub use registrations::NewRegistration;
pub use roll_out::RollOut;
pub use sightings::{BatchSighting, Sighting};
pub use target_sets::{NewShare, RollBack, TargetSetEntry, TargetSetState};
pub use targets::{NewTarget, TargetEntry, WhichSet};
pub use tokens::{Identity, IssuedToken, NewKeyToken, NewToken, TokenEntry, TokenQuery};

use crate::organisation::OrganisationId;
use assignments::Given;
use callers::{Callers, Concerns};
use error::Fault;
use hashbrown::HashMap;
use rusqlite::{Connection, Params, Row, Transaction, TransactionBehavior};
use sha2::{Digest as _, Sha256};
use sightings::Sightings;
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

/// How long a call waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many questions stay prepared: as many as there are.
const PREPARED_STATEMENTS: usize = 64;

/// A handle on the registry's file; clones share it.
#[derive(Debug, Clone)]
pub struct Registry {
    connection: Arc<Mutex<Connection>>,
    /// Sightings that are not noted yet, in their order.
    sightings: Sightings,
    callers: Callers,
    /// What agents are assigned.
    given: Given,
    /// Every registration as the file has it, for what would have to read many of them. Changes with the file, under the
    /// connection's lock; no second process writes it.
    indices: Arc<RwLock<HashMap<OrganisationId, RegistrationIndex>>>,
}

impl Registry {
    /// Opens the file, makes it if need be, and brings its tables up to date.
    pub fn open(path: &Path) -> Result<Self, RegistryError> {
        let failed = |source| RegistryError::Open { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
        schema::upgrade(&mut connection)?;
        let sightings = Sightings::of(&connection).map_err(|fault| fault.during("read who was seen"))?;
        let registrations = registrations::all(&connection);
        let registrations = registrations.map_err(|fault| fault.during("read the registrations"))?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            sightings,
            callers: Callers::default(),
            given: Given::default(),
            indices: Arc::new(RwLock::new(index::by_organisation(registrations))),
        })
    }

    /// Whether the file answers: what readiness asks.
    pub fn check(&self) -> Result<(), RegistryError> {
        self.read("answer", |connection| {
            Ok(connection.query_row("SELECT 1 FROM organisation", [], |_row| Ok(()))?)
        })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back when it unwound, so the connection is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        operation: &'static str,
        ask: impl FnOnce(&Connection) -> Result<T, Fault>,
    ) -> Result<T, RegistryError> {
        ask(&self.connection()).map_err(|fault| fault.during(operation))
    }

    /// Runs `act` in one durable transaction: all of it happens, or nothing.
    fn change<T>(
        &self,
        operation: &'static str,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, RegistryError> {
        self.change_of(Concerns::Everyone, operation, act)
    }

    /// Like `change`, where it is known whom it concerns: what requests need to know of the others stays in memory.
    fn change_of<T>(
        &self,
        whom: Concerns,
        operation: &'static str,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.connection();
        let done = transact(&mut connection, act).map_err(|fault| fault.during(operation));
        // Before the connection is given back, and after a failure, too: it may have been the commit's.
        self.callers.forget(whom);
        if matches!(whom, Concerns::Everyone | Concerns::Targets) {
            self.given.forget();
        }
        done
    }

    /// Like `change`, but a power cut may lose it: for what the next request of an agent tells again.
    fn jot<T>(
        &self,
        operation: &'static str,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, RegistryError> {
        let mut connection = self.connection();
        let failed = |source| Fault::Sql(source).during(operation);
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(failed)?;
        let done = transact(&mut connection, act).map_err(|fault| fault.during(operation));
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        done
    }
}

/// Runs `act` in one transaction: all of it happens, or nothing.
fn transact<T>(
    connection: &mut Connection,
    act: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = act(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

/// Every row of a question, read by `read`.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params)?;
    let mut entries = Vec::new();
    while let Some(row) = found.next()? {
        entries.push(read(row)?);
    }
    Ok(entries)
}

/// The first row of a question, if there is one.
fn row<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(params)?;
    found.next()?.map(read).transpose()
}

/// What a question counts.
fn count(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, Fault> {
    let counted = row(connection, sql, params, |row| Ok(row.get::<_, i64>(0)?))?;
    Ok(counted.and_then(|counted| usize::try_from(counted).ok()).unwrap_or(0))
}

/// A JSON column.
fn json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| Fault::damaged(what, &error))
}

/// What JSON columns hold. The registry's own types always serialise.
fn to_json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// 32 random bytes in hexadecimal.
fn new_secret() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// What is kept of a secret.
fn hash_secret(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests;
