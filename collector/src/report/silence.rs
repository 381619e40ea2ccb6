//! Targets that never answer ICMP while TCP works there: what they do not answer is no loss and no outage.
//!
//! Decided for each site, target address and family by what it heard over a day at least, so that an hour's trouble with
//! ICMP alone does not pass for a habit; what goes unanswered where TCP does not work either is loss. The one question
//! that it takes is asked only where a site measures both, and only for reports that show ICMP.
//!
//! A new target may have answered no echo request although TCP works, and be asked too rarely yet to be called silent: a report
//! shows that as loss, and whoever wakes people takes it for silence until it is known ([`Silences::presumed`]).

use super::{Question, tally::Counting};
use crate::{
    registry::{RegistrationId, Registrations},
    store::{Grouping, Origin, Presences, Query, Row, Shape, slot_of},
};
use hashbrown::{HashMap, HashSet};
use indexmap::IndexSet;
use peerlight_proto::{
    id::AgentId,
    measurement::Counters,
    metric::Metric,
    series::{Family, Path},
    target::Host,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// The fewest unanswered echo requests, and the fewest answered connects, that tell: ten minutes of the default schedules.
/// None of 60 means below 6.1 % with 95 % confidence (Wilson).
pub const FEWEST_PROBES: u64 = 60;
/// Over how long it is decided at least, back from the end of a question.
const DECIDED_OVER: Duration = Duration::from_hours(24);
/// What shows that TCP works at an address.
const CONNECTS: [Metric; 2] = [Metric::TcpConnect, Metric::HttpsTcp];
const QUARTER_HOUR: Duration = Duration::from_mins(15);

/// Where ICMP is never answered while TCP works: by site, target address and family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Silences {
    silent: HashSet<Place>,
    /// Where too little was asked yet to be sure.
    unsure: HashSet<Place>,
    /// Whether these are taken to be silent, too.
    presumed: bool,
}

/// A target's address and family, as a site measures it.
type Place = (RegistrationId, Host, Family);

impl Silences {
    /// That of one series at a registration.
    #[cfg(test)]
    pub(super) fn of(registration: RegistrationId, series: &peerlight_proto::series::Series) -> Self {
        let silent = [(registration, series.target.address.clone(), series.key.family)].into();
        Self { silent, ..Self::default() }
    }

    /// The same for whoever must not be wrong about a target that is new: while no echo request was answered where TCP works, and too
    /// few were sent to tell, it is taken to be silent.
    #[must_use]
    pub fn presumed(self) -> Self {
        Self { presumed: true, ..self }
    }

    /// Whether what this shape did not answer at the registration is no loss.
    pub(super) fn hold(&self, registration: RegistrationId, shape: &Shape) -> bool {
        let nowhere = self.silent.is_empty() && (self.unsure.is_empty() || !self.presumed);
        if shape.metric != Metric::IcmpRtt || nowhere {
            return false;
        }
        let place = (registration, shape.target.address.clone(), shape.family);
        self.silent.contains(&place) || (self.presumed && self.unsure.contains(&place))
    }
}

/// Finds out where a question's ICMP targets are silent.
#[derive(Debug)]
pub struct Listening {
    /// Address and family, by number.
    subjects: IndexSet<(Host, Family)>,
    /// Sites that measure both at a subject, in the order of their groups.
    places: IndexSet<(RegistrationId, u32)>,
    declared: HashSet<RegistrationId>,
    query: Query,
}

