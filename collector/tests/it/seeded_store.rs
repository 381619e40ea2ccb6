//! A store that holds an hour of two providers at three locations, minute by minute, with an outage and a lossy stretch.

use crate::collector::{Collector, NOON};
use futures::{FutureExt as _, future::BoxFuture};
use peerlight_collector::{
    ingest::Admitted,
    organisation::OrganisationId,
    registry::RegistrationId,
    store::{
        Attribution, Expired, Health, Presence, PutOutcome, Query, Retention, Row, RowKey, Store, StoreError,
    },
};
use peerlight_proto::{
    histogram::Histogram,
    id::{AgentId, BatchDigest, BatchNumber},
    measurement::Counters,
    metric::{Metric, NetworkMetric},
    series::{Clock, Family, Path, Series, SeriesKey},
    target::Target,
    time::Timestamp,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Provider, location, the offset of its median in ms; registrations are numbered in this order, from 1.
pub(crate) const SITES: [(&str, &str, u64); 6] = [
    ("Aurora Networks", "GB-LND", 8),
    ("Aurora Networks", "DE-BE", 14),
    ("Aurora Networks", "FR-IDF", 11),
    ("Borealis", "GB-LND", 12),
    ("Borealis", "DE-BE", 21),
    ("Borealis", "FR-IDF", 17),
];
const MINUTES: i64 = 60;
const JITTER: Metric = Metric::Jitter(NetworkMetric::TcpConnect);
type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Holds rows of a minute each, and merges them by brute force.
pub(crate) struct SeededStore {
    rows: Vec<Row>,
    presence: Vec<Presence>,
}

/// A collector over a seeded store, with the sites in its registry.
pub(crate) async fn seeded_collector() -> Collector {
    let collector = Collector::start_over(Arc::new(SeededStore::new()), |_config| ()).await;
    let add = async |path, body: Value| {
        let answer = collector.operator(Method::POST, path).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    };
    for name in ["Aurora Networks", "Borealis"] {
        add("/api/v1/providers", json!({"name": name, "kind": "ISP", "countries": ["GB", "DE", "FR"]})).await;
    }
    for (code, zone) in [("GB-LND", "Europe/London"), ("DE-BE", "Europe/Berlin"), ("FR-IDF", "Europe/Paris")]
    {
        add("/api/v1/locations", json!({"code": code, "time_zone": zone})).await;
    }
    for (index, (provider, location, _)) in SITES.iter().enumerate() {
        let site = json!({"site": format!("site-{}", index + 1), "provider": provider, "location": location,
            "prefixes": [format!("198.51.{}.0/24", 100 + index)], "allow_non_public": true,
            "valid_from": "2026-01-01T00:00:00Z"});
        add("/api/v1/registrations", site).await;
    }
    collector
}

impl SeededStore {
    fn new() -> Self {
        let (mut rows, mut presence) = (Vec::new(), Vec::new());
        let first = NOON.minus(Duration::from_mins(61));
        let first = Timestamp::from_secs(first.as_secs().div_euclid(60) * 60);
        let mut random = Random(42);
        for (index, (_, _, base_ms)) in SITES.iter().enumerate() {
            let site = i64::try_from(index).unwrap() + 1;
            for target in ["exchange-online", "teams"] {
                let (tcp, jitter) = (series(Metric::TcpConnect, target), series(JITTER, target));
                for minute in 0..MINUTES {
                    let silent = site == 5 && (20..31).contains(&minute);
                    if silent {
                        continue;
                    }
                    let lossy = site == 6 && (40..47).contains(&minute);
                    let slot = first.plus(Duration::from_secs(60 * minute.unsigned_abs()));
                    let values: Vec<u64> = (0..6).map(|_| random.latency(base_ms * 1_000)).collect();
                    let lost = usize::from(lossy) * 2;
                    let pairs: Vec<u64> = values.windows(2).map(|pair| pair[0].abs_diff(pair[1])).collect();
                    rows.push(row(site, &tcp, slot, &values[lost..], lost as u64));
                    rows.push(row(site, &jitter, slot, &pairs, 0));
                }
                let last = first.plus(Duration::from_hours(1));
                presence.extend([tcp, jitter].map(|series| Presence {
                    agent: agent(site),
                    registration: RegistrationId(site),
                    series,
                    first,
                    last,
                }));
            }
        }
        Self { rows, presence }
    }

    fn merged(&self, query: &Query) -> Vec<Row> {
        let mut merged: BTreeMap<(RowKey, Timestamp), Row> = BTreeMap::new();
        let wanted = self.rows.iter().filter(|row| {
            query.from <= row.slot
                && row.slot < query.to
                && (query.metrics.is_empty() || query.metrics.contains(&row.key.metric))
                && query.registrations.as_ref().is_none_or(|asked| asked.contains(&row.key.registration))
        });
        for row in wanted {
            let slot = query.step.map_or(query.from, |step| {
                let step = i64::try_from(step.as_secs()).unwrap();
                Timestamp::from_secs(row.slot.as_secs().div_euclid(step) * step)
            });
            merged
                .entry((row.key.clone(), slot))
                .and_modify(|sum| {
                    sum.counters.merge(&row.counters);
                    sum.histogram.merge(&row.histogram);
                })
                .or_insert_with(|| Row { slot, ..row.clone() });
        }
        merged.into_values().collect()
    }
}

/// A small generator: the same figures in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// About `base_us`, seldom much more.
    fn latency(&mut self, base_us: u64) -> u64 {
        let usual = base_us + self.next() % (base_us / 4);
        if self.next().is_multiple_of(30) { usual + self.next() % (2 * base_us) } else { usual }
    }
}

