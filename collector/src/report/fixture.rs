//! What tests of reports and of the page build upon.

use crate::{
    admission::Attribution,
    organisation::OrganisationId,
    registry::{AgentEntry, Registration, RegistrationId},
    store::{Presence, Row, RowKey, Totals},
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
use std::sync::Arc;

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
        uplink: "london-1".to_owned(),
        target: target.id(),
        metric,
        family: Family::V4,
        path: Path::Direct,
        clock: Clock::Kernel,
        http_version: None,
        handshake: None,
    };
    Series { key, target, probe_interval_ms: 10_000 }
}

/// When [`AGENT`] measured the series for registration 1.
pub(crate) fn presence(series: &Series, first: i64, last: i64) -> Presence {
    Presence {
        agent: AGENT,
        registration: RegistrationId(1),
        series: Arc::new(series.clone()),
        first: Timestamp::from_secs(first),
        last: Timestamp::from_secs(last),
        given_away: Vec::new(),
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
    }
}

/// A verified row of these answered times and lost probes, by [`AGENT`].
pub(crate) fn row(registration: i64, series: &Series, values_us: &[u64], lost: u64) -> Row {
    let answered = values_us.len() as u64;
    Row {
        key: RowKey {
            registration: RegistrationId(registration),
            metric: series.key.metric,
            agent: AGENT,
            attribution: Attribution::Verified,
            prefix: None,
            series: series.key.id(),
        },
        series: Arc::new(series.clone()),
        slot: Timestamp::from_secs(0),
        totals: Totals {
            counters: Counters { scheduled: answered + lost, answered, lost, ..Counters::default() },
            histogram: Histogram::from_values(values_us.iter().copied()),
            ..Totals::default()
        },
    }
}