impl Listening {
    /// What has to be asked for this question; nothing where it shows no ICMP, or no site measures both.
    pub fn to(question: &Question, registrations: &Registrations, presence: &Presences) -> Option<Self> {
        if !question.wants_metric(Metric::IcmpRtt) {
            return None;
        }
        let mut subjects = IndexSet::new();
        // A fleet has few shapes, each once in memory.
        let mut numbers: HashMap<*const Shape, Option<(u32, bool)>> = HashMap::new();
        let mut seen: HashMap<(RegistrationId, u32), (bool, bool)> = HashMap::new();
        for present in presence.iter() {
            let subject = *numbers
                .entry(Arc::as_ptr(present.shape))
                .or_insert_with(|| number(&mut subjects, question, present.shape));
            let Some((subject, is_icmp)) = subject else { continue };
            let (icmp, tcp) = seen.entry((present.registration, subject)).or_default();
            *(if is_icmp { icmp } else { tcp }) = true;
        }
        let wanted = |id| registrations.get(id).filter(|entry| question.wants(entry));
        let both = seen.into_iter().filter(|(_, both)| *both == (true, true)).map(|(place, _)| place);
        let mut places: Vec<_> = both.filter(|(id, _)| wanted(*id).is_some()).collect();
        places.sort_unstable();
        let ids: BTreeSet<_> = places.iter().map(|(id, _)| *id).collect();
        let declared = ids.iter().copied().filter(|id| wanted(*id).is_some_and(|entry| entry.count_declared));
        let declared = declared.collect();
        (!places.is_empty()).then(|| Self {
            declared,
            query: Query {
                organisation: question.organisation,
                from: slot_of(question.from.min(question.to.minus(DECIDED_OVER)), QUARTER_HOUR),
                to: question.to,
                metrics: CONNECTS.into_iter().chain([Metric::IcmpRtt]).collect(),
                registrations: Some(ids),
                step: None,
            },
            subjects,
            places: places.into_iter().collect(),
        })
    }

    /// What the store is asked.
    pub fn query(&self) -> Query {
        self.query.clone()
    }

    /// What the answer says.
    pub fn hear(&self, rows: &[Row]) -> Silences {
        let mut heard: HashMap<u32, [Counters; 2]> = HashMap::new();
        for row in rows {
            let of = &mut heard.entry(row.group / 2).or_default()[(row.group % 2) as usize];
            of.merge(&row.totals.counters);
        }
        let mut silences = Silences::default();
        for (place, [icmp, tcp]) in heard {
            if !may_be_silent(&icmp, &tcp) {
                continue;
            }
            let Some(&(registration, subject)) = self.places.get_index(place as usize) else { continue };
            let Some((address, family)) = self.subjects.get_index(subject as usize).cloned() else {
                continue;
            };
            let of = if is_silent(&icmp, &tcp) { &mut silences.silent } else { &mut silences.unsure };
            of.insert((registration, address, family));
        }
        silences
    }
}

/// Whether an address that answers so is silent: none of enough echo requests was answered, in time or late, while of
/// enough connects most were.
fn is_silent(icmp: &Counters, tcp: &Counters) -> bool {
    may_be_silent(icmp, tcp) && icmp.lost >= FEWEST_PROBES && heard(tcp) >= FEWEST_PROBES
}

/// Whether it would be if it went on like this.
fn may_be_silent(icmp: &Counters, tcp: &Counters) -> bool {
    let connected = heard(tcp);
    heard(icmp) == 0 && connected > 0 && connected.saturating_mul(2) >= tcp.sent()
}

/// Probes that the target itself answered, whenever and at whatever try.
pub(super) fn heard(counters: &Counters) -> u64 {
    counters.answered.saturating_add(counters.late).saturating_add(counters.retransmitted)
}

/// The number of what a shape measures, and whether that is by ICMP.
fn number(
    subjects: &mut IndexSet<(Host, Family)>,
    question: &Question,
    shape: &Shape,
) -> Option<(u32, bool)> {
    let is_icmp = shape.metric == Metric::IcmpRtt && question.wants_target(&shape.target);
    let wanted = shape.path == Path::Direct && (is_icmp || CONNECTS.contains(&shape.metric));
    wanted.then(|| {
        let (number, _new) = subjects.insert_full((shape.target.address.clone(), shape.family));
        (u32::try_from(number).unwrap_or(u32::MAX), is_icmp)
    })
}

impl Grouping for Listening {
    fn group(&self, origin: &Origin, shape: &Arc<Shape>, _agent: Option<AgentId>) -> Option<u32> {
        let declared = self.declared.contains(&origin.registration);
        let wanted = shape.path == Path::Direct
            && (shape.metric == Metric::IcmpRtt || CONNECTS.contains(&shape.metric))
            && Counting::of(origin.attribution, declared).counts();
        if !wanted {
            return None;
        }
        let subject = self.subjects.get_index_of(&(shape.target.address.clone(), shape.family))?;
        let place = (origin.registration, u32::try_from(subject).ok()?);
        let place = u32::try_from(self.places.get_index_of(&place)?).ok()?;
        Some(place * 2 + u32::from(shape.metric != Metric::IcmpRtt))
    }

