//! Vitals: the collector at work, as `status` and `/metrics` show it, and what is wrong with it. Pure.

mod concerns;

pub use concerns::{Concern, concerns};

use crate::rfc3339;
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The collector at work.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Vitals {
    /// Why batches cannot be written now; null when they can.
    pub writer_failing: Option<WriterFailing>,
    /// Batches that wait to be durable.
    pub queue_depth: u64,
    /// How long the last transactions took that made batches durable.
    pub commits: CommitTimes,
    /// The end of the newest interval that was stored; since a restart about, until one is.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub newest_interval: Option<Timestamp>,
    /// How long ago that was, in seconds.
    pub newest_interval_age_s: Option<u64>,
    /// How long ago the oldest batch came that is not in segments yet, in seconds.
    pub log_age_s: Option<u64>,
    /// The last time that the log was folded and rollups were made; null before the first.
    pub compaction: Option<Compaction>,
    /// What the store holds.
    pub store: StoreVitals,
    /// The store's disk.
    pub disk: DiskVitals,
    /// Connections of each listener.
    pub connections: Vec<Connections>,
    /// Who is enrolled.
    pub agents: AgentVitals,
    /// Requests that were answered with a problem, by its type, and measurements that were refused, by code (`refused future`),
    /// since the start.
    pub rejections: BTreeMap<String, u64>,
    /// What receivers of alerts have not taken.
    #[serde(default)]
    pub receivers: Vec<ReceiverVitals>,
    /// Measurements that agents say they dropped, or that were refused, ever since and by reason: reports say when and where.
    pub dropped: BTreeMap<String, u64>,
}

/// What a receiver of alerts has not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReceiverVitals {
    /// Its name.
    pub name: String,
    /// Events that it did not take and that are tried again.
    pub waiting: u64,
    /// Events that were given up within the last day.
    pub given_up: u64,
}

/// Batches cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WriterFailing {
    /// Since when.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// Why.
    pub error: String,
}

/// How long transactions took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CommitTimes {
    /// How many these are: the last 1,024 at most.
    pub count: usize,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// The log was folded, and rollups were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Compaction {
    /// When it began.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
    /// Why it was not finished; null if it was.
    pub error: Option<String>,
}

/// What the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StoreVitals {
    /// Batches that wait in the log to be folded into segments.
    pub log_batches: u64,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Spans whose rollups wait.
    pub stale_rollups: u64,
    /// Batches that were set aside because the file was damaged; no report counts them.
    pub damaged_batches: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes that were written and are not in the file yet (SQLite's WAL).
    pub wal_bytes: u64,
    /// The start of the oldest measurement that is kept as it came.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest: Option<Timestamp>,
}

/// The store's disk, and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DiskVitals {
    /// Bytes that are free; null where the disk does not say.
    pub free_bytes: Option<u64>,
    /// Whole days until it is full, as the newest day fills it; null if the retention is full before.
    pub full_in_days: Option<u64>,
    /// Whole days until the oldest measurement reaches the retention and goes; null while there is none.
    pub retention_reached_in_days: Option<u64>,
}

/// Connections of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Connections {
    /// `agents` or `operators`.
    pub listener: String,
    /// Held now.
    pub open: u64,
    /// Held at most.
    pub limit: u64,
}

/// Who is enrolled and not revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentVitals {
    /// All of them.
    pub enrolled: u64,
    /// Heard of within ten minutes.
    pub seen_lately: u64,
    /// The others.
    pub silent: u64,
    /// Those that an operator should look into, counted every five minutes.
    #[serde(default)]
    pub unhealthy: u64,
    /// Those whose version is older than the collector's.
    #[serde(default)]
    pub behind: u64,
    /// Those that refuse the targets that they are assigned.
    #[serde(default)]
    pub refusing: u64,
}
