//! Assignments: what an agent is to measure, from a target set that stands in memory until the registry changes.

use super::{
    EnrolledAgent, Fault, Registry, RegistryError, TargetEntry, names, roll_out::RollOut, target_sets,
    targets, to_json,
};
use crate::organisation::OrganisationId;
use hashbrown::HashMap;
use peerlight_proto::{
    assignment::{AssignedTarget, Assignment},
    id::{AgentId, TargetId},
    target::Target,
    time::Timestamp,
};
use rusqlite::Connection;
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What an organisation's agents are given; clones of the whole share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Given(Arc<Mutex<HashMap<OrganisationId, Arc<Sets>>>>);

/// The set in force, and the staged one.
#[derive(Debug)]
struct Sets {
    roll_out: RollOut,
    in_force: Vec<TargetEntry>,
    staged: Vec<TargetEntry>,
}

impl Sets {
    fn read(connection: &Connection, organisation: OrganisationId) -> Result<Self, Fault> {
        let roll_out = target_sets::current(connection, organisation)?;
        let of = |number: Option<u32>| match number {
            Some(number) => targets::of_set(connection, organisation, number),
            None => Ok(Vec::new()),
        };
        Ok(Self { roll_out, in_force: of(Some(roll_out.in_force))?, staged: of(roll_out.staged)? })
    }

    /// The set that this agent has, and its number.
    fn of(&self, agent: AgentId) -> (u32, &[TargetEntry]) {
        let number = self.roll_out.set_of(agent);
        if self.roll_out.staged == Some(number) { (number, &self.staged) } else { (number, &self.in_force) }
    }
}

impl Given {
    fn get(&self, organisation: OrganisationId) -> Option<Arc<Sets>> {
        self.kept().get(&organisation).cloned()
    }

    /// Forgets what agents are given: it has changed.
    pub(super) fn forget(&self) {
        self.kept().clear();
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<OrganisationId, Arc<Sets>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// What this agent is to measure: all that is meant for any site that it measures. Its version changes whenever the list
    /// does.
    pub fn assignment(&self, agent: AgentId, now: Timestamp) -> Result<Assignment, RegistryError> {
        let caller = self
            .caller(agent, now)?
            .ok_or_else(|| RegistryError::NotFound { what: "agent", name: agent.to_string() })?;
        let sets = self.given(caller.registration.organisation)?;
        let (number, targets) = sets.of(agent);
        Ok(assignment_of(number, targets, &caller, now))
    }

    fn given(&self, organisation: OrganisationId) -> Result<Arc<Sets>, RegistryError> {
        if let Some(sets) = self.given.get(organisation) {
            return Ok(sets);
        }
        self.read("assign targets", |connection| {
            let sets = Arc::new(Sets::read(connection, organisation)?);
            // With the connection still held: whoever changes the targets forgets this afterwards.
            self.given.kept().insert(organisation, Arc::clone(&sets));
            Ok(sets)
        })
    }
}

/// One target per identity, the most closely scoped one, in the order of identities.
fn assignment_of(set: u32, targets: &[TargetEntry], agent: &EnrolledAgent, now: Timestamp) -> Assignment {
    let places = agent.places(now);
    let scope = |entry: &TargetEntry| {
        let scopes = [entry.provider.is_some(), entry.location.is_some(), entry.tag.is_some()];
        (scopes.into_iter().filter(|scoped| *scoped).count(), entry.id)
    };
    let mut chosen: BTreeMap<TargetId, &TargetEntry> = BTreeMap::new();
    for entry in targets.iter().filter(|entry| is_meant(entry, &places, &agent.tags)) {
        if chosen.get(&entry.target_id).is_none_or(|other| scope(other) < scope(entry)) {
            chosen.insert(entry.target_id, entry);
        }
    }
    let targets: Vec<AssignedTarget> = chosen
        .into_values()
        .map(|entry| AssignedTarget {
            target: Target {
                name: entry.name.clone(),
                service: entry.service.clone(),
                address: entry.address.clone(),
                probe: entry.probe.clone(),
            },
            interval_ms: entry.interval_ms,
        })
        .collect();
    let digest = Sha256::digest(to_json(&targets));
    Assignment { version: format!("{set}.{}", hex::encode(&digest[..16])), set, targets }
}

/// Whether an agent with these tags, in any of these places, is meant.
fn is_meant(entry: &TargetEntry, places: &[(&str, &str)], tags: &[String]) -> bool {
    let is_there = |(provider, location): &(&str, &str)| {
        entry.provider.as_ref().is_none_or(|only| names::fold(only) == names::fold(provider))
            && entry.location.as_ref().is_none_or(|only| only == location)
    };
    entry.tag.as_ref().is_none_or(|only| tags.contains(only)) && places.iter().any(is_there)
}
