//! The time of day as tables for people, one for each row: an hour a line, and above it how busy and quiet hours differ.

use crate::{
    report::{
        NoLoss,
        render::{
            figure,
            table::{NONE, bounded, plain, with_loss},
        },
        time_of_day::{Days, HourFigures, TimeOfDayReport, TimeOfDayRow},
    },
    rfc3339,
};
use comfy_table::{Cell, CellAlignment};
use std::fmt::Write as _;

/// The report as tables of at most `width` columns, with a line above that says what they are about and notes below.
pub fn render(report: &TimeOfDayReport, width: Option<u16>) -> String {
    let mut text = format!(
        "By the hour at the location, {} to {}\n",
        rfc3339::seconds(report.from),
        rfc3339::seconds(report.to)
    );
    for row in &report.rows {
        let days = match row.days {
            Days::All => "",
            Days::Weekdays => ", weekdays",
            Days::Weekends => ", weekends",
        };
        let label = row.group.label(&report.question.by);
        let _ = write!(text, "\n{label} · {}{days}, {}: {}\n\n", row.metric, row.time_zone, sentence(row));
        text.push_str(&table(row, width));
    }
    if report.rows.is_empty() {
        text.push_str("\nNothing was measured in that span. Is an agent enrolled and running? See `peerlight-collector agent list`.\n");
        return text;
    }
    text.push_str(&notes(report));
    text
}

/// How the busy hour differs from the quiet one.
pub fn sentence(row: &TimeOfDayRow) -> String {
    if row.hours.iter().all(|hour| hour.no_loss_because == Some(NoLoss::IcmpSilent)) {
        return "the target never answers ICMP.".to_owned();
    }
    let Some(found) = row.busy_quiet else {
        return "too few days to tell a busy hour from a quiet one.".to_owned();
    };
    let (busy, quiet) = (found.busy_hour, found.quiet_hour);
    let Some(shift) = found.difference_ms else {
        return format!(
            "slowest at {busy:02}, fastest at {quiet:02}; {} days between are too few to say by how much.",
            found.days
        );
    };
    let [low, high] = [shift.low, shift.high].map(signed);
    let by = format!("{} ms ({low} to {high}, {} days)", signed(shift.value), found.days);
    if shift.low > 0.0 {
        format!("slower at {busy:02} than at {quiet:02} by {by}.")
    } else {
        format!("no difference shown between {busy:02} and {quiet:02}: {by}.")
    }
}

fn signed(ms: f64) -> String {
    format!("{}{}", if ms < 0.0 { "-" } else { "+" }, figure::ms(ms.abs()))
}

fn table(row: &TimeOfDayRow, width: Option<u16>) -> String {
    let mut table = plain(width);
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    let titles = ["HOUR", "DAYS", "SENT", "LOSS", "P50", "P95", "P50+LOSS", "P95+LOSS"];
    table.set_header(titles.map(|title| right(title.to_owned())));
    for hour in &row.hours {
        table.add_row(cells(hour).map(right));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// What stands in the line of an hour.
pub fn cells(hour: &HourFigures) -> [String; 8] {
    let loss = match (hour.no_loss_because, hour.loss) {
        (Some(NoLoss::IcmpSilent), _) => "icmp silent".to_owned(),
        (None, None) => NONE.to_owned(),
        (None, Some(loss)) => crate::report::render::table::loss(loss),
    };
    let (answered, incl_loss) = (hour.latency_ms, hour.latency_incl_loss_ms);
    [
        format!("{:02}", hour.hour),
        hour.days_measured.to_string(),
        hour.sent.to_string(),
        loss,
        bounded(answered.p50, hour.latency_interval_ms.p50),
        bounded(answered.p95, hour.latency_interval_ms.p95),
        with_loss(answered.p50, incl_loss.p50),
        with_loss(answered.p95, incl_loss.p95),
    ]
}

/// How to read it.
fn notes(report: &TimeOfDayReport) -> String {
    let mut notes =
        "\nTimes in ms. In brackets: 95 %, of hours within this sample, of the difference over days."
            .to_owned();
    if report.rows.iter().flat_map(|row| &row.hours).any(|hour| hour.icmp_silent > 0) {
        notes.push_str("\nicmp silent: the target never answers ICMP there while TCP works: no loss.");
    }
    notes.push_str(
        "\nBusy and quiet hours are chosen on every other day, and compared on the days between.\n",
    );
    notes
}
