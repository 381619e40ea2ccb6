//! Verdicts, yardsticks and outages of one provider as tables. Pure.

use super::{
    super::{
        frame::{View, address, export},
        list::{Cell, List, numbers, times, words},
        table::NONE,
    },
    Answer,
    beside::{MAX_COMPARED, compared},
    rows::against,
};
use crate::{
    report::{
        Question,
        compare::{Comparison, Judgement},
        render::{
            comparison::{
                because,
                table::{loss, shift},
            },
            figure::{self, length},
            yardsticks::table as yardstick_words,
        },
        yardsticks::YardstickResult,
    },
    rfc3339,
};

/// What the tables of verdicts are called in the page.
const VERDICTS: [&str; MAX_COMPARED] = ["verdicts", "verdicts-2", "verdicts-3"];
/// How many outages are listed, the longest.
const MAX_OUTAGES: usize = 100;

/// What there is to tell beside the figures; a table that would be empty for lack of a subject is left out.
pub(super) fn lists(question: &Question, answer: &Answer) -> Vec<List> {
    let compared: Vec<_> = answer.verdicts.iter().flatten().collect();
    let verdicts =
        VERDICTS.into_iter().zip(compared).map(|(id, comparison)| verdicts(question, id, comparison));
    verdicts.chain(yardsticks(question, answer)).chain(outages(question, answer)).collect()
}

fn verdicts(question: &Question, id: &'static str, comparison: &Comparison) -> List {
    let parameters = compared(question, &comparison.provider, &comparison.against);
    let judged = comparison.metrics.iter().flat_map(|one| {
        let places = one.locations.iter().map(|place| (place.location.as_str(), &place.judgement));
        std::iter::once(("all", &one.overall)).chain(places)
    });
    let there = address(View::Compare.path(), &parameters);
    let line = |(location, judgement): (&str, &Judgement)| {
        let verdict = against(&comparison.against, judgement);
        let ms = |value: Option<f64>| Cell::or_none(value.map(figure::ms));
        vec![
            Cell { href: there.clone(), ..Cell::of(location) },
            Cell::of(format!("{} {}", verdict.mark, verdict.text))
                .beside(because(judgement).unwrap_or_default()),
            Cell::or_none(judgement.shift_ms.map(shift)),
            ms(judgement.threshold_ms),
            ms(judgement.provider.p50_ms),
            ms(judgement.against.p50_ms),
            Cell::or_none(judgement.loss_difference.map(loss)),
            Cell::of(judgement.days.to_string()),
        ]
    };
    List {
        id,
        title: "Against another provider",
        note: format!(
            "{}, {} to {}: only what both measured; {} minus the other, with 95 % over days",
            comparison.against,
            rfc3339::seconds(comparison.from),
            rfc3339::seconds(comparison.to),
            comparison.provider
        ),
        csv: export("/api/v1/reports/compare", &parameters, "csv"),
        columns: vec![
            words("location"),
            words("verdict"),
            numbers("difference, ms"),
            numbers("matters from, ms"),
            numbers("p50, ms"),
            numbers("other's p50, ms"),
            numbers("loses more by"),
            numbers("days"),
        ],
        rows: judged.map(line).collect(),
        ..List::default()
    }
}

/// The parameters by which the API says the same of the provider by location.
fn by_location(question: &Question) -> Vec<(&'static str, String)> {
    let own = question.parameters().into_iter().filter(|(name, _)| !["metric", "step"].contains(name));
    own.collect()
}

fn yardsticks(question: &Question, answer: &Answer) -> Option<List> {
    let report = answer.yardsticks.as_ref().ok()?;
    let line = |row: &crate::report::yardsticks::YardstickRow| {
        let [measured, points, samples] = yardstick_words::figures_of(row);
        vec![
            Cell::of(row.group.location.clone().unwrap_or_default()),
            Cell::of(row.group.target.clone().unwrap_or_default()),
            Cell::of(yardstick_words::called(row.yardstick)).beside(row.metric.to_string()),
            Cell {
                warn: row.result == Some(YardstickResult::Fail),
                ..Cell::of(yardstick_words::result(row))
            },
            Cell::of(measured),
            Cell::of(points),
            Cell::of(samples),
            Cell::of(&row.passes),
        ]
    };
    Some(List {
        id: "yardsticks",
        title: "Microsoft's own yardsticks",
        csv: export("/api/v1/reports/yardsticks", &by_location(question), "csv"),
        empty: "Nothing was measured that Microsoft has a yardstick for: connects to Exchange Online, echoes or UDP to the \
                relays of Teams."
            .to_owned(),
        columns: vec![
            words("location"),
            words("target"),
            words("yardstick"),
            words("result"),
            numbers("measured"),
            numbers("points"),
            numbers("samples"),
            words("passes"),
        ],
        rows: report.rows.iter().map(line).collect(),
        ..List::default()
    })
}

fn outages(question: &Question, answer: &Answer) -> Option<List> {
    let report = answer.availability.as_ref().ok()?;
    let mut all: Vec<_> =
        report.rows.iter().flat_map(|row| row.outages.iter().map(move |one| (row, one))).collect();
    all.sort_by_key(|(_, one)| std::cmp::Reverse((one.ongoing, one.seconds)));
    let count: u64 = report.rows.iter().map(|row| row.outage_count).sum();
    let more = count.saturating_sub(all.len().min(MAX_OUTAGES) as u64);
    let rows = all.into_iter().take(MAX_OUTAGES).map(|(row, one)| {
        vec![
            Cell::of(row.group.location.clone().unwrap_or_else(|| NONE.to_owned()))
                .beside(row.metric.to_string()),
            Cell::of(rfc3339::seconds(one.from)).beside(if one.start_known { "" } else { "or earlier" }),
            Cell { warn: one.ongoing, ..Cell::of(rfc3339::seconds(one.to)) }.beside(
                match (one.ongoing, one.end_known) {
                    (true, _) => "and lasts",
                    (false, true) => "",
                    (false, false) => "or later",
                },
            ),
            Cell::of(length(one.seconds)),
            Cell::of(format!("{} of {}", one.agents_affected, one.agents_measuring)),
            Cell::of(one.unanswered.to_string()),
        ]
    });
    Some(List {
        id: "outages",
        title: "Outages",
        note: if more > 0 { format!("the longest; {more} more are not listed") } else { String::new() },
        csv: export("/api/v1/reports/availability", &by_location(question), "csv"),
        empty: "None in this span.".to_owned(),
        columns: vec![
            words("location"),
            times("from"),
            times("to"),
            numbers("lasted"),
            numbers("agents"),
            numbers("probes unanswered"),
        ],
        rows: rows.collect(),
    })
}
