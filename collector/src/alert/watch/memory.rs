//! What is remembered between two turns; all of it can be found again.

use super::by_window;
use crate::{
    alert::{Doors, Rule},
    organisation::OrganisationId,
    report::silence::Silences,
    store::{Presences, Present},
};
use peerlight_proto::time::Timestamp;
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// A rule is judged anew when such a part of its window has passed.
const MOVED: u32 = 5;

/// What is remembered between two turns.
pub(super) struct Memory {
    /// Whose rules.
    pub(super) organisation: OrganisationId,
    /// When this began: what is missing from before may be on its way still.
    pub(super) began: Timestamp,
    /// The front doors of the last turn that found any.
    pub(super) doors: Arc<Doors>,
    /// The rules of the last turn, and when those of each window were judged last.
    rules: Vec<Rule>,
    judged: BTreeMap<Duration, Timestamp>,
    day: Option<Arc<Day>>,
}

/// What is known of a day.
pub(super) struct Day {
    /// When it ends.
    pub(super) to: Timestamp,
    /// The front doors that served.
    pub(super) doors: Arc<Doors>,
    /// What never answers ICMP, or is too new to tell.
    pub(super) silences: Silences,
    /// What agents measure: of each shape one presence.
    pub(super) shapes: Arc<Presences>,
}

impl Memory {
    /// Of nothing yet.
    pub(super) fn new(organisation: OrganisationId, began: Timestamp) -> Self {
        Self {
            organisation,
            began,
            doors: Arc::default(),
            rules: Vec::new(),
            judged: BTreeMap::new(),
            day: None,
        }
    }

    /// The rules whose turn it is, by their windows: all of a set that is new, and of others those of which a part of the window
    /// has passed. A fleet sends millions of measurements a minute, and a window of an hour reads sixty times those.
    pub(super) fn due<'a>(
        &mut self,
        rules: &'a [Rule],
        now: Timestamp,
        every: Duration,
    ) -> BTreeMap<Duration, Vec<&'a Rule>> {
        if self.rules != rules {
            self.rules = rules.to_vec();
            self.judged.clear();
            // It may say something else of what the old set was judged by.
            self.day = None;
        }
        // Turns come a little early or late.
        let soon = now.plus(every / 2);
        let mut windows = by_window(rules);
        windows.retain(|window, _| {
            let last = self.judged.get(window);
            last.is_none_or(|last| last.plus(*window / MOVED) <= soon)
        });
        windows
    }

    /// Remembers that the rules of this window were judged.
    pub(super) fn judged(&mut self, window: Duration, now: Timestamp) {
        self.judged.insert(window, now);
    }

    /// What is known of the day that ends then.
    pub(super) fn day_until(&self, to: Timestamp) -> Option<Arc<Day>> {
        self.day.clone().filter(|day| day.to == to)
    }

    /// Remembers a day instead of the one before.
    pub(super) fn remember(&mut self, day: Day) -> Arc<Day> {
        Arc::clone(self.day.insert(Arc::new(day)))
    }

    /// The front doors of the day before.
    pub(super) fn doors_before(&self) -> Arc<Doors> {
        self.day.as_ref().map(|day| Arc::clone(&day.doors)).unwrap_or_default()
    }
}

/// Of each shape one presence: enough for what targets are called.
pub(super) fn one_of_each_shape(presence: &Presences) -> Presences {
    let mut met = HashSet::new();
    let news = presence.iter().filter(|present| met.insert(Arc::as_ptr(present.shape)));
    news.map(Present::alone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::defaults;

    const MINUTE: Duration = Duration::from_mins(1);

    /// The windows in minutes that are due at each of the turns that come a little early or late.
    fn turns(memory: &mut Memory, rules: &[Rule], minutes: std::ops::Range<i64>) -> Vec<Vec<u64>> {
        let at = |minute: i64| Timestamp::from_micros(minute * 60_000_000 + (minute % 3 - 1) * 900_000);
        minutes
            .map(|minute| {
                let due = memory.due(rules, at(minute), MINUTE);
                for window in due.keys() {
                    memory.judged(*window, at(minute));
                }
                due.keys().map(|window| window.as_secs() / 60).collect()
            })
            .collect()
    }

    #[test]
    fn a_rule_is_judged_each_fifth_of_its_window_and_at_once_when_it_is_new() {
        let mut memory = Memory::new(OrganisationId::DEFAULT, Timestamp::from_secs(0));
        let mut rules = defaults();
        let due = turns(&mut memory, &rules, 0..13);
        let of = |window| {
            let turns = due.iter().enumerate().filter(|(_, due)| due.contains(&window));
            turns.map(|(turn, _)| turn).collect::<Vec<_>>()
        };
        assert_eq!(of(5), (0..13).collect::<Vec<_>>());
        assert_eq!(of(15), [0, 3, 6, 9, 12]);
        assert_eq!(of(30), [0, 6, 12]);
        assert_eq!(of(60), [0, 12]);
        rules[0].threshold = 0.1;
        assert_eq!(turns(&mut memory, &rules, 13..15), [vec![5, 15, 30, 60], vec![5]]);
    }
}
