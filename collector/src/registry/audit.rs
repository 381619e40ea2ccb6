//! The audit: who changed what, when, and from what to what.

use super::{Fault, Operator, Registry, RegistryError, json, rows, to_json};
use crate::{organisation::OrganisationId, rfc3339};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEntry {
    /// When, by the collector's clock.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The operator token's name, `local`, or `agent` for an enrolment.
    pub who: String,
    /// What was done: `provider add` …
    pub what: String,
    /// To which entry.
    pub object: String,
    /// The entry before; none if it is new.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// The entry after; none if it is gone.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

impl Registry {
    /// The latest changes first.
    pub fn audit(&self, organisation: OrganisationId, limit: u32) -> Result<Vec<AuditEntry>, RegistryError> {
        self.read("list the audit", |connection| {
            rows(
                connection,
                "SELECT at, who, what, object, before, after FROM audit WHERE organisation = ?1
                 ORDER BY id DESC LIMIT ?2",
                params![organisation.0, limit],
                |row| {
                    let value = |text: Option<String>| text.map(|text| json("audit", &text)).transpose();
                    Ok(AuditEntry {
                        at: Timestamp::from_micros(row.get(0)?),
                        who: row.get(1)?,
                        what: row.get(2)?,
                        object: row.get(3)?,
                        before: value(row.get(4)?)?,
                        after: value(row.get(5)?)?,
                    })
                },
            )
        })
    }
}

/// What is written down of a change.
pub(super) struct Change<'a> {
    /// What is done: `provider add` …
    pub what: &'static str,
    /// To which entry.
    pub object: &'a str,
    /// The entry before, as JSON.
    pub before: Option<String>,
    /// The entry after, as JSON.
    pub after: Option<String>,
}

impl<'a> Change<'a> {
    /// A new entry.
    pub(super) fn added(what: &'static str, object: &'a str, after: &impl Serialize) -> Self {
        Self { what, object, before: None, after: Some(to_json(after)) }
    }

    /// An entry that changed.
    pub(super) fn changed(
        what: &'static str,
        object: &'a str,
        before: &impl Serialize,
        after: &impl Serialize,
    ) -> Self {
        Self { what, object, before: Some(to_json(before)), after: Some(to_json(after)) }
    }
}

/// Writes a change down, in the transaction that makes it.
pub(super) fn record(
    connection: &Connection,
    by: &Operator,
    now: Timestamp,
    change: &Change<'_>,
) -> Result<(), Fault> {
    connection
        .prepare_cached(
            "INSERT INTO audit (organisation, at, who, what, object, before, after)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            by.organisation.0,
            now.as_micros(),
            by.name,
            change.what,
            change.object,
            change.before,
            change.after
        ])?;
    Ok(())
}
