//! Providers and locations end when no valid registration names them any more.

use super::{Fault, rows};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, params};

/// Ends an entry of `table`, a provider or a location, unless valid registrations name it; `in_use` is how the refusal
/// begins.
pub(super) fn end_unnamed(
    connection: &Connection,
    table: &'static str,
    id: i64,
    in_use: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let naming = format!(
        "SELECT site FROM registration WHERE {table} = ?1 AND (valid_to IS NULL OR valid_to > ?2) ORDER BY site"
    );
    let sites = rows(connection, &naming, params![id, now.as_micros()], |row| Ok(row.get::<_, String>(0)?))?;
    if !sites.is_empty() {
        let sites = sites.join(", ");
        return Err(Fault::conflict(format!("{in_use} {sites}; end those registrations first")));
    }
    connection
        .execute(&format!("UPDATE {table} SET ended = ?2 WHERE id = ?1"), params![id, now.as_micros()])?;
    Ok(())
}
