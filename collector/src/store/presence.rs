//! When agents measured what. Agents that are set up alike measure the same, and all of it at the same times: what is alike is
//! kept once, since a fleet has millions of series.

use super::Shape;
use crate::registry::RegistrationId;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet};
use indexmap::IndexMap;
use peerlight_proto::{id::AgentId, time::Timestamp};
use std::sync::Arc;

/// From an instant until another.
type Span = (Timestamp, Timestamp);

/// When an agent measured a target: the bounds of what coverage expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Who.
    pub agent: AgentId,
    /// For which registration.
    pub registration: RegistrationId,
    /// What.
    pub shape: Arc<Shape>,
    /// The start of its first interval.
    pub first: Timestamp,
    /// The end of its last interval.
    pub last: Timestamp,
    /// What of it was given to another registration, in order and apart.
    pub given_away: Arc<[Span]>,
}

/// A [`Presence`] among others.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// Who.
    pub agent: AgentId,
    /// For which registration.
    pub registration: RegistrationId,
    /// What.
    pub shape: &'a Arc<Shape>,
    /// The start of its first interval.
    pub first: Timestamp,
    /// The end of its last interval.
    pub last: Timestamp,
    /// What of it was given to another registration, in order and apart.
    pub given_away: &'a Arc<[Span]>,
}

/// The presence of many agents, agent by agent.
#[derive(Debug, Clone, Default)]
pub struct Presences(Vec<Stay>);

/// What an agent measured for one registration from the same first to the same last interval.
#[derive(Debug, Clone)]
struct Stay {
    agent: AgentId,
    registration: RegistrationId,
    first: Timestamp,
    last: Timestamp,
    given_away: Arc<[Span]>,
    shapes: Arc<[Arc<Shape>]>,
}

impl Presences {
    /// Each.
    pub fn iter(&self) -> impl Iterator<Item = Present<'_>> {
        OfAgent(&self.0).iter()
    }

    /// Those of each agent.
    pub fn by_agent(&self) -> impl Iterator<Item = OfAgent<'_>> {
        self.0.chunk_by(|one, next| one.agent == next.agent).map(OfAgent)
    }

    /// What was measured by anyone, each shape once.
    pub fn shapes(&self) -> impl Iterator<Item = &Arc<Shape>> {
        self.shapes_of(|_any| true)
    }

    /// What was measured for these registrations, each shape once.
    pub fn shapes_of(&self, wanted: impl Fn(RegistrationId) -> bool) -> impl Iterator<Item = &Arc<Shape>> {
        let (mut lists, mut shapes) = (HashSet::new(), HashSet::new());
        let stays = self.0.iter().filter(move |stay| wanted(stay.registration));
        let new = stays.map(|stay| &stay.shapes).filter(move |list| lists.insert(Arc::as_ptr(list)));
        new.flat_map(|list| list.iter()).filter(move |shape| shapes.insert(Arc::as_ptr(shape)))
    }

    /// The registrations that anything was measured for; one may come often.
    pub fn registrations(&self) -> impl Iterator<Item = RegistrationId> {
        self.0.iter().map(|stay| stay.registration)
    }

    /// Keeps those of the registrations that these are.
    pub fn retain(&mut self, keep: impl Fn(RegistrationId) -> bool) {
        self.0.retain(|stay| keep(stay.registration));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|stay| stay.shapes.len()).sum()
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What one agent measured.
#[derive(Debug, Clone, Copy)]
pub struct OfAgent<'a>(&'a [Stay]);

impl<'a> OfAgent<'a> {
    /// Each.
    pub fn iter(self) -> impl Iterator<Item = Present<'a>> {
        self.0.iter().flat_map(|stay| {
            let Stay { agent, registration, first, last, ref given_away, .. } = *stay;
            let present = move |shape| Present { agent, registration, shape, first, last, given_away };
            stay.shapes.iter().map(present)
        })
    }

    /// The end of the newest interval of all that it measured.
    pub fn last(self) -> Option<Timestamp> {
        self.0.iter().map(|stay| stay.last).max()
    }
}

impl Present<'_> {
    /// The same by itself.
    pub fn alone(self) -> Presence {
        let Self { agent, registration, shape, first, last, given_away } = self;
        let (shape, given_away) = (Arc::clone(shape), Arc::clone(given_away));
        Presence { agent, registration, shape, first, last, given_away }
    }
}

