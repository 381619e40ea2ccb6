//! What is known of the run: its truth, its report, and what its scenario describes.

use super::super::{Cell, OVERHEAD_MS, cells, count, within_error};
use peerlight_lab::scenario::{Scenario, Site};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

/// How many cells the pages show: three targets of six sites, twice one target of these, and three times that of one provider's three.
const SHOWN: usize = 3 * 6 + 2 * 6 + 3 * 3;
/// The fewest of them that must be compared, in percent.
const MIN_COMPARED_PERCENT: usize = 80;

/// The run.
pub(super) struct Known {
    truth: BTreeMap<Cell, Value>,
    report: BTreeMap<Cell, Value>,
    /// The scenario that was run.
    pub(super) scenario: Scenario,
    /// The run's span, as pages and the API take it.
    pub(super) span: String,
    seen: AtomicUsize,
    compared: AtomicUsize,
}

/// The figures of a cell as a page shows them.
pub(super) struct Told<'a> {
    pub(super) p50: &'a str,
    pub(super) p95: &'a str,
    pub(super) loss: &'a str,
}

impl Known {
    pub(super) fn of(document: &Value, scenario: Scenario) -> Self {
        let instant = |name: &str| document["report"][name].as_str().unwrap().to_owned();
        Self {
            truth: cells(&document["truth"]),
            report: cells(&document["report"]["rows"]),
            scenario,
            span: format!("from={}&to={}", instant("from"), instant("to")),
            seen: AtomicUsize::new(0),
            compared: AtomicUsize::new(0),
        }
    }

    /// What a page tells of a cell is what its probes took, within the histogram's error and that of the figure's last digit.
    pub(super) fn assert_true(&self, [provider, location, target, metric]: [&str; 4], told: &Told<'_>) {
        let cell = (provider.to_owned(), location.to_owned(), target.to_owned(), metric.to_owned());
        let (truth, row) = (&self.truth[&cell], &self.report[&cell]);
        self.seen.fetch_add(1, Ordering::Relaxed);
        if count(row, "voided") > 0 {
            // Which ones were voided nobody knows.
            return;
        }
        self.compared.fetch_add(1, Ordering::Relaxed);
        for (told, name) in [(told.p50, "p50_ms"), (told.p95, "p95_ms")] {
            let true_ms = truth[name].as_f64().unwrap();
            let (told_ms, half) = figure(told);
            let difference = told_ms - true_ms;
            let is_true = [-half, half].iter().any(|half| within_error(difference + half, true_ms, row));
            assert!(is_true, "{cell:?}: the page says {told} ms, the truth {true_ms}");
        }
        let (told_percent, half) = figure(told.loss.trim_end_matches('%').trim_start_matches('<'));
        let true_percent = truth["loss"].as_f64().unwrap() * 100.0;
        assert!(
            (told_percent - true_percent).abs() <= half + 1e-6,
            "{cell:?}: the page says {}, the truth {true_percent}%",
            told.loss
        );
    }

    /// A time of a site is one that its path may take.
    pub(super) fn assert_possible(&self, provider: &str, location: &str, told: &str) {
        let site = self.site(provider, location);
        let least = site.conditions.delay.as_secs_f64() * 1_000.0;
        let most = least + site.conditions.jitter.as_secs_f64() * 1_000.0 + OVERHEAD_MS;
        let (told_ms, half) = figure(told);
        assert!(
            (least - half..=most + half).contains(&told_ms),
            "{provider} at {location}: {told} ms is not within {least} and {most}"
        );
    }

    /// The only site of a provider at a location.
    pub(super) fn site(&self, provider: &str, location: &str) -> &Site {
        let mut sites = self.scenario.sites.iter();
        sites.find(|site| site.provider == provider && site.location == location).unwrap()
    }

    pub(super) fn assert_enough_was_compared(&self) {
        let (seen, compared) = (self.seen.load(Ordering::Relaxed), self.compared.load(Ordering::Relaxed));
        assert_eq!(seen, SHOWN);
        assert!(compared * 100 >= seen * MIN_COMPARED_PERCENT, "{compared} of {seen}");
    }
}

/// A figure of a page, and half of its last digit.
fn figure(told: &str) -> (f64, f64) {
    let decimals = told.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let value = told.parse().unwrap_or(f64::NAN);
    (value, 0.5 / 10_f64.powi(i32::try_from(decimals).unwrap()))
}
