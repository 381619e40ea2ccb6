//! The scenarios that ship besides the six sites: each shows what its file says that it shows.

use super::{assert_true, cells, count, document, emulated, lab};
use serde_json::Value;
use std::collections::BTreeMap;

/// Runs the scenario of this name and holds the report against the truth. Returns the report's rows by provider,
/// location and metric; none where paths cannot be emulated.
fn run(name: &str, duration: &str) -> Option<BTreeMap<(String, String, String), Value>> {
    let file = format!("{}/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let output = lab(&["--scenario", &file, "--duration", duration, "--interval", "1s"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if !emulated(&output) {
        return None;
    }
    let document = document(&output);
    let truth = assert_true(&document);
    let rows = cells(&document["report"]["rows"]).into_iter().filter(|(cell, _)| truth.contains_key(cell));
    Some(rows.map(|((provider, location, _, metric), row)| ((provider, location, metric), row)).collect())
}

fn loss(row: &Value) -> f64 {
    row["loss"]["value"].as_f64().unwrap()
}

fn percentile(row: &Value, of: &str, name: &str) -> f64 {
    row[of][name].as_f64().unwrap()
}

#[test]
fn a_lossy_provider_stands_out_at_every_location() {
    let Some(rows) = run("lossy-provider", "10s") else { return };
    assert_eq!(rows.len(), 8, "two providers, two locations, two metrics");
    for ((provider, location, _), row) in rows {
        match (provider.as_str(), location.as_str()) {
            ("Lossy Networks", "GB-LND") => assert!((0.01..0.2).contains(&loss(&row)), "{row:#}"),
            ("Lossy Networks", _) => assert!((0.05..0.3).contains(&loss(&row)), "{row:#}"),
            _ => assert!(loss(&row) < 0.001, "{row:#}"),
        }
    }
}

#[test]
fn a_dark_path_is_loss_a_resting_agent_is_a_gap_and_a_refusal_is_neither() {
    let Some(rows) = run("outage", "14s") else { return };
    assert_eq!(rows.len(), 8, "four sites, two metrics");
    for ((provider, ..), row) in rows {
        let (loss, coverage) = (loss(&row), row["coverage"].as_f64().unwrap());
        let refused = count(&row, "refused");
        let (lossy, gappy, refusing) = match provider.as_str() {
            "Dark Networks" => (true, false, false),
            "Resting Office" => (false, true, false),
            "Refusing Networks" => (false, false, true),
            _ => (false, false, false),
        };
        assert_eq!(loss > 0.05, lossy, "{row:#}");
        assert_eq!(loss > 0.0, lossy, "{row:#}");
        assert_eq!(coverage < 0.9, gappy, "{row:#}");
        assert_eq!(refused > 0, refusing, "{row:#}");
    }
}

#[test]
fn a_round_trip_hides_which_way_is_slow_but_not_how_it_varies() {
    let Some(rows) = run("uneven-paths", "10s") else { return };
    assert_eq!(rows.len(), 9, "three sites, three metrics");
    for ((provider, ..), row) in rows {
        let p50 = percentile(&row, "latency_ms", "p50");
        let spread = percentile(&row, "latency_ms", "p95") - percentile(&row, "latency_ms", "p5");
        let jitter = percentile(&row, "jitter_ms", "p50");
        assert!((30.0..70.0).contains(&p50), "{row:#}");
        let varies = provider == "Jittery Networks";
        assert_eq!((spread > 10.0, jitter > 5.0), (varies, varies), "{row:#}");
    }
}

#[test]
fn packets_that_overtake_or_repeat_one_another_change_no_time_and_no_loss() {
    let Some(rows) = run("reordering", "8s") else { return };
    assert_eq!(rows.len(), 6, "three sites, two metrics");
    for row in rows.values() {
        assert!(loss(row) < 0.001, "{row:#}");
        assert!(percentile(row, "latency_ms", "min") >= 20.0, "{row:#}");
        assert!(percentile(row, "latency_ms", "p95") <= 120.0, "{row:#}");
    }
}
