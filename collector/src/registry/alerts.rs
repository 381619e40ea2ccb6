//! Alerts as they are kept: what is bad, what people were told of it, and what operators say to that.

mod deliveries;
mod maintenance;
mod rules;

pub use deliveries::{Delivery, DeliveryEntry, DeliveryOutcome, Undelivered};
pub use rules::{AlertRules, NewRules};

use super::{
    Fault, Operator, Registry, RegistryError,
    audit::{self, Change},
    callers::Concerns,
    json, row, rows, to_json,
};
use crate::{
    alert::{Acknowledgement, Alert, AlertState, Maintenance, Rule, Standing, Turned},
    organisation::OrganisationId,
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long alerts that are over are kept.
const KEPT: Duration = Duration::from_hours(366 * 24);
/// The longest note.
const MAX_NOTE_BYTES: usize = 1_000;
/// The longest silence.
const MAX_SILENCE: Duration = Duration::from_hours(30 * 24);

/// What an operator says to an alert.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertNote {
    /// What they say.
    pub note: String,
}

/// Until when nobody is to be told of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertSilence {
    /// The instant, RFC 3339; one that is past ends the silence.
    pub until: String,
}

impl Registry {
    /// Takes what is known of an organisation's alerts a turn on, in one transaction. `decide` is given what is known, and
    /// each of `receivers` is to hear of each event that it makes. Returns how many that are, and the alerts that are not over.
    pub fn turn_alerts(
        &self,
        organisation: OrganisationId,
        receivers: &[String],
        now: Timestamp,
        decide: impl FnOnce(Standing, &[Rule], &[Maintenance]) -> Turned,
    ) -> Result<(usize, Vec<Alert>), RegistryError> {
        self.change_of(Concerns::Nobody, "take the alerts a turn on", |transaction| {
            let before = standing(transaction, organisation)?;
            let (rules, windows) = (
                rules::in_force(transaction, organisation)?.rules,
                maintenance::current(transaction, organisation, now)?,
            );
            let turned = decide(before.clone(), &rules, &windows);
            if turned.standing != before || !turned.closed.is_empty() {
                keep(transaction, organisation, &before, &turned)?;
            }
            for event in &turned.events {
                deliveries::add(transaction, organisation, receivers, event)?;
            }
            forget(transaction, now)?;
            Ok((turned.events.len(), turned.standing.open))
        })
    }

    /// The alerts of an organisation, the latest first; with `all` those that are over, too.
    pub fn alerts(&self, organisation: OrganisationId, all: bool) -> Result<Vec<Alert>, RegistryError> {
        self.read("list the alerts", |connection| {
            rows(
                connection,
                "SELECT alert FROM alert WHERE organisation = ?1 AND (?2 OR resolved IS NULL) ORDER BY id DESC LIMIT 10000",
                params![organisation.0, all],
                |row| json("alert", &row.get::<_, String>(0)?),
            )
        })
    }

    /// An alert of this number.
    pub fn alert(&self, organisation: OrganisationId, id: u64) -> Result<Alert, RegistryError> {
        self.read("read an alert", |connection| find(connection, organisation, id))
    }

