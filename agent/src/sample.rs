//! Samples: the outcome of one probe.

use peerlight_proto::{
    id::TargetId,
    measurement::Ending,
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path},
};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// The outcome of one probe: one reading for each of its metrics, always the same metrics for a kind of probe, so that
/// every probe counts once in each of its series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Over which family.
    pub family: Family,
    /// Straight or through a proxy.
    pub path: Path,
    /// The address that was probed; none if the name could not be resolved.
    pub address: Option<IpAddr>,
    /// One for each metric.
    pub readings: Vec<Reading>,
    /// What was seen with the probe, by the kinds of `peerlight.proto`: address, status, issuer, front door, error.
    pub attributes: Vec<(&'static str, String)>,
}

impl Sample {
    /// The same with how late the probe left: handed to the kernel at `handed`, meant for `due`. What never left, or was
    /// touched by a clock step, has no such time.
    #[must_use]
    pub fn left(mut self, handed: Instant, due: Instant) -> Self {
        let late = handed.saturating_duration_since(due);
        // The last reading is of the whole probe.
        let outcome = match self.readings.last().map(|reading| reading.outcome) {
            Some(Outcome::Failed(
                ending @ (Ending::Skipped | Ending::Voided | Ending::DnsFailed | Ending::SendFailed),
            )) => Outcome::Failed(ending),
            Some(Outcome::Failed(_) | Outcome::Answered { .. }) | None => {
                Outcome::Answered { latency: late, user_latency: late }
            }
        };
        self.readings.push(Reading {
            metric: Metric::AgentNoise,
            clock: Clock::User,
            outcome,
            http_version: None,
            handshake: None,
        });
        self
    }
}

/// One metric of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Which.
    pub metric: Metric,
    /// By which clock; of a probe without an answer, the clock that it would have been timed by.
    pub clock: Clock,
    /// How it ended.
    pub outcome: Outcome,
    /// With which HTTP version, where one was agreed on.
    pub http_version: Option<HttpVersion>,
    /// With which TLS handshake, where there was one.
    pub handshake: Option<Handshake>,
}

/// How one metric of a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in time.
    Answered {
        /// The time, by the reading's clock.
        latency: Duration,
        /// The same time by this process's monotonic clock: never shorter than the kernel's, give or take a margin.
        user_latency: Duration,
    },
    /// Anything else; never [`Ending::Answered`].
    Failed(Ending),
}

/// A reply beyond the first, or one that no probe of ours asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray {
    /// The target whose address it came from.
    pub target: TargetId,
    /// The metric that it would have belonged to.
    pub metric: Metric,
    /// Over which family.
    pub family: Family,
    /// A second reply to a probe of ours, rather than a foreign one.
    pub duplicate: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise_after(outcomes: &[Outcome], late: Duration) -> Outcome {
        #[expect(clippy::disallowed_methods, reason = "some instant")]
        let due = Instant::now();
        let reading = |&outcome: &Outcome| Reading {
            metric: Metric::IcmpRtt,
            clock: Clock::Kernel,
            outcome,
            http_version: None,
            handshake: None,
        };
        let sample = Sample {
            family: Family::V4,
            path: Path::Direct,
            address: None,
            readings: outcomes.iter().map(reading).collect(),
            attributes: Vec::new(),
        };
        let readings = sample.left(due + late, due).readings;
        let noise = readings.last().unwrap();
        assert_eq!(
            (noise.metric, noise.clock, readings.len()),
            (Metric::AgentNoise, Clock::User, outcomes.len() + 1)
        );
        noise.outcome
    }

    #[test]
    fn whatever_left_has_a_noise_whatever_became_of_it_and_nothing_else_has() {
        let late = Duration::from_millis(7);
        let left = Outcome::Answered { latency: late, user_latency: late };
        let failed = Outcome::Failed;
        for ending in [Ending::Lost, Ending::Late, Ending::Refused, Ending::Retransmitted] {
            assert_eq!(noise_after(&[failed(ending)], late), left);
        }
        assert_eq!(noise_after(&[left], late), left);
        for ending in [Ending::Skipped, Ending::Voided, Ending::DnsFailed, Ending::SendFailed] {
            assert_eq!(noise_after(&[failed(ending)], late), failed(ending));
        }
        // A target that is an address needs no lookup, and the whole counts.
        assert_eq!(noise_after(&[failed(Ending::Skipped), left], late), left);
        assert_eq!(noise_after(&[left, failed(Ending::Voided)], late), failed(Ending::Voided));
    }
}
