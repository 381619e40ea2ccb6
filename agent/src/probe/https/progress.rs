//! An exchange as far as it has come, and the readings that come of it.

use super::{
    phases::{Phase, Timeline},
    watched::Notes,
};
use crate::{
    probe::{
        exchange::{Exchange, judge},
        settings::ProbeSettings,
        stamped, tcp,
    },
    proxy::Proxy,
    sample::{Outcome, Reading},
};
use peerlight_proto::{
    measurement::Ending,
    metric::Metric,
    series::{Clock, Handshake, HttpVersion, Path},
};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// The phases that depend on one another, in order, and their metrics.
const STRAIGHT: &[(Phase, Metric)] = &[
    (Phase::Dns, Metric::HttpsDns),
    (Phase::Tcp, Metric::HttpsTcp),
    (Phase::Tls, Metric::HttpsTls),
    (Phase::Ttfb, Metric::HttpsTtfb),
    (Phase::Transfer, Metric::HttpsTransfer),
];

/// The same through a proxy, whose name is looked up and who is connected to.
const THROUGH_PROXY: &[(Phase, Metric)] = &[
    (Phase::Dns, Metric::HttpsDns),
    (Phase::Tcp, Metric::HttpsTcp),
    (Phase::Proxy, Metric::HttpsProxy),
    (Phase::Tls, Metric::HttpsTls),
    (Phase::Ttfb, Metric::HttpsTtfb),
    (Phase::Transfer, Metric::HttpsTransfer),
];

/// An exchange as far as it has come.
pub(super) struct Progress {
    pub(super) timeline: Timeline,
    /// The phases that a better clock than this process's timed, and their nanoseconds by it.
    stamped: Vec<(Phase, Clock, i64)>,
    /// The phase that is under way.
    pub(super) phase: Phase,
    pub(super) notes: Notes,
    /// For how long the connection was there unknown.
    pub(super) held_up: Duration,
    pub(super) looked_up: bool,
    /// The proxy that it goes through, as people write it.
    pub(super) proxy: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) handshake: Option<Handshake>,
    pub(super) http_version: Option<HttpVersion>,
    /// Somebody else answered: what was timed of the connection is theirs.
    pub(super) intercepted: bool,
    pub(super) attributes: Vec<(&'static str, String)>,
}

impl Progress {
    /// Nothing yet.
    pub(super) fn new(start: Instant, looked_up: bool, proxy: Option<&Proxy>) -> Self {
        let proxy = proxy.map(ToString::to_string);
        Self {
            timeline: Timeline::new(start),
            stamped: Vec::new(),
            phase: Phase::Dns,
            notes: Notes::default(),
            held_up: Duration::ZERO,
            looked_up,
            address: None,
            handshake: None,
            http_version: None,
            intercepted: false,
            attributes: proxy.iter().map(|proxy| ("proxy", proxy.clone())).collect(),
            proxy,
        }
    }

    pub(super) const fn path(&self) -> Path {
        if self.proxy.is_some() { Path::Proxy } else { Path::Direct }
    }

    /// What to say of the deadline, by which nothing more had come.
    pub(super) fn overdue(&mut self, settings: &ProbeSettings) -> Ending {
        let (ending, error) = match (self.phase, &self.proxy) {
            // Without an answer from DNS nothing was sent to the target, so nothing was lost.
            (Phase::Dns, _) => return Ending::DnsFailed,
            _ if self.is_held_up(settings) => {
                (Ending::Voided, "this machine was too busy to take answers in time".to_owned())
            }
            // The same holds without an answer from the proxy.
            (Phase::Tcp | Phase::Proxy, Some(proxy)) => {
                (Ending::SendFailed, format!("the proxy {proxy} did not answer in time"))
            }
            (Phase::Tcp | Phase::Proxy | Phase::Tls | Phase::Ttfb | Phase::Transfer | Phase::Local, _) => {
                return Ending::Lost;
            }
        };
        self.attributes.push(("error", error));
        ending
    }

    /// Whether this machine left the network less than the time-out: then what is missing was not lost by it.
    fn is_held_up(&self, settings: &ProbeSettings) -> bool {
        self.held_up + self.notes.held_up() > settings.deadline.saturating_sub(settings.timeout)
    }

    pub(super) fn stamp(&mut self, phase: Phase, clock: Clock, nanos: Option<i64>) {
        self.stamped.extend(nanos.map(|nanos| (phase, clock, nanos)));
    }

    /// What a phase that was gone through took.
    fn timed(&self, phase: Phase, timeout: Duration) -> Exchange {
        let user = self.timeline.spent(phase);
        let stamped = self.stamped.iter().find(|&&(of, _, _)| of == phase);
        let mut exchange = Exchange::timed(stamped.map(|&(_, clock, nanos)| (clock, nanos)), user, timeout);
        // The clocks may disagree a little; the phases shall add up all the same.
        if let Outcome::Answered { latency, user_latency } = &mut exchange.outcome {
            *latency = (*latency).min(*user_latency);
        }
        exchange
    }

    /// Whether whoever answered the handshake or the request also answered in this phase; through a proxy, what came
    /// before the tunnel was the proxy's.
    const fn is_theirs(&self, phase: Phase) -> bool {
        match phase {
            Phase::Dns => false,
            Phase::Tcp | Phase::Proxy => self.intercepted && self.proxy.is_none(),
            Phase::Tls | Phase::Ttfb | Phase::Transfer | Phase::Local => self.intercepted,
        }
    }

