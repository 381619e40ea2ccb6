//! Reports: what providers' latency was over a span, from rows of the store. Pure.
//!
//! Reports count what is verified to have left through the registered uplink, and declared measurements only where the
//! registration allows it; everything else is shown beside, never counted (rules, §7). Nothing is invented where
//! samples are too few: such a value is null.

pub mod availability;
pub mod azure_reachability;
pub mod compare;
mod coverage;
mod dropped;
pub mod edges;
pub mod exposition;
#[cfg(test)]
pub(crate) mod fixture;
mod group;
mod histograms;
mod interval;
mod latency;
mod loss;
mod milliseconds;
mod noise;
pub mod physics;
mod question;
pub mod render;
mod seen;
pub mod series;
mod served;
pub mod silence;
pub(crate) mod slots;
mod tally;
pub mod time_of_day;
pub mod yardsticks;

pub use coverage::ON_ITS_WAY;
pub use dropped::Missing;
pub use group::{Group, Groups};
pub use interval::{Bounds, LatencyBounds};
pub use latency::{Jitter, Latency};
pub use loss::{Loss, NoLoss};
pub use noise::AgentNoise;
pub use question::{DEFAULT_LAST, Dimension, MAX_SLOTS, MAX_SPAN, Question, QuestionError};
pub(crate) use question::{same as is_same, start_of_minute, within as lies_within};
pub use seen::{FRONT_DOOR, INTERCEPTION, Seen, Sighting};

use crate::{
    registry::{AgentEntry, RegistrationId},
    rfc3339,
    store::{Dropped, Presences, Present, Row},
};
use group::{GroupKey, Share};
use hashbrown::HashMap;
use peerlight_proto::{histogram::Histogram, metric::Metric, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tally::Tally;

/// How intervals are to be read.
const INTERVALS: &str =
    "95 %, within this sample: consecutive probes are correlated, so the truth may lie further off";

/// What an answer rests on, beside the [`Groups`] that it is made for.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What the store found for [`Question::query`], by these groups.
    pub rows: &'a [Row],
    /// The organisation's agents that were revoked.
    pub agents: &'a [AgentEntry],
    /// When they measured what.
    pub presence: &'a Presences,
    /// What is missing between the question's ends.
    pub dropped: &'a [Dropped],
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub generated_at: Timestamp,
    /// The first instant of its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first instant after its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// The end of the newest interval that was measured of what was asked, within the span or not.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub measured_until: Option<Timestamp>,
    /// What was asked.
    pub question: Asked,
    /// How the intervals in it are to be read.
    pub intervals: String,
    /// One row for each group and metric, and slot where a step was asked for.
    pub rows: Vec<ReportRow>,
    /// What agents or the collector had to drop of the sites that were asked for, of every target and metric. Coverage shows the
    /// same as a gap. Hours at the ends of the span count whole.
    #[serde(default)]
    pub dropped: Vec<Missing>,
}

/// What was asked, as understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Asked {
    /// What rows are grouped by.
    pub by: Vec<Dimension>,
    /// Only these metrics; empty means every one.
    #[schema(value_type = Vec<String>)]
    pub metrics: Vec<Metric>,
    /// Only these providers; empty means every one.
    pub providers: Vec<String>,
    /// Only these locations; empty means every one.
    pub locations: Vec<String>,
    /// Only these sites; empty means every one.
    pub sites: Vec<String>,
    /// Only these targets; empty means every one.
    pub targets: Vec<String>,
    /// The length of a slot in seconds, if slots were asked for.
    pub step_seconds: Option<u64>,
}

