//! The result of the `selftest` command: a table, or JSON.

use super::{
    machine::{IcmpAccess, Machine},
    row::Row,
    verdict::Verdict,
};
use crate::format::Format;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use peerlight_proto::{histogram::Histogram, series::Clock};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// One line below the header, and none between rows.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
const HEADER: [&str; 15] = [
    "probe",
    "family",
    "clock",
    "sent",
    "answered",
    "lost",
    "error p50",
    "p99",
    "max",
    "noise p50",
    "p99",
    "max",
    "gap p50",
    "p99",
    "max",
];

/// Writes the result to stdout.
pub(super) fn write(format: Format, rows: &[Row], machine: &Machine, verdict: &Verdict) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Table => write_table(&mut out, rows, machine, verdict)?,
        Format::Json => write_json(&mut out, rows, machine, verdict)?,
    }
    out.flush()
}

fn write_table(out: &mut impl Write, rows: &[Row], machine: &Machine, verdict: &Verdict) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(HEADER);
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for row in rows {
        table.add_row(cells(row));
    }
    writeln!(out, "{table}")?;
    writeln!(out, "Times in microseconds; lost counts late and retransmitted, too. HTTPS is not tested.")?;
    for row in rows {
        for (fault, count) in &row.faults {
            writeln!(out, "{}: {count} × {fault}", row.name())?;
        }
    }
    writeln!(out)?;
    for (label, text) in describe(rows, machine) {
        writeln!(out, "{label:<16}{text}")?;
    }
    writeln!(out, "\n{}", verdict.sentence)?;
    verdict.advice.iter().try_for_each(|advice| writeln!(out, "- {advice}"))
}

fn cells(row: &Row) -> Vec<String> {
    let counters = &row.counters;
    let mut cells = vec![
        row.metric.name().to_owned(),
        row.family.to_string(),
        row.clock().map_or_else(none, |clock| clock.to_string()),
    ];
    cells
        .extend([counters.sent(), counters.answered, counters.network_lost()].map(|count| count.to_string()));
    for times in [&row.error, &row.noise, &row.gap] {
        let Spread { p50, p99, max } = Spread::of(times);
        cells.extend([p50, p99, max].map(|us| us.map_or_else(none, |us| us.to_string())));
    }
    cells
}

fn describe(rows: &[Row], machine: &Machine) -> Vec<(&'static str, String)> {
    let unknown = || "unknown".to_owned();
    let mut icmp = format!("IPv4 {}, IPv6 {}", access(machine.icmp_v4), access(machine.icmp_v6));
    if let Some(range) = &machine.ping_group_range {
        icmp = format!("{icmp} (net.ipv4.ping_group_range {range})");
    }
    let buffer = machine.receive_buffer.map_or_else(unknown, |buffer| {
        let most = buffer.rmem_max.map_or_else(unknown, kib);
        format!("{} of {} wanted (net.core.rmem_max {most})", kib(buffer.granted), kib(buffer.wanted))
    });
    let load = machine.load_1m.map_or_else(unknown, |load| format!("{load:.2}"));
    let cpus = machine.cpus.map_or_else(unknown, |cpus| cpus.to_string());
    vec![
        ("kernel", machine.kernel.clone().unwrap_or_else(unknown)),
        ("CPUs", format!("{cpus}, load {load}")),
        ("clock source", machine.clock_source.clone().unwrap_or_else(unknown)),
        ("kernel stamps", yes_or_no(has_kernel_stamps(rows))),
        ("ICMP", icmp),
        ("IPv6", yes_or_no(machine.ipv6)),
        ("receive buffer", buffer),
    ]
}

fn access(access: IcmpAccess) -> &'static str {
    match access {
        IcmpAccess::Unprivileged => "unprivileged",
        IcmpAccess::Raw => "by raw sockets",
        IcmpAccess::NotPermitted => "not permitted",
    }
}

fn has_kernel_stamps(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.clock() == Some(Clock::Kernel))
}

fn yes_or_no(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

fn kib(bytes: usize) -> String {
    format!("{} KiB", bytes / 1_024)
}

fn none() -> String {
    "–".to_owned()
}

#[derive(Serialize)]
struct Document<'a> {
    verdict: &'a Verdict,
    probes: Vec<Entry<'a>>,
    machine: MachineEntry<'a>,
}

#[derive(Serialize)]
struct Entry<'a> {
    metric: &'static str,
    family: &'static str,
    clock: Option<&'static str>,
    sent: u64,
    answered: u64,
    lost: u64,
    error_us: Spread,
    noise_us: Spread,
    gap_us: Spread,
    faults: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct MachineEntry<'a> {
    #[serde(flatten)]
    machine: &'a Machine,
    kernel_stamps: bool,
}

#[derive(Serialize)]
struct Spread {
    p50: Option<u64>,
    p99: Option<u64>,
    max: Option<u64>,
}

impl<'a> Entry<'a> {
    fn of(row: &'a Row) -> Self {
        let counters = &row.counters;
        Self {
            metric: row.metric.name(),
            family: row.family.as_str(),
            clock: row.clock().map(Clock::as_str),
            sent: counters.sent(),
            answered: counters.answered,
            lost: counters.network_lost(),
            error_us: Spread::of(&row.error),
            noise_us: Spread::of(&row.noise),
            gap_us: Spread::of(&row.gap),
            faults: &row.faults,
        }
    }
}

impl Spread {
    /// Percentiles where there are enough values for them (rules, §3).
    fn of(times: &Histogram) -> Self {
        let percentile = |permille, least| times.percentile(permille).filter(|_| times.count() >= least);
        Self { p50: percentile(500, 10), p99: percentile(990, 100), max: times.max_us() }
    }
}

fn write_json(out: &mut impl Write, rows: &[Row], machine: &Machine, verdict: &Verdict) -> io::Result<()> {
    let probes = rows.iter().map(Entry::of).collect();
    let machine = MachineEntry { machine, kernel_stamps: has_kernel_stamps(rows) };
    let document = Document { verdict, probes, machine };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::verdict::{
        judge,
        tests::{machine, row},
    };
    use peerlight_proto::metric::Metric;

    fn rows() -> Vec<Row> {
        let mut rows = vec![
            row(Metric::IcmpRtt, Clock::Kernel, (0..200).map(|n| 10 + n % 30)),
            row(Metric::UdpRtt, Clock::User, (0..50).map(|n| 100 + n)),
        ];
        rows[1].faults.insert("cannot send from this machine: no buffer space".into(), 2);
        rows
    }

    #[test]
    fn the_table_shows_what_was_measured_what_the_machine_allows_and_the_verdict() {
        let (rows, machine) = (rows(), machine());
        let mut out = Vec::new();
        write_table(&mut out, &rows, &machine, &judge(&rows, &machine)).unwrap();
        insta::assert_snapshot!("table", String::from_utf8(out).unwrap());
    }

    #[test]
    fn json_says_the_same() {
        let (rows, machine) = (rows(), machine());
        let mut out = Vec::new();
        write_json(&mut out, &rows, &machine, &judge(&rows, &machine)).unwrap();
        insta::assert_snapshot!("json", String::from_utf8(out).unwrap());
    }
}
