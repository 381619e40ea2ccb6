//! The schedule: which target is due when. Pure.
//!
//! An open loop on absolute instants: an entry's turns are the multiples of its interval in UTC plus a phase that is a
//! hash of agent and target, so that a fleet does not march in step. Never early, never a burst: of the turns that were
//! missed only the last may still be taken, the others are reported as skipped.

use crate::uplink::UplinkNumber;
use peerlight_proto::{
    id::{AgentId, TargetId},
    series::{Family, Path},
    target::Target,
    time::Timestamp,
};
use sha2::{Digest as _, Sha256};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
    time::Duration,
};

/// A turn may be taken this much after its instant, if its interval is not shorter.
pub const MAX_LATENESS: Duration = Duration::from_secs(1);
/// Turns are taken together when the time is a multiple of this, because waking up costs more than sending a few probes; of
/// less where an interval is shorter than twice as long, or where …
const LONGEST_TICK: Duration = Duration::from_millis(50);
/// … more turns than this would meet: a burst is no load for the path.
const TURNS_IN_A_TICK: f64 = 64.0;
/// The timer knows nothing shorter.
const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// Missed turns are accounted for this far back; a longer stall is a gap that coverage shows.
pub const MAX_MISSED: Duration = Duration::from_mins(30);

/// Names an entry.
pub type EntryKey = (TargetId, Family, Path, UplinkNumber);

/// One target over one family, by one path and over one uplink, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The target.
    pub target: Target,
    /// Its identity.
    pub id: TargetId,
    /// Over which family.
    pub family: Family,
    /// Straight or through the proxy.
    pub path: Path,
    /// Over which uplink.
    pub uplink: UplinkNumber,
    /// The time between two turns.
    pub interval: Duration,
}

impl Entry {
    /// An entry that is probed straight over the first uplink; intervals below a millisecond are a millisecond.
    pub fn new(target: Target, family: Family, interval: Duration) -> Self {
        let id = target.id();
        let interval = interval.max(Duration::from_millis(1));
        Self { target, id, family, path: Path::Direct, uplink: UplinkNumber::default(), interval }
    }

    /// The same by this path.
    #[must_use]
    pub fn by(self, path: Path) -> Self {
        Self { path, ..self }
    }

    /// The same over this uplink.
    #[must_use]
    pub fn over(self, uplink: UplinkNumber) -> Self {
        Self { uplink, ..self }
    }

    /// Its name; no two entries of a schedule share one.
    pub fn key(&self) -> EntryKey {
        (self.id, self.family, self.path, self.uplink)
    }

    fn interval_us(&self) -> i64 {
        i64::try_from(self.interval.as_micros()).unwrap_or(i64::MAX)
    }
}

/// A turn to take now.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Of which entry.
    pub entry: Arc<Entry>,
    /// Its scheduled instant: what decides the interval that it belongs to.
    pub scheduled: Timestamp,
    /// The tick at which it was to be taken.
    pub due: Timestamp,
}

/// Turns that were missed: `count` of them, from `first` in steps of the entry's interval.
#[derive(Debug, Clone)]
pub struct Missed {
    /// Of which entry.
    pub entry: Arc<Entry>,
    /// The first.
    pub first: Timestamp,
    /// How many; at least one.
    pub count: u64,
}

/// What is due.
#[derive(Debug, Default)]
pub struct Due {
    /// To take now.
    pub turns: Vec<Turn>,
    /// To count as skipped.
    pub missed: Vec<Missed>,
    /// Missed too long ago to be accounted for.
    pub forgotten: u64,
}

/// The turns of all entries.
#[derive(Debug)]
pub struct Schedule {
    agent: AgentId,
    slots: Vec<Slot>,
    /// The next turn of each slot, by its place; the earliest first.
    queue: BinaryHeap<Reverse<(Timestamp, usize)>>,
    tick: Duration,
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    next: Timestamp,
}

impl Schedule {
    /// An empty schedule of this agent.
    pub fn new(agent: AgentId) -> Self {
        Self { agent, slots: Vec::new(), queue: BinaryHeap::new(), tick: LONGEST_TICK }
    }

    /// Takes `entries` for the old ones. Entries that stay as they were keep their next turn; others start with their
    /// first turn from `now` on.
    pub fn replace(&mut self, entries: impl IntoIterator<Item = Entry>, now: Timestamp) {
        let mut before: HashMap<_, Slot> =
            self.slots.drain(..).map(|slot| (slot.entry.key(), slot)).collect();
        for entry in entries {
            let kept = before.remove(&entry.key()).filter(|slot| *slot.entry == entry);
            self.slots.push(kept.unwrap_or_else(|| Slot {
                next: first_turn(self.agent, &entry, now),
                entry: Arc::new(entry),
            }));
        }
        self.queue_all();
    }

