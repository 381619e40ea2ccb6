//! What tests of reports and of the page build upon.

use super::{
    Groups, Question, Report, edges::EdgesReport, exposition::Exposition, physics::PhysicsReport,
    series::SeriesReport, silence::Silences,
};
use crate::{
    admission::Attribution,
    geography::Places,
    organisation::OrganisationId,
    registry::{AgentEntry, Registration, RegistrationId},
    store::{Dropped, Grouping as _, Origin, Presence, Presences, Row, Shape, Totals, dropped::DAMAGED},
};
use peerlight_proto::{
    histogram::Histogram,
    id::AgentId,
    measurement::Counters,
    metric::Metric,
    series::{Clock, Family, Path, Series, SeriesKey},
    target::{ProbeKind, Target},
    time::Timestamp,
};
use std::{sync::Arc, time::Duration};

/// An agent.
pub(crate) const AGENT: AgentId = AgentId::new([7; 16]);

/// A series of the metric towards a target of this name, probed every 10 s.
pub(crate) fn series(metric: Metric, target: &str) -> Series {
    let target = Target {
        name: target.to_owned(),
        service: String::new(),
        address: format!("{target}.example.com").parse().unwrap(),
        probe: if metric.name().starts_with("icmp") { ProbeKind::Icmp } else { ProbeKind::Tcp { port: 443 } },
    };
    let key = SeriesKey {
        uplink: "london-1".into(),
        target: target.id(),
        metric,
        family: Family::V4,
        path: Path::Direct,
        clock: Clock::Kernel,
        http_version: None,
        handshake: None,
    };
    Series { key, target: target.into(), probe_interval_ms: 10_000 }
}

/// When [`AGENT`] measured the series for registration 1.
pub(crate) fn presence(series: &Series, first: i64, last: i64) -> Presence {
    Presence {
        agent: AGENT,
        registration: RegistrationId(1),
        shape: Arc::new(Shape::of(series)),
        first: Timestamp::from_secs(first),
        last: Timestamp::from_secs(last),
        given_away: Arc::default(),
    }
}

/// A registration that is valid for ever, with site `site-{id}`.
pub(crate) fn registration(id: i64, provider: &str, location: &str) -> Registration {
    Registration {
        id: RegistrationId(id),
        organisation: OrganisationId::DEFAULT,
        site: format!("site-{id}"),
        provider: provider.to_owned(),
        location: location.to_owned(),
        prefixes: vec![format!("192.0.{id}.0/24").parse().unwrap()],
        count_declared: false,
        valid_from: Timestamp::from_secs(0),
        valid_to: None,
    }
}

/// An agent of registration 1.
pub(crate) fn agent_entry(agent: AgentId) -> AgentEntry {
    AgentEntry {
        registration_ended: None,
        state: Vec::new(),
        tags: Vec::new(),
        behind: false,
        last_loss: None,
        retired_by: None,
        others: Vec::new(),
        agent,
        registration: RegistrationId(1),
        site: "site-1".to_owned(),
        provider: "Aurora".to_owned(),
        location: "GB-LND".to_owned(),
        host: "probe-1".to_owned(),
        version: "0.1.0".to_owned(),
        enrolled: Timestamp::from_secs(0),
        enrolled_from: "192.0.2.1".to_owned(),
        last_seen: None,
        address: None,
        clock_offset_us: None,
        session: None,
        health: None,
        cloned_since: None,
        revoked: None,
        key: String::new(),
        key_since: None,
        key_expires: None,
        next_key: None,
    }
}

/// What was measured by [`AGENT`], as a store has it before it is grouped.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) origin: Origin,
    pub(crate) shape: Arc<Shape>,
    pub(crate) slot: Timestamp,
    pub(crate) totals: Totals,
}

/// Verified measurements of these answered times and lost probes.
pub(crate) fn row(registration: i64, series: &Series, values_us: &[u64], lost: u64) -> Measured {
    let answered = values_us.len() as u64;
    Measured {
        origin: Origin {
            registration: RegistrationId(registration),
            uplink: series.key.uplink.clone(),
            attribution: Attribution::Verified,
            prefix: None,
        },
        shape: Arc::new(Shape::of(series)),
        slot: Timestamp::from_secs(0),
        totals: Totals {
            counters: Counters { scheduled: answered + lost, answered, lost, ..Counters::default() },
            histogram: Histogram::from_values(values_us.iter().copied()),
            ..Totals::default()
        },
    }
}

