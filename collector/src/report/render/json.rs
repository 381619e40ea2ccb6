//! Reports as JSON.

use crate::report::Report;

/// The report as one JSON document, indented.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(report)
}