/// One group and metric, over the span or one slot of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReportRow {
    /// The start of the slot, where a step was asked for.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub slot: Option<Timestamp>,
    /// What it is grouped by.
    #[serde(flatten)]
    pub group: Group,
    /// Which time of a probe.
    #[schema(value_type = String)]
    pub metric: Metric,
    /// How many agents measured what is counted here.
    pub agents: u64,
    /// `scheduled / expected`; null where nothing was expected, and by prefix, which schedules do not know.
    pub coverage: Option<f64>,
    /// Turns of schedules that were accounted for: the sum of skipped, voided, `dns_failed`, `send_failed` and sent.
    pub scheduled: u64,
    /// Turns that schedules had in the span.
    pub expected: Option<u64>,
    /// Probes that left the machines: the sum of answered, retransmitted, late, lost, refused and `icmp_silent`, and of
    /// verified and declared.
    pub sent: u64,
    /// Answered in time: what the latencies are of.
    pub answered: u64,
    /// Not answered until the deadline.
    pub lost: u64,
    /// Answered by RST, ICMP unreachable or a failed handshake: not a loss.
    pub refused: u64,
    /// Answered after the time-out: counts as loss.
    pub late: u64,
    /// TCP connects whose SYN was sent again: counts as loss.
    pub retransmitted: u64,
    /// Nothing was sent: a missed turn, or an earlier phase failed.
    pub skipped: u64,
    /// Touched by a suspend or a clock step.
    pub voided: u64,
    /// The name could not be resolved: never a network loss.
    pub dns_failed: u64,
    /// The machine could not send: never a network loss.
    pub send_failed: u64,
    /// Further replies to a probe; no probes of their own.
    pub duplicate: u64,
    /// Replies to nothing that was asked, or from another address than was; no probes of their own.
    pub foreign: u64,
    /// Echo requests that were not answered by targets that never answer ICMP at their site while TCP works there: no loss.
    #[serde(default)]
    pub icmp_silent: u64,
    /// The share that the network lost, null if nothing could be.
    pub loss: Option<Loss>,
    /// Why there is no loss although probes were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_loss_because: Option<NoLoss>,
    /// Of the answered probes.
    pub latency_ms: Latency,
    /// With late, retransmitted and lost probes as infinitely slow; null where the rank falls on one.
    pub latency_incl_loss_ms: Latency,
    /// Intervals of `latency_ms`.
    pub latency_interval_ms: LatencyBounds,
    /// Differences of consecutive answered probes; null where the metric has no jitter or no pair was answered.
    pub jitter_ms: Option<Jitter>,
    /// How late the probes of the group left their machines, of all its metrics; null where no agent told. What the kernel
    /// timed is hardly touched by it, what the agent's own clock timed is.
    pub agent_noise_ms: Option<AgentNoise>,
    /// Answered probes by the clock that timed them.
    pub clocks: Clocks,
    /// Answers beyond the histogram's 60 s, counted as 60 s.
    pub overflow: u64,
    /// Sent probes whose public address was seen to be in the registration.
    pub verified: u64,
    /// Sent probes whose public address could not be seen, counted because their registration allows it.
    pub declared: u64,
    /// Sent probes whose public address could not be seen, not counted.
    pub declared_uncounted: u64,
    /// Sent probes whose public address was seen outside the registration, not counted.
    pub off_prefix: u64,
    /// The largest offset of an agent's clock, collector minus agent, in milliseconds, that travelled with what is counted
    /// here; null where no agent knew its own.
    pub max_clock_offset_ms: Option<f64>,
    /// What was seen with the probes that are counted here, by kind and value: at most 16 values of a kind.
    #[serde(default, skip_serializing_if = "Seen::is_empty")]
    pub seen: Seen,
}

/// Answered probes by the clock that timed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Clocks {
    /// Stamps that the kernel put on the packets.
    pub kernel: u64,
    /// The kernel's own estimate of a TCP round trip.
    pub tcp_info: u64,
    /// The agent's monotonic clock.
    pub user: u64,
}

/// Tallies by group, metric and slot.
type Tallies = HashMap<(GroupKey, Metric, Option<Timestamp>), Tally>;

