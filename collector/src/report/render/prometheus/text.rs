//! The text format 0.0.4, for whoever takes no protobuf: times as a summary of the report's own percentiles, or by ranges, which
//! `VictoriaMetrics` takes for a histogram.

use super::{Exposed, Exposition, LATENCY, LATENCY_HELP, Label, gauges, labels, seconds};
use crate::{
    prometheus_text::escaped,
    report::{Latency, series::bins},
};
use std::fmt::Write as _;

/// The media type.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How times are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Times {
    /// By percentiles, which cannot be added up.
    #[default]
    Summary,
    /// By ranges with their counts (`vmrange`), at most 1/16 of their values wide.
    Ranges,
}

/// A percentile, and where a row has it.
type Quantile = (&'static str, fn(&Latency) -> Option<f64>);

/// The percentiles of a summary.
const QUANTILES: [Quantile; 6] = [
    ("0.05", |latency| latency.p5),
    ("0.5", |latency| latency.p50),
    ("0.9", |latency| latency.p90),
    ("0.95", |latency| latency.p95),
    ("0.99", |latency| latency.p99),
    ("0.999", |latency| latency.p99_9),
];

/// Writes the window.
pub fn render(exposition: &Exposition, times: Times) -> String {
    let at_ms = exposition.at.as_micros().div_euclid(1_000);
    let kind = match times {
        Times::Summary => "summary",
        Times::Ranges => "histogram",
    };
    let mut page = Page { text: String::new(), at_ms };
    page.head(LATENCY, LATENCY_HELP, kind);
    for exposed in &exposition.rows {
        match times {
            Times::Summary => page.summary(exposed),
            Times::Ranges => page.ranges(exposed),
        }
        page.line("_sum", LATENCY, &labels(&exposed.row), &seconds(exposed.histogram.sum_us()));
        page.line("_count", LATENCY, &labels(&exposed.row), &exposed.histogram.count());
    }
    for gauge in gauges(exposition) {
        page.head(gauge.name, gauge.help, "gauge");
        for (labels, count) in &gauge.samples {
            page.line("", gauge.name, labels, count);
        }
    }
    page.text
}

struct Page {
    text: String,
    at_ms: i64,
}

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String cannot fail, here and below.
        let _infallible = writeln!(self.text, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    }

    fn line(&mut self, suffix: &str, name: &str, labels: &[Label], value: &dyn std::fmt::Display) {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _infallible =
            writeln!(self.text, "{name}{suffix}{{{}}} {value} {}", labels.join(","), self.at_ms);
    }

    fn summary(&mut self, Exposed { row, .. }: &Exposed) {
        for (quantile, of) in QUANTILES {
            if let Some(ms) = of(&row.latency_ms) {
                let mut labels = labels(row);
                labels.push(("quantile", quantile.to_owned()));
                self.line("", LATENCY, &labels, &(ms / 1e3));
            }
        }
    }

    fn ranges(&mut self, Exposed { row, histogram }: &Exposed) {
        for bin in bins(histogram) {
            let mut labels = labels(row);
            labels.push(("vmrange", format!("{:.6e}...{:.6e}", bin.from_ms / 1e3, bin.to_ms / 1e3)));
            self.line("_bucket", LATENCY, &labels, &bin.count);
        }
    }
}
