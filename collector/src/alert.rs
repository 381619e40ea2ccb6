//! Alerts: who is told that something is wrong, when, and who is to blame.
//!
//! ```text
//! rows of the latency report ─► reading ─► decide ─► blame ─► Alert, Event ─► notify ─► people
//!                                  rules, hysteresis, one cause, one alert        webhook, Alertmanager, e-mail
//! ```
//!
//! Deciding is pure: what was found, what was known and the time go in, what is known now and what is to be told come out.
//! [`watch`] asks the report each minute and keeps both in the registry, in one transaction, so that a restart repeats nothing.

mod blame;
mod culprit;
mod decide;
mod evidence;
mod maintenance;
pub mod message;
pub mod notify;
mod reading;
pub mod replay;
mod rule;
mod spot;
pub mod watch;

pub use blame::Vote;
pub use culprit::Culprit;
pub use decide::{Ground, Held, Standing, Turned, turn};
pub use evidence::Evidence;
pub use maintenance::{Maintenance, NewMaintenance};
pub use reading::{Doors, Reading, TELLS_EDGES, readings};
pub use rule::{Aspect, Judgement, Percentile, Rule, RuleKind, Scope, Severity, defaults, faults};
pub use spot::Spot;

use crate::rfc3339;
use peerlight_proto::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// One cause of trouble, from when it was first seen until it was over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Alert {
    /// Its number.
    pub id: u64,
    /// What stands with it.
    pub state: AlertState,
    /// How urgent it is: the most urgent of its rules.
    pub severity: Severity,
    /// What is wrong, in a line.
    pub summary: String,
    /// Who is to blame.
    pub culprit: Culprit,
    /// What it is about.
    pub aspect: Aspect,
    /// The rules that found it.
    pub rules: BTreeSet<String>,
    /// When it was first bad.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it had been bad for long enough that people were told.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub fired: Option<Timestamp>,
    /// Since when all of it is good.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub good_since: Option<Timestamp>,
    /// When it was over.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub resolved: Option<Timestamp>,
    /// The alert that it turned out to be part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u64>,
    /// Who looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// Until when nobody is told of it, but that it is over.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub silenced_until: Option<Timestamp>,
    /// Whether receivers were told that it fires: not as long as it was silenced.
    #[serde(default)]
    pub told: bool,
    /// What receivers route it by: as it was when it began to fire, so that it stays one alert to them; its severity as it is.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What it rested on when people were told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_at_first: Option<Evidence>,
    /// What it rests on, as of when it was last bad.
    pub evidence: Evidence,
}

/// What stands with an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It has not lasted for long enough; nobody was told.
    Pending,
    /// People were told.
    Firing,
    /// Somebody looks after it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// Who looks after an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Acknowledgement {
    /// The operator.
    pub by: String,
    /// When.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// What they say.
    #[serde(default)]
    pub note: String,
}

/// What people are told of an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When.
    #[serde(with = "rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The alert as it was then.
    pub alert: Alert,
}

/// What happened to an alert.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// It began to fire.
    Firing,
    /// A wider cause is to blame than was thought, or it is more urgent. Nobody is to be woken anew for a wider cause.
    Updated,
    /// It is over.
    Resolved,
}

impl AlertState {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }

    /// Whether people were told and it is not over.
    pub const fn is_told(self) -> bool {
        matches!(self, Self::Firing | Self::Acknowledged)
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl EventKind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
        }
    }
}

impl Alert {
    /// What it is called by receivers that know alerts by a key: the same over its life.
    pub fn key(&self) -> String {
        format!("peerlight-{}-{}", self.id, self.since.as_secs())
    }

    /// Whether people hear of such an event of it at `now`: that it is over they always do.
    pub fn tells(&self, kind: EventKind, now: Timestamp) -> bool {
        kind == EventKind::Resolved || self.silenced_until.is_none_or(|until| until <= now)
    }
}
