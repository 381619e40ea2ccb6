//! Deliveries: what each receiver is still to hear, and what became of the rest.

use super::super::{Fault, Registry, RegistryError, callers::Concerns, json, row, rows, to_json};
use super::signed;
use crate::{
    alert::{Event, EventKind},
    organisation::OrganisationId,
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

/// An event that a receiver is to hear.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its number, which no other event of any receiver has.
    pub id: i64,
    /// The event.
    pub event: Event,
    /// When it was to be told first.
    pub created: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The receiver has it.
    Delivered,
    /// It is tried again then.
    Later {
        /// When.
        at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// It is not tried again.
    GivenUp {
        /// Why it failed.
        error: String,
    },
}

/// A delivery as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeliveryEntry {
    /// Its number.
    pub id: i64,
    /// To whom.
    pub receiver: String,
    /// What happened to the alert.
    pub kind: EventKind,
    /// When.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When the receiver had it, or nobody tried any more.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
    /// Whether the receiver has it.
    pub delivered: bool,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// What a receiver has not heard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Undelivered {
    /// How many events were tried in vain and are tried again.
    pub waiting: u64,
    /// How many were given up.
    pub given_up: u64,
}

impl Registry {
    /// What a receiver is to be told next: the oldest event that is due, of an alert of which no older one waits. Else when
    /// the next one is due, if any is.
    pub fn next_delivery(
        &self,
        receiver: &str,
        now: Timestamp,
    ) -> Result<Result<Delivery, Option<Timestamp>>, RegistryError> {
        self.read("look for a delivery", |connection| {
            let due = row(
                connection,
                "SELECT id, event, created, attempts FROM alert_delivery AS this
                 WHERE receiver = ?1 AND ended IS NULL AND next_at <= ?2 AND NOT EXISTS (
                     SELECT 1 FROM alert_delivery AS older WHERE older.receiver = ?1 AND older.ended IS NULL
                     AND older.alert = this.alert AND older.organisation = this.organisation AND older.id < this.id)
                 ORDER BY id LIMIT 1",
                params![receiver, now.as_micros()],
                |row| {
                    Ok(Delivery {
                        id: row.get(0)?,
                        event: json("alert event", &row.get::<_, String>(1)?)?,
                        created: Timestamp::from_micros(row.get(2)?),
                        attempts: row.get(3)?,
                    })
                },
            )?;
            if let Some(due) = due {
                return Ok(Ok(due));
            }
            let next = row(
                connection,
                "SELECT min(next_at) FROM alert_delivery WHERE receiver = ?1 AND ended IS NULL AND next_at > ?2",
                params![receiver, now.as_micros()],
                |row| Ok(row.get::<_, Option<i64>>(0)?),
            )?;
            Ok(Err(next.flatten().map(Timestamp::from_micros)))
        })
    }

    /// Notes what became of an attempt.
    pub fn note_delivery(
        &self,
        id: i64,
        outcome: &DeliveryOutcome,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        let (next_at, error, ended, delivered) = match outcome {
            DeliveryOutcome::Delivered => (now, None, Some(now), true),
            DeliveryOutcome::Later { at, error } => (*at, Some(error), None, false),
            DeliveryOutcome::GivenUp { error } => (now, Some(error), Some(now), false),
        };
        self.change_of(Concerns::Nobody, "note a delivery", |transaction| {
            transaction.execute(
                "UPDATE alert_delivery SET attempts = attempts + 1, next_at = ?2, error = ?3, ended = ?4, delivered = ?5
                 WHERE id = ?1",
                params![id, next_at.as_micros(), error, ended.map(Timestamp::as_micros), delivered],
            )?;
            Ok(())
        })
    }

    /// What became of what was to be told of an alert, the first first.
    pub fn deliveries(
        &self,
        organisation: OrganisationId,
        alert: u64,
    ) -> Result<Vec<DeliveryEntry>, RegistryError> {
        self.read("list the deliveries", |connection| {
            rows(
                connection,
                "SELECT id, receiver, event, created, attempts, ended, delivered, error FROM alert_delivery
                 WHERE organisation = ?1 AND alert = ?2 ORDER BY id",
                params![organisation.0, signed(alert)],
                |row| {
                    let event: Event = json("alert event", &row.get::<_, String>(2)?)?;
                    Ok(DeliveryEntry {
                        id: row.get(0)?,
                        receiver: row.get(1)?,
                        kind: event.kind,
                        created: Timestamp::from_micros(row.get(3)?),
                        attempts: row.get(4)?,
                        ended: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_micros),
                        delivered: row.get(6)?,
                        error: row.get(7)?,
                    })
                },
            )
        })
    }

    /// What a receiver has not heard, since the given instant.
    pub fn undelivered(&self, receiver: &str, since: Timestamp) -> Result<Undelivered, RegistryError> {
        self.read("count the deliveries", |connection| {
            let counted = row(
                connection,
                "SELECT count(*) FILTER (WHERE ended IS NULL AND attempts > 0), count(*) FILTER (WHERE ended >= ?2 AND NOT delivered)
                 FROM alert_delivery WHERE receiver = ?1",
                params![receiver, since.as_micros()],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
            )?;
            let (waiting, given_up) = counted.unwrap_or_default();
            let whole = |count: i64| u64::try_from(count).unwrap_or(0);
            Ok(Undelivered { waiting: whole(waiting), given_up: whole(given_up) })
        })
    }
}

/// Notes that each receiver is to hear of an event.
pub(super) fn add(
    connection: &Connection,
    organisation: OrganisationId,
    receivers: &[String],
    event: &Event,
) -> Result<(), Fault> {
    let text = to_json(event);
    for receiver in receivers {
        connection.execute(
            "INSERT INTO alert_delivery (organisation, receiver, alert, event, created, next_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
            params![organisation.0, receiver, signed(event.alert.id), text, event.at.as_micros()],
        )?;
    }
    Ok(())
}
