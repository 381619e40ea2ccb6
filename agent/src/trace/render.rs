//! The result of the `path` command: a table, or JSON.

use super::route::{HopAddress, HopLatency, Route, RouteHop};
use crate::format::Format;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use std::{
    io::{self, Write},
    net::SocketAddr,
};

/// One line below the header, and none between rows.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
const HEADER: [&str; 9] = ["hop", "address", "sent", "answered", "min", "median", "max", "clock", "says"];

/// Writes the path to stdout.
pub(super) fn write(route: &Route, format: Format) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Table => write_table(&mut out, route)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, route)?;
            writeln!(out)?;
        }
    }
    out.flush()
}

/// Writes the path as people read it.
pub(crate) fn write_table(out: &mut impl Write, route: &Route) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(HEADER);
    for right in [0, 2, 3, 4, 5, 6] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for hop in &route.hops {
        table.add_row(cells(hop));
    }
    writeln!(out, "Path to {} by {}", describe_target(route), route.method)?;
    writeln!(out, "{table}")?;
    writeln!(out, "Times in milliseconds; a hop that answers rarely or never may forward everything.")?;
    writeln!(out, "{}", route.conclusion())
}

fn describe_target(route: &Route) -> String {
    let address = match route.port {
        Some(port) => SocketAddr::new(route.address, port).to_string(),
        None => route.address.to_string(),
    };
    if route.target == address { address } else { format!("{} ({address})", route.target) }
}

fn cells(hop: &RouteHop) -> Vec<String> {
    let address = |answered: &HopAddress| {
        if hop.addresses.len() == 1 {
            answered.address.to_string()
        } else {
            format!("{} ({})", answered.address, answered.answered)
        }
    };
    let listed: Vec<String> = hop.addresses.iter().map(address).collect();
    let mut cells = vec![
        hop.hop.to_string(),
        if listed.is_empty() { "*".to_owned() } else { listed.join("\n") },
        hop.sent.to_string(),
        hop.answered.to_string(),
    ];
    match hop.latency_ms {
        Some(HopLatency { min, median, max }) => {
            cells.extend([min, median, max].map(|ms| format!("{ms:.3}")));
        }
        None => cells.extend(["–"; 3].map(str::to_owned)),
    }
    cells.push(hop.clock.map_or_else(|| "–".to_owned(), |clock| clock.to_string()));
    cells.push(hop.says.join(", "));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{
        answer::AnswerKind,
        args::{Method, Plan},
        course::{
            Course, Turn,
            tests::{answer, router, run},
        },
    };
    use std::time::Duration;

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
        }
    }

    fn table(plan: &Plan, course: &Course) -> String {
        let mut out = Vec::new();
        write_table(&mut out, &Route::of(plan, course)).unwrap();
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
        let route = Route::of(&plan, &balanced());
        let json = serde_json::to_string_pretty(&route).unwrap();
        assert_eq!(serde_json::from_str::<Route>(&json).unwrap(), route);
        insta::assert_snapshot!("json", json);
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
