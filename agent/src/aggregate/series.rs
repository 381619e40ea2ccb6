//! Open series: the counters and times of one series in one interval, while it lasts.

use super::{Row, Surroundings};
use crate::{schedule::Entry, uplink::UplinkNumber};
use peerlight_proto::{
    histogram::{Histogram, Recorder},
    id::TargetId,
    limits::{MAX_ATTRIBUTES, MAX_TEXT_BYTES},
    measurement::{Attribute, Counters, Ending, Observed},
    metric::Metric,
    series::{Clock, Family, Handshake, HttpVersion, Path, Series, SeriesKey},
    time::{Interval, Timestamp},
};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

/// Raw values that an open series keeps before it folds them (rules, §3).
const MAX_RAW: usize = 256;
/// Distinct values of an interval's attributes that are kept apart; the rest of the limit is for one `other` per kind.
const MAX_DISTINCT: usize = MAX_ATTRIBUTES - 8;
/// What stands for all further values of a kind.
const OTHER: &str = "other";

/// A series' key with the uplink's number in the place of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) uplink: UplinkNumber,
    pub(super) target: TargetId,
    pub(super) family: Family,
    pub(super) metric: Metric,
    pub(super) path: Path,
    pub(super) clock: Clock,
    pub(super) http_version: Option<HttpVersion>,
    pub(super) handshake: Option<Handshake>,
}

/// The series of an interval that is not closed yet.
#[derive(Debug, Default)]
pub(super) struct OpenInterval(HashMap<Slot, OpenSeries>);

impl OpenInterval {
    pub(super) fn series(&mut self, slot: Slot, entry: &Arc<Entry>) -> &mut OpenSeries {
        self.0.entry(slot).or_insert_with(|| OpenSeries::new(Arc::clone(entry)))
    }

    pub(super) fn into_rows(
        self,
        interval: Interval,
        around: &Surroundings,
        recorder: &mut Recorder,
    ) -> Vec<Row> {
        let mut open: Vec<_> = self.0.into_iter().collect();
        open.sort_unstable_by_key(|(slot, _)| *slot);
        open.into_iter()
            .map(|(slot, series)| {
                let outside = around.uplinks.get(slot.uplink.index());
                let observed = outside.and_then(|outside| outside.observed.get(&slot.family));
                let observed = observed.map(|&(address, at)| observation(address, at, interval.end()));
                let uplink = outside.map_or_else(Arc::default, |outside| Arc::clone(&outside.uplink));
                series.into_row(slot, uplink, observed, recorder)
            })
            .collect()
    }
}

/// What was counted and timed of one series so far.
#[derive(Debug)]
pub(super) struct OpenSeries {
    entry: Arc<Entry>,
    pub(super) counters: Counters,
    raw_us: Vec<u64>,
    folded: Histogram,
    attributes: BTreeMap<(&'static str, String), u64>,
}

impl OpenSeries {
    fn new(entry: Arc<Entry>) -> Self {
        Self {
            entry,
            counters: Counters::default(),
            raw_us: Vec::new(),
            folded: Histogram::default(),
            attributes: BTreeMap::new(),
        }
    }

    /// Counts a turn that ended so, without a latency.
    pub(super) fn count(&mut self, ending: Ending) {
        self.counters.count(ending);
    }

    /// Counts turns that were not taken.
    pub(super) fn skip(&mut self, turns: u64) {
        self.counters.merge(&Counters { scheduled: turns, skipped: turns, ..Counters::default() });
    }

    /// Counts an answered turn with its latency.
    pub(super) fn answer(&mut self, latency_us: u64, recorder: &mut Recorder) {
        self.counters.count(Ending::Answered);
        self.raw_us.push(latency_us);
        if self.raw_us.len() == MAX_RAW {
            recorder.fold(&self.raw_us, &mut self.folded);
            self.raw_us.clear();
        }
    }

    /// Counts something that was seen with a probe.
    pub(super) fn note(&mut self, kind: &'static str, value: &str) {
        let key = (kind, clean(value));
        if let Some(count) = self.attributes.get_mut(&key) {
            *count += 1;
        } else if self.attributes.len() < MAX_DISTINCT {
            self.attributes.insert(key, 1);
        } else if self.attributes.len() < MAX_ATTRIBUTES {
            *self.attributes.entry((kind, OTHER.to_owned())).or_default() += 1;
        } else if let Some(count) = self.attributes.get_mut(&(kind, OTHER.to_owned())) {
            *count += 1;
        }
    }

    fn into_row(
        mut self,
        slot: Slot,
        uplink: Arc<str>,
        observed: Option<Observed>,
        recorder: &mut Recorder,
    ) -> Row {
        recorder.fold(&self.raw_us, &mut self.folded);
        let probe_interval_ms = u32::try_from(self.entry.interval.as_millis()).unwrap_or(u32::MAX);
        Row {
            series: Series {
                key: SeriesKey {
                    uplink,
                    target: slot.target,
                    metric: slot.metric,
                    family: slot.family,
                    path: slot.path,
                    clock: slot.clock,
                    http_version: slot.http_version,
                    handshake: slot.handshake,
                },
                target: Arc::new(self.entry.target.clone()),
                probe_interval_ms,
            },
            counters: self.counters,
            histogram: self.folded,
            attributes: self
                .attributes
                .into_iter()
                .map(|((kind, value), count)| Attribute { kind: kind.to_owned(), value, count })
                .collect(),
            observed,
        }
    }
}

fn observation(address: IpAddr, at: Timestamp, end: Timestamp) -> Observed {
    let age = end.since(at).as_secs();
    Observed { address, age_seconds: u32::try_from(age).unwrap_or(u32::MAX) }
}

/// A text as the wire takes it: without control characters and not too long.
fn clean(value: &str) -> String {
    let mut text: String = value.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> OpenSeries {
        let target = peerlight_proto::target::Target {
            name: "a".to_owned(),
            service: String::new(),
            address: "a.example.com".parse().unwrap(),
            probe: "icmp".parse().unwrap(),
        };
        OpenSeries::new(Arc::new(Entry::new(target, Family::V4, std::time::Duration::from_secs(1))))
    }

    #[test]
    fn attributes_stay_within_the_limit_and_none_is_lost() {
        let mut series = series();
        for value in 0..1_000 {
            series.note("address", &format!("192.0.2.{value}\n{}", "é".repeat(400)));
            series.note("status", "200");
        }
        assert!(series.attributes.len() <= MAX_ATTRIBUTES);
        assert_eq!(series.attributes.values().sum::<u64>(), 2_000);
        assert!(
            series
                .attributes
                .keys()
                .all(|(_, value)| value.len() <= MAX_TEXT_BYTES && !value.chars().any(char::is_control))
        );
    }

    #[test]
    fn many_values_are_folded_like_few() {
        let (mut series, mut recorder) = (series(), Recorder::new());
        let values: Vec<u64> = (0..1_000).map(|value| value * 37 % 90_000_000).collect();
        for &value in &values {
            series.answer(value, &mut recorder);
        }
        recorder.fold(&series.raw_us, &mut series.folded);
        assert_eq!(series.folded, Histogram::from_values(values));
        assert_eq!(series.counters.answered, 1_000);
    }
}
