//! `report latency`.

use super::{LatencyQuestion, Output, ReportCommand, ReportFormat};
use crate::{
    client::Client,
    report::{Report, render},
};

const PATH: &str = "/api/v1/reports/latency";

pub(super) async fn run(
    command: ReportCommand,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    match command {
        ReportCommand::Latency(question) => latency(question, client, output).await,
    }
}

async fn latency(question: LatencyQuestion, client: &Client, output: &mut Output<'_>) -> anyhow::Result<()> {
    let mut query = query(&question);
    match question.format {
        ReportFormat::Json => {
            let report: serde_json::Value = client.get(PATH, &query).await?;
            output.json(&report)
        }
        ReportFormat::Csv => {
            query.push(("format", "csv".to_owned()));
            let text = client.get_csv(PATH, &query).await?;
            output.line(text.trim_end())
        }
        ReportFormat::Table => {
            let report: Report = client.get(PATH, &query).await?;
            let text = if question.wide {
                render::table::render_wide(&report)
            } else {
                render::table::render(&report, output.width)
            };
            output.line(text.trim_end())
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
