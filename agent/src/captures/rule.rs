//! When a path is captured. Pure: takes `now`.
//!
//! A target that was good turns bad with three losses in a row, or when the median of its last probes is more than twice the
//! usual and 20 ms above it. Its host is captured then, at most once an hour, and once more when the target that turned bad
//! is good again. What never answered did not turn bad.

use peerlight_proto::{series::Family, target::Host, time::Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

/// So many losses in a row are no accident.
const LOSSES: u32 = 3;
/// So many answers are one window; so many in a row are good again.
const WINDOW: usize = 6;
/// The usual median is that of the medians of so many windows at most …
const WINDOWS: usize = 60;
/// … and at least.
const ENOUGH_WINDOWS: usize = 10;
/// Slow is above twice the usual and so much, in microseconds.
const SLOWER_US: u32 = 20_000;
/// The time between two captures of a host that turned bad.
const REST: Duration = Duration::from_hours(1);

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was answered after so many microseconds.
    Answered(u32),
    /// The network lost it, or its answer was late.
    Lost,
}

/// Why a path is captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Trigger {
    /// So many probes were lost in a row.
    Lost { probes: u32 },
    /// The median of the last probes is far above the usual; both in microseconds.
    Slow { median_us: u32, usual_us: u32 },
    /// The target that turned bad is good again.
    Recovered,
}

/// What is remembered of everything that is watched. `K` names what is probed.
#[derive(Debug)]
pub(super) struct Rule<K> {
    watched: HashMap<K, Watched>,
    hosts: HashMap<(Host, Family), Bad<K>>,
}

#[derive(Debug, Default)]
struct Watched {
    lost_in_row: u32,
    answered_in_row: usize,
    window: Vec<u32>,
    medians: VecDeque<u32>,
}

/// A host that was captured.
#[derive(Debug)]
struct Bad<K> {
    since: Timestamp,
    /// Whose recovery is awaited.
    awaited: Option<K>,
}

impl<K: Copy + Eq + Hash> Rule<K> {
    /// Nothing was seen yet.
    pub(super) fn new() -> Self {
        Self { watched: HashMap::new(), hosts: HashMap::new() }
    }

    /// Takes in what became of a probe, and says whether that is a reason to capture the path to its host now.
    pub(super) fn see(
        &mut self,
        key: K,
        host: (&Host, Family),
        seen: Seen,
        now: Timestamp,
    ) -> Option<Trigger> {
        let watched = self.watched.entry(key).or_default();
        let turned_bad = match seen {
            Seen::Lost => watched.lose(),
            Seen::Answered(latency_us) => watched.answer(latency_us),
        };
        let (host, family) = host;
        let bad = self.hosts.get(&(host.clone(), family));
        if let Some(trigger) = turned_bad {
            return bad.is_none_or(|bad| now.since(bad.since) >= REST).then_some(trigger);
        }
        let is_awaited = bad.is_some_and(|bad| bad.awaited == Some(key));
        (is_awaited && watched.answered_in_row >= WINDOW).then_some(Trigger::Recovered)
    }

    /// The path is being captured for this reason. Until this is said, the reason stands.
    pub(super) fn captured(&mut self, key: K, host: (&Host, Family), trigger: Trigger, now: Timestamp) {
        let name = (host.0.clone(), host.1);
        match trigger {
            Trigger::Lost { .. } | Trigger::Slow { .. } => {
                self.hosts.insert(name, Bad { since: now, awaited: Some(key) });
                if let Some(watched) = self.watched.get_mut(&key) {
                    watched.answered_in_row = 0;
                }
            }
            Trigger::Recovered => {
                if let Some(bad) = self.hosts.get_mut(&name) {
                    bad.awaited = None;
                }
            }
        }
    }

    /// Forgets what is no longer watched.
    pub(super) fn retain(&mut self, keep: impl Fn(&K) -> bool, now: Timestamp) {
        self.watched.retain(|key, _| keep(key));
        self.hosts.retain(|_, bad| now.since(bad.since) < REST || bad.awaited.as_ref().is_some_and(&keep));
    }
}

impl Watched {
    fn lose(&mut self) -> Option<Trigger> {
        self.answered_in_row = 0;
        self.lost_in_row = self.lost_in_row.saturating_add(1);
        let was_good = !self.medians.is_empty();
        (was_good && self.lost_in_row >= LOSSES).then_some(Trigger::Lost { probes: self.lost_in_row })
    }

    fn answer(&mut self, latency_us: u32) -> Option<Trigger> {
        self.lost_in_row = 0;
        self.answered_in_row = self.answered_in_row.saturating_add(1);
        self.window.push(latency_us);
        if self.window.len() < WINDOW {
            return None;
        }
        let median = median(self.window.drain(..))?;
        let usual = (self.medians.len() >= ENOUGH_WINDOWS).then(|| self.medians.iter().copied());
        let usual = usual.and_then(self::median);
        if self.medians.len() == WINDOWS {
            self.medians.pop_front();
        }
        self.medians.push_back(median);
        let usual = usual
            .filter(|usual| median > usual.saturating_mul(2) && median > usual.saturating_add(SLOWER_US))?;
        self.answered_in_row = 0;
        Some(Trigger::Slow { median_us: median, usual_us: usual })
    }
}

