//! `report latency` and `report compare`.

use super::{CompareArgs, LatencyQuestion, Output, ReportCommand, ReportFormat};
use crate::{
    client::Client,
    report::{Report, compare::Comparison, render},
};

const LATENCY: &str = "/api/v1/reports/latency";
const COMPARE: &str = "/api/v1/reports/compare";

pub(super) async fn run(
    command: ReportCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        ReportCommand::Latency(question) => latency(question, client, output).await,
        ReportCommand::Compare(question) => compare(question, client, output).await,
    }
}

async fn latency(question: LatencyQuestion, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let mut query = query(&question);
    match question.format {
        ReportFormat::Json => {
            let report: serde_json::Value = client.get(LATENCY, &query).await?;
            output.json(&report)
        }
        ReportFormat::Csv => {
            query.push(("format", "csv".to_owned()));
            let text = client.get_csv(LATENCY, &query).await?;
            output.line(text.trim_end())
        }
        ReportFormat::Table => {
            let report: Report = client.get(LATENCY, &query).await?;
            let text = if question.wide {
                render::table::render_wide(&report)
            } else {
                render::table::render(&report, output.width)
            };
            output.line(text.trim_end())
        }
    }
}

async fn compare(question: CompareArgs, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let mut query = Vec::new();
    let once = [
        ("last", &question.last),
        ("from", &question.from),
        ("to", &question.to),
        ("threshold", &question.threshold),
    ];
    query.extend(once.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    let lists = [
        ("providers", &question.providers),
        ("metric", &question.metric),
        ("location", &question.location),
        ("target", &question.target),
    ];
    for (name, values) in lists {
        query.extend(values.iter().map(|value| (name, value.clone())));
    }
    match question.format {
        ReportFormat::Json => {
            let comparison: serde_json::Value = client.get(COMPARE, &query).await?;
            output.json(&comparison)
        }
        ReportFormat::Csv => {
            query.push(("format", "csv".to_owned()));
            let text = client.get_csv(COMPARE, &query).await?;
            output.line(text.trim_end())
        }
        ReportFormat::Table => {
            let comparison: Comparison = client.get(COMPARE, &query).await?;
            output.line(render::comparison::table::render(&comparison, output.width).trim_end())
        }
    }
}

/// The question as the API reads it.
fn query(question: &LatencyQuestion) -> Vec<(&'static str, String)> {
    let mut query = vec![("by", question.by.join(","))];
    let times = [("last", &question.last), ("from", &question.from), ("to", &question.to)];
    query.extend(times.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    let filters = [
        ("metric", &question.metric),
        ("provider", &question.provider),
        ("location", &question.location),
        ("site", &question.site),
        ("target", &question.target),
    ];
    for (name, values) in filters {
        query.extend(values.iter().map(|value| (name, value.clone())));
    }
    query
}
