//! Targets that are assigned: what agents measure besides their own configuration, for all of them or by provider, location
//! and tag.

mod check;

use super::{
    Fault, Operator, Registry, RegistryError,
    audit::{self, Change},
    callers::Concerns,
    rows,
    target_sets::{self, Draft},
    to_json,
};
use crate::{organisation::OrganisationId, rfc3339};
use check::{Checked, check};
use peerlight_proto::{
    id::TargetId,
    target::{Host, ParseHostError, ParseProbeError, ProbeKind, Target},
    time::Timestamp,
};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

/// An assigned target as the registry holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TargetEntry {
    /// Its number.
    pub id: i64,
    /// What measurements call it by.
    #[schema(value_type = String)]
    pub target_id: TargetId,
    /// What people call it.
    pub name: String,
    /// The service that it belongs to, or empty.
    pub service: String,
    /// A host name or an IP address.
    #[schema(value_type = String)]
    pub address: Host,
    /// What is done there.
    #[schema(value_type = String)]
    pub probe: ProbeKind,
    /// The time between two probes; the agent's default for the probe when absent.
    pub interval_ms: Option<u32>,
    /// Only for agents of this provider.
    pub provider: Option<String>,
    /// Only for agents in this location.
    pub location: Option<String>,
    /// Only for agents with this tag.
    #[serde(default)]
    pub tag: Option<String>,
    /// When it was added.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
}

/// Targets to assign: one address, one or more probes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTarget {
    /// What people call it.
    pub name: String,
    /// The service that it belongs to.
    #[serde(default)]
    pub service: String,
    /// A host name or an IP address.
    pub address: String,
    /// What is done there: `icmp`, `tcp:443`, `https`, `dns`, `udp:3478` …
    pub probes: Vec<String>,
    /// The time between two probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u32>,
    /// Only for agents of this provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only for agents in this location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Only for agents with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Add it to the staged target set, which no agent has before it is rolled out.
    #[serde(default)]
    pub staged: bool,
}

/// Which target set is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhichSet {
    /// The one in force.
    #[default]
    InForce,
    /// The staged one.
    Staged,
    /// The one of this number.
    Number(u32),
}

const SELECT: &str = "SELECT t.id, t.target, t.name, t.service, t.address, t.probe, t.interval_ms, p.name, l.code, \
                      t.created, t.tag FROM target t LEFT JOIN provider p ON p.id = t.provider \
                      LEFT JOIN location l ON l.id = t.location";

