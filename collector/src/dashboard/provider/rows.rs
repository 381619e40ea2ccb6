//! A row for each location: its figures, their trend, and what stands beside them. Pure.

use super::{
    super::{
        chart::{axis::Axis, scale::Scale},
        frame::{View, address},
        overview::{
            grid::{MATTERING_LOSS, change},
            spark::{Spark, spark},
        },
        table::{ENOUGH_COVERAGE, Figure, NONE, loss_figure, or_none, timed},
    },
    Answer,
};
use crate::report::{
    Dimension, Question, ReportRow,
    availability::AvailabilityRow,
    compare::{Judgement, Verdict},
    render::{availability::table::figures_of, comparison::words, figure},
    yardsticks::YardstickResult,
};
use std::collections::BTreeMap;

/// A location of the provider.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) location: String,
    pub(super) name: String,
    pub(super) href: String,
    pub(super) p50: Figure,
    pub(super) p95: Figure,
    pub(super) p99: String,
    pub(super) change: String,
    pub(super) spark: Spark,
    pub(super) loss: Figure,
    pub(super) lossy: bool,
    pub(super) jitter: String,
    pub(super) coverage: String,
    pub(super) poorly_covered: bool,
    pub(super) available: Figure,
    pub(super) outages: String,
    pub(super) yardsticks: String,
    pub(super) fails: bool,
    pub(super) verdicts: Vec<Against>,
    pub(super) sent: u64,
    pub(super) agents: u64,
}

/// What the provider is beside another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Against {
    pub(super) class: &'static str,
    pub(super) mark: &'static str,
    pub(super) text: String,
}

pub(super) fn rows(question: &Question, answer: &Answer) -> Vec<Row> {
    let axis = Axis::of(&answer.trend.course, answer.trend.step);
    let mut courses: BTreeMap<String, BTreeMap<u32, &ReportRow>> = BTreeMap::new();
    for row in &answer.trend.course.rows {
        if let Some(slot) = row.slot.and_then(|slot| axis.slot(slot)) {
            courses.entry(label(row)).or_default().insert(slot, row);
        }
    }
    let figures = answer.trend.course.rows.iter().flat_map(|row| [row.latency_ms.p50, row.latency_ms.p95]);
    let scale = Scale::of(figures.flatten());
    let none = BTreeMap::new();
    let drawn = |row: &ReportRow| spark(courses.get(&label(row)).unwrap_or(&none), axis, scale);
    answer.trend.report.rows.iter().map(|row| made(question, answer, row, drawn(row))).collect()
}

fn label(row: &ReportRow) -> String {
    row.group.label(&[Dimension::Location])
}

fn made(question: &Question, answer: &Answer, row: &ReportRow, spark: Spark) -> Row {
    let location = row.group.location.clone().unwrap_or_default();
    let before = answer.trend.before.as_ref();
    let before = before.and_then(|before| before.rows.iter().find(|there| there.group == row.group));
    let available = availability(answer, row).map(figures_of);
    let (yardsticks, fails) = yardsticks(answer, &location);
    let kept = question.parameters();
    let others = kept.iter().filter(|(name, _)| !["by", "location"].contains(name));
    Row {
        href: address(View::Series.path(), others.chain(&[("location", location.clone())])),
        name: answer.names.get(&location).cloned().unwrap_or_default(),
        p50: timed(row.latency_ms.p50, row.latency_interval_ms.p50),
        p95: timed(row.latency_ms.p95, row.latency_interval_ms.p95),
        p99: or_none(row.latency_ms.p99),
        change: change(row, before),
        spark,
        loss: loss_figure(row.loss),
        lossy: row.loss.is_some_and(|loss| loss.low >= MATTERING_LOSS),
        jitter: or_none(row.jitter_ms.and_then(|jitter| jitter.p50)),
        coverage: row.coverage.map_or_else(|| NONE.to_owned(), figure::percent),
        poorly_covered: row.coverage.is_some_and(|coverage| coverage < ENOUGH_COVERAGE),
        outages: available.as_ref().map_or_else(|| NONE.to_owned(), |[_, _, _, outages, ..]| outages.clone()),
        available: available.map_or_else(
            || Figure { value: NONE.to_owned(), interval: String::new() },
            |[_, _, share, ..]| {
                let (value, interval) = super::super::chart::in_two(&share);
                Figure { value: value.to_owned(), interval: interval.to_owned() }
            },
        ),
        yardsticks,
        fails,
        verdicts: verdicts(answer, &location),
        sent: row.sent,
        agents: row.agents,
        location: label(row),
    }
}

/// The availability by the metric of the figures; by connects where these are of another.
fn availability<'a>(answer: &'a Answer, row: &ReportRow) -> Option<&'a AvailabilityRow> {
    let report = answer.availability.as_ref().ok()?;
    let there = || report.rows.iter().filter(|there| there.group == row.group);
    there().find(|there| there.metric == row.metric).or_else(|| there().next_back())
}

/// How many yardsticks are met there, and whether one is not.
fn yardsticks(answer: &Answer, location: &str) -> (String, bool) {
    let Ok(report) = &answer.yardsticks else { return (NONE.to_owned(), false) };
    let there = report.rows.iter().filter(|row| row.group.location.as_deref() == Some(location));
    let judged: Vec<_> = there.filter_map(|row| row.result).collect();
    let passed = judged.iter().filter(|result| **result == YardstickResult::Pass).count();
    match judged.len() {
        0 => (NONE.to_owned(), false),
        all => (format!("{passed} of {all} met"), passed < all),
    }
}

fn verdicts(answer: &Answer, location: &str) -> Vec<Against> {
    let compared = answer.verdicts.iter().flatten();
    let found = compared.filter_map(|comparison| {
        let places = comparison.metrics.iter().flat_map(|one| &one.locations);
        let place = places.into_iter().find(|place| place.location == location)?;
        Some(against(&comparison.against, &place.judgement))
    });
    found.collect()
}

/// `better than Borealis`.
pub(super) fn against(other: &str, judgement: &Judgement) -> Against {
    let (class, mark) = match judgement.verdict {
        Verdict::Better => ("better", "✓"),
        Verdict::Worse => ("worse", "✗"),
        Verdict::NoDifference => ("same", "="),
        Verdict::InsufficientData => ("unsure", "?"),
    };
    let verdict = words(judgement.verdict);
    let text = match judgement.verdict {
        Verdict::Better | Verdict::Worse => format!("{verdict} than {other}"),
        Verdict::NoDifference => format!("{verdict} to {other}"),
        Verdict::InsufficientData => format!("{verdict} against {other}"),
    };
    Against { class, mark, text }
}
