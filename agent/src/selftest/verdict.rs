//! The verdict: whether this machine's times can be relied on. Pure.

use super::{
    machine::{IcmpAccess, Machine, ReceiveBuffer},
    row::Row,
};
use peerlight_proto::{
    histogram::Histogram,
    metric::Metric,
    series::{Clock, Family},
};
use serde::Serialize;
use std::time::Duration;

/// The largest error of good times, in microseconds.
const GOOD_US: u64 = 100;
/// The largest error of usable times, in microseconds.
const USABLE_US: u64 = 1_000;
/// How many of a thousand probes may get lost on a usable machine.
const USABLE_LOSS_PERMILLE: u64 = 1;
/// How many of a thousand probes may fail on a usable machine for other reasons.
const USABLE_FAILURES_PERMILLE: u64 = 10;
/// A probe that is begun this long after its turn may miss the next one: no public target is probed more often (rules, §9).
const MISSED_TURN: Duration = Duration::from_secs(1);
/// Clock sources that are read without a call of the hypervisor and without a way over a bus.
const FAST_CLOCK_SOURCES: [&str; 5] =
    ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen"];

/// How far this machine's times can be relied on, from the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grade {
    /// To the microseconds.
    Good,
    /// To the millisecond.
    Usable,
    /// Not at all.
    Poor,
}

/// How far this machine's times can be relied on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    pub(super) grade: Grade,
    /// All of it, in one sentence.
    pub(super) sentence: String,
    /// What to do about it.
    pub(super) advice: Vec<String>,
}

/// Something that keeps the machine from being good.
struct Fault {
    grade: Grade,
    reason: String,
    advice: Option<String>,
}

/// Judges what was measured on `machine`.
pub(super) fn judge(rows: &[Row], machine: &Machine) -> Verdict {
    let mut faults: Vec<Fault> = rows.iter().flat_map(|row| faults_of(row, machine)).collect();
    if rows.is_empty() {
        faults.push(Fault { grade: Grade::Poor, reason: "nothing was measured".into(), advice: None });
    }
    let grade = faults.iter().map(|fault| fault.grade).max().unwrap_or(Grade::Good);
    let reasons = faults.iter().filter(|fault| fault.grade == grade).map(|fault| fault.reason.as_str());
    let sentence = match grade {
        Grade::Good => praise(rows),
        Grade::Usable => format!("usable: {}", reasons.collect::<Vec<_>>().join("; ")),
        Grade::Poor => format!("poor: {}", reasons.collect::<Vec<_>>().join("; ")),
    };
    let mut advice = Vec::new();
    for text in faults.into_iter().filter_map(|fault| fault.advice).chain(remarks(machine)) {
        if !advice.contains(&text) {
            advice.push(text);
        }
    }
    Verdict { grade, sentence, advice }
}

fn praise(rows: &[Row]) -> String {
    let worst = rows.iter().filter_map(|row| Some((bound_us(&row.error)?, row.name()))).max();
    let (us, name) = worst.unwrap_or_default();
    format!("good: 99 % of all times are off by at most {us} µs ({name}), by the kernel's clocks")
}

/// The error that 99 % of the times do not exceed; the largest, where they are too few for that.
fn bound_us(errors: &Histogram) -> Option<u64> {
    if errors.count() >= 100 { errors.percentile(990) } else { errors.max_us() }
}

fn faults_of(row: &Row, machine: &Machine) -> Vec<Fault> {
    let Some(bound) = bound_us(&row.error) else { return vec![silence(row, machine)] };
    let judgements = [
        inaccuracy(row, bound, machine),
        own_clock(row),
        false_loss(row, machine),
        failures(row),
        lateness(row),
    ];
    judgements.into_iter().flatten().collect()
}

/// Nothing was answered.
fn silence(row: &Row, machine: &Machine) -> Fault {
    let icmp = match row.family {
        Family::V4 => machine.icmp_v4,
        Family::V6 => machine.icmp_v6,
    };
    if row.metric == Metric::IcmpRtt && icmp == IcmpAccess::NotPermitted {
        // Everything else is measured as well as ever; what would permit it is among the remarks.
        let reason = format!("{} is not permitted", row.name());
        return Fault { grade: Grade::Usable, reason, advice: None };
    }
    let why = row.worst_fault().unwrap_or("no probe was answered");
    let unsent = row.counters.send_failed == row.counters.scheduled;
    let advice = (!unsent).then(|| "see that the firewall of this machine leaves loopback alone".to_owned());
    Fault { grade: Grade::Poor, reason: format!("{} cannot be measured ({why})", row.name()), advice }
}