    /// Starts again at `now`, after the clocks jumped.
    pub fn restart(&mut self, now: Timestamp) {
        for slot in &mut self.slots {
            slot.next = first_turn(self.agent, &slot.entry, now);
        }
        self.queue_all();
    }

    /// The next turn.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.peek().map(|Reverse((next, _))| *next)
    }

    /// When to ask again: at the first tick at which there is a turn to take.
    pub fn next_tick(&self) -> Option<Timestamp> {
        Some(tick_of(self.next()?, self.tick))
    }

    /// What is due at `now`; each turn is reported once.
    pub fn due(&mut self, now: Timestamp) -> Due {
        let mut due = Due::default();
        while let Some(mut first) = self.queue.peek_mut() {
            let Reverse((next, place)) = *first;
            let Some(slot) = self.slots.get_mut(place).filter(|_| next <= now) else { break };
            slot.take(now, self.tick, &mut due);
            *first = Reverse((slot.next, place));
        }
        due
    }

    fn queue_all(&mut self) {
        let intervals = || self.slots.iter().map(|slot| slot.entry.interval);
        let shortest = intervals().min().unwrap_or(LONGEST_TICK * 2);
        let a_second: f64 = intervals().map(|interval| interval.as_secs_f64().recip()).sum();
        let fitting = Duration::from_secs_f64(TURNS_IN_A_TICK / a_second.max(1.0));
        self.tick = (shortest / 2).min(fitting).clamp(SHORTEST_TICK, LONGEST_TICK);
        self.queue = self.slots.iter().enumerate().map(|(place, slot)| Reverse((slot.next, place))).collect();
    }
}

impl Slot {
    fn take(&mut self, now: Timestamp, tick: Duration, due: &mut Due) {
        let step = self.entry.interval_us();
        let passed = now.micros_after(self.next) / step;
        let last = Timestamp::from_micros(self.next.as_micros() + passed * step);
        let in_time = now.since(last) <= MAX_LATENESS.min(self.entry.interval);
        let missed = if in_time { passed } else { passed + 1 };
        let far = i64::try_from(MAX_MISSED.as_micros()).unwrap_or(i64::MAX);
        let counted = missed.min((far / step).max(1));
        due.forgotten += (missed - counted).unsigned_abs();
        if counted > 0 {
            due.missed.push(Missed {
                entry: Arc::clone(&self.entry),
                first: Timestamp::from_micros(self.next.as_micros() + (missed - counted) * step),
                count: counted.unsigned_abs(),
            });
        }
        if in_time {
            due.turns.push(Turn {
                entry: Arc::clone(&self.entry),
                scheduled: last,
                due: tick_of(last, tick),
            });
        }
        self.next = Timestamp::from_micros(last.as_micros() + step);
    }
}

/// The first tick at or after `turn`.
fn tick_of(turn: Timestamp, tick: Duration) -> Timestamp {
    let tick = i64::try_from(tick.as_micros()).unwrap_or(i64::MAX);
    let before = turn.as_micros().rem_euclid(tick);
    let wait = if before == 0 { 0 } else { tick - before };
    Timestamp::from_micros(turn.as_micros().saturating_add(wait))
}

/// The first turn of `entry` at or after `now`.
fn first_turn(agent: AgentId, entry: &Entry, now: Timestamp) -> Timestamp {
    let step = entry.interval_us();
    let phase = phase(agent, entry, step);
    let before = (now.as_micros() - phase).rem_euclid(step);
    let wait = if before == 0 { 0 } else { step - before };
    Timestamp::from_micros(now.as_micros() + wait)
}

/// A place in 0..step that this agent and entry always have.
fn phase(agent: AgentId, entry: &Entry, step: i64) -> i64 {
    let mut hash = Sha256::new();
    hash.update(agent.as_bytes());
    hash.update(entry.id.as_bytes());
    hash.update(entry.family.as_str());
    if entry.path == Path::Proxy {
        hash.update(entry.path.as_str());
    }
    if entry.uplink != UplinkNumber::default() {
        hash.update(entry.uplink.index().to_le_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    let place = u64::from_le_bytes(first) % step.unsigned_abs();
    i64::try_from(place).unwrap_or(0)
}

#[cfg(test)]
mod tests;
