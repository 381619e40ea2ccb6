//! `status`.

use super::{Format, ListOptions, Output};
use crate::client::Client;
use serde_json::Value;

const PATH: &str = "/api/v1/status";

pub(super) async fn run(
    options: ListOptions,
    client: &Client,
    output: &mut Output<'_>,
) -> anyhow::Result<()> {
    let status: Value = client.get(PATH, &[]).await?;
    if options.format == Format::Json {
        return output.json(&status);
    }
    for (name, value) in facts("", &status) {
        output.line(&format!("{name:<28} {value}"))?;
    }
    Ok(())
}

/// Every fact of the document with its name: `store batches`.
fn facts(name: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(field, value)| facts(format!("{name} {}", field.replace('_', " ")).trim(), value))
            .collect(),
        Value::Array(items) => {
            vec![(name.to_owned(), items.iter().map(plain).collect::<Vec<_>>().join(", "))]
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            vec![(name.to_owned(), plain(value))]
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
