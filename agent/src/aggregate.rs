//! Folds samples into measurements: one per series and interval. Pure.
//!
//! A probe belongs to the interval of its scheduled instant. Every turn is announced with [`Aggregate::begin`] and ends
//! with [`Aggregate::end`]; turns of one entry are folded in the order of the schedule, so that jitter compares
//! neighbours. An interval closes at its end plus the deadline, once none of its turns is open; a turn that stays open
//! beyond a grace is voided, and what comes of it later is counted as stale, never folded.

mod lane;
mod series;

use crate::{
    sample::{Sample, Stray},
    schedule::{EntryKey, Missed, Turn},
    uplink::UplinkNumber,
};
use lane::{Lane, Progress};
use peerlight_proto::{
    histogram::{Histogram, Recorder},
    measurement::{Attribute, Counters, Observed},
    series::{Family, Path, Series},
    time::{Interval, IntervalLength, Timestamp},
};
use series::{OpenInterval, Slot};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

/// Beyond the deadline an open turn is given this much for its sample to arrive on a busy machine.
pub const GRACE: Duration = Duration::from_secs(2);

/// Names a turn between its begin and its end; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnId(u64);

#[derive(Debug, Clone, Copy)]
struct OpenTurn {
    lane: EntryKey,
    interval: Interval,
}

/// What a closed interval's measurements bear besides what was folded.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// For each uplink, by its number.
    pub uplinks: Vec<Outside>,
}

/// What is known of an uplink when an interval closes.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// The name of its site; empty while it is not known.
    pub uplink: Arc<str>,
    /// The public address of each family and when it was observed, in the session's time.
    pub observed: BTreeMap<Family, (IpAddr, Timestamp)>,
}

/// An interval with all that was measured in it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedInterval {
    /// The interval.
    pub interval: Interval,
    /// One row per series, in the order of their keys.
    pub rows: Vec<Row>,
}

/// One series over a closed interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The series.
    pub series: Series,
    /// What became of its probes.
    pub counters: Counters,
    /// The times of the answered ones.
    pub histogram: Histogram,
    /// What was seen with them.
    pub attributes: Vec<Attribute>,
    /// The public address, where it was observed.
    pub observed: Option<Observed>,
}

/// The open intervals of one session.
pub struct Aggregate {
    length: IntervalLength,
    deadline: Duration,
    lanes: HashMap<EntryKey, Lane>,
    /// Where each open turn is.
    open_turns: HashMap<TurnId, OpenTurn>,
    /// How many of them there are in each interval.
    open_in: BTreeMap<Interval, usize>,
    intervals: BTreeMap<Interval, OpenInterval>,
    /// Intervals that end by then are closed for good.
    closed_until: Option<Timestamp>,
    next_turn: u64,
    stale: u64,
    recorder: Recorder,
}

impl Aggregate {
    /// Nothing measured yet.
    pub fn new(length: IntervalLength, deadline: Duration) -> Self {
        Self {
            length,
            deadline,
            lanes: HashMap::new(),
            open_turns: HashMap::new(),
            open_in: BTreeMap::new(),
            intervals: BTreeMap::new(),
            closed_until: None,
            next_turn: 0,
            stale: 0,
            recorder: Recorder::new(),
        }
    }

    /// Announces that a probe is about to be sent.
    pub fn begin(&mut self, turn: &Turn) -> TurnId {
        let id = TurnId(self.next_turn);
        self.next_turn += 1;
        if self.is_closed(turn.scheduled) {
            self.stale += 1;
            return id;
        }
        let key = turn.entry.key();
        self.lanes.entry(key).or_insert_with(|| Lane::new(&turn.entry)).begin(id, turn);
        // The interval exists from its first turn on, so that it closes in time whatever becomes of the turn.
        let interval = Interval::containing(turn.scheduled, self.length);
        self.intervals.entry(interval).or_default();
        self.open_turns.insert(id, OpenTurn { lane: key, interval });
        *self.open_in.entry(interval).or_default() += 1;
        id
    }

    /// How the probe ended; none if the target has no address of the family. False if its interval is closed.
    pub fn end(&mut self, id: TurnId, sample: Option<Sample>) -> bool {
        let lane = self.forget_open(id).and_then(|key| self.lanes.get_mut(&key));
        let Some(lane) = lane else {
            self.stale += 1;
            return false;
        };
        lane.end(id, Progress::Ended(sample));
        lane.fold_ready(self.length, &mut self.intervals, &mut self.recorder);
        true
    }

