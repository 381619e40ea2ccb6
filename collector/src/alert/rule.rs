//! Rules: what is looked for, where, how sure one must be, and for how long it must last.

mod check;
mod defaults;
mod span;

pub use check::faults;
pub use defaults::defaults;

use super::Spot;
use crate::report::{is_same, lies_within};
use peerlight_proto::metric::Metric;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, time::Duration};

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What people call it; no two rules have one name.
    pub name: String,
    /// What it looks at.
    pub kind: RuleKind,
    /// Of which metrics; the worst one counts.
    #[schema(value_type = Vec<String>)]
    pub metrics: BTreeSet<Metric>,
    /// Of the kind `percentile`: which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentile: Option<Percentile>,
    /// From which value on it is bad: milliseconds of a percentile, else a share from 0 to 1. Coverage is bad below it, and
    /// silence has none.
    #[serde(default)]
    pub threshold: f64,
    /// From which value on it is good again. Between the two nothing changes.
    #[serde(default)]
    pub clear: f64,
    /// With fewer probes than this nothing is judged, neither bad nor good.
    pub min_samples: u64,
    /// The span that is judged at once: a part of a day, `5m`, `1h` …
    #[serde(with = "span")]
    #[schema(value_type = String)]
    pub window: Duration,
    /// How long it must be bad before anybody is told, and good before it is over.
    #[serde(rename = "for", with = "span")]
    #[schema(value_type = String)]
    pub lasting: Duration,
    /// Who is to hear of it, in the receivers' terms.
    pub severity: Severity,
    /// Where it holds.
    #[serde(default)]
    pub scope: Scope,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// A percentile of the times, with lost probes as infinitely slow.
    Percentile,
    /// The share of probes that the network lost.
    Loss,
    /// The share of expected turns that were accounted for.
    Coverage,
    /// Nothing was accounted for at all, though turns were expected.
    Silence,
    /// The share of probes that left by another network than is registered.
    OffPrefix,
    /// The share of probes that somebody else answered: another issuer's certificate, a portal, an unpublished address.
    Issuer,
    /// The share of requests that other front doors served than in the day before.
    EdgeShift,
}

/// Which percentile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Percentile {
    /// The median.
    P50,
    /// The 90th.
    P90,
    /// The 95th.
    P95,
    /// The 99th.
    P99,
}

/// How urgent it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can wait until the morning.
    Ticket,
    /// Somebody is to be woken.
    Page,
}

/// Where a rule or a maintenance window holds: everywhere that fits each list that is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Only these providers.
    pub providers: BTreeSet<String>,
    /// Only these locations; a country's code means every location in it.
    pub locations: BTreeSet<String>,
    /// Only these sites.
    pub sites: BTreeSet<String>,
    /// Only these targets.
    pub targets: BTreeSet<String>,
}

/// What goes wrong together: alerts of different aspects never become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// How well targets are reached.
    Reachability,
    /// Whether traffic leaves as it is registered.
    Attribution,
    /// Whether it is the target that answers.
    Interception,
}

impl RuleKind {
    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Percentile => "percentile",
            Self::Loss => "loss",
            Self::Coverage => "coverage",
            Self::Silence => "silence",
            Self::OffPrefix => "off_prefix",
            Self::Issuer => "issuer",
            Self::EdgeShift => "edge_shift",
        }
    }

    /// What it belongs to.
    pub const fn aspect(self) -> Aspect {
        match self {
            Self::Percentile | Self::Loss | Self::Coverage | Self::Silence | Self::EdgeShift => {
                Aspect::Reachability
            }
            Self::OffPrefix => Aspect::Attribution,
            Self::Issuer => Aspect::Interception,
        }
    }

    /// Whether low values are the bad ones.
    pub const fn is_bad_below(self) -> bool {
        matches!(self, Self::Coverage)
    }

    /// Whether nothing but missing measurements is judged, which may still be on their way after a start.
    pub const fn judges_absence(self) -> bool {
        matches!(self, Self::Coverage | Self::Silence)
    }
}

impl Percentile {
    /// What of it reports name so.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// The fewest probes that reports tell it of (rules, §3).
    pub const fn enough(self) -> u64 {
        match self {
            Self::P50 | Self::P90 => 10,
            Self::P95 => 20,
            Self::P99 => 100,
        }
    }
}

impl Severity {
    /// Its name in files and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Scope {
    /// Whether it holds for what a site measures of a target.
    pub fn holds(&self, spot: &Spot) -> bool {
        let any = |asked: &BTreeSet<String>, there: &str, fits: fn(&str, &str) -> bool| {
            asked.is_empty() || asked.iter().any(|name| fits(there, name))
        };
        any(&self.providers, &spot.provider, is_same)
            && any(&self.locations, &spot.location, lies_within)
            && any(&self.sites, &spot.site, is_same)
            && any(&self.targets, &spot.target, is_same)
    }

    /// Its lists by what they are of.
    pub fn lists(&self) -> [(&'static str, &BTreeSet<String>); 4] {
        [
            ("provider", &self.providers),
            ("location", &self.locations),
            ("site", &self.sites),
            ("target", &self.targets),
        ]
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = self.lists();
        let named = lists.iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<String> = named
            .map(|(what, names)| {
                let any: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("{what} {}", any.join(" or "))
            })
            .collect();
        if parts.is_empty() { f.pad("everywhere") } else { f.pad(&parts.join(", ")) }
    }
}

impl Rule {
    /// Whether a value is to raise, to clear, or neither.
    pub fn judge(&self, value: f64) -> Judgement {
        let (bad, good) = if self.kind.is_bad_below() {
            (value < self.threshold, value >= self.clear)
        } else {
            (value > self.threshold, value <= self.clear)
        };
        match (bad, good) {
            (true, _) => Judgement::Bad,
            (false, true) => Judgement::Good,
            (false, false) => Judgement::Between,
        }
    }
}

/// What a rule makes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Beyond the threshold.
    Bad,
    /// Good by the clear threshold.
    Good,
    /// Between the two: nothing changes.
    Between,
}

#[cfg(test)]
mod tests;
