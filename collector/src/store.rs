//! The store: keeps admitted batches exactly once and answers with rows merged over a span.
//!
//! A [`Row`] is a measurement with an arbitrary span: what an agent measured in a minute, a rollup of 15 minutes or of a
//! day, and the answer to a [`Query`] are one type with one merge.

#[cfg(test)]
mod conformance;
pub mod crash_point;
pub mod dropped;
#[cfg(test)]
pub(crate) mod fixture;
mod given_away;
#[cfg(test)]
mod memory;
mod presence;
mod reattribution;
mod shape;
mod sqlite;
mod totals;
pub mod watch;

pub use dropped::Dropped;
pub use presence::{OfAgent, Presence, Presences, Present};
pub use reattribution::{Moved, Reattribute, Reattribution};
pub use shape::Shape;
pub(crate) use sqlite::lock;
#[cfg(feature = "fuzzing")]
pub(crate) use sqlite::reread_block;
pub use sqlite::{SqliteStore, Verification};
pub use totals::{ClockOffsets, Totals};
pub(crate) use totals::{joined, merge_attributes};
pub use watch::Watch;

use crate::{
    admission::{Admitted, Attribution},
    organisation::OrganisationId,
    registry::RegistrationId,
    rfc3339,
    trouble::{self, Trouble},
};
use futures::future::BoxFuture;
use ipnet::IpNet;
use peerlight_proto::{
    id::{AgentId, BatchDigest, BatchNumber},
    metric::Metric,
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// Keeps batches exactly once and answers with rows. Backends share one conformance suite.
pub trait Store: Send + Sync {
    /// Makes the batch and its ledger entry durable in one transaction before it resolves. A number that is in the
    /// ledger with the same digest changes nothing; with another digest it is refused. A part of a batch that is in the
    /// ledger whole changes nothing.
    ///
    /// Batches are what is counted once. An agent that sends one measurement in two batches of different numbers says that
    /// it measured twice; no honest agent uses an interval twice (rules, §2), and a dishonest one gains nothing that it
    /// could not have by making measurements up.
    fn put(&self, admitted: Admitted) -> BoxFuture<'_, Result<PutOutcome, StoreError>>;

    /// What the ledger holds of a number: the question that a split batch's parent is looked up by.
    fn ledgered(&self, number: BatchNumber) -> BoxFuture<'_, Result<Option<BatchDigest>, StoreError>>;

    /// What answers `query`: a row for each group that `grouping` makes and slot, in this order.
    fn scan(&self, query: Query, grouping: Arc<dyn Grouping>) -> BoxFuture<'_, Result<Vec<Row>, StoreError>>;

    /// When each agent's targets were first and last measured: what coverage is counted against.
    fn presence(&self, organisation: OrganisationId) -> BoxFuture<'_, Result<Presences, StoreError>>;

    /// What is missing of an organisation's measurements between two instants: what agents dropped, what was refused and what
    /// was set aside, by hour. Kept as long as days are.
    fn dropped(
        &self,
        organisation: OrganisationId,
        from: Timestamp,
        to: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<Dropped>, StoreError>>;

    /// Folds the log into segments when its time has come, and recomputes the rollups whose finer rows changed and that are
    /// closed at `now`. No answer changes by it. Returns how many spans were recomputed.
    fn compact(&self, now: Timestamp) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Drops what the retention no longer keeps at `now`, in slices. Finer rows go only after their rollups were
    /// recomputed.
    fn expire(&self, now: Timestamp, retention: Retention) -> BoxFuture<'_, Result<Expired, StoreError>>;

    /// The end of the newest quarter hour of which there are measurements, if there are any: how far time has come by what
    /// agents measured, whatever the collector's clock shows.
    fn newest(&self) -> BoxFuture<'_, Result<Option<Timestamp>, StoreError>>;

    /// Accepts a re-attribution durably and says its number; [`Store::reattribute`] carries it out. An end of its span
    /// that lies within a rollup whose finer rows have expired is refused ([`StoreError::CutsRollup`]).
    fn begin_reattribution(&self, order: Reattribute) -> BoxFuture<'_, Result<i64, StoreError>>;

    /// Finishes, in slices, every re-attribution that was begun: also one that a crash interrupted. It moves what the
    /// store held when this was called; what comes later is admitted for what is registered then. The ledger stays as it is.
    fn reattribute(&self, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Every re-attribution, the latest first.
    fn reattributions(&self) -> BoxFuture<'_, Result<Vec<Reattribution>, StoreError>>;

    /// What its bytes are spent on. Takes longer the more there is.
    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>>;

    /// How its work goes.
    fn watch(&self) -> &Watch;

    /// How much there is.
    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>>;
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// It is on disk now.
    Stored,
    /// It had been there already; nothing changed.
    Duplicate,
    /// Its number names other bytes; nothing changed.
    NumberReused,
    /// It holds an interval that ended before this instant, from when on the ledger and the finest rows are complete: it
    /// may have been counted already. Nothing changed. Admission refuses such intervals first, unless the clock was set
    /// back or the acceptance horizon was raised.
    TooOld(Timestamp),
}

/// What is asked of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Only rows of this organisation.
    pub organisation: OrganisationId,
    /// Only measurements whose interval starts at or after this instant.
    pub from: Timestamp,
    /// Only measurements whose interval starts before this instant.
    pub to: Timestamp,
    /// Only these metrics; empty means every one.
    pub metrics: BTreeSet<Metric>,
    /// Only these registrations; none means every one.
    pub registrations: Option<BTreeSet<RegistrationId>>,
    /// One row per key and slot of this length (a multiple of 60 s that divides a day), aligned to UTC; none merges the
    /// whole span into one row per key.
    pub step: Option<Duration>,
}

/// How a measurement came to count for a registration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The registration chosen at admission.
    pub registration: RegistrationId,
    /// The agent's name of the uplink.
    pub uplink: Arc<str>,
    /// How sure it is.
    pub attribution: Attribution,
    /// The registered prefix that the observed address lies in; off-prefix, the /24 or /48 of that address.
    pub prefix: Option<IpNet>,
}

/// Says which row of an answer a measurement adds to.
pub trait Grouping: Send + Sync {
    /// The group of what was measured so, or none if it is not wanted. Asked once for each origin and shape, and for each
    /// agent if they are kept apart; only then is the agent told.
    fn group(&self, origin: &Origin, shape: &Arc<Shape>, agent: Option<AgentId>) -> Option<u32>;

    /// Whether agents are kept apart.
    fn keeps_agents_apart(&self) -> bool {
        false
    }

    /// Whether rows are to hold times and what was seen; else they hold counters alone, in less time and memory.
    fn wants_times(&self) -> bool {
        true
    }
}

/// Agents, by numbers that are the same within one answer and mean nothing outside of it.
pub type Agents = roaring::RoaringBitmap;

/// One group of an answer, over the query's span or a slot of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// As the [`Grouping`] said.
    pub group: u32,
    /// The first instant of the slot, or of the query's span.
    pub slot: Timestamp,
    /// What was measured.
    pub totals: Totals,
    /// Who measured it.
    pub agents: Arc<Agents>,
}

