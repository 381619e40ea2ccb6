//! How old an agent's key may become, and what it is still good for. Pure.

use peerlight_proto::time::Timestamp;
use std::time::Duration;

/// How long keys live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyLife {
    /// From when a key is made known until it expires.
    pub lifetime: Duration,
    /// How long an expired key may still be followed by a new one.
    pub grace: Duration,
}

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyStage {
    /// For everything.
    Valid,
    /// For nothing but to be followed by a new one.
    Expired,
    /// For nothing.
    Ended,
}

/// Keys are replaced after two thirds of their life. What is left of one that was not, when an operator is told.
const OVERDUE: u32 = 6;

impl KeyLife {
    /// When a key whose life began at `since` expires.
    pub fn expires(&self, since: Timestamp) -> Timestamp {
        since.plus(self.lifetime)
    }

    /// When it is good for nothing any more.
    pub fn ends(&self, since: Timestamp) -> Timestamp {
        self.expires(since).plus(self.grace)
    }

    /// What a key whose life began at `since` is good for now.
    pub fn stage(&self, since: Timestamp, now: Timestamp) -> KeyStage {
        if now < self.expires(since) {
            KeyStage::Valid
        } else if now < self.ends(since) {
            KeyStage::Expired
        } else {
            KeyStage::Ended
        }
    }

    /// Whether its agent should have replaced it long ago.
    pub fn is_overdue(&self, since: Timestamp, now: Timestamp) -> bool {
        now >= self.expires(since).minus(self.lifetime / OVERDUE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_valid_then_expired_then_good_for_nothing() {
        let life = KeyLife { lifetime: Duration::from_mins(1), grace: Duration::from_secs(10) };
        let at = |seconds: i64| Timestamp::from_secs(1_000 + seconds);
        let stage = |seconds| (life.stage(at(0), at(seconds)), life.is_overdue(at(0), at(seconds)));
        // A clock that was set back makes no key older.
        assert_eq!(stage(-5), (KeyStage::Valid, false));
        assert_eq!(stage(49), (KeyStage::Valid, false));
        assert_eq!(stage(50), (KeyStage::Valid, true));
        assert_eq!(stage(59), (KeyStage::Valid, true));
        assert_eq!(stage(60), (KeyStage::Expired, true));
        assert_eq!(stage(69), (KeyStage::Expired, true));
        assert_eq!(stage(70), (KeyStage::Ended, true));
    }
}
