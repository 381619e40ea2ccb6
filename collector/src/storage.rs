//! Storage: what the disk is spent on, and what it will take when the retention is full. Pure.

use crate::{
    registry::Registrations,
    rfc3339,
    store::{LEDGER_MARGIN, ResolutionUsage, Retention, Usage},
};
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

const DAY: Duration = Duration::from_hours(24);

/// What the disk is spent on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Storage {
    /// Each resolution, finest first.
    pub resolutions: Vec<Resolution>,
    /// Batches that wait to be folded into segments.
    pub log: Kept,
    /// What tells whether a batch was stored before.
    pub ledger: Kept,
    /// The file of the store, without SQLite's own log.
    pub file_bytes: u64,
    /// What of it is free for what comes.
    pub file_free_bytes: u64,
    /// What is free on its disk, where that is known.
    pub disk_free_bytes: Option<u64>,
    /// The UTC day that the figures of a day are of: the newest that is over, or the first while none is.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub newest_day: Option<Timestamp>,
    /// What the measurements of that day take by provider, the largest first.
    pub providers: Vec<ProviderUsage>,
    /// What will be.
    pub forecast: Forecast,
}

/// One resolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Resolution {
    /// `measurements`, `quarter_hours` or `days`.
    pub name: String,
    /// Histograms in it.
    pub histograms: u64,
    /// Their bytes, with all that stands beside them.
    pub bytes: u64,
    /// Bytes of one histogram; null where there is none.
    pub bytes_per_histogram: Option<f64>,
    /// The start of the oldest.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub oldest: Option<Timestamp>,
    /// When the oldest is dropped.
    #[serde(with = "rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub dropped_at: Option<Timestamp>,
    /// What a day takes, as the newest did.
    pub bytes_per_day: u64,
    /// What it takes when the retention is full, at this rate.
    pub full_bytes: u64,
}

/// A number of rows and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Kept {
    /// Rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a provider's measurements of a day take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProviderUsage {
    /// Its name.
    pub provider: String,
    /// Histograms.
    pub histograms: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of one histogram.
    pub bytes_per_histogram: Option<f64>,
}

/// What will be, at the rate of the newest day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Forecast {
    /// What the store takes when every retention is full.
    pub full_bytes: u64,
    /// Whole days until the disk is full, if it will be before the retention is.
    pub days_until_disk_is_full: Option<u64>,
}

/// Says what the disk is spent on. `disk_free_bytes` is what is free beside the file.
pub fn storage(
    usage: &Usage,
    retention: &Retention,
    registrations: &Registrations,
    disk_free_bytes: Option<u64>,
) -> Storage {
    let resolutions = vec![
        resolution("measurements", &usage.measured, retention.minute),
        resolution("quarter_hours", &usage.quarter_hours, retention.quarter_hour),
        resolution("days", &usage.days, retention.day),
    ];
    let horizon = retention.acceptance_horizon.saturating_add(LEDGER_MARGIN);
    let age = match (usage.measured.oldest, usage.newest_day) {
        (Some(oldest), Some(day)) => day.plus(DAY).since(oldest).clamp(DAY, horizon.max(DAY)),
        _ => horizon,
    };
    let ledger_full = scaled(usage.ledger_bytes, horizon, age);
    let full_bytes = resolutions.iter().map(|one| one.full_bytes).fold(ledger_full, u64::saturating_add);
    let per_day: u64 =
        resolutions.iter().map(|one| one.bytes_per_day).sum::<u64>() + ledger_full / days(horizon);
    let room = disk_free_bytes.map(|free| free.saturating_add(usage.free_bytes));
    let used = usage.file_bytes.saturating_sub(usage.free_bytes);
    let days_until_disk_is_full =
        room.filter(|room| per_day > 0 && used.saturating_add(*room) < full_bytes).map(|room| room / per_day);
    Storage {
        resolutions,
        log: Kept { rows: usage.log_batches, bytes: usage.log_bytes },
        ledger: Kept { rows: usage.ledger_entries, bytes: usage.ledger_bytes },
        file_bytes: usage.file_bytes,
        file_free_bytes: usage.free_bytes,
        disk_free_bytes,
        newest_day: usage.newest_day,
        providers: providers(usage, registrations),
        forecast: Forecast { full_bytes, days_until_disk_is_full },
    }
}

fn resolution(name: &str, usage: &ResolutionUsage, retention: Duration) -> Resolution {
    Resolution {
        name: name.to_owned(),
        histograms: usage.histograms,
        bytes: usage.bytes,
        bytes_per_histogram: ratio(usage.bytes, usage.histograms),
        oldest: usage.oldest,
        // Whole UTC days go, when the last of them is past the retention.
        dropped_at: usage.oldest.map(|oldest| day_after(oldest).plus(retention)),
        bytes_per_day: usage.newest_day_bytes,
        full_bytes: usage.newest_day_bytes.saturating_mul(days(retention) + 1),
    }
}