    /// Counts missed turns. Returns how many could not be counted because their interval is closed.
    pub fn skip(&mut self, missed: &Missed) -> u64 {
        let entry = &missed.entry;
        let lane = self.lanes.entry(entry.key()).or_insert_with(|| Lane::new(entry));
        lane.refresh(entry);
        let slots = lane.expected_slots();
        let step = i64::try_from(entry.interval.as_micros()).unwrap_or(i64::MAX);
        let (mut turn, mut left, mut uncounted) = (missed.first, missed.count, 0);
        while left > 0 {
            let interval = Interval::containing(turn, self.length);
            let within = (interval.end().micros_after(turn) + step - 1) / step;
            let here = left.min(within.unsigned_abs().max(1));
            if self.closed_until.is_some_and(|until| interval.end() <= until) {
                uncounted += here;
            } else {
                let open = self.intervals.entry(interval).or_default();
                for slot in &slots {
                    open.series(*slot, entry).skip(here);
                }
            }
            left -= here;
            let ahead = i64::try_from(here).unwrap_or(i64::MAX).saturating_mul(step);
            turn = Timestamp::from_micros(turn.as_micros().saturating_add(ahead));
        }
        uncounted
    }

    /// Counts a reply beyond the first or one that no probe asked for, seen at `now` over this uplink. A stray of a target that was
    /// never probed in this session belongs to no series.
    pub fn stray(&mut self, uplink: UplinkNumber, stray: Stray, now: Timestamp) {
        let key = (stray.target, stray.family, Path::Direct, uplink);
        let Some(lane) = self.lanes.get(&key) else { return };
        if self.is_closed(now) {
            return;
        }
        let slot = lane.expected_slots().into_iter().find(|slot| slot.metric == stray.metric);
        if let Some(slot) = slot {
            let open = self.intervals.entry(Interval::containing(now, self.length)).or_default();
            let counters = &mut open.series(slot, &lane.entry).counters;
            if stray.duplicate {
                counters.duplicate += 1;
            } else {
                counters.foreign += 1;
            }
        }
    }

    /// When the next interval closes.
    pub fn next_close(&self) -> Option<Timestamp> {
        self.intervals.keys().next().map(|interval| {
            let close = interval.end().plus(self.deadline);
            if self.has_open_turn(*interval) { close.plus(GRACE) } else { close }
        })
    }

    /// Closes the intervals that are over and have nothing in flight.
    pub fn close(&mut self, now: Timestamp, around: &Surroundings) -> Vec<ClosedInterval> {
        let mut closed = Vec::new();
        while let Some(interval) = self.intervals.keys().next().copied() {
            let due = interval.end().plus(self.deadline);
            if now < due || (self.has_open_turn(interval) && now < due.plus(GRACE)) {
                break;
            }
            closed.extend(self.close_first(interval, around));
        }
        closed
    }

    /// Closes everything: turns in flight are voided. For the end of a session, whether by shutdown or because the
    /// clocks jumped; a new session starts with the next turn.
    pub fn close_all(&mut self, around: &Surroundings) -> Vec<ClosedInterval> {
        let mut closed = Vec::new();
        while let Some(interval) = self.intervals.keys().next().copied() {
            closed.extend(self.close_first(interval, around));
        }
        self.open_turns.clear();
        self.open_in.clear();
        self.closed_until = None;
        for lane in self.lanes.values_mut() {
            lane.forget_neighbours();
        }
        closed
    }

    /// How many turns are open.
    pub fn in_flight(&self) -> usize {
        self.open_turns.len()
    }

    /// Samples that came after their interval had closed.
    pub fn stale(&self) -> u64 {
        self.stale
    }

    /// Forgets entries that `is_scheduled` denies and that have no turn left, so that a changing assignment does not
    /// grow this for ever.
    pub fn retain_lanes(&mut self, is_scheduled: impl Fn(&EntryKey) -> bool) {
        self.lanes.retain(|key, lane| is_scheduled(key) || !lane.is_idle());
    }

    fn is_closed(&self, instant: Timestamp) -> bool {
        self.closed_until.is_some_and(|until| Interval::containing(instant, self.length).end() <= until)
    }

    fn has_open_turn(&self, interval: Interval) -> bool {
        self.open_in.range(..=interval).next().is_some()
    }

    fn forget_open(&mut self, id: TurnId) -> Option<EntryKey> {
        let OpenTurn { lane, interval } = self.open_turns.remove(&id)?;
        if let Some(open) = self.open_in.get_mut(&interval) {
            *open -= 1;
            if *open == 0 {
                self.open_in.remove(&interval);
            }
        }
        Some(lane)
    }

    fn close_first(&mut self, interval: Interval, around: &Surroundings) -> Option<ClosedInterval> {
        let mut voided = Vec::new();
        for lane in self.lanes.values_mut() {
            voided.extend(lane.void_before(interval.end()));
            lane.fold_ready(self.length, &mut self.intervals, &mut self.recorder);
        }
        for id in voided {
            self.forget_open(id);
        }
        self.closed_until = self.closed_until.max(Some(interval.end()));
        let open = self.intervals.remove(&interval)?;
        let rows = open.into_rows(interval, around, &mut self.recorder);
        (!rows.is_empty()).then_some(ClosedInterval { interval, rows })
    }
}

#[cfg(test)]
mod tests;
