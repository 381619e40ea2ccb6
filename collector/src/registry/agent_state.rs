//! What an operator should know first of an agent. Pure.

use super::{AgentEntry, AgentHealth};
use crate::{
    key_life::{KeyLife, KeyStage},
    rfc3339,
};
use peerlight_proto::time::Timestamp;
use std::time::Duration;

/// An agent that has pushed within this, or within three of its intervals, is not silent.
const SILENCE: Duration = Duration::from_mins(5);
/// Beyond it a clock is off (rules, §2).
const CLOCK_OFF_US: u64 = 1_000_000;

/// What an agent had to give up is told for so long after it happened.
const LOSS_IS_NEWS: Duration = Duration::from_hours(24);
/// Half a day of batches: an outage that is over is made good sooner.
const LARGE_BACKLOG: u64 = 720;
/// Above this 99th percentile a machine is called busy: a tenth of a second is more than most round trips.
const BUSY_US: u64 = 100_000;

/// The last push.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pushed {
    pub(super) at: Timestamp,
    /// The longest interval of its batch.
    pub(super) interval: Duration,
}

/// Everything that is not well, the gravest first.
pub(super) fn concerns(entry: &AgentEntry, pushed: Option<Pushed>, now: Timestamp) -> Vec<String> {
    if let Some(revoked) = entry.revoked {
        let at = rfc3339::seconds(revoked);
        return vec![match entry.retired_by.as_deref() {
            None => format!("revoked {at}"),
            Some("agent") => format!("retired {at} by its machine"),
            Some(operator) => format!("retired {at} by {operator}"),
        }];
    }
    let mut concerns = Vec::new();
    let since = |what: &str, at: Timestamp| format!("{what} since {}", rfc3339::seconds(at));
    concerns.extend(entry.cloned_since.map(|at| since("KEY ON TWO MACHINES", at)));
    concerns
        .extend(entry.registration_ended.map(|at| format!("registration ended {}", rfc3339::seconds(at))));
    for other in &entry.others {
        concerns.extend(
            other
                .registration_ended
                .map(|at| format!("registration of `{}` ended {}", other.site, rfc3339::seconds(at))),
        );
    }
    if pushed.is_none() && entry.last_seen.is_none() {
        concerns.push("never seen".to_owned());
    }
    let silent = |last: &Pushed| now.since(last.at) > SILENCE.max(last.interval.saturating_mul(3));
    concerns.extend(pushed.filter(silent).map(|last| since("silent", last.at)));
    if let Some(health) = &entry.health {
        concerns.extend(health_concerns(health, entry.last_loss.filter(|at| now.since(*at) <= LOSS_IS_NEWS)));
    }
    if let Some(offset) = entry.clock_offset_us.filter(|offset| offset.unsigned_abs() > CLOCK_OFF_US) {
        concerns.push(format!("clock off by {} s", offset / 1_000_000));
    }
    concerns
}

/// What an agent says of itself. What it had to give up long ago is no concern any more.
fn health_concerns(health: &AgentHealth, lost: Option<Timestamp>) -> Vec<String> {
    let mut concerns = Vec::new();
    if let Some(set) = health.refused_set {
        concerns.push(format!("refuses target set {set}: {}", health.refusal));
    }
    if let Some(at) = lost {
        let at = rfc3339::seconds(at);
        if health.dropped_batches > 0 {
            concerns.push(format!("dropping ({} batches, last {at})", health.dropped_batches));
        }
        if health.corrupt_batches > 0 {
            concerns.push(format!("damaged spool ({} batches, last {at})", health.corrupt_batches));
        }
        if health.refused_measurements > 0 || health.rejected_batches > 0 {
            concerns.push(format!(
                "refused {} measurements and {} batches, last {at}",
                health.refused_measurements, health.rejected_batches
            ));
        }
    }
    if health.spooled_batches > LARGE_BACKLOG {
        concerns.push(format!("backlog ({} batches wait on its disk)", health.spooled_batches));
    }
    if let Some(noise) = health.noise_p99_us.filter(|noise| *noise > BUSY_US) {
        concerns.push(format!("busy machine (probes leave up to {} ms late)", noise / 1_000));
    }
    concerns.extend(health.problems.iter().cloned());
    concerns
}

/// Whether one version is older than another. What is no version is neither.
pub(super) fn is_behind(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Option<[u64; 3]> {
        let release = text.split(['-', '+']).next()?;
        let mut parts = release.split('.').map(|part| part.parse().ok());
        let three = [parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(three)
    };
    numbers(version).zip(numbers(than)).is_some_and(|(version, than)| version < than)
}

/// What is not well with a key whose life began at `since`.
pub(super) fn key_concern(since: Timestamp, life: &KeyLife, now: Timestamp) -> Option<String> {
    match life.stage(since, now) {
        KeyStage::Valid if life.is_overdue(since, now) => {
            Some(format!("key expires {}", rfc3339::seconds(life.expires(since))))
        }
        KeyStage::Valid => None,
        KeyStage::Expired => Some(format!("KEY EXPIRED {}", rfc3339::seconds(life.expires(since)))),
        KeyStage::Ended => {
            Some(format!("KEY EXPIRED {}: enrol again", rfc3339::seconds(life.expires(since))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_behind_by_its_numbers_and_not_by_its_letters() {
        for (version, than, behind) in [
            ("0.9.9", "0.10.0", true),
            ("0.1.0", "0.1.0", false),
            ("1.0.0", "0.99.99", false),
            ("0.1.0-rc1", "0.1.1", true),
            ("unknown", "0.1.0", false),
            ("0.1", "0.1.1", false),
        ] {
            assert_eq!(is_behind(version, than), behind, "{version} {than}");
        }
    }

    #[test]
    fn an_agent_says_what_ails_it() {
        let at = Timestamp::from_secs(1_790_000_000);
        let health = AgentHealth {
            spooled_batches: 721,
            corrupt_batches: 1,
            rejected_batches: 2,
            noise_p99_us: Some(100_001),
            refused_set: Some(8),
            refusal: "port 22 may not be probed".to_owned(),
            problems: vec!["ICMP cannot be sent".to_owned()],
            ..AgentHealth::default()
        };
        assert_eq!(
            health_concerns(&health, Some(at)),
            [
                "refuses target set 8: port 22 may not be probed",
                "damaged spool (1 batches, last 2026-09-21T14:13:20Z)",
                "refused 0 measurements and 2 batches, last 2026-09-21T14:13:20Z",
                "backlog (721 batches wait on its disk)",
                "busy machine (probes leave up to 100 ms late)",
                "ICMP cannot be sent",
            ]
        );
        assert_eq!(health_concerns(&health, None).len(), 4, "what was lost long ago is history");
        assert_eq!(health_concerns(&AgentHealth::default(), Some(at)), [""; 0]);
    }
}
