//! The table: all columns where there is room, the telling ones where there is not.

use super::{none, text_of_us};
use crate::oneshot::{
    canvas::Canvas,
    tally::{Key, Row, Tally},
    targets::Subject,
};
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use peerlight_proto::series::Path;
use std::io::{self, Write};

/// One line below the header, and none between rows.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));
const ASCII_STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('-').junction('-'));
const HEADER: [&str; 16] = [
    "target", "metric", "family", "clock", "path", "sent", "answered", "lost", "refused", "p50", "p90",
    "p95", "p99", "max", "mean", "jitter",
];
/// From here on columns are numbers.
const FIRST_NUMBER: usize = 5;
const TARGET: usize = 0;
const PATH: usize = 4;
/// What goes first where not all has room.
const DISPENSABLE: [&str; 11] =
    ["clock", "p90", "mean", "sent", "refused", "path", "jitter", "max", "p95", "family", "answered"];
/// To how few columns a target is shortened.
const LEAST_TARGET: usize = 12;

/// Writes it. Rows of which nothing was sent have nothing to show; what became of them is said below.
pub(super) fn write(
    out: &mut impl Write,
    subjects: &[Subject],
    tally: &Tally,
    canvas: Canvas,
) -> io::Result<()> {
    let rows: Vec<_> = tally
        .rows()
        .filter(|(_, row)| row.counters.sent() > 0)
        .map(|(key, row)| cells(subjects, key, row, canvas))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let through_proxy = rows.iter().any(|cells| cells[PATH] == Path::Proxy.as_str());
    let mut columns: Vec<usize> =
        (0..HEADER.len()).filter(|&column| column != PATH || through_proxy).collect();
    let mut text = draw(&rows, &columns, canvas, usize::MAX);
    if let Some(width) = canvas.width {
        for dispensable in DISPENSABLE {
            if columns_of(&text) <= width {
                break;
            }
            columns.retain(|&column| HEADER[column] != dispensable);
            text = draw(&rows, &columns, canvas, usize::MAX);
        }
        let too_many = columns_of(&text).saturating_sub(width);
        if too_many > 0 {
            let longest = rows.iter().map(|cells| cells[TARGET].chars().count()).max().unwrap_or(0);
            text = draw(&rows, &columns, canvas, longest.saturating_sub(too_many).max(LEAST_TARGET));
        }
    }
    writeln!(out, "{text}")?;
    let dash = canvas.either("–", "-");
    let notes = [
        "Times in milliseconds;",
        "lost counts late and retransmitted, too;",
        &format!("{dash} means too few answers."),
    ];
    let separator =
        if canvas.width.is_some_and(|width| width < notes.join(" ").chars().count()) { "\n" } else { " " };
    writeln!(out, "{}", notes.join(separator))
}

fn columns_of(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn draw(rows: &[Vec<String>], columns: &[usize], canvas: Canvas, target_columns: usize) -> String {
    let mut table = Table::new();
    let header = columns.iter().map(|&column| HEADER[column]);
    table.load_style(if canvas.unicode { STYLE } else { ASCII_STYLE }).set_header(header);
    for (place, _) in columns.iter().enumerate().filter(|&(_, &column)| column >= FIRST_NUMBER) {
        if let Some(column) = table.column_mut(place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for cells in rows {
        table.add_row(columns.iter().map(|&column| {
            if column == TARGET {
                canvas.shorten(&cells[column], target_columns)
            } else {
                cells[column].clone()
            }
        }));
    }
    table.to_string()
}

fn cells(subjects: &[Subject], key: &Key, row: &Row, canvas: Canvas) -> Vec<String> {
    let counters = &row.counters;
    let mut cells = vec![
        subjects[key.subject].text.clone(),
        key.metric.name().to_owned(),
        key.family.to_string(),
        key.clock.to_string(),
        row.path.unwrap_or(Path::Direct).to_string(),
    ];
    let counts = [counters.sent(), counters.answered, counters.network_lost(), counters.refused];
    cells.extend(counts.map(|count| count.to_string()));
    cells.extend([500, 900, 950, 990].map(|permille| text_of_us(row.percentile(permille), canvas)));
    cells.push(text_of_us(row.histogram.max_us(), canvas));
    let means = [row.histogram.mean_us(), row.jitter_us()];
    cells.extend(means.map(|mean| mean.map_or_else(|| none(canvas), |us| format!("{:.3}", us / 1e3))));
    cells
}
