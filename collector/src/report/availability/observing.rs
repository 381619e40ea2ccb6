//! From the store's answers to timelines: every span by quarter hours, and by minutes where a quarter hour is of more than
//! one state. An outage of minutes costs the reading of its quarter hours' minutes and no others.

use super::{
    question::{AvailabilityQuestion, QUARTER_HOUR},
    state::{State, is_mixed, per_minute},
    timeline::{Sight, Timeline},
    units::{Few, Units},
};
use crate::{
    registry::RegistrationId,
    report::coverage::{Schedule, interval},
    store::{Query, Row, slot_of},
};
use hashbrown::{HashMap, HashSet};
use peerlight_proto::{measurement::Counters, time::Timestamp};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// How many cells of units and quarter hours are held at once; a cell takes about a kilobyte.
const MAX_CELLS: u64 = 200_000;
/// The most schedules that a question may be about: an hour of each is held at once.
pub(super) const MAX_SCHEDULES: usize = 50_000;
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// How many times a part of the span is looked at closer, at most: what lies near each other is read at once.
const MAX_CLOSER: usize = 12;

/// One unit while its span comes in.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) timeline: Timeline,
    pub(super) counters: Counters,
    /// Spans in which turns were expected.
    pub(super) expected: Vec<(Timestamp, Timestamp)>,
    /// How many turns.
    pub(super) turns: u64,
    cadence: Duration,
}

/// What comes in.
#[derive(Debug)]
pub(super) struct Courses {
    from: Timestamp,
    to: Timestamp,
    /// Minutes are kept from here.
    minutes_from: Timestamp,
    pub(super) of: HashMap<u32, Course>,
}

/// The quarter hours of a part of the span that have to be looked at by the minute, by unit.
#[derive(Debug, Default)]
pub struct Closer(HashSet<(u32, Timestamp)>);

impl Courses {
    pub(super) fn new(
        asked: &AvailabilityQuestion,
        schedules: &[Schedule<'_>],
        units: &Units,
        minutes_from: Timestamp,
    ) -> Self {
        let (from, to) = (asked.question.from, asked.question.to);
        let mut of: HashMap<u32, Course> = HashMap::new();
        for schedule in schedules {
            let unit = units.number(schedule.agent, schedule.registration, schedule.shape);
            let mut course = Course::new(interval(schedule.shape));
            (course.expected, course.turns) = (schedule.spans(from, to), schedule.turns(from, to));
            of.insert(unit, course);
        }
        Self { from, to, minutes_from, of }
    }

    /// The parts that the span is read in, in order: whole hours of a day at most.
    pub(super) fn parts(&self) -> Vec<(Timestamp, Timestamp)> {
        let quarters = MAX_CELLS / (self.of.len() as u64).max(1);
        let hours = (quarters / 4).clamp(1, 24);
        let length = Duration::from_hours(hours);
        let mut parts = Vec::new();
        let mut at = self.from;
        while at < self.to {
            let end = slot_of(at, Duration::from_hours(1)).plus(length).min(self.to);
            parts.push((at, end));
            at = end;
        }
        parts
    }

    /// What of the quarter hours of a part has to be looked at closer.
    pub(super) fn closer(&self, rows: &[Row], units: &Units) -> Closer {
        let mixed = rows.iter().filter(|row| {
            let Some(course) = self.of.get(&row.group) else { return false };
            let (from, to) = self.cut(row.slot, QUARTER_HOUR);
            let silent = units.get(row.group).is_none_or(|unit| unit.silent);
            !silent
                && row.slot >= self.minutes_from
                && course.cadence <= MINUTE
                && is_mixed(&row.totals.counters, course.turns_within(from, to), course.cadence)
        });
        Closer(mixed.map(|row| (row.group, row.slot)).collect())
    }

    /// Adds a part: its quarter hours, and what minutes of them were asked for.
    pub(super) fn take(&mut self, rows: Vec<Row>, minutes: Vec<Row>, closer: &Closer) {
        let mut by_minute: HashMap<(u32, Timestamp), Vec<(Timestamp, Counters)>> = HashMap::new();
        for row in minutes {
            let quarter = (row.group, slot_of(row.slot, QUARTER_HOUR));
            if closer.0.contains(&quarter) {
                by_minute.entry(quarter).or_default().push((row.slot, row.totals.counters));
            }
        }
        // The rows of a group come in the order of their slots.
        for row in rows {
            let (slot, counters) = (row.slot, row.totals.counters);
            let (from, to) = self.cut(slot, QUARTER_HOUR);
            let course = self.of.entry(row.group).or_insert_with(|| Course::new(MINUTE));
            course.counters.merge(&counters);
            let most = per_minute(course.cadence).saturating_mul(2);
            match by_minute.remove(&(row.group, slot)) {
                // What has more turns than a minute can have is a quarter hour whose minutes have expired.
                Some(minutes) if minutes.iter().all(|(_, counters)| counters.scheduled <= most) => {
                    for (slot, counters) in minutes {
                        let end = slot.plus(MINUTE).min(to);
                        course.see(slot.max(from), end, &counters, MINUTE);
                    }
                }
                // A quarter hour of one state is of that in each of its minutes.
                _ => {
                    let mixed = is_mixed(&counters, course.turns_within(from, to), course.cadence);
                    let resolution = if mixed { QUARTER_HOUR } else { MINUTE.max(course.cadence) };
                    course.see(from, to, &counters, resolution);
                }
            }
        }
    }

    /// A slot as far as it was asked for.
    fn cut(&self, slot: Timestamp, length: Duration) -> (Timestamp, Timestamp) {
        (slot.max(self.from), slot.plus(length).min(self.to))
    }
}

impl Course {
    fn new(cadence: Duration) -> Self {
        Self {
            timeline: Timeline::new(cadence),
            counters: Counters::default(),
            expected: Vec::new(),
            turns: 0,
            cadence,
        }
    }

