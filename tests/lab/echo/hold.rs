//! Holding answers back: on 127/8 no path delays anything, so the echo servers do it themselves, each site's answers as
//! the scenario describes its path, and tell the truth how long they really held them.

use crate::{
    network::{
        path::{Fate, Path},
        plan::Plan,
    },
    scenario::Scenario,
    truth::{Held, Stamp, Truth},
};
use peerlight_proto::{metric::Metric, series::Family, time::Timestamp};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// Decides, for every site, which answers are held back and for how long.
#[derive(Debug)]
pub struct Holds {
    plan: Plan,
    paths: Mutex<Vec<Path>>,
    truth: Arc<Mutex<Truth>>,
}

/// The holds of one echo server.
#[derive(Debug, Clone)]
pub struct Hold {
    holds: Arc<Holds>,
    target: usize,
}

/// What is to become of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    site: usize,
    family: Family,
    /// For how long it is held back; none if it is never given.
    pub wait: Option<Duration>,
    /// How long after the answer it is given once more, if it is.
    pub again_after: Option<Duration>,
}

impl Holds {
    /// Holds answers back as the paths of `scenario` would, and tells `truth`.
    pub fn new(plan: Plan, scenario: &Scenario, truth: Arc<Mutex<Truth>>) -> Arc<Self> {
        let paths = scenario.sites.iter().enumerate().map(|(number, site)| {
            Path::round_trip(site.conditions, scenario.seed.wrapping_add(number as u64))
        });
        Arc::new(Self { plan, paths: Mutex::new(paths.collect()), truth })
    }

    /// The holds of the echo server with this number.
    pub fn at(self: &Arc<Self>, target: usize) -> Hold {
        Hold { holds: Arc::clone(self), target }
    }
}

impl Hold {
    /// Decides about an answer to `asker`; none if that is no site's.
    pub fn decide(&self, asker: IpAddr) -> Option<Verdict> {
        let site = self.holds.plan.site_of(asker)?;
        let mut paths = self.holds.paths.lock().unwrap_or_else(PoisonError::into_inner);
        let now = monotonic();
        let (first, second) = match paths[site].decide(now) {
            Fate::Deliver { at, copy: Some(copy), .. } => (Some(at.min(copy)), Some(at.max(copy))),
            Fate::Deliver { at, copy: None, .. } => (Some(at), None),
            Fate::Refuse { .. } | Fate::Drop => (None, None),
        };
        Some(Verdict {
            site,
            family: Family::of(asker),
            wait: first.map(|first| first.saturating_duration_since(now)),
            again_after: first.zip(second).map(|(first, second)| second - first),
        })
    }

    /// Tells the truth about it: what was asked at `asked` was answered at `answered`, or never.
    pub fn record(&self, verdict: Verdict, metric: Metric, asked: Stamp, answered: Option<Stamp>) {
        let mut truth = self.holds.truth.lock().unwrap_or_else(PoisonError::into_inner);
        truth.record(Held {
            site: verdict.site,
            target: self.target,
            metric,
            family: verdict.family,
            asked,
            held: answered.map(|answered| answered.saturating_sub(asked)),
            copies: u64::from(verdict.again_after.is_some()),
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "an echo server that holds answers back is a clock to the lab's truth"
)]
fn monotonic() -> Instant {
    Instant::now()
}

/// Now, by the clock of the kernel's stamps.
#[expect(
    clippy::disallowed_methods,
    reason = "an echo server that holds answers back is a clock to the lab's truth"
)]
pub(crate) fn wall_clock() -> Stamp {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// An instant as the kernel's stamps write it.
pub(crate) fn stamp(instant: Timestamp) -> Stamp {
    instant.since(Timestamp::from_micros(0))
}
