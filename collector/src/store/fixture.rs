//! What the tests of stores put in: sites, batches and the way through admission.

use crate::{
    admission::{Admitted, Caller, admit},
    organisation::OrganisationId,
    registry::{Registration, RegistrationId},
    store::{Grouping, Origin, Query, Reattribute, Retention, Shape, Store, StoreError, Totals},
};
use ipnet::IpNet;
use peerlight_proto::{
    batch::{Batch, Health, Part},
    codec::Decoded,
    histogram::Histogram,
    id::{AgentId, BatchDigest, BatchNumber, SeriesId, SessionId},
    measurement::{Attribute, Counters, Measurement, Observed},
    metric::Metric,
    series::{Clock, Family, Path, Series, SeriesKey},
    target::Target,
    time::{Interval, IntervalLength, Timestamp},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A UTC midnight, 2026-11-16.
pub(crate) const MIDNIGHT: Timestamp = Timestamp::from_secs(20_773 * 86_400);
/// One minute.
pub(crate) const MINUTE: Duration = Duration::from_mins(1);
/// One day.
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// A retention that is over within days.
pub(crate) const RETENTION: Retention = Retention {
    minute: DAY.saturating_mul(3),
    quarter_hour: DAY.saturating_mul(5),
    day: DAY.saturating_mul(8),
    acceptance_horizon: DAY,
};

/// Site `number` of an organisation, with an agent of its own; registered for ever with 192.0.2.0/24 and, inside it, /28.
pub(crate) fn caller(organisation: i64, number: u8) -> Caller {
    Caller {
        agent: AgentId::new([number; 16]),
        registration: Registration {
            id: RegistrationId(i64::from(number)),
            organisation: OrganisationId(organisation),
            site: "london-1".into(),
            provider: "Example Telecom".into(),
            location: "GB-LND".into(),
            prefixes: ["192.0.2.0/24", "192.0.2.0/28", "2001:db8:7::/48"]
                .map(|text| text.parse().unwrap())
                .into(),
            count_declared: false,
            valid_from: Timestamp::from_secs(0),
            valid_to: None,
        },
        others: Vec::new(),
        uplinks: Vec::new(),
    }
}

/// A series of every caller's site.
pub(crate) fn series(metric: Metric, target_name: &str) -> Series {
    let target = Target {
        name: target_name.into(),
        service: "Microsoft 365".into(),
        address: "outlook.office365.com".parse().unwrap(),
        probe: "tcp:443".parse().unwrap(),
    };
    let key = SeriesKey {
        uplink: "london-1".into(),
        target: target.id(),
        metric,
        family: Family::V4,
        path: Path::Direct,
        clock: Clock::TcpInfo,
        http_version: None,
        handshake: None,
    };
    Series { key, target: target.into(), probe_interval_ms: 10_000 }
}

/// A measurement of series `series` over the interval of `length` that starts at `start`: these were answered, one was lost.
pub(crate) fn measurement(series: u32, start: Timestamp, length: u32, values_us: &[u64]) -> Measurement {
    let answered = values_us.len() as u64;
    Measurement {
        series,
        interval: Interval::containing(start, IntervalLength::from_secs(length).unwrap()),
        counters: Counters { scheduled: answered + 1, answered, lost: 1, ..Counters::default() },
        histogram: Histogram::from_values(values_us.iter().copied()),
        attributes: vec![Attribute {
            kind: "edge".into(),
            value: format!("e{}", answered % 3),
            count: answered,
        }],
        observed: Some(Observed { address: "192.0.2.9".parse().unwrap(), age_seconds: 1 }),
    }
}

/// A batch of one session with these measurements, whose dictionary holds `tcp.connect` and its jitter.
pub(crate) fn batch(caller: &Caller, sequence: u64, measurements: Vec<Measurement>) -> Batch {
    Batch {
        number: BatchNumber { agent: caller.agent, session: SessionId::new([1; 16]), sequence },
        created: MIDNIGHT,
        clock_offset_us: None,
        agent_version: "0.1.0".into(),
        part: None,
        health: Health::default(),
        series: [Metric::TcpConnect, Metric::TcpConnect.jitter().unwrap()]
            .map(|metric| series(metric, "exchange-online"))
            .into(),
        measurements,
    }
}

/// What admission makes of a batch that arrives at `now`. The digest is that of its `Debug` text.
pub(crate) fn admitted(caller: &Caller, batch: Batch, now: Timestamp) -> Admitted {
    let digest = digest(&batch);
    let indices = (0..u32::try_from(batch.measurements.len()).unwrap()).collect();
    let decoded = Decoded { batch, indices, refused: Vec::new() };
    admit(decoded, digest, caller, RETENTION.acceptance_horizon, now).unwrap()
}

/// The digest that [`admitted`] gives a batch.
pub(crate) fn digest(batch: &Batch) -> BatchDigest {
    BatchDigest::of(format!("{batch:?}").as_bytes())
}

/// The part `index` of two of a batch.
pub(crate) fn part_of(parent: &Batch, sequence: u64, index: u32) -> Batch {
    let part = Part {
        session: parent.number.session,
        sequence: parent.number.sequence,
        digest: digest(parent),
        index,
        count: 2,
    };
    let half = parent.measurements.len() / 2;
    let (first, second) = parent.measurements.split_at(half);
    Batch {
        number: BatchNumber { sequence, ..parent.number },
        part: Some(part),
        measurements: if index == 0 { first } else { second }.to_vec(),
        ..parent.clone()
    }
}

/// Everything of an organisation in `from..to`, one row for each key.
pub(crate) fn everything(organisation: i64, from: Timestamp, to: Timestamp) -> Query {
    Query {
        organisation: OrganisationId(organisation),
        from,
        to,
        metrics: BTreeSet::new(),
        registrations: None,
        step: None,
    }
}

/// Everything of the first organisation that starts in the span goes from one site to another, which has the same prefixes.
pub(crate) fn reattribute(from: u8, to: u8, since: Option<Timestamp>, until: Timestamp) -> Reattribute {
    Reattribute {
        organisation: OrganisationId(1),
        from: RegistrationId(i64::from(from)),
        to: RegistrationId(i64::from(to)),
        prefixes: caller(1, to).registration.prefixes,
        since,
        until,
        who: "ana".into(),
        reason: "the provider changed before we heard".into(),
        begun: until,
    }
}

/// What a row of [`each`] is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EachKey {
    pub(crate) registration: RegistrationId,
    pub(crate) metric: Metric,
    pub(crate) agent: AgentId,
    pub(crate) attribution: crate::admission::Attribution,
    pub(crate) prefix: Option<IpNet>,
    pub(crate) series: SeriesId,
}

