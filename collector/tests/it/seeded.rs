//! A collector for which six agents have measured an hour: two providers at three locations, one agent with an outage,
//! one with a lossy stretch. They enrol and push as agents do.

use crate::{
    agent::Agent,
    collector::{Collector, NOON},
};
use peerlight_collector::config::Config;
use peerlight_proto::{
    batch::{Batch, Health},
    codec::encode_batch,
    histogram::Histogram,
    http::{BATCH_MEDIA_TYPE, BATCHES_PATH},
    id::{BatchNumber, SessionId},
    measurement::{Counters, Measurement, Observed},
    metric::{Metric, NetworkMetric},
    series::{Clock, Family, Path, Series, SeriesKey},
    target::Target,
    time::{Interval, IntervalLength},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Provider, location, and the least latency there in ms.
pub(crate) const SITES: [(&str, &str, u32); 6] = [
    ("Aurora Networks", "GB-LND", 8),
    ("Aurora Networks", "DE-BE", 14),
    ("Aurora Networks", "FR-IDF", 11),
    ("Borealis", "GB-LND", 12),
    ("Borealis", "DE-BE", 21),
    ("Borealis", "FR-IDF", 17),
];
/// The site whose agent was silent for eleven minutes.
const SILENT: usize = 4;
/// The site that lost a third of its probes for seven minutes.
const LOSSY: usize = 5;
const MINUTES: u64 = 60;
const TARGETS: [&str; 2] = ["exchange-online", "teams"];

/// The collector, with everything pushed.
pub(crate) async fn seeded_collector() -> Collector {
    seeded_collector_with(|_config| ()).await
}

/// The same, whose configuration is changed by `change`.
pub(crate) async fn seeded_collector_with(change: impl FnOnce(&mut Config)) -> Collector {
    let collector = Collector::start_with(change).await;
    add_places(
        &collector,
        &[("GB-LND", "Europe/London"), ("DE-BE", "Europe/Berlin"), ("FR-IDF", "Europe/Paris")],
    )
    .await;
    let mut random = Random(42);
    for (index, (provider, location, least_ms)) in SITES.iter().enumerate() {
        let agent = enrolled(&collector, index, provider, location).await;
        let (series, measurements) = hour(index, u64::from(*least_ms), &mut random);
        push(&agent, 0, series, measurements).await;
    }
    collector
}

/// Both providers, and locations with their time zones.
pub(crate) async fn add_places(collector: &Collector, locations: &[(&str, &str)]) {
    for name in ["Aurora Networks", "Borealis"] {
        add(collector, "providers", json!({"name": name, "kind": "ISP"})).await;
    }
    for (code, zone) in locations {
        add(collector, "locations", json!({"code": code, "time_zone": zone})).await;
    }
}

/// An agent of a new site, `site-{index}` with the prefix `198.51.{100 + index}.0/24`.
pub(crate) async fn enrolled(collector: &Collector, index: usize, provider: &str, location: &str) -> Agent {
    let site = json!({"site": format!("site-{index}"), "provider": provider, "location": location,
        "prefixes": [format!("198.51.{}.0/24", 100 + index)], "allow_non_public": true,
        "valid_from": "2026-01-01T00:00:00Z"});
    let registration = add(collector, "registrations", site).await;
    let issued = add(collector, "tokens", json!({"registration": registration["id"]})).await;
    let token: peerlight_proto::enrolment::EnrolmentToken =
        issued["token"].as_str().unwrap().parse().unwrap();
    let agent = Agent::new(collector, &token.response_key);
    assert_eq!(agent.send(&agent.enrolment(&token.secret)).await.status, 201);
    agent
}

/// Pushes a batch of an agent's only session.
pub(crate) async fn push(agent: &Agent, sequence: u64, series: Vec<Series>, measurements: Vec<Measurement>) {
    let batch = Batch {
        number: BatchNumber { agent: agent.id, session: SessionId::new([1; 16]), sequence },
        created: NOON,
        clock_offset_us: Some(1_250),
        agent_version: "0.1.0".into(),
        part: None,
        health: Health::default(),
        series,
        measurements,
    };
    let batch = encode_batch(&batch).unwrap();
    let pushed = agent.send(&agent.plan(Method::POST, BATCHES_PATH, BATCH_MEDIA_TYPE, batch)).await;
    assert_eq!(pushed.status, 200, "{}", String::from_utf8_lossy(&pushed.body));
}

async fn add(collector: &Collector, what: &str, body: Value) -> Value {
    let answer =
        collector.operator(Method::POST, &format!("/api/v1/{what}")).json(&body).send().await.unwrap();
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert_eq!(status, 201, "{body}");
    body
}

/// What an agent measured, minute by minute, of two targets every 10 s.
fn hour(site: usize, least_ms: u64, random: &mut Random) -> (Vec<Series>, Vec<Measurement>) {
    let metrics = [Metric::TcpConnect, Metric::Jitter(NetworkMetric::TcpConnect)];
    let series =
        TARGETS.iter().flat_map(|target| metrics.map(|metric| series(site, metric, target))).collect();
    let first = NOON.minus(Duration::from_mins(MINUTES + 1));
    let mut measurements = Vec::new();
    for minute in (0..MINUTES).filter(|minute| site != SILENT || !(20..31).contains(minute)) {
        let at = first.plus(Duration::from_mins(minute));
        let interval = Interval::containing(at, IntervalLength::MINUTE);
        for (target, _) in (0_u32..).zip(TARGETS) {
            let values: Vec<u64> = (0..6).map(|_| random.latency(least_ms * 1_000)).collect();
            let lost = if site == LOSSY && (40..47).contains(&minute) { 2 } else { 0 };
            let (answered, pairs) =
                (&values[lost..], values.windows(2).map(|pair| pair[0].abs_diff(pair[1])));
            measurements.push(measurement(site, 2 * target, interval, answered.iter().copied(), lost as u64));
            measurements.push(measurement(site, 2 * target + 1, interval, pairs, 0));
        }
    }
    (series, measurements)
}

/// What a site measured of one of its series, as seen from inside its prefix.
pub(crate) fn measurement(
    site: usize,
    series: u32,
    interval: Interval,
    values_us: impl Iterator<Item = u64>,
    lost: u64,
) -> Measurement {
    let histogram = Histogram::from_values(values_us);
    let answered = histogram.count();
    let address = format!("198.51.{}.7", 100 + site).parse().unwrap();
    Measurement {
        series,
        interval,
        counters: Counters { scheduled: answered + lost, answered, lost, ..Counters::default() },
        histogram,
        attributes: Vec::new(),
        observed: Some(Observed { address, age_seconds: 1 }),
    }
}

/// A series of a site.
pub(crate) fn series(site: usize, metric: Metric, target: &str) -> Series {
    let target = Target {
        name: target.to_owned(),
        service: "Microsoft 365".to_owned(),
        address: format!("{target}.example.com").parse().unwrap(),
        probe: "tcp:443".parse().unwrap(),
    };
    let key = SeriesKey {
        uplink: format!("site-{site}").into(),
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

/// A small generator: the same figures in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// At least `least_us`, seldom much more.
    fn latency(&mut self, least_us: u64) -> u64 {
        let usual = least_us + self.next() % (least_us / 4);
        if self.next().is_multiple_of(30) { usual + self.next() % (2 * least_us) } else { usual }
    }
}