impl Registry {
    /// Assigns targets: all the probes, or none of them with everything that is wrong.
    pub fn add_target(
        &self,
        new: &NewTarget,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Vec<TargetEntry>, RegistryError> {
        self.change_of(Concerns::Targets, "add a target", |transaction| {
            let mut draft = Draft::begin(transaction, by.organisation, new.staged)?;
            let there = these(transaction, &draft.targets)?;
            let checked = check(transaction, new, by.organisation, &there)?;
            let mut added = Vec::new();
            for target in &checked.targets {
                let entry = insert(transaction, target, &checked, new.interval_ms, by, now)?;
                audit::record(transaction, by, now, &Change::added("target add", &entry.name, &entry))?;
                draft.targets.push(entry.id);
                added.push(entry);
            }
            draft.keep(transaction, by, now)?;
            Ok(added)
        })
    }

    /// Every target of the set in force, in the order of their names.
    pub fn targets(&self, organisation: OrganisationId) -> Result<Vec<TargetEntry>, RegistryError> {
        self.targets_of(organisation, WhichSet::InForce)
    }

    /// Every target of a set, in the order of their names.
    pub fn targets_of(
        &self,
        organisation: OrganisationId,
        which: WhichSet,
    ) -> Result<Vec<TargetEntry>, RegistryError> {
        self.read("list the targets", |connection| {
            let current = target_sets::current(connection, organisation)?;
            let number = match which {
                WhichSet::InForce => current.in_force,
                WhichSet::Staged => {
                    current.staged.ok_or_else(|| Fault::conflict("no target set is staged".to_owned()))?
                }
                WhichSet::Number(number) => {
                    let known = target_sets::members(connection, organisation, number)?;
                    known.map(|_members| number).ok_or_else(|| Fault::not_found("target set", &number))?
                }
            };
            of_set(connection, organisation, number)
        })
    }

    /// Takes a target back, from the staged set or from the one in force.
    pub fn remove_target(
        &self,
        id: i64,
        staged: bool,
        by: &Operator,
        now: Timestamp,
    ) -> Result<TargetEntry, RegistryError> {
        self.change_of(Concerns::Targets, "remove a target", |transaction| {
            let mut draft = Draft::begin(transaction, by.organisation, staged)?;
            let before = these(transaction, &draft.targets)?
                .into_iter()
                .find(|entry| entry.id == id)
                .ok_or_else(|| Fault::not_found("target", &id))?;
            draft.targets.retain(|target| *target != id);
            draft.keep(transaction, by, now)?;
            let change = Change {
                what: "target remove",
                object: &before.name,
                before: Some(to_json(&before)),
                after: None,
            };
            audit::record(transaction, by, now, &change)?;
            Ok(before)
        })
    }
}

/// The targets of a set, in the order of their names; none if there is no such set.
pub(super) fn of_set(
    connection: &Connection,
    organisation: OrganisationId,
    number: u32,
) -> Result<Vec<TargetEntry>, Fault> {
    these(connection, &target_sets::members(connection, organisation, number)?.unwrap_or_default())
}

fn these(connection: &Connection, numbers: &[i64]) -> Result<Vec<TargetEntry>, Fault> {
    rows(
        connection,
        &format!("{SELECT} WHERE t.id IN (SELECT value FROM json_each(?1)) ORDER BY t.name, t.id"),
        params![to_json(&numbers)],
        read,
    )
}

fn insert(
    connection: &Connection,
    target: &Target,
    checked: &Checked,
    interval_ms: Option<u32>,
    by: &Operator,
    now: Timestamp,
) -> Result<TargetEntry, Fault> {
    connection.execute(
        "INSERT INTO target (organisation, target, name, service, address, probe, interval_ms, provider, location,
         created, tag) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            by.organisation.0,
            target.id().as_bytes(),
            target.name,
            target.service,
            target.address.as_str(),
            target.probe.to_string(),
            interval_ms,
            checked.provider.as_ref().map(|(id, _)| id),
            checked.location.as_ref().map(|(id, _)| id),
            now.as_micros(),
            checked.tag
        ],
    )?;
    Ok(TargetEntry {
        id: connection.last_insert_rowid(),
        target_id: target.id(),
        name: target.name.clone(),
        service: target.service.clone(),
        address: target.address.clone(),
        probe: target.probe.clone(),
        interval_ms,
        provider: checked.provider.as_ref().map(|(_, name)| name.clone()),
        location: checked.location.as_ref().map(|(_, code)| code.clone()),
        tag: checked.tag.clone(),
        created: now,
    })
}

fn read(row: &Row<'_>) -> Result<TargetEntry, Fault> {
    let address: String = row.get(4)?;
    let probe: String = row.get(5)?;
    Ok(TargetEntry {
        id: row.get(0)?,
        target_id: TargetId::new(row.get(1)?),
        name: row.get(2)?,
        service: row.get(3)?,
        address: address
            .parse()
            .map_err(|error: ParseHostError| Fault::damaged("target's address", &error))?,
        probe: probe.parse().map_err(|error: ParseProbeError| Fault::damaged("target's probe", &error))?,
        interval_ms: row.get(6)?,
        provider: row.get(7)?,
        location: row.get(8)?,
        created: Timestamp::from_micros(row.get(9)?),
        tag: row.get(10)?,
    })
}
