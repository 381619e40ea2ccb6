//! The collector observed: what Prometheus scrapes from `/metrics`.

mod alerts;
mod connections;
mod levels;

pub use alerts::AlertCounts;
pub use connections::{ConnectionFault, ConnectionFaults, OpenConnection};

use crate::{cost::Costs, store::Watch, vitals::Vitals};
use levels::Levels;
use peerlight_proto::ack::RefusalCode;
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    },
    registry::{Metric, Registry},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// One label with a value of a closed set.
type Label = [(&'static str, &'static str); 1];

/// How many peers are remembered, so that each is told of once for each reason.
const MAX_TOLD: usize = 1_024;

/// The collector's counters and gauges.
pub struct Metrics {
    registry: Registry,
    batches: Family<Label, Counter>,
    admitted: Counter,
    refused: Family<Label, Counter>,
    left_out: Counter,
    problems: Family<Label, Counter>,
    problem_names: Mutex<BTreeSet<&'static str>>,
    put_seconds: Histogram,
    puts_waiting: Gauge,
    agents_version: Family<[(&'static str, String); 1], Gauge>,
    levels: Levels,
    connection_faults: ConnectionFaults,
    costs: Costs,
    unknown_tokens: UnknownTokens,
    alerts: alerts::AlertMetrics,
}

/// Counts guesses; nothing of what was guessed is kept.
#[derive(Debug)]
struct UnknownTokens {
    counter: Counter,
    told: Mutex<BTreeSet<IpAddr>>,
}

/// Registers a metric, of which both copies count as one.
fn made<M: Metric + Clone>(registry: &mut Registry, name: &'static str, help: &'static str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOutcome {
    /// On disk now.
    Stored,
    /// On disk before.
    Duplicate,
    /// Not acknowledged; the problems say why.
    Rejected,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::of(&Watch::default())
    }
}

impl Metrics {
    /// Counters that show how a store's work goes, too.
    pub fn of(store: &Watch) -> Self {
        let mut registry = Registry::with_prefix("peerlight_collector");
        let costs = Costs::default();
        registry.register(
            "push_cpu_seconds",
            "CPU time that pushes took, by stage (store and sockets apart)",
            costs.metric(),
        );
        registry.register(
            "commit_seconds",
            "Time that a transaction took to make batches durable",
            store.commit_seconds(),
        );
        registry.register(
            "upkeep_turn_seconds",
            "Time that upkeep wrote at once, while batches waited",
            store.turn_seconds(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running build", build);
        let of = &mut registry;
        Self {
            alerts: alerts::AlertMetrics::registered(of),
            batches: made(of, "batches", "Batches that agents pushed, by outcome", Family::default()),
            admitted: made(of, "measurements_admitted", "Measurements stored", Counter::default()),
            refused: made(
                of,
                "measurements_refused",
                "Measurements not admitted, by code",
                Family::default(),
            ),
            left_out: made(
                of,
                "attributes_left_out",
                "Attributes not stored, because their agent named too many in a day",
                Counter::default(),
            ),
            problems: made(of, "problems", "Requests answered with a problem, by type", Family::default()),
            problem_names: Mutex::default(),
            put_seconds: made(
                of,
                "put_seconds",
                "Time until a batch is durable",
                // 1 ms to 8 s: a commit waits for the disk and up to 100 ms for company.
                Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            ),
            puts_waiting: made(of, "puts_waiting", "Batches that wait to be durable", Gauge::default()),
            agents_version: made(of, "agents_by_version", "Agents, by their version", Family::default()),
            levels: Levels::registered(of),
            connection_faults: ConnectionFaults::registered(of),
            costs,
            unknown_tokens: UnknownTokens {
                counter: made(
                    of,
                    "unknown_tokens",
                    "Enrolments with a token that this collector never made",
                    Counter::default(),
                ),
                told: Mutex::default(),
            },
            registry,
        }
    }

    /// Adds up what the stages of pushes cost.
    pub const fn costs(&self) -> &Costs {
        &self.costs
    }

    /// Keeps how many agents run which version.
    pub fn versions(&self, versions: &BTreeMap<String, u64>) {
        self.agents_version.clear();
        for (version, count) in versions {
            self.agents_version
                .get_or_create(&[("version", version.clone())])
                .set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }

    /// How many batches wait to be durable.
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.puts_waiting.get()).unwrap_or(0)
    }

    /// How many requests were answered with a problem, and how many measurements were refused, since the start, by reason.
    pub fn rejections(&self) -> BTreeMap<String, u64> {
        let problems = self.problem_names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let count = |family: &Family<Label, Counter>, label: Label| family.get_or_create(&label).get();
        let problems =
            problems.into_iter().map(|name| (name.to_owned(), count(&self.problems, [("type", name)])));
        let refused = RefusalCode::ALL.into_iter().filter_map(|code| {
            let label = [("code", code.as_str())];
            let count = self.refused.get(&label).map(|counter| counter.get())?;
            Some((format!("refused {code}"), count))
        });
        problems.chain(refused).collect()
    }

    /// Counts an enrolment with an unknown token, and says whether it is the first from this address; beyond a bound every
    /// further address is one of many.
    pub fn unknown_token(&self, address: IpAddr) -> bool {
        self.unknown_tokens.counter.inc();
        let mut told = self.unknown_tokens.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_TOLD && told.insert(address)
    }

    /// What counts the connections that end badly.
    pub fn connection_faults(&self) -> ConnectionFaults {
        self.connection_faults.clone()
    }

    /// Counts a push.
    pub fn batch(&self, outcome: BatchOutcome) {
        let outcome = match outcome {
            BatchOutcome::Stored => "stored",
            BatchOutcome::Duplicate => "duplicate",
            BatchOutcome::Rejected => "rejected",
        };
        self.batches.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts measurements that are stored.
    pub fn admitted(&self, measurements: usize) {
        self.admitted.inc_by(measurements as u64);
    }

    /// Counts a measurement that was not admitted.
    pub fn refused(&self, code: RefusalCode) {
        self.refused.get_or_create(&[("code", code.as_str())]).inc();
    }

    /// Counts attributes of stored measurements that were left out.
    pub fn left_out(&self, attributes: u64) {
        self.left_out.inc_by(attributes);
    }

    /// Counts a problem.
    pub fn problem(&self, name: &'static str) {
        let kind = name.rsplit(':').next().unwrap_or(name);
        self.problem_names.lock().unwrap_or_else(PoisonError::into_inner).insert(kind);
        self.problems.get_or_create(&[("type", kind)]).inc();
    }

    /// Notes that a batch waits for the store, until [`Metrics::put_ends`].
    pub fn put_begins(&self) {
        self.puts_waiting.inc();
    }

    /// Notes how long a batch waited for the store.
    pub fn put_ends(&self, took: Duration) {
        self.puts_waiting.dec();
        self.put_seconds.observe(took.as_secs_f64());
    }

    /// Everything in Prometheus's text format, as of now.
    pub fn render(&self, vitals: &Vitals) -> String {
        self.levels.set(vitals);
        let mut text = String::new();
        // Writing to a string does not fail.
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_what_is_scraped() {
        let metrics = Metrics::default();
        metrics.batch(BatchOutcome::Stored);
        metrics.admitted(3);
        metrics.refused(RefusalCode::Future);
        metrics.problem("urn:peerlight:problem:too-old");
        metrics.put_begins();
        metrics.put_ends(Duration::from_millis(5));
        let peer = IpAddr::from([192, 0, 2, 1]);
        let firsts = [ConnectionFault::Tls, ConnectionFault::Tls, ConnectionFault::ProxyHeader]
            .map(|fault| metrics.connection_faults().count("agents", fault, peer));
        assert_eq!(firsts, [true, false, true]);
        assert_eq!([metrics.unknown_token(peer), metrics.unknown_token(peer)], [true, false]);
        let mut vitals = Vitals::default();
        vitals.agents.seen_lately = 6;
        let text = metrics.render(&vitals);
        for line in [
            r#"peerlight_collector_batches_total{outcome="stored"} 1"#,
            "peerlight_collector_measurements_admitted_total 3",
            r#"peerlight_collector_measurements_refused_total{code="future"} 1"#,
            r#"peerlight_collector_problems_total{type="too-old"} 1"#,
            r#"peerlight_collector_connection_faults_total{listener="agents",reason="tls"} 2"#,
            "peerlight_collector_unknown_tokens_total 2",
            "peerlight_collector_put_seconds_count 1",
            "peerlight_collector_puts_waiting 0",
            "peerlight_collector_agents_seen 6",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
