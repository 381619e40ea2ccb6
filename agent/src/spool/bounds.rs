//! The bounds: what is beyond them goes, oldest first, and is counted.

use super::{Key, Spool, SpoolError};
use peerlight_proto::{drops::DropReason, limits, time::Timestamp};
use std::time::Duration;

/// How much a spool may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Bytes of waiting batches.
    pub max_bytes: u64,
    /// Age of a waiting batch's newest interval; applied once the collector's clock is known.
    pub max_age: Duration,
}

impl SpoolSettings {
    /// Bytes unless told otherwise: weeks of a hundred targets.
    pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;
    /// Age unless told otherwise, and the most: what the collector accepts.
    pub const DEFAULT_MAX_AGE: Duration = limits::ACCEPTANCE_HORIZON;
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self { max_bytes: Self::DEFAULT_MAX_BYTES, max_age: Self::DEFAULT_MAX_AGE }
    }
}

impl Spool {
    /// Drops what is older than the bound at `now`, oldest first, and counts it.
    pub fn expire(&mut self, now: Timestamp) -> Result<(), SpoolError> {
        let horizon = now.minus(self.settings.max_age);
        let old = self.waiting.keys().copied().take_while(|key| key.newest_end < horizon);
        let old: Vec<Key> = old.filter(|key| Some(*key) != self.in_flight).collect();
        self.drop_oldest(&old, DropReason::SpoolAge)
    }

    /// Drops, oldest first, what is beyond the bound in bytes, and counts it.
    pub(super) fn keep_within_bytes(&mut self) -> Result<(), SpoolError> {
        let mut excess = self.bytes.saturating_sub(self.settings.max_bytes);
        let mut old = Vec::new();
        for (&key, &bytes) in &self.waiting {
            if excess == 0 {
                break;
            }
            if Some(key) == self.in_flight {
                continue;
            }
            excess = excess.saturating_sub(bytes);
            old.push(key);
        }
        self.drop_oldest(&old, DropReason::SpoolFull)
    }

    fn drop_oldest(&mut self, old: &[Key], reason: DropReason) -> Result<(), SpoolError> {
        if old.is_empty() {
            return Ok(());
        }
        self.let_go(old, reason, None, |counts| counts.dropped += old.len() as u64)
    }
}
