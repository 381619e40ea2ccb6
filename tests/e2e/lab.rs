//! `cargo lab` as a user runs it: the report must show the paths as they were.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers of tests too")]

use peerlight_proto::histogram::{bucket_of, micros, width_of};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::ToSocketAddrs as _,
    process::{Command, Output, Stdio},
    time::Duration,
};

/// Beyond the width of a histogram's bucket.
const TOLERANCE_MS: f64 = 0.2;

type Cell = (String, String, String, String);

fn lab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_peerlight-lab"))
        .args(["--format", "json", "--dashboard-port", "0"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn document(output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic_with(&format!("{error}\n{stderr}")))
}

#[expect(clippy::panic, reason = "the test fails with what the lab said")]
fn panic_with(text: &str) -> ! {
    panic!("{text}")
}

fn cells(rows: &Value) -> BTreeMap<Cell, Value> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        let cell = (text(row, "provider"), text(row, "location"), text(row, "target"), text(row, "metric"));
        (cell, row.clone())
    })
    .collect()
}

/// Every truth that is sure enough stands in the report, within the histogram's error.
fn assert_true(document: &Value, metrics: &[&str]) -> usize {
    let (report, truth) = (cells(&document["report"]["rows"]), cells(&document["truth"]));
    let mut compared = 0;
    for (cell, true_row) in truth.iter().filter(|((.., metric), _)| metrics.contains(&metric.as_str())) {
        let row = report.get(cell).unwrap_or_else(|| panic_with(&format!("{cell:?} is not in the report")));
        let Some(true_p50) = true_row["p50_ms"].as_f64().filter(|_| true_row["n"].as_u64() >= Some(20))
        else {
            continue;
        };
        let p50 = row["latency_ms"]["p50"].as_f64().unwrap();
        let bucket = micros(Duration::from_secs_f64(true_p50 / 1_000.0));
        let width_ms = Duration::from_micros(width_of(bucket_of(bucket))).as_secs_f64() * 1_000.0;
        assert!(
            (p50 - true_p50).abs() <= width_ms + TOLERANCE_MS,
            "{cell:?}: the report says {p50} ms, the truth {true_p50} ms"
        );
        compared += 1;
    }
    compared
}

#[test]
fn the_report_shows_every_sites_true_delay() {
    let output = lab(&["--duration", "16s"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document = document(&output);
    let report = cells(&document["report"]["rows"]);
    let sites: BTreeSet<_> = report.keys().map(|(provider, location, ..)| (provider, location)).collect();
    assert_eq!(sites.len(), 6, "{sites:?}");
    assert!(assert_true(&document, &["icmp.rtt", "tcp.connect", "udp.rtt", "https.ttfb"]) >= 6);
}

#[test]
fn on_loopback_the_report_shows_what_the_echo_servers_held_back() {
    let output = lab(&["--duration", "16s", "--network", "loopback"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(assert_true(&document(&output), &["udp.rtt"]) >= 6);
}

#[test]
fn a_lab_that_cannot_be_says_why_and_fails() {
    let output = lab(&["--scenario", "/does/not/exist.toml"]);
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.starts_with("error: cannot read the scenario /does/not/exist.toml"), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_microsoft_catalogue_without_the_internet_is_a_failure_that_says_so() {
    if !no_internet() {
        writeln!(std::io::stderr(), "SKIPPED: this machine reaches the Internet").unwrap();
        return;
    }
    let output = lab(&["--duration", "12s", "--microsoft"]);
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("a name did not resolve: is there a way to the Internet?"), "{stderr}");
    let report = cells(&document(&output)["report"]["rows"]);
    assert!(report.values().any(|row| row["dns_failed"].as_u64() > Some(0)), "{report:?}");
}

fn no_internet() -> bool {
    ("outlook.office365.com", 443).to_socket_addrs().is_err()
}

#[test]
fn the_microsoft_catalogue_is_measured_against_servers_that_bear_its_names() {
    let output = lab(&["--duration", "12s", "--microsoft", "--stand-in"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if stderr.contains("/dev/net/tun") || stderr.contains("user namespace") {
        writeln!(std::io::stderr(), "SKIPPED: {stderr}").unwrap();
        return;
    }
    assert!(output.status.success(), "{stderr}");
    let report = cells(&document(&output)["report"]["rows"]);
    let answered = |metric: &str| {
        report.iter().filter(|((.., name), _)| name == metric).map(|(_, row)| row["answered"].as_u64()).max()
    };
    assert!(answered("tcp.connect").flatten() > Some(0), "{report:?}");
    assert!(answered("https.total").flatten() > Some(0), "{report:?}");
}
