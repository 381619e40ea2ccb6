//! The account of what was dropped: totals by UTC hour, uplink and reason, and what of them the collector has signed for.
//! Pure. Totals only grow, so that the collector may hear of them late, twice or in any order.

use super::pack::Draft;
use peerlight_proto::{
    drops::{Account, DropEntry, DropReason, Signed, hour_of},
    id::AccountId,
    limits::{MAX_DROP_ENTRIES, MAX_DROPPED},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most hours that are told apart, of all uplinks and reasons together: months of an outage. What is dropped beyond adds
/// to the newest that is there, whose span then says so.
const MAX_HOURS: usize = 2_048;
/// Room for uplinks and reasons of which nothing was dropped before that.
const MAX_ENTRIES: usize = MAX_HOURS + 256;
/// An account that the collector has signed for ends when it has grown to this.
const LARGE: usize = 256;

/// The account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dropped {
    id: AccountId,
    /// How often anything changed. Goes on in the next account.
    changes: u64,
    /// Up to which change the collector has signed.
    signed: u64,
    entries: Vec<Kept>,
}

/// An entry, and which change of the account was its last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    change: u64,
    #[serde(flatten)]
    entry: DropEntry,
}

impl Dropped {
    /// One in which nothing was dropped yet.
    pub(super) const fn new(id: AccountId) -> Self {
        Self { id, changes: 0, signed: 0, entries: Vec::new() }
    }

    /// Counts what was dropped. An account that is large, and signed for, ends first: `id` names the next one.
    pub(super) fn add(&mut self, dropped: DropEntry, id: AccountId) {
        if self.signed == self.changes && self.entries.len() >= LARGE {
            (self.id, self.entries) = (id, Vec::new());
        }
        self.changes += 1;
        let change = self.changes;
        match self.place(&dropped) {
            None => self.entries.push(Kept { change, entry: dropped }),
            Some(place) => {
                let Kept { change: last, entry } = &mut self.entries[place];
                *last = change;
                let sum = |there: u64, more: u64| there.saturating_add(more).min(MAX_DROPPED);
                entry.measurements = sum(entry.measurements, dropped.measurements);
                entry.turns = sum(entry.turns, dropped.turns);
                entry.unread_batches = sum(entry.unread_batches, dropped.unread_batches);
                entry.first = entry.first.min(dropped.first);
                entry.last = entry.last.max(dropped.last);
            }
        }
    }

    /// Where it adds to: its own entry, or the likest one when there is no room for more.
    fn place(&self, dropped: &DropEntry) -> Option<usize> {
        let alike = |kept: &Kept| {
            let reason = kept.entry.reason == dropped.reason;
            (reason && kept.entry.uplink == dropped.uplink, reason, kept.entry.hour)
        };
        let own = |kept: &Kept| alike(kept) == (true, true, dropped.hour);
        let full = self.entries.len() >= MAX_HOURS
            && (self.entries.len() >= MAX_ENTRIES || self.entries.iter().any(|kept| alike(kept).0));
        self.entries.iter().position(own).or_else(|| {
            let likest = (0..self.entries.len()).max_by_key(|place| alike(&self.entries[*place]));
            likest.filter(|_| full)
        })
    }

    /// What the next batch tells: what the collector has not signed for, the oldest changes first. None if it has for all.
    pub(super) fn part(&self) -> Option<Account> {
        let mut unsigned: Vec<&Kept> = self.entries.iter().filter(|kept| kept.change > self.signed).collect();
        unsigned.sort_unstable_by_key(|kept| kept.change);
        unsigned.truncate(MAX_DROP_ENTRIES);
        let until = unsigned.last()?.change;
        Some(Account {
            id: self.id,
            until,
            entries: unsigned.into_iter().map(|kept| kept.entry.clone()).collect(),
        })
    }

    /// Takes the collector's word.
    pub(super) fn sign(&mut self, signed: Signed) {
        if signed.id == self.id {
            self.signed = self.signed.max(signed.until.min(self.changes));
        }
    }
}

/// What is dropped with a batch of this content, by hour and uplink.
pub(super) fn content(draft: &Draft, reason: DropReason) -> Vec<DropEntry> {
    let mut shares: BTreeMap<(Timestamp, &str), DropEntry> = BTreeMap::new();
    for measurement in &draft.measurements {
        let series = draft.series.get(measurement.series as usize);
        let uplink = series.map_or("", |series| &*series.key.uplink);
        let (start, end) = (measurement.interval.start(), measurement.interval.end());
        let hour = hour_of(start);
        let share = shares.entry((hour, uplink)).or_insert_with(|| DropEntry {
            hour,
            uplink: uplink.to_owned(),
            reason,
            measurements: 0,
            turns: 0,
            unread_batches: 0,
            first: start,
            last: end,
        });
        share.measurements += 1;
        share.turns = share.turns.saturating_add(measurement.counters.scheduled);
        (share.first, share.last) = (share.first.min(start), share.last.max(end));
    }
    shares.into_values().collect()
}

/// What is dropped with a batch that cannot be read: all that is known is when its newest interval ended.
pub(super) fn unread(newest_end: Timestamp, reason: DropReason) -> DropEntry {
    let hour = hour_of(Timestamp::from_micros(newest_end.as_micros().saturating_sub(1)));
    let (uplink, last) = (String::new(), newest_end.max(hour));
    DropEntry { hour, uplink, reason, measurements: 0, turns: 0, unread_batches: 1, first: hour, last }
}

#[cfg(test)]
mod tests;
