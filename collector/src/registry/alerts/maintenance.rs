//! Where trouble is expected, and until when.

use super::super::{
    Fault, Operator, Registry, RegistryError,
    audit::{self, Change},
    callers::Concerns,
    json, row, rows, to_json,
};
use crate::{
    alert::{Maintenance, NewMaintenance},
    organisation::OrganisationId,
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, Row, params};
use std::time::Duration;

/// The longest window: what lasts longer is no maintenance.
const LONGEST: Duration = Duration::from_hours(30 * 24);
/// The longest reason.
const MAX_REASON_BYTES: usize = 500;
const COLUMNS: &str = "id, scope, since, until, reason, created_by";

impl Registry {
    /// The maintenance windows that are not over, the first to begin first; with `all` those that are over, too.
    pub fn maintenance(
        &self,
        organisation: OrganisationId,
        all: bool,
        now: Timestamp,
    ) -> Result<Vec<Maintenance>, RegistryError> {
        let since = if all { Timestamp::from_micros(i64::MIN) } else { now };
        self.read("list the maintenance windows", |connection| current(connection, organisation, since))
    }

    /// Adds a maintenance window.
    pub fn add_maintenance(
        &self,
        new: NewMaintenance,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Maintenance, RegistryError> {
        self.change_of(Concerns::Nobody, "add a maintenance window", |transaction| {
            let (from, to) = checked(&new, now)?;
            let reason = new.reason.trim().to_owned();
            let mut window =
                Maintenance { id: 0, scope: new.scope, from, to, reason, created_by: by.name.clone() };
            transaction.execute(
                "INSERT INTO alert_maintenance (organisation, scope, since, until, reason, created_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    by.organisation.0,
                    to_json(&window.scope),
                    from.as_micros(),
                    to.as_micros(),
                    window.reason,
                    window.created_by
                ],
            )?;
            window.id = transaction.last_insert_rowid();
            let object = format!("maintenance {}", window.id);
            audit::record(transaction, by, now, &Change::added("alert maintenance add", &object, &window))?;
            Ok(window)
        })
    }

    /// Ends a maintenance window now.
    pub fn end_maintenance(
        &self,
        id: i64,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Maintenance, RegistryError> {
        self.change_of(Concerns::Nobody, "end a maintenance window", |transaction| {
            let before = row(
                transaction,
                &format!("SELECT {COLUMNS} FROM alert_maintenance WHERE organisation = ?1 AND id = ?2"),
                params![by.organisation.0, id],
                read,
            )?;
            let before = before.ok_or_else(|| Fault::not_found("maintenance window", &id))?;
            if before.to <= now {
                return Err(Fault::conflict(format!("maintenance window {id} is over already")));
            }
            let after = Maintenance { to: now, from: before.from.min(now), ..before.clone() };
            transaction.execute(
                "UPDATE alert_maintenance SET since = ?2, until = ?3 WHERE id = ?1",
                params![id, after.from.as_micros(), now.as_micros()],
            )?;
            let object = format!("maintenance {id}");
            audit::record(
                transaction,
                by,
                now,
                &Change::changed("alert maintenance end", &object, &before, &after),
            )?;
            Ok(after)
        })
    }
}

fn checked(new: &NewMaintenance, now: Timestamp) -> Result<(Timestamp, Timestamp), Fault> {
    let mut wrong = Vec::new();
    let mut instant = |what: &str, text: &str| match rfc3339::parse(text) {
        Ok(instant) => instant,
        Err(error) => {
            wrong.push(format!("{what}: {error}"));
            now
        }
    };
    let from = new.from.as_deref().map_or(now, |text| instant("from", text));
    let to = instant("to", &new.to);
    if wrong.is_empty() && (to <= from || to <= now) {
        wrong.push("to must lie after from, and ahead".to_owned());
    }
    if to.since(from) > LONGEST {
        wrong.push("a window is at most 30 days long; change the rules' scopes instead".to_owned());
    }
    let reason = new.reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON_BYTES || reason.chars().any(char::is_control) {
        wrong.push(format!("reason must have 1 to {MAX_REASON_BYTES} bytes and no control characters"));
    }
    if wrong.is_empty() { Ok((from, to)) } else { Err(Fault::invalid("maintenance window", wrong)) }
}

/// The windows that end after an instant.
pub(super) fn current(
    connection: &Connection,
    organisation: OrganisationId,
    after: Timestamp,
) -> Result<Vec<Maintenance>, Fault> {
    rows(
        connection,
        &format!(
            "SELECT {COLUMNS} FROM alert_maintenance WHERE organisation = ?1 AND until > ?2 ORDER BY since, id"
        ),
        params![organisation.0, after.as_micros()],
        read,
    )
}

fn read(row: &Row<'_>) -> Result<Maintenance, Fault> {
    Ok(Maintenance {
        id: row.get(0)?,
        scope: json("maintenance scope", &row.get::<_, String>(1)?)?,
        from: Timestamp::from_micros(row.get(2)?),
        to: Timestamp::from_micros(row.get(3)?),
        reason: row.get(4)?,
        created_by: row.get(5)?,
    })
}
