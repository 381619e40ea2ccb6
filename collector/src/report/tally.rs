//! Adds rows of the store up to one row of a report.

use super::{
    Clocks, Group, NoLoss, ReportRow,
    coverage::coverage,
    group::Share,
    latency::{including_loss, intervals, jitter, of_answered},
    loss::loss,
    milliseconds::ms,
    seen::Seen,
};
use crate::{
    admission::Attribution,
    store::{Agents, ClockOffsets, Row, joined, merge_attributes},
};
use peerlight_proto::{
    histogram::Histogram,
    measurement::{Attribute, Counters},
    metric::Metric,
    series::Clock,
    time::Timestamp,
};

/// What has been added up so far. The order in which rows are added does not matter.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    agents: Agents,
    counters: Counters,
    histogram: Histogram,
    jitter: Histogram,
    clock_offsets: Option<ClockOffsets>,
    clocks: Clocks,
    attributes: Vec<Attribute>,
    expected: Option<u64>,
    icmp_silent: u64,
    verified: u64,
    declared: u64,
    declared_uncounted: u64,
    off_prefix: u64,
}

impl Tally {
    /// Adds what was measured.
    pub(super) fn add(&mut self, row: &Row, share: &Share) {
        let Share { clock, counting, silent, .. } = *share;
        let sent = row.totals.counters.sent();
        let column = match counting {
            Counting::Verified => &mut self.verified,
            Counting::Declared => &mut self.declared,
            Counting::DeclaredUncounted => &mut self.declared_uncounted,
            Counting::OffPrefix => &mut self.off_prefix,
        };
        *column = column.saturating_add(sent);
        if !counting.counts() {
            return;
        }
        let clock = match clock {
            Clock::Kernel => &mut self.clocks.kernel,
            Clock::TcpInfo => &mut self.clocks.tcp_info,
            Clock::User => &mut self.clocks.user,
        };
        *clock = clock.saturating_add(row.totals.counters.answered);
        self.agents |= &*row.agents;
        let mut counters = row.totals.counters;
        if silent {
            self.icmp_silent = self.icmp_silent.saturating_add(std::mem::take(&mut counters.lost));
        }
        self.counters.merge(&counters);
        self.histogram.merge(&row.totals.histogram);
        self.clock_offsets = joined(self.clock_offsets, row.totals.clock_offsets);
        merge_attributes(&mut self.attributes, &row.totals.attributes);
    }

    /// Adds what was measured of the metric's jitter.
    pub(super) fn add_jitter(&mut self, row: &Row, counting: Counting) {
        if counting.counts() {
            self.jitter.merge(&row.totals.histogram);
        }
    }

    /// Adds turns that a schedule had.
    pub(super) fn expect(&mut self, turns: u64) {
        self.expected = Some(self.expected.unwrap_or(0).saturating_add(turns));
    }

    pub(super) fn into_row(self, slot: Option<Timestamp>, group: Group, metric: Metric) -> ReportRow {
        let counters = self.counters;
        let loss = loss(&counters);
        let offset = self.clock_offsets.map(ClockOffsets::furthest_us);
        ReportRow {
            slot,
            group,
            metric,
            agents: self.agents.len(),
            coverage: self.expected.and_then(|expected| coverage(counters.scheduled, expected)),
            scheduled: counters.scheduled,
            expected: self.expected,
            sent: counters.sent().saturating_add(self.icmp_silent),
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
            icmp_silent: self.icmp_silent,
            loss,
            no_loss_because: (loss.is_none() && self.icmp_silent > 0).then_some(NoLoss::IcmpSilent),
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

/// How a report counts a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Counting {
    /// Verified: it counts.
    Verified,
    /// Declared, and its registration allows that it counts.
    Declared,
    /// Declared, shown beside.
    DeclaredUncounted,
    /// Off-prefix, shown beside.
    OffPrefix,
}

impl Counting {
    /// Of an attribution; `count_declared` is what the registration allows.
    pub(super) fn of(attribution: Attribution, count_declared: bool) -> Self {
        match attribution {
            Attribution::Verified => Self::Verified,
            Attribution::Declared if count_declared => Self::Declared,
            Attribution::Declared => Self::DeclaredUncounted,
            Attribution::OffPrefix => Self::OffPrefix,
        }
    }

    /// Whether it counts.
    pub(super) fn counts(self) -> bool {
        matches!(self, Self::Verified | Self::Declared)
    }
}
