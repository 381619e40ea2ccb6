//! The most that either end sends or accepts. The collector applies them before it decodes or allocates.

use std::{ops::RangeInclusive, time::Duration};

/// The most uplinks that one agent measures.
pub const MAX_UPLINKS: usize = 8;
/// The version of the wire that this build writes.
pub const PROTOCOL_VERSION: u32 = 1;
/// The versions of the wire that a collector of this build reads: its own and, once there is one, the one before it.
pub const SUPPORTED_VERSIONS: RangeInclusive<u32> = 1..=PROTOCOL_VERSION;

/// The largest body of a push, compressed.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// The largest body of every other request of an agent.
pub const MAX_SMALL_BODY_BYTES: usize = 64 << 10;
/// The largest batch once inflated.
pub const MAX_INFLATED_BYTES: usize = 8 << 20;
/// The largest zstd window that is accepted, as a power of two: 8 MiB.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 23;
/// The most entries of a batch's dictionary.
pub const MAX_SERIES: usize = 4_096;
/// The most measurements of a batch.
pub const MAX_MEASUREMENTS: usize = 16_384;
/// The most attributes of a measurement.
pub const MAX_ATTRIBUTES: usize = 32;
/// The most entries of an agent's account of what it dropped that one batch carries.
pub const MAX_DROP_ENTRIES: usize = 64;
/// The most that one of them counts: sums over a fleet stay far from overflow.
pub const MAX_DROPPED: u64 = 1 << 40;
/// The longest name, service, uplink, attribute or similar text, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// The longest reason for which an agent refuses an assignment, in bytes.
pub const MAX_REASON_BYTES: usize = 1_024;
/// The most problems of its machine that an agent tells of.
pub const MAX_PROBLEMS: usize = 8;
/// The longest target address and probe, in bytes.
pub const MAX_TARGET_TEXT_BYTES: usize = 1_280;
/// The span of time that one batch may cover, from its earliest start to its latest end.
pub const MAX_BATCH_SPAN: Duration = Duration::from_hours(1);
/// How far ahead of the collector's clock an interval may end.
pub const MAX_FUTURE: Duration = Duration::from_mins(5);
/// How old an interval may be before it is `too_old`, unless the collector is configured otherwise: 14 days.
pub const ACCEPTANCE_HORIZON: Duration = Duration::from_hours(14 * 24);
/// Probes of one series in one interval: more than a thousand a second for an hour. Sums over a fleet stay far from overflow.
pub const MAX_SCHEDULED: u64 = 1 << 22;
/// What is counted beside probes, in one measurement: strays, and how often an attribute was seen.
pub const MAX_COUNTED_BESIDE: u64 = 1 << 32;
/// How long a signature is valid at most (rules, §8).
pub const MAX_SIGNATURE_AGE: Duration = Duration::from_mins(5);
/// Every probe's deadline is below the histogram's range.
pub const MAX_DEADLINE: Duration = Duration::from_secs(59);
