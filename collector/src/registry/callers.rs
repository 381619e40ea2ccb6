//! Callers: what each request of an agent needs to know of it, kept in memory until the registry changes.
//!
//! What is kept is what the tables say, and which registration is the present one is chosen at each request, so that time
//! alone changes nothing here. Whoever changes the tables holds the connection while this is told, as do readers that fill
//! it: an agent that was revoked is refused from its next request on.

use super::{AgentKey, EnrolledAgent, Registration, RegistrationId};
use hashbrown::HashMap;
use peerlight_proto::{id::AgentId, time::Timestamp};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many agents are kept, some hundred bytes each; with more, the registry is asked more often.
const MOST_KEPT: usize = 1 << 18;

/// What the tables say of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) public_key: [u8; 32],
    pub(super) key_since: Timestamp,
    pub(super) next_key: Option<AgentKey>,
    pub(super) revoked: bool,
    pub(super) uplinks: Vec<String>,
    pub(super) tags: Vec<String>,
    /// The registration that it enrolled for.
    pub(super) enrolled: RegistrationId,
    /// That one and every other that its measurements may count for, in the order of their beginnings.
    pub(super) registrations: Vec<Registration>,
}

impl Known {
    /// What this makes of an agent now. None if the registration that it enrolled for is missing.
    pub(super) fn at(&self, agent: AgentId, now: Timestamp) -> Option<EnrolledAgent> {
        let enrolled = self.registrations.iter().find(|one| one.id == self.enrolled)?;
        // A site has one registration at a time, so the last that has begun is the one.
        let begun = |one: &&Registration| one.site == enrolled.site && one.valid_from <= now;
        let present = self.registrations.iter().rev().find(begun).unwrap_or(enrolled);
        Some(EnrolledAgent {
            agent,
            public_key: self.public_key,
            key_since: self.key_since,
            next_key: self.next_key,
            registration: present.clone(),
            others: self.registrations.iter().filter(|one| one.id != present.id).cloned().collect(),
            uplinks: self.uplinks.clone(),
            tags: self.tags.clone(),
            revoked: self.revoked,
        })
    }
}

/// Whom a change of the registry concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concerns {
    /// Perhaps every agent.
    Everyone,
    /// This one alone.
    Agent(AgentId),
    /// No agent, but what agents are assigned.
    Targets,
    /// No agent.
    Nobody,
}

/// The agents that are kept; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Callers(Arc<Mutex<HashMap<AgentId, Arc<Known>>>>);

impl Callers {
    pub(super) fn get(&self, agent: AgentId) -> Option<Arc<Known>> {
        self.kept().get(&agent).cloned()
    }

    /// Keeps what was read just now, with the connection still held.
    pub(super) fn keep(&self, agent: AgentId, known: &Arc<Known>) {
        let mut kept = self.kept();
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(agent, Arc::clone(known));
    }

    /// Forgets whom a change concerns.
    pub(super) fn forget(&self, whom: Concerns) {
        match whom {
            Concerns::Everyone => self.kept().clear(),
            Concerns::Agent(agent) => drop(self.kept().remove(&agent)),
            Concerns::Targets | Concerns::Nobody => {}
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<AgentId, Arc<Known>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
