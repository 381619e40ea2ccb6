//! The alert rules in force: a set for each change, so that the audit and every past set stay.

use super::super::{
    Fault, Operator, Registry, RegistryError,
    audit::{self, Change},
    callers::Concerns,
    json, row, to_json,
};
use crate::{
    alert::{Rule, defaults, faults},
    organisation::OrganisationId,
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

/// The rules in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AlertRules {
    /// The set's number; 0 for the rules that hold until an operator sets others.
    pub number: u32,
    /// The rules.
    pub rules: Vec<Rule>,
    /// When they were set.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created: Option<Timestamp>,
    /// By whom.
    pub created_by: Option<String>,
}

/// Rules to put in the place of those in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRules {
    /// All of them. In files each is a `[[rule]]`.
    #[serde(alias = "rule")]
    pub rules: Vec<Rule>,
}

impl Registry {
    /// The rules in force.
    pub fn alert_rules(&self, organisation: OrganisationId) -> Result<AlertRules, RegistryError> {
        self.read("read the alert rules", |connection| in_force(connection, organisation))
    }

    /// Puts rules in the place of those in force.
    pub fn set_alert_rules(
        &self,
        new: NewRules,
        by: &Operator,
        now: Timestamp,
    ) -> Result<AlertRules, RegistryError> {
        self.change_of(Concerns::Nobody, "set the alert rules", |transaction| {
            let wrong = faults(&new.rules);
            if !wrong.is_empty() {
                return Err(Fault::invalid("set of rules", wrong));
            }
            let before = in_force(transaction, by.organisation)?;
            let after = AlertRules {
                number: before.number + 1,
                rules: new.rules,
                created: Some(now),
                created_by: Some(by.name.clone()),
            };
            transaction.execute(
                "INSERT INTO alert_rules (organisation, number, rules, created, created_by) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![by.organisation.0, after.number, to_json(&after.rules), now.as_micros(), by.name],
            )?;
            let object = format!("alert rules {}", after.number);
            audit::record(transaction, by, now, &Change::changed("alert rules", &object, &before, &after))?;
            Ok(after)
        })
    }
}

pub(super) fn in_force(connection: &Connection, organisation: OrganisationId) -> Result<AlertRules, Fault> {
    let known = row(
        connection,
        "SELECT number, rules, created, created_by FROM alert_rules WHERE organisation = ?1 ORDER BY number DESC LIMIT 1",
        params![organisation.0],
        |row| {
            Ok(AlertRules {
                number: row.get(0)?,
                rules: json("alert rules", &row.get::<_, String>(1)?)?,
                created: Some(Timestamp::from_micros(row.get(2)?)),
                created_by: Some(row.get(3)?),
            })
        },
    )?;
    let unset = || AlertRules { number: 0, rules: defaults(), created: None, created_by: None };
    Ok(known.unwrap_or_else(unset))
}
