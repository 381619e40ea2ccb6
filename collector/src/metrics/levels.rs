//! Levels: what was counted elsewhere, as of when somebody asks.

use super::made;
use crate::vitals::Vitals;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::sync::atomic::{AtomicU64, Ordering};

type Seconds = Gauge<f64, AtomicU64>;

/// What [`Vitals`] say.
#[derive(Debug)]
pub(super) struct Levels {
    ledger_entries: Gauge,
    stale_rollups: Gauge,
    store_bytes: Gauge,
    wal_bytes: Gauge,
    agents_seen: Gauge,
    agents_silent: Gauge,
    agents_unhealthy: Gauge,
    agents_behind: Gauge,
    agents_refusing: Gauge,
    newest_interval_age: Seconds,
    oldest_log_batch_age: Seconds,
    disk_free_bytes: Seconds,
    disk_full_in: Seconds,
    compaction_time: Seconds,
    compaction_seconds: Seconds,
    compaction_failing: Gauge,
    writer_failing: Gauge,
    dropped: Family<[(&'static str, String); 1], Counter>,
}

impl Levels {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let mut level = |name, help| made(registry, name, help, Gauge::default());
        let ledger_entries = level("ledger_entries", "Entries of the ledger");
        let stale_rollups = level("stale_rollups", "Spans whose rollup waits");
        let store_bytes = level("store_bytes", "Bytes of the store on disk");
        let wal_bytes = level("wal_bytes", "Bytes of the store that are not in its file yet");
        let agents_seen = level("agents_seen", "Agents heard of within ten minutes");
        let agents_silent = level("agents_silent", "Agents that are enrolled and silent");
        let agents_unhealthy =
            level("agents_unhealthy", "Agents that an operator should look into, counted every five minutes");
        let agents_behind = level("agents_behind", "Agents whose version is older than the collector's");
        let agents_refusing =
            level("agents_refusing", "Agents that refuse the targets that they are assigned");
        let compaction_failing = level("compaction_failing", "1 if it failed");
        let writer_failing = level("writer_failing", "1 while batches cannot be written");
        let mut seconds = |name, help| made(registry, name, help, Seconds::default());
        Self {
            ledger_entries,
            stale_rollups,
            store_bytes,
            wal_bytes,
            agents_seen,
            agents_silent,
            agents_unhealthy,
            agents_behind,
            agents_refusing,
            compaction_failing,
            writer_failing,
            newest_interval_age: seconds(
                "newest_interval_age_seconds",
                "Time since the newest interval that was stored ended; NaN before the first",
            ),
            oldest_log_batch_age: seconds(
                "oldest_log_batch_age_seconds",
                "Time since the oldest batch came that is not in segments yet; 0 without one",
            ),
            disk_free_bytes: seconds(
                "disk_free_bytes",
                "Bytes that are free on the store's disk; NaN where it does not say",
            ),
            disk_full_in: seconds(
                "disk_full_in_seconds",
                "Time until the disk is full, as the newest day fills it; +Inf if the retention is full before",
            ),
            compaction_time: seconds(
                "compaction_timestamp_seconds",
                "When the log was last folded and rollups were made; 0 before the first time",
            ),
            compaction_seconds: seconds("compaction_duration_seconds", "How long that took"),
            dropped: made(
                registry,
                "dropped_measurements",
                "Measurements that agents say they dropped, or that were refused, by reason",
                Family::default(),
            ),
        }
    }

    pub(super) fn set(&self, vitals: &Vitals) {
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