    /// Notes that an operator looks after an alert.
    pub fn acknowledge_alert(
        &self,
        id: u64,
        note: &AlertNote,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Alert, RegistryError> {
        self.change_of(Concerns::Nobody, "acknowledge an alert", |transaction| {
            let text = note.note.trim();
            if text.len() > MAX_NOTE_BYTES || text.chars().any(char::is_control) {
                let fault = format!("note has control characters or more than {MAX_NOTE_BYTES} bytes");
                return Err(Fault::invalid("acknowledgement", vec![fault]));
            }
            let before = find(transaction, by.organisation, id)?;
            if before.state == AlertState::Resolved {
                return Err(Fault::conflict(format!("alert {id} is over; there is nothing to look after")));
            }
            let acknowledged = Acknowledgement { by: by.name.clone(), at: now, note: text.to_owned() };
            let state =
                if before.state == AlertState::Firing { AlertState::Acknowledged } else { before.state };
            let after = Alert { state, acknowledged: Some(acknowledged), ..before.clone() };
            change(transaction, "alert acknowledge", (&before, &after), by, now)?;
            Ok(after)
        })
    }

    /// Keeps people from being told of an alert until an instant, but that it is over.
    pub fn silence_alert(
        &self,
        id: u64,
        silence: &AlertSilence,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Alert, RegistryError> {
        self.change_of(Concerns::Nobody, "silence an alert", |transaction| {
            let until = rfc3339::parse(&silence.until);
            let until = until.map_err(|error| Fault::invalid("silence", vec![format!("until: {error}")]))?;
            if until.since(now) > MAX_SILENCE {
                let fault = "until lies more than 30 days ahead; change the rule's scope instead".to_owned();
                return Err(Fault::invalid("silence", vec![fault]));
            }
            let before = find(transaction, by.organisation, id)?;
            if before.state == AlertState::Resolved {
                return Err(Fault::conflict(format!("alert {id} is over; nobody is told of it any more")));
            }
            let after = Alert { silenced_until: (until > now).then_some(until), ..before.clone() };
            change(transaction, "alert silence", (&before, &after), by, now)?;
            Ok(after)
        })
    }
}

fn find(connection: &Connection, organisation: OrganisationId, id: u64) -> Result<Alert, Fault> {
    let found = row(
        connection,
        "SELECT alert FROM alert WHERE organisation = ?1 AND id = ?2",
        params![organisation.0, signed(id)],
        |row| json("alert", &row.get::<_, String>(0)?),
    )?;
    found.ok_or_else(|| Fault::not_found("alert", &id))
}

/// What the audit holds of an alert that an operator touches.
#[derive(Serialize)]
struct Touched<'a> {
    state: AlertState,
    acknowledged: &'a Option<Acknowledgement>,
    #[serde(with = "rfc3339::option")]
    silenced_until: Option<Timestamp>,
}

impl<'a> Touched<'a> {
    fn of(alert: &'a Alert) -> Self {
        Self { state: alert.state, acknowledged: &alert.acknowledged, silenced_until: alert.silenced_until }
    }
}

fn change(
    connection: &Connection,
    what: &'static str,
    (before, after): (&Alert, &Alert),
    by: &Operator,
    now: Timestamp,
) -> Result<(), Fault> {
    put(connection, by.organisation, after)?;
    let object = format!("alert {}", after.id);
    audit::record(
        connection,
        by,
        now,
        &Change::changed(what, &object, &Touched::of(before), &Touched::of(after)),
    )
}

fn standing(connection: &Connection, organisation: OrganisationId) -> Result<Standing, Fault> {
    let known = row(
        connection,
        "SELECT next, held FROM alert_standing WHERE organisation = ?1",
        params![organisation.0],
        |row| {
            let next = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(1);
            Ok((next, json("alert standing", &row.get::<_, String>(1)?)?))
        },
    )?;
    let (next, held) = known.unwrap_or((1, Vec::new()));
    let open = rows(
        connection,
        "SELECT alert FROM alert WHERE organisation = ?1 AND resolved IS NULL ORDER BY id",
        params![organisation.0],
        |row| json("alert", &row.get::<_, String>(0)?),
    )?;
    Ok(Standing { next, held, open })
}

/// Writes down what a turn has changed.
fn keep(
    connection: &Connection,
    organisation: OrganisationId,
    before: &Standing,
    Turned { standing, closed, .. }: &Turned,
) -> Result<(), Fault> {
    connection.execute(
        "INSERT OR REPLACE INTO alert_standing (organisation, next, held) VALUES (?1, ?2, ?3)",
        params![organisation.0, signed(standing.next), to_json(&standing.held)],
    )?;
    let is_kept = |id: u64| standing.open.iter().chain(closed).any(|alert| alert.id == id);
    for forgotten in before.open.iter().filter(|alert| !is_kept(alert.id)) {
        connection.execute(
            "DELETE FROM alert WHERE organisation = ?1 AND id = ?2",
            params![organisation.0, signed(forgotten.id)],
        )?;
    }
    for alert in standing.open.iter().filter(|alert| !before.open.contains(alert)).chain(closed) {
        put(connection, organisation, alert)?;
    }
    Ok(())
}

fn put(connection: &Connection, organisation: OrganisationId, alert: &Alert) -> Result<(), Fault> {
    connection.execute(
        "INSERT OR REPLACE INTO alert (organisation, id, resolved, alert) VALUES (?1, ?2, ?3, ?4)",
        params![organisation.0, signed(alert.id), alert.resolved.map(Timestamp::as_micros), to_json(alert)],
    )?;
    Ok(())
}

/// Forgets what has been over for a year.
fn forget(connection: &Connection, now: Timestamp) -> Result<(), Fault> {
    let since = now.minus(KEPT).as_micros();
    connection.prepare_cached("DELETE FROM alert WHERE resolved < ?1")?.execute(params![since])?;
    connection.prepare_cached("DELETE FROM alert_delivery WHERE ended < ?1")?.execute(params![since])?;
    Ok(())
}

/// Numbers of alerts count up from 1.
fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
