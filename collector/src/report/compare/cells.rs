//! Matched cells: what two providers measured at one location of one target, by one metric, family and path, in one quarter
//! hour. Only their differences are looked at, so that neither a mix of places, targets and hours nor who measured more can
//! speak for a provider. A day's rows come in, a day's differences stay.

use super::{loss_difference::Lost, shift::median};
use crate::{
    report::{Groups, group::Share, latency::including_loss},
    store::Row,
};
use hashbrown::HashMap;
use peerlight_proto::{
    histogram::{Histogram, MAX_VALUE_US},
    metric::Metric,
    time::Timestamp,
};
use std::{collections::BTreeMap, sync::Arc};

/// The fewest probes of a side of a cell, answered or lost: what a median needs (rules, §3).
pub const FEWEST_PROBES: u64 = 10;
/// The fewest matched cells of a day: an hour of one target, lest a moment speak for it.
pub const FEWEST_CELLS: u64 = 4;
/// What a cell counts as, in milliseconds, most of whose probes were lost: the longest time that is told apart.
#[expect(clippy::cast_precision_loss, reason = "60,000,000")]
pub const CENSORED_MS: f64 = MAX_VALUE_US as f64 / 1_000.0;

/// The median in milliseconds, lost probes as infinitely slow, and whether it falls on one of them; none where there are too
/// few probes for one.
pub(in super::super) fn median_of(histogram: &Histogram, lost: u64) -> Option<(f64, bool)> {
    let of = histogram.count().saturating_add(lost);
    (of >= FEWEST_PROBES).then(|| {
        // The median of at least ten probes is there unless it falls on a lost one.
        let median = including_loss(histogram, lost).p50;
        (median.unwrap_or(CENSORED_MS), median.is_none())
    })
}

/// The provider, and the one that it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Provider,
    Against,
}

/// Both sides of something.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Sides<T> {
    pub(super) provider: T,
    pub(super) against: T,
}

impl<T> Sides<T> {
    pub(super) fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Provider => &mut self.provider,
            Side::Against => &mut self.against,
        }
    }
}

/// What a day says of a location: it counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Day {
    /// Which, counted back from the end of the span.
    pub(super) number: u32,
    /// The median of its cells' differences, in milliseconds.
    pub(super) difference: f64,
    /// The median of each side's matched cells.
    pub(super) medians: Sides<f64>,
    /// How many cells were matched.
    pub(super) cells: u64,
    /// Of how many of them a side lost most probes.
    pub(super) censored: Sides<u64>,
}

/// What one side measured at a location, matched or not.
#[derive(Debug, Clone, Default)]
pub(super) struct Alone {
    /// The medians of its days; of a day, those of its cells.
    pub(super) medians: Vec<f64>,
    pub(super) cells: u64,
    pub(super) censored: u64,
    pub(super) lost: Lost,
}

/// What is known of a metric at a location.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) days: Vec<Day>,
    /// Matched cells, those of days that do not count included.
    pub(super) matched: u64,
    /// By target, family and path: the matched cells of days that count, and what was lost in them.
    pub(super) strata: BTreeMap<u32, (u64, Sides<Lost>)>,
    /// The times of the same.
    pub(super) times: Sides<Histogram>,
    pub(super) alone: Sides<Alone>,
}

/// What was found so far, by metric and location.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) places: BTreeMap<(Metric, Arc<str>), Place>,
    known: HashMap<u32, Option<Known>>,
}

/// What rows of a group of the store's answer belong to.
#[derive(Debug, Clone)]
struct Known {
    share: Share,
    location: Arc<str>,
    side: Side,
}

/// What a cell is of, apart from its side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CellKey {
    metric: Metric,
    location: Arc<str>,
    subject: u32,
    slot: Timestamp,
}

/// One side of a cell while it is added up.
#[derive(Debug, Clone, Default)]
struct Half {
    histogram: Histogram,
    lost: u64,
}

/// One side of a cell that has enough probes.
#[derive(Debug, Clone, Copy)]
struct Settled {
    median_ms: f64,
    censored: bool,
    lost: Lost,
}

impl Half {
    fn lost(&self) -> Lost {
        Lost { lost: self.lost, of: self.histogram.count().saturating_add(self.lost) }
    }

