//! The collector observed: what Prometheus scrapes from `/metrics`.

use crate::{cost::Costs, store::Watch, vitals::Vitals};
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
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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
    left_out: Counter,
    problems: Family<Label, Counter>,
    problem_names: Mutex<BTreeSet<&'static str>>,
    put_seconds: Histogram,
    puts_waiting: Gauge,
    ledger_entries: Gauge,
    stale_rollups: Gauge,
    store_bytes: Gauge,
    agents_seen: Gauge,
    agents_silent: Gauge,
    agents_unhealthy: Gauge,
    agents_behind: Gauge,
    agents_refusing: Gauge,
    agents_version: Family<[(&'static str, String); 1], Gauge>,
    commit_seconds: Histogram,
    turn_seconds: Histogram,
    newest_interval_age: Gauge<f64, AtomicU64>,
    oldest_log_batch_age: Gauge<f64, AtomicU64>,
    dropped: Family<[(&'static str, String); 1], Counter>,
    wal_bytes: Gauge,
    disk_free_bytes: Gauge<f64, AtomicU64>,
    disk_full_in: Gauge<f64, AtomicU64>,
    compaction_time: Gauge<f64, AtomicU64>,
    compaction_seconds: Gauge<f64, AtomicU64>,
    compaction_failing: Gauge,
    writer_failing: Gauge,
    connection_faults: ConnectionFaults,
    costs: Costs,
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

impl Default for Metrics {
    fn default() -> Self {
        Self::of(&Watch::default())
    }
}

impl Metrics {
    /// Counters that show how a store's work goes, too.
    pub fn of(store: &Watch) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("peerlight_collector"),
            batches: Family::default(),
            admitted: Counter::default(),
            refused: Family::default(),
            left_out: Counter::default(),
            problems: Family::default(),
            problem_names: Mutex::default(),
            // 1 ms to 8 s: a commit waits for the disk and up to 100 ms for company.
            put_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
            puts_waiting: Gauge::default(),
            ledger_entries: Gauge::default(),
            stale_rollups: Gauge::default(),
            store_bytes: Gauge::default(),
            agents_seen: Gauge::default(),
            agents_silent: Gauge::default(),
            agents_unhealthy: Gauge::default(),
            agents_behind: Gauge::default(),
            agents_refusing: Gauge::default(),
            agents_version: Family::default(),
            commit_seconds: store.commit_seconds(),
            turn_seconds: store.turn_seconds(),
            newest_interval_age: Gauge::default(),
            oldest_log_batch_age: Gauge::default(),
            dropped: Family::default(),
            wal_bytes: Gauge::default(),
            disk_free_bytes: Gauge::default(),
            disk_full_in: Gauge::default(),
            compaction_time: Gauge::default(),
            compaction_seconds: Gauge::default(),
            compaction_failing: Gauge::default(),
            writer_failing: Gauge::default(),
            connection_faults: ConnectionFaults::default(),
            costs: Costs::default(),
            unknown_tokens: UnknownTokens::default(),
        };
        metrics.register();
        metrics.register_vitals();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("batches", "Batches that agents pushed, by outcome", self.batches.clone());
        registry.register("measurements_admitted", "Measurements stored", self.admitted.clone());
        registry.register("measurements_refused", "Measurements not admitted, by code", self.refused.clone());
        registry.register(
            "attributes_left_out",
            "Attributes not stored, because their agent named too many in a day",
            self.left_out.clone(),
        );
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
            "push_cpu_seconds",
            "CPU time that pushes took, by stage (store and sockets apart)",
            self.costs.metric(),
        );
        registry.register(
            "unknown_tokens",
            "Enrolments with a token that this collector never made",
            self.unknown_tokens.counter.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running build", build);
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

    fn register_vitals(&mut self) {
        let registry = &mut self.registry;
        let connections = &self.connection_faults;
        registry.register("connections_open", "Connections held now, by listener", connections.open.clone());
        registry.register(
            "connections_limit",
            "Connections held at most, by listener",
            connections.limit.clone(),
        );
        registry.register("agents_silent", "Agents that are enrolled and silent", self.agents_silent.clone());
        registry.register(
            "agents_unhealthy",
            "Agents that an operator should look into, counted every five minutes",
            self.agents_unhealthy.clone(),
        );
        registry.register(
            "agents_behind",
            "Agents whose version is older than the collector's",
            self.agents_behind.clone(),
        );
        registry.register(
            "agents_refusing",
            "Agents that refuse the targets that they are assigned",
            self.agents_refusing.clone(),
        );
        registry.register("agents_by_version", "Agents, by their version", self.agents_version.clone());
        registry.register(
            "commit_seconds",
            "Time that a transaction took to make batches durable",
            self.commit_seconds.clone(),
        );
        registry.register(
            "upkeep_turn_seconds",
            "Time that upkeep wrote at once, while batches waited",
            self.turn_seconds.clone(),
        );
        registry.register(
            "newest_interval_age_seconds",
            "Time since the newest interval that was stored ended; NaN before the first",
            self.newest_interval_age.clone(),
        );
        registry.register(
            "oldest_log_batch_age_seconds",
            "Time since the oldest batch came that is not in segments yet; 0 without one",
            self.oldest_log_batch_age.clone(),
        );
        registry.register(
            "dropped_measurements",
            "Measurements that agents say they dropped, or that were refused, by reason",
            self.dropped.clone(),
        );
        registry.register(
            "wal_bytes",
            "Bytes of the store that are not in its file yet",
            self.wal_bytes.clone(),
        );
        registry.register(
            "disk_free_bytes",
            "Bytes that are free on the store's disk; NaN where it does not say",
            self.disk_free_bytes.clone(),
        );
        registry.register(
            "disk_full_in_seconds",
            "Time until the disk is full, as the newest day fills it; +Inf if the retention is full before",
            self.disk_full_in.clone(),
        );
        registry.register(
            "compaction_timestamp_seconds",
            "When the log was last folded and rollups were made; 0 before the first time",
            self.compaction_time.clone(),
        );
        registry.register(
            "compaction_duration_seconds",
            "How long that took",
            self.compaction_seconds.clone(),
        );
        registry.register("compaction_failing", "1 if it failed", self.compaction_failing.clone());
        registry.register("writer_failing", "1 while batches cannot be written", self.writer_failing.clone());
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
        self.set(vitals);
        let mut text = String::new();
        // Writing to a string does not fail.
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }

    fn set(&self, vitals: &Vitals) {
        let gauge = |level: u64| i64::try_from(level).unwrap_or(i64::MAX);
        let store = &vitals.store;
        self.ledger_entries.set(gauge(store.ledger_entries));
        self.stale_rollups.set(gauge(store.stale_rollups));
        self.store_bytes.set(gauge(store.bytes));
        self.wal_bytes.set(gauge(store.wal_bytes));
        self.agents_seen.set(gauge(vitals.agents.seen_lately));
        self.agents_silent.set(gauge(vitals.agents.silent));
        self.agents_unhealthy.set(gauge(vitals.agents.unhealthy));
        self.agents_behind.set(gauge(vitals.agents.behind));
        self.agents_refusing.set(gauge(vitals.agents.refusing));
        self.newest_interval_age.set(vitals.newest_interval_age_s.map_or(f64::NAN, seconds));
        self.oldest_log_batch_age.set(vitals.log_age_s.map_or(0.0, seconds));
        self.disk_free_bytes.set(vitals.disk.free_bytes.map_or(f64::NAN, seconds));
        self.disk_full_in
            .set(vitals.disk.full_in_days.map_or(f64::INFINITY, |days| seconds(days) * 86_400.0));
        if let Some(compaction) = &vitals.compaction {
            self.compaction_time.set(seconds(u64::try_from(compaction.at.as_secs()).unwrap_or(0)));
            self.compaction_seconds.set(compaction.took_ms / 1_000.0);
            self.compaction_failing.set(i64::from(compaction.error.is_some()));
        }
        self.writer_failing.set(i64::from(vitals.writer_failing.is_some()));
        for (reason, count) in &vitals.dropped {
            // The store has counted them ever since; this process only shows it.
            self.dropped
                .get_or_create(&[("reason", reason.clone())])
                .inner()
                .store(*count, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
const fn seconds(count: u64) -> f64 {
    count as f64
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

/// Counts connections, and those that ended badly; clones share their counts.
#[derive(Debug, Clone, Default)]
pub struct ConnectionFaults {
    counters: Family<[(&'static str, &'static str); 2], Counter>,
    told: Arc<Mutex<BTreeSet<(IpAddr, ConnectionFault)>>>,
    open: Family<Label, Gauge>,
    limit: Family<Label, Gauge>,
}

/// A connection that is held, until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ConnectionFaults {
    /// Says how many connections a listener holds at most.
    pub fn limit(&self, listener: &'static str, connections: u32) {
        self.limit.get_or_create(&[("listener", listener)]).set(connections.into());
    }

    /// Counts a connection as open.
    pub fn opened(&self, listener: &'static str) -> OpenConnection {
        let open = self.open.get_or_create(&[("listener", listener)]).clone();
        open.inc();
        OpenConnection(open)
    }

    /// How many connections a listener holds, and may hold.
    pub fn level(&self, listener: &'static str) -> (u64, u64) {
        let of = |family: &Family<Label, Gauge>| {
            u64::try_from(family.get_or_create(&[("listener", listener)]).get()).unwrap_or(0)
        };
        (of(&self.open), of(&self.limit))
    }

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
