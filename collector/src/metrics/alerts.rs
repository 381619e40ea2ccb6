//! Alerts: how many there are, what it takes to find them, and what became of telling people.

use super::{Label, made};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{sync::atomic::AtomicU64, time::Duration};

/// The alerts of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertCounts {
    /// Those that nobody was told of yet.
    pub pending: usize,
    /// Those that nobody looks after.
    pub firing: usize,
    /// Those that somebody looks after.
    pub acknowledged: usize,
    /// How long it took to find them.
    pub took: Duration,
}

#[derive(Debug)]
pub(super) struct AlertMetrics {
    alerts: Family<Label, Gauge>,
    turn_seconds: Gauge<f64, AtomicU64>,
    turns: Counter,
    deliveries: Family<Label, Counter>,
}

impl AlertMetrics {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let alerts = made(registry, "alerts", "Alerts that are not over, by state", Family::default());
        let turn_seconds = made(
            registry,
            "alert_turn_seconds",
            "Time that the last turn of judging rules took",
            Gauge::default(),
        );
        let turns = made(registry, "alert_turns", "How often the rules were judged", Counter::default());
        let deliveries = made(
            registry,
            "alert_deliveries",
            "Attempts to tell a receiver of an alert, by outcome",
            Family::default(),
        );
        Self { alerts, turn_seconds, turns, deliveries }
    }
}

impl super::Metrics {
    /// Shows the alerts of a turn.
    pub fn alerts(&self, counts: &AlertCounts) {
        let AlertCounts { pending, firing, acknowledged, took } = *counts;
        for (state, count) in [("pending", pending), ("firing", firing), ("acknowledged", acknowledged)] {
            self.alerts
                .alerts
                .get_or_create(&[("state", state)])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.alerts.turn_seconds.set(took.as_secs_f64());
        self.alerts.turns.inc();
    }

    /// Counts an attempt to tell a receiver.
    pub fn told(&self, outcome: &'static str) {
        self.alerts.deliveries.get_or_create(&[("outcome", outcome)]).inc();
    }
}