/// The lower of two middle ones; none of nothing.
fn median(values: impl Iterator<Item = u32>) -> Option<u32> {
    let mut values: Vec<u32> = values.collect();
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: Seen = Seen::Answered(10_000);

    struct Site {
        rule: Rule<u8>,
        host: Host,
        second: i64,
    }

    impl Site {
        fn new() -> Self {
            Self { rule: Rule::new(), host: "a.example".parse().unwrap(), second: 0 }
        }

        /// Sees `count` alike, one a second, and captures what it is told to.
        fn see(&mut self, key: u8, seen: Seen, count: usize) -> Vec<Trigger> {
            let host = self.host.clone();
            let host = (&host, Family::V4);
            (0..count)
                .filter_map(|_| {
                    self.second += 1;
                    let now = Timestamp::from_secs(self.second);
                    let trigger = self.rule.see(key, host, seen, now)?;
                    self.rule.captured(key, host, trigger, now);
                    Some(trigger)
                })
                .collect()
        }
    }

    #[test]
    fn three_losses_in_a_row_are_captured_once_and_the_recovery_once() {
        let mut site = Site::new();
        assert_eq!(site.see(1, GOOD, 6), []);
        assert_eq!(site.see(1, Seen::Lost, 2), []);
        assert_eq!(site.see(1, GOOD, 1), []);
        assert_eq!(site.see(1, Seen::Lost, 90), [Trigger::Lost { probes: 3 }]);
        assert_eq!(site.see(1, GOOD, 50), [Trigger::Recovered]);
        assert_eq!(site.see(1, Seen::Lost, 60), [], "within the hour");
        assert_eq!(site.see(1, GOOD, 3_600), []);
        assert_eq!(site.see(1, Seen::Lost, 3), [Trigger::Lost { probes: 3 }]);
    }

    #[test]
    fn a_host_is_captured_once_however_many_of_its_targets_turn_bad() {
        let mut site = Site::new();
        for key in [1, 2] {
            site.see(key, GOOD, 6);
        }
        assert_eq!(site.see(1, Seen::Lost, 5).len(), 1);
        assert_eq!(site.see(2, Seen::Lost, 5), []);
        assert_eq!(site.see(2, GOOD, 20), [], "another is awaited");
        assert_eq!(site.see(1, GOOD, 6), [Trigger::Recovered]);
    }

    #[test]
    fn what_never_answered_does_not_turn_bad() {
        let mut site = Site::new();
        assert_eq!(site.see(1, Seen::Lost, 10_000), []);
    }

    #[test]
    fn slow_is_twice_the_usual_and_20_ms_above_it() {
        let mut site = Site::new();
        assert_eq!(site.see(1, GOOD, 600), []);
        assert_eq!(site.see(1, Seen::Answered(29_000), 6), [], "less than 20 ms more");
        let slow = Trigger::Slow { median_us: 31_000, usual_us: 10_000 };
        assert_eq!(site.see(1, Seen::Answered(31_000), 12), [slow]);
        assert_eq!(site.see(1, GOOD, 12), [Trigger::Recovered]);
        let mut far = Site::new();
        assert_eq!(far.see(1, Seen::Answered(100_000), 600), []);
        assert_eq!(far.see(1, Seen::Answered(190_000), 12), [], "less than twice");
    }

    #[test]
    fn a_new_usual_is_learnt_within_an_hour_of_probes() {
        let mut site = Site::new();
        site.see(1, GOOD, 360);
        assert_eq!(site.see(1, Seen::Answered(90_000), 6).len(), 1);
        site.second += 7_200;
        site.see(1, Seen::Answered(90_000), 360);
        site.second += 7_200;
        assert_eq!(site.see(1, Seen::Answered(90_000), 360), []);
    }

    #[test]
    fn what_is_no_longer_watched_is_forgotten() {
        let mut site = Site::new();
        site.see(1, GOOD, 6);
        site.see(1, Seen::Lost, 3);
        site.rule.retain(|_| false, Timestamp::from_secs(site.second + 3_600));
        assert!(site.rule.watched.is_empty() && site.rule.hosts.is_empty());
    }

    proptest! {
        /// However targets behave, a host is captured at most twice an hour and what is remembered is bounded.
        #[test]
        fn captures_are_few_and_memory_is_bounded(script in prop::collection::vec((0_u8..3, 0_u32..4), 0..2_000)) {
            let mut site = Site::new();
            let captures: usize = script
                .iter()
                .map(|&(key, kind)| {
                    let seen = if kind == 0 { Seen::Lost } else { Seen::Answered(kind * kind * 9_000) };
                    site.see(key, seen, 1).len()
                })
                .sum();
            prop_assert!(captures <= 2, "{} in less than an hour", captures);
            for watched in site.rule.watched.values() {
                prop_assert!(watched.window.len() < WINDOW && watched.medians.len() <= WINDOWS);
            }
        }
    }
}
