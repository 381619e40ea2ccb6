//! What an operator should know first of an agent. Pure.

use super::AgentEntry;
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
        return vec![format!("revoked {}", rfc3339::seconds(revoked))];
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
    if let Some(health) = entry.health {
        if health.dropped_batches > 0 {
            concerns.push(format!("dropping ({} batches)", health.dropped_batches));
        }
        if health.refused_measurements > 0 {
            concerns.push(format!("refused {}", health.refused_measurements));
        }
    }
    if let Some(offset) = entry.clock_offset_us.filter(|offset| offset.unsigned_abs() > CLOCK_OFF_US) {
        concerns.push(format!("clock off by {} s", offset / 1_000_000));
    }
    concerns
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
