//! Targets that never answer ICMP while TCP works there: what they do not answer is no loss and no outage.
//!
//! Decided for each site, target address and family by what it heard over a day at least, so that an hour's trouble with
//! ICMP alone does not pass for a habit; what goes unanswered where TCP does not work either is loss. The one question
//! that it takes is asked only where a site measures both, and only for reports that show ICMP.

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
pub struct Silences(HashSet<(RegistrationId, Host, Family)>);

impl Silences {
    /// That of one series at a registration.
    #[cfg(test)]
    pub(super) fn of(registration: RegistrationId, series: &peerlight_proto::series::Series) -> Self {
        Self([(registration, series.target.address.clone(), series.key.family)].into_iter().collect())
    }

    /// Whether what this shape did not answer at the registration is no loss.
    pub(super) fn hold(&self, registration: RegistrationId, shape: &Shape) -> bool {
        shape.metric == Metric::IcmpRtt
            && !self.0.is_empty()
            && self.0.contains(&(registration, shape.target.address.clone(), shape.family))
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
        let silent = heard.into_iter().filter(|(_, [icmp, tcp])| is_silent(icmp, tcp));
        let named = silent.filter_map(|(place, _)| {
            let (registration, subject) = *self.places.get_index(place as usize)?;
            let (address, family) = self.subjects.get_index(subject as usize)?.clone();
            Some((registration, address, family))
        });
        Silences(named.collect())
    }
}

/// Whether an address that answers so is silent: none of enough echo requests was answered, in time or late, while of
/// enough connects most were.
fn is_silent(icmp: &Counters, tcp: &Counters) -> bool {
    let connected = heard(tcp);
    heard(icmp) == 0
        && icmp.lost >= FEWEST_PROBES
        && connected >= FEWEST_PROBES
        && connected.saturating_mul(2) >= tcp.sent()
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

    #[test]
    fn few_probes_tell_nothing() {
        let icmp = |lost| Counters { lost, ..Counters::default() };
        let tcp = |answered| Counters { answered, ..Counters::default() };
        assert!(is_silent(&icmp(60), &tcp(60)));
        assert!(!is_silent(&icmp(59), &tcp(60)) && !is_silent(&icmp(60), &tcp(59)));
    }
}