fn agent(site: i64) -> AgentId {
    AgentId::new([u8::try_from(site).unwrap(); 16])
}

fn series(metric: Metric, target: &str) -> Arc<Series> {
    let target = Target {
        name: target.to_owned(),
        service: "Microsoft 365".to_owned(),
        address: format!("{target}.example.com").parse().unwrap(),
        probe: "tcp:443".parse().unwrap(),
    };
    let key = SeriesKey {
        uplink: String::new(),
        target: target.id(),
        metric,
        family: Family::V4,
        path: Path::Direct,
        clock: Clock::Kernel,
        http_version: None,
        handshake: None,
    };
    Arc::new(Series { key, target, probe_interval_ms: 10_000 })
}

fn row(site: i64, series: &Arc<Series>, slot: Timestamp, values_us: &[u64], lost: u64) -> Row {
    let answered = values_us.len() as u64;
    Row {
        key: RowKey {
            registration: RegistrationId(site),
            metric: series.key.metric,
            agent: agent(site),
            attribution: Attribution::Verified,
            prefix: None,
            series: series.key.id(),
        },
        series: Arc::clone(series),
        slot,
        counters: Counters { scheduled: answered + lost, answered, lost, ..Counters::default() },
        histogram: Histogram::from_values(values_us.iter().copied()),
        attributes: Vec::new(),
    }
}

fn answer<T: Send + 'static>(result: Result<T, StoreError>) -> Answer<'static, T> {
    std::future::ready(result).boxed()
}

impl Store for SeededStore {
    fn put(&self, _admitted: Admitted) -> Answer<'_, PutOutcome> {
        answer(Err(StoreError::Closed))
    }

    fn ledgered(&self, _number: BatchNumber) -> Answer<'_, Option<BatchDigest>> {
        answer(Ok(None))
    }

    fn scan(&self, query: Query) -> Answer<'_, Vec<Row>> {
        answer(Ok(self.merged(&query)))
    }

    fn presence(&self, _organisation: OrganisationId) -> Answer<'_, Vec<Presence>> {
        answer(Ok(self.presence.clone()))
    }

    fn roll_up(&self, _now: Timestamp) -> Answer<'_, u64> {
        answer(Ok(0))
    }

    fn expire(&self, _now: Timestamp, _retention: Retention) -> Answer<'_, Expired> {
        answer(Ok(Expired::default()))
    }

    fn health(&self) -> Answer<'_, Health> {
        answer(Ok(Health::default()))
    }
}
