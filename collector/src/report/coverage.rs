//! Coverage: how many of the turns that schedules had were accounted for (ARCHITECTURE.md, "Coverage counts probes").

use crate::{
    registry::{AgentEntry, RegistrationId},
    store::{Presences, Present, Shape},
};
use hashbrown::{DefaultHashBuilder, HashMap};
use indexmap::{IndexMap, IndexSet};
use peerlight_proto::{
    id::AgentId,
    metric::Metric,
    series::{Family, Path},
    target::{Host, ProbeKind},
    time::Timestamp,
};
use std::{sync::Arc, time::Duration};

/// How long a measurement may be on its way: an interval, its deadline, a push and a group commit, twice over. Until
/// then its absence means nothing.
pub const ON_ITS_WAY: Duration = Duration::from_mins(3);

/// An agent's schedule of one target and metric over one family and path, and from when to when it ran.
#[derive(Debug, Clone)]
pub(super) struct Schedule<'a> {
    /// Whose.
    pub(super) agent: AgentId,
    /// For which registration.
    pub(super) registration: RegistrationId,
    /// One of its shapes; they differ in clock, HTTP version and handshake alone.
    pub(super) shape: &'a Arc<Shape>,
    first: Timestamp,
    until: Timestamp,
    /// Spans in which it counts for another registration.
    given_away: &'a Arc<[(Timestamp, Timestamp)]>,
}

/// The schedules that these presences tell of, agent by agent: of a large fleet there are millions.
///
/// `wanted` says of which, and `ended` when a registration did. Several series may belong to one schedule (two clocks, two handshakes) and count once. A target that its agent went
/// on without ends where it was last measured; every other one is expected up to now, because an agent that fell silent
/// is what coverage is there to show.
pub(super) fn schedules<'a>(
    presence: &'a Presences,
    wanted: impl Fn(Present<'a>) -> bool,
    ended: impl Fn(RegistrationId) -> Option<Timestamp>,
    agents: &[AgentEntry],
    now: Timestamp,
) -> impl Iterator<Item = Schedule<'a>> {
    let revoked: HashMap<AgentId, Timestamp> =
        agents.iter().filter_map(|entry| Some((entry.agent, entry.revoked?))).collect();
    // A fleet has few shapes, each of them once in memory: what is measured is compared by number.
    let mut subjects = Subjects::default();
    presence.by_agent().flat_map(move |of_agent| {
        // Whatever an agent measured tells whether it went on without a target, wanted or not.
        let agent_last = of_agent.last().unwrap_or(now);
        let merged = merge(of_agent.iter().filter(|seen| wanted(*seen)), &mut subjects);
        let schedule = |seen: Present<'a>| {
            let ends = [ended(seen.registration), revoked.get(&seen.agent).copied()];
            let until =
                ends.into_iter().flatten().fold(expected_until(seen, agent_last, now), Timestamp::min);
            let Present { agent, registration, shape, first, given_away, .. } = seen;
            Schedule { agent, registration, shape, first, until, given_away }
        };
        merged.into_values().map(schedule).collect::<Vec<_>>()
    })
}

/// Of one agent's presences one for each schedule.
fn merge<'a>(
    of_agent: impl Iterator<Item = Present<'a>>,
    subjects: &mut Subjects<'a>,
) -> IndexMap<(RegistrationId, u32), Present<'a>, DefaultHashBuilder> {
    let mut merged: IndexMap<_, Present<'a>, _> = IndexMap::default();
    for seen in of_agent {
        merged
            .entry((seen.registration, subjects.number(seen.shape)))
            .and_modify(|known| {
                if seen.last > known.last {
                    (known.last, known.shape) = (seen.last, seen.shape);
                }
                known.first = known.first.min(seen.first);
            })
            .or_insert(seen);
    }
    merged
}

/// What a schedule measures, by number.
#[derive(Default)]
struct Subjects<'a> {
    numbers: HashMap<*const Shape, u32>,
    all: IndexSet<(&'a Host, &'a ProbeKind, Metric, Family, Path)>,
}

impl<'a> Subjects<'a> {
    fn number(&mut self, shape: &'a Arc<Shape>) -> u32 {
        let Self { numbers, all } = self;
        *numbers.entry(Arc::as_ptr(shape)).or_insert_with(|| {
            let target = &shape.target;
            let subject = (&target.address, &target.probe, shape.metric, shape.family, shape.path);
            u32::try_from(all.insert_full(subject).0).unwrap_or(u32::MAX)
        })
    }
}

/// When a schedule ended, or up to when its measurements must have arrived.
fn expected_until(seen: Present<'_>, agent_last: Timestamp, now: Timestamp) -> Timestamp {
    let patience = ON_ITS_WAY.saturating_add(2 * interval(seen.shape));
    if agent_last.since(seen.last) > patience {
        seen.last
    } else {
        agent_last.max(now.minus(ON_ITS_WAY)).max(seen.last)
    }
}

/// How often a shape's target is probed.
pub(super) fn interval(shape: &Shape) -> Duration {
    Duration::from_millis(u64::from(shape.probe_interval_ms.max(1)))
}

