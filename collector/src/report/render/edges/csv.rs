//! Edge mix as CSV (RFC 4180): one line for each slot and front door. What is known of the front door stands in each of its lines.

use crate::{
    report::{
        edges::{EdgeShare, EdgesReport, ratio},
        render::csv::{CsvError, cell, code, defused, names, record, table},
        served::METRIC,
    },
    rfc3339,
};

const HEADER: [&str; 11] = [
    "slot",
    "front_door",
    "city",
    "country",
    "requests",
    "share",
    "share_of_span",
    "least_km",
    "most_km",
    "nearness",
    "connect_p50_ms",
];

/// The report as CSV with a header.
pub fn render(report: &EdgesReport) -> Result<String, CsvError> {
    let by = &report.question.by;
    let rows = report.rows.iter().flat_map(|row| {
        row.slots.iter().flat_map(move |slot| {
            let told: u64 = slot.front_doors.iter().map(|door| door.requests).sum();
            slot.front_doors.iter().map(move |door| {
                let mut line = record(&row.group, METRIC, by);
                line.extend([rfc3339::text(slot.slot), defused(&door.code)]);
                let known = row.front_doors.iter().find(|known| known.code == door.code);
                let [city, country, of_span, least, most, nearness, p50] = of_door(known);
                let share = cell(Some(ratio(door.requests, told)));
                line.extend([
                    city,
                    country,
                    door.requests.to_string(),
                    share,
                    of_span,
                    least,
                    most,
                    nearness,
                    p50,
                ]);
                line
            })
        })
    });
    table(names(by).into_iter().chain(HEADER.map(str::to_owned)), rows)
}

fn of_door(known: Option<&EdgeShare>) -> [String; 7] {
    let Some(door) = known else { return Default::default() };
    [
        door.city.clone().unwrap_or_default(),
        door.country.clone().unwrap_or_default(),
        cell(Some(door.share)),
        cell(door.distance.map(|distance| distance.least_km)),
        cell(door.distance.map(|distance| distance.most_km)),
        door.nearness.map(code).unwrap_or_default(),
        cell(door.connect_p50_ms),
    ]
}
