//! Assigned targets: what agents measure besides their own configuration, for all of them or by provider and location.

use super::{
    Fault, Operator, Registry, RegistryError,
    agents::{WITH_REGISTRATION, beside},
    audit::{self, Change},
    json, locations, names, providers, row, rows, to_json,
};
use crate::{organisation::OrganisationId, rfc3339};
use peerlight_proto::{
    assignment::{AssignedTarget, Assignment},
    id::{AgentId, TargetId},
    limits::MAX_TARGET_TEXT_BYTES,
    target::{Host, ParseHostError, ParseProbeError, ProbeKind, Target},
    time::Timestamp,
};
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The most targets that an agent takes (rules, §9).
const MAX_TARGETS: usize = 200;
/// The shortest and the longest time between two probes. Agents have floors of their own that no assignment can lower.
const INTERVALS_MS: std::ops::RangeInclusive<u32> = 100..=3_600_000;

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
}

const SELECT: &str = "SELECT t.id, t.target, t.name, t.service, t.address, t.probe, t.interval_ms, p.name, l.code, \
                      t.created FROM target t LEFT JOIN provider p ON p.id = t.provider \
                      LEFT JOIN location l ON l.id = t.location";

impl Registry {
    /// Assigns targets: all the probes, or none of them with everything that is wrong.
    pub fn add_target(
        &self,
        new: &NewTarget,
        by: &Operator,
        now: Timestamp,
    ) -> Result<Vec<TargetEntry>, RegistryError> {
        self.change("add a target", |transaction| {
            let there = present(transaction, by.organisation)?;
            let checked = check(transaction, new, by.organisation, &there)?;
            let mut added = Vec::new();
            for target in &checked.targets {
                let entry = insert(transaction, target, &checked, new.interval_ms, by, now)?;
                audit::record(transaction, by, now, &Change::added("target add", &entry.name, &entry))?;
                added.push(entry);
            }
            Ok(added)
        })
    }

    /// Every target that is assigned now, in the order of their names.
    pub fn targets(&self, organisation: OrganisationId) -> Result<Vec<TargetEntry>, RegistryError> {
        self.read("list the targets", |connection| present(connection, organisation))
    }