    fn settled(&self) -> Option<Settled> {
        let (median_ms, censored) = median_of(&self.histogram, self.lost)?;
        Some(Settled { median_ms, censored, lost: self.lost() })
    }
}

impl Cells {
    /// Adds what the store answered of a day. `side` says whose a provider's name is.
    pub(super) fn take(
        &mut self,
        number: u32,
        rows: &[Row],
        groups: &Groups,
        side: impl Fn(&str) -> Option<Side>,
    ) {
        let mut halves: BTreeMap<CellKey, Sides<Half>> = BTreeMap::new();
        for row in rows {
            let known = self.known.entry(row.group).or_insert_with(|| {
                let share =
                    groups.share(row.group).filter(|share| share.counting.counts() && !share.silent)?;
                let group = groups.called(share.group);
                let side = side(group.provider.as_deref()?)?;
                Some(Known { share, location: group.location?.into(), side })
            });
            let Some(Known { share, location, side }) = known else { continue };
            let key = CellKey {
                metric: share.metric,
                location: Arc::clone(location),
                subject: share.group.subject,
                slot: row.slot,
            };
            let half = halves.entry(key).or_default().of_mut(*side);
            half.histogram.merge(&row.totals.histogram);
            half.lost = half.lost.saturating_add(row.totals.counters.network_lost());
        }
        let mut days: BTreeMap<(Metric, Arc<str>), Gathered> = BTreeMap::new();
        for (key, halves) in halves {
            let day = days.entry((key.metric, key.location)).or_default();
            day.add(key.subject, &halves);
        }
        for (key, day) in days {
            day.settle(number, self.places.entry(key).or_default());
        }
    }
}

/// A day of a location while its cells are gathered.
#[derive(Debug, Default)]
struct Gathered {
    differences: Vec<f64>,
    medians: Sides<Vec<f64>>,
    censored: Sides<u64>,
    strata: BTreeMap<u32, (u64, Sides<Lost>)>,
    times: Sides<Histogram>,
    alone: Sides<Alone>,
}

impl Gathered {
    fn add(&mut self, subject: u32, halves: &Sides<Half>) {
        let settled = Sides { provider: halves.provider.settled(), against: halves.against.settled() };
        for (alone, half, settled) in [
            (&mut self.alone.provider, &halves.provider, settled.provider),
            (&mut self.alone.against, &halves.against, settled.against),
        ] {
            alone.medians.extend(settled.map(|settled| settled.median_ms));
            alone.censored += u64::from(settled.is_some_and(|settled| settled.censored));
            alone.lost.add(half.lost());
        }
        let (Some(provider), Some(against)) = (settled.provider, settled.against) else { return };
        self.differences.push(provider.median_ms - against.median_ms);
        self.medians.provider.push(provider.median_ms);
        self.medians.against.push(against.median_ms);
        self.censored.provider += u64::from(provider.censored);
        self.censored.against += u64::from(against.censored);
        self.times.provider.merge(&halves.provider.histogram);
        self.times.against.merge(&halves.against.histogram);
        let (cells, lost) = self.strata.entry(subject).or_default();
        *cells += 1;
        lost.provider.add(provider.lost);
        lost.against.add(against.lost);
    }

    /// Adds the day to what is known of its place.
    fn settle(mut self, number: u32, place: &mut Place) {
        let ours = [&mut self.alone.provider, &mut self.alone.against];
        for (day, alone) in ours.into_iter().zip([&mut place.alone.provider, &mut place.alone.against]) {
            alone.cells += day.medians.len() as u64;
            alone.censored += day.censored;
            alone.medians.extend(median(&mut day.medians));
            alone.lost.add(day.lost);
        }
        let cells = self.differences.len() as u64;
        place.matched += cells;
        if cells < FEWEST_CELLS {
            return;
        }
        let medians = (median(&mut self.medians.provider), median(&mut self.medians.against));
        let (Some(difference), (Some(provider), Some(against))) = (median(&mut self.differences), medians)
        else {
            return;
        };
        let medians = Sides { provider, against };
        place.days.push(Day { number, difference, medians, cells, censored: self.censored });
        place.times.provider.merge(&self.times.provider);
        place.times.against.merge(&self.times.against);
        for (subject, (cells, lost)) in self.strata {
            let (known, sum) = place.strata.entry(subject).or_default();
            *known += cells;
            sum.provider.add(lost.provider);
            sum.against.add(lost.against);
        }
    }
}
