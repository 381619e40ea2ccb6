//! Microsoft's own yardsticks: what its network assessment of Microsoft 365 calls good, held against what was measured. Pure.
//!
//! Which targets a yardstick is for is decided by their addresses. Microsoft asks its own test programs; what is measured here in
//! their place stands in each row.

mod points;
mod question;
#[cfg(test)]
mod tests;

pub use points::exchange_points;
pub use question::{DEFAULT_LAST, YardsticksQuestion};

use super::{Asked, Group, NoLoss, Report, ReportRow, milliseconds::rounded_ms};
use crate::rfc3339;
use peerlight_proto::{metric::Metric, time::Timestamp};
use serde::{Deserialize, Serialize};

/// Points from which on Microsoft says that a site meets its recommendations.
const ENOUGH_POINTS: f64 = 80.0;
/// The fewest probes that a loss of 1 % can be told by.
const ENOUGH_FOR_LOSS: u64 = 100;

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct YardsticksReport {
    /// When it was made.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub generated_at: Timestamp,
    /// The first instant of its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// The first instant after its span.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// What was asked.
    pub question: Asked,
    /// One for each group, target, metric and yardstick that is for it.
    pub rows: Vec<YardstickRow>,
}

/// One yardstick, held against one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct YardstickRow {
    /// What it is grouped by; the target always.
    #[serde(flatten)]
    pub group: Group,
    /// Which time of a probe was measured.
    #[schema(value_type = String)]
    pub metric: Metric,
    /// Which yardstick.
    pub yardstick: Yardstick,
    /// What was measured, in `unit`; null where that cannot be said.
    pub measured: Option<f64>,
    /// `ms`, or `percent`.
    pub unit: String,
    /// Microsoft's points for it, of 100, where it gives any.
    pub points: Option<f64>,
    /// Which values pass.
    pub passes: String,
    /// Pass or fail; null where nothing can be said.
    pub result: Option<YardstickResult>,
    /// Why nothing can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_result_because: Option<NoResult>,
    /// Probes behind it.
    pub samples: u64,
    /// Where Microsoft says so.
    pub source: String,
    /// How this is measured here, and how Microsoft does.
    pub method: String,
}

/// A yardstick of Microsoft's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Yardstick {
    /// Points for the median of TCP connects to Exchange Online.
    ExchangeTcp,
    /// Latency to the relays of Teams.
    TeamsLatency,
    /// Jitter to the relays of Teams.
    TeamsJitter,
    /// Loss to the relays of Teams.
    TeamsLoss,
}

/// Pass or fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum YardstickResult {
    /// As Microsoft recommends.
    Pass,
    /// Worse.
    Fail,
}

/// Why nothing can be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoResult {
    /// Too few probes, or pairs of probes.
    TooFew,
    /// The target never answers ICMP there while TCP works.
    IcmpSilent,
}

impl Yardstick {
    const ALL: [Self; 4] = [Self::ExchangeTcp, Self::TeamsLatency, Self::TeamsJitter, Self::TeamsLoss];

    /// Whether it is for such measurements.
    fn is_for(self, row: &ReportRow) -> bool {
        let Some(address) = row.group.address.as_deref() else { return false };
        match self {
            Self::ExchangeTcp => row.metric == Metric::TcpConnect && question::is_exchange(address),
            Self::TeamsLatency | Self::TeamsJitter | Self::TeamsLoss => {
                matches!(row.metric, Metric::IcmpRtt | Metric::UdpRtt) && question::is_teams_relay(address)
            }
        }
    }

    /// Where Microsoft says so.
    const fn source(self) -> &'static str {
        match self {
            Self::ExchangeTcp => {
                "Microsoft, \"Microsoft 365 network assessment\" (office-365-network-mac-perf-score), 2024"
            }
            Self::TeamsLatency | Self::TeamsJitter | Self::TeamsLoss => {
                "Microsoft, \"Microsoft 365 network connectivity test\" (office-365-network-mac-perf-onboarding-tool), 2024"
            }
        }
    }

    const fn passes(self) -> &'static str {
        match self {
            Self::ExchangeTcp => "80 points: at most 25 ms",
            Self::TeamsLatency => "less than 100 ms",
            Self::TeamsJitter => "less than 30 ms",
            Self::TeamsLoss => "less than 1 %",
        }
    }

    const fn method(self) -> &'static str {
        match self {
            Self::ExchangeTcp => "median of TCP connects over the span; Microsoft takes that of three days",
            Self::TeamsLatency => {
                "median round trip of echo requests or UDP probes over the span; Microsoft makes a test call of 10 s by UDP"
            }
            Self::TeamsJitter => {
                "mean difference of consecutive round trips over the span; Microsoft takes that of a test call's packets"
            }
            Self::TeamsLoss => {
                "loss of echo requests or UDP probes over the span; Microsoft takes that of a test call's packets"
            }
        }
    }

    /// What was measured, if it can be said.
    fn measured(self, row: &ReportRow) -> Option<f64> {
        match self {
            Self::ExchangeTcp | Self::TeamsLatency => row.latency_ms.p50,
            Self::TeamsJitter => {
                row.jitter_ms.filter(|jitter| jitter.p50.is_some()).and_then(|jitter| jitter.mean)
            }
            Self::TeamsLoss => {
                row.loss.filter(|_| row.sent >= ENOUGH_FOR_LOSS).map(|loss| rounded_ms(loss.value * 100.0))
            }
        }
    }

    /// Whether a value passes.
    fn is_passed_by(self, value: f64) -> bool {
        match self {
            Self::ExchangeTcp => exchange_points(value) >= ENOUGH_POINTS,
            Self::TeamsLatency => value < 100.0,
            Self::TeamsJitter => value < 30.0,
            Self::TeamsLoss => value < 1.0,
        }
    }
}

/// Holds the yardsticks against a report of latency by target.
pub fn yardsticks(report: Report) -> YardsticksReport {
    let rows = report.rows.iter().flat_map(|row| {
        Yardstick::ALL
            .into_iter()
            .filter(|yardstick| yardstick.is_for(row))
            .map(|yardstick| held(yardstick, row))
    });
    YardsticksReport {
        generated_at: report.generated_at,
        from: report.from,
        to: report.to,
        rows: rows.collect(),
        question: report.question,
    }
}

fn held(yardstick: Yardstick, row: &ReportRow) -> YardstickRow {
    let measured = yardstick.measured(row);
    let judged = measured.map(|value| {
        if yardstick.is_passed_by(value) { YardstickResult::Pass } else { YardstickResult::Fail }
    });
    let why = match row.no_loss_because {
        Some(NoLoss::IcmpSilent) => NoResult::IcmpSilent,
        None => NoResult::TooFew,
    };
    YardstickRow {
        group: row.group.clone(),
        metric: row.metric,
        yardstick,
        measured,
        unit: if yardstick == Yardstick::TeamsLoss { "percent" } else { "ms" }.to_owned(),
        points: measured.filter(|_| yardstick == Yardstick::ExchangeTcp).map(exchange_points),
        passes: yardstick.passes().to_owned(),
        result: judged,
        no_result_because: judged.is_none().then_some(why),
        samples: if yardstick == Yardstick::TeamsLoss { row.sent } else { row.answered },
        source: yardstick.source().to_owned(),
        method: yardstick.method().to_owned(),
    }
}