impl Schedule<'_> {
    /// The spans from `from` until `to` in which turns were expected, in order and apart.
    pub(super) fn spans(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let (mut at, end) = (self.first.max(from), self.until.min(to));
        let mut spans = Vec::new();
        for (given, kept) in self.given_away.iter() {
            spans.push((at, end.min(*given)));
            at = at.max(*kept);
        }
        spans.push((at, end));
        spans.retain(|(from, to)| from < to);
        spans
    }

    /// The turns that it had from `from` until `to`.
    pub(super) fn turns(&self, from: Timestamp, to: Timestamp) -> u64 {
        let (from, to) = (self.first.max(from), self.until.min(to));
        let given_away = self.given_away.iter().map(|(start, end)| to.min(*end).since(from.max(*start)));
        let span = to.since(from).saturating_sub(given_away.sum());
        u64::try_from(span.as_micros() / interval(self.shape).as_micros()).unwrap_or(u64::MAX)
    }
}

/// The share of expected turns that were accounted for. A first turn at the edge of the span may be one too many.
#[expect(clippy::cast_precision_loss, reason = "counts of probes stay far below 2^53")]
pub(super) fn coverage(scheduled: u64, expected: u64) -> Option<f64> {
    (expected > 0).then(|| ((scheduled as f64 / expected as f64).min(1.0) * 1e4).round() / 1e4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::fixture::{AGENT, agent_entry, presence, series},
        store::Presence,
    };
    use peerlight_proto::series::{Clock, Series};

    const HOUR: i64 = 3_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn turns(seen: &[Presence], now: i64, to: i64) -> Vec<u64> {
        let presence = seen.iter().cloned().collect();
        schedules(&presence, |_seen| true, |_registration| None, &[], at(now))
            .map(|schedule| schedule.turns(at(0), at(to)))
            .collect()
    }

    #[test]
    fn two_clocks_of_one_target_are_one_schedule() {
        let kernel = presence(&series(Metric::IcmpRtt, "a"), 0, HOUR);
        let user = presence(
            &Series {
                key: peerlight_proto::series::SeriesKey {
                    clock: Clock::User,
                    ..series(Metric::IcmpRtt, "a").key
                },
                ..series(Metric::IcmpRtt, "a")
            },
            600,
            1_200,
        );
        assert_eq!(turns(&[user, kernel], HOUR, HOUR), [360]);
    }

    #[test]
    fn an_agent_of_two_uplinks_has_a_schedule_for_each() {
        let fibre = presence(&series(Metric::IcmpRtt, "a"), 0, HOUR);
        let mobile = Presence { registration: RegistrationId(2), ..fibre.clone() };
        let retired = Presence { registration: RegistrationId(3), last: at(600), ..fibre.clone() };
        assert_eq!(turns(&[fibre, mobile, retired], HOUR, HOUR), [360, 360, 60]);
    }

    #[test]
    fn a_silent_agent_is_expected_until_now_and_a_retired_target_until_its_last() {
        let (a, b) = (
            presence(&series(Metric::IcmpRtt, "a"), 0, 1_800),
            presence(&series(Metric::TcpConnect, "a"), 0, 1_790),
        );
        assert_eq!(turns(&[a.clone(), b], HOUR, HOUR), [342, 342], "less what may be on its way");
        let kept = presence(&series(Metric::TcpConnect, "a"), 0, HOUR);
        assert_eq!(turns(&[a, kept], HOUR, HOUR), [180, 360]);
    }

    #[test]
    fn nothing_is_expected_of_what_counts_for_another_registration() {
        let spans = [(300, 900), (1_800, 2 * HOUR)].map(|(from, to)| (at(from), at(to)));
        let seen = Presence { given_away: spans.into(), ..presence(&series(Metric::IcmpRtt, "a"), 0, HOUR) };
        let alone = Presences::from_iter([seen.clone()]);
        let schedule = schedules(&alone, |_| true, |_| None, &[], at(HOUR)).next().unwrap();
        assert_eq!(schedule.spans(at(60), at(HOUR)), [(at(60), at(300)), (at(900), at(1_800))]);
        let expected = [HOUR, 600, 1_000].map(|to| turns(std::slice::from_ref(&seen), HOUR, to));
        assert_eq!(expected, [[30 + 90], [30], [30 + 10]]);
    }

    #[test]
    fn nothing_is_expected_after_a_revocation_or_the_end_of_a_registration() {
        let seen = Presences::from_iter([presence(&series(Metric::IcmpRtt, "a"), 0, 600)]);
        let valid_to = |_registration| Some(at(900));
        let ended = |agents: &[AgentEntry]| {
            let mut schedules = schedules(&seen, |_seen| true, valid_to, agents, at(HOUR));
            schedules.next().unwrap().turns(at(0), at(HOUR))
        };
        assert_eq!(ended(&[]), 90);
        let revoked = AgentEntry { revoked: Some(at(700)), ..agent_entry(AGENT) };
        assert_eq!(ended(&[revoked]), 70);
    }

    #[test]
    fn a_span_before_the_first_or_after_the_last_expects_nothing() {
        let seen = [presence(&series(Metric::IcmpRtt, "a"), 600, 900)];
        assert_eq!(turns(&seen, 900, 600), [0]);
        assert_eq!(turns(&seen, 900, HOUR), [30]);
        assert_eq!(coverage(0, 0), None);
        assert_eq!(coverage(7, 6), Some(1.0));
    }
}
