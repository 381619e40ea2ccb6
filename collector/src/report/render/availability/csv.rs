//! Availability as CSV (RFC 4180): for each row a line of scope `span`, then one for each outage and gap that it lists, by
//! kind: `outage`, `silent`, `not_measuring`. Figures are those of JSON, empty where they are null or of another scope.

use crate::{
    report::{
        Dimension,
        availability::{AvailabilityReport, AvailabilityRow, Gap, Outage},
        render::csv::{CsvError, cell, code, names, record, text},
    },
    rfc3339,
};
use peerlight_proto::time::Timestamp;

const SPAN: [&str; 4] = ["scope", "from", "to", "seconds"];
const OF_SPAN: [&str; 16] = [
    "agents",
    "availability",
    "availability_low",
    "availability_high",
    "no_availability_because",
    "icmp_silent_agents",
    "coverage",
    "answered_seconds",
    "outage_seconds",
    "undecided_seconds",
    "refused_seconds",
    "not_measuring_seconds",
    "silent_seconds",
    "icmp_silent_seconds",
    "outage_count",
    "gap_count",
];
const OF_OUTAGE: [&str; 7] = [
    "agents_affected",
    "agents_measuring",
    "unanswered",
    "resolution_seconds",
    "start_known",
    "end_known",
    "ongoing",
];

/// The report as CSV with a header.
pub fn render(report: &AvailabilityReport) -> Result<String, CsvError> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let by = &report.question.by;
    let rest = [&SPAN[..], &OF_SPAN, &OF_OUTAGE].concat();
    writer.write_record(names(by).into_iter().chain(rest.iter().map(|name| (*name).to_owned())))?;
    for row in &report.rows {
        let seconds = report.to.since(report.from).as_secs();
        let head = |scope: &str, from, to, seconds| head(row, by, (scope, from, to, seconds));
        writer.write_record(
            head("span", report.from, report.to, seconds)
                .into_iter()
                .chain(of_span(row))
                .chain(empty(OF_OUTAGE.len())),
        )?;
        for one in &row.outages {
            let head = head("outage", one.from, one.to, one.seconds);
            writer.write_record(head.into_iter().chain(empty(OF_SPAN.len())).chain(of_outage(one)))?;
        }
        for one in &row.gaps {
            let head = head(&code(one.kind), one.from, one.to, one.seconds);
            writer.write_record(head.into_iter().chain(empty(OF_SPAN.len())).chain(of_gap(one)))?;
        }
    }
    text(writer)
}

fn empty(columns: usize) -> impl Iterator<Item = String> {
    std::iter::repeat_n(String::new(), columns)
}

fn head(
    row: &AvailabilityRow,
    by: &[Dimension],
    (scope, from, to, seconds): (&str, Timestamp, Timestamp, u64),
) -> Vec<String> {
    let mut head = record(&row.group, row.metric, by);
    head.extend([scope.to_owned(), rfc3339::text(from), rfc3339::text(to), seconds.to_string()]);
    head
}

fn of_span(row: &AvailabilityRow) -> Vec<String> {
    let availability = row.availability;
    let mut cells = vec![row.agents.to_string()];
    cells.extend(
        [
            availability.map(|share| share.value),
            availability.map(|share| share.low),
            availability.map(|share| share.high),
        ]
        .map(cell),
    );
    cells.push(row.no_availability_because.map(code).unwrap_or_default());
    cells.push(row.icmp_silent_agents.to_string());
    cells.push(cell(row.coverage));
    let seconds = &row.seconds;
    let counts = [
        seconds.answered,
        seconds.outage,
        seconds.undecided,
        seconds.refused,
        seconds.not_measuring,
        seconds.silent,
        seconds.icmp_silent,
        row.outage_count,
        row.gap_count,
    ];
    cells.extend(counts.map(|count| count.to_string()));
    cells
}

fn of_outage(one: &Outage) -> Vec<String> {
    let counts = [one.agents_affected, one.agents_measuring, one.unanswered, one.resolution_seconds];
    let told = [one.start_known, one.end_known, one.ongoing];
    counts.map(|count| count.to_string()).into_iter().chain(told.map(|told| told.to_string())).collect()
}

fn of_gap(one: &Gap) -> impl Iterator<Item = String> {
    std::iter::once(one.agents_affected.to_string()).chain(empty(OF_OUTAGE.len() - 1))
}