fn day_after(instant: Timestamp) -> Timestamp {
    Timestamp::from_secs((instant.as_secs().div_euclid(86_400) + 1) * 86_400)
}

fn days(span: Duration) -> u64 {
    span.as_secs().div_ceil(DAY.as_secs()).max(1)
}

/// What `bytes` over `have` are over `full`.
fn scaled(bytes: u64, full: Duration, have: Duration) -> u64 {
    let scaled = u128::from(bytes) * u128::from(full.as_secs()) / u128::from(have.as_secs().max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "shown to two digits")]
fn ratio(bytes: u64, histograms: u64) -> Option<f64> {
    (histograms > 0).then(|| (bytes as f64 / histograms as f64 * 100.0).round() / 100.0)
}

fn providers(usage: &Usage, registrations: &Registrations) -> Vec<ProviderUsage> {
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (registration, (histograms, bytes)) in &usage.registrations {
        // Of another organisation: its provider is nobody else's to know.
        let Some(entry) = registrations.get(*registration) else { continue };
        let sum = sums.entry(&entry.provider).or_default();
        *sum = (sum.0 + histograms, sum.1 + bytes);
    }
    let mut providers: Vec<_> = sums
        .into_iter()
        .map(|(provider, (histograms, bytes))| ProviderUsage {
            provider: provider.to_owned(),
            histograms,
            bytes,
            bytes_per_histogram: ratio(bytes, histograms),
        })
        .collect();
    providers.sort_by_key(|provider| std::cmp::Reverse(provider.bytes));
    providers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry::RegistrationId, report::fixture::registration, store::fixture::MIDNIGHT};

    const RETENTION: Retention = Retention {
        minute: DAY.saturating_mul(30),
        quarter_hour: DAY.saturating_mul(100),
        day: DAY.saturating_mul(1_826),
        acceptance_horizon: DAY.saturating_mul(14),
    };

    fn usage() -> Usage {
        let resolution = |histograms, bytes, newest_day_bytes| ResolutionUsage {
            segments: 1,
            histograms,
            bytes,
            oldest: Some(MIDNIGHT.plus(Duration::from_hours(5))),
            newest_day_histograms: 0,
            newest_day_bytes,
        };
        Usage {
            measured: resolution(1_000, 5_400, 2_700),
            quarter_hours: resolution(70, 1_000, 500),
            days: resolution(0, 0, 0),
            ledger_entries: 30,
            ledger_bytes: 3_000,
            file_bytes: 20_000,
            free_bytes: 1_000,
            newest_day: Some(MIDNIGHT.plus(DAY)),
            registrations: [(1, (300, 1_500)), (2, (100, 900)), (3, (100, 300)), (9, (1, 1))]
                .map(|(id, sum)| (RegistrationId(id), sum))
                .into(),
            ..Usage::default()
        }
    }

    #[test]
    fn a_forecast_is_the_newest_day_for_as_long_as_it_is_kept() {
        let registrations: Registrations = [
            registration(1, "Aurora", "GB-LND"),
            registration(2, "Borealis", "GB-LND"),
            registration(3, "Aurora", "DE-BE"),
        ]
        .into_iter()
        .collect();
        let storage = storage(&usage(), &RETENTION, &registrations, Some(1_000_000));
        let [measured, quarters, days] = storage.resolutions.as_slice() else { panic!("{storage:?}") };
        assert_eq!((measured.bytes_per_histogram, quarters.bytes_per_histogram), (Some(5.4), Some(14.29)));
        assert_eq!((measured.full_bytes, quarters.full_bytes, days.full_bytes), (2_700 * 31, 500 * 101, 0));
        assert_eq!(measured.dropped_at, Some(MIDNIGHT.plus(DAY * 31)), "with its whole day");
        // Fifteen days of the ledger at the rate of the first 43 hours.
        let ledger = 3_000 * 15 * 24 / 43;
        assert_eq!(
            storage.forecast,
            Forecast { full_bytes: 2_700 * 31 + 500 * 101 + ledger, days_until_disk_is_full: None }
        );
        let shown: Vec<_> = storage.providers.iter().map(|one| (one.provider.as_str(), one.bytes)).collect();
        assert_eq!(shown, [("Aurora", 1_800), ("Borealis", 900)]);
    }

    #[test]
    fn a_disk_that_fills_before_the_retention_is_told() {
        let full = storage(&usage(), &RETENTION, &Registrations::default(), Some(9_000)).forecast;
        assert_eq!(full.days_until_disk_is_full, Some(10_000 / (2_700 + 500 + 25_116 / 15)));
        assert_eq!(
            storage(&usage(), &RETENTION, &Registrations::default(), None).forecast.days_until_disk_is_full,
            None
        );
        let empty = storage(&Usage::default(), &RETENTION, &Registrations::default(), Some(0)).forecast;
        assert_eq!(empty, Forecast { full_bytes: 0, days_until_disk_is_full: None });
    }
}
