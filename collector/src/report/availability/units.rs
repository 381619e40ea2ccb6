//! Units: what answers or does not, an agent's schedule of one target by one metric. Each is looked at by itself, for among
//! the answers of many agents the silence of one would not be heard.

use crate::{
    registry::RegistrationId,
    report::{Groups, group::GroupKey, tally::Counting},
    store::{Grouping, Origin, Shape},
};
use hashbrown::HashSet;
use indexmap::IndexSet;
use peerlight_proto::{
    id::AgentId,
    metric::Metric,
    series::{Family, Path},
    target::{Host, ProbeKind},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Unit {
    pub(super) agent: AgentId,
    pub(super) registration: RegistrationId,
    /// The row that it adds to.
    pub(super) group: GroupKey,
    /// What it measures, apart from its group, which may hold more than one target.
    pub(super) subject: usize,
    pub(super) metric: Metric,
    /// Whether its target never answers ICMP there while TCP works.
    pub(super) silent: bool,
}

/// Numbers units as they are met.
#[derive(Debug)]
pub struct Units {
    groups: Groups,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    units: IndexSet<Unit>,
    subjects: IndexSet<(Host, ProbeKind, Family, Path)>,
}

impl Units {
    pub(super) fn new(groups: Groups) -> Self {
        Self { groups, known: Mutex::default() }
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The unit of this number.
    pub(super) fn get(&self, number: u32) -> Option<Unit> {
        self.known().units.get_index(number as usize).copied()
    }

    /// The number of the unit that a schedule is.
    pub(super) fn number(&self, agent: AgentId, registration: RegistrationId, shape: &Arc<Shape>) -> u32 {
        let group = self.groups.key(registration, shape, None);
        let silent = self.groups.is_silent(registration, shape);
        let mut known = self.known();
        let target = &shape.target;
        let subject = (target.address.clone(), target.probe.clone(), shape.family, shape.path);
        let (subject, _new) = known.subjects.insert_full(subject);
        let metric = shape.metric;
        let unit = Unit { agent, registration, group, subject, metric, silent };
        let (number, _new) = known.units.insert_full(unit);
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grouping for Units {
    fn group(&self, origin: &Origin, shape: &Arc<Shape>, agent: Option<AgentId>) -> Option<u32> {
        let question = self.groups.question();
        let entry = self.groups.registration(origin.registration);
        let counting = Counting::of(origin.attribution, entry.is_some_and(|entry| entry.count_declared));
        let wanted = counting.counts()
            && entry.is_none_or(|entry| question.wants(entry))
            && question.wants_target(&shape.target);
        let agent = agent.filter(|_| wanted)?;
        Some(self.number(agent, origin.registration, shape))
    }

    fn keeps_agents_apart(&self) -> bool {
        true
    }

    fn wants_times(&self) -> bool {
        false
    }
}

/// Some units and no others: a closer look steps over what the rest measured meanwhile.
#[derive(Debug)]
pub struct Few {
    units: Arc<Units>,
    of: HashSet<u32>,
}

impl Few {
    pub(super) const fn new(units: Arc<Units>, of: HashSet<u32>) -> Self {
        Self { units, of }
    }
}

impl Grouping for Few {
    fn group(&self, origin: &Origin, shape: &Arc<Shape>, agent: Option<AgentId>) -> Option<u32> {
        self.units.group(origin, shape, agent).filter(|unit| self.of.contains(unit))
    }

    fn keeps_agents_apart(&self) -> bool {
        self.units.keeps_agents_apart()
    }

    fn wants_times(&self) -> bool {
        self.units.wants_times()
    }
}