    fn turns_within(&self, from: Timestamp, to: Timestamp) -> u64 {
        let within = self.expected.iter().map(|(start, end)| to.min(*end).since(from.max(*start)));
        let span: Duration = within.sum();
        u64::try_from(span.as_micros() / self.cadence.as_micros().max(1)).unwrap_or(u64::MAX)
    }

    fn see(&mut self, from: Timestamp, to: Timestamp, counters: &Counters, resolution: Duration) {
        // A quarter hour at either end of a schedule counts as long as that ran.
        let (first, last) = (self.expected.first(), self.expected.last());
        let from = first.map_or(from, |(start, _)| from.max(*start).min(to));
        let to = last.map_or(to, |(_, end)| to.min((*end).max(from.plus(MINUTE))));
        if counters.scheduled > 0 && from < to {
            let (state, unanswered) = (State::of(counters), counters.lost);
            self.timeline.see(Sight { from, to, state, unanswered, resolution: [resolution; 2] });
        }
    }
}

impl Closer {
    /// What the store is asked, given what it was asked for the part: nothing where no minute tells more.
    pub(super) fn queries(&self, part: &Query, units: &Arc<Units>) -> Vec<(Query, Arc<Few>)> {
        let slots: BTreeSet<Timestamp> = self.0.iter().map(|(_, slot)| *slot).collect();
        let query = |(from, to): (Timestamp, Timestamp)| {
            let within = self.0.iter().filter(|(_, slot)| (from..to).contains(slot));
            let of: HashSet<u32> = within.map(|(unit, _)| *unit).collect();
            let registrations: BTreeSet<RegistrationId> =
                of.iter().filter_map(|unit| Some(units.get(*unit)?.registration)).collect();
            let query = Query {
                from: from.max(part.from),
                to: to.min(part.to),
                registrations: Some(registrations),
                step: Some(MINUTE),
                ..part.clone()
            };
            (query, Arc::new(Few::new(Arc::clone(units), of)))
        };
        spans(&slots).into_iter().map(query).collect()
    }
}

/// Quarter hours as few spans: those that lie near each other are one, the nearer the more there are.
fn spans(slots: &BTreeSet<Timestamp>) -> Vec<(Timestamp, Timestamp)> {
    let mut apart = QUARTER_HOUR;
    loop {
        let mut spans: Vec<(Timestamp, Timestamp)> = Vec::new();
        for slot in slots {
            let end = slot.plus(QUARTER_HOUR);
            match spans.last_mut() {
                Some((_, last)) if slot.since(*last) <= apart => *last = end,
                _ => spans.push((*slot, end)),
            }
        }
        if spans.len() <= MAX_CLOSER || apart >= DAY {
            return spans;
        }
        apart *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn few_spans_hold_every_quarter_hour(quarters in prop::collection::btree_set(0_i64..96, 1..96)) {
            let slots: BTreeSet<_> = quarters.iter().map(|quarter| Timestamp::from_secs(quarter * 900)).collect();
            let found = spans(&slots);
            prop_assert!(found.len() <= MAX_CLOSER && found.windows(2).all(|pair| pair[0].1 < pair[1].0));
            prop_assert!(slots.iter().all(|slot| found.iter().any(|(from, to)| from <= slot && slot < to)));
        }
    }
}