    /// Takes a target back.
    pub fn remove_target(
        &self,
        id: i64,
        by: &Operator,
        now: Timestamp,
    ) -> Result<TargetEntry, RegistryError> {
        self.change("remove a target", |transaction| {
            let before = present(transaction, by.organisation)?
                .into_iter()
                .find(|entry| entry.id == id)
                .ok_or_else(|| Fault::not_found("target", &id))?;
            transaction
                .execute("UPDATE target SET ended = ?2 WHERE id = ?1", params![id, now.as_micros()])?;
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

    /// What this agent is to measure: all that is meant for any site that it measures. Its version changes whenever the list does.
    pub fn assignment(&self, agent: AgentId, now: Timestamp) -> Result<Assignment, RegistryError> {
        self.read("assign targets", |connection| {
            let (organisation, place, uplinks) = row(
                connection,
                &format!(
                    "SELECT a.organisation, p.name, l.code, a.uplinks {WITH_REGISTRATION} WHERE a.id = ?2"
                ),
                params![now.as_micros(), agent.as_bytes()],
                |row| {
                    let place = (row.get::<_, String>(1)?, row.get::<_, String>(2)?);
                    let uplinks: Vec<String> = json("agent's uplinks", &row.get::<_, String>(3)?)?;
                    Ok((OrganisationId(row.get(0)?), place, uplinks))
                },
            )?
            .ok_or_else(|| Fault::not_found("agent", &agent))?;
            let mut entries = present(connection, organisation)?;
            let mut places = vec![place];
            let beside = beside(connection, agent, &uplinks, now)?;
            places.extend(beside.into_values().map(|one| (one.provider, one.location)));
            entries
                .retain(|entry| places.iter().any(|(provider, location)| matches(entry, provider, location)));
            Ok(assignment_of(entries))
        })
    }
}

/// Whether an agent of this provider in this location is meant.
fn matches(entry: &TargetEntry, provider: &str, location: &str) -> bool {
    entry.provider.as_ref().is_none_or(|only| names::fold(only) == names::fold(provider))
        && entry.location.as_ref().is_none_or(|only| only == location)
}

/// One target per identity, the most closely scoped one, in the order of identities.
fn assignment_of(entries: Vec<TargetEntry>) -> Assignment {
    let scope = |entry: &TargetEntry| {
        (usize::from(entry.provider.is_some()) + usize::from(entry.location.is_some()), entry.id)
    };
    let mut chosen: BTreeMap<TargetId, TargetEntry> = BTreeMap::new();
    for entry in entries {
        if chosen.get(&entry.target_id).is_none_or(|other| scope(other) < scope(&entry)) {
            chosen.insert(entry.target_id, entry);
        }
    }
    let targets: Vec<AssignedTarget> = chosen
        .into_values()
        .take(MAX_TARGETS)
        .map(|entry| AssignedTarget {
            target: Target {
                name: entry.name,
                service: entry.service,
                address: entry.address,
                probe: entry.probe,
            },
            interval_ms: entry.interval_ms,
        })
        .collect();
    let digest = Sha256::digest(to_json(&targets));
    Assignment { version: hex::encode(&digest[..16]), targets }
}

/// Targets that passed every check, with the numbers of their scope.
struct Checked {
    targets: Vec<Target>,
    provider: Option<(i64, String)>,
    location: Option<(i64, String)>,
}

fn check(
    connection: &Connection,
    new: &NewTarget,
    organisation: OrganisationId,
    there: &[TargetEntry],
) -> Result<Checked, Fault> {
    let mut errors = Vec::new();
    let targets = check_texts(new, &mut errors);
    let known_providers = providers::present(connection, organisation)?;
    let provider = new.provider.as_ref().and_then(|name| match providers::named(&known_providers, name) {
        Ok(provider) => Some((provider.id, provider.name.clone())),
        Err(error) => {
            errors.push(error);
            None
        }
    });
    let known_locations = locations::present(connection, organisation)?;
    let location = new.location.as_ref().and_then(|code| match locations::coded(&known_locations, code) {
        Ok(location) => Some((location.id, location.code.clone())),
        Err(error) => {
            errors.push(error);
            None
        }
    });
    if let Some(interval) = new.interval_ms.filter(|interval| !INTERVALS_MS.contains(interval)) {
        errors.push(format!("an interval of {interval} ms is not between 100 ms and an hour"));
    }
    let checked = Checked { targets, provider, location };
    check_against(&checked, there, &mut errors);
    if errors.is_empty() { Ok(checked) } else { Err(Fault::invalid("target", errors)) }
}

fn check_texts(new: &NewTarget, errors: &mut Vec<String>) -> Vec<Target> {
    let name = names::check("name", &new.name, errors);
    let service =
        if new.service.is_empty() { String::new() } else { names::check("service", &new.service, errors) };
    let address = new
        .address
        .trim()
        .parse::<Host>()
        .map_err(|error: ParseHostError| errors.push(error.to_string()))
        .ok();
    if new.probes.is_empty() {
        errors.push("a target needs at least one probe: icmp, tcp:PORT, https, dns or udp:PORT".to_owned());
    }
    let mut targets: Vec<Target> = Vec::new();
    for text in &new.probes {
        let probe = match text.parse::<ProbeKind>() {
            Ok(probe) => probe,
            Err(error) => {
                errors.push(error.to_string());
                continue;
            }
        };
        if targets.iter().any(|target| target.probe == probe) {
            errors.push(format!("the probe {probe} is given twice"));
        } else if text.len() + new.address.len() > MAX_TARGET_TEXT_BYTES {
            errors.push(format!("address and probe are longer than {MAX_TARGET_TEXT_BYTES} bytes"));
        } else if let Some(address) = &address {
            let (name, service, address) = (name.clone(), service.clone(), address.clone());
            targets.push(Target { name, service, address, probe });
        }
    }
    targets
}

/// No target twice in one scope, and no agent with more than it takes.
fn check_against(checked: &Checked, there: &[TargetEntry], errors: &mut Vec<String>) {
    let provider = checked.provider.as_ref().map(|(_, name)| name);
    let location = checked.location.as_ref().map(|(_, code)| code);
    for target in &checked.targets {
        let same = there.iter().find(|entry| {
            entry.target_id == target.id()
                && entry.provider.as_ref() == provider
                && entry.location.as_ref() == location
        });
        if let Some(entry) = same {
            errors.push(format!(
                "{} of {} is already assigned as `{}` (target {})",
                target.probe, target.address, entry.name, entry.id
            ));
        }
    }
    let may_meet = |a: Option<&String>, b: Option<&String>| a.is_none() || b.is_none() || a == b;
    let beside = there
        .iter()
        .filter(|entry| {
            may_meet(entry.provider.as_ref(), provider) && may_meet(entry.location.as_ref(), location)
        })
        .count();
    if beside + checked.targets.len() > MAX_TARGETS {
        errors.push(format!(
            "an agent takes at most {MAX_TARGETS} targets, and {beside} are assigned; remove some"
        ));
    }
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
         created) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
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
            now.as_micros()
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
        created: now,
    })
}

fn present(connection: &Connection, organisation: OrganisationId) -> Result<Vec<TargetEntry>, Fault> {
    rows(
        connection,
        &format!("{SELECT} WHERE t.organisation = ?1 AND t.ended IS NULL ORDER BY t.name, t.id"),
        params![organisation.0],
        read,
    )
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
    })
}