/// Measurements of a registration and of the UTC hour that starts then, missing for this reason.
pub(crate) fn dropped(registration: i64, hour: Timestamp, reason: &str, measurements: u64) -> Dropped {
    Dropped {
        registration: Some(RegistrationId(registration)),
        agent: None,
        hour,
        by_agent: !reason.starts_with("refused") && reason != DAMAGED,
        reason: reason.to_owned(),
        measurements,
        turns: measurements * 6,
        unread_batches: 0,
        first: hour,
        last: hour.plus(Duration::from_hours(1)),
    }
}

/// What a report is made of, measurements before they are grouped.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Evidence<'a> {
    pub(crate) rows: &'a [Measured],
    pub(crate) registrations: &'a [Registration],
    pub(crate) agents: &'a [AgentEntry],
    pub(crate) presence: &'a [Presence],
    pub(crate) dropped: &'a [Dropped],
}

/// Groups what was measured, as a store does, and answers.
pub(crate) fn answer(question: &Question, evidence: &Evidence<'_>, now: Timestamp) -> Report {
    answer_where(question, evidence, &Silences::default(), now)
}

/// The same where it is known which targets never answer ICMP.
pub(crate) fn answer_where(
    question: &Question,
    evidence: &Evidence<'_>,
    silences: &Silences,
    now: Timestamp,
) -> Report {
    found(question, evidence, silences, |groups, evidence| super::answer(groups, evidence, now))
}

/// The same over time, with its distributions.
pub(crate) fn series_of(question: &Question, evidence: &Evidence<'_>, now: Timestamp) -> SeriesReport {
    found(question, evidence, &Silences::default(), |groups, evidence| {
        super::series::series(groups, evidence, now)
    })
}

/// The window that is the question's only slot, for monitoring systems.
pub(crate) fn exposition_of(question: &Question, evidence: &Evidence<'_>, now: Timestamp) -> Exposition {
    found(question, evidence, &Silences::default(), |groups, evidence| {
        super::exposition::exposition(groups, evidence, now)
    })
}

/// Which front doors served, where no location has coordinates.
pub(crate) fn edges_of(question: &Question, evidence: &Evidence<'_>, now: Timestamp) -> EdgesReport {
    found(question, evidence, &Silences::default(), |groups, evidence| {
        super::edges::edges(groups, evidence, &Places::default(), now)
    })
}

/// Round trips beside the least that light takes, where no location has coordinates.
pub(crate) fn physics_of(question: &Question, evidence: &Evidence<'_>, now: Timestamp) -> PhysicsReport {
    found(question, evidence, &Silences::default(), |groups, evidence| {
        super::physics::physics(groups, evidence, &Places::default(), now)
    })
}

fn found<T>(
    question: &Question,
    evidence: &Evidence<'_>,
    silences: &Silences,
    make: impl FnOnce(&Groups, &super::Evidence<'_>) -> T,
) -> T {
    // What was measured was present, though it may not be expected here.
    let present = |row: &Measured| Presence {
        agent: AGENT,
        registration: row.origin.registration,
        shape: Arc::clone(&row.shape),
        first: row.slot,
        last: row.slot,
        given_away: Arc::default(),
    };
    let seen: Presences =
        evidence.presence.iter().cloned().chain(evidence.rows.iter().map(present)).collect();
    let groups = Groups::new(question.clone(), evidence.registrations.iter().cloned().collect(), &seen)
        .with_silences(silences.clone());
    let grouped = evidence.rows.iter().filter_map(|row| {
        Some(Row {
            group: groups.group(&row.origin, &row.shape, None)?,
            slot: row.slot,
            totals: row.totals.clone(),
            agents: Arc::new([7].into()),
        })
    });
    let rows: Vec<_> = grouped.collect();
    let Evidence { agents, dropped, .. } = *evidence;
    let presence = evidence.presence.iter().cloned().collect();
    let evidence = super::Evidence { rows: &rows, agents, presence: &presence, dropped };
    make(&groups, &evidence)
}