impl FromIterator<Presence> for Presences {
    fn from_iter<I: IntoIterator<Item = Presence>>(presences: I) -> Self {
        let mut all: Vec<Presence> = presences.into_iter().collect();
        all.sort_by_key(|one| one.agent);
        let mut gathering = Gathering::default();
        for one in all {
            gathering.add(one);
        }
        gathering.finish()
    }
}

/// What a [`Stay`] is made of.
#[derive(Debug)]
struct Open {
    shapes: Vec<Arc<Shape>>,
    given_away: Arc<[Span]>,
}

/// Gathers presence that comes agent by agent.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    done: Presences,
    /// Of the agent that has come last: what it measured for whom and when.
    open: IndexMap<(RegistrationId, Span), Open, DefaultHashBuilder>,
    agent: Option<AgentId>,
    /// Lists of shapes by where those are in memory.
    lists: HashMap<Vec<*const Shape>, Arc<[Arc<Shape>]>>,
}

impl Gathering {
    /// Adds one.
    pub(super) fn add(&mut self, one: Presence) {
        if self.agent != Some(one.agent) {
            self.close();
            self.agent = Some(one.agent);
        }
        let stay = (one.registration, (one.first, one.last));
        let new = || Open { shapes: Vec::new(), given_away: one.given_away };
        self.open.entry(stay).or_insert_with(new).shapes.push(one.shape);
    }

    /// All that were added.
    pub(super) fn finish(mut self) -> Presences {
        self.close();
        self.done
    }

    fn close(&mut self) {
        let Some(agent) = self.agent.take() else { return };
        for ((registration, (first, last)), Open { shapes, given_away }) in self.open.drain(..) {
            let places: Vec<*const Shape> = shapes.iter().map(Arc::as_ptr).collect();
            let shapes = Arc::clone(self.lists.entry(places).or_insert_with(|| shapes.into()));
            self.done.0.push(Stay { agent, registration, first, last, given_away, shapes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{presence, series};
    use peerlight_proto::metric::Metric;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_together_is_told_apart(
            seen in prop::collection::btree_map((0_u8..4, 1_i64..3, 0_usize..3), (0_i64..3, 3_i64..5), 0..20),
        ) {
            let kinds = ["a", "b", "c"].map(|name| presence(&series(Metric::IcmpRtt, name), 0, 1));
            let of = |((agent, registration, kind), (first, last)): (&(u8, i64, usize), &(i64, i64))| Presence {
                agent: AgentId::new([*agent; 16]),
                registration: RegistrationId(*registration),
                first: Timestamp::from_secs(*first),
                last: Timestamp::from_secs(*last),
                ..kinds[*kind].clone()
            };
            let expected: Vec<Presence> = seen.iter().map(of).collect();
            let kept: Presences = expected.iter().rev().cloned().collect();
            let key = |one: &Presence| (one.agent, one.registration, one.shape.id());
            let sorted = |mut all: Vec<Presence>| { all.sort_by_key(key); all };
            prop_assert_eq!(kept.len(), expected.len());
            prop_assert_eq!(kept.is_empty(), expected.is_empty());
            prop_assert_eq!(sorted(kept.iter().map(Present::alone).collect()), sorted(expected.clone()));

            let mut agents = HashSet::new();
            for of_agent in kept.by_agent() {
                let (agent, last) = (of_agent.iter().next().unwrap().agent, of_agent.last().unwrap());
                prop_assert!(agents.insert(agent), "each agent comes once");
                let its = expected.iter().filter(|one| one.agent == agent);
                prop_assert_eq!(its.clone().count(), of_agent.iter().count());
                prop_assert_eq!(its.map(|one| one.last).max(), Some(last));
            }
            let shapes: Vec<_> = kept.shapes().map(Arc::as_ptr).collect();
            let distinct: HashSet<_> = expected.iter().map(|one| Arc::as_ptr(&one.shape)).collect();
            prop_assert_eq!((shapes.len(), shapes.into_iter().collect::<HashSet<_>>()), (distinct.len(), distinct));
        }
    }

    #[test]
    fn agents_that_measure_alike_share_a_list() {
        let kinds = ["a", "b"].map(|name| presence(&series(Metric::IcmpRtt, name), 0, 1));
        let agents = (0..100).map(|agent| AgentId::new([agent; 16]));
        let kept: Presences =
            agents.flat_map(|agent| kinds.clone().map(|one| Presence { agent, ..one })).collect();
        let lists: HashSet<_> = kept.0.iter().map(|stay| Arc::as_ptr(&stay.shapes)).collect();
        assert_eq!((kept.0.len(), lists.len()), (100, 1));
    }
}
