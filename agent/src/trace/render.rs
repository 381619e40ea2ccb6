//! The result of the `path` command: a table, or JSON.

use super::{
    args::{Method, Plan},
    course::{Course, Hop},
};
use crate::format::Format;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use peerlight_proto::series::Clock;
use serde::Serialize;
use std::{
    io::{self, Write},
    net::IpAddr,
    time::Duration,
};

/// One line below the header, and none between rows.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
const HEADER: [&str; 9] = ["hop", "address", "sent", "answered", "min", "median", "max", "clock", "says"];

/// Writes the path to stdout.
pub(super) fn write(plan: &Plan, course: &Course) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match plan.format {
        Format::Table => write_table(&mut out, plan, course)?,
        Format::Json => write_json(&mut out, plan, course)?,
    }
    out.flush()
}

fn write_table(out: &mut impl Write, plan: &Plan, course: &Course) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(HEADER);
    for right in [0, 2, 3, 4, 5, 6] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (number, hop) in course.hops() {
        table.add_row(cells(number, hop, plan.to.is_ipv6()));
    }
    writeln!(out, "Path to {} by {}", describe_target(plan), plan.method)?;
    writeln!(out, "{table}")?;
    writeln!(out, "Times in milliseconds; a hop that answers rarely or never may forward everything.")?;
    writeln!(out, "{}", conclusion(course))
}

fn describe_target(plan: &Plan) -> String {
    let address = if plan.method == Method::Icmp { plan.to.ip().to_string() } else { plan.to.to_string() };
    if plan.target == address { address } else { format!("{} ({address})", plan.target) }
}

fn cells(number: u8, hop: &Hop, v6: bool) -> Vec<String> {
    let addresses = hop.addresses();
    let address = |&(address, answers): &(IpAddr, usize)| {
        if addresses.len() == 1 { address.to_string() } else { format!("{address} ({answers})") }
    };
    let listed: Vec<String> = addresses.iter().map(address).collect();
    let mut cells = vec![
        number.to_string(),
        if listed.is_empty() { "*".to_owned() } else { listed.join("\n") },
        hop.sent.to_string(),
        hop.answers.len().to_string(),
    ];
    match hop.latency() {
        Some(times) => cells.extend(times.map(|time| format!("{:.3}", time.as_secs_f64() * 1e3))),
        None => cells.extend(["–"; 3].map(str::to_owned)),
    }
    cells.push(hop.clock().map_or_else(|| "–".to_owned(), |clock| clock.to_string()));
    cells.push(says(hop, v6).join(", "));
    cells
}

fn says(hop: &Hop, v6: bool) -> Vec<String> {
    hop.kinds().into_iter().map(|kind| kind.describe(v6)).collect()
}

fn conclusion(course: &Course) -> String {
    let asked = in_words(course.farthest());
    match course.hops().last() {
        Some((number, _)) if course.reached() => format!("The target is {} away.", in_words(number)),
        Some((number, _)) if course.blocked() => {
            format!("Hop {number} lets no packet through to the target.")
        }
        Some((number, _)) => {
            format!("The target did not answer within {asked}; the last that did is hop {number}.")
        }
        None => format!("Nothing answered within {asked}."),
    }
}

fn in_words(hops: u8) -> String {
    if hops == 1 { "one hop".to_owned() } else { format!("{hops} hops") }
}

#[derive(Serialize)]
struct Document<'a> {
    target: &'a str,
    address: IpAddr,
    port: Option<u16>,
    method: String,
    reached: bool,
    max_hops: u8,
    hops: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    hop: u8,
    sent: u32,
    answered: usize,
    addresses: Vec<AddressEntry>,
    latency_ms: Option<LatencyMs>,
    clock: Option<&'static str>,
    says: Vec<String>,
}

#[derive(Serialize)]
struct AddressEntry {
    address: IpAddr,
    answered: usize,
}

#[derive(Serialize)]
struct LatencyMs {
    min: f64,
    median: f64,
    max: f64,
}

impl Entry {
    fn of(hop: u8, what: &Hop, v6: bool) -> Self {
        // To the nanosecond, as it was measured.
        let ms = |time: Duration| (time.as_secs_f64() * 1e9).round() / 1e6;
        let addresses = what.addresses().into_iter();
        Self {
            hop,
            sent: what.sent,
            answered: what.answers.len(),
            addresses: addresses.map(|(address, answered)| AddressEntry { address, answered }).collect(),
            latency_ms: what.latency().map(|[min, median, max]| LatencyMs {
                min: ms(min),
                median: ms(median),
                max: ms(max),
            }),
            clock: what.clock().map(Clock::as_str),
            says: says(what, v6),
        }
    }
}

fn write_json(out: &mut impl Write, plan: &Plan, course: &Course) -> io::Result<()> {
    let v6 = plan.to.is_ipv6();
    let document = Document {
        target: &plan.target,
        address: plan.to.ip(),
        port: (plan.method != Method::Icmp).then(|| plan.to.port()),
        method: plan.method.to_string(),
        reached: course.reached(),
        max_hops: plan.max_hops,
        hops: course.hops().map(|(number, hop)| Entry::of(number, hop, v6)).collect(),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{
        answer::AnswerKind,
        course::{
            Turn,
            tests::{answer, router, run},
        },
    };

    fn plan(target: &str, to: &str, method: Method) -> Plan {
        Plan {
            target: target.into(),
            to: to.parse().unwrap(),
            method,
            max_hops: 12,
            count: 3,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            source: None,
            format: Format::Table,
        }
    }

    fn table(plan: &Plan, course: &Course) -> String {
        let mut out = Vec::new();
        write_table(&mut out, plan, course).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Hop 2 is silent, hop 3 is two routers.
    fn balanced() -> Course {
        let mut course = Course::new(12, 3);
        run(&mut course, 4, &[2, 3]);
        for (round, last) in [(0, 33), (1, 3), (2, 33)] {
            let us = 3_000 + u64::from(last);
            course.answered(Turn { hop: 3, round }, answer(router(last), AnswerKind::Expired, us));
        }
        course
    }

    #[test]
    fn a_reached_target_a_silent_hop_and_a_balanced_one() {
        let plan = plan("tcp://example.com:443", "192.0.2.4:443", Method::Tcp);
        insta::assert_snapshot!("reached", table(&plan, &balanced()));
        let mut out = Vec::new();
        write_json(&mut out, &plan, &balanced()).unwrap();
        insta::assert_snapshot!("json", String::from_utf8(out).unwrap());
    }

    #[test]
    fn what_ends_before_the_target_says_where() {
        let plan = plan("2001:db8::9", "[2001:db8::9]:0", Method::Icmp);
        let mut silent = Course::new(12, 1);
        run(&mut silent, 3, &[3]);
        let mut nothing = Course::new(12, 1);
        run(&mut nothing, 1, &[1]);
        let mut prohibited = Course::new(12, 1);
        let wave = prohibited.next_wave().unwrap();
        prohibited.sent(wave[0]);
        prohibited.answered(wave[0], answer(router(1), AnswerKind::Unreachable(1), 250));
        let tables = [&silent, &nothing, &prohibited].map(|course| table(&plan, course));
        insta::assert_snapshot!("not-reached", tables.join("\n"));
    }
}
