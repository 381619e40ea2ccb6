//! The registry's tables, and how an older file comes up to date.

use super::RegistryError;
use rusqlite::{Connection, TransactionBehavior};

/// One step per released shape of the tables; `user_version` counts the steps that a file has taken.
pub(super) const STEPS: [&str; 8] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
    include_str!("schema/8.sql"),
];

/// Brings the tables up to date; refuses a file that a newer collector wrote.
pub(super) fn upgrade(connection: &mut Connection) -> Result<(), RegistryError> {
    let database = |source| RegistryError::Database { operation: "bring its tables up to date", source };
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(database)?;
    let taken = usize::try_from(found).unwrap_or(usize::MAX);
    if taken > STEPS.len() {
        return Err(RegistryError::NewerSchema { found, known: STEPS.len() });
    }
    for (step, version) in STEPS.iter().zip(1_u32..).skip(taken) {
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(database)?;
        transaction.execute_batch(step).map_err(database)?;
        transaction.pragma_update(None, "user_version", version).map_err(database)?;
        transaction.commit().map_err(database)?;
    }
    Ok(())
}