/// Answers the groups' question from what was found.
pub fn answer(groups: &Groups, evidence: &Evidence<'_>, now: Timestamp) -> Report {
    let question = groups.question();
    let mut tallies = Tallies::new();
    let mut noise: HashMap<(GroupKey, Option<Timestamp>), Histogram> = HashMap::new();
    for row in evidence.rows {
        let Some(share) = groups.share(row.group) else { continue };
        let Share { group, metric, counting, .. } = share;
        let slot = question.step.map(|_| row.slot);
        if question.wants_metric(metric) {
            tallies.entry((group, metric, slot)).or_default().add(row, &share);
        }
        if metric == Metric::AgentNoise && counting.counts() {
            noise.entry((group, slot)).or_default().merge(&row.totals.histogram);
        }
        if let Some(base) = base_of(metric).filter(|base| question.wants_metric(*base)) {
            tallies.entry((group, base, slot)).or_default().add_jitter(row, counting);
        }
    }
    let measured_until = expect(groups, evidence, &mut tallies, now);
    let mut tallies: Vec<_> = tallies.into_iter().collect();
    groups.sort(&mut tallies, |((group, metric, slot), _tally)| (*group, (*metric, *slot)));
    Report {
        generated_at: now,
        from: question.from,
        to: question.to,
        measured_until,
        question: asked(question),
        intervals: INTERVALS.to_owned(),
        rows: tallies
            .into_iter()
            .map(|((group, metric, slot), tally)| {
                let beside = noise.get(&(group, slot)).filter(|_| metric != Metric::AgentNoise);
                ReportRow {
                    agent_noise_ms: beside.and_then(AgentNoise::of),
                    ..tally.into_row(slot, groups.called(group), metric)
                }
            })
            .collect(),
        dropped: dropped::missing(groups, evidence.dropped, evidence.presence),
    }
}

/// Adds the turns that schedules had, and with them the groups that nothing came from; returns the newest measurement.
fn expect(
    groups: &Groups,
    evidence: &Evidence<'_>,
    tallies: &mut Tallies,
    now: Timestamp,
) -> Option<Timestamp> {
    let question = groups.question();
    let wanted = |seen: Present<'_>| {
        question.wants_metric(seen.shape.metric)
            && groups.registration(seen.registration).is_some_and(|entry| question.wants(entry))
            && question.wants_target(&seen.shape.target)
    };
    let measured = evidence.presence.iter().filter(|seen| wanted(*seen));
    let measured_until = measured.map(|seen| seen.last).max();
    if question.by.contains(&Dimension::Prefix) {
        return measured_until;
    }
    let ended =
        |registration: RegistrationId| groups.registration(registration).and_then(|entry| entry.valid_to);
    for schedule in coverage::schedules(evidence.presence, wanted, ended, evidence.agents, now) {
        let group = groups.key(schedule.registration, schedule.shape, None);
        for (slot, from, to) in slots(question) {
            let turns = schedule.turns(from, to);
            if turns > 0 {
                tallies.entry((group, schedule.shape.metric, slot)).or_default().expect(turns);
            }
        }
    }
    measured_until
}

/// The slots of a question, or its whole span, cut to the span.
fn slots(question: &Question) -> impl Iterator<Item = (Option<Timestamp>, Timestamp, Timestamp)> {
    let (from, to) = (question.from, question.to);
    let mut next = question.step.map_or(Some((None, from)), |step| {
        let seconds = i64::try_from(step.as_secs()).unwrap_or(i64::MAX).max(1);
        let first = Timestamp::from_secs(from.as_secs().div_euclid(seconds).saturating_mul(seconds));
        Some((Some(first), first))
    });
    let step = question.step.unwrap_or(Duration::MAX);
    std::iter::from_fn(move || {
        let (slot, start) = next.take()?;
        let end = start.plus(step);
        next = (end < to).then_some((Some(end), end)).filter(|_| slot.is_some());
        Some((slot, start.max(from), end.min(to)))
    })
}

/// The metric that this is the jitter of.
fn base_of(jitter: Metric) -> Option<Metric> {
    Metric::ALL.into_iter().find(|metric| metric.jitter() == Some(jitter))
}

fn asked(question: &Question) -> Asked {
    Asked {
        by: question.by.clone(),
        metrics: question.metrics.iter().copied().collect(),
        providers: question.providers.iter().cloned().collect(),
        locations: question.locations.iter().cloned().collect(),
        sites: question.sites.iter().cloned().collect(),
        targets: question.targets.iter().cloned().collect(),
        step_seconds: question.step.map(|step| step.as_secs()),
    }
}

#[cfg(test)]
mod tests;
