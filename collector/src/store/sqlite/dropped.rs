//! What is missing: agents' accounts of what they dropped, what was refused of their batches, and batches set aside.
//!
//! An agent's totals only grow within an account, so the greatest of each is kept and a repeat changes nothing. What is
//! refused is added within the transaction that enters its batch into the ledger, and so once.

use super::{dictionary::Names, encoded::Encoded, kept::ceil_secs, log::add_to_tally};
use crate::{
    admission::AdmittedAccount,
    organisation::OrganisationId,
    registry::RegistrationId,
    store::{
        Dropped, Reattribute, StoreError,
        dropped::{DAMAGED, refused},
    },
};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeMap;

/// The account of what the collector itself refused or set aside.
const OWN: &[u8] = &[];
/// Before the reason in the tally of what was dropped.
const TALLY: &str = "dropped:";
/// The first text after all that begin so.
const AFTER_TALLY: &str = "dropped;";
/// How many rows one transaction drops.
const ROWS: u32 = 2_000;

/// Keeps what the batch's agent says that it dropped, whatever becomes of the batch itself.
pub(super) fn keep_account(db: &Connection, agent: u32, batch: &Encoded) -> rusqlite::Result<()> {
    let Some(AdmittedAccount { signed, entries }) = &batch.dropped else { return Ok(()) };
    let account = signed.id.as_bytes();
    for (registration, entry) in entries {
        let (hour, reason) = (entry.hour.as_secs(), entry.reason.as_str());
        let known: Option<i64> = db
            .prepare_cached(
                "SELECT measurements FROM dropped
                 WHERE agent = ?1 AND hour = ?2 AND account = ?3 AND uplink = ?4 AND reason = ?5",
            )?
            .query_row(params![agent, hour, account, entry.uplink, reason], |row| row.get(0))
            .optional()?;
        db.prepare_cached(
            "INSERT INTO dropped (organisation, agent, hour, account, uplink, reason, registration,
                                  measurements, turns, unread_batches, first, last)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT DO UPDATE SET
                measurements = max(measurements, excluded.measurements), turns = max(turns, excluded.turns),
                unread_batches = max(unread_batches, excluded.unread_batches),
                first = min(first, excluded.first), last = max(last, excluded.last)",
        )?
        .execute(params![
            batch.organisation.0,
            agent,
            hour,
            account,
            entry.uplink,
            reason,
            registration.0,
            count(entry.measurements),
            count(entry.turns),
            count(entry.unread_batches),
            entry.first.as_secs(),
            entry.last.as_secs(),
        ])?;
        let more = count(entry.measurements) - known.unwrap_or(0);
        add_to_tally(db, &format!("{TALLY}{reason}"), more.max(0))?;
    }
    Ok(())
}

/// Counts what was refused of a batch, within the transaction that stores the rest of it.
pub(super) fn keep_refused(db: &Connection, agent: u32, batch: &Encoded) -> rusqlite::Result<()> {
    for loss in &batch.lost {
        let reason = refused(loss.code);
        db.prepare_cached(
            "INSERT INTO dropped (organisation, agent, hour, account, uplink, reason, registration,
                                  measurements, turns, unread_batches, first, last)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?10, ?11)
             ON CONFLICT DO UPDATE SET
                measurements = measurements + excluded.measurements, turns = turns + excluded.turns,
                first = min(first, excluded.first), last = max(last, excluded.last)",
        )?
        .execute(params![
            batch.organisation.0,
            agent,
            loss.hour.as_secs(),
            OWN,
            loss.uplink,
            reason,
            loss.registration.0,
            count(loss.measurements),
            count(loss.turns),
            loss.first.as_secs(),
            loss.last.as_secs(),
        ])?;
        add_to_tally(db, &format!("{TALLY}{reason}"), count(loss.measurements))?;
    }
    Ok(())
}

/// Counts a batch of the log that is set aside, within the transaction that does it. Whose registration's it was stands in
/// what cannot be read.
pub(super) fn note_damaged(db: &Connection, batch: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO dropped (organisation, agent, hour, account, uplink, reason, registration,
                              measurements, turns, unread_batches, first, last)
         SELECT organisation, agent, oldest_start - oldest_start % 3600, ?2, '', ?3, NULL,
                0, probes, 1, oldest_start, max(oldest_start, newest_start) + 1
         FROM batch WHERE id = ?1
         ON CONFLICT DO UPDATE SET
            turns = turns + excluded.turns, unread_batches = unread_batches + 1,
            first = min(first, excluded.first), last = max(last, excluded.last)",
    )?
    .execute(params![batch, OWN, DAMAGED])?;
    Ok(())
}

/// What is missing of an organisation's measurements between two instants, added up over agents.
pub(super) fn between(
    db: &Connection,
    names: &mut Names,
    organisation: OrganisationId,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Dropped>, StoreError> {
    let database = StoreError::while_doing("read what was dropped");
    let mut statement = db
        .prepare_cached(
            "SELECT registration, CASE WHEN registration IS NULL THEN agent END, hour, account <> ?4, reason,
                    sum(measurements), sum(turns), sum(unread_batches), min(first), max(last)
             FROM dropped WHERE organisation = ?1 AND last > ?2 AND first < ?3
             GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 4, 5, 3",
        )
        .map_err(&database)?;
    let span = params![organisation.0, from.as_secs(), ceil_secs(to), OWN];
    let mut rows = statement.query(span).map_err(&database)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(&database)? {
        let number: Option<u32> = row.get(1).map_err(&database)?;
        let agent = number.map(|number| names.agent(db, number)).transpose()?;
        let read = || -> rusqlite::Result<Dropped> {
            let sum = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
            let instant = |column| row.get(column).map(Timestamp::from_secs);
            Ok(Dropped {
                registration: row.get::<_, Option<i64>>(0)?.map(RegistrationId),
                agent,
                hour: instant(2)?,
                by_agent: row.get(3)?,
                reason: row.get(4)?,
                measurements: sum(5)?,
                turns: sum(6)?,
                unread_batches: sum(7)?,
                first: instant(8)?,
                last: instant(9)?,
            })
        };
        found.push(read().map_err(&database)?);
    }
    Ok(found)
}

/// How many measurements are known to have been dropped ever since, by reason.
pub(super) fn totals(db: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    db.prepare_cached("SELECT what, count FROM tally WHERE what >= ?1 AND what < ?2")?
        .query_map([TALLY, AFTER_TALLY], |row| {
            let what: String = row.get(0)?;
            let reason = what.strip_prefix(TALLY).unwrap_or_default().to_owned();
            Ok((reason, row.get::<_, i64>(1)?.unsigned_abs()))
        })?
        .collect()
}

/// Gives what is missing to the registration that the rest was given to.
pub(super) fn reattribute(db: &Connection, order: &Reattribute) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE dropped SET registration = ?1
         WHERE organisation = ?2 AND registration = ?3 AND first >= ?4 AND first < ?5",
    )?
    .execute(params![
        order.to.0,
        order.organisation.0,
        order.from.0,
        order.since.map_or(i64::MIN, ceil_secs),
        ceil_secs(order.until)
    ])?;
    Ok(())
}

/// Forgets a slice of what ended before a second. Returns whether there may be more.
pub(super) fn expire(db: &mut Connection, before: i64) -> rusqlite::Result<bool> {
    let dropped = db
        .prepare_cached("DELETE FROM dropped WHERE id IN (SELECT id FROM dropped WHERE last < ?1 LIMIT ?2)")?
        .execute(params![before, ROWS])?;
    Ok(dropped > 0)
}

/// The codec bounds what an entry counts, and a batch its measurements.
fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
