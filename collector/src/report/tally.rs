//! Adds rows of the store up to one row of a report.

use super::{
    Clocks, Group, ReportRow,
    coverage::coverage,
    latency::{including_loss, intervals, jitter, of_answered},
    loss::loss,
    milliseconds::ms,
    seen::Seen,
};
use crate::{
    admission::Attribution,
    store::{ClockOffsets, Row, joined, merge_attributes},
};
use peerlight_proto::{
    histogram::Histogram,
    id::AgentId,
    measurement::{Attribute, Counters},
    metric::Metric,
    series::Clock,
    time::Timestamp,
};
use std::collections::BTreeSet;

/// What has been added up so far. The order in which rows are added does not matter.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    agents: BTreeSet<AgentId>,
    counters: Counters,
    histogram: Histogram,
    jitter: Histogram,
    clock_offsets: Option<ClockOffsets>,
    clocks: Clocks,
    attributes: Vec<Attribute>,
    expected: Option<u64>,
    verified: u64,
    declared: u64,
    declared_uncounted: u64,
    off_prefix: u64,
}

impl Tally {
    /// Adds a row; `count_declared` is what its registration allows.
    pub(super) fn add(&mut self, row: &Row, count_declared: bool) {
        let sent = row.totals.counters.sent();
        let column = match row.key.attribution {
            Attribution::Verified => &mut self.verified,
            Attribution::Declared if count_declared => &mut self.declared,
            Attribution::Declared => &mut self.declared_uncounted,
            Attribution::OffPrefix => &mut self.off_prefix,
        };
        *column = column.saturating_add(sent);
        if !counts(row.key.attribution, count_declared) {
            return;
        }
        let clock = match row.series.key.clock {
            Clock::Kernel => &mut self.clocks.kernel,
            Clock::TcpInfo => &mut self.clocks.tcp_info,
            Clock::User => &mut self.clocks.user,
        };
        *clock = clock.saturating_add(row.totals.counters.answered);
        self.agents.insert(row.key.agent);
        self.counters.merge(&row.totals.counters);
        self.histogram.merge(&row.totals.histogram);
        self.clock_offsets = joined(self.clock_offsets, row.totals.clock_offsets);
        merge_attributes(&mut self.attributes, &row.totals.attributes);
    }

    /// Adds a row of the metric's jitter.
    pub(super) fn add_jitter(&mut self, row: &Row, count_declared: bool) {
        if counts(row.key.attribution, count_declared) {
            self.jitter.merge(&row.totals.histogram);
        }
    }

    /// Adds turns that a schedule had.
    pub(super) fn expect(&mut self, turns: u64) {
        self.expected = Some(self.expected.unwrap_or(0).saturating_add(turns));
    }

    pub(super) fn into_row(self, slot: Option<Timestamp>, group: Group, metric: Metric) -> ReportRow {
        let counters = self.counters;
        let offset = self.clock_offsets.map(ClockOffsets::furthest_us);
        ReportRow {
            slot,
            group,
            metric,
            agents: self.agents.len() as u64,
            coverage: self.expected.and_then(|expected| coverage(counters.scheduled, expected)),
            scheduled: counters.scheduled,
            expected: self.expected,
            sent: counters.sent(),
            answered: counters.answered,
            lost: counters.lost,
            refused: counters.refused,
            late: counters.late,
            retransmitted: counters.retransmitted,
            skipped: counters.skipped,
            voided: counters.voided,
            dns_failed: counters.dns_failed,
            send_failed: counters.send_failed,
            duplicate: counters.duplicate,
            foreign: counters.foreign,
            loss: loss(&counters),
            latency_ms: of_answered(&self.histogram),
            latency_incl_loss_ms: including_loss(&self.histogram, counters.network_lost()),
            latency_interval_ms: intervals(&self.histogram),
            jitter_ms: jitter(&self.jitter),
            agent_noise_ms: None,
            clocks: self.clocks,
            overflow: self.histogram.overflow(),
            verified: self.verified,
            declared: self.declared,
            declared_uncounted: self.declared_uncounted,
            off_prefix: self.off_prefix,
            max_clock_offset_ms: offset
                .map(|us| ms(us.unsigned_abs()).copysign(if us < 0 { -1.0 } else { 1.0 })),
            seen: Seen::of(self.attributes),
        }
    }
}

/// Whether a report counts measurements of this attribution.
pub(super) fn counts(attribution: Attribution, count_declared: bool) -> bool {
    match attribution {
        Attribution::Verified => true,
        Attribution::Declared => count_declared,
        Attribution::OffPrefix => false,
    }
}