    /// A reading for every metric of the kind, whatever happened.
    pub(super) fn readings(&self, failure: Option<Ending>, timeout: Duration) -> Vec<Reading> {
        let steps = if self.proxy.is_some() { THROUGH_PROXY } else { STRAIGHT };
        let failed_at = steps.iter().position(|&(phase, _)| phase == self.phase).unwrap_or(0);
        let mut readings = Vec::with_capacity(steps.len() + 2);
        let mut waited = Duration::ZERO;
        for (step, &(phase, metric)) in steps.iter().enumerate() {
            let (clock, outcome) = match failure {
                Some(Ending::DnsFailed) => (clock_of(phase), Outcome::Failed(Ending::DnsFailed)),
                Some(ending) if step == failed_at => (clock_of(phase), Outcome::Failed(ending)),
                Some(_) if step > failed_at => (clock_of(phase), Outcome::Failed(Ending::Skipped)),
                Some(ending) if self.is_theirs(phase) => (clock_of(phase), Outcome::Failed(ending)),
                _ if phase == Phase::Dns && !self.looked_up => {
                    (clock_of(phase), Outcome::Failed(Ending::Skipped))
                }
                Some(_) | None => {
                    let exchange = self.timed(phase, timeout);
                    (exchange.clock, exchange.outcome)
                }
            };
            waited += latency(outcome).unwrap_or_else(|| self.timeline.spent(phase));
            readings.push(self.reading(metric, clock, outcome));
        }
        let (local, total) = match failure {
            Some(Ending::DnsFailed) => {
                (Outcome::Failed(Ending::DnsFailed), Outcome::Failed(Ending::DnsFailed))
            }
            Some(ending) => (Outcome::Failed(Ending::Skipped), Outcome::Failed(ending)),
            None => {
                // Whatever no phase of the network took was this machine's own, and so the phases add up.
                let total = self.timeline.total();
                (spent(total.saturating_sub(waited), timeout), spent(total, timeout))
            }
        };
        readings.push(self.reading(Metric::HttpsLocal, Clock::User, local));
        readings.push(self.reading(Metric::HttpsTotal, Clock::User, total));
        readings
    }

    /// Only what was answered bears what was agreed on; lookup, connect and tunnel come before any agreement.
    fn reading(&self, metric: Metric, clock: Clock, outcome: Outcome) -> Reading {
        let answered = matches!(outcome, Outcome::Answered { .. });
        let agreed = answered && !matches!(metric, Metric::HttpsDns | Metric::HttpsTcp | Metric::HttpsProxy);
        let version = agreed && metric != Metric::HttpsTls;
        Reading {
            metric,
            clock,
            outcome,
            http_version: self.http_version.filter(|_| version),
            handshake: self.handshake.filter(|_| agreed),
        }
    }
}

/// The clock that a phase is timed by, or would have been.
fn clock_of(phase: Phase) -> Clock {
    match phase {
        Phase::Dns | Phase::Transfer | Phase::Local => Clock::User,
        Phase::Tcp => tcp::clock(),
        Phase::Proxy | Phase::Tls | Phase::Ttfb => stamped::CLOCK,
    }
}

const fn latency(outcome: Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Answered { latency, .. } => Some(latency),
        Outcome::Failed(_) => None,
    }
}

fn spent(time: Duration, timeout: Duration) -> Outcome {
    judge(time, time, timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sum(readings: &[Reading]) -> Duration {
        readings.iter().filter_map(|reading| latency(reading.outcome)).sum()
    }

    proptest! {
        #[test]
        fn phases_add_up_to_the_total_by_either_path(
            ends in prop::collection::vec(0..300_000_u64, 8),
            stamps in prop::collection::vec(prop::option::of(0..300_000_u64), 3),
            is_proxied: bool,
            looked_up: bool,
        ) {
            let start = crate::probe::exchange::now();
            let proxy: Proxy = "proxy.test:3128".parse().unwrap();
            let mut progress = Progress::new(start, looked_up, is_proxied.then_some(&proxy));
            let first = if looked_up { Phase::Dns } else { Phase::Local };
            let phases = [first, Phase::Local, Phase::Tcp, Phase::Proxy, Phase::Tls, Phase::Ttfb, Phase::Transfer, Phase::Local];
            let mut at = start;
            for (phase, took) in phases.into_iter().zip(ends) {
                if phase != Phase::Proxy || is_proxied {
                    at += Duration::from_micros(took);
                    progress.timeline.mark(phase, at);
                }
            }
            for (phase, stamp) in [Phase::Proxy, Phase::Tls, Phase::Ttfb].into_iter().zip(stamps) {
                // A kernel's time that this process's contradicts would be voided.
                let user = u64::try_from(progress.timeline.spent(phase).as_nanos()).unwrap();
                let nanos = stamp.map(|stamp| i64::try_from((stamp * 1_000).min(user)).unwrap());
                progress.stamp(phase, Clock::Kernel, nanos);
            }
            progress.phase = Phase::Transfer;
            let readings = progress.readings(None, Duration::from_secs(30));
            let (total, parts) = readings.split_last().unwrap();
            prop_assert_eq!(parts.len(), if is_proxied { 7 } else { 6 });
            prop_assert_eq!(Some(sum(parts)), latency(total.outcome));
        }
    }

    #[test]
    fn whoever_inspects_behind_the_proxy_did_not_answer_in_its_place() {
        let start = crate::probe::exchange::now();
        let proxy: Proxy = "proxy.test:3128".parse().unwrap();
        for (proxy, answered) in [(None, 1), (Some(&proxy), 3)] {
            let mut progress = Progress::new(start, true, proxy);
            (progress.phase, progress.intercepted) = (Phase::Tls, true);
            let readings = progress.readings(Some(Ending::Refused), Duration::from_secs(2));
            let untouched = readings.iter().filter(|reading| latency(reading.outcome).is_some()).count();
            assert_eq!(untouched, answered, "{readings:?}");
        }
    }
}
