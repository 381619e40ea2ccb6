//! Comparisons as a table for people: what is said of all locations first, then of each.

use super::{because, words};
use crate::{
    report::{
        compare::{
            Apart, Comparison, FEWEST_DAYS, Judgement, LossDifference, MetricComparison, Reason, Shift,
            Verdict,
        },
        render::{figure, table::plain},
    },
    rfc3339,
};
use comfy_table::{Cell, CellAlignment};
use std::fmt::Write as _;

/// What stands where a value is null.
const NONE: &str = "-";

/// The comparison as a table of at most `width` columns for each metric, with the verdict in words above and notes below.
pub fn render(comparison: &Comparison, width: Option<u16>) -> String {
    let mut text = format!(
        "{} against {}, {} to {}\n",
        comparison.provider,
        comparison.against,
        rfc3339::seconds(comparison.from),
        rfc3339::seconds(comparison.to)
    );
    for one in &comparison.metrics {
        let _ = writeln!(
            text,
            "\n{}: {}{}",
            one.metric,
            sentence(comparison, &one.overall),
            lossier(comparison, &one.overall)
        );
        if !one.locations.is_empty() {
            let _ = write!(text, "\n{}", table(comparison, one, width));
        }
        text.push_str(&apart(&one.apart));
    }
    text.push_str(&notes(comparison));
    text
}

/// What is said of all locations.
pub fn sentence(comparison: &Comparison, overall: &Judgement) -> String {
    let (provider, against) = (&comparison.provider, &comparison.against);
    let by = overall.shift_ms.map(|shift| {
        let (low, high) = (shift.low.abs().min(shift.high.abs()), shift.low.abs().max(shift.high.abs()));
        format!("by {} ms ({} to {})", figure::ms(shift.value.abs()), figure::ms(low), figure::ms(high))
    });
    let by = by.unwrap_or_default();
    match overall.verdict {
        Verdict::Better => format!("{provider} is better than {against}, {by}."),
        Verdict::Worse => format!("{provider} is worse than {against}, {by}."),
        Verdict::NoDifference => {
            format!("between {provider} and {against} there is no difference that matters.")
        }
        Verdict::InsufficientData => {
            let because = match overall.reason {
                Some(Reason::TooFewDays) if overall.days == 0 => {
                    format!("no location has the {FEWEST_DAYS} days that it takes at least")
                }
                _ => because(overall).unwrap_or_default(),
            };
            format!("insufficient data to tell {provider} from {against}: {because}.")
        }
    }
}

/// Which of the two loses more, if this sample tells: the median hardly shows what loses little.
pub fn lossier(comparison: &Comparison, overall: &Judgement) -> String {
    let Some(LossDifference { value, low, high }) = overall.loss_difference else { return String::new() };
    let (name, low, high) = match (low > 0.0, high < 0.0) {
        (true, _) => (&comparison.provider, low, high),
        (_, true) => (&comparison.against, -high, -low),
        _ => return String::new(),
    };
    let [value, low, high] = [value.abs(), low, high].map(|share| format!("{:.2}", share * 100.0));
    format!(" {name} loses more, by {value} % ({low} to {high}).")
}

fn table(comparison: &Comparison, one: &MetricComparison, width: Option<u16>) -> String {
    let mut table = plain(width);
    let header = [
        "LOCATION".to_owned(),
        "VERDICT".to_owned(),
        "SHIFT MS".to_owned(),
        "MATTERS FROM".to_owned(),
        format!("P50 {}", comparison.provider),
        format!("P50 {}", comparison.against),
        "LOSS MORE BY".to_owned(),
        "DAYS".to_owned(),
        "CELLS".to_owned(),
    ];
    table.set_header(aligned(header));
    table.add_row(aligned(row("all", &one.overall)));
    for place in &one.locations {
        table.add_row(aligned(row(&place.location, &place.judgement)));
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    let places = one.locations.iter().filter_map(|place| Some((&place.location, because(&place.judgement)?)));
    for (at, (location, because)) in places.enumerate() {
        text.push_str(if at == 0 { "\n" } else { "" });
        let _ = writeln!(text, "{location}: insufficient data: {because}.");
    }
    text
}

fn aligned(cells: [String; 9]) -> impl Iterator<Item = Cell> {
    cells.into_iter().enumerate().map(|(column, text)| {
        Cell::new(text).set_alignment(if column < 2 { CellAlignment::Left } else { CellAlignment::Right })
    })
}

fn row(location: &str, judgement: &Judgement) -> [String; 9] {
    let ms = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), figure::ms);
    [
        location.to_owned(),
        words(judgement.verdict).to_owned(),
        judgement.shift_ms.map_or_else(|| NONE.to_owned(), shift),
        ms(judgement.threshold_ms),
        ms(judgement.provider.p50_ms),
        ms(judgement.against.p50_ms),
        judgement.loss_difference.map_or_else(|| NONE.to_owned(), loss),
        judgement.days.to_string(),
        judgement.cells.to_string(),
    ]
}

/// A shift with its interval.
pub fn shift(shift: Shift) -> String {
    format!("{} ({} to {})", signed(shift.value), signed(shift.low), signed(shift.high))
}

fn signed(ms: f64) -> String {
    let sign = if ms < 0.0 { "-" } else { "+" };
    format!("{sign}{}", figure::ms(ms.abs()))
}

/// A difference of losses with its interval.
pub fn loss(LossDifference { value, low, high }: LossDifference) -> String {
    let percent = |share: f64| format!("{:+.2}", share * 100.0);
    format!("{}% ({} to {})", percent(value), percent(low), percent(high))
}

/// Where only one of the two measured.
fn apart(places: &[Apart]) -> String {
    if places.is_empty() {
        return String::new();
    }
    let mut text = "\nNot ranked, since only one of the two measured there:\n".to_owned();
    for Apart { provider, location, figures, .. } in places {
        let p50 = figures.p50_ms.map_or_else(|| NONE.to_owned(), |p50| format!("{} ms", figure::ms(p50)));
        let loss = figures.loss.map_or_else(|| NONE.to_owned(), |loss| figure::percent(loss.value));
        let _ =
            writeln!(text, "  {provider} at {location}: p50 {p50}, loss {loss} of {} probes", figures.probes);
    }
    text
}

/// How to read it, once.
fn notes(comparison: &Comparison) -> String {
    let mut notes = String::new();
    let judgements = comparison.metrics.iter().map(|one| &one.overall);
    let censored = |of: fn(&Judgement) -> u64| judgements.clone().map(of).sum::<u64>();
    let sides = [
        (&comparison.provider, censored(|judgement| judgement.provider.censored_cells)),
        (&comparison.against, censored(|judgement| judgement.against.censored_cells)),
    ];
    for (name, cells) in sides.into_iter().filter(|(_, cells)| *cells > 0) {
        let _ = write!(notes, "\n{name} lost most probes of {cells} cells, which count as 60 s.");
    }
    if comparison.metrics.iter().any(|one| !one.locations.is_empty()) {
        let _ = write!(
            notes,
            "\nSHIFT and LOSS: {} minus {}, in brackets 95 %: of the shift over days, of the loss within this sample.",
            comparison.provider, comparison.against
        );
    }
    if notes.is_empty() {
        return notes;
    }
    let _ = writeln!(notes, "\nBy {}.", comparison.method);
    notes
}
