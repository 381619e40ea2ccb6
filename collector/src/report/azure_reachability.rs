//! Latency day by day in the shape of Azure Network Watcher's `azureReachabilityReport` (Microsoft.Network/networkWatchers), which
//! Microsoft is about to withdraw: what reads that reads this. Pure.
//!
//! Azure's score is of nobody's formula. Ours is 100 times the least daily median of the answer over the day's, so that providers,
//! targets and days can be held against each other within one answer, as Azure's can; the milliseconds stand beside it.

mod question;
#[cfg(test)]
mod tests;

pub use question::{AzureReachabilityQuestion, DEFAULT_LAST};

use super::{Report, ReportRow};
use crate::rfc3339;
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The fewest probes of a day that a median is told of.
const ENOUGH: u64 = 10;

/// Azure's `AzureReachabilityReport`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureReachabilityReport {
    /// `State`, or `Country` where the location is one.
    pub aggregation_level: AggregationLevel,
    /// Where the sites are.
    pub provider_location: ProviderLocation,
    /// One for each provider and target of which anything can be told.
    pub reachability_report: Vec<ReachabilityItem>,
}

/// What a report's location is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum AggregationLevel {
    /// A country.
    Country,
    /// A state, or what ISO 3166-2 has in its place.
    State,
}

/// A place by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProviderLocation {
    /// The country's name in ISO 3166-1.
    pub country: String,
    /// The state's name in ISO 3166-2, in lower case as Azure writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// What was measured of a target through a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReachabilityItem {
    /// The provider.
    pub provider: String,
    /// The target's name, in the place of Azure's region.
    pub azure_location: String,
    /// UTC days, the latest first.
    pub latencies: Vec<ReachabilityLatency>,
}

/// A UTC day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReachabilityLatency {
    /// Its start.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub time_stamp: Timestamp,
    /// 100 for the least median of the answer, less for slower ones, at least 1.
    #[schema(minimum = 1, maximum = 100)]
    pub score: u8,
    /// The median, lost probes the slowest; null where most were lost. Azure has no such value.
    pub median_ms: Option<f64>,
    /// The share that the network lost. Azure has no such value.
    pub loss: Option<f64>,
    /// How many probes were answered or lost. Azure has no such value.
    pub probes: u64,
}

/// Puts a report of latency by provider and target, a row a day, into Azure's shape.
pub fn azure_reachability(report: &Report, place: ProviderLocation) -> AzureReachabilityReport {
    let told: Vec<&ReportRow> = report.rows.iter().filter(|row| carried(row) >= ENOUGH).collect();
    let medians = told.iter().filter_map(|row| row.latency_incl_loss_ms.p50);
    let least_ms = medians.min_by(f64::total_cmp);
    let mut items: Vec<ReachabilityItem> = Vec::new();
    for row in told {
        let (Some(provider), Some(target), Some(day)) = (&row.group.provider, &row.group.target, row.slot)
        else {
            continue;
        };
        let median_ms = row.latency_incl_loss_ms.p50;
        let latency = ReachabilityLatency {
            time_stamp: day,
            score: score(least_ms, median_ms),
            median_ms,
            loss: row.loss.map(|loss| loss.value),
            probes: carried(row),
        };
        let known =
            items.iter_mut().find(|item| item.provider == *provider && item.azure_location == *target);
        match known {
            Some(item) => item.latencies.push(latency),
            None => items.push(ReachabilityItem {
                provider: provider.clone(),
                azure_location: target.clone(),
                latencies: vec![latency],
            }),
        }
    }
    for item in &mut items {
        item.latencies.sort_by_key(|latency| std::cmp::Reverse(latency.time_stamp));
    }
    let aggregation_level =
        if place.state.is_some() { AggregationLevel::State } else { AggregationLevel::Country };
    AzureReachabilityReport { aggregation_level, provider_location: place, reachability_report: items }
}

/// Probes that the network carried or lost.
fn carried(row: &ReportRow) -> u64 {
    row.answered + row.late + row.retransmitted + row.lost
}

/// A day on which most probes were lost is as slow as can be.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 100")]
fn score(least_ms: Option<f64>, median_ms: Option<f64>) -> u8 {
    match (least_ms, median_ms) {
        // Nothing that took no time is slower than anything.
        (Some(_), Some(0.0)) => 100,
        (Some(least), Some(median)) => (100.0 * least / median).round().clamp(1.0, 100.0) as u8,
        _ => 1,
    }
}
