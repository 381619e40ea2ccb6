//! The collector observed: what Prometheus scrapes from `/metrics`.

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
    registry::Registry,
};
use std::{
    collections::BTreeSet,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// One label with a value of a closed set.
type Label = [(&'static str, &'static str); 1];

/// The collector's counters and gauges.
pub struct Metrics {
    registry: Registry,
    batches: Family<Label, Counter>,
    admitted: Counter,
    refused: Family<Label, Counter>,
    problems: Family<Label, Counter>,
    put_seconds: Histogram,
    puts_waiting: Gauge,
    ledger_entries: Gauge,
    stale_rollups: Gauge,
    store_bytes: Gauge,
    agents_seen: Gauge,
    connection_faults: ConnectionFaults,
    unknown_tokens: UnknownTokens,
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

/// What is read when somebody asks, rather than counted as it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Levels {
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Spans whose rollup waits.
    pub stale_rollups: u64,
    /// Bytes of the store on disk.
    pub store_bytes: u64,
    /// Agents heard of lately.
    pub agents_seen: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("peerlight_collector"),
            batches: Family::default(),
            admitted: Counter::default(),
            refused: Family::default(),
            problems: Family::default(),
            // 1 ms to 8 s: a commit waits for the disk and up to 100 ms for company.
            put_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            puts_waiting: Gauge::default(),
            ledger_entries: Gauge::default(),
            stale_rollups: Gauge::default(),
            store_bytes: Gauge::default(),
            agents_seen: Gauge::default(),
            connection_faults: ConnectionFaults::default(),
            unknown_tokens: UnknownTokens::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("batches", "Batches that agents pushed, by outcome", self.batches.clone());
        registry.register("measurements_admitted", "Measurements stored", self.admitted.clone());
        registry.register("measurements_refused", "Measurements not admitted, by code", self.refused.clone());
        registry.register("problems", "Requests answered with a problem, by type", self.problems.clone());
        registry.register("put_seconds", "Time until a batch is durable", self.put_seconds.clone());
        registry.register("puts_waiting", "Batches that wait to be durable", self.puts_waiting.clone());
        registry.register("ledger_entries", "Entries of the ledger", self.ledger_entries.clone());
        registry.register("stale_rollups", "Spans whose rollup waits", self.stale_rollups.clone());
        registry.register("store_bytes", "Bytes of the store on disk", self.store_bytes.clone());
        registry.register("agents_seen", "Agents heard of within ten minutes", self.agents_seen.clone());
        registry.register(
            "connection_faults",
            "Connections that ended badly, by listener and reason",
            self.connection_faults.counters.clone(),
        );
        registry.register(
            "unknown_tokens",
            "Enrolments with a token that this collector never made",
            self.unknown_tokens.counter.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running build", build);
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

    /// Counts a problem.
    pub fn problem(&self, name: &'static str) {
        let kind = name.rsplit(':').next().unwrap_or(name);
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

    /// Everything in Prometheus's text format.
    pub fn render(&self, levels: Levels) -> String {
        let gauge = |level: u64| i64::try_from(level).unwrap_or(i64::MAX);
        self.ledger_entries.set(gauge(levels.ledger_entries));
        self.stale_rollups.set(gauge(levels.stale_rollups));
        self.store_bytes.set(gauge(levels.store_bytes));
        self.agents_seen.set(gauge(levels.agents_seen));
        let mut text = String::new();
        // Writing to a string does not fail.
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }
}

/// Why a connection ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionFault {
    /// A trusted proxy sent no usable PROXY header.
    ProxyHeader,
    /// The TLS handshake failed.
    Tls,
    /// PROXY header and TLS handshake took too long.
    SlowHandshake,
    /// A request was open, or its answer not taken, when a deadline came.
    Cut,
    /// The peer broke the connection or HTTP, or took too long for the head of a request.
    Http,
}

impl ConnectionFault {
    const fn word(self) -> &'static str {
        match self {
            Self::ProxyHeader => "proxy-header",
            Self::Tls => "tls",
            Self::SlowHandshake => "slow-handshake",
            Self::Cut => "cut",
            Self::Http => "http",
        }
    }
}

/// Counts guesses; nothing of what was guessed is kept.
#[derive(Debug, Default)]
struct UnknownTokens {
    counter: Counter,
    told: Mutex<BTreeSet<IpAddr>>,
}

/// How many peers are remembered, so that each is told of once for each reason.
const MAX_TOLD: usize = 1_024;

/// Counts connections that ended badly; clones share their counts.
#[derive(Debug, Clone, Default)]
pub struct ConnectionFaults {
    counters: Family<[(&'static str, &'static str); 2], Counter>,
    told: Arc<Mutex<BTreeSet<(IpAddr, ConnectionFault)>>>,
}

impl ConnectionFaults {
    /// Counts one, and says whether it is the first of this peer for this reason. Beyond a bound every further peer is
    /// one of many.
    pub fn count(&self, listener: &'static str, fault: ConnectionFault, peer: IpAddr) -> bool {
        self.counters.get_or_create(&[("listener", listener), ("reason", fault.word())]).inc();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_TOLD && told.insert((peer, fault))
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
        let text = metrics.render(Levels { agents_seen: 6, ..Levels::default() });
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
