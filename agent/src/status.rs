//! What the agent is doing, for people: told to whoever asks a running agent (`status`), and printed.

mod headline;
mod noise;
mod socket;
mod table;

pub use noise::Noise;
pub(crate) use socket::answer;
pub use socket::{AskError, ask};
pub(crate) use table::millis;

use crate::{credential::Enrolment, notices::Notices, spool::Counts};
use peerlight_proto::{assignment::AssignmentState, batch::Remarks, enrolment::SiteAssertion};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// What the agent is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The agent's identity.
    pub agent: String,
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it started, in microseconds since 1970.
    pub started_us: i64,
    /// When it said this.
    pub told_us: i64,
    /// With which collector it is enrolled, for what.
    pub enrolled: Option<Enrolled>,
    /// Which uplinks it is not enrolled for; nothing is handed over until it is.
    pub not_enrolled_for: Vec<String>,
    /// Why the agent could not enrol itself, if it tried.
    #[serde(default)]
    pub enrolment_problem: Option<String>,
    /// How pushing goes.
    pub push: PushState,
    /// The key that signs, as the collector knows it.
    pub key: Option<KeyState>,
    /// Why the key could not be looked after, if it could not.
    pub key_problem: Option<String>,
    /// When the last batch was acknowledged …
    pub last_ack_us: Option<i64>,
    /// … and what it was.
    pub last_pushed: Option<Pushed>,
    /// Collector time minus this machine's, in microseconds.
    pub clock_offset_us: Option<i64>,
    /// How far that may be off.
    #[serde(default)]
    pub clock_uncertainty_us: Option<i64>,
    /// The target set whose assignment is in force, and the one that was refused.
    pub assignment: AssignmentState,
    /// The spool.
    pub spool: Counts,
    /// The measuring.
    pub measuring: Measuring,
    /// The public address of each family, as the collector saw it.
    pub observed: BTreeMap<String, IpAddr>,
    /// Why ICMP cannot be sent, if it cannot.
    pub icmp_problem: Option<String>,
    /// Targets that are not probed, or not as often as asked, each with its reason.
    pub refused_targets: Vec<String>,
    /// What is wrong with targets: who answers in their place, where their names lead.
    pub notices: Vec<String>,
    /// Paths that were captured because a target turned bad, or was good again.
    #[serde(default)]
    pub captured: Option<Captured>,
}

/// With which collector the agent is enrolled, for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The collector's address.
    pub collector: String,
    /// The site.
    pub site: String,
    /// The provider.
    pub provider: String,
    /// The location.
    pub location: String,
    /// The sites that are measured beside that one.
    #[serde(default)]
    pub others: Vec<SiteAssertion>,
}

impl From<Enrolment> for Enrolled {
    fn from(enrolment: Enrolment) -> Self {
        Self {
            collector: enrolment.collector,
            site: enrolment.site.name,
            provider: enrolment.site.provider,
            location: enrolment.site.location,
            others: enrolment.others,
        }
    }
}

/// The agent's key. Instants are microseconds since 1970 on the collector's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyState {
    /// How its public half begins: what the collector's `agent show` shows.
    pub key: String,
    /// When its life began.
    pub since_us: i64,
    /// When it expires.
    pub expires_us: i64,
    /// When the agent replaces it.
    pub due_us: i64,
}

/// How pushing goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PushState {
    /// There is no enrolment yet; batches are kept.
    #[default]
    NotEnrolled,
    /// Nothing waits.
    Idle,
    /// Batches are being acknowledged.
    Delivering,
    /// The last attempt failed; the batch is kept and sent again.
    Retrying {
        /// Why.
        reason: String,
    },
    /// The collector turned the agent away; batches are kept.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// A batch that the collector has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// The end of its newest interval, in microseconds since 1970 UTC.
    pub until_us: i64,
    /// Its bytes.
    pub bytes: u64,
    /// How many of its measurements the collector refused.
    pub refused: u64,
}

/// The measuring since the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measuring {
    /// Targets in the schedule, each counted once for each family.
    pub entries: u64,
    /// Turns that were taken.
    pub turns: u64,
    /// Turns that were missed.
    pub skipped: u64,
    /// Turns that were missed too long ago to be accounted for.
    pub forgotten: u64,
    /// Samples that came after their interval was closed.
    pub stale_samples: u64,
    /// Stray replies that came faster than they were counted.
    pub dropped_strays: u64,
    /// Sessions, each ended by a clock step or a suspend.
    pub sessions: u64,
    /// Intervals that could not be written to the spool.
    pub lost_intervals: u64,
    /// How late probes left in the interval that was closed last.
    pub noise: Option<Noise>,
}

/// What was captured since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// How many paths.
    pub count: u64,
    /// When the latest was, in microseconds since 1970 UTC …
    pub taken_us: i64,
    /// … and of what, and why.
    pub latest: String,
}

/// Where all parts of the agent say what they are doing. A cheap shared handle.
#[derive(Debug, Clone, Default)]
pub struct Board {
    status: Arc<Mutex<Status>>,
    notices: Vec<(Option<String>, Notices)>,
}

impl Board {
    /// A board that shows these notices, too, each with its uplink where there are several.
    pub fn showing(notices: Vec<(Option<String>, Notices)>) -> Self {
        Self { notices, ..Self::default() }
    }

    /// Changes the status.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The status now.
    pub fn get(&self) -> Status {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let named = |(uplink, notices): &(Option<String>, Notices)| {
            let uplink = uplink.as_ref().map(|uplink| format!("{uplink}: ")).unwrap_or_default();
            notices.list().into_iter().map(move |notice| format!("{uplink}{notice}"))
        };
        status.notices = self.notices.iter().flat_map(named).collect();
        status
    }
}

impl Status {
    /// What the collector's operator is told with each batch.
    pub fn remarks(&self) -> Remarks {
        let icmp = self.icmp_problem.as_ref().map(|problem| format!("ICMP: {problem}"));
        let key = self.key_problem.as_ref().map(|problem| format!("key: {problem}"));
        let losses = self.measuring.losses().map(|losses| format!("not measured: {losses}"));
        Remarks {
            noise_p99_us: self.measuring.noise.map(|noise| noise.p99_us),
            assignment: Some(self.assignment.clone()),
            problems: [icmp, key, losses].into_iter().flatten().collect(),
        }
    }
}