fn inaccuracy(row: &Row, bound: u64, machine: &Machine) -> Option<Fault> {
    let grade = if bound <= GOOD_US {
        return None;
    } else if bound <= USABLE_US {
        Grade::Usable
    } else {
        Grade::Poor
    };
    let advice = if machine.is_overloaded() {
        "more threads want a CPU than there are: give the agent a quieter machine, or test again when this one rests"
    } else {
        "if this is a virtual machine, give it CPUs of its own: whoever takes them away delays its packets, too"
    };
    let reason = format!("{} is off by up to {} at the 99th percentile", row.name(), in_words(bound));
    Some(Fault { grade, reason, advice: Some(advice.into()) })
}

fn own_clock(row: &Row) -> Option<Fault> {
    (row.clock() == Some(Clock::User)).then(|| Fault {
        grade: Grade::Usable,
        reason: format!(
            "{} is timed by this process's clock, to which every delay of this machine adds",
            row.name()
        ),
        advice: Some(
            "run the agent on a Linux kernel that stamps packets (SO_TIMESTAMPING), and on a quiet machine"
                .into(),
        ),
    })
}

fn false_loss(row: &Row, machine: &Machine) -> Option<Fault> {
    let (lost, sent) = (row.counters.network_lost(), row.counters.sent());
    let grade = grade_of_share(lost, sent, USABLE_LOSS_PERMILLE)?;
    let advice = match machine.receive_buffer {
        Some(buffer) if buffer.is_short() => None,
        Some(_) | None => {
            Some("give the agent more CPU time: answers came, but were not taken in time".to_owned())
        }
    };
    Some(Fault {
        grade,
        reason: format!("{lost} of {sent} probes of {} got lost within this machine", row.name()),
        advice,
    })
}

/// What was neither answered nor lost.
fn failures(row: &Row) -> Option<Fault> {
    let counters = &row.counters;
    let failed = counters.scheduled.saturating_sub(counters.answered + counters.network_lost());
    let grade = grade_of_share(failed, counters.scheduled, USABLE_FAILURES_PERMILLE)?;
    let why = row.worst_fault().unwrap_or("for an unknown reason");
    let reason = format!("{failed} of {} probes of {} failed ({why})", counters.scheduled, row.name());
    Some(Fault { grade, reason, advice: None })
}

fn lateness(row: &Row) -> Option<Fault> {
    let late = bound_us(&row.gap).filter(|&us| u128::from(us) > MISSED_TURN.as_micros())?;
    Some(Fault {
        grade: Grade::Poor,
        reason: format!("probes of {} begin {} after their turn", row.name(), in_words(late)),
        advice: Some("give the agent more CPU time: it misses turns of its schedule".into()),
    })
}

fn grade_of_share(part: u64, whole: u64, usable_permille: u64) -> Option<Grade> {
    match part {
        0 => None,
        _ if part * 1_000 <= whole * usable_permille => Some(Grade::Usable),
        _ => Some(Grade::Poor),
    }
}

/// What is worth doing whatever the grade.
fn remarks(machine: &Machine) -> impl Iterator<Item = String> {
    let denied = [(Family::V4, machine.icmp_v4), (Family::V6, machine.icmp_v6)]
        .into_iter()
        .any(|(family, access)| access == IcmpAccess::NotPermitted && (family == Family::V4 || machine.ipv6));
    let icmp = denied.then(|| {
        "to permit ICMP, put the agent's group into the sysctl net.ipv4.ping_group_range (such as \"0 2147483647\"), or \
         give it the capability CAP_NET_RAW"
            .to_owned()
    });
    let buffer = machine.receive_buffer.filter(ReceiveBuffer::is_short).map(|buffer| {
        format!(
            "the receive buffer is {} KiB: bursts of probes lose answers unless the sysctl net.core.rmem_max is {}",
            buffer.granted / 1_024,
            buffer.wanted
        )
    });
    let slow = machine.clock_source.as_deref().filter(|source| !FAST_CLOCK_SOURCES.contains(source));
    let clock = slow
        .map(|source| format!("the clock source {source} is slow to read; tsc is better where it is stable"));
    [icmp, buffer, clock].into_iter().flatten()
}

impl ReceiveBuffer {
    /// Whether it is smaller than what the engines ask for.
    fn is_short(&self) -> bool {
        self.granted < self.wanted
    }
}

fn in_words(us: u64) -> String {
    if us < 1_000 { format!("{us} µs") } else { format!("{}.{} ms", us / 1_000, us % 1_000 / 100) }
}

#[cfg(test)]
pub(super) mod tests;