/// How long each resolution lives (rules, §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What was measured as it came: default 30 days.
    pub minute: Duration,
    /// 15-minute rollups: default 100 days.
    pub quarter_hour: Duration,
    /// Day rollups: default 5 years.
    pub day: Duration,
    /// Ledger entries go only when their batch would be refused as too old.
    pub acceptance_horizon: Duration,
}

/// How long a ledger entry outlives the acceptance horizon: what a clock may be set back by at most before a store refuses
/// batches by itself ([`PutOutcome::TooOld`]).
pub const LEDGER_MARGIN: Duration = Duration::from_hours(24);

/// How long what describes a shape (its target's name, how often it is probed) stays before another description is taken.
pub const DESCRIBED_FOR: Duration = Duration::from_hours(1);

/// What [`Store::expire`] dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// Segments of measurements.
    pub measured: u64,
    /// Segments of rollups of either resolution.
    pub rollups: u64,
    /// Ledger entries.
    pub ledger_entries: u64,
}

/// How much a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Batches that are not in segments yet.
    pub log_batches: u64,
    /// Ledger entries.
    pub ledger_entries: u64,
    /// Spans whose rollups wait to be recomputed.
    pub stale_rollups: u64,
    /// Batches that were set aside because the file was damaged.
    pub damaged_batches: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The start of the oldest measurement that is kept as it came, or of the hour that it lies in.
    pub oldest: Option<Timestamp>,
    /// When the oldest batch of the log was received.
    pub oldest_in_log: Option<Timestamp>,
    /// The start of the newest measurement, or of the quarter hour that it lies in.
    pub newest: Option<Timestamp>,
    /// Measurements that are known to have been dropped by agents or refused, ever since and by reason (see [`Dropped`]).
    pub dropped: BTreeMap<String, u64>,
    /// Bytes of what was written and is not in the file yet.
    pub wal_bytes: u64,
}

