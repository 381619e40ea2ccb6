//! The page: its controls, and the part that is renewed while it is open.

use super::{
    assets,
    chart::{self, Chart, MAX_CHARTS, charts},
    table::{PERCENTILES, Table, table},
    view::{GROUPINGS, SPANS, address, filters, widened},
};
use crate::report::{Dimension, Missing, ON_ITS_WAY, Question, Report};
use crate::rfc3339;
use askama::Template;
use peerlight_proto::{duration, metric::Metric, time::Timestamp};
use std::{collections::BTreeSet, time::Duration};

/// How often an open page asks for what is new.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// What a page shows below its controls.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Figures.
    Answer(Box<Answer>),
    /// What is missing before there can be any.
    Empty(Empty),
    /// What went wrong.
    Problem {
        /// In a few words.
        title: &'static str,
        /// Each with what to do.
        errors: Vec<String>,
    },
}

/// Figures: over the span, and over time.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// By what was asked for.
    pub(crate) report: Report,
    /// By provider, in slots of `step`.
    pub(crate) course: Report,
    /// The length of a slot.
    pub(crate) step: Duration,
}

/// Why there is nothing to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Empty {
    /// No site is registered.
    NoRegistration,
    /// Sites are registered, no agent has pushed.
    NoMeasurement,
}

/// The whole page.
#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    title: String,
    css: String,
    js: String,
    icon: String,
    renew_every: u64,
    spans: Vec<Choice>,
    metrics: Vec<Choice>,
    groupings: Vec<Choice>,
    hidden: Vec<(&'static str, String)>,
    filters: Vec<Filter>,
    live: Live,
}

/// The part of the page that is renewed.
#[derive(Template)]
#[template(path = "live.html")]
struct Live {
    metric: String,
    age: Option<Age>,
    span: String,
    problem: Option<(&'static str, Vec<String>)>,
    empty: Option<Empty>,
    figures: Option<Figures>,
}

struct Figures {
    table: Table,
    percentiles: [&'static str; 9],
    charts: Vec<Chart>,
    more_charts: bool,
    step: String,
    intervals: String,
    missing: Vec<String>,
    csv: String,
    json: String,
    wider: Option<String>,
}

/// How old the newest measurement is.
struct Age {
    iso: String,
    words: String,
    stale: bool,
}

struct Choice {
    value: String,
    label: String,
    href: String,
    chosen: bool,
}

struct Filter {
    text: String,
    href: String,
}

/// The page as HTML.
pub(crate) fn page(
    question: &Question,
    measured: &BTreeSet<Metric>,
    content: Content,
    now: Timestamp,
) -> askama::Result<String> {
    let metric = shown_metric(question);
    let spans = SPANS.map(|(label, last)| {
        let there = Question { last: Some(last), step: None, ..question.clone() };
        let href = address("/", &there, &[]);
        Choice { value: label.to_owned(), label: label.to_owned(), href, chosen: question.last == Some(last) }
    });
    Page {
        title: format!("{metric} per provider"),
        css: assets::STYLE.path(),
        js: assets::LIVE.path(),
        icon: assets::ICON.path(),
        renew_every: RENEW_EVERY.as_secs(),
        spans: spans.into(),
        metrics: metrics(&metric, measured),
        groupings: groupings(question),
        hidden: hidden(question),
        filters: filters(question)
            .into_iter()
            .map(|(dimension, name)| Filter {
                text: format!("{dimension}: {name}"),
                href: address("/", &widened(question, dimension, name), &[]),
            })
            .collect(),
        live: live(question, content, now),
    }
    .render()
}

/// The part that is renewed, as HTML.
pub(crate) fn fragment(question: &Question, content: Content, now: Timestamp) -> askama::Result<String> {
    live(question, content, now).render()
}

fn live(question: &Question, content: Content, now: Timestamp) -> Live {
    let mut live = Live {
        metric: shown_metric(question),
        age: None,
        span: span(question),
        problem: None,
        empty: None,
        figures: None,
    };
    match content {
        Content::Problem { title, errors } => live.problem = Some((title, errors)),
        Content::Empty(empty) => live.empty = Some(empty),
        Content::Answer(answer) => {
            live.age = answer.report.measured_until.map(|until| age(until, now));
            live.figures = Some(figures(question, &answer));
        }
    }
    live
}

fn figures(question: &Question, answer: &Answer) -> Figures {
    let Answer { report, course, step } = answer;
    let charts = if report.rows.is_empty() { Vec::new() } else { charts(course, *step) };
    let courses = course.rows.iter().map(chart::title).collect::<BTreeSet<_>>();
    let api = |format| address("/api/v1/reports/latency", question, &[("format", format)]);
    let month = SPANS.last().map(|(_, last)| *last).filter(|last| question.last != Some(*last));
    Figures {
        table: table(report, question),
        percentiles: PERCENTILES,
        more_charts: courses.len() > MAX_CHARTS,
        charts,
        step: duration::text(*step),
        intervals: report.intervals.clone(),
        missing: report.dropped.iter().map(Missing::sentence).collect(),
        csv: api("csv"),
        json: api("json"),
        wider: month
            .map(|last| address("/", &Question { last: Some(last), step: None, ..question.clone() }, &[])),
    }
}

fn shown_metric(question: &Question) -> String {
    question.metrics.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The metrics that were measured, and the one that is shown even if it was not.
fn metrics(shown: &str, measured: &BTreeSet<Metric>) -> Vec<Choice> {
    let mut choices: Vec<Choice> = measured
        .iter()
        .map(|metric| {
            let name = metric.to_string();
            Choice { chosen: name == shown, label: name.clone(), value: name, href: String::new() }
        })
        .collect();
    if !choices.iter().any(|choice| choice.chosen) {
        let name = shown.to_owned();
        choices.insert(
            0,
            Choice { value: name.replace(' ', ""), label: name, href: String::new(), chosen: true },
        );
    }
    choices
}

fn groupings(question: &Question) -> Vec<Choice> {
    let value = |by: &[Dimension]| by.iter().map(|dimension| dimension.name()).collect::<Vec<_>>().join(",");
    let mut choices: Vec<Choice> = GROUPINGS
        .iter()
        .map(|(label, by)| Choice {
            value: value(by),
            label: (*label).to_owned(),
            href: String::new(),
            chosen: question.by == *by,
        })
        .collect();
    if !choices.iter().any(|choice| choice.chosen) {
        let value = value(&question.by);
        choices.push(Choice { label: value.replace(',', ", "), value, href: String::new(), chosen: true });
    }
    choices
}

/// What the form keeps of the question: everything that it has no control for.
fn hidden(question: &Question) -> Vec<(&'static str, String)> {
    question.parameters().into_iter().filter(|(name, _)| !["by", "metric", "step"].contains(name)).collect()
}

fn span(question: &Question) -> String {
    if let Some(last) = question.last {
        let named = SPANS.iter().find(|(_, span)| *span == last).map(|(label, _)| (*label).to_owned());
        return format!("last {}", named.unwrap_or_else(|| duration::text(last)));
    }
    format!("{} to {}", rfc3339::seconds(question.from), rfc3339::seconds(question.to))
}

fn age(until: Timestamp, now: Timestamp) -> Age {
    let age = now.since(until);
    let seconds = age.as_secs();
    let words = match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    };
    Age { iso: rfc3339::text(until), words, stale: age > ON_ITS_WAY }
}