/// What one agent measured of one series, and how it counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Each {
    pub(crate) key: EachKey,
    pub(crate) series: Series,
    pub(crate) slot: Timestamp,
    pub(crate) totals: Totals,
}

/// Nothing is merged but time.
#[derive(Debug, Default)]
struct Apart(Mutex<Vec<(EachKey, Series)>>);

impl Grouping for Apart {
    fn group(&self, origin: &Origin, shape: &Arc<Shape>, agent: Option<AgentId>) -> Option<u32> {
        let series = shape.over(Arc::clone(&origin.uplink));
        let key = EachKey {
            registration: origin.registration,
            metric: shape.metric,
            agent: agent.unwrap(),
            attribution: origin.attribution,
            prefix: origin.prefix,
            series: series.key.id(),
        };
        let mut known = self.0.lock().unwrap();
        let at = known.iter().position(|(there, _)| *there == key).unwrap_or_else(|| {
            known.push((key, series));
            known.len() - 1
        });
        u32::try_from(at).ok()
    }

    fn keeps_agents_apart(&self) -> bool {
        true
    }
}

/// The same without times.
#[derive(Debug, Default)]
struct Counted(Apart);

impl Grouping for Counted {
    fn group(&self, origin: &Origin, shape: &Arc<Shape>, agent: Option<AgentId>) -> Option<u32> {
        self.0.group(origin, shape, agent)
    }

    fn keeps_agents_apart(&self) -> bool {
        true
    }

    fn wants_times(&self) -> bool {
        false
    }
}

/// What answers a query where counters alone are wanted.
pub(crate) async fn counted(store: &dyn Store, query: Query) -> Result<Vec<Totals>, StoreError> {
    let rows = store.scan(query, Arc::new(Counted::default())).await?;
    Ok(rows.into_iter().map(|row| row.totals).collect())
}

/// What answers a query, with nothing merged but time: in the order of keys and slots.
pub(crate) async fn each(store: &dyn Store, query: Query) -> Result<Vec<Each>, StoreError> {
    let apart = Arc::new(Apart::default());
    let rows = store.scan(query, Arc::<Apart>::clone(&apart)).await?;
    let known = apart.0.lock().unwrap();
    let mut all: Vec<Each> = rows
        .into_iter()
        .map(|row| {
            assert_eq!(row.agents.len(), 1, "agents are kept apart");
            let (key, series) = known[row.group as usize].clone();
            Each { key, series, slot: row.slot, totals: row.totals }
        })
        .collect();
    all.sort_by(|one, other| (&one.key, one.slot).cmp(&(&other.key, other.slot)));
    Ok(all)
}

/// The probes that rows count.
pub(crate) fn scheduled(rows: &[Each]) -> u64 {
    rows.iter().map(|row| row.totals.counters.scheduled).sum()
}
