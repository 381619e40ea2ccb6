//! Rows: what the timelines of a group's agents say together.

use super::{
    merge::{Merged, Span, longest, merged},
    observing::{Course, Courses},
    timeline::Part,
    units::{Unit, Units},
};
use crate::{
    report::{Group, NoLoss, coverage::coverage, group::GroupKey, loss::wilson},
    rfc3339,
};
use hashbrown::HashMap;
use indexmap::IndexSet;
use peerlight_proto::{id::AgentId, metric::Metric, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most outages, and the most gaps, that a row lists: the longest.
pub const MAX_LISTED: usize = 100;
const MINUTE: Duration = Duration::from_mins(1);

/// One group and metric over the span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AvailabilityRow {
    /// What it is grouped by.
    #[serde(flatten)]
    pub group: Group,
    /// Which time of a probe.
    #[schema(value_type = String)]
    pub metric: Metric,
    /// How many agents were to measure it.
    pub agents: u64,
    /// The share of time with answers; null where nothing was answered or could have been.
    pub availability: Option<Availability>,
    /// Why there is none although probes were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_availability_because: Option<NoLoss>,
    /// Agents whose target never answers ICMP while TCP works there: they count neither way.
    pub icmp_silent_agents: u64,
    /// Turns of schedules that were accounted for, over those that they had; as in the report of latency.
    pub coverage: Option<f64>,
    /// What the time was, all agents together.
    pub seconds: AgentTimes,
    /// How many outages there were.
    pub outage_count: u64,
    /// The longest 100 outages in the order of their starts.
    pub outages: Vec<Outage>,
    /// How many gaps there were.
    pub gap_count: u64,
    /// The longest 100 gaps in the order of their starts.
    pub gaps: Vec<Gap>,
}

/// The share of time with answers, `answered / (answered + outage)`, with an interval of 95 % within this sample by its
/// minutes. The bounds take undecided times at their worst and best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Availability {
    /// The share, from 0 to 1.
    pub value: f64,
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

/// Seconds of agents: of two agents a minute is two minutes. Together they are the time in which turns were expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentTimes {
    /// Probes left, and the target answered at least one of a minute.
    pub answered: u64,
    /// Probes left, and nobody answered, at least three in a row.
    pub outage: u64,
    /// Probes left and nobody answered, but they are too few to tell.
    pub undecided: u64,
    /// Probes were refused and none was answered: RST, ICMP unreachable, a failed handshake.
    pub refused: u64,
    /// The agent accounted for its turns, but nothing left: missed turns, a suspend, names that could not be looked up.
    pub not_measuring: u64,
    /// The agent accounted for nothing: off, asleep, or what it measured was lost or has not come yet.
    pub silent: u64,
    /// Spent on targets that never answer ICMP while TCP works there.
    pub icmp_silent: u64,
}

/// A span in which probes were sent and none was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Outage {
    /// The start of the first minute without an answer.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The end of the last one.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// How long it lasted at least, about; see `resolution_seconds`.
    pub seconds: u64,
    /// How exactly its ends are known: it may reach so much further either way. More than a minute where minutes have expired.
    pub resolution_seconds: u64,
    /// Whether answers stand before it; else it may have begun before.
    pub start_known: bool,
    /// Whether answers stand behind it; else it may have lasted longer.
    pub end_known: bool,
    /// Whether it lasts to the end of the report's span.
    pub ongoing: bool,
    /// How many agents had no answer.
    pub agents_affected: u64,
    /// How many agents sent probes meanwhile.
    pub agents_measuring: u64,
    /// How many probes were not answered.
    pub unanswered: u64,
}

/// A span in which an agent measured nothing: no outage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Gap {
    /// What it was.
    pub kind: GapKind,
    /// Its start.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// Its end.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// How long it lasted.
    pub seconds: u64,
    /// How many agents it is of.
    pub agents_affected: u64,
}

/// What a gap was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GapKind {
    /// The agent accounted for nothing: off, asleep, or what it measured was lost or has not come yet.
    Silent,
    /// The agent accounted for its turns, but nothing left.
    NotMeasuring,
}

/// What one row is made of.
#[derive(Default)]
struct Making<'a> {
    units: Vec<(u32, &'a Course)>,
    silent: IndexSet<u32>,
    agents: IndexSet<u32>,
    spans: Vec<Span>,
    seconds: AgentTimes,
    scheduled: u64,
    expected: u64,
}

/// The rows of what was observed up to `to`.
pub(super) fn rows(courses: &Courses, units: &Units, to: Timestamp) -> Vec<AvailabilityRow> {
    let mut agents: IndexSet<AgentId> = IndexSet::new();
    let mut numbers: Vec<_> = courses.of.iter().collect();
    numbers.sort_unstable_by_key(|(number, _)| **number);
    let mut making: HashMap<(GroupKey, Metric), Making<'_>> = HashMap::new();
    for (number, course) in numbers {
        let Some(unit) = units.get(*number) else { continue };
        let agent = u32::try_from(agents.insert_full(unit.agent).0).unwrap_or(u32::MAX);
        making.entry((unit.group, unit.metric)).or_default().add(&unit, agent, course);
    }
    let mut making: Vec<_> = making.into_iter().collect();
    units.groups().sort(&mut making, |((group, metric), _)| (*group, *metric));
    let groups = units.groups();
    making
        .into_iter()
        .map(|((group, metric), made)| made.into_row(groups.called(group), metric, to))
        .collect()
}

