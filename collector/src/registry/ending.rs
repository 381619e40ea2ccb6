//! Providers and locations end when no valid registration names them any more.

use super::{Fault, count, rows};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, params};

/// How many sites a refusal names.
const SHOWN: usize = 12;

/// Ends an entry of `table`, a provider or a location, unless valid registrations name it; `in_use` is how the refusal
/// begins.
pub(super) fn end_unnamed(
    connection: &Connection,
    table: &'static str,
    id: i64,
    in_use: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let naming = format!("FROM registration WHERE {table} = ?1 AND (valid_to IS NULL OR valid_to > ?2)");
    let present = params![id, now.as_micros()];
    let count = count(connection, &format!("SELECT count(*) {naming}"), present)?;
    if count > 0 {
        let some = format!("SELECT site {naming} ORDER BY site LIMIT {SHOWN}");
        let sites = rows(connection, &some, present, |row| Ok(row.get::<_, String>(0)?))?.join(", ");
        let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
        return Err(Fault::conflict(format!("{in_use} {sites}{more}; end those registrations first")));
    }
    connection
        .execute(&format!("UPDATE {table} SET ended = ?2 WHERE id = ?1"), params![id, now.as_micros()])?;
    Ok(())
}