    fn wants_times(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        organisation::OrganisationId,
        report::fixture::{self, Measured},
        store::Presence,
    };
    use peerlight_proto::time::Timestamp;
    use proptest::prelude::*;

    fn counters() -> impl Strategy<Value = Counters> {
        let count = || prop_oneof![Just(0_u64), 0..200_u64];
        (count(), count(), count(), count(), count()).prop_map(
            |(answered, late, retransmitted, lost, refused)| Counters {
                answered,
                late,
                retransmitted,
                lost,
                refused,
                ..Counters::default()
            },
        )
    }

    proptest! {
        #[test]
        fn whoever_ever_answered_is_not_silent_and_nobody_is_where_tcp_does_not_work(icmp in counters(), tcp in counters()) {
            if is_silent(&icmp, &tcp) {
                prop_assert!(icmp.answered + icmp.late == 0 && icmp.lost >= FEWEST_PROBES);
                prop_assert!(tcp.answered + tcp.late + tcp.retransmitted >= tcp.lost + tcp.refused);
            }
            let dead = Counters { answered: 0, late: 0, retransmitted: 0, ..tcp };
            prop_assert!(!is_silent(&icmp, &dead));
        }
    }

    /// What site `registration` measured of `target`.
    fn measured(registration: i64, metric: Metric, target: &str, answered: usize, lost: u64) -> Measured {
        fixture::row(registration, &fixture::series(metric, target), &vec![9_000; answered], lost)
    }

    /// Whether the presumed silences hold for each of these targets at each of two sites.
    fn presumed(measured: &[Measured], targets: &[&str]) -> Vec<[bool; 2]> {
        let registrations: Registrations =
            [1, 2].map(|id| fixture::registration(id, "Aurora", "GB-LND")).into_iter().collect();
        let present = |one: &Measured| Presence {
            registration: one.origin.registration,
            shape: Arc::clone(&one.shape),
            ..fixture::presence(&fixture::series(Metric::IcmpRtt, "any"), 0, 60)
        };
        let presence: Presences = measured.iter().map(present).collect();
        let question = Question::new(OrganisationId::DEFAULT, Timestamp::from_secs(86_400));
        let listening = Listening::to(&question, &registrations, &presence).unwrap();
        let rows: Vec<_> = measured
            .iter()
            .filter_map(|one| {
                let group = listening.group(&one.origin, &one.shape, None)?;
                Some(Row { group, slot: one.slot, totals: one.totals.clone(), agents: Arc::default() })
            })
            .collect();
        let silences = listening.hear(&rows);
        let shapes = targets.iter().map(|target| Shape::of(&fixture::series(Metric::IcmpRtt, target)));
        let holds =
            |shape: Shape| [1, 2].map(|id| silences.clone().presumed().hold(RegistrationId(id), &shape));
        shapes.map(holds).collect()
    }

    #[test]
    fn what_is_new_is_presumed_silent_where_tcp_works_and_nothing_shows_otherwise() {
        use Metric::{IcmpRtt, TcpConnect};
        let measured = [
            // It never answered, and TCP works: too few to be sure, at one of the sites.
            measured(1, IcmpRtt, "quiet", 0, 20),
            measured(1, TcpConnect, "quiet", 20, 0),
            measured(2, IcmpRtt, "quiet", 1, 20),
            measured(2, TcpConnect, "quiet", 20, 0),
            // TCP does not work there either.
            measured(1, IcmpRtt, "dead", 0, 20),
            measured(1, TcpConnect, "dead", 0, 20),
            measured(2, IcmpRtt, "dead", 0, 200),
            measured(2, TcpConnect, "dead", 90, 110),
            // Nothing but ICMP is measured of it.
            measured(1, IcmpRtt, "alone", 0, 20),
            measured(2, IcmpRtt, "alone", 20, 0),
        ];
        let holds = presumed(&measured, &["quiet", "dead", "alone", "unheard-of"]);
        assert_eq!(holds, [[true, false], [false, false], [false, false], [false, false]]);
    }

    #[test]
    fn few_probes_tell_nothing() {
        let icmp = |lost| Counters { lost, ..Counters::default() };
        let tcp = |answered| Counters { answered, ..Counters::default() };
        assert!(is_silent(&icmp(60), &tcp(60)));
        assert!(!is_silent(&icmp(59), &tcp(60)) && !is_silent(&icmp(60), &tcp(59)));
    }
}