impl<'a> Making<'a> {
    fn add(&mut self, unit: &Unit, agent: u32, course: &'a Course) {
        self.agents.insert(agent);
        self.scheduled = self.scheduled.saturating_add(course.counters.scheduled);
        self.expected = self.expected.saturating_add(course.turns);
        if unit.silent {
            self.silent.insert(agent);
        }
        self.units.push((agent, course));
        for (part, run) in course.timeline.parts(&course.expected) {
            let seconds = run.sight.to.since(run.sight.from).as_secs();
            let sum = match part {
                _ if unit.silent && part != Part::Silent && part != Part::NotMeasuring => {
                    self.seconds.icmp_silent += seconds;
                    continue;
                }
                Part::Answered => &mut self.seconds.answered,
                Part::Outage => &mut self.seconds.outage,
                Part::Undecided => &mut self.seconds.undecided,
                Part::Refused => &mut self.seconds.refused,
                Part::NotMeasuring => &mut self.seconds.not_measuring,
                Part::Silent => &mut self.seconds.silent,
            };
            *sum += seconds;
            if matches!(part, Part::Outage | Part::NotMeasuring | Part::Silent) {
                self.spans.push(Span { agent, part, run });
            }
        }
    }

    fn into_row(mut self, group: Group, metric: Metric, to: Timestamp) -> AvailabilityRow {
        let (outages, gaps): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.spans).into_iter().partition(|span| span.part == Part::Outage);
        let (outages, gaps) = (merged(outages), merged(gaps));
        let (outage_count, gap_count) = (outages.len() as u64, gaps.len() as u64);
        let availability = availability(&self.seconds);
        AvailabilityRow {
            group,
            metric,
            agents: self.agents.len() as u64,
            availability,
            no_availability_because: (availability.is_none() && !self.silent.is_empty())
                .then_some(NoLoss::IcmpSilent),
            icmp_silent_agents: self.silent.len() as u64,
            coverage: coverage(self.scheduled, self.expected),
            seconds: self.seconds,
            outage_count,
            outages: longest(outages, MAX_LISTED).iter().map(|one| self.outage(one, to)).collect(),
            gap_count,
            gaps: longest(gaps, MAX_LISTED).iter().map(gap).collect(),
        }
    }

    fn outage(&self, one: &Merged, to: Timestamp) -> Outage {
        let measuring =
            self.units.iter().filter(|(_, course)| course.timeline.measured_within(one.from, one.to));
        let measuring: IndexSet<u32> = measuring.map(|(agent, _)| *agent).collect();
        Outage {
            from: one.from,
            to: one.to,
            seconds: one.length().as_secs(),
            resolution_seconds: one.resolution.as_secs(),
            start_known: one.known[0],
            end_known: one.known[1],
            ongoing: one.to >= to,
            agents_affected: one.agents.len() as u64,
            agents_measuring: measuring.len() as u64,
            unanswered: one.unanswered,
        }
    }
}

fn gap(one: &Merged) -> Gap {
    let kind = if one.part == Part::Silent { GapKind::Silent } else { GapKind::NotMeasuring };
    Gap {
        kind,
        from: one.from,
        to: one.to,
        seconds: one.length().as_secs(),
        agents_affected: one.agents.len() as u64,
    }
}

fn availability(seconds: &AgentTimes) -> Option<Availability> {
    let minutes = |seconds: u64| seconds.div_ceil(MINUTE.as_secs());
    let [answered, outage, undecided] = [seconds.answered, seconds.outage, seconds.undecided].map(minutes);
    let value = wilson(answered, answered + outage)?.value;
    let all = answered + outage + undecided;
    let (worst, best) = (wilson(answered, all)?, wilson(answered + undecided, all)?);
    Some(Availability { value, low: worst.low, high: best.high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_interval_holds_its_value_and_undecided_times_widen_it(answered in 0_u64..100_000, outage in 0_u64..100_000, undecided in 0_u64..100_000) {
            let of = |undecided| availability(&AgentTimes { answered, outage, undecided, ..AgentTimes::default() });
            prop_assume!(answered + outage > 0);
            let found = of(undecided).unwrap();
            prop_assert!(0.0 <= found.low && found.low <= found.value && found.value <= found.high && found.high <= 1.0, "{found:?}");
            let decided = of(0).unwrap();
            prop_assert!(found.low <= decided.low && decided.high <= found.high, "{found:?} {decided:?}");
        }
    }

    #[test]
    fn ten_minutes_prove_little_and_a_month_much() {
        let of = |minutes: u64| {
            availability(&AgentTimes { answered: minutes * 60, ..AgentTimes::default() }).unwrap()
        };
        let shown = [10, 43_200].map(|minutes| format!("{:.4}", of(minutes).low));
        assert_eq!(shown, ["0.7225", "0.9999"]);
        assert_eq!(availability(&AgentTimes::default()), None);
    }
}
