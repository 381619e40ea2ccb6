//! Pace: how often public addresses are probed at most. A name's schedule may be as frequent as the allowed networks permit,
//! because only resolution tells where it leads; where it leads elsewhere, turns that come too early are skipped. Pure.

use crate::schedule::MAX_LATENESS;
use peerlight_proto::{ceilings::shortest_interval, id::TargetId, series::Family, target::Target};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// How many targets are remembered before those that have long been silent are forgotten.
const MANY: usize = 1_024;

/// When each target was due last, by its ceiling.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<HashMap<(TargetId, Family), Instant>>);

impl Pace {
    /// Whether `target` may be probed over `family` now; if so, that is remembered. A turn may be as early as another
    /// was late, but on average there is one in each shortest interval.
    pub(super) fn permits(&self, target: &Target, family: Family, now: Instant) -> bool {
        let shortest = shortest_interval(&target.probe);
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() >= MANY {
            due.retain(|_, due| *due + shortest > now);
        }
        let next = due.entry((target.id(), family)).or_insert(now);
        if now + MAX_LATENESS < *next {
            return false;
        }
        *next = (*next).max(now) + shortest;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::exchange::now;
    use std::time::Duration;

    fn target(probe: &str) -> Target {
        Target {
            name: String::new(),
            service: String::new(),
            address: "outlook.office365.com".parse().unwrap(),
            probe: probe.parse().unwrap(),
        }
    }

    fn permitted(probe: &str, every: Duration, turns: u32) -> usize {
        let (pace, start, target) = (Pace::default(), now(), target(probe));
        (0..turns).filter(|turn| pace.permits(&target, Family::V4, start + every * *turn)).count()
    }

    #[test]
    fn a_name_that_leads_to_a_public_address_is_probed_as_often_as_its_ceiling_says() {
        assert_eq!(permitted("https", Duration::from_millis(10), 6_001), 3, "one minute");
        assert_eq!(permitted("icmp", Duration::from_millis(100), 100), 11, "ten seconds, one of them early");
    }

    #[test]
    fn a_schedule_within_the_ceiling_loses_no_turn_to_lateness() {
        let (pace, start, target) = (Pace::default(), now(), target("icmp"));
        for (turn, late_ms) in (0..).zip([1_000, 0, 999, 0, 500, 0, 0]) {
            let at = start + Duration::from_secs(turn) + Duration::from_millis(late_ms);
            assert!(pace.permits(&target, Family::V4, at), "{turn}");
        }
    }
}
