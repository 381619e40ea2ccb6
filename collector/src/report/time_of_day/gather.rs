//! Quarter hours into hours of the day: what each holds over all days, and its median on each, which the contrast takes.

use super::{
    HourFigures, HourLatency, TimeOfDayRow,
    contrast::{Day, busy_and_quiet},
    local::{Clocks, LocalHour},
    question::Days,
};
use crate::{
    registry::Location,
    report::{
        Groups, NoLoss,
        compare::median_of,
        group::{GroupKey, Share},
        latency::{including_loss, intervals},
        loss::loss,
    },
    store::Row,
};
use hashbrown::{HashMap, HashSet};
use jiff::civil::Date;
use peerlight_proto::{histogram::Histogram, measurement::Counters, metric::Metric, time::Timestamp};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// After how long nothing is added to a local hour: an hour that comes twice is two long.
const SETTLED_AFTER: Duration = Duration::from_hours(2);

/// What one row is of.
type RowKey = (GroupKey, Metric, Days);

/// All that was gathered.
#[derive(Debug)]
pub(super) struct Gathered {
    days: Vec<Days>,
    /// By location: of namesakes the one that is there, or was last.
    zones: HashMap<String, String>,
    clocks: HashMap<Arc<str>, Arc<Clocks>>,
    /// By group of the store's answer; none where it does not count.
    known: HashMap<u32, Option<Known>>,
    rows: HashMap<RowKey, OfRow>,
    /// Local hours that more may come to.
    open: HashMap<(RowKey, Date, u8), Open>,
}

/// What rows of a group of the store's answer belong to.
#[derive(Debug, Clone)]
struct Known {
    share: Share,
    clocks: Arc<Clocks>,
}

#[derive(Debug, Default)]
struct OfRow {
    clocks: Option<Arc<Clocks>>,
    hours: BTreeMap<u8, Hour>,
    medians: BTreeMap<Date, Day>,
}

#[derive(Debug, Default)]
struct Hour {
    counters: Counters,
    histogram: Histogram,
    icmp_silent: u64,
    dates: HashSet<Date>,
}

/// A local hour of one day.
#[derive(Debug, Default)]
struct Open {
    last: Timestamp,
    histogram: Histogram,
    lost: u64,
}

impl Gathered {
    pub(super) fn new(days: &[Days], locations: &[Location]) -> Self {
        let mut ordered: Vec<&Location> = locations.iter().collect();
        ordered.sort_by_key(|location| (location.ended.is_none(), location.ended, location.id));
        let zones = ordered.into_iter().map(|location| (location.code.clone(), location.time_zone.clone()));
        Self {
            days: days.to_vec(),
            zones: zones.collect(),
            clocks: HashMap::new(),
            known: HashMap::new(),
            rows: HashMap::new(),
            open: HashMap::new(),
        }
    }

    /// Adds what the store answered of a part that ends at `end`.
    pub(super) fn take(&mut self, rows: &[Row], groups: &Groups, end: Timestamp) {
        // What clocks show at a slot is the same for all rows of a zone.
        let mut shown: HashMap<(*const Clocks, Timestamp), Option<LocalHour>> = HashMap::new();
        for row in rows {
            let Some(Known { share, clocks }) = self.known(row.group, groups) else { continue };
            let local = *shown.entry((Arc::as_ptr(&clocks), row.slot)).or_insert_with(|| clocks.at(row.slot));
            let Some(local) = local else { continue };
            for days in self.days.clone() {
                let counts = match days {
                    Days::All => true,
                    Days::Weekdays => !local.is_weekend,
                    Days::Weekends => local.is_weekend,
                };
                if counts {
                    self.add((share.group, share.metric, days), &clocks, local, row, share.silent);
                }
            }
        }
        self.settle(end.minus(SETTLED_AFTER));
    }

    fn known(&mut self, group: u32, groups: &Groups) -> Option<Known> {
        let Self { known, clocks, zones, .. } = self;
        let found = known.entry(group).or_insert_with(|| {
            let share = groups.share(group).filter(|share| share.counting.counts())?;
            let location = groups.called(share.group).location?;
            let clocks = clocks.entry(location.as_str().into()).or_insert_with(|| {
                Arc::new(Clocks::of(&location, zones.get(&location).map_or("UTC", String::as_str)))
            });
            Some(Known { share, clocks: Arc::clone(clocks) })
        });
        found.clone()
    }

    fn add(&mut self, key: RowKey, clocks: &Arc<Clocks>, local: LocalHour, row: &Row, silent: bool) {
        let of_row = self.rows.entry(key).or_default();
        of_row.clocks.get_or_insert_with(|| Arc::clone(clocks));
        let hour = of_row.hours.entry(local.hour).or_default();
        let mut counters = row.totals.counters;
        if counters.sent() > 0 {
            hour.dates.insert(local.date);
        }
        if silent {
            hour.icmp_silent = hour.icmp_silent.saturating_add(std::mem::take(&mut counters.lost));
        }
        hour.counters.merge(&counters);
        hour.histogram.merge(&row.totals.histogram);
        let open = self.open.entry((key, local.date, local.hour)).or_default();
        open.last = open.last.max(row.slot);
        open.histogram.merge(&row.totals.histogram);
        open.lost = open.lost.saturating_add(counters.network_lost());
    }

    /// Takes the medians of the local hours to which nothing was added since.
    fn settle(&mut self, since: Timestamp) {
        let settled = self.open.extract_if(|_, open| open.last < since);
        for ((key, date, hour), open) in settled {
            let Some((median, _censored)) = median_of(&open.histogram, open.lost) else { continue };
            let day = self.rows.entry(key).or_default().medians.entry(date).or_default();
            if let Some(place) = day.get_mut(usize::from(hour)) {
                *place = Some(median);
            }
        }
    }

    /// The rows.
    pub(super) fn into_rows(mut self, groups: &Groups) -> Vec<TimeOfDayRow> {
        self.settle(Timestamp::from_micros(i64::MAX));
        let mut rows: Vec<_> = self.rows.into_iter().collect();
        groups.sort(&mut rows, |((group, metric, days), _)| (*group, (*metric, *days)));
        let row = |((group, metric, days), of): (RowKey, OfRow)| TimeOfDayRow {
            group: groups.called(group),
            metric,
            days,
            time_zone: of.clocks.map_or_else(|| "UTC".to_owned(), |clocks| clocks.name.clone()),
            busy_quiet: busy_and_quiet(&of.medians),
            hours: of.hours.into_iter().map(|(hour, of)| of.figures(hour)).collect(),
        };
        rows.into_iter().map(row).collect()
    }
}

impl Hour {
    fn figures(&self, hour: u8) -> HourFigures {
        let of = |lost: u64| {
            let latency = including_loss(&self.histogram, lost);
            HourLatency { p50: latency.p50, p95: latency.p95 }
        };
        let loss = loss(&self.counters);
        HourFigures {
            hour,
            days_measured: u32::try_from(self.dates.len()).unwrap_or(u32::MAX),
            sent: self.counters.sent().saturating_add(self.icmp_silent),
            answered: self.counters.answered,
            refused: self.counters.refused,
            icmp_silent: self.icmp_silent,
            loss,
            no_loss_because: (loss.is_none() && self.icmp_silent > 0).then_some(NoLoss::IcmpSilent),
            latency_ms: of(0),
            latency_incl_loss_ms: of(self.counters.network_lost()),
            latency_interval_ms: intervals(&self.histogram),
        }
    }
}
