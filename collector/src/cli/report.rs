//! `report`: asks the API, and prints what it answers.

mod args;

pub use args::{
    AvailabilityArgs, AzureReachabilityArgs, CompareArgs, EdgesArgs, HtmlArgs, LatencyQuestion,
    ReportCommand, ReportFormat, Selection, SeriesArgs, TimeOfDayArgs, YardsticksArgs,
};

use self::args::Span;
use super::Output;
use crate::{
    client::Client,
    report::{
        Report, availability::AvailabilityReport, compare::Comparison, edges::EdgesReport,
        physics::PhysicsReport, render, series::SeriesReport, time_of_day::TimeOfDayReport,
        yardsticks::YardsticksReport,
    },
};
use serde::de::DeserializeOwned;

/// The parameters of a question.
type Parameters = Vec<(&'static str, String)>;

pub(super) async fn run(
    command: ReportCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let width = output.width;
    match command {
        ReportCommand::Latency(question) => {
            let asked = Asked::of("latency", latency(&question), &question.selection);
            let table = |report: &Report| {
                if question.wide {
                    render::table::render_wide(report)
                } else {
                    render::table::render(report, width)
                }
            };
            asked.print(client, output, table).await
        }
        ReportCommand::Compare(question) => {
            let asked = Asked { path: "compare", query: compare(&question), format: question.format };
            let table = |report: &Comparison| render::comparison::table::render(report, width);
            asked.print(client, output, table).await
        }
        ReportCommand::Availability(question) => {
            let asked = Asked::of("availability", availability(&question), &question.selection);
            let table = |report: &AvailabilityReport| render::availability::table::render(report, width);
            asked.print(client, output, table).await
        }
        ReportCommand::TimeOfDay(question) => {
            let asked = Asked::of("time-of-day", time_of_day(&question), &question.selection);
            let table = |report: &TimeOfDayReport| render::time_of_day::table::render(report, width);
            asked.print(client, output, table).await
        }
        ReportCommand::Series(question) => {
            let asked = Asked::of("series", series(&question), &question.selection);
            let table = |report: &SeriesReport| render::series::table::render(report, width);
            asked.print(client, output, table).await
        }
        ReportCommand::Edges(question) => {
            let asked = Asked::of("edges", edges(&question), &question.selection);
            let table = |report: &EdgesReport| render::edges::table::render(report, width);
            asked.print(client, output, table).await
        }
        ReportCommand::Physics(question) => {
            let asked = Asked::of("physics", edges(&question), &question.selection);
            let table = |report: &PhysicsReport| render::physics::table::render(report, width);
            asked.print(client, output, table).await
        }
        ReportCommand::Yardsticks(question) => {
            let asked = Asked::of("yardsticks", yardsticks(&question), &question.selection);
            let table = |report: &YardsticksReport| render::yardsticks::table::render(report, width);
            asked.print(client, output, table).await
        }
        ReportCommand::AzureReachability(question) => {
            let path = "/api/v1/reports/azure-reachability";
            let report: serde_json::Value = client.get(path, &azure_reachability(&question)).await?;
            output.json(&report)
        }
        ReportCommand::Html(question) => {
            let page = client.get_html("/api/v1/reports/html", &html(&question)).await?;
            output.bytes(page.as_bytes())
        }
    }
}

/// A question, and how its answer is printed.
struct Asked {
    /// The last part of the path.
    path: &'static str,
    query: Parameters,
    format: ReportFormat,
}

impl Asked {
    fn of(path: &'static str, query: Parameters, selection: &Selection) -> Self {
        Self { path, query, format: selection.format }
    }

    async fn print<R: DeserializeOwned>(
        mut self,
        client: &Client,
        output: &mut Output<'_>,
        table: impl FnOnce(&R) -> String,
    ) -> anyhow::Result<()> {
        let path = format!("/api/v1/reports/{}", self.path);
        let text = match self.format {
            ReportFormat::Json => {
                let report: serde_json::Value = client.get(&path, &self.query).await?;
                return output.json(&report);
            }
            ReportFormat::Csv => {
                self.query.push(("format", "csv".to_owned()));
                client.get_csv(&path, &self.query).await?
            }
            ReportFormat::Ndjson => {
                self.query.push(("format", "ndjson".to_owned()));
                client.get_ndjson(&path, &self.query).await?
            }
            ReportFormat::Parquet => {
                anyhow::ensure!(
                    output.width.is_none(),
                    "Parquet is no text, and standard output is a terminal: add `>report.parquet`"
                );
                self.query.push(("format", "parquet".to_owned()));
                return output.bytes(&client.get_parquet(&path, &self.query).await?);
            }
            ReportFormat::Table => table(&client.get(&path, &self.query).await?),
        };
        output.line(text.trim_end())
    }
}

fn latency(question: &LatencyQuestion) -> Parameters {
    let by = std::iter::once(("by", question.by.join(",")));
    let metrics = lists([("metric", &question.metric)]);
    by.chain(once([("last", &question.last)])).chain(metrics).chain(selection(&question.selection)).collect()
}

fn compare(question: &CompareArgs) -> Parameters {
    let times = once([
        ("last", &question.last),
        ("from", &question.from),
        ("to", &question.to),
        ("threshold", &question.threshold),
    ]);
    let lists = lists([
        ("providers", &question.providers),
        ("metric", &question.metric),
        ("location", &question.location),
        ("target", &question.target),
    ]);
    times.chain(lists).collect()
}

fn availability(question: &AvailabilityArgs) -> Parameters {
    let lists = lists([("by", &question.by), ("metric", &question.metric)]);
    once([("last", &question.last)]).chain(lists).chain(selection(&question.selection)).collect()
}

fn time_of_day(question: &TimeOfDayArgs) -> Parameters {
    let lists = lists([("by", &question.by), ("metric", &question.metric)]);
    let once = once([("last", &question.last), ("days", &question.days)]);
    once.chain(lists).chain(selection(&question.selection)).collect()
}

fn series(question: &SeriesArgs) -> Parameters {
    let lists = lists([("by", &question.by), ("metric", &question.metric)]);
    let once = once([("last", &question.last), ("step", &question.step)]);
    once.chain(lists).chain(selection(&question.selection)).collect()
}

fn edges(question: &EdgesArgs) -> Parameters {
    let by = lists([("by", &question.by)]);
    let once = once([("last", &question.last), ("step", &question.step)]);
    once.chain(by).chain(selection(&question.selection)).collect()
}

fn yardsticks(question: &YardsticksArgs) -> Parameters {
    let by = lists([("by", &question.by)]);
    once([("last", &question.last)]).chain(by).chain(selection(&question.selection)).collect()
}

fn span(span: &Span) -> impl Iterator<Item = (&'static str, String)> {
    once([("last", &span.last), ("from", &span.from), ("to", &span.to)])
}

fn azure_reachability(question: &AzureReachabilityArgs) -> Parameters {
    let lists = lists([("provider", &question.provider), ("target", &question.target)]);
    let once = span(&question.span).chain(once([("metric", &question.metric)]));
    [("location", question.location.clone())].into_iter().chain(once).chain(lists).collect()
}

fn html(question: &HtmlArgs) -> Parameters {
    let lists = lists([
        ("by", &question.by),
        ("provider", &question.provider),
        ("location", &question.location),
        ("site", &question.site),
        ("target", &question.target),
    ]);
    let once = span(&question.span).chain(once([("metric", &question.metric)]));
    once.chain(lists).collect()
}

fn selection(selection: &Selection) -> impl Iterator<Item = (&'static str, String)> {
    let lists = lists([
        ("provider", &selection.provider),
        ("location", &selection.location),
        ("site", &selection.site),
        ("target", &selection.target),
    ]);
    once([("from", &selection.from), ("to", &selection.to)]).chain(lists)
}

fn once<const N: usize>(
    values: [(&'static str, &Option<String>); N],
) -> impl Iterator<Item = (&'static str, String)> {
    values.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)))
}

fn lists<const N: usize>(
    values: [(&'static str, &Vec<String>); N],
) -> impl Iterator<Item = (&'static str, String)> {
    values.into_iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value.clone())))
}