/// What a store's bytes are spent on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Measurements as they came.
    pub measured: ResolutionUsage,
    /// Rollups of 15 minutes.
    pub quarter_hours: ResolutionUsage,
    /// Rollups of UTC days.
    pub days: ResolutionUsage,
    /// Batches that wait to be folded.
    pub log_batches: u64,
    /// Their bytes.
    pub log_bytes: u64,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Their bytes, about.
    pub ledger_bytes: u64,
    /// The file.
    pub file_bytes: u64,
    /// What of the file is free for what comes.
    pub free_bytes: u64,
    /// The UTC day that the figures of a day are of: the newest that is over, if any is.
    pub newest_day: Option<Timestamp>,
    /// Histograms and bytes of that day's measurements by registration.
    pub registrations: BTreeMap<RegistrationId, (u64, u64)>,
}

/// What the bytes of one resolution are spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResolutionUsage {
    /// Segments.
    pub segments: u64,
    /// Histograms in them.
    pub histograms: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The start of the oldest.
    pub oldest: Option<Timestamp>,
    /// Histograms of the newest day.
    pub newest_day_histograms: u64,
    /// Bytes of the newest day.
    pub newest_day_bytes: u64,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("the store could not {operation}: {source}{}", trouble::remedy(source))]
    Database {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        source: rusqlite::Error,
    },
    /// A stored row does not decode: the file was damaged.
    #[error("the store's {what} is damaged: {detail}")]
    Damaged {
        /// What kind of row.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// A file beside the database cannot be used.
    #[error("the store cannot use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process owns the database.
    #[error(
        "{} belongs to a running collector{}; stop that one first",
        path.display(), process.map_or_else(String::new, |process| format!(" (process {process})"))
    )]
    Owned {
        /// Which database.
        path: PathBuf,
        /// The process, where it is known.
        process: Option<u32>,
    },
    /// A newer collector wrote the database.
    #[error("{} has schema version {version}, written by a newer collector; upgrade this one", path.display())]
    NewerSchema {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// A collector that was never released wrote the database.
    #[error(
        "{} has schema version {version}, of a collector before the first release; move it away and let agents send again \
         (`peerlight-agent resend`)", path.display()
    )]
    UnreleasedSchema {
        /// Which.
        path: PathBuf,
        /// Its version.
        version: i64,
    },
    /// This build's SQLite can corrupt a database.
    #[error("SQLite {0} has the WAL-reset bug; build with 3.51.3 or newer")]
    UnsafeSqlite(&'static str),
    /// More than one block may hold.
    #[error("a block of {bytes} bytes is more than the store reads back; it is not written")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The end of a span lies within a rollup that cannot be taken apart any more.
    #[error(
        "{} lies within a rollup whose measurements have expired, which can only move whole; end the span at {} or at {}",
        rfc3339::text(*at), rfc3339::text(*before), rfc3339::text(*after)
    )]
    CutsRollup {
        /// The end.
        at: Timestamp,
        /// The nearest instant before it that can be an end.
        before: Timestamp,
        /// The nearest one after it.
        after: Timestamp,
    },
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Says of a database error what was tried.
    fn while_doing(operation: &'static str) -> impl Fn(rusqlite::Error) -> Self {
        move |source| Self::Database { operation, source }
    }

    /// What is wrong with the store's disk or file, if that is why.
    pub fn trouble(&self) -> Option<Trouble> {
        if let Self::Database { source, .. } = self { Trouble::of(source) } else { None }
    }

    /// Whether whatever is tried next will meet it, too: the disk is full, say.
    fn is_everyones(&self) -> bool {
        self.trouble().is_some_and(|trouble| trouble != Trouble::Damaged)
    }

    /// The same once more, if it is everyone's: what one batch met, all of its group did.
    fn repeated(&self) -> Option<Self> {
        let Self::Database { operation, source: rusqlite::Error::SqliteFailure(code, message) } = self else {
            return None;
        };
        let source = rusqlite::Error::SqliteFailure(*code, message.clone());
        self.is_everyones().then_some(Self::Database { operation, source })
    }
}

/// The start of the slot of `step` that `instant` lies in.
pub(crate) fn slot_of(instant: Timestamp, step: Duration) -> Timestamp {
    let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX).max(1);
    Timestamp::from_micros(instant.as_micros() - instant.as_micros().rem_euclid(step))
}
