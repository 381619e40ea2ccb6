//! `report latency`.

use super::{LatencyQuestion, Output, ReportCommand, ReportFormat};
use crate::client::Client;
use anyhow::Context as _;

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
            query.push(("format", "csv".to_owned()));
            let text = client.get_csv(PATH, &query).await?;
            table(&text, output)
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

/// The rows of a CSV report, laid out.
fn table(text: &str, output: &mut Output<'_>) -> anyhow::Result<()> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().context("the report has no header")?.clone();
    let rows: Vec<Vec<String>> = reader
        .records()
        .map(|record| record.map(|record| record.iter().map(str::to_owned).collect()))
        .collect::<Result<_, _>>()
        .context("the report is not CSV")?;
    output.table(&header.iter().collect::<Vec<_>>(), rows, "nothing was measured in that span")
}
